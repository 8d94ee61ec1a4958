/* At large p few terms matter: these find them with lanes over columns (a comparison is exact in any order) and collect
 * them in column order, so that powers run over full vectors and sums in the one fixed order. */

enum {
    LIVE_COLUMNS = 256,   /* columns per call of live_collect */
    LIVE_CAPACITY = 1024, /* terms collected between two flushes */
    LIVE_OUTPUTS = 32     /* outputs whose terms are collected together, at most */
};
/* From here on vectors without a term that matters are common enough to be worth a branch: measured, decides no bit. */
static const float BRANCH_FROM = 48.0f;

/* Terms of one row of x, waiting for their powers: those of outputs [first, ...), in order. */
typedef struct live_terms {
    size_t count, first;
    size_t ends[LIVE_OUTPUTS];           /* ends[o]: where output o's terms end */
    float ratios[LIVE_CAPACITY + LANES]; /* (x - w) / distance */
    int32_t columns[LIVE_CAPACITY + LANES]; /* where they come from; the backward pass alone needs them */
} live_terms;

/* What selects the terms of one output. */
typedef struct live_test {
    vf cut, inverse;
    int branch, with_columns;
} live_test;

LFD_INLINE void live_collect_vector(live_terms *terms, const live_test *test, vf difference, vi column) {
    vm live = vf_at_least(vf_abs(difference), test->cut);
    uint32_t bits = vm_bits(live);
    if (test->branch && !bits) return;
    vf_compress_store(terms->ratios + terms->count, vf_mul(difference, test->inverse), live);
    if (test->with_columns) vi_compress_store(terms->columns + terms->count, column, live);
    terms->count += (size_t)__builtin_popcount(bits);
}

LFD_INLINE void live_collect_columns(live_terms *terms, live_test test, const float *x, const float *w, size_t begin,
                                     size_t end) {
    vi column = vi_add(vi_set((int32_t)begin), vi_lane_numbers());
    size_t i = begin;
    for (; i + LANES <= end; i += LANES) {
        live_collect_vector(terms, &test, vf_difference(vf_load(x + i), vf_load(w + i)), column);
        column = vi_add(column, vi_set(LANES));
    }
    if (i == end) return;
    vf difference = vf_difference(vf_load_part(x + i, end - i), vf_load_part(w + i, end - i));
    live_collect_vector(terms, &test, difference, column);
}

/* Appends the terms of the columns [begin, end), at most LIVE_COLUMNS, where |x - w| >= cut; cut > 0. */
LFD_INLINE void live_collect(live_terms *terms, const float *x, const float *w, size_t begin, size_t end, float cut,
                             float inverse, float p, int with_columns) {
    live_test test = {vf_set(cut), vf_set(inverse), 0, with_columns};
    if (p >= BRANCH_FROM) {
        test.branch = 1;
        live_collect_columns(terms, test, x, w, begin, end);
    } else {
        live_collect_columns(terms, test, x, w, begin, end);
    }
}

/* ratios <- sign(ratio) |ratio|^exponent, up to whole vectors: the array has room for them. */
static void live_powers(live_terms *terms, float exponent) {
    vf p = vf_set(exponent);
    for (size_t i = 0; i < terms->count; i += LANES) {
        vf ratio = vf_load(terms->ratios + i);
        vf_store(terms->ratios + i, vf_copysign(power_float(vf_abs(ratio), p), ratio));
    }
}
