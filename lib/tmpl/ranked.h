/* l_inf forward passes in ranked order (kernels.def): two vectors of samples in the lanes, one column of one row of w
 * at a time, until no sample can gain from another. A row of a trained net needs a few columns of a thousand, so that
 * most of what is left is bringing samples into lanes and results out of them. */

void ISA(pack_lanes)(const lfd_shape *s, size_t lanes, const float *x, float *packed) {
    for (size_t first = 0; first < lanes; first += LANES) {
        const float *rows[LANES];
        for (size_t lane = 0; lane < LANES; ++lane) rows[lane] = x + smaller(first + lane, s->batch - 1) * s->x_stride;
        rows_to_lanes(rows, s->n_in, lanes, packed + first);
    }
}

/* ---- excess over the ranking's range ---- */

/* One step of columns for four rows. */
LFD_INLINE void excess_step(vf outer[4], vf inner[4], const float *const *xl, const float *const *xu, const float *low,
                            const float *high, size_t i) {
    const vf from = vf_load(low + i), to = vf_load(high + i);
    LFD_UNROLL
    for (size_t r = 0; r < 4; ++r) {
        const vf l = vf_load(xl[r] + i), u = vf_load(xu[r] + i);
        outer[r] = vf_max(outer[r], vf_max(vf_sub(u, to), vf_sub(from, l)));
        inner[r] = vf_max(inner[r], vf_max(vf_sub(l, to), vf_sub(from, u)));
    }
}

static inline float larger(float a, float b) {
    return a > b ? a : b;
}

void ISA(range_excess)(const lfd_shape *s, const float *xl, const float *xu, const float *low, const float *high,
                       float *above, float *below) {
    for (size_t b = 0; b < s->batch; b += 4) {
        const size_t rows = smaller(4, s->batch - b), whole = s->n_in / LANES * LANES;
        const float *ls[4], *us[4];
        vf outer[4], inner[4];
        float of_outer[4], of_inner[4];
        row_pointers(ls, 4, rows, xl + b * s->x_stride, s->x_stride);
        row_pointers(us, 4, rows, xu + b * s->x_stride, s->x_stride);
        for (size_t r = 0; r < 4; ++r) outer[r] = inner[r] = vf_set(-FLT_MAX);
        for (size_t i = 0; i < whole; i += LANES) excess_step(outer, inner, ls, us, low, high, i);
        vf_max_lanes_4(of_outer, outer[0], outer[1], outer[2], outer[3]);
        vf_max_lanes_4(of_inner, inner[0], inner[1], inner[2], inner[3]);
        for (size_t r = 0; r < rows; ++r) {
            for (size_t i = whole; i < s->n_in; ++i) {
                of_outer[r] = larger(of_outer[r], larger(us[r][i] - high[i], low[i] - ls[r][i]));
                of_inner[r] = larger(of_inner[r], larger(ls[r][i] - high[i], low[i] - us[r][i]));
            }
            above[b + r] = lfd_raised(of_outer[r]);
            below[b + r] = lfd_raised(of_inner[r]);
        }
    }
}

/* ---- values ---- */

/* Results of LANES outputs for two vectors of samples, and where those of the samples [first, first + count) go. */
LFD_INLINE void ranked_store(const lfd_shape *s, float from[LANES][2 * LANES], size_t o, size_t first, size_t count,
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

LFD_INLINE void ranked_visit(size_t vectors, vf *maxima, const float *x, float w) {
    LFD_UNROLL
    for (size_t v = 0; v < vectors; ++v)
        maxima[v] = vf_max_magnitude(maxima[v], vf_difference(vf_load(x + v * LANES), vf_set(w)));
}

/* Rows that need more than one slice usually need many columns, and the test costs as much as a visit. */
LFD_INLINE int is_tested(size_t slice, size_t k) {
    return slice == 0 || k % 4 == 0;
}

/* Row o against vectors vectors of samples. Returns the samples that ranks do not settle; columns: how many it visited.
 */
LFD_INLINE uint32_t ranked_row(const lfd_ranked *ranked, size_t o, size_t lanes, size_t vectors, const float *packed,
                               const vf *above, vf *maxima, size_t *columns) {
    for (size_t slice = 0; slice < ranked->slices; ++slice) {
        const lfd_rank *ranks = ranked->ranks + slice * ranked->slice_stride + o * LFD_SLICE;
        for (size_t k = 0; k < LFD_SLICE; ++k) {
            *columns = slice * LFD_SLICE + k;
            if (is_tested(slice, k) && !ranked_open(vectors, maxima, above, ranks[k].bound)) return 0;
            ranked_visit(vectors, maxima, packed + ranks[k].column * lanes, ranks[k].w);
        }
    }
    *columns = ranked->slices * LFD_SLICE;
    return ranked_open(vectors, maxima, above, ranked->rest[o]);
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

LFD_INLINE size_t ranked_rows(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, size_t vectors, size_t first,
                              const float *x, const float *packed, const float *above, const float *w, float *y) {
    const size_t count = smaller(vectors * LANES, s->batch - first);
    float results[LANES][2 * LANES];
    vf excess[2];
    size_t terms = 0;
    for (size_t v = 0; v < vectors; ++v) excess[v] = vf_load(above + first + v * LANES);
    memset(results, 0, sizeof results);
    for (size_t o = 0; o < s->n_out; ++o) {
        vf maxima[2] = {vf_set(0.0f), vf_set(0.0f)};
        size_t columns;
        const uint32_t open = ranked_row(ranked, o, lanes, vectors, packed + first, excess, maxima, &columns);
        for (size_t v = 0; v < vectors; ++v) vf_store(results[o % LANES] + v * LANES, maxima[v]);
        terms += columns * count;
        if (open) terms += ranked_finish(s, open, first, count, o, x, w, results[o % LANES]);
        if (o % LANES == LANES - 1 || o + 1 == s->n_out) ranked_store(s, results, o - o % LANES, first, count, y);
    }
    return terms;
}

/* One sample: a column at a time, without lanes. */
static size_t ranked_single(const lfd_shape *s, const lfd_ranked *ranked, const float *x, float above, const float *w,
                            size_t o, float *y) {
    float maximum = 0.0f;
    for (size_t slice = 0; slice < ranked->slices; ++slice) {
        const lfd_rank *ranks = ranked->ranks + slice * ranked->slice_stride + o * LFD_SLICE;
        for (size_t k = 0; k < LFD_SLICE; ++k) {
            *y = maximum;
            if (maximum >= ranks[k].bound + above) return slice * LFD_SLICE + k;
            maximum = larger(fabsf(x[ranks[k].column] - ranks[k].w), maximum);
        }
    }
    *y = maximum;
    if (maximum >= ranked->rest[o] + above) return ranked->slices * LFD_SLICE;
    *y = whole_row(s->n_in, x, w + o * s->w_stride);
    return ranked->slices * LFD_SLICE + s->n_in;
}

size_t ISA(ranked_forward)(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, const float *x,
                           const float *packed, const float *above, const float *w, float *y) {
    size_t terms = 0, first = 0;
    for (size_t b = 0; lanes == 1 && b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o)
            terms += ranked_single(s, ranked, x + b * s->x_stride, above[b], w, o, y + b * s->y_stride + o);
    if (lanes == 1) return terms;
    for (; first + LANES < s->batch; first += 2 * LANES)
        terms += ranked_rows(s, ranked, lanes, 2, first, x, packed, above, w, y);
    if (first < s->batch) terms += ranked_rows(s, ranked, lanes, 1, first, x, packed, above, w, y);
    return terms;
}

/* ---- bounds ---- */

/* The upper bound as above; the lower one is the negated lowest, against the negated excess below. */
LFD_INLINE uint32_t interval_open(size_t vectors, const vf *highest, const vf *lowest, const vf *above,
                                  const vf *minus_below, float bound) {
    const vf most = vf_set(bound);
    uint32_t open = 0;
    for (size_t v = 0; v < vectors; ++v) {
        const uint32_t upper = vm_bits(vf_at_least(highest[v], vf_add(most, above[v])));
        const uint32_t lower = vm_bits(vf_at_least(vf_sub(minus_below[v], most), lowest[v]));
        open |= (ALL_LANES & ~(upper & lower)) << v * LANES;
    }
    return open;
}

LFD_INLINE void interval_visit(size_t vectors, vf *highest, vf *lowest, const float *xl, const float *xu, float w) {
    const vf ws = vf_set(w);
    LFD_UNROLL
    for (size_t v = 0; v < vectors; ++v) {
        const vf t1 = vf_difference(ws, vf_load(xl + v * LANES)), t2 = vf_difference(vf_load(xu + v * LANES), ws);
        highest[v] = vf_max(vf_max(t1, t2), highest[v]);
        lowest[v] = vf_min(vf_min(t1, t2), lowest[v]);
    }
}

/* Samples in lanes, row-major and packed, with how far they leave the range. */
typedef struct interval_samples {
    size_t lanes;
    const float *xl, *xu, *packed_l, *packed_u, *above, *below;
} interval_samples;

LFD_INLINE uint32_t interval_row(const lfd_ranked *ranked, size_t o, size_t vectors, const interval_samples *x,
                                 size_t first, const vf *above, const vf *minus_below, vf *highest, vf *lowest,
                                 size_t *columns) {
    for (size_t slice = 0; slice < ranked->slices; ++slice) {
        const lfd_rank *ranks = ranked->ranks + slice * ranked->slice_stride + o * LFD_SLICE;
        for (size_t k = 0; k < LFD_SLICE; ++k) {
            const size_t at = ranks[k].column * x->lanes + first;
            *columns = slice * LFD_SLICE + k;
            if (is_tested(slice, k) && !interval_open(vectors, highest, lowest, above, minus_below, ranks[k].bound))
                return 0;
            interval_visit(vectors, highest, lowest, x->packed_l + at, x->packed_u + at, ranks[k].w);
        }
    }
    *columns = ranked->slices * LFD_SLICE;
    return interval_open(vectors, highest, lowest, above, minus_below, ranked->rest[o]);
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

/* Adding +0 as bounds_store does. */
LFD_INLINE size_t interval_finish(const lfd_shape *s, uint32_t open, const interval_samples *x, size_t first,
                                  size_t count, size_t o, const float *w, float *lower, float *upper) {
    size_t terms = 0;
    for (; open; open &= open - 1) {
        const size_t lane = (size_t)__builtin_ctz(open), row = (first + lane) * s->x_stride;
        if (lane >= count) break;
        whole_interval(s->n_in, x->xl + row, x->xu + row, w + o * s->w_stride, &lower[lane], &upper[lane]);
        lower[lane] += 0.0f;
        upper[lane] += 0.0f;
        terms += s->n_in;
    }
    return terms;
}

LFD_INLINE size_t interval_rows(const lfd_shape *s, const lfd_ranked *ranked, const interval_samples *x, size_t vectors,
                                size_t first, const float *w, float *yl, float *yu) {
    const size_t count = smaller(vectors * LANES, s->batch - first);
    const vf zero = vf_set(0.0f);
    float lower[LANES][2 * LANES], upper[LANES][2 * LANES];
    vf outer[2], minus_inner[2];
    size_t terms = 0;
    for (size_t v = 0; v < vectors; ++v) {
        outer[v] = vf_load(x->above + first + v * LANES);
        minus_inner[v] = vf_sub(zero, vf_load(x->below + first + v * LANES));
    }
    memset(lower, 0, sizeof lower);
    memset(upper, 0, sizeof upper);
    for (size_t o = 0; o < s->n_out; ++o) {
        vf highest[2] = {zero, zero}, lowest[2] = {zero, zero};
        size_t columns;
        const uint32_t open = interval_row(ranked, o, vectors, x, first, outer, minus_inner, highest, lowest, &columns);
        for (size_t v = 0; v < vectors; ++v) {
            vf_store(lower[o % LANES] + v * LANES, vf_add(vf_sub(zero, lowest[v]), zero));
            vf_store(upper[o % LANES] + v * LANES, vf_add(highest[v], zero));
        }
        terms += columns * count;
        if (open) terms += interval_finish(s, open, x, first, count, o, w, lower[o % LANES], upper[o % LANES]);
        if (o % LANES != LANES - 1 && o + 1 != s->n_out) continue;
        ranked_store(s, lower, o - o % LANES, first, count, yl);
        ranked_store(s, upper, o - o % LANES, first, count, yu);
    }
    return terms;
}

static size_t interval_single(const lfd_shape *s, const lfd_ranked *ranked, const interval_samples *x, size_t b,
                              const float *w, size_t o, float *lower, float *upper) {
    const float *xl = x->xl + b * s->x_stride, *xu = x->xu + b * s->x_stride;
    float high = 0.0f, low = 0.0f;
    for (size_t slice = 0; slice < ranked->slices; ++slice) {
        const lfd_rank *ranks = ranked->ranks + slice * ranked->slice_stride + o * LFD_SLICE;
        for (size_t k = 0; k < LFD_SLICE; ++k) {
            const float t1 = ranks[k].w - xl[ranks[k].column], t2 = xu[ranks[k].column] - ranks[k].w;
            *upper = high;
            *lower = low;
            if (high >= ranks[k].bound + x->above[b] && low >= ranks[k].bound + x->below[b])
                return slice * LFD_SLICE + k;
            high = larger(larger(t1, t2), high);
            low = larger(t1 < t2 ? -t1 : -t2, low);
        }
    }
    *upper = high;
    *lower = low;
    if (high >= ranked->rest[o] + x->above[b] && low >= ranked->rest[o] + x->below[b])
        return ranked->slices * LFD_SLICE;
    return ranked->slices * LFD_SLICE + interval_finish(s, 1, x, b, 1, o, w, lower, upper);
}

size_t ISA(ranked_bounds)(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, const float *xl, const float *xu,
                          const float *packed_l, const float *packed_u, const float *above, const float *below,
                          const float *w, float *yl, float *yu) {
    const interval_samples x = {lanes, xl, xu, packed_l, packed_u, above, below};
    size_t terms = 0, first = 0;
    for (size_t b = 0; lanes == 1 && b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o)
            terms += interval_single(s, ranked, &x, b, w, o, yl + b * s->y_stride + o, yu + b * s->y_stride + o);
    if (lanes == 1) return terms;
    for (; first + LANES < s->batch; first += 2 * LANES) terms += interval_rows(s, ranked, &x, 2, first, w, yl, yu);
    if (first < s->batch) terms += interval_rows(s, ranked, &x, 1, first, w, yl, yu);
    return terms;
}
