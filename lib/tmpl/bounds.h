/* Interval bounds at p = infinity: lanes over columns, since maxima and minima are exact in any order. With
 * t1 = w - l and t2 = u - w, upper = max(t1, t2) over all columns and lower = max(0, -min(t1, t2)). */

/* One step of columns; part as in linf_step. highest starts at 0, lowest at 0. */
LFD_INLINE void bounds_step(size_t rows_x, vf highest[][BOUNDS_ROWS_W], vf lowest[][BOUNDS_ROWS_W],
                            const float *const *xl, const float *const *xu, const float *const *w, size_t i,
                            size_t part) {
    vf ws[BOUNDS_ROWS_W];
    LFD_UNROLL
    for (size_t o = 0; o < BOUNDS_ROWS_W; ++o) ws[o] = part ? vf_load_part(w[o] + i, part) : vf_load(w[o] + i);
    LFD_UNROLL
    for (size_t b = 0; b < rows_x; ++b) {
        vf ls = part ? vf_load_part(xl[b] + i, part) : vf_load(xl[b] + i);
        vf us = part ? vf_load_part(xu[b] + i, part) : vf_load(xu[b] + i);
        LFD_UNROLL
        for (size_t o = 0; o < BOUNDS_ROWS_W; ++o) {
            vf t1 = vf_difference(ws[o], ls), t2 = vf_difference(us, ws[o]);
            highest[b][o] = vf_max(vf_max(t1, t2), highest[b][o]);
            lowest[b][o] = vf_min(vf_min(t1, t2), lowest[b][o]);
        }
    }
}

/* Adding +0 turns a maximum of -0 into the reference's +0. */
LFD_INLINE void bounds_store(const lfd_shape *s, size_t b, size_t o, const float *lower, const float *upper, float *yl,
                             float *yu) {
    size_t rows_w = smaller(BOUNDS_ROWS_W, s->n_out - o);
    for (size_t c = 0; c < rows_w; ++c) {
        yl[b * s->y_stride + o + c] = lower[c] + 0.0f;
        yu[b * s->y_stride + o + c] = upper[c] + 0.0f;
    }
}

/* rows_x x BOUNDS_ROWS_W outputs at (b, o) over all columns. */
LFD_INLINE void bounds_tile(const lfd_shape *s, size_t rows_x, size_t b, size_t o, const float *xl, const float *xu,
                            const float *w, float *yl, float *yu) {
    const float *ls[BOUNDS_ROWS_X], *us[BOUNDS_ROWS_X], *ws[BOUNDS_ROWS_W];
    vf highest[BOUNDS_ROWS_X][BOUNDS_ROWS_W], lowest[BOUNDS_ROWS_X][BOUNDS_ROWS_W];
    row_pointers(ls, rows_x, rows_x, xl + b * s->x_stride, s->x_stride);
    row_pointers(us, rows_x, rows_x, xu + b * s->x_stride, s->x_stride);
    row_pointers(ws, BOUNDS_ROWS_W, smaller(BOUNDS_ROWS_W, s->n_out - o), w + o * s->w_stride, s->w_stride);
    LFD_UNROLL
    for (size_t r = 0; r < rows_x; ++r) LFD_UNROLL
    for (size_t c = 0; c < BOUNDS_ROWS_W; ++c) highest[r][c] = lowest[r][c] = vf_set(0.0f);
    size_t i = 0;
    for (; i + LANES <= s->n_in; i += LANES) bounds_step(rows_x, highest, lowest, ls, us, ws, i, 0);
    if (i < s->n_in) bounds_step(rows_x, highest, lowest, ls, us, ws, i, s->n_in - i);
    LFD_UNROLL
    for (size_t r = 0; r < rows_x; ++r) {
        float lower[BOUNDS_ROWS_W], upper[BOUNDS_ROWS_W];
        vf zero = vf_set(0.0f);
        vf_max_lanes_4(upper, highest[r][0], highest[r][1], highest[r][2], highest[r][3]);
        vf_max_lanes_4(lower, vf_sub(zero, lowest[r][0]), vf_sub(zero, lowest[r][1]), vf_sub(zero, lowest[r][2]),
                       vf_sub(zero, lowest[r][3]));
        bounds_store(s, b + r, o, lower, upper, yl, yu);
    }
}

void ISA(bounds_forward)(const lfd_shape *s, const float *xl, const float *xu, const float *w, float *yl, float *yu) {
    size_t b = 0;
    for (; b + BOUNDS_ROWS_X <= s->batch; b += BOUNDS_ROWS_X)
        for (size_t o = 0; o < s->n_out; o += BOUNDS_ROWS_W) bounds_tile(s, BOUNDS_ROWS_X, b, o, xl, xu, w, yl, yu);
    for (; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; o += BOUNDS_ROWS_W) bounds_tile(s, 1, b, o, xl, xu, w, yl, yu);
}

/* Lowest column where max(w - l, u - w) == target or, for the lower bound, min(w - l, u - w) == target; -1 without. */
LFD_INLINE int32_t bounds_find(const float *xl, const float *xu, const float *w, size_t n, float target, int lower) {
    vf targets = vf_set(target);
    size_t i = 0;
    for (; i < n; i += LANES) {
        size_t part = n - i < LANES ? n - i : 0;
        vf l = part ? vf_load_part(xl + i, part) : vf_load(xl + i);
        vf u = part ? vf_load_part(xu + i, part) : vf_load(xu + i);
        vf ws = part ? vf_load_part(w + i, part) : vf_load(w + i);
        vf t1 = vf_difference(ws, l), t2 = vf_difference(u, ws);
        uint32_t hits = vm_bits(vf_equal(lower ? vf_min(t1, t2) : vf_max(t1, t2), targets));
        if (hits) return (int32_t)(i + (size_t)__builtin_ctz(hits));
    }
    return -1;
}

void ISA(bounds_argmax)(const lfd_shape *s, const float *xl, const float *xu, const float *w, float *yl, float *yu,
                        int32_t *arg_l, int32_t *arg_u) {
    ISA(bounds_forward)(s, xl, xu, w, yl, yu);
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            size_t at = b * s->y_stride + o, x = b * s->x_stride;
            const float *row = w + o * s->w_stride;
            arg_l[at] = yl[at] > 0.0f ? bounds_find(xl + x, xu + x, row, s->n_in, -yl[at], 1) : -1;
            arg_u[at] = yu[at] > 0.0f ? bounds_find(xl + x, xu + x, row, s->n_in, yu[at], 0) : -1;
        }
}
