/* Distances in codes (kernels.h). Blocks of samples stay in the lanes from layer to layer, and rows go together, as in
 * ranked.h: all that are open take their next slice, until no sample can gain from the terms that follow. */

enum { CODE_VECTORS = LFD_CODE_LANES / BYTES };
_Static_assert(LFD_CODE_LANES % BYTES == 0 && (int)LFD_CODE_FEW_LANES == (int)BLOCK_BYTES, "columns are whole vectors");

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
typedef int take_code_slice_fn(const lfd_code_slice *slice, const uint8_t *x, int is_first, uint8_t *y);

LFD_INLINE int take_code_slice(const lfd_code_slice *slice, const uint8_t *x, int is_first, uint8_t *y) {
    vb least[CODE_VECTORS];
    for (size_t v = 0; v < CODE_VECTORS; ++v) least[v] = is_first ? vb_set(slice->floor) : vb_load(y + v * BYTES);
    code_slice(slice, x, least);
    for (size_t v = 0; v < CODE_VECTORS; ++v) vb_store(y + v * BYTES, least[v]);
    return code_open(least, slice->rest);
}

/* For few samples, whose columns fit into L1. */
LFD_INLINE int take_code_slice_16(const lfd_code_slice *slice, const uint8_t *x, int is_first, uint8_t *y) {
    vb16 least = is_first ? vb16_set(slice->floor) : vb16_load(y);
    LFD_UNROLL
    for (size_t i = 0; i < LFD_CODE_RANKS; ++i) {
        const vb16 column = vb16_load(x + (size_t)slice->column[i] * LFD_CODE_FEW_LANES);
        least = vb16_min(least, vb16_add_up_to_255(vb16_set(slice->gap[i]), column));
    }
    vb16_store(y, least);
    return vb16_any_above(least, slice->rest);
}

/* For one sample. */
LFD_INLINE int take_code_slice_1(const lfd_code_slice *slice, const uint8_t *x, int is_first, uint8_t *y) {
    int32_t least[2] = {is_first ? slice->floor : *y, LFD_CODE_MOST}; /* comparisons need not wait for each other */
    LFD_UNROLL
    for (size_t i = 0; i < LFD_CODE_RANKS; ++i) {
        const int32_t term = x[slice->column[i]] + slice->gap[i];
        least[i % 2] = term < least[i % 2] ? term : least[i % 2];
    }
    *y = (uint8_t)(least[0] < least[1] ? least[0] : least[1]);
    return *y > slice->rest;
}

/* The next slice of all open rows. */
LFD_INLINE void take_code_slices(open_rows *open, const lfd_code_slice *slices, size_t lanes, take_code_slice_fn *take,
                                 const uint8_t *x, int is_first, uint8_t *y) {
    const size_t count = open->count;
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t r = (size_t)open->row[i];
        __builtin_prefetch(&slices[open->row[i + RANKED_AHEAD]]);
        kept = keep_row(open, kept, r, take(&slices[r], x, is_first, y + r * lanes));
    }
    open->count = kept;
}

/* Returns the slices taken. */
LFD_INLINE size_t code_rows(const lfd_code_rows *rows, size_t lanes, take_code_slice_fn *take, const uint8_t *x,
                            uint8_t *y) {
    size_t taken = 0;
    for (size_t o = 0; o < rows->n_out; o += SINGLE_ROWS) {
        const lfd_code_slice *slices = rows->slices + o;
        open_rows open;
        open_all(&open, smaller(SINGLE_ROWS, rows->n_out - o));
        taken += open.count;
        take_code_slices(&open, slices, lanes, take, x, 1, y + o * lanes);
        for (size_t k = 1; k < rows->count && open.count > 0; ++k) {
            taken += open.count;
            take_code_slices(&open, slices + k * rows->n_out, lanes, take, x, 0, y + o * lanes);
        }
    }
    return taken;
}

static void complement_all(size_t bytes, const uint8_t *codes, uint8_t *complements) {
    size_t i = 0;
    for (; i + BYTES <= bytes; i += BYTES) vb_store(complements + i, vb_complement(vb_load(codes + i)));
    for (; i + BLOCK_BYTES <= bytes; i += BLOCK_BYTES)
        vb16_store(complements + i, vb16_complement(vb16_load(codes + i)));
    for (; i < bytes; ++i) complements[i] = (uint8_t)(LFD_CODE_MOST - codes[i]);
}

static size_t code_rows_in_lanes(const lfd_code_rows *rows, size_t lanes, const uint8_t *x, uint8_t *y) {
    if (lanes == LFD_CODE_LANES) return code_rows(rows, LFD_CODE_LANES, take_code_slice, x, y);
    if (lanes == LFD_CODE_FEW_LANES) return code_rows(rows, LFD_CODE_FEW_LANES, take_code_slice_16, x, y);
    return code_rows(rows, 1, take_code_slice_1, x, y);
}

size_t ISA(codes_forward)(const lfd_code_rows *rows, size_t lanes, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    const size_t taken = code_rows_in_lanes(rows, lanes, x, y);
    complement_all(rows->n_out * lanes, y, complements);
    return taken;
}

void ISA(codes_pack)(size_t n, size_t lanes, const uint8_t *rows, size_t stride, uint8_t *columns,
                     uint8_t *complements) {
    for (size_t i = 0; i < n; i += BLOCK_BYTES)
        for (size_t lane = 0; lane < lanes; lane += BLOCK_BYTES)
            transpose_16(rows + lane * stride + i, stride, smaller(BLOCK_BYTES, n - i), columns + i * lanes + lane,
                         lanes);
    complement_all(n * lanes, columns, complements);
}

void ISA(codes_of)(size_t n, const float *x, float top, float scale, float shift, uint8_t *codes) {
    const vf zero = vf_set(0.0f), most = vf_set((float)LFD_CODE_MOST), half = vf_set(0.5f);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf steps = vf_sub(vf_mul(vf_sub(vf_set(top), vf_load(x + i)), vf_set(scale)), vf_set(shift));
        vf_store_bytes(codes + i, vf_add(vf_min(vf_max(steps, zero), most), half));
    }
    for (; i < n; ++i) codes[i] = lfd_code_of(x[i], top, scale, shift);
}
