/* Interval bounds at p = infinity. With t1 = w - l and t2 = u - w, upper = max(t1, t2) over all columns and lower =
 * max(0, -min(t1, t2)). The largest starts at +0 and the smallest at -0, so that integers compare them. As in linf.h
 * lanes run over outputs, over columns where there are few rows. */

/* ---- few rows: lanes over columns ------------------------------------------------------------------------------- */

/* One step of columns; part as in linf_step. highest starts at +0, lowest at -0. */
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
            highest[b][o] = vf_max_above_zero(vf_max_above_zero(highest[b][o], t1), t2);
            lowest[b][o] = vf_min_below_zero(vf_min_below_zero(lowest[b][o], t1), t2);
        }
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
    for (size_t c = 0; c < BOUNDS_ROWS_W; ++c) highest[r][c] = vf_set(0.0f), lowest[r][c] = vf_set(-0.0f);
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
        size_t at = (b + r) * s->y_stride + o, bytes = smaller(BOUNDS_ROWS_W, s->n_out - o) * sizeof(float);
        memcpy(yl + at, lower, bytes);
        memcpy(yu + at, upper, bytes);
    }
}

/* Bit i: max(w - l, u - w) == target at column i or, for the lower bound, min(w - l, u - w) == target. */
LFD_INLINE uint32_t bounds_hits(vf l, vf u, vf w, vf target, int lower) {
    vf t1 = vf_difference(w, l), t2 = vf_difference(u, w);
    return vm_bits(vf_equal(lower ? vf_min(t1, t2) : vf_max(t1, t2), target));
}

LFD_INLINE vf load_up_to(const float *p, size_t count) {
    return count < LANES ? vf_load_part(p, count) : vf_load(p);
}

/* Lowest column from begin on that attains the target; one does. */
LFD_INLINE int32_t bounds_find(const float *xl, const float *xu, const float *w, size_t begin, size_t n, float target,
                               int lower) {
    vf targets = vf_set(target);
    for (size_t i = begin;; i += LANES) {
        vf l = load_up_to(xl + i, n - i), u = load_up_to(xu + i, n - i), ws = load_up_to(w + i, n - i);
        uint32_t hits = bounds_hits(l, u, ws, targets, lower);
        if (hits) return (int32_t)(i + (size_t)__builtin_ctz(hits));
    }
}

/* All outputs of s, fewer rows than are worth packing. arg_l and arg_u or NULL. */
LFD_INLINE void bounds_few(const lfd_shape *s, const float *xl, const float *xu, const float *w, float *yl, float *yu,
                           int32_t *arg_l, int32_t *arg_u) {
    size_t b = 0;
    for (; b + BOUNDS_ROWS_X <= s->batch; b += BOUNDS_ROWS_X)
        for (size_t o = 0; o < s->n_out; o += BOUNDS_ROWS_W) bounds_tile(s, BOUNDS_ROWS_X, b, o, xl, xu, w, yl, yu);
    for (; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; o += BOUNDS_ROWS_W) bounds_tile(s, 1, b, o, xl, xu, w, yl, yu);
    for (b = 0; arg_l && b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            size_t at = b * s->y_stride + o, x = b * s->x_stride;
            const float *row = w + o * s->w_stride;
            arg_l[at] = yl[at] > 0.0f ? bounds_find(xl + x, xu + x, row, 0, s->n_in, -yl[at], 1) : -1;
            arg_u[at] = yu[at] > 0.0f ? bounds_find(xl + x, xu + x, row, 0, s->n_in, yu[at], 0) : -1;
        }
}

/* ---- many rows: lanes over outputs ------------------------------------------------------------------------------- */

/* One register tile's operands and results, as linf_block. */
typedef struct bounds_block {
    packed_w w;
    float lower_x[BOUNDS_TALL][PACK_STRIDE], upper_x[BOUNDS_TALL][PACK_STRIDE];
    float lower[BOUNDS_TALL][LANES], upper[BOUNDS_TALL][LANES];
    int32_t hits_l[BOUNDS_TALL][LANES], hits_u[BOUNDS_TALL][LANES];
} bounds_block;

/* As linf_columns. */
LFD_INLINE void bounds_columns(bounds_block *block, size_t rows, size_t r, size_t panel, size_t begin, size_t end,
                               int32_t hit) {
    vf highest[BOUNDS_TALL], lowest[BOUNDS_TALL], minus_zero = vf_set(-0.0f);
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        highest[b] = vf_load(block->upper[r + b]);
        lowest[b] = vf_sub(minus_zero, vf_load(block->lower[r + b]));
    }
    for (size_t i = begin; i < end; ++i) {
        vf w = vf_load(block->w.panels[panel][i]);
        LFD_UNROLL
        for (size_t b = 0; b < rows; ++b) {
            vf t1 = vf_minus_number(w, block->lower_x[r + b][i]), t2 = vf_number_minus(block->upper_x[r + b][i], w);
            highest[b] = vf_max_above_zero(vf_max_above_zero(highest[b], t1), t2);
            lowest[b] = vf_min_below_zero(vf_min_below_zero(lowest[b], t1), t2);
        }
    }
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        vf lower = vf_sub(vf_set(0.0f), lowest[b]);
        if (hit >= 0) {
            vm raised_l = vf_less(vf_load(block->lower[r + b]), lower);
            vm raised_u = vf_less(vf_load(block->upper[r + b]), highest[b]);
            vi_store(block->hits_l[r + b], vi_select(raised_l, vi_set(hit), vi_load(block->hits_l[r + b])));
            vi_store(block->hits_u[r + b], vi_select(raised_u, vi_set(hit), vi_load(block->hits_u[r + b])));
        }
        vf_store(block->lower[r + b], lower);
        vf_store(block->upper[r + b], highest[b]);
    }
}

/* As linf_panel. */
LFD_INLINE void bounds_panel(bounds_block *block, size_t rows, size_t r, size_t panel, size_t first, size_t n,
                             int with_argmax) {
    if (!with_argmax) bounds_columns(block, rows, r, panel, 0, n, -1);
    for (size_t i = 0; with_argmax && i < n; i += HIT_COLUMNS)
        bounds_columns(block, rows, r, panel, i, smaller(i + HIT_COLUMNS, n), (int32_t)((first + i) / HIT_COLUMNS));
}

/* Where the results of a tile go. arg_l and arg_u or NULL; they hold numbers of blocks of columns until the search. */
typedef struct bounds_out {
    float *yl, *yu;
    int32_t *arg_l, *arg_u;
} bounds_out;

LFD_INLINE bounds_out bounds_at(bounds_out out, size_t at) {
    out.yl += at, out.yu += at;
    if (out.arg_l) out.arg_l += at, out.arg_u += at;
    return out;
}

LFD_INLINE void bounds_fetch(bounds_block *block, size_t rows, size_t count, size_t stride, bounds_out from) {
    for (size_t r = 0; r < rows; ++r) {
        copy_lanes(block->lower[r], from.yl + r * stride, count);
        copy_lanes(block->upper[r], from.yu + r * stride, count);
        if (!from.arg_l) continue;
        copy_lanes(block->hits_l[r], from.arg_l + r * stride, count);
        copy_lanes(block->hits_u[r], from.arg_u + r * stride, count);
    }
}

LFD_INLINE void bounds_put(const bounds_block *block, size_t rows, size_t count, size_t stride, bounds_out to) {
    for (size_t r = 0; r < rows; ++r) {
        copy_lanes(to.yl + r * stride, block->lower[r], count);
        copy_lanes(to.yu + r * stride, block->upper[r], count);
        if (!to.arg_l) continue;
        copy_lanes(to.arg_l + r * stride, block->hits_l[r], count);
        copy_lanes(to.arg_u + r * stride, block->hits_u[r], count);
    }
}

/* As linf_rows. */
LFD_INLINE void bounds_rows(bounds_block *block, const lfd_shape *s, size_t rows, size_t outputs, size_t first,
                            size_t n, bounds_out out) {
    for (size_t o = 0; o < outputs; o += LANES) {
        size_t count = smaller(LANES, outputs - o);
        bounds_fetch(block, rows, count, s->y_stride, bounds_at(out, o));
        if (rows == BOUNDS_TALL)
            bounds_panel(block, BOUNDS_TALL, 0, o / LANES, first, n, out.arg_l != NULL);
        else
            for (size_t r = 0; r < rows; r += BOUNDS_SHORT)
                bounds_panel(block, BOUNDS_SHORT, r, o / LANES, first, n, out.arg_l != NULL);
        bounds_put(block, rows, count, s->y_stride, bounds_at(out, o));
    }
}

/* As linf_visit. */
LFD_INLINE void bounds_visit(bounds_block *block, const lfd_shape *s, size_t first, size_t n, const float *xl,
                             const float *xu, const float *w, bounds_out out) {
    for (size_t o = 0; o < s->n_out; o += PACK_OUTPUTS) {
        size_t outputs = smaller(PACK_OUTPUTS, s->n_out - o);
        pack_w(&block->w, outputs, n, w + o * s->w_stride + first, s->w_stride);
        for (size_t b = 0; b < s->batch; b += BOUNDS_TALL) {
            size_t rows = smaller(BOUNDS_TALL, s->batch - b), at = b * s->x_stride + first;
            pack_x(block->lower_x, BOUNDS_TALL, rows, n, xl + at, s->x_stride);
            pack_x(block->upper_x, BOUNDS_TALL, rows, n, xu + at, s->x_stride);
            bounds_rows(block, s, rows, outputs, first, n, bounds_at(out, b * s->y_stride + o));
        }
    }
}

/* As linf_search, of one bound; -1 stands for a bound that nothing raised. */
LFD_INLINE void bounds_search(size_t outputs, size_t n, const float *xl, const float *xu, const float *w,
                              size_t w_stride, const float *y, int32_t *argmax, int lower) {
    for (size_t o = 0; o < outputs; ++o, w += w_stride) {
        if (argmax[o] < 0) continue;
        size_t begin = (size_t)argmax[o] * HIT_COLUMNS;
        float target = lower ? -y[o] : y[o];
        if (begin + HIT_COLUMNS > n) {
            argmax[o] = bounds_find(xl, xu, w, begin, n, target, lower);
            continue;
        }
        uint32_t hits = 0;
        LFD_UNROLL
        for (size_t i = 0; i < HIT_COLUMNS; i += LANES)
            hits |= bounds_hits(vf_load(xl + begin + i), vf_load(xu + begin + i), vf_load(w + begin + i),
                                vf_set(target), lower)
                    << i;
        argmax[o] = (int32_t)(begin + (size_t)__builtin_ctz(hits));
    }
}

/* Both bounds of one row. */
static void bounds_search_row(size_t outputs, size_t n, const float *xl, const float *xu, const float *w,
                              size_t w_stride, bounds_out out) {
    bounds_search(outputs, n, xl, xu, w, w_stride, out.yl, out.arg_l, 1);
    bounds_search(outputs, n, xl, xu, w, w_stride, out.yu, out.arg_u, 0);
}

static void bounds_clear(const lfd_shape *s, bounds_out out) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            size_t at = b * s->y_stride + o;
            out.yl[at] = out.yu[at] = 0.0f;
            if (out.arg_l) out.arg_l[at] = out.arg_u[at] = -1;
        }
}

LFD_INLINE void bounds_all(const lfd_shape *s, const float *xl, const float *xu, const float *w, bounds_out out) {
    bounds_block block;
    if (s->batch < PACK_LEAST) {
        bounds_few(s, xl, xu, w, out.yl, out.yu, out.arg_l, out.arg_u);
        return;
    }
    bounds_clear(s, out);
    for (size_t i = 0; i < s->n_in; i += PACK_COLUMNS)
        bounds_visit(&block, s, i, smaller(PACK_COLUMNS, s->n_in - i), xl, xu, w, out);
    for (size_t o = 0; out.arg_l && o < s->n_out; o += PACK_OUTPUTS)
        for (size_t b = 0; b < s->batch; ++b) {
            prefetch_row(xl + (b + 1) * s->x_stride, s->n_in);
            prefetch_row(xu + (b + 1) * s->x_stride, s->n_in);
            bounds_search_row(smaller(PACK_OUTPUTS, s->n_out - o), s->n_in, xl + b * s->x_stride, xu + b * s->x_stride,
                              w + o * s->w_stride, s->w_stride, bounds_at(out, b * s->y_stride + o));
        }
}

void ISA(bounds_forward)(const lfd_shape *s, const float *xl, const float *xu, const float *w, float *yl, float *yu) {
    bounds_all(s, xl, xu, w, (bounds_out){yl, yu, NULL, NULL});
}

void ISA(bounds_argmax)(const lfd_shape *s, const float *xl, const float *xu, const float *w, float *yl, float *yu,
                        int32_t *arg_l, int32_t *arg_u) {
    bounds_all(s, xl, xu, w, (bounds_out){yl, yu, arg_l, arg_u});
}
