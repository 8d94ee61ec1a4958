/* Distances in codes (kernels.h). Blocks of samples stay in the lanes from layer to layer, and rows go together, as in
 * ranked.h: all that are open take their next slice, until no sample can gain from the terms that follow. */

enum { CODE_VECTORS = LFD_CODE_LANES / BYTES };
enum { CODE_ROWS = 2048 }; /* that go together */

/* The terms of one slice. */
LFD_INLINE void code_slice(const lfd_code_slice *slice, const uint8_t *x, vb least[CODE_VECTORS]) {
    LFD_UNROLL
    for (size_t i = 0; i < LFD_CODE_RANKS; ++i) {
        const uint8_t *column = x + (size_t)slice->column[i] * LFD_CODE_LANES;
        const vb gap = vb_set(slice->gap[i]);
        for (size_t v = 0; v < CODE_VECTORS; ++v)
            least[v] = vb_min(least[v], vb_add_up_to_255(gap, vb_load(column + v * BYTES)));
    }
}

/* Whether a sample may still gain from gaps of rest and more. */
LFD_INLINE int code_open(const vb least[CODE_VECTORS], uint8_t rest) {
    vb most = least[0];
    for (size_t v = 1; v < CODE_VECTORS; ++v) most = vb_max(most, least[v]);
    return vb_any_above(most, rest);
}

/* One slice of the row whose codes are y. Returns whether it stays open. */
LFD_INLINE int take_code_slice(const lfd_code_slice *slice, const uint8_t *x, int is_first, uint8_t *y) {
    vb least[CODE_VECTORS];
    for (size_t v = 0; v < CODE_VECTORS; ++v) least[v] = is_first ? vb_set(LFD_CODE_MOST) : vb_load(y + v * BYTES);
    code_slice(slice, x, least);
    for (size_t v = 0; v < CODE_VECTORS; ++v) vb_store(y + v * BYTES, least[v]);
    return code_open(least, slice->rest);
}

/* The next slice of all open rows. */
LFD_INLINE void take_code_slices(open_rows *open, const lfd_code_slice *slices, const uint8_t *x, int is_first,
                                 uint8_t *y) {
    const size_t count = open->count;
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t r = (size_t)open->row[i];
        __builtin_prefetch(&slices[open->row[i + RANKED_AHEAD]]);
        kept = keep_row(open, kept, r, take_code_slice(&slices[r], x, is_first, y + r * LFD_CODE_LANES));
    }
    open->count = kept;
}

static void complement_all(size_t bytes, const uint8_t *codes, uint8_t *complements) {
    for (size_t i = 0; i < bytes; i += BYTES) vb_store(complements + i, vb_complement(vb_load(codes + i)));
}

size_t ISA(codes_forward)(const lfd_code_rows *rows, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    size_t taken = 0;
    for (size_t o = 0; o < rows->n_out; o += CODE_ROWS) {
        const lfd_code_slice *slices = rows->slices + o;
        open_rows open;
        open_all(&open, smaller(CODE_ROWS, rows->n_out - o));
        for (size_t k = 0; k < rows->count && open.count > 0; ++k, slices += rows->n_out) {
            taken += open.count;
            if (k == 0)
                take_code_slices(&open, slices, x, 1, y + o * LFD_CODE_LANES);
            else
                take_code_slices(&open, slices, x, 0, y + o * LFD_CODE_LANES);
        }
    }
    complement_all(rows->n_out * LFD_CODE_LANES, y, complements);
    return taken;
}

void ISA(codes_pack)(size_t n, const uint8_t *rows, size_t stride, uint8_t *columns, uint8_t *complements) {
    for (size_t i = 0; i < n; i += BLOCK_BYTES)
        for (size_t lane = 0; lane < LFD_CODE_LANES; lane += BLOCK_BYTES)
            transpose_16(rows + lane * stride + i, stride, smaller(BLOCK_BYTES, n - i),
                         columns + i * LFD_CODE_LANES + lane, LFD_CODE_LANES);
    complement_all(n * LFD_CODE_LANES, columns, complements);
}

void ISA(codes_of)(size_t n, const float *x, float top, float scale, float shift, uint8_t *codes) {
    for (size_t i = 0; i < n; ++i) {
        const float steps = (top - x[i]) * scale - shift;
        const float inside = steps > 0.0f ? steps < (float)LFD_CODE_MOST ? steps : (float)LFD_CODE_MOST : 0.0f;
        codes[i] = (uint8_t)(inside + 0.5f);
    }
}

/* ---- one sample: rows in the lanes ---- */

/* Columns with small codes, the likely winners, meet all rows. The others have codes of more than bound, so that few
 * gaps of a row can still matter. */
enum { HOT_MOST = 128, HOT_VECTORS = 8, HOT_SHARE = 8 };

typedef struct hot_columns {
    size_t count;
    unsigned bound; /* codes of the other columns are at least this */
    uint16_t column[HOT_MOST];
} hot_columns;

static size_t count_up_to(const uint8_t *x, size_t n, uint8_t most) {
    size_t count = 0;
    for (size_t i = 0; i < n; i += BYTES) count += (size_t)__builtin_popcountll(vb_bits_up_to(vb_load(x + i), most));
    return count;
}

/* The largest bound that leaves at most HOT_MOST columns below it. */
static unsigned hot_bound(const uint8_t *x, size_t n) {
    unsigned low = 0, high = LFD_CODE_MOST + 1; /* bounds: few enough columns are below low */
    while (high - low > 1) {
        const unsigned middle = (low + high) / 2;
        if (count_up_to(x, n, (uint8_t)(middle - 1)) <= HOT_MOST)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* n is a multiple of LFD_CODE_LANES. */
static void find_hot(const uint8_t *x, size_t n, hot_columns *hot) {
    hot->count = 0;
    hot->bound = hot_bound(x, n);
    if (hot->bound == 0) return;
    for (size_t i = 0; i < n; i += BYTES)
        for (uint64_t below = vb_bits_up_to(vb_load(x + i), (uint8_t)(hot->bound - 1)); below; below &= below - 1)
            hot->column[hot->count++] = (uint16_t)(i + (size_t)__builtin_ctzll(below));
}

/* Raises count vectors of rows. */
LFD_INLINE void hot_rows(const lfd_code_rows *rows, const hot_columns *hot, size_t count, size_t o, const uint8_t *x,
                         uint8_t *y) {
    vb least[HOT_VECTORS];
    for (size_t v = 0; v < count; ++v) least[v] = vb_load(y + o + v * BYTES);
    for (size_t h = 0; h < hot->count; ++h) {
        const uint8_t *gaps = rows->gaps + hot->column[h] * lfd_code_columns(rows->n_out) + o;
        const vb code = vb_set(x[hot->column[h]]);
        for (size_t v = 0; v < count; ++v)
            least[v] = vb_min(least[v], vb_add_up_to_255(code, vb_load(gaps + v * BYTES)));
    }
    for (size_t v = 0; v < count; ++v) vb_store(y + o + v * BYTES, least[v]);
}

static void all_hot_rows(const lfd_code_rows *rows, const hot_columns *hot, const uint8_t *x, uint8_t *y) {
    const size_t columns = lfd_code_columns(rows->n_out);
    size_t o = 0;
    for (; o + HOT_VECTORS * BYTES <= columns; o += HOT_VECTORS * BYTES) hot_rows(rows, hot, HOT_VECTORS, o, x, y);
    for (; o < columns; o += BYTES) hot_rows(rows, hot, 1, o, x, y);
}

/* The least code of count terms of a row, at most least. */
LFD_INLINE unsigned least_of_terms(const lfd_code_slice *slice, size_t first, size_t count, const uint8_t *x,
                                   unsigned least) {
    for (size_t i = first; i < first + count; ++i) {
        const unsigned term = (unsigned)x[slice->column[i]] + slice->gap[i];
        least = term < least ? term : least;
    }
    return least;
}

/* First ranks of all rows. Those that may still gain are open. */
static void code_heads(const lfd_code_rows *rows, size_t o, size_t count, const uint8_t *x, uint8_t *y,
                       open_rows *open) {
    size_t kept = 0;
    for (size_t r = 0; r < count; ++r) {
        const lfd_code_slice *slice = &rows->slices[o + r];
        const unsigned least = least_of_terms(slice, 0, LFD_CODE_HEAD, x, LFD_CODE_MOST);
        y[o + r] = (uint8_t)least;
        kept = keep_row(open, kept, r, slice->gap[LFD_CODE_HEAD] < least);
    }
    open->count = kept;
}

/* What is left of an open row. Returns the terms. */
static size_t code_rest(const lfd_code_rows *rows, size_t o, unsigned bound, const uint8_t *x, uint8_t *y) {
    const lfd_code_slice *slice = &rows->slices[o];
    if (slice->gap[LFD_CODE_HEAD] + bound >= y[o]) return 0;
    unsigned least = least_of_terms(slice, LFD_CODE_HEAD, LFD_CODE_RANKS - LFD_CODE_HEAD, x, y[o]);
    size_t terms = LFD_CODE_RANKS - LFD_CODE_HEAD;
    for (; slice->rest + bound < least; terms += LFD_CODE_RANKS) {
        slice += rows->n_out;
        least = least_of_terms(slice, 0, LFD_CODE_RANKS, x, least);
    }
    y[o] = (uint8_t)least;
    return terms;
}

size_t ISA(codes_single)(const lfd_code_rows *rows, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    const size_t columns = lfd_code_columns(rows->n_out);
    hot_columns hot = {0};
    open_rows open;
    size_t terms = LFD_CODE_HEAD * rows->n_out;
    code_heads(rows, 0, rows->n_out, x, y, &open);
    if (open.count * HOT_SHARE > rows->n_out) {
        find_hot(x, 2 * lfd_code_columns(rows->n_in), &hot);
        all_hot_rows(rows, &hot, x, y);
        terms += hot.count * rows->n_out;
    }
    for (size_t i = 0; i < open.count; ++i) terms += code_rest(rows, (size_t)open.row[i], hot.bound, x, y);
    memset(y + rows->n_out, LFD_CODE_MOST, columns - rows->n_out);
    complement_all(columns, y, complements);
    memset(complements + rows->n_out, LFD_CODE_MOST, columns - rows->n_out);
    return terms;
}
