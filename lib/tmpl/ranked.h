/* l_inf forward passes in ranked order (kernels.def): two vectors of samples in the lanes, one slice of one row of w at
 * a time, until no sample can gain from the columns that follow. Rows go together: all that are open take their next
 * slice, then those still open the one after it. While many are open no row waits for another's memory or test, and no
 * branch has to guess when a row is settled. */

/* Rows that go together. The last ones open are few and wait for themselves, so many should share that. */
enum {
    RANKED_ROWS = 1024,
    INTERVAL_ROWS = 512, /* as much stack: two results each */
    SINGLE_ROWS = 2048,  /* for one sample, whose results need none */
    RANKED_AHEAD = 12    /* rows from here to the one whose slice is fetched */
};

/* Those not settled yet. */
typedef struct open_rows {
    size_t count;
    int32_t row[SINGLE_ROWS + RANKED_AHEAD];
} open_rows;

static void open_all(open_rows *open, size_t count) {
    open->count = count;
    for (size_t r = 0; r < count + RANKED_AHEAD; ++r) open->row[r] = (int32_t)smaller(r, count - 1);
}

/* The i-th open row. */
LFD_INLINE size_t open_row(const open_rows *open, size_t i, const lfd_slice *slices) {
    __builtin_prefetch(&slices[open->row[i + RANKED_AHEAD]]);
    return (size_t)open->row[i];
}

/* Row r after the kept ones, if it stays open: counted, not branched on. Returns how many are kept. */
LFD_INLINE size_t keep_row(open_rows *open, size_t kept, size_t r, int stays) {
    open->row[kept] = (int32_t)r;
    return kept + (size_t)stays;
}

void ISA(pack_lanes)(const lfd_shape *s, size_t lanes, const float *x, float *packed) {
    for (size_t first = 0; first < lanes; first += LANES) {
        const float *rows[LANES];
        for (size_t lane = 0; lane < LANES; ++lane) rows[lane] = x + smaller(first + lane, s->batch - 1) * s->x_stride;
        rows_to_lanes(rows, s->n_in, lanes, packed + first);
    }
}

/* ---- excess over the ranking's range ---- */

/* One step of columns. */
LFD_INLINE void excess_step(vf *outer, vf *inner, const float *xl, const float *xu, const float *low,
                            const float *high) {
    const vf l = vf_load(xl), u = vf_load(xu), from = vf_load(low), to = vf_load(high);
    *outer = vf_max(*outer, vf_max(vf_sub(u, to), vf_sub(from, l)));
    *inner = vf_max(*inner, vf_max(vf_sub(l, to), vf_sub(from, u)));
}

static inline float larger(float a, float b) {
    return a > b ? a : b;
}

void ISA(range_excess)(const lfd_shape *s, const float *xl, const float *xu, const float *low, const float *high,
                       float *above, float *below) {
    for (size_t b = 0; b < s->batch; ++b) {
        const float *l = xl + b * s->x_stride, *u = xu + b * s->x_stride;
        vf outer[2], inner[2];
        float most[4];
        size_t i = 0;
        for (size_t c = 0; c < 2; ++c) outer[c] = inner[c] = vf_set(-FLT_MAX);
        for (; i + 2 * LANES <= s->n_in; i += 2 * LANES)
            for (size_t c = 0, at = i; c < 2; ++c, at += LANES)
                excess_step(&outer[c], &inner[c], l + at, u + at, low + at, high + at);
        for (; i + LANES <= s->n_in; i += LANES) excess_step(&outer[0], &inner[0], l + i, u + i, low + i, high + i);
        vf_max_lanes_4(most, outer[0], outer[1], inner[0], inner[1]);
        for (; i < s->n_in; ++i) {
            most[0] = larger(most[0], larger(u[i] - high[i], low[i] - l[i]));
            most[2] = larger(most[2], larger(l[i] - high[i], low[i] - u[i]));
        }
        above[b] = lfd_raised(larger(most[0], most[1]));
        below[b] = lfd_raised(larger(most[2], most[3]));
    }
}

/* Samples [first, first + count) in the lanes of two vectors, or of one, and how far they leave the range. */
typedef struct lane_block {
    size_t first, count;
    vf above[2], minus_below[2];
} lane_block;

/* What one slice does to the results of row r; the first one makes them. Returns the samples that may still gain. */
typedef uint32_t take_slice_fn(const void *pass, const lfd_slice *slice, size_t r, int is_first);

/* The next slice of all open rows. Returns how many there were; samples: of each row that stays open. */
LFD_INLINE size_t take_slices(open_rows *open, const lfd_slice *slices, int is_first, take_slice_fn *take,
                              const void *pass, uint32_t *samples) {
    const size_t count = open->count;
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t r = open_row(open, i, slices);
        samples[kept] = take(pass, &slices[r], r, is_first);
        kept = keep_row(open, kept, r, samples[kept] != 0);
    }
    open->count = kept;
    return count;
}

/* All slices of rows rows of w from row o on, while rows are open. Returns how many were taken. */
LFD_INLINE size_t take_all_slices(const lfd_ranked *ranked, size_t o, size_t rows, take_slice_fn *take,
                                  const void *pass, open_rows *open, uint32_t *samples) {
    const lfd_slice *slices = ranked->slices + o;
    size_t taken = 0;
    open_all(open, rows);
    memset(samples, 0xff, rows * sizeof *samples); /* should there be no slices */
    if (ranked->count > 0) taken += take_slices(open, slices, 1, take, pass, samples);
    for (size_t k = 1; k < ranked->count && open->count > 0; ++k)
        taken += take_slices(open, slices + k * ranked->stride, 0, take, pass, samples);
    return taken;
}

/* ---- values ---- */

/* Samples row-major and packed. */
typedef struct ranked_samples {
    size_t lanes;
    const float *x, *packed;
} ranked_samples;

/* Of a block, whose lanes are vectors vectors: a constant where it is made. */
typedef struct ranked_pass {
    size_t vectors;
    const ranked_samples *x;
    const lane_block *block;
    float (*results)[2 * LANES];
} ranked_pass;

/* Results of LANES outputs for two vectors of samples, and where those of the samples [first, first + count) go. */
LFD_INLINE void ranked_store(const lfd_shape *s, float (*from)[2 * LANES], size_t o, size_t first, size_t count,
                             float *y) {
    const size_t outputs = smaller(LANES, s->n_out - o);
    const float *rows[LANES];
    for (size_t lane = 0; lane < LANES; ++lane) rows[lane] = from[lane];
    for (size_t b = 0; b < count; b += 4) {
        vf samples[4];
        vf_columns_4(samples, rows, b);
        for (size_t c = 0; c < smaller(4, count - b); ++c) {
            float *to = y + (first + b + c) * s->y_stride + o;
            if (outputs == LANES)
                vf_store(to, samples[c]);
            else
                vf_store_part(to, samples[c], outputs);
        }
    }
}

/* One bit per lane of a vector, and all of them. */
#define ALL_LANES ((1u << LANES) - 1u)

/* Bit i: sample i may still gain from columns with this bound. */
LFD_INLINE uint32_t ranked_open(size_t vectors, const vf *maxima, const vf *above, float bound) {
    const vf most = vf_set(bound);
    uint32_t open = 0;
    for (size_t v = 0; v < vectors; ++v)
        open |= (ALL_LANES & ~vm_bits(vf_at_least(maxima[v], vf_add(most, above[v])))) << v * LANES;
    return open;
}

/* Raises the maxima. */
LFD_INLINE uint32_t ranked_slice(const void *of, const lfd_slice *slice, size_t r, int is_first) {
    const ranked_pass *pass = of;
    const ranked_samples *x = pass->x;
    const size_t vectors = pass->vectors;
    float *results = pass->results[r];
    vf maxima[2];
    for (size_t v = 0; v < vectors; ++v) maxima[v] = is_first ? vf_set(0.0f) : vf_load(results + v * LANES);
    LFD_UNROLL
    for (size_t i = 0; i < LFD_SLICE; ++i) {
        const float *samples = x->packed + slice->column[i] * x->lanes + pass->block->first;
        const vf w = vf_set(slice->w[i]);
        for (size_t v = 0; v < vectors; ++v)
            maxima[v] = vf_max_magnitude(maxima[v], vf_difference(vf_load(samples + v * LANES), w));
    }
    for (size_t v = 0; v < vectors; ++v) vf_store(results + v * LANES, maxima[v]);
    return ranked_open(vectors, maxima, pass->block->above, slice->rest);
}

/* max over columns of |x - w|. */
static float whole_row(size_t n, const float *x, const float *w) {
    vf maxima[4];
    float out[4];
    size_t i = 0;
    for (size_t c = 0; c < 4; ++c) maxima[c] = vf_set(0.0f);
    for (; i + 4 * LANES <= n; i += 4 * LANES) LFD_UNROLL
    for (size_t c = 0; c < 4; ++c) {
        const size_t at = i + c * LANES;
        maxima[c] = vf_max_magnitude(maxima[c], vf_difference(vf_load(x + at), vf_load(w + at)));
    }
    for (; i + LANES <= n; i += LANES)
        maxima[0] = vf_max_magnitude(maxima[0], vf_difference(vf_load(x + i), vf_load(w + i)));
    if (i < n)
        maxima[1] = vf_max_magnitude(maxima[1], vf_difference(vf_load_part(x + i, n - i), vf_load_part(w + i, n - i)));
    vf_max_lanes_4(out, maxima[0], maxima[1], maxima[2], maxima[3]);
    return larger(larger(out[0], out[1]), larger(out[2], out[3]));
}

/* The rows of the open samples [first, first + count) against all columns of row o. Returns the terms. */
LFD_INLINE size_t ranked_finish(const lfd_shape *s, uint32_t open, size_t first, size_t count, size_t o, const float *x,
                                const float *w, float *results) {
    size_t terms = 0;
    for (; open; open &= open - 1) {
        const size_t lane = (size_t)__builtin_ctz(open);
        if (lane >= count) break;
        results[lane] = whole_row(s->n_in, x + (first + lane) * s->x_stride, w + o * s->w_stride);
        terms += s->n_in;
    }
    return terms;
}

/* rows rows of w from row o on against a block. Returns the terms. */
LFD_INLINE size_t ranked_rows(const lfd_shape *s, const lfd_ranked *ranked, size_t o, size_t rows,
                              const ranked_pass *pass, const float *w) {
    const lane_block *block = pass->block;
    uint32_t samples[RANKED_ROWS];
    open_rows open;
    size_t terms = take_all_slices(ranked, o, rows, ranked_slice, pass, &open, samples) * LFD_SLICE * block->count;
    for (size_t i = 0; i < open.count; ++i) {
        const size_t r = (size_t)open.row[i];
        terms += ranked_finish(s, samples[i], block->first, block->count, o + r, pass->x->x, w, pass->results[r]);
    }
    return terms;
}

/* All rows of w against the samples from first on: two vectors of them or one. */
LFD_INLINE size_t ranked_block(const lfd_shape *s, const lfd_ranked *ranked, size_t vectors, size_t first,
                               const ranked_samples *x, const float *above, const float *w, float *y) {
    lane_block block = {.first = first, .count = smaller(vectors * LANES, s->batch - first)};
    float results[RANKED_ROWS][2 * LANES];
    size_t terms = 0;
    const ranked_pass pass = {vectors, x, &block, results};
    for (size_t v = 0; v < vectors; ++v) block.above[v] = vf_load(above + first + v * LANES);
    for (size_t o = 0; o < s->n_out; o += RANKED_ROWS) {
        const size_t rows = smaller(RANKED_ROWS, s->n_out - o);
        terms += ranked_rows(s, ranked, o, rows, &pass, w);
        for (size_t r = 0; r < rows; r += LANES) ranked_store(s, results + r, o + r, first, block.count, y);
    }
    return terms;
}

size_t ISA(ranked_forward)(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, const float *x,
                           const float *packed, const float *above, const float *w, float *y) {
    const ranked_samples samples = {lanes, x, packed};
    size_t terms = 0, first = 0;
    for (; first + LANES < s->batch; first += 2 * LANES)
        terms += ranked_block(s, ranked, 2, first, &samples, above, w, y);
    if (first < s->batch) terms += ranked_block(s, ranked, 1, first, &samples, above, w, y);
    return terms;
}

/* ---- bounds ---- */

/* The upper bound as above; the lower one is the negated lowest, against the negated excess below. */
LFD_INLINE uint32_t interval_open(size_t vectors, const vf *highest, const vf *lowest, const lane_block *block,
                                  float bound) {
    const vf most = vf_set(bound);
    uint32_t open = 0;
    for (size_t v = 0; v < vectors; ++v) {
        const uint32_t upper = vm_bits(vf_at_least(highest[v], vf_add(most, block->above[v])));
        const uint32_t lower = vm_bits(vf_at_least(vf_sub(block->minus_below[v], most), lowest[v]));
        open |= (ALL_LANES & ~(upper & lower)) << v * LANES;
    }
    return open;
}

/* Samples in lanes, row-major and packed, with how far they leave the range. */
typedef struct interval_samples {
    size_t lanes;
    const float *xl, *xu, *packed_l, *packed_u, *above, *below;
} interval_samples;

/* Of a block, as ranked_pass; until all slices are taken lower has the smallest terms, not yet negated. */
typedef struct interval_pass {
    size_t vectors;
    const interval_samples *x;
    const lane_block *block;
    float (*lower)[2 * LANES], (*upper)[2 * LANES];
} interval_pass;

LFD_INLINE uint32_t interval_slice(const void *of, const lfd_slice *slice, size_t r, int is_first) {
    const interval_pass *pass = of;
    const interval_samples *x = pass->x;
    const size_t vectors = pass->vectors;
    float *lowest = pass->lower[r], *highest = pass->upper[r];
    vf low[2], high[2];
    for (size_t v = 0; v < vectors; ++v) {
        low[v] = is_first ? vf_set(0.0f) : vf_load(lowest + v * LANES);
        high[v] = is_first ? vf_set(0.0f) : vf_load(highest + v * LANES);
    }
    LFD_UNROLL
    for (size_t i = 0; i < LFD_SLICE; ++i) {
        const size_t at = slice->column[i] * x->lanes + pass->block->first;
        const vf w = vf_set(slice->w[i]);
        for (size_t v = 0; v < vectors; ++v) {
            const vf t1 = vf_difference(w, vf_load(x->packed_l + at + v * LANES));
            const vf t2 = vf_difference(vf_load(x->packed_u + at + v * LANES), w);
            high[v] = vf_max(vf_max(t1, t2), high[v]);
            low[v] = vf_min(vf_min(t1, t2), low[v]);
        }
    }
    for (size_t v = 0; v < vectors; ++v) {
        vf_store(lowest + v * LANES, low[v]);
        vf_store(highest + v * LANES, high[v]);
    }
    return interval_open(vectors, high, low, pass->block, slice->rest);
}

static void whole_interval(size_t n, const float *xl, const float *xu, const float *w, float *lower, float *upper) {
    const vf zero = vf_set(0.0f);
    vf highest[2] = {zero, zero}, lowest[2] = {zero, zero};
    float out[4];
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) LFD_UNROLL
    for (size_t c = 0; c < 2; ++c) {
        const vf ws = vf_load(w + i + c * LANES);
        const vf t1 = vf_difference(ws, vf_load(xl + i + c * LANES)),
                 t2 = vf_difference(vf_load(xu + i + c * LANES), ws);
        highest[c] = vf_max(vf_max(t1, t2), highest[c]);
        lowest[c] = vf_min(vf_min(t1, t2), lowest[c]);
    }
    vf_max_lanes_4(out, highest[0], highest[1], vf_sub(zero, lowest[0]), vf_sub(zero, lowest[1]));
    *upper = larger(out[0], out[1]);
    *lower = larger(out[2], out[3]);
    for (; i < n; ++i) {
        const float t1 = w[i] - xl[i], t2 = xu[i] - w[i];
        *upper = larger(larger(t1, t2), *upper);
        *lower = larger(t1 < t2 ? -t1 : -t2, *lower);
    }
}

LFD_INLINE size_t interval_finish(const lfd_shape *s, uint32_t open, const interval_samples *x, size_t first,
                                  size_t count, size_t o, const float *w, float *lower, float *upper) {
    size_t terms = 0;
    for (; open; open &= open - 1) {
        const size_t lane = (size_t)__builtin_ctz(open), row = (first + lane) * s->x_stride;
        if (lane >= count) break;
        whole_interval(s->n_in, x->xl + row, x->xu + row, w + o * s->w_stride, &lower[lane], &upper[lane]);
        terms += s->n_in;
    }
    return terms;
}

/* The smallest terms of rows rows become their lower bounds. */
LFD_INLINE void interval_negate(size_t rows, size_t vectors, float (*lower)[2 * LANES]) {
    for (size_t r = 0; r < rows; ++r)
        for (size_t v = 0; v < vectors; ++v)
            vf_store(lower[r] + v * LANES, vf_sub(vf_set(0.0f), vf_load(lower[r] + v * LANES)));
}

/* As ranked_rows. */
LFD_INLINE size_t interval_rows(const lfd_shape *s, const lfd_ranked *ranked, size_t o, size_t rows,
                                const interval_pass *pass, const float *w) {
    const lane_block *block = pass->block;
    uint32_t samples[INTERVAL_ROWS];
    open_rows open;
    size_t terms = take_all_slices(ranked, o, rows, interval_slice, pass, &open, samples) * LFD_SLICE * block->count;
    if (ranked->count > 0) interval_negate(rows, pass->vectors, pass->lower);
    for (size_t i = 0; i < open.count; ++i) {
        const size_t r = (size_t)open.row[i];
        terms += interval_finish(s, samples[i], pass->x, block->first, block->count, o + r, w, pass->lower[r],
                                 pass->upper[r]);
    }
    return terms;
}

/* As ranked_block. */
LFD_INLINE size_t interval_block(const lfd_shape *s, const lfd_ranked *ranked, size_t vectors, size_t first,
                                 const interval_samples *x, const float *w, float *yl, float *yu) {
    lane_block block = {.first = first, .count = smaller(vectors * LANES, s->batch - first)};
    float lower[INTERVAL_ROWS][2 * LANES], upper[INTERVAL_ROWS][2 * LANES];
    const interval_pass pass = {vectors, x, &block, lower, upper};
    size_t terms = 0;
    for (size_t v = 0; v < vectors; ++v) {
        block.above[v] = vf_load(x->above + first + v * LANES);
        block.minus_below[v] = vf_sub(vf_set(0.0f), vf_load(x->below + first + v * LANES));
    }
    for (size_t o = 0; o < s->n_out; o += INTERVAL_ROWS) {
        const size_t rows = smaller(INTERVAL_ROWS, s->n_out - o);
        terms += interval_rows(s, ranked, o, rows, &pass, w);
        for (size_t r = 0; r < rows; r += LANES) {
            ranked_store(s, lower + r, o + r, first, block.count, yl);
            ranked_store(s, upper + r, o + r, first, block.count, yu);
        }
    }
    return terms;
}

size_t ISA(ranked_bounds)(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, const float *xl, const float *xu,
                          const float *packed_l, const float *packed_u, const float *above, const float *below,
                          const float *w, float *yl, float *yu) {
    const interval_samples x = {lanes, xl, xu, packed_l, packed_u, above, below};
    size_t terms = 0, first = 0;
    for (; first + LANES < s->batch; first += 2 * LANES) terms += interval_block(s, ranked, 2, first, &x, w, yl, yu);
    if (first < s->batch) terms += interval_block(s, ranked, 1, first, &x, w, yl, yu);
    return terms;
}
