/* l_inf forward: lanes over columns, since the maximum of magnitudes is exact in any order. */

/* Columns per visit: the rows of a register tile stay in L1. The argmax kernel searches one visit afterwards, so its
 * visits are shorter. */
enum { LINF_COLUMNS = 512, ARGMAX_COLUMNS = 256 };

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

/* Bit i: |x_i - w_i| == target, for count <= LANES columns. */
LFD_INLINE uint32_t linf_hits(const float *x, const float *w, vf target) {
    return vm_bits(vf_equal(vf_abs(vf_difference(vf_load(x), vf_load(w))), target));
}

/* Lowest column of [begin, end) where |x - w| == maximum, which is there. */
static size_t linf_find(const float *x, const float *w, size_t begin, size_t end, float maximum) {
    vf target = vf_set(maximum);
    size_t i = begin;
    for (; i + 2 * LANES <= end; i += 2 * LANES) {
        uint64_t hits = linf_hits(x + i, w + i, target) | (uint64_t)linf_hits(x + i + LANES, w + i + LANES, target)
                                                              << LANES;
        if (hits) return i + (size_t)__builtin_ctzll(hits);
    }
    for (; i + 1 < end; ++i) {
        float difference = x[i] - w[i];
        if ((difference < 0.0f ? -difference : difference) == maximum) return i;
    }
    return i;
}

/* Merges a tile's maxima into y and remembers in blocks which visit they came from (argmax kernels only). */
static void linf_merge(const lfd_shape *s, size_t b, size_t o, float tile[][LINF_ROWS_W], size_t visit, float *y,
                       int32_t *blocks) {
    size_t rows_x = smaller(LINF_ROWS_X, s->batch - b), rows_w = smaller(LINF_ROWS_W, s->n_out - o);
    for (size_t r = 0; r < rows_x; ++r)
        for (size_t c = 0; c < rows_w; ++c) {
            size_t at = (b + r) * s->y_stride + o + c;
            if (visit > 0 && !(tile[r][c] > y[at])) continue;
            y[at] = tile[r][c];
            if (blocks) blocks[at] = (int32_t)visit;
        }
}

/* All outputs over the columns of one visit. */
LFD_INLINE void linf_visit(const lfd_shape *s, const float *x, const float *w, size_t columns, size_t visit, float *y,
                           int32_t *blocks) {
    size_t begin = visit * columns, n = smaller(columns, s->n_in - begin);
    const float *xs[LINF_ROWS_X], *ws[LINF_ROWS_W];
    float tile[LINF_ROWS_X][LINF_ROWS_W];
    for (size_t b = 0; b < s->batch; b += LINF_ROWS_X) {
        size_t rows_x = smaller(LINF_ROWS_X, s->batch - b);
        row_pointers(xs, LINF_ROWS_X, rows_x, x + b * s->x_stride + begin, s->x_stride);
        for (size_t o = 0; o < s->n_out; o += LINF_ROWS_W) {
            row_pointers(ws, LINF_ROWS_W, smaller(LINF_ROWS_W, s->n_out - o), w + o * s->w_stride + begin, s->w_stride);
            if (rows_x == 1)
                linf_tile(1, xs, ws, n, tile);
            else
                linf_tile(LINF_ROWS_X, xs, ws, n, tile);
            linf_merge(s, b, o, tile, visit, y, blocks);
        }
    }
}

static void linf_zero(const lfd_shape *s, float *y, int32_t *argmax) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            y[b * s->y_stride + o] = 0.0f;
            if (argmax) argmax[b * s->y_stride + o] = 0;
        }
}

void ISA(linf_forward)(const lfd_shape *s, const float *x, const float *w, float *y) {
    if (s->n_in == 0) linf_zero(s, y, NULL);
    for (size_t visit = 0; visit * LINF_COLUMNS < s->n_in; ++visit) linf_visit(s, x, w, LINF_COLUMNS, visit, y, NULL);
}

/* First the visit of columns that holds the maximum, then the column inside it. */
void ISA(linf_argmax)(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    if (s->n_in == 0) linf_zero(s, y, argmax);
    for (size_t visit = 0; visit * ARGMAX_COLUMNS < s->n_in; ++visit)
        linf_visit(s, x, w, ARGMAX_COLUMNS, visit, y, argmax);
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out && s->n_in > 0; ++o) {
            size_t at = b * s->y_stride + o, begin = (size_t)argmax[at] * ARGMAX_COLUMNS;
            argmax[at] = (int32_t)linf_find(x + b * s->x_stride, w + o * s->w_stride, begin,
                                            smaller(begin + ARGMAX_COLUMNS, s->n_in), y[at]);
        }
}
