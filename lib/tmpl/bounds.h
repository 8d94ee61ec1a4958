/* Interval bounds at p = infinity. With t1 = w - l and t2 = u - w, upper = max(t1, t2) over all columns and lower =
 * max(0, -min(t1, t2)). The largest starts at +0 and the smallest at -0, so that integers can compare them. As in
 * linf.h lanes run over outputs, over columns where there are few rows. */

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
            highest[b][o] = vf_highest(highest[b][o], t1, t2);
            lowest[b][o] = vf_lowest(lowest[b][o], t1, t2);
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

enum { BOUNDS_ROWS = 96 }; /* of one tile of results */

/* Results of a register tile, so far: the highest and the lowest terms. */
typedef struct bounds_terms {
    float highest[BOUNDS_TALL][LANES], lowest[BOUNDS_TALL][LANES];
} bounds_terms;

/* Which blocks of HIT_COLUMNS raised and lowered them last. */
typedef struct bounds_marks {
    uint16_t highest[BOUNDS_TALL][LANES], lowest[BOUNDS_TALL][LANES];
} bounds_marks;

/* A tile of results and a register tile's operands, as linf_block; marks or NULL. */
typedef struct bounds_block {
    packed_w w;
    _Alignas(64) float lower_x[BOUNDS_TALL][PACK_STRIDE];
    float upper_x[BOUNDS_TALL][PACK_STRIDE];
    bounds_terms terms[BOUNDS_ROWS / BOUNDS_TALL][PACK_PANELS];
    bounds_marks (*marks)[PACK_PANELS];
} bounds_block;

/* As linf_columns. */
LFD_INLINE void bounds_columns(const bounds_block *block, size_t rows, size_t r, size_t panel, size_t begin, size_t end,
                               bounds_terms *terms, bounds_marks *marks, size_t hit) {
    vf highest[BOUNDS_TALL], lowest[BOUNDS_TALL];
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b)
        highest[b] = vf_load(terms->highest[r + b]), lowest[b] = vf_load(terms->lowest[r + b]);
    for (size_t i = begin; i < end; ++i) {
        vf w = vf_load(block->w[panel][i]);
        LFD_UNROLL
        for (size_t b = 0; b < rows; ++b) {
            vf t1 = vf_minus_number(w, &block->lower_x[r + b][i]), t2 = vf_number_minus(&block->upper_x[r + b][i], w);
            highest[b] = vf_highest(highest[b], t1, t2);
            lowest[b] = vf_lowest(lowest[b], t1, t2);
        }
    }
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        if (marks) {
            mark_lanes(marks->highest[r + b], vf_less(vf_load(terms->highest[r + b]), highest[b]), (int32_t)hit);
            mark_lanes(marks->lowest[r + b], vf_less(lowest[b], vf_load(terms->lowest[r + b])), (int32_t)hit);
        }
        vf_store(terms->highest[r + b], highest[b]);
        vf_store(terms->lowest[r + b], lowest[b]);
    }
}

/* As linf_panels. */
LFD_INLINE void bounds_panel(const bounds_block *block, size_t rows, size_t r, size_t panel, size_t first, size_t n,
                             bounds_terms *terms, bounds_marks *marks) {
    const size_t step = marks ? HIT_COLUMNS : PACK_COLUMNS;
    for (size_t i = 0; i < n; i += step)
        bounds_columns(block, rows, r, panel, i, smaller(i + step, n), terms, marks, (first + i) / HIT_COLUMNS);
}

/* As linf_rows. */
LFD_INLINE void bounds_rows(const bounds_block *block, size_t rows, size_t panels, size_t first, size_t n,
                            bounds_terms *terms, bounds_marks *marks) {
    for (size_t panel = 0; panel < panels; ++panel)
        if (rows == BOUNDS_TALL)
            bounds_panel(block, BOUNDS_TALL, 0, panel, first, n, terms + panel, marks ? marks + panel : NULL);
        else
            for (size_t r = 0; r < rows; r += BOUNDS_SHORT)
                bounds_panel(block, BOUNDS_SHORT, r, panel, first, n, terms + panel, marks ? marks + panel : NULL);
}

/* As linf_search, of one bound; -1 stands for a bound that nothing raised. */
LFD_INLINE void bounds_search(size_t count, size_t n, const float *xl, const float *xu, const float *w, size_t w_stride,
                              const float *terms, const uint16_t *marks, int32_t *argmax, int lower) {
    for (size_t o = 0; o < count; ++o, w += w_stride) {
        size_t begin = (size_t)marks[o] * HIT_COLUMNS;
        if (terms[o] == 0.0f || begin + HIT_COLUMNS > n) {
            argmax[o] = terms[o] == 0.0f ? -1 : bounds_find(xl, xu, w, begin, n, terms[o], lower);
            continue;
        }
        uint32_t hits = 0;
        LFD_UNROLL
        for (size_t i = 0; i < HIT_COLUMNS; i += LANES)
            hits |= bounds_hits(vf_load(xl + begin + i), vf_load(xu + begin + i), vf_load(w + begin + i),
                                vf_set(terms[o]), lower)
                    << i;
        argmax[o] = (int32_t)(begin + (size_t)__builtin_ctz(hits));
    }
}

/* Where the results of a tile go. arg_l and arg_u or NULL. */
typedef struct bounds_out {
    float *yl, *yu;
    int32_t *arg_l, *arg_u;
} bounds_out;

LFD_INLINE bounds_out bounds_at(bounds_out out, size_t at) {
    out.yl += at, out.yu += at;
    if (out.arg_l) out.arg_l += at, out.arg_u += at;
    return out;
}

/* Up to LANES outputs of row b. */
LFD_INLINE void bounds_put(const bounds_block *block, const lfd_shape *s, size_t b, size_t o, const float *xl,
                           const float *xu, const float *w, bounds_out out) {
    const bounds_terms *terms = &block->terms[b / BOUNDS_TALL][o / LANES];
    const size_t r = b % BOUNDS_TALL, count = smaller(LANES, s->n_out - o);
    float lower[LANES];
    vf_store(lower, vf_sub(vf_set(0.0f), vf_load(terms->lowest[r])));
    copy_lanes(out.yl, lower, count);
    copy_lanes(out.yu, terms->highest[r], count);
    if (!out.arg_l) return;
    const bounds_marks *marks = &block->marks[b / BOUNDS_TALL][o / LANES];
    bounds_search(count, s->n_in, xl, xu, w, s->w_stride, terms->lowest[r], marks->lowest[r], out.arg_l, 1);
    bounds_search(count, s->n_in, xl, xu, w, s->w_stride, terms->highest[r], marks->highest[r], out.arg_u, 0);
}

/* panels register tiles without terms. */
LFD_INLINE void bounds_clear(bounds_terms *terms, size_t panels) {
    for (; panels-- > 0; ++terms)
        for (size_t r = 0; r < BOUNDS_TALL; ++r) {
            vf_store(terms->highest[r], vf_set(0.0f));
            vf_store(terms->lowest[r], vf_set(-0.0f));
        }
}

/* As linf_packed, at most BOUNDS_ROWS by PACK_OUTPUTS outputs. */
LFD_INLINE void bounds_packed(bounds_block *block, const lfd_shape *s, const float *xl, const float *xu, const float *w,
                              bounds_out out) {
    const size_t panels = (s->n_out + LANES - 1) / LANES;
    for (size_t b = 0; b < s->batch; b += BOUNDS_TALL) bounds_clear(block->terms[b / BOUNDS_TALL], panels);
    for (size_t i = 0; i < s->n_in; i += PACK_COLUMNS) {
        size_t n = smaller(PACK_COLUMNS, s->n_in - i);
        pack_w(block->w, s->n_out, n, w + i, s->w_stride);
        for (size_t b = 0; b < s->batch; b += BOUNDS_TALL) {
            size_t rows = smaller(BOUNDS_TALL, s->batch - b), at = b * s->x_stride + i;
            pack_x(block->lower_x, BOUNDS_TALL, rows, n, xl + at, s->x_stride);
            pack_x(block->upper_x, BOUNDS_TALL, rows, n, xu + at, s->x_stride);
            bounds_rows(block, rows, panels, i, n, block->terms[b / BOUNDS_TALL],
                        out.arg_l ? block->marks[b / BOUNDS_TALL] : NULL);
        }
    }
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; o += LANES)
            bounds_put(block, s, b, o, xl + b * s->x_stride, xu + b * s->x_stride, w + o * s->w_stride,
                       bounds_at(out, b * s->y_stride + o));
}

/* marks, arg_l and arg_u or NULL: constants. */
LFD_INLINE void bounds_all(const lfd_shape *s, bounds_marks (*marks)[PACK_PANELS], const float *xl, const float *xu,
                           const float *w, bounds_out out) {
    bounds_block block;
    if (too_small_to_pack(s)) {
        bounds_few(s, xl, xu, w, out.yl, out.yu, out.arg_l, out.arg_u);
        return;
    }
    block.marks = marks;
    for (size_t o = 0; o < s->n_out; o += PACK_OUTPUTS)
        for (size_t b = 0; b < s->batch; b += BOUNDS_ROWS) {
            lfd_shape part = *s;
            part.batch = smaller(BOUNDS_ROWS, s->batch - b), part.n_out = smaller(PACK_OUTPUTS, s->n_out - o);
            bounds_packed(&block, &part, xl + b * s->x_stride, xu + b * s->x_stride, w + o * s->w_stride,
                          bounds_at(out, b * s->y_stride + o));
        }
}

void ISA(bounds_forward)(const lfd_shape *s, const float *xl, const float *xu, const float *w, float *yl, float *yu) {
    bounds_all(s, NULL, xl, xu, w, (bounds_out){yl, yu, NULL, NULL});
}

void ISA(bounds_argmax)(const lfd_shape *s, const float *xl, const float *xu, const float *w, float *yl, float *yu,
                        int32_t *arg_l, int32_t *arg_u) {
    bounds_marks marks[BOUNDS_ROWS / BOUNDS_TALL][PACK_PANELS];
    bounds_all(s, marks, xl, xu, w, (bounds_out){yl, yu, arg_l, arg_u});
}
