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

LFD_INLINE int all_lanes(vm a) {
    return vm_bits(a) == (1u << LANES) - 1u;
}

/* The maxima of all samples reach what columns from here on can give. */
LFD_INLINE int ranked_settled(size_t vectors, const vf *maxima, const vf *above, float bound) {
    const vf most = vf_set(bound);
    for (size_t v = 0; v < vectors; ++v)
        if (!all_lanes(vf_at_least(maxima[v], vf_add(most, above[v])))) return 0;
    return 1;
}

LFD_INLINE void ranked_visit(size_t vectors, vf *maxima, const float *x, float w) {
    LFD_UNROLL
    for (size_t v = 0; v < vectors; ++v)
        maxima[v] = vf_max_magnitude(maxima[v], vf_difference(vf_load(x + v * LANES), vf_set(w)));
}

/* Row o against vectors vectors of samples. Returns the columns visited. */
LFD_INLINE size_t ranked_row(const lfd_shape *s, const lfd_ranked *ranked, size_t o, size_t lanes, size_t vectors,
                             const float *x, const vf *above, const float *w, vf *maxima) {
    for (size_t slice = 0; slice < ranked->slices; ++slice) {
        const lfd_rank *ranks = ranked->ranks + slice * ranked->slice_stride + o * LFD_SLICE;
        for (size_t k = 0; k < LFD_SLICE; ++k) {
            if (ranked_settled(vectors, maxima, above, ranks[k].bound)) return slice * LFD_SLICE + k;
            ranked_visit(vectors, maxima, x + ranks[k].column * lanes, ranks[k].w);
        }
    }
    if (ranked_settled(vectors, maxima, above, ranked->rest[o])) return ranked->slices * LFD_SLICE;
    for (size_t i = 0; i < s->n_in; ++i) ranked_visit(vectors, maxima, x + i * lanes, w[o * s->w_stride + i]);
    return ranked->slices * LFD_SLICE + s->n_in;
}

LFD_INLINE size_t ranked_rows(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, size_t vectors, size_t first,
                              const float *x, const float *above, const float *w, float *y) {
    const size_t count = smaller(vectors * LANES, s->batch - first);
    float results[LANES][2 * LANES];
    vf excess[2];
    size_t visited = 0;
    for (size_t v = 0; v < vectors; ++v) excess[v] = vf_load(above + first + v * LANES);
    memset(results, 0, sizeof results);
    for (size_t o = 0; o < s->n_out; ++o) {
        vf maxima[2] = {vf_set(0.0f), vf_set(0.0f)};
        visited += ranked_row(s, ranked, o, lanes, vectors, x + first, excess, w, maxima);
        for (size_t v = 0; v < vectors; ++v) vf_store(results[o % LANES] + v * LANES, maxima[v]);
        if (o % LANES == LANES - 1 || o + 1 == s->n_out) ranked_store(s, results, o - o % LANES, first, count, y);
    }
    return visited * vectors * LANES;
}

size_t ISA(ranked_forward)(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, const float *x,
                           const float *above, const float *w, float *y) {
    size_t visited = 0, first = 0;
    if (lanes == 1) return lfd_ref_ranked_forward(s, ranked, lanes, x, above, w, y);
    for (; first + LANES < s->batch; first += 2 * LANES)
        visited += ranked_rows(s, ranked, lanes, 2, first, x, above, w, y);
    if (first < s->batch) visited += ranked_rows(s, ranked, lanes, 1, first, x, above, w, y);
    return visited;
}

/* ---- bounds ---- */

/* The upper bound as above; the lower one is the negated lowest, against the negated excess below. */
LFD_INLINE int interval_settled(size_t vectors, const vf *highest, const vf *lowest, const vf *above,
                                const vf *minus_below, float bound) {
    const vf most = vf_set(bound);
    for (size_t v = 0; v < vectors; ++v) {
        if (!all_lanes(vf_at_least(highest[v], vf_add(most, above[v])))) return 0;
        if (!all_lanes(vf_at_least(vf_sub(minus_below[v], most), lowest[v]))) return 0;
    }
    return 1;
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

LFD_INLINE size_t interval_row(const lfd_shape *s, const lfd_ranked *ranked, size_t o, size_t lanes, size_t vectors,
                               const float *xl, const float *xu, const vf *above, const vf *minus_below, const float *w,
                               vf *highest, vf *lowest) {
    for (size_t slice = 0; slice < ranked->slices; ++slice) {
        const lfd_rank *ranks = ranked->ranks + slice * ranked->slice_stride + o * LFD_SLICE;
        for (size_t k = 0; k < LFD_SLICE; ++k) {
            const size_t at = ranks[k].column * lanes;
            if (interval_settled(vectors, highest, lowest, above, minus_below, ranks[k].bound))
                return slice * LFD_SLICE + k;
            interval_visit(vectors, highest, lowest, xl + at, xu + at, ranks[k].w);
        }
    }
    if (interval_settled(vectors, highest, lowest, above, minus_below, ranked->rest[o]))
        return ranked->slices * LFD_SLICE;
    for (size_t i = 0; i < s->n_in; ++i)
        interval_visit(vectors, highest, lowest, xl + i * lanes, xu + i * lanes, w[o * s->w_stride + i]);
    return ranked->slices * LFD_SLICE + s->n_in;
}

LFD_INLINE size_t interval_rows(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, size_t vectors,
                                size_t first, const float *xl, const float *xu, const float *above, const float *below,
                                const float *w, float *yl, float *yu) {
    const size_t count = smaller(vectors * LANES, s->batch - first);
    const vf zero = vf_set(0.0f);
    float lower[LANES][2 * LANES], upper[LANES][2 * LANES];
    vf outer[2], minus_inner[2];
    size_t visited = 0;
    for (size_t v = 0; v < vectors; ++v) {
        outer[v] = vf_load(above + first + v * LANES);
        minus_inner[v] = vf_sub(zero, vf_load(below + first + v * LANES));
    }
    memset(lower, 0, sizeof lower);
    memset(upper, 0, sizeof upper);
    for (size_t o = 0; o < s->n_out; ++o) {
        vf highest[2] = {zero, zero}, lowest[2] = {zero, zero};
        visited +=
            interval_row(s, ranked, o, lanes, vectors, xl + first, xu + first, outer, minus_inner, w, highest, lowest);
        for (size_t v = 0; v < vectors; ++v) { /* adding +0 as bounds_store does */
            vf_store(lower[o % LANES] + v * LANES, vf_add(vf_sub(zero, lowest[v]), zero));
            vf_store(upper[o % LANES] + v * LANES, vf_add(highest[v], zero));
        }
        if (o % LANES != LANES - 1 && o + 1 != s->n_out) continue;
        ranked_store(s, lower, o - o % LANES, first, count, yl);
        ranked_store(s, upper, o - o % LANES, first, count, yu);
    }
    return visited * vectors * LANES;
}

size_t ISA(ranked_bounds)(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, const float *xl, const float *xu,
                          const float *above, const float *below, const float *w, float *yl, float *yu) {
    size_t visited = 0, first = 0;
    if (lanes == 1) return lfd_ref_ranked_bounds(s, ranked, lanes, xl, xu, above, below, w, yl, yu);
    for (; first + LANES < s->batch; first += 2 * LANES)
        visited += interval_rows(s, ranked, lanes, 2, first, xl, xu, above, below, w, yl, yu);
    if (first < s->batch) visited += interval_rows(s, ranked, lanes, 1, first, xl, xu, above, below, w, yl, yu);
    return visited;
}
