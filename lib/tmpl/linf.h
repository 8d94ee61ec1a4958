/* l_inf forward. The maximum of magnitudes is exact in any order, so lanes may run over anything: over outputs where
 * enough rows of x share the packing of w, over columns for a few rows, which then cost one pass over memory. */

/* ---- few rows: lanes over columns ------------------------------------------------------------------------------- */

/* One step of columns for a register tile of rows_x x LINF_ROWS_W. part = 0: a full vector. */
LFD_INLINE void linf_step(size_t rows_x, vf maxima[][LINF_ROWS_W], const float *const *x, const float *const *w,
                          size_t i, size_t part) {
    vf ws[LINF_ROWS_W];
    LFD_UNROLL
    for (size_t o = 0; o < LINF_ROWS_W; ++o) ws[o] = part ? vf_load_part(w[o] + i, part) : vf_load(w[o] + i);
    LFD_UNROLL
    for (size_t b = 0; b < rows_x; ++b) {
        vf xs = part ? vf_load_part(x[b] + i, part) : vf_load(x[b] + i);
        LFD_UNROLL
        for (size_t o = 0; o < LINF_ROWS_W; ++o)
            maxima[b][o] = vf_max_magnitude(maxima[b][o], vf_difference(xs, ws[o]));
    }
}

/* out[b][o] = max over columns [0, n) of |x_b - w_o|. */
LFD_INLINE void linf_tile(size_t rows_x, const float *const *x, const float *const *w, size_t n,
                          float out[][LINF_ROWS_W]) {
    vf maxima[LINF_ROWS_X][LINF_ROWS_W];
    LFD_UNROLL
    for (size_t b = 0; b < rows_x; ++b) LFD_UNROLL
    for (size_t o = 0; o < LINF_ROWS_W; ++o) maxima[b][o] = vf_set(0.0f);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) linf_step(rows_x, maxima, x, w, i, 0);
    if (i < n) linf_step(rows_x, maxima, x, w, i, n - i);
    LFD_UNROLL
    for (size_t b = 0; b < rows_x; ++b) vf_max_lanes_4(out[b], maxima[b][0], maxima[b][1], maxima[b][2], maxima[b][3]);
}

/* Bit i: |x_i - w_i| == target. */
LFD_INLINE uint32_t linf_hits(vf x, vf w, vf target) {
    return vm_bits(vf_equal(vf_abs(vf_difference(x, w)), target));
}

/* Lowest column of [begin, end) where |x - w| == maximum, which is there. */
LFD_INLINE size_t linf_find(const float *x, const float *w, size_t begin, size_t end, float maximum) {
    vf target = vf_set(maximum);
    size_t i = begin;
    for (; i + LANES < end; i += LANES) {
        uint32_t hits = linf_hits(vf_load(x + i), vf_load(w + i), target);
        if (hits) return i + (size_t)__builtin_ctz(hits);
    }
    vf xs = i + LANES == end ? vf_load(x + i) : vf_load_part(x + i, end - i);
    vf ws = i + LANES == end ? vf_load(w + i) : vf_load_part(w + i, end - i);
    return i + (size_t)__builtin_ctz(linf_hits(xs, ws, target));
}

/* All outputs of s, fewer rows than are worth packing. argmax or NULL. */
LFD_INLINE void linf_few(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    const float *xs[LINF_ROWS_X], *ws[LINF_ROWS_W];
    float tile[LINF_ROWS_X][LINF_ROWS_W];
    for (size_t b = 0; b < s->batch; b += LINF_ROWS_X) {
        size_t rows_x = smaller(LINF_ROWS_X, s->batch - b);
        row_pointers(xs, LINF_ROWS_X, rows_x, x + b * s->x_stride, s->x_stride);
        for (size_t o = 0; o < s->n_out; o += LINF_ROWS_W) {
            size_t rows_w = smaller(LINF_ROWS_W, s->n_out - o);
            row_pointers(ws, LINF_ROWS_W, rows_w, w + o * s->w_stride, s->w_stride);
            if (rows_x == 1)
                linf_tile(1, xs, ws, s->n_in, tile);
            else
                linf_tile(LINF_ROWS_X, xs, ws, s->n_in, tile);
            for (size_t r = 0; r < rows_x; ++r)
                for (size_t c = 0; c < rows_w; ++c) {
                    size_t at = (b + r) * s->y_stride + o + c;
                    y[at] = tile[r][c];
                    if (argmax) argmax[at] = (int32_t)linf_find(xs[r], ws[c], 0, s->n_in, tile[r][c]);
                }
        }
    }
}

/* ---- many rows: lanes over outputs ------------------------------------------------------------------------------- */

/* One register tile's operands and results: about 50 KiB, on the stack. */
typedef struct linf_block {
    packed_w w;
    float x[LINF_TALL][PACK_STRIDE];
    float maxima[LINF_TALL][LANES];
    int32_t hits[LINF_TALL][LANES]; /* which block of HIT_COLUMNS raised the maximum last */
} linf_block;

/* rows rows from row r on by one panel, over columns [begin, end) of the block. hit: their number, where it is to be
 * remembered, -1 elsewhere. */
LFD_INLINE void linf_columns(linf_block *block, size_t rows, size_t r, size_t panel, size_t begin, size_t end,
                             int32_t hit) {
    vf maxima[LINF_TALL];
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) maxima[b] = vf_load(block->maxima[r + b]);
    for (size_t i = begin; i < end; ++i) {
        vf w = vf_load(block->w.panels[panel][i]);
        LFD_UNROLL
        for (size_t b = 0; b < rows; ++b)
            maxima[b] = vf_max_magnitude(maxima[b], vf_number_minus(block->x[r + b][i], w));
    }
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        if (hit >= 0) {
            vm raised = vf_less(vf_load(block->maxima[r + b]), maxima[b]);
            vi_store(block->hits[r + b], vi_select(raised, vi_set(hit), vi_load(block->hits[r + b])));
        }
        vf_store(block->maxima[r + b], maxima[b]);
    }
}

/* The same over n columns, the first of which is column first of the whole. */
LFD_INLINE void linf_panel(linf_block *block, size_t rows, size_t r, size_t panel, size_t first, size_t n,
                           int with_argmax) {
    if (!with_argmax) linf_columns(block, rows, r, panel, 0, n, -1);
    for (size_t i = 0; with_argmax && i < n; i += HIT_COLUMNS)
        linf_columns(block, rows, r, panel, i, smaller(i + HIT_COLUMNS, n), (int32_t)((first + i) / HIT_COLUMNS));
}

/* Raises y by n columns, the first of which is column first: rows <= LINF_TALL rows, which block->x holds, by outputs
 * that block->w holds. argmax gets the numbers of blocks of columns, or is NULL. */
LFD_INLINE void linf_rows(linf_block *block, const lfd_shape *s, size_t rows, size_t outputs, size_t first, size_t n,
                          float *y, int32_t *argmax) {
    for (size_t o = 0; o < outputs; o += LANES) {
        size_t count = smaller(LANES, outputs - o);
        if (first == 0) {
            memset(block->maxima, 0, sizeof block->maxima);
            if (argmax) memset(block->hits, 0, sizeof block->hits);
        }
        for (size_t r = 0; first > 0 && r < rows; ++r) {
            copy_lanes(block->maxima[r], y + r * s->y_stride + o, count);
            if (argmax) copy_lanes(block->hits[r], argmax + r * s->y_stride + o, count);
        }
        if (rows == LINF_TALL)
            linf_panel(block, LINF_TALL, 0, o / LANES, first, n, argmax != NULL);
        else
            for (size_t r = 0; r < rows; r += LINF_SHORT)
                linf_panel(block, LINF_SHORT, r, o / LANES, first, n, argmax != NULL);
        for (size_t r = 0; r < rows; ++r) {
            copy_lanes(y + r * s->y_stride + o, block->maxima[r], count);
            if (argmax) copy_lanes(argmax + r * s->y_stride + o, block->hits[r], count);
        }
    }
}

/* All rows of s by outputs <= PACK_OUTPUTS. */
LFD_INLINE void linf_outputs(linf_block *block, const lfd_shape *s, size_t outputs, const float *x, const float *w,
                             float *y, int32_t *argmax) {
    for (size_t i = 0; i < s->n_in; i += PACK_COLUMNS) {
        size_t n = smaller(PACK_COLUMNS, s->n_in - i);
        pack_w(&block->w, outputs, n, w + i, s->w_stride);
        for (size_t b = 0; b < s->batch; b += LINF_TALL) {
            size_t rows = smaller(LINF_TALL, s->batch - b), at = b * s->y_stride;
            pack_x(block->x, LINF_TALL, rows, n, x + b * s->x_stride + i, s->x_stride);
            linf_rows(block, s, rows, outputs, i, n, y + at, argmax ? argmax + at : NULL);
        }
    }
}

/* From the number of a block of columns to the column in it. */
LFD_INLINE void linf_search(const lfd_shape *s, size_t outputs, const float *x, const float *w, const float *y,
                            int32_t *argmax) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < outputs; ++o) {
            size_t at = b * s->y_stride + o, begin = (size_t)argmax[at] * HIT_COLUMNS;
            argmax[at] = (int32_t)linf_find(x + b * s->x_stride, w + o * s->w_stride, begin,
                                            smaller(begin + HIT_COLUMNS, s->n_in), y[at]);
        }
}

LFD_INLINE void linf_zero(const lfd_shape *s, float *y, int32_t *argmax) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            y[b * s->y_stride + o] = 0.0f;
            if (argmax) argmax[b * s->y_stride + o] = 0;
        }
}

/* argmax or NULL: a constant. */
LFD_INLINE void linf_all(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    linf_block block;
    if (s->n_in == 0) {
        linf_zero(s, y, argmax);
        return;
    }
    if (s->batch < PACK_LEAST) {
        linf_few(s, x, w, y, argmax);
        return;
    }
    for (size_t o = 0; o < s->n_out; o += PACK_OUTPUTS) {
        size_t outputs = smaller(PACK_OUTPUTS, s->n_out - o);
        linf_outputs(&block, s, outputs, x, w + o * s->w_stride, y + o, argmax ? argmax + o : NULL);
        if (argmax) linf_search(s, outputs, x, w + o * s->w_stride, y + o, argmax + o);
    }
}

void ISA(linf_forward)(const lfd_shape *s, const float *x, const float *w, float *y) {
    linf_all(s, x, w, y, NULL);
}

void ISA(linf_argmax)(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    linf_all(s, x, w, y, argmax);
}
