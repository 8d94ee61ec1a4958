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

enum { LINF_ROWS = 192 }; /* of one tile of results */

/* A tile of results, in register tiles. */
typedef float linf_maxima[LINF_ROWS / LINF_TALL][PACK_PANELS][LINF_TALL][LANES];
/* Which block of HIT_COLUMNS raised each maximum last. */
typedef uint16_t linf_hits_of[LINF_ROWS / LINF_TALL][PACK_PANELS][LINF_TALL][LANES];

/* About 130 KiB, on the stack; the hits are 36 more. */
typedef struct linf_block {
    packed_w w;
    _Alignas(64) float x[LINF_TALL][PACK_STRIDE];
    linf_maxima maxima;
} linf_block;

/* Raises rows rows of wide panels' maxima by columns [begin, end) of these panels and of the block's rows from row r
 * on. hits or NULL; hit: the number of these columns. */
LFD_INLINE void linf_columns(const linf_block *block, size_t rows, size_t wide, size_t r, size_t panel, size_t begin,
                             size_t end, float (*maxima)[LINF_TALL][LANES], uint16_t (*hits)[LINF_TALL][LANES],
                             size_t hit) {
    vf most[LINF_TALL][LINF_WIDE];
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) LFD_UNROLL
    for (size_t v = 0; v < wide; ++v) most[b][v] = vf_load(maxima[v][r + b]);
    for (size_t i = begin; i < end; ++i) {
        vf w[LINF_WIDE];
        LFD_UNROLL
        for (size_t v = 0; v < wide; ++v) w[v] = vf_load(block->w[panel + v][i]);
        LFD_UNROLL
        for (size_t b = 0; b < rows; ++b) LFD_UNROLL
        for (size_t v = 0; v < wide; ++v)
            most[b][v] = vf_max_magnitude(most[b][v], vf_number_minus(&block->x[r + b][i], w[v]));
    }
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) LFD_UNROLL
    for (size_t v = 0; v < wide; ++v) {
        if (hits) mark_lanes(hits[v][r + b], vf_less(vf_load(maxima[v][r + b]), most[b][v]), (int32_t)hit);
        vf_store(maxima[v][r + b], most[b][v]);
    }
}

/* The same for all of the block's n columns, whose first is column first of all. */
LFD_INLINE void linf_panels(const linf_block *block, size_t rows, size_t wide, size_t r, size_t panel, size_t first,
                            size_t n, float (*maxima)[LINF_TALL][LANES], uint16_t (*hits)[LINF_TALL][LANES]) {
    const size_t step = hits ? HIT_COLUMNS : PACK_COLUMNS;
    for (size_t i = 0; i < n; i += step)
        linf_columns(block, rows, wide, r, panel, i, smaller(i + step, n), maxima, hits, (first + i) / HIT_COLUMNS);
}

/* Raises the maxima of rows rows of x by n columns, whose first is column first of all. */
LFD_INLINE void linf_rows(const linf_block *block, size_t rows, size_t panels, size_t first, size_t n,
                          float (*maxima)[LINF_TALL][LANES], uint16_t (*hits)[LINF_TALL][LANES]) {
    size_t panel = 0;
    for (; panel + LINF_WIDE <= panels && rows == LINF_TALL; panel += LINF_WIDE)
        linf_panels(block, LINF_TALL, LINF_WIDE, 0, panel, first, n, maxima + panel, hits ? hits + panel : NULL);
    for (; panel < panels; ++panel)
        for (size_t r = 0; r < rows; r += LINF_SHORT)
            linf_panels(block, LINF_SHORT, 1, r, panel, first, n, maxima + panel, hits ? hits + panel : NULL);
}

/* Lowest columns that attain the maxima of one row of x, in the blocks that raised them last. */
LFD_INLINE void linf_search(size_t count, size_t n, const float *x, const float *w, size_t w_stride,
                            const float *maxima, const uint16_t *hits, int32_t *argmax) {
    for (size_t o = 0; o < count; ++o, w += w_stride) {
        size_t begin = (size_t)hits[o] * HIT_COLUMNS;
        vf target = vf_set(maxima[o]);
        if (begin + HIT_COLUMNS > n) {
            argmax[o] = (int32_t)linf_find(x, w, begin, n, maxima[o]);
            continue;
        }
        uint32_t places = 0;
        LFD_UNROLL
        for (size_t i = 0; i < HIT_COLUMNS; i += LANES)
            places |= linf_hits(vf_load(x + begin + i), vf_load(w + begin + i), target) << i;
        argmax[o] = (int32_t)(begin + (size_t)__builtin_ctz(places));
    }
}

/* One tile of results. hits and argmax or NULL. */
LFD_INLINE void linf_put(const linf_block *block, linf_hits_of hits, const lfd_shape *s, const float *x, const float *w,
                         float *y, int32_t *argmax) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; o += LANES) {
            const float *maxima = block->maxima[b / LINF_TALL][o / LANES][b % LINF_TALL];
            size_t count = smaller(LANES, s->n_out - o), at = b * s->y_stride + o;
            copy_lanes(y + at, maxima, count);
            if (hits)
                linf_search(count, s->n_in, x + b * s->x_stride, w + o * s->w_stride, s->w_stride, maxima,
                            hits[b / LINF_TALL][o / LANES][b % LINF_TALL], argmax + at);
        }
}

/* At most LINF_ROWS by PACK_OUTPUTS outputs. hits and argmax or NULL. */
LFD_INLINE void linf_packed(linf_block *block, linf_hits_of hits, const lfd_shape *s, const float *x, const float *w,
                            float *y, int32_t *argmax) {
    const size_t panels = (s->n_out + LANES - 1) / LANES, tiles = (s->batch + LINF_TALL - 1) / LINF_TALL;
    for (size_t b = 0; b < tiles; ++b) memset(block->maxima[b], 0, panels * sizeof block->maxima[b][0]);
    for (size_t b = 0; hits && b < tiles; ++b) memset(hits[b], 0, panels * sizeof hits[b][0]);
    for (size_t i = 0; i < s->n_in; i += PACK_COLUMNS) {
        size_t n = smaller(PACK_COLUMNS, s->n_in - i);
        pack_w(block->w, s->n_out, n, w + i, s->w_stride);
        for (size_t b = 0; b < s->batch; b += LINF_TALL) {
            size_t rows = smaller(LINF_TALL, s->batch - b);
            pack_x(block->x, LINF_TALL, rows, n, x + b * s->x_stride + i, s->x_stride);
            linf_rows(block, rows, panels, i, n, block->maxima[b / LINF_TALL], hits ? hits[b / LINF_TALL] : NULL);
        }
    }
    linf_put(block, hits, s, x, w, y, argmax);
}

/* hits and argmax or NULL: constants. */
LFD_INLINE void linf_all(const lfd_shape *s, linf_hits_of hits, const float *x, const float *w, float *y,
                         int32_t *argmax) {
    linf_block block;
    if (too_small_to_pack(s) || s->n_in == 0) {
        linf_few(s, x, w, y, argmax);
        return;
    }
    for (size_t o = 0; o < s->n_out; o += PACK_OUTPUTS)
        for (size_t b = 0; b < s->batch; b += LINF_ROWS) {
            lfd_shape part = *s;
            part.batch = smaller(LINF_ROWS, s->batch - b), part.n_out = smaller(PACK_OUTPUTS, s->n_out - o);
            size_t at = b * s->y_stride + o;
            linf_packed(&block, hits, &part, x + b * s->x_stride, w + o * s->w_stride, y + at,
                        argmax ? argmax + at : NULL);
        }
}

void ISA(linf_forward)(const lfd_shape *s, const float *x, const float *w, float *y) {
    linf_all(s, NULL, x, w, y, NULL);
}

void ISA(linf_argmax)(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    linf_hits_of hits;
    linf_all(s, hits, x, w, y, argmax);
}
