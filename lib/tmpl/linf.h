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

/* Lowest column of [begin, end) where |x - w| == maximum, which is there; 0 of no columns. */
LFD_INLINE size_t linf_find(const float *x, const float *w, size_t begin, size_t end, float maximum) {
    vf target = vf_set(maximum);
    size_t i = begin;
    if (begin == end) return 0;
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

/* One register tile's operands and results: about 70 KiB, on the stack. */
typedef struct linf_block {
    packed_w w;
    float x[LINF_TALL][PACK_STRIDE];
    float maxima[LINF_TALL][LANES]; /* so far */
    int32_t hits[LINF_TALL][LANES]; /* which block of HIT_COLUMNS raised the maximum last */
} linf_block;

/* Raises rows rows of maxima, stride floats apart, by columns [begin, end) of one panel and of the block's rows from
 * row r on. hit: the number of these columns, where hits are remembered, -1 elsewhere. */
LFD_INLINE void linf_columns(linf_block *block, size_t rows, size_t r, size_t panel, size_t begin, size_t end,
                             float *maxima, size_t stride, int32_t hit) {
    vf most[LINF_TALL];
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) most[b] = vf_load(maxima + b * stride);
    for (size_t i = begin; i < end; ++i) {
        vf w = vf_load(block->w.panels[panel][i]);
        LFD_UNROLL
        for (size_t b = 0; b < rows; ++b) most[b] = vf_max_magnitude(most[b], vf_number_minus(block->x[r + b][i], w));
    }
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        if (hit >= 0) {
            vm raised = vf_less(vf_load(maxima + b * stride), most[b]);
            vi_store(block->hits[r + b], vi_select(raised, vi_set(hit), vi_load(block->hits[r + b])));
        }
        vf_store(maxima + b * stride, most[b]);
    }
}

/* The same for the block's own maxima and its n columns, whose first is column first of all. */
LFD_INLINE void linf_panel(linf_block *block, size_t rows, size_t r, size_t panel, size_t first, size_t n,
                           int with_argmax) {
    if (!with_argmax) linf_columns(block, rows, r, panel, 0, n, block->maxima[r], LANES, -1);
    for (size_t i = 0; with_argmax && i < n; i += HIT_COLUMNS)
        linf_columns(block, rows, r, panel, i, smaller(i + HIT_COLUMNS, n), block->maxima[r], LANES,
                     (int32_t)((first + i) / HIT_COLUMNS));
}

/* The block's own maxima and hits: at first none, then those of y and argmax. */
LFD_INLINE void linf_fetch(linf_block *block, size_t rows, size_t count, size_t stride, size_t first, const float *y,
                           const int32_t *argmax) {
    for (size_t r = 0; r < rows; ++r) {
        if (first == 0) {
            vf_store(block->maxima[r], vf_set(0.0f));
            if (argmax) vi_store(block->hits[r], vi_set(0));
        } else {
            copy_lanes(block->maxima[r], y + r * stride, count);
            if (argmax) copy_lanes(block->hits[r], argmax + r * stride, count);
        }
    }
}

LFD_INLINE void linf_put(const linf_block *block, size_t rows, size_t count, size_t stride, float *y, int32_t *argmax) {
    for (size_t r = 0; r < rows; ++r) {
        copy_lanes(y + r * stride, block->maxima[r], count);
        if (argmax) copy_lanes(argmax + r * stride, block->hits[r], count);
    }
}

/* Raises y by the block's n columns, whose first is column first of all: its rows rows of x by one panel, of which
 * count lanes exist. argmax holds numbers of blocks of columns until the search, or is NULL. */
LFD_INLINE void linf_rows(linf_block *block, size_t stride, size_t rows, size_t panel, size_t count, size_t first,
                          size_t n, float *y, int32_t *argmax) {
    if (rows == LINF_TALL && count == LANES && first > 0 && !argmax) { /* no copies */
        linf_columns(block, LINF_TALL, 0, panel, 0, n, y, stride, -1);
        return;
    }
    linf_fetch(block, rows, count, stride, first, y, argmax);
    if (rows == LINF_TALL)
        linf_panel(block, LINF_TALL, 0, panel, first, n, argmax != NULL);
    else
        for (size_t r = 0; r < rows; r += LINF_SHORT) linf_panel(block, LINF_SHORT, r, panel, first, n, argmax != NULL);
    linf_put(block, rows, count, stride, y, argmax);
}

/* Raises y by n columns, whose first is column first of all. */
LFD_INLINE void linf_visit(linf_block *block, const lfd_shape *s, size_t first, size_t n, const float *x,
                           const float *w, float *y, int32_t *argmax) {
    for (size_t o = 0; o < s->n_out; o += PACK_OUTPUTS) {
        size_t outputs = smaller(PACK_OUTPUTS, s->n_out - o);
        pack_w(&block->w, outputs, n, w + o * s->w_stride + first, s->w_stride);
        for (size_t b = 0; b < s->batch; b += LINF_TALL) {
            size_t rows = smaller(LINF_TALL, s->batch - b), at = b * s->y_stride + o;
            pack_x(block->x, LINF_TALL, rows, n, x + b * s->x_stride + first, s->x_stride);
            for (size_t lane = 0; lane < outputs; lane += LANES)
                linf_rows(block, s->y_stride, rows, lane / LANES, smaller(LANES, outputs - lane), first, n,
                          y + at + lane, argmax ? argmax + at + lane : NULL);
        }
    }
}

/* From the numbers of blocks of columns to the columns in them, of one row of x. */
static void linf_search(size_t outputs, size_t n, const float *x, const float *w, size_t w_stride, const float *y,
                        int32_t *argmax) {
    for (size_t o = 0; o < outputs; ++o, w += w_stride) {
        size_t begin = (size_t)argmax[o] * HIT_COLUMNS;
        vf target = vf_set(y[o]);
        if (begin + HIT_COLUMNS > n) {
            argmax[o] = (int32_t)linf_find(x, w, begin, n, y[o]);
            continue;
        }
        uint32_t hits = 0;
        LFD_UNROLL
        for (size_t i = 0; i < HIT_COLUMNS; i += LANES)
            hits |= linf_hits(vf_load(x + begin + i), vf_load(w + begin + i), target) << i;
        argmax[o] = (int32_t)(begin + (size_t)__builtin_ctz(hits));
    }
}

/* argmax or NULL: a constant. */
LFD_INLINE void linf_all(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    linf_block block;
    if (s->batch < PACK_LEAST || s->n_in == 0) {
        linf_few(s, x, w, y, argmax);
        return;
    }
    for (size_t i = 0; i < s->n_in; i += PACK_COLUMNS)
        linf_visit(&block, s, i, smaller(PACK_COLUMNS, s->n_in - i), x, w, y, argmax);
    for (size_t o = 0; argmax && o < s->n_out; o += PACK_OUTPUTS)
        for (size_t b = 0; b < s->batch; ++b) {
            size_t at = b * s->y_stride + o;
            prefetch_row(x + (b + 1) * s->x_stride, s->n_in);
            linf_search(smaller(PACK_OUTPUTS, s->n_out - o), s->n_in, x + b * s->x_stride, w + o * s->w_stride,
                        s->w_stride, y + at, argmax + at);
        }
}

void ISA(linf_forward)(const lfd_shape *s, const float *x, const float *w, float *y) {
    linf_all(s, x, w, y, NULL);
}

void ISA(linf_argmax)(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    linf_all(s, x, w, y, argmax);
}
