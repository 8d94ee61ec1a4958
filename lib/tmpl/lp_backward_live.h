/* l_p backward where few terms matter: lanes over samples (live.h). A sum of grad_w then runs over the lanes, in order:
 * the terms of LANES places are read column by column, so that one lane has one place and the samples follow each
 * other. */

enum {
    GRADIENT_LIVE_BLOCKS = 4,  /* of LIVE_ROWS samples: rows of w and grad_w stay in cache while these pass by */
    GRADIENT_LIVE_OUTPUTS = 32 /* rows of w at a time */
};
_Static_assert((int)GRADIENT_LIVE_OUTPUTS <= (int)LIVE_OUTPUTS && (int)GRADIENT_LIVE_OUTPUTS % LANES == 0,
               "a live_block holds them, as whole vectors");

/* The gradients of one block by LIVE_COLUMNS columns and GRADIENT_LIVE_OUTPUTS outputs. */
typedef struct gradient_live {
    live_block block;
    float (*grad_x)[LIVE_ROWS]; /* per column */
    _Alignas(64) float grad_y[GRADIENT_LIVE_OUTPUTS][LIVE_ROWS];
} gradient_live;

static void gradient_live_prepare(gradient_live *g, size_t samples, size_t outputs, const lfd_power *power,
                                  const float *y, const float *grad_y, size_t y_stride) {
    live_transpose(samples, outputs, y, y_stride, g->block.cut);
    live_transpose(samples, outputs, grad_y, y_stride, g->grad_y);
    live_prepare(&g->block, outputs, g->block.cut, &power->backward);
}

/* The terms of count places, a constant <= LIVE_AT_ONCE: to term, and added to grad_x. to[k] <- where the k-th place is
 * in grad_w, fetched; untouched without grad_w. */
LFD_INLINE void gradient_terms(gradient_live *g, const int32_t *place, size_t count, const float *w, size_t w_stride,
                               const power_pieces *pieces, float (*term)[LIVE_ROWS], float *grad_w, float **to) {
    vf power[LIVE_AT_ONCE * LIVE_VECTORS];
    live_powers(&g->block, place, count, w, w_stride, pieces, 1, power);
    LFD_UNROLL
    for (size_t k = 0; k < count; ++k) {
        const size_t i = (size_t)place[k] & 0xffff, o = (size_t)place[k] >> 16;
        LFD_UNROLL
        for (size_t v = 0; v < LIVE_VECTORS; ++v) {
            float *grad_x = g->grad_x[i] + v * LANES;
            const vf product = vf_mul(power[k * LIVE_VECTORS + v], vf_load(g->grad_y[o] + v * LANES));
            vf_store(term[k] + v * LANES, product);
            vf_store(grad_x, vf_add(vf_load(grad_x), product));
        }
        if (!grad_w) continue;
        to[k] = grad_w + o * w_stride + i;
        __builtin_prefetch(to[k]);
    }
}

/* *to[k] -= the numbers of term[k], in order, for LANES places. */
LFD_INLINE void gradient_to_w(float (*term)[LIVE_ROWS], float *const *to) {
    const float *row[LANES];
    float sums[LANES];
    vf sum = vf_gather(to), sample[4];
    for (size_t k = 0; k < LANES; ++k) row[k] = term[k];
    LFD_UNROLL
    for (size_t r = 0; r < LIVE_ROWS; r += 4) {
        vf_columns_4(sample, row, r);
        LFD_UNROLL
        for (size_t k = 0; k < 4; ++k) sum = vf_sub(sum, sample[k]);
    }
    vf_store(sums, sum);
    LFD_UNROLL
    for (size_t k = 0; k < LANES; ++k) *to[k] = sums[k];
}

/* The gradients of all places found. */
static void gradient_flush(gradient_live *g, const float *w, size_t w_stride, const lfd_power_pieces *power,
                           float *grad_w) {
    const power_pieces pieces = power_load(power);
    _Alignas(64) float term[LIVE_TOGETHER][LIVE_ROWS];
    float nowhere = 0.0f, *to[LIVE_TOGETHER];
    live_confirm(&g->block, w, w_stride);
    const size_t count = g->block.found.count;
    for (size_t first = 0; first < count; first += LIVE_TOGETHER) {
        const int32_t *place = g->block.found.place + first;
        const size_t together = smaller(LIVE_TOGETHER, count - first);
        size_t k = 0;
        for (; k + LIVE_AT_ONCE <= together; k += LIVE_AT_ONCE)
            gradient_terms(g, place + k, LIVE_AT_ONCE, w, w_stride, &pieces, term + k, grad_w, to + k);
        for (; k < together; ++k) gradient_terms(g, place + k, 1, w, w_stride, &pieces, term + k, grad_w, to + k);
        if (!grad_w) continue;
        for (; k < LIVE_TOGETHER; ++k) to[k] = &nowhere, memset(term[k], 0, sizeof term[k]);
        for (k = 0; k < together; k += LANES) gradient_to_w(term + k, to + k);
    }
    g->block.found.count = 0;
}

/* The samples and outputs of s, at most LIVE_ROWS samples and GRADIENT_LIVE_OUTPUTS outputs; next_w: the rows that come
 * next. */
static void gradient_live_outputs(gradient_live *g, const lfd_shape *s, const lfd_power *power, const float *w,
                                  const float *next_w, const float *y, const float *grad_y, float *grad_w) {
    gradient_live_prepare(g, s->batch, s->n_out, power, y, grad_y, s->y_stride);
    for (size_t o = 0; o < s->n_out; ++o) {
        if (g->block.found.count > LIVE_CAPACITY) gradient_flush(g, w, s->w_stride, &power->backward, grad_w);
        live_find(g->block.rows, w + o * s->w_stride, next_w + o * s->w_stride, g->block.least[o], o, &g->block.found);
    }
    gradient_flush(g, w, s->w_stride, &power->backward, grad_w);
}

/* At most GRADIENT_LIVE_BLOCKS * LIVE_ROWS samples and LIVE_COLUMNS columns. */
LFD_APART void gradient_sparse(const lfd_shape *s, const lfd_power *power, const float *x, const float *w,
                               const float *y, const float *grad_y, float *grad_x, float *grad_w) {
    live_rows rows[GRADIENT_LIVE_BLOCKS];
    _Alignas(64) float grad_xs[GRADIENT_LIVE_BLOCKS][LIVE_COLUMNS][LIVE_ROWS];
    gradient_live g;
    lfd_shape part = *s;
    g.block.found.count = 0;
    for (size_t b = 0; b < s->batch; b += LIVE_ROWS) {
        const size_t samples = smaller(LIVE_ROWS, s->batch - b);
        live_load(&rows[b / LIVE_ROWS], samples, s->n_in, x + b * s->x_stride, s->x_stride);
        live_transpose(grad_x ? samples : 0, s->n_in, grad_x ? grad_x + b * s->x_stride : NULL, s->x_stride,
                       grad_xs[b / LIVE_ROWS]);
    }
    for (size_t o = 0; o < s->n_out; o += GRADIENT_LIVE_OUTPUTS)
        for (size_t b = 0; b < s->batch; b += LIVE_ROWS) {
            part.batch = smaller(LIVE_ROWS, s->batch - b);
            part.n_out = smaller(GRADIENT_LIVE_OUTPUTS, s->n_out - o);
            const size_t after = o + GRADIENT_LIVE_OUTPUTS + part.n_out <= s->n_out ? o + GRADIENT_LIVE_OUTPUTS : o;
            const float *next = w + (b + LIVE_ROWS < s->batch ? o : after) * s->w_stride;
            g.block.rows = &rows[b / LIVE_ROWS];
            g.grad_x = grad_xs[b / LIVE_ROWS];
            gradient_live_outputs(&g, &part, power, w + o * s->w_stride, next, y + b * s->y_stride + o,
                                  grad_y + b * s->y_stride + o, grad_w ? grad_w + o * s->w_stride : NULL);
        }
    for (size_t b = 0; b < s->batch && grad_x; b += LIVE_ROWS)
        lanes_to_rows(smaller(LIVE_ROWS, s->batch - b), s->n_in, grad_xs[b / LIVE_ROWS][0], LIVE_ROWS,
                      grad_x + b * s->x_stride, s->x_stride);
}
