/* l_inf forward where few columns can win: lanes over samples. The least and the largest x of a column bound |x - w|
 * from both sides, and rounded subtraction is monotone. So every maximum of an output is at least the largest of its
 * columns' lower bounds, and only columns whose upper bound reaches that are candidates. */

enum {
    SPARSE_ROWS = 4 * LANES, /* side by side */
    SPARSE_VECTORS = SPARSE_ROWS / LANES,
    SPARSE_COLUMNS = 8192 / SPARSE_ROWS, /* transposed together: 32 KiB */
    SPARSE_OUTPUTS = 128,                /* that share a transposition: whole groups of LANES */
    SPARSE_CAPACITY = 8192               /* candidates that do */
};

/* Least and largest x of every column. */
typedef struct sparse_ranges {
    _Alignas(64) float low[LFD_SPARSE_INPUTS + LANES];
    _Alignas(64) float high[LFD_SPARSE_INPUTS + LANES];
} sparse_ranges;

/* The columns that can win, output by output, ascending; those of output o begin at begin[o]. */
typedef struct sparse_candidates {
    size_t begin[SPARSE_OUTPUTS + 1];
    int32_t column[SPARSE_CAPACITY + LANES];
} sparse_candidates;

_Static_assert((int)SPARSE_CAPACITY >= (int)LFD_SPARSE_INPUTS, "there is room for the candidates of one output");

/* SPARSE_ROWS samples, of which the last repeat where there are fewer, and up to SPARSE_OUTPUTS outputs. With the two
 * above about 170 KiB, on the stack. */
typedef struct sparse_block {
    _Alignas(64) float x[SPARSE_COLUMNS][SPARSE_ROWS];
    float maximum[SPARSE_OUTPUTS][SPARSE_ROWS];
    float argmax[SPARSE_OUTPUTS][SPARSE_ROWS]; /* the bits of int32 */
    size_t next[SPARSE_OUTPUTS];               /* candidate of each output */
} sparse_block;

/* Widens one vector of ranges by four rows; part = 0: a full vector. */
LFD_INLINE void widen(const float *const rows[4], size_t i, size_t part, float *low, float *high) {
    vf x[4];
    LFD_UNROLL
    for (size_t r = 0; r < 4; ++r) x[r] = part ? vf_load_part(rows[r] + i, part) : vf_load(rows[r] + i);
    vf least = vf_min(vf_min(x[0], x[1]), vf_min(x[2], x[3])), most = vf_max(vf_max(x[0], x[1]), vf_max(x[2], x[3]));
    vf_store(low + i, vf_min(vf_load(low + i), least));
    vf_store(high + i, vf_max(vf_load(high + i), most));
}

/* Of the columns of rows >= 1 rows; 0 in the lanes past the last. Row by row: columns of rows a multiple of 4 KiB apart
 * share few places in the caches. */
static void sparse_load_ranges(sparse_ranges *ranges, size_t rows, size_t n, const float *x, size_t x_stride) {
    const float *four[4];
    for (size_t i = 0; i < n; i += LANES) {
        vf first = n - i < LANES ? vf_load_part(x + i, n - i) : vf_load(x + i);
        vf_store(ranges->low + i, first);
        vf_store(ranges->high + i, first);
    }
    for (size_t b = 0; b < rows; b += 4) {
        size_t i = 0;
        row_pointers(four, 4, smaller(4, rows - b), x + b * x_stride, x_stride);
        for (; i + LANES <= n; i += LANES) widen(four, i, 0, ranges->low, ranges->high);
        if (i < n) widen(four, i, n - i, ranges->low, ranges->high);
    }
}

/* The largest lower bound of n columns' |x - w|, in all lanes. */
LFD_INLINE vf sparse_floor(const sparse_ranges *ranges, size_t n, const float *w, const float *next) {
    vf floor[2] = {vf_set(0.0f), vf_set(0.0f)};
    size_t i = 0;
    for (; i < n; i += LANES) {
        vf ws = n - i < LANES ? vf_load_part(w + i, n - i) : vf_load(w + i);
        __builtin_prefetch(next + i);
        floor[0] = vf_max(floor[0], vf_difference(vf_load(ranges->low + i), ws));
        floor[1] = vf_max(floor[1], vf_difference(ws, vf_load(ranges->high + i)));
    }
    float most[4];
    vf_max_lanes_4(most, floor[0], floor[1], floor[0], floor[1]);
    return vf_set(most[0] > most[1] ? most[0] : most[1]);
}

/* Appends the candidates of one output to count columns; returns their number. next: the row of w that comes next. */
LFD_INLINE size_t sparse_find(const sparse_ranges *ranges, size_t n, const float *w, const float *next, size_t count,
                              int32_t *column) {
    const vf floor = sparse_floor(ranges, n, w, next);
    for (size_t i = 0; i < n; i += LANES) {
        vf ws = n - i < LANES ? vf_load_part(w + i, n - i) : vf_load(w + i);
        vf reach = vf_max(vf_difference(vf_load(ranges->high + i), ws), vf_difference(ws, vf_load(ranges->low + i)));
        vm wins = vf_at_least(reach, floor);
        vi_compress_store(column + count, vi_add(vi_set((int32_t)i), vi_lane_numbers()), wins);
        count += (size_t)__builtin_popcount(vm_bits(wins));
    }
    while (count > 0 && (size_t)column[count - 1] >= n) --count; /* of lanes past the last column */
    return count;
}

/* Candidates of as many outputs as there is room for. Returns how many. */
static size_t sparse_search(const sparse_ranges *ranges, const lfd_shape *s, const float *w, sparse_candidates *found) {
    size_t count = 0, o = 0;
    for (; o < s->n_out && o < SPARSE_OUTPUTS && count + s->n_in <= SPARSE_CAPACITY; ++o) {
        found->begin[o] = count;
        const float *row = w + o * s->w_stride;
        count = sparse_find(ranges, s->n_in, row, o + 1 < s->n_out ? row + s->w_stride : row, count, found->column);
    }
    found->begin[o] = count;
    return o;
}

/* Raises one output's maxima by its candidates from column first, the block's first, to end. Returns the one that comes
 * next. */
LFD_INLINE size_t sparse_raise(sparse_block *block, size_t o, const sparse_candidates *found, size_t first, size_t end,
                               const float *w, int wanted) {
    size_t k = block->next[o];
    const size_t last = found->begin[o + 1];
    vf most[SPARSE_VECTORS], where[SPARSE_VECTORS];
    if (k == last || (size_t)found->column[k] >= end) return k;
    LFD_UNROLL
    for (size_t v = 0; v < SPARSE_VECTORS; ++v) {
        most[v] = vf_load(block->maximum[o] + v * LANES);
        if (wanted) where[v] = vf_load(block->argmax[o] + v * LANES);
    }
    for (; k < last && (size_t)found->column[k] < end; ++k) {
        const int32_t i = found->column[k];
        const vf weight = vf_set(w[i]), here = vf_bits(vi_set(i));
        LFD_UNROLL
        for (size_t v = 0; v < SPARSE_VECTORS; ++v) {
            vf raised = vf_max_magnitude(most[v], vf_sub(vf_load(block->x[(size_t)i - first] + v * LANES), weight));
            if (wanted) where[v] = vf_select(vf_less(most[v], raised), here, where[v]);
            most[v] = raised;
        }
    }
    LFD_UNROLL
    for (size_t v = 0; v < SPARSE_VECTORS; ++v) {
        vf_store(block->maximum[o] + v * LANES, most[v]);
        if (wanted) vf_store(block->argmax[o] + v * LANES, where[v]);
    }
    return k;
}

/* Up to SPARSE_ROWS samples by the outputs whose candidates were found. argmax or NULL: wanted is a constant. */
LFD_INLINE void sparse_rows(sparse_block *block, const sparse_candidates *found, const lfd_shape *s, const float *x,
                            const float *w, float *y, int32_t *argmax, int wanted) {
    const float *rows[SPARSE_ROWS];
    memset(block->maximum, 0, s->n_out * sizeof *block->maximum);
    if (wanted) memset(block->argmax, 0, s->n_out * sizeof *block->argmax);
    memcpy(block->next, found->begin, s->n_out * sizeof *block->next);
    for (size_t i = 0; i < s->n_in; i += SPARSE_COLUMNS) {
        const size_t n = smaller(SPARSE_COLUMNS, s->n_in - i);
        row_pointers(rows, SPARSE_ROWS, s->batch, x + i, s->x_stride);
        for (size_t b = 0; b < SPARSE_ROWS; b += LANES) rows_to_lanes(rows + b, n, SPARSE_ROWS, block->x[0] + b);
        for (size_t o = 0; o < s->n_out; ++o)
            block->next[o] = sparse_raise(block, o, found, i, i + n, w + o * s->w_stride, wanted);
    }
    lanes_to_rows(s->batch, s->n_out, block->maximum[0], SPARSE_ROWS, y, s->y_stride);
    if (wanted) lanes_to_rows(s->batch, s->n_out, block->argmax[0], SPARSE_ROWS, (float *)(void *)argmax, s->y_stride);
}

size_t ISA(linf_sparse)(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    sparse_ranges ranges;
    sparse_candidates found;
    sparse_block block;
    size_t visited = 0;
    lfd_shape part = *s;
    if (s->batch == 0) return 0;
    sparse_load_ranges(&ranges, s->batch, s->n_in, x, s->x_stride);
    for (size_t o = 0; o < s->n_out; o += part.n_out) {
        part.n_out = s->n_out - o;
        part.n_out = sparse_search(&ranges, &part, w + o * s->w_stride, &found);
        visited += found.begin[part.n_out] * s->batch;
        for (size_t b = 0; b < s->batch; b += SPARSE_ROWS) {
            const float *xs = x + b * s->x_stride, *ws = w + o * s->w_stride;
            const size_t at = b * s->y_stride + o;
            part.batch = smaller(SPARSE_ROWS, s->batch - b);
            if (argmax)
                sparse_rows(&block, &found, &part, xs, ws, y + at, argmax + at, 1);
            else
                sparse_rows(&block, &found, &part, xs, ws, y + at, NULL, 0);
        }
    }
    return visited;
}

size_t ISA(linf_is_sparse)(const lfd_shape *s, const float *x, const float *w) {
    sparse_ranges ranges;
    int32_t column[LFD_SPARSE_INPUTS + LANES];
    size_t candidates = 0, seen = 0;
    if (s->batch < LFD_SPARSE_BATCH || s->n_in > LFD_SPARSE_INPUTS) return 0;
    sparse_load_ranges(&ranges, LFD_SPARSE_SAMPLES, s->n_in, x, s->batch / LFD_SPARSE_SAMPLES * s->x_stride);
    for (size_t o = 0; o < s->n_out; o += LFD_SPARSE_STEP, seen += s->n_in)
        candidates += sparse_find(&ranges, s->n_in, w + o * s->w_stride, w + o * s->w_stride, 0, column);
    return candidates * LFD_SPARSE_SHARE < seen;
}

/* Whichever is quicker. */
static void linf_quicker(const lfd_shape *s, const float *x, const float *w, float *y) {
    if (ISA(linf_is_sparse)(s, x, w))
        ISA(linf_sparse)(s, x, w, y, NULL);
    else
        ISA(linf_forward)(s, x, w, y);
}
