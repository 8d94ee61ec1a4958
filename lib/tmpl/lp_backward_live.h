/* l_p backward where few terms matter: lanes over samples (live.h). A sum of grad_w then runs over the lanes, in order: the
 * terms of LANES places are transposed, so that one lane has one place and the samples follow each other. */

/* The gradients of LANES samples by LIVE_COLUMNS columns, and LIVE_OUTPUTS outputs at a time. */
typedef struct gradient_live {
    live_block block;
    float grad_x[LIVE_COLUMNS][LANES];
    float grad_y[LIVE_OUTPUTS][LANES];
} gradient_live;

static void gradient_live_prepare(gradient_live *g, size_t samples, size_t outputs, const lfd_power *power,
                                  const float *y, const float *grad_y, size_t y_stride) {
    live_transpose(samples, outputs, y, y_stride, g->block.cut);
    live_transpose(samples, outputs, grad_y, y_stride, g->grad_y);
    live_prepare(&g->block, outputs, power->backward_cut, LFD_TINY);
}

/* *to[k] -= the lanes of term[k], in order. */
LFD_INLINE void gradient_to_w(vf *term, float *const *to) {
    float sums[LANES];
    vf sum = vf_gather(to);
    vf_transpose(term);
    LFD_UNROLL
    for (size_t r = 0; r < LANES; ++r) sum = vf_sub(sum, term[r]);
    vf_store(sums, sum);
    LFD_UNROLL
    for (size_t k = 0; k < LANES; ++k) *to[k] = sums[k];
}

/* Adds the terms of count <= LANES places, the first at block.term[from], to grad_x and to the places of grad_w. */
static void gradient_add(gradient_live *g, const int32_t *place, size_t count, size_t from, float *const *to) {
    vf term[LANES];
    for (size_t k = 0; k < count; ++k) {
        const size_t o = (size_t)place[k] >> 16, i = (size_t)place[k] & 0xffff;
        term[k] = vf_mul(vf_load(g->block.term[from + k]), vf_load(g->grad_y[o]));
        vf_store(g->grad_x[i], vf_add(vf_load(g->grad_x[i]), term[k]));
    }
    for (size_t k = count; k < LANES; ++k) term[k] = vf_set(0.0f);
    if (to) gradient_to_w(term, to);
}

/* The gradients of all places found. */
static void gradient_flush(gradient_live *g, const float *w, size_t w_stride, float exponent, float *grad_w) {
    const size_t count = g->block.found.count;
    float nowhere = 0.0f, *to[LIVE_TOGETHER];
    for (size_t first = 0; first < count; first += LIVE_TOGETHER) {
        const int32_t *place = g->block.found.place + first;
        const size_t together = smaller(LIVE_TOGETHER, count - first);
        for (size_t k = 0; k < LIVE_TOGETHER && grad_w; ++k) {
            to[k] = &nowhere;
            if (k < together) to[k] = grad_w + ((size_t)place[k] >> 16) * w_stride + ((size_t)place[k] & 0xffff);
            __builtin_prefetch(to[k]);
        }
        live_terms(&g->block, place, together, w, w_stride, exponent);
        for (size_t k = 0; k < together; k += LANES)
            gradient_add(g, place + k, smaller(LANES, together - k), k, grad_w ? to + k : NULL);
    }
    g->block.found.count = 0;
}

/* The samples and outputs of s, at most LANES samples and LIVE_COLUMNS columns. */
static void gradient_sparse(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                            const float *grad_y, float *grad_x, float *grad_w) {
    gradient_live g;
    live_block *block = &g.block;
    block->found.count = 0;
    live_load(&block->rows, s->batch, s->n_in, x, s->x_stride);
    live_transpose(grad_x ? s->batch : 0, s->n_in, grad_x, s->x_stride, g.grad_x);
    for (size_t first = 0; first < s->n_out; first += LIVE_OUTPUTS) {
        const size_t outputs = smaller(LIVE_OUTPUTS, s->n_out - first);
        const float *ws = w + first * s->w_stride;
        float *grad_ws = grad_w ? grad_w + first * s->w_stride : NULL;
        gradient_live_prepare(&g, s->batch, outputs, power, y + first, grad_y + first, s->y_stride);
        for (size_t o = 0; o < outputs; ++o) {
            const size_t next = smaller(first + o + LIVE_AHEAD, s->n_out - 1);
            if (block->found.count > LIVE_CAPACITY) gradient_flush(&g, ws, s->w_stride, power->exponent, grad_ws);
            live_find(&block->rows, ws + o * s->w_stride, w + next * s->w_stride, block->least[o], o, &block->found);
        }
        gradient_flush(&g, ws, s->w_stride, power->exponent, grad_ws);
    }
    if (grad_x) live_restore(s->batch, s->n_in, g.grad_x, grad_x, s->x_stride);
}
