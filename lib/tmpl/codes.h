/* Distances in codes (kernels.h). Blocks of samples stay in the lanes from layer to layer, and rows go together, as in
 * ranked.h: all that are open take their next slice, until no sample can gain from the terms that follow. */

enum { CODE_VECTORS = LFD_CODE_LANES / BYTES };
_Static_assert(LFD_CODE_LANES % BYTES == 0, "a column is whole vectors");
_Static_assert(LFD_CODE_HEAD == 4 && LFD_CODE_RANKS % 8 == 4, "slices are cut into four terms and eights");

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
    for (size_t v = 0; v < CODE_VECTORS; ++v) least[v] = is_first ? vb_set(slice->floor) : vb_load(y + v * BYTES);
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
    for (size_t o = 0; o < rows->n_out; o += SINGLE_ROWS) {
        const lfd_code_slice *slices = rows->slices + o;
        open_rows open;
        open_all(&open, smaller(SINGLE_ROWS, rows->n_out - o));
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

/* ---- one sample ---- */

/* Terms first to first + count of all open rows. Those stay open that may gain from the gaps that follow. */
LFD_INLINE size_t single_terms(open_rows *open, const lfd_code_slice *slices, size_t first, size_t count,
                               const int32_t *x, int32_t *y) {
    const size_t rows = open->count;
    size_t kept = 0;
    for (size_t i = 0; i < rows; ++i) {
        const size_t r = (size_t)open->row[i];
        const lfd_code_slice *slice = &slices[r];
        const int32_t least = least_code(x, slice->column + first, slice->gap + first, count % 8, count / 8);
        __builtin_prefetch(&slices[open->row[i + RANKED_AHEAD]]);
        y[r] = least < y[r] ? least : y[r];
        const int32_t rest = first + count < LFD_CODE_RANKS ? slice->gap[first + count] : slice->rest;
        kept = keep_row(open, kept, r, rest < y[r]);
    }
    open->count = kept;
    return rows * count;
}

static size_t single_code_rows(const lfd_code_rows *rows, size_t o, size_t count, const int32_t *x, int32_t *y) {
    const lfd_code_slice *slices = rows->slices + o;
    open_rows open;
    open_all(&open, count);
    for (size_t r = 0; r < count; ++r) y[r] = slices[r].floor;
    size_t terms = single_terms(&open, slices, 0, LFD_CODE_HEAD, x, y);
    terms += single_terms(&open, slices, LFD_CODE_HEAD, LFD_CODE_RANKS - LFD_CODE_HEAD, x, y);
    for (size_t k = 1; k < rows->count && open.count > 0; ++k)
        terms += single_terms(&open, slices + k * rows->n_out, 0, LFD_CODE_RANKS, x, y);
    return terms;
}

size_t ISA(codes_single)(const lfd_code_rows *rows, const int32_t *x, int32_t *y, int32_t *complements) {
    size_t terms = 0;
    for (size_t o = 0; o < rows->n_out; o += SINGLE_ROWS)
        terms += single_code_rows(rows, o, smaller(SINGLE_ROWS, rows->n_out - o), x, y + o);
    for (size_t o = 0; o < rows->n_out; ++o) complements[o] = LFD_CODE_MOST - y[o];
    return terms;
}
