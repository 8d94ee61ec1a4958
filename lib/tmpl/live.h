/* At large p few terms matter: these find them with lanes over columns (a comparison is exact in any order) and collect
 * them in column order, so that powers run over full vectors and sums in the one fixed order. How many matter depends
 * on the data, so a sample chooses between this and computing all terms; the choice decides no bit. */

enum {
    LIVE_COLUMNS = 128,   /* columns per visit: a block of rows of w, so narrow, stays in L1 */
    LIVE_CAPACITY = 1024, /* terms collected between two flushes */
    LIVE_OUTPUTS = 32,    /* outputs whose terms are collected together, at most */
    LIVE_SAMPLE = 4       /* outputs of which a sample is taken */
};
/* Share of terms that matter below which collecting them beats computing all, and below which whole visits without
 * one are common enough to look for them first. Measured. */
static const float LIVE_FEW = 0.2f, LIVE_RARE = 0.06f;

/* Terms of one row of x, waiting for their powers: those of outputs [first, ...), in order. */
typedef struct live_terms {
    size_t count, first;
    size_t ends[LIVE_OUTPUTS];                        /* ends[o]: where output o's terms end */
    float ratios[LIVE_CAPACITY + POWER_MOST * LANES]; /* (x - w) inverse */
    int32_t columns[LIVE_CAPACITY + LANES];           /* where they come from; the backward pass alone needs them */
} live_terms;

/* What selects the terms of one output; with_columns is a constant wherever this is inlined. */
typedef struct live_test {
    vf cut, inverse;
    int with_columns;
} live_test;

/* Returns the new count. */
LFD_INLINE size_t live_collect_vector(live_terms *terms, size_t count, live_test test, vf difference, size_t i) {
    vm live = vf_at_least(vf_abs(difference), test.cut);
    uint32_t bits = vm_bits(live);
    vf_compress_store(terms->ratios + count, vf_mul(difference, test.inverse), live);
    if (test.with_columns)
        vi_compress_store(terms->columns + count, vi_add(vi_set((int32_t)i), vi_lane_numbers()), live);
    return count + (size_t)__builtin_popcount(bits);
}

LFD_INLINE void live_collect_columns(live_terms *terms, live_test test, const float *x, const float *w, size_t begin,
                                     size_t end) {
    size_t i = begin, count = terms->count; /* in a register: the chain from vector to vector is short */
    for (; i + LANES <= end; i += LANES)
        count = live_collect_vector(terms, count, test, vf_difference(vf_load(x + i), vf_load(w + i)), i);
    if (i < end) {
        vf difference = vf_difference(vf_load_part(x + i, end - i), vf_load_part(w + i, end - i));
        count = live_collect_vector(terms, count, test, difference, i);
    }
    terms->count = count;
}

/* Appends the terms of the columns [begin, end), at most LIVE_COLUMNS, where |x - w| >= cut; cut > 0. */
LFD_INLINE void live_collect(live_terms *terms, const float *x, const float *w, size_t begin, size_t end, float cut,
                             float inverse, int with_columns) {
    live_test test = {vf_set(cut), vf_set(inverse), with_columns};
    live_collect_columns(terms, test, x, w, begin, end);
}

/* The share of terms of one row of x that matter, from its first columns and outputs. */
static float live_share(const float *x, const float *w, size_t w_stride, size_t n, size_t outputs, const float *cut) {
    size_t live = 0, seen = 0;
    for (size_t o = 0; o < smaller(outputs, LIVE_SAMPLE); ++o)
        for (size_t i = 0; i + LANES <= smaller(n, LIVE_COLUMNS); i += LANES) {
            vf distance = vf_abs(vf_difference(vf_load(x + i), vf_load(w + o * w_stride + i)));
            live += (size_t)__builtin_popcount(vm_bits(vf_at_least(distance, vf_set(cut[o]))));
            seen += LANES;
        }
    return seen ? (float)live / (float)seen : 1.0f;
}

/* hits[b]: bit o is set where some of the n <= LIVE_COLUMNS columns matters for output o of row b; cut has LIVE_OUTPUTS
 * columns. */
static void live_hits(size_t rows, size_t outputs, size_t n, const float *x, size_t x_stride, const float *w,
                      size_t w_stride, float (*cut)[LIVE_OUTPUTS], uint32_t *hits) {
    const float *xs[LINF_ROWS_X], *ws[LINF_ROWS_W];
    float tile[LINF_ROWS_X][LINF_ROWS_W];
    for (size_t b = 0; b < rows; ++b) hits[b] = 0;
    for (size_t b = 0; b < rows; b += LINF_ROWS_X)
        for (size_t o = 0; o < outputs; o += LINF_ROWS_W) {
            size_t rows_x = smaller(LINF_ROWS_X, rows - b), rows_w = smaller(LINF_ROWS_W, outputs - o);
            row_pointers(xs, LINF_ROWS_X, rows_x, x + b * x_stride, x_stride);
            row_pointers(ws, LINF_ROWS_W, rows_w, w + o * w_stride, w_stride);
            linf_tile(LINF_ROWS_X, xs, ws, n, tile);
            for (size_t r = 0; r < rows_x; ++r)
                for (size_t c = 0; c < rows_w; ++c)
                    hits[b + r] |= (uint32_t)(tile[r][c] >= cut[b + r][o + c]) << (o + c);
        }
}

/* Every output of every row. */
static void live_hit_all(size_t rows, size_t outputs, uint32_t *hits) {
    for (size_t b = 0; b < rows; ++b) hits[b] = outputs < 32 ? (1u << outputs) - 1u : 0xffffffffu;
}

/* ratios <- sign(ratio) |ratio|^exponent, up to whole groups of vectors: the array has room for them. */
static void live_powers(live_terms *terms, float exponent) {
    enum { AT_ONCE = 4 };
    vf ratio[AT_ONCE], power[AT_ONCE];
    for (size_t i = 0; i < terms->count; i += AT_ONCE * LANES) {
        LFD_UNROLL
        for (size_t v = 0; v < AT_ONCE; ++v) {
            ratio[v] = vf_load(terms->ratios + i + v * LANES);
            power[v] = vf_abs(ratio[v]);
        }
        powers(AT_ONCE, power, vf_set(exponent));
        LFD_UNROLL
        for (size_t v = 0; v < AT_ONCE; ++v) vf_store(terms->ratios + i + v * LANES, vf_copysign(power[v], ratio[v]));
    }
}
