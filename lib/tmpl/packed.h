/* Packed operands of the kernels whose lanes run over outputs: a block of columns of PACK_OUTPUTS rows of w,
 * transposed, and of a register tile's rows of x. Packing costs about as much as five rows of x, so many rows share it.
 * Both fit a thread's stack. */

enum {
    PACK_COLUMNS = 256,
    PACK_STRIDE = PACK_COLUMNS + 16, /* an odd number of cache lines: rows do not compete for the same ones */
    PACK_OUTPUTS = 48,
    PACK_PANELS = PACK_OUTPUTS / LANES,
    PACK_LEAST = 8,  /* rows of x that are worth the packing */
    HIT_COLUMNS = 32 /* argmaxes are searched for in the block of so many columns that last raised the maximum */
};

typedef struct packed_w {
    float panels[PACK_PANELS][PACK_COLUMNS][LANES];
} packed_w;

/* Columns [0, n) of LANES rows, one vector per column, to to + column * step. */
static inline void rows_to_lanes(const float *const *rows, size_t n, size_t step, float *to) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vf columns[4];
        vf_columns_4(columns, rows, i);
        LFD_UNROLL
        for (size_t c = 0; c < 4; ++c) vf_store(to + (i + c) * step, columns[c]);
    }
    for (; i < n; ++i)
        for (size_t lane = 0; lane < LANES; ++lane) to[i * step + lane] = rows[lane][i];
}

/* n columns of outputs rows; lanes past them repeat the last. */
static void pack_w(packed_w *packed, size_t outputs, size_t n, const float *w, size_t w_stride) {
    const float *rows[LANES];
    for (size_t o = 0; o < outputs; o += LANES) {
        row_pointers(rows, LANES, smaller(LANES, outputs - o), w + o * w_stride, w_stride);
        rows_to_lanes(rows, n, LANES, packed->panels[o / LANES][0]);
    }
}

/* n columns of count rows, of which the first valid exist; the others repeat the last. */
static void pack_x(float (*packed)[PACK_STRIDE], size_t count, size_t valid, size_t n, const float *x,
                   size_t x_stride) {
    for (size_t r = 0; r < count; ++r) {
        const float *row = x + smaller(r, valid - 1) * x_stride;
        size_t i = 0;
        for (; i + LANES <= n; i += LANES) vf_store(packed[r] + i, vf_load(row + i));
        if (i < n) vf_store(packed[r] + i, vf_load_part(row + i, n - i));
    }
}

/* count <= LANES numbers of four bytes, floats or not. */
LFD_INLINE void copy_lanes(void *to, const void *from, size_t count) {
    if (count == LANES)
        vf_store(to, vf_load(from));
    else
        vf_store_part(to, vf_load_part(from, count), count);
}

/* A row that a search visits next. */
LFD_INLINE void prefetch_row(const float *row, size_t n) {
    for (size_t i = 0; i < n; i += 16) __builtin_prefetch(row + i, 0, 2);
}
