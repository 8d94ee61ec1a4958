/* Packed operands of the kernels whose lanes run over outputs. A tile of results stays on the stack while the columns
 * pass by, in blocks: of PACK_OUTPUTS rows of w, transposed, and of a register tile's rows of x. Rows that are a
 * multiple of 4 KiB apart would compete for the same few ways of L1; packed ones do not. */

enum {
    PACK_COLUMNS = 128,
    PACK_STRIDE = PACK_COLUMNS + 16, /* an odd number of cache lines: rows do not compete for the same ones */
    PACK_OUTPUTS = 96,               /* of one tile of results */
    PACK_PANELS = PACK_OUTPUTS / LANES,
    PACK_LEAST = 8,      /* rows of x that are worth the packing */
    HIT_COLUMNS = 32,    /* argmaxes are searched for in the block of so many columns that last raised the maximum, */
    HIT_BLOCKS = 1 << 16 /* of which there are at most so many */
};

typedef float packed_w[PACK_PANELS][PACK_COLUMNS][LANES];

/* Lanes run over columns where few rows would share the packing, or where a hit's number would not fit. */
static inline int too_small_to_pack(const lfd_shape *s) {
    return s->batch < PACK_LEAST || s->n_in > (size_t)HIT_BLOCKS * HIT_COLUMNS;
}

/* Columns [0, n) of LANES rows, one vector per column, to to + column * step. */
LFD_INLINE void rows_to_lanes(const float *const *rows, size_t n, size_t step, float *to) {
    size_t i = 0;
    vf columns[LANES];
    for (; i + LANES <= n; i += LANES) {
        LFD_UNROLL
        for (size_t r = 0; r < LANES; ++r) columns[r] = vf_load(rows[r] + i);
        vf_transpose(columns);
        LFD_UNROLL
        for (size_t c = 0; c < LANES; ++c) vf_store(to + (i + c) * step, columns[c]);
    }
    for (; i < n; ++i)
        for (size_t lane = 0; lane < LANES; ++lane) to[i * step + lane] = rows[lane][i];
}

/* And back: n columns of count rows. from has whole groups of LANES columns and rows. */
static void lanes_to_rows(size_t count, size_t n, const float *from, size_t step, float *to, size_t stride) {
    vf rows[LANES];
    for (size_t first = 0; first < count; first += LANES)
        for (size_t i = 0; i < n; i += LANES) {
            LFD_UNROLL
            for (size_t c = 0; c < LANES; ++c) rows[c] = vf_load(from + (i + c) * step + first);
            vf_transpose(rows);
            for (size_t r = 0; r < LANES && first + r < count; ++r) {
                float *row = to + (first + r) * stride + i;
                if (n - i < LANES)
                    vf_store_part(row, rows[r], n - i);
                else
                    vf_store(row, rows[r]);
            }
        }
}

/* Into L2, what the next block of columns packs. */
LFD_INLINE void prefetch_row(const float *row, size_t n) {
    LFD_UNROLL_PARTLY
    for (size_t i = 0; i < n; i += 16) __builtin_prefetch(row + i, 0, 2);
}

/* n columns of outputs rows; lanes past them repeat the last. */
static void pack_w(packed_w packed, size_t outputs, size_t n, const float *w, size_t w_stride) {
    const float *rows[LANES];
    for (size_t o = 0; o < outputs; o += LANES) {
        row_pointers(rows, LANES, smaller(LANES, outputs - o), w + o * w_stride, w_stride);
        rows_to_lanes(rows, n, LANES, packed[o / LANES][0]);
        for (size_t r = 0; r < LANES; ++r) prefetch_row(rows[r] + n, PACK_COLUMNS);
    }
}

/* n columns of one row. */
LFD_INLINE void pack_row(float packed[PACK_STRIDE], size_t n, const float *x) {
    size_t i = 0;
    LFD_UNROLL_PARTLY
    for (; i + LANES <= n; i += LANES) vf_store(packed + i, vf_load(x + i));
    if (i < n) vf_store(packed + i, vf_load_part(x + i, n - i));
}

/* n columns of count rows, of which the first valid exist; the others repeat the last. */
static void pack_x(float (*packed)[PACK_STRIDE], size_t count, size_t valid, size_t n, const float *x,
                   size_t x_stride) {
    for (size_t r = 0; r < count; ++r) {
        const float *row = x + smaller(r, valid - 1) * x_stride;
        prefetch_row(row + n, PACK_COLUMNS);
        if (n == PACK_COLUMNS)
            pack_row(packed[r], PACK_COLUMNS, row);
        else
            pack_row(packed[r], n, row);
    }
}

/* count <= LANES numbers of four bytes, floats or not. */
LFD_INLINE void copy_lanes(void *to, const void *from, size_t count) {
    if (count == LANES)
        vf_store(to, vf_load(from));
    else
        vf_store_part(to, vf_load_part(from, count), count);
}
