/* l_inf forward passes of one sample in ranked order (kernels.def): first rows in the lanes, as far as their heads go,
 * then those still open, one slice each at a time. */

_Static_assert(LFD_HEAD_ROWS % LANES == 0 && SINGLE_ROWS % LFD_HEAD_ROWS == 0, "heads are taken whole");

/* ---- rows ---- */

/* Adds the rows that the lanes choose. The store writes LANES rows, no more than there were lanes so far. */
LFD_INLINE void list_rows(open_rows *open, vi rows, vm chosen) {
    vi_compress_store(open->row + open->count, rows, chosen);
    open->count += (size_t)__builtin_popcount(vm_bits(chosen));
}

/* What open_row looks at ahead of the last row. */
LFD_INLINE void end_list(open_rows *open) {
    for (size_t i = 0; i < RANKED_AHEAD; ++i) open->row[open->count + i] = 0;
}

/* Results of the first count of LANES rows go where they belong. */
LFD_INLINE void put_rows(float *y, const int32_t *row, vf results, size_t count) {
    float result[LANES];
    vf_store(result, results);
    if (count >= LANES) {
        LFD_UNROLL
        for (size_t i = 0; i < LANES; ++i) y[row[i]] = result[i];
    } else {
        for (size_t i = 0; i < count; ++i) y[row[i]] = result[i];
    }
}

/* The k-th slices, or the last. */
LFD_INLINE const lfd_slice *slices_at(const lfd_ranked *ranked, size_t k) {
    return ranked->slices + smaller(k, ranked->count - 1) * ranked->stride;
}

/* Whether the open ones of rows rows take their k-th slice. Where a quarter of the slices leaves 7 of 8 open, whole
 * rows are faster than the others. */
LFD_INLINE int goes_on(const lfd_ranked *ranked, const open_rows *open, size_t rows, size_t k) {
    return k < ranked->count && open->count > 0 && (4 * k < ranked->count || 8 * open->count < 7 * rows);
}

/* ---- values ---- */

LFD_INLINE vf head_maxima(const lfd_heads *heads, size_t lane, size_t first, size_t end, const float *x, vf maxima) {
    for (size_t i = first; i < end; ++i)
        maxima =
            vf_max_magnitude(maxima, vf_difference(vf_pick(x, heads->column[i] + lane), vf_load(heads->w[i] + lane)));
    return maxima;
}

/* All rows' heads; lists those that stay open. Returns the terms. */
LFD_INLINE size_t single_heads(open_rows *open, const lfd_heads *heads, size_t rows, const float *x, float above,
                               float *y) {
    const vf over = vf_set(above);
    size_t terms = 0;
    open->count = 0;
    for (size_t i = 0; i < rows; i += LANES) {
        const lfd_heads *at = &heads[i / LFD_HEAD_ROWS];
        const size_t lane = i % LFD_HEAD_ROWS, count = smaller(LANES, rows - i);
        vf maxima = head_maxima(at, lane, 0, at->ranks, x, vf_set(0.0f));
        vm stays = vf_less(maxima, vf_add(vf_load(at->earlier + lane), over));
        terms += count * at->ranks;
        if (at->ranks < LFD_SLICE && vm_bits(stays)) {
            maxima = head_maxima(at, lane, at->ranks, LFD_SLICE, x, maxima);
            stays = vf_less(maxima, vf_add(vf_load(at->rest + lane), over));
            terms += count * (LFD_SLICE - at->ranks);
        }
        put_rows(y, at->row + lane, maxima, count);
        list_rows(open, vi_load(at->row + lane), stays);
    }
    end_list(open);
    return terms;
}

/* The next slice of all open rows. Returns the terms. */
LFD_INLINE size_t single_slices(open_rows *open, const lfd_slice *slices, const lfd_slice *next, const float *x,
                                float above, float *y) {
    const size_t count = open->count;
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t r = open_row(open, i, slices);
        __builtin_prefetch(&next[r]); /* where few rows are open, none is far enough ahead */
        y[r] = larger(largest_of_8(x, slices[r].column, slices[r].w), y[r]);
        kept = keep_row(open, kept, r, y[r] < slices[r].rest + above);
    }
    open->count = kept;
    return count * LFD_SLICE;
}

static size_t single_rows(const lfd_shape *s, const lfd_ranked *ranked, const lfd_heads *heads, size_t rows,
                          const float *x, float above, const float *w, float *y) {
    open_rows open;
    size_t terms = single_heads(&open, heads, rows, x, above, y);
    for (size_t k = 1; goes_on(ranked, &open, rows, k); ++k)
        terms += single_slices(&open, slices_at(ranked, k), slices_at(ranked, k + 1), x, above, y);
    for (size_t i = 0; i < open.count; ++i) {
        const size_t r = (size_t)open.row[i];
        y[r] = whole_row(s->n_in, x, w + r * s->w_stride);
    }
    return terms + open.count * s->n_in;
}

size_t ISA(single_forward)(const lfd_shape *s, const lfd_ranked *ranked, const float *x, float above, const float *w,
                           float *y) {
    size_t terms = 0;
    for (size_t i = 0; i < s->n_out; i += SINGLE_ROWS)
        terms += single_rows(s, ranked, ranked->heads + i / LFD_HEAD_ROWS, smaller(SINGLE_ROWS, s->n_out - i), x, above,
                             w, y);
    return terms;
}

/* ---- bounds ---- */

/* Lower and upper ends, side by side too, and how far they leave the range. */
typedef struct single_interval {
    const float *pairs, *xl, *xu;
    float above, below;
} single_interval;

/* Terms of LANES rows on their way: w - l and u - w side by side, of the first and the second pairs of each quarter. */
typedef struct row_terms {
    vf most[2], least[2];
} row_terms;

LFD_INLINE void head_terms(const lfd_heads *heads, size_t lane, size_t first, size_t end, const float *pairs,
                           row_terms *terms) {
    for (size_t i = first; i < end; ++i) {
        const vf w = vf_load(heads->w[i] + lane);
        LFD_UNROLL
        for (int half = 0; half < 2; ++half) {
            const vf ends = vf_pick_pairs(pairs, heads->column[i] + lane, half);
            const vf t = vf_flip_lower(vf_difference(ends, vf_double(w, half)));
            terms->most[half] = vf_max(t, terms->most[half]);
            terms->least[half] = vf_min(t, terms->least[half]);
        }
    }
}

/* Bounds of LANES rows. */
typedef struct row_bounds {
    vf lower, upper;
} row_bounds;

LFD_INLINE row_bounds bounds_of(const row_terms *terms) {
    vf most[2], least[2];
    for (size_t half = 0; half < 2; ++half) {
        most[half] = vf_max(terms->most[half], vf_swap_pairs(terms->most[half]));
        least[half] = vf_min(terms->least[half], vf_swap_pairs(terms->least[half]));
    }
    return (row_bounds){vf_sub(vf_set(0.0f), vf_of_pairs(least[0], least[1])), vf_of_pairs(most[0], most[1])};
}

LFD_INLINE vm open_bounds(const row_bounds *y, const float *rest, const single_interval *x) {
    const vf bound = vf_load(rest);
    return vm_either(vf_less(y->upper, vf_add(bound, vf_set(x->above))),
                     vf_less(y->lower, vf_add(bound, vf_set(x->below))));
}

/* As single_heads. */
LFD_INLINE size_t single_interval_heads(open_rows *open, const lfd_heads *heads, size_t rows, const single_interval *x,
                                        float *yl, float *yu) {
    const vf zero = vf_set(0.0f);
    size_t visited = 0;
    open->count = 0;
    for (size_t i = 0; i < rows; i += LANES) {
        const lfd_heads *at = &heads[i / LFD_HEAD_ROWS];
        const size_t lane = i % LFD_HEAD_ROWS, count = smaller(LANES, rows - i);
        row_terms terms = {{zero, zero}, {zero, zero}};
        head_terms(at, lane, 0, at->ranks, x->pairs, &terms);
        row_bounds y = bounds_of(&terms);
        vm stays = open_bounds(&y, at->earlier + lane, x);
        visited += count * at->ranks;
        if (at->ranks < LFD_SLICE && vm_bits(stays)) {
            head_terms(at, lane, at->ranks, LFD_SLICE, x->pairs, &terms);
            y = bounds_of(&terms);
            stays = open_bounds(&y, at->rest + lane, x);
            visited += count * (LFD_SLICE - at->ranks);
        }
        put_rows(yl, at->row + lane, y.lower, count);
        put_rows(yu, at->row + lane, y.upper, count);
        list_rows(open, vi_load(at->row + lane), stays);
    }
    end_list(open);
    return visited;
}

/* As single_slices. */
LFD_INLINE size_t single_interval_slices(open_rows *open, const lfd_slice *slices, const lfd_slice *next,
                                         const single_interval *x, float *yl, float *yu) {
    const size_t count = open->count;
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t r = open_row(open, i, slices);
        float lower, upper;
        __builtin_prefetch(&next[r]);
        pair_extremes(x->pairs, slices[r].column, slices[r].w, &upper, &lower);
        yl[r] = larger(lower, yl[r]);
        yu[r] = larger(upper, yu[r]);
        kept = keep_row(open, kept, r, (yu[r] < slices[r].rest + x->above) | (yl[r] < slices[r].rest + x->below));
    }
    open->count = kept;
    return count * LFD_SLICE;
}

/* As single_rows. */
static size_t single_interval_rows(const lfd_shape *s, const lfd_ranked *ranked, const lfd_heads *heads, size_t rows,
                                   const single_interval *x, const float *w, float *yl, float *yu) {
    open_rows open;
    size_t terms = single_interval_heads(&open, heads, rows, x, yl, yu);
    for (size_t k = 1; goes_on(ranked, &open, rows, k); ++k)
        terms += single_interval_slices(&open, slices_at(ranked, k), slices_at(ranked, k + 1), x, yl, yu);
    for (size_t i = 0; i < open.count; ++i) {
        const size_t r = (size_t)open.row[i];
        whole_interval(s->n_in, x->xl, x->xu, w + r * s->w_stride, &yl[r], &yu[r]);
    }
    return terms + open.count * s->n_in;
}

size_t ISA(single_bounds)(const lfd_shape *s, const lfd_ranked *ranked, const float *pairs, const float *xl,
                          const float *xu, float above, float below, const float *w, float *yl, float *yu) {
    const single_interval x = {pairs, xl, xu, above, below};
    size_t terms = 0;
    for (size_t i = 0; i < s->n_out; i += SINGLE_ROWS)
        terms += single_interval_rows(s, ranked, ranked->heads + i / LFD_HEAD_ROWS, smaller(SINGLE_ROWS, s->n_out - i),
                                      &x, w, yl, yu);
    return terms;
}
