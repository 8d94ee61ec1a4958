/* l_p backward where few terms matter: lanes over samples (live.h). A sum of grad_w then runs over the lanes, in order: the
 * terms of LANES places are transposed, so that one lane has one place and the samples follow each other. */

enum { GRADIENT_AT_ONCE = 4 }; /* places whose powers are interleaved */

/* LANES samples by LIVE_COLUMNS columns, and LIVE_OUTPUTS outputs at a time. */
typedef struct gradient_live {
    live_rows rows;
    float grad_x[LIVE_COLUMNS][LANES];
    float inverse[LIVE_OUTPUTS][LANES]; /* POWER_SCALE / distance, 0 for 0 */
    float cut[LIVE_OUTPUTS][LANES];     /* infinity for distance 0 */
    float grad_y[LIVE_OUTPUTS][LANES];
    live_places found;
} gradient_live;

static void gradient_live_prepare(gradient_live *g, size_t samples, size_t outputs, const lfd_power *power,
                                  const float *y, const float *grad_y, size_t y_stride) {
    live_transpose(samples, outputs, y, y_stride, g->cut);
    live_transpose(samples, outputs, grad_y, y_stride, g->grad_y);
    for (size_t o = 0; o < outputs; ++o) {
        vf distance = vf_load(g->cut[o]);
        vm positive = vf_less(vf_set(0.0f), distance);
        vf_store(g->inverse[o], vf_keep(positive, vf_div(vf_set(POWER_SCALE), distance)));
        vf_store(g->cut[o],
                 vf_select(positive, vf_mul(distance, vf_set(power->backward_cut)), vf_set(INFINITY)));
    }
}

/* The terms grad_y sign(t) (|t| / distance)^(p - 1) of GRADIENT_AT_ONCE places, 0 in lanes whose term does not matter;
 * those of the first valid places are added to grad_x. */
LFD_INLINE void gradient_terms(gradient_live *g, const int32_t *place, size_t valid, const float *w, size_t w_stride,
                               vf exponent, vf *term) {
    vf t[GRADIENT_AT_ONCE], power[GRADIENT_AT_ONCE];
    LFD_UNROLL
    for (size_t k = 0; k < GRADIENT_AT_ONCE; ++k) {
        size_t o = (size_t)place[k] >> 16, i = (size_t)place[k] & 0xffff;
        t[k] = vf_sub(vf_load(g->rows.x[i]), vf_set(w[o * w_stride + i]));
        power[k] = vf_abs(vf_mul(t[k], vf_load(g->inverse[o])));
    }
    powers(GRADIENT_AT_ONCE, power, exponent);
    LFD_UNROLL
    for (size_t k = 0; k < GRADIENT_AT_ONCE; ++k) {
        size_t o = (size_t)place[k] >> 16, i = (size_t)place[k] & 0xffff;
        vm live = vf_at_least(vf_abs(t[k]), vf_load(g->cut[o]));
        term[k] = vf_keep(live, vf_mul(vf_copysign(power[k], t[k]), vf_load(g->grad_y[o])));
        if (k < valid) vf_store(g->grad_x[i], vf_add(vf_load(g->grad_x[i]), term[k]));
    }
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

/* The terms of all places found. */
static void gradient_flush(gradient_live *g, const float *w, size_t w_stride, float exponent, float *grad_w) {
    const size_t count = g->found.count;
    int32_t *place = g->found.place;
    float nowhere = 0.0f, *to[LANES];
    vf term[LANES];
    for (size_t k = 0; k < GRADIENT_AT_ONCE && count > 0; ++k) place[count + k] = place[count - 1];
    for (size_t first = 0; first < count; first += LANES) {
        const size_t valid = smaller(LANES, count - first);
        for (size_t k = 0; k < valid; k += GRADIENT_AT_ONCE)
            gradient_terms(g, place + first + k, valid - k, w, w_stride, vf_set(exponent), term + k);
        if (!grad_w) continue;
        for (size_t k = 0; k < valid; ++k)
            to[k] = grad_w + ((size_t)place[first + k] >> 16) * w_stride + ((size_t)place[first + k] & 0xffff);
        for (size_t k = valid; k < LANES; ++k) to[k] = &nowhere, term[k] = vf_set(0.0f);
        gradient_to_w(term, to);
    }
    g->found.count = 0;
}

/* The samples and outputs of s, at most LANES samples and LIVE_COLUMNS columns. */
static void gradient_sparse(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                            const float *grad_y, float *grad_x, float *grad_w) {
    gradient_live g;
    g.found.count = 0;
    live_load(&g.rows, s->batch, s->n_in, x, s->x_stride);
    live_transpose(grad_x ? s->batch : 0, s->n_in, grad_x, s->x_stride, g.grad_x);
    for (size_t first = 0; first < s->n_out; first += LIVE_OUTPUTS) {
        const size_t outputs = smaller(LIVE_OUTPUTS, s->n_out - first);
        const float *ws = w + first * s->w_stride;
        float *grad_ws = grad_w ? grad_w + first * s->w_stride : NULL;
        gradient_live_prepare(&g, s->batch, outputs, power, y + first, grad_y + first, s->y_stride);
        for (size_t o = 0; o < outputs; ++o) {
            if (g.found.count > LIVE_CAPACITY) gradient_flush(&g, ws, s->w_stride, power->exponent, grad_ws);
            live_find(&g.rows, ws + o * s->w_stride, live_least(g.cut[o]), o, &g.found);
        }
        gradient_flush(&g, ws, s->w_stride, power->exponent, grad_ws);
    }
    if (grad_x) live_restore(s->batch, s->n_in, g.grad_x, grad_x, s->x_stride);
}
