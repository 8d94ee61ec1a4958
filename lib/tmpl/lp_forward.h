/* l_p forward: every sum runs over its columns in ascending order. Where most terms matter, lanes over outputs: the
 * rows of w are transposed panel by panel. Where few do, lanes over samples (lp_forward_live.h). */

enum {
    PANEL = 32,          /* outputs of a panel, a multiple of 2 LANES */
    PANEL_COLUMNS = 128, /* columns transposed at a time */
    PANEL_ROWS = 48      /* rows of x per block, a multiple of LIVE_ROWS */
};
/* What one block of PANEL_ROWS x PANEL outputs needs; about 35 KiB, on the stack. */
typedef struct panel_block {
    size_t rows, outputs; /* valid ones */
    _Alignas(64) float sum[PANEL_ROWS][PANEL];
    float maximum[PANEL_ROWS][PANEL];
    float inverse[PANEL_ROWS][PANEL]; /* scale / maximum; 0 where the reference takes over */
    _Alignas(64) float columns[PANEL_COLUMNS][PANEL];
} panel_block;

/* columns[i][o] = w[o][i]; outputs past the last repeat it. */
static void panel_transpose(panel_block *block, const float *w, size_t w_stride, size_t n) {
    const float *rows[PANEL];
    row_pointers(rows, PANEL, block->outputs, w, w_stride);
    for (size_t o = 0; o < PANEL; o += LANES) rows_to_lanes(rows + o, n, PANEL, block->columns[0] + o);
}

/* sum[b .. b + rows) += |x - w|^n over count columns, of two vectors of outputs from o on. */
LFD_INLINE void panel_integer(panel_block *block, size_t b, size_t rows, size_t o, int n, const float *const *x,
                              size_t count) {
    vf sums[PANEL_ROWS_X][2];
    LFD_UNROLL
    for (size_t r = 0; r < rows; ++r) {
        sums[r][0] = vf_load(block->sum[b + r] + o);
        sums[r][1] = vf_load(block->sum[b + r] + o + LANES);
    }
    for (size_t i = 0; i < count; ++i) {
        vf w0 = vf_load(block->columns[i] + o), w1 = vf_load(block->columns[i] + o + LANES);
        LFD_UNROLL
        for (size_t r = 0; r < rows; ++r) {
            vf xs = vf_set(x[r][i]);
            sums[r][0] = vf_add(sums[r][0], integer_power(vf_sub(xs, w0), n));
            sums[r][1] = vf_add(sums[r][1], integer_power(vf_sub(xs, w1), n));
        }
    }
    LFD_UNROLL
    for (size_t r = 0; r < rows; ++r) {
        vf_store(block->sum[b + r] + o, sums[r][0]);
        vf_store(block->sum[b + r] + o + LANES, sums[r][1]);
    }
}

/* The same for any p and rows <= GENERAL_ROWS_X: terms normalised by the maximum. */
LFD_INLINE void panel_general(panel_block *block, size_t b, size_t rows, size_t o, const power_pieces *pieces,
                              const float *const *x, size_t count) {
    enum { MOST = 2 * GENERAL_ROWS_X }; /* two halves of a row, then those of the next */
    vf sum[MOST], term[MOST];
    LFD_UNROLL
    for (size_t v = 0; v < 2 * rows; ++v) sum[v] = vf_load(block->sum[b + v / 2] + o + v % 2 * LANES);
    for (size_t i = 0; i < count; ++i) {
        LFD_UNROLL
        for (size_t v = 0; v < 2 * rows; ++v) {
            vf t = vf_sub(vf_set(x[v / 2][i]), vf_load(block->columns[i] + o + v % 2 * LANES));
            term[v] = vf_mul(t, vf_load(block->inverse[b + v / 2] + o + v % 2 * LANES));
        }
        powers(2 * rows, term, pieces, 0);
        LFD_UNROLL
        for (size_t v = 0; v < 2 * rows; ++v) sum[v] = vf_add(sum[v], term[v]);
    }
    LFD_UNROLL
    for (size_t v = 0; v < 2 * rows; ++v) vf_store(block->sum[b + v / 2] + o + v % 2 * LANES, sum[v]);
}

/* The sums of rows rows, 1 or a register tile's, over one transposed range of columns. n = 0: any p. */
LFD_INLINE void panel_tile(panel_block *block, size_t b, size_t rows, int n, const power_pieces *pieces, const float *x,
                           size_t x_stride, size_t count) {
    const float *row[PANEL_ROWS_X];
    row_pointers(row, rows, rows, x + b * x_stride, x_stride);
    for (size_t o = 0; o < PANEL; o += 2 * LANES)
        if (n > 0)
            panel_integer(block, b, rows, o, n, row, count);
        else
            panel_general(block, b, rows, o, pieces, row, count);
}

/* Those of all rows of the block. */
LFD_INLINE void panel_rows(panel_block *block, int n, const lfd_power *power, const float *x, size_t x_stride,
                           size_t count) {
    const power_pieces pieces = power_load(&power->forward);
    const size_t step = n > 0 ? PANEL_ROWS_X : GENERAL_ROWS_X;
    size_t b = 0;
    for (; b + step <= block->rows; b += step) panel_tile(block, b, step, n, &pieces, x, x_stride, count);
    for (; b < block->rows; ++b) panel_tile(block, b, 1, n, &pieces, x, x_stride, count);
}

typedef void panel_rows_fn(panel_block *block, const lfd_power *power, const float *x, size_t x_stride, size_t count);
#define PANEL_ROWS_OF(n)                                                                                               \
    static void panel_rows_##n(panel_block *block, const lfd_power *power, const float *x, size_t x_stride,            \
                               size_t count) {                                                                         \
        panel_rows(block, n, power, x, x_stride, count);                                                               \
    }
PANEL_ROWS_OF(0)
PANEL_ROWS_OF(1)
PANEL_ROWS_OF(2)
PANEL_ROWS_OF(3)
PANEL_ROWS_OF(4)
PANEL_ROWS_OF(5)
PANEL_ROWS_OF(6)
PANEL_ROWS_OF(7)
PANEL_ROWS_OF(8)
static panel_rows_fn *const panel_rows_by_power[] = {panel_rows_0, panel_rows_1, panel_rows_2,
                                                     panel_rows_3, panel_rows_4, panel_rows_5,
                                                     panel_rows_6, panel_rows_7, panel_rows_8};

static void panel_dense(panel_block *block, const lfd_shape *s, int n, const lfd_power *power, const float *x,
                        const float *w) {
    for (size_t i = 0; i < s->n_in; i += PANEL_COLUMNS) {
        size_t count = smaller(PANEL_COLUMNS, s->n_in - i);
        panel_transpose(block, w + i, s->w_stride, count);
        panel_rows_by_power[n](block, power, x + i, s->x_stride, count);
    }
}

/* Reciprocals of the maxima; maxima too small for them (or 0) are left to the reference. */
static void panel_prepare(panel_block *block, const lfd_power *power) {
    vf tiny = vf_set(LFD_TINY), scale = vf_set(power->forward.scale), zero = vf_set(0.0f);
    for (size_t b = 0; b < block->rows; ++b)
        for (size_t o = 0; o < PANEL; o += LANES) {
            vf maximum = vf_load(block->maximum[b] + o);
            vm left_out = vf_less(maximum, tiny);
            vf_store(block->inverse[b] + o, vf_select(left_out, zero, vf_div(scale, maximum)));
            vf_store(block->sum[b] + o, zero);
        }
}

/* maximum <- the distances. */
static void panel_roots(panel_block *block, const lfd_power *power) {
    for (size_t b = 0; b < block->rows; ++b)
        for (size_t o = 0; o < PANEL; o += LANES) {
            float *maximum = block->maximum[b] + o;
            vf_store(maximum, root_of_sum(vf_load(maximum), vf_load(block->sum[b] + o), power));
        }
}

/* From the maxima of the block to its distances, by the normalised formula. */
static void panel_normalised(panel_block *block, const lfd_shape *s, const lfd_power *power, const float *x,
                             const float *w) {
    lfd_shape part = *s;
    part.y_stride = PANEL;
    panel_prepare(block, power);
    panel_dense(block, s, 0, power, x, w);
    panel_roots(block, power);
    forward_tiny(&part, power, x, w, block->maximum[0]);
}

/* y <- the roots of the plain sums; returns how many sums were out of their safe range, and leaves those at -1. */
static size_t panel_integer_roots(const panel_block *block, int n, float *y, size_t y_stride) {
    size_t unsafe = 0;
    float roots[PANEL];
    for (size_t b = 0; b < block->rows; ++b) {
        for (size_t o = 0; o < PANEL; o += LANES) vf_store(roots + o, integer_root(vf_load(block->sum[b] + o), n));
        for (size_t o = 0; o < block->outputs; ++o) {
            int safe = block->sum[b][o] >= LFD_SUM_LOW && block->sum[b][o] <= LFD_SUM_HIGH;
            y[b * y_stride + o] = safe ? roots[o] : -1.0f;
            unsafe += !safe;
        }
    }
    return unsafe;
}

/* Writes the block's distances to y; after a plain pass (only_unsafe) just those that it left at -1. */
static void panel_store(const panel_block *block, int only_unsafe, float *y, size_t y_stride) {
    for (size_t b = 0; b < block->rows; ++b)
        for (size_t o = 0; o < block->outputs; ++o)
            if (!only_unsafe || y[b * y_stride + o] < 0.0f) y[b * y_stride + o] = block->maximum[b][o];
}

/* One block; at any p but small integers y holds the maxima. */
static void panel_forward(panel_block *block, const lfd_shape *s, const lfd_power *power, const float *x,
                          const float *w, float *y) {
    lfd_shape part = *s;
    part.y_stride = PANEL;
    memset(block->maximum, 0, sizeof block->maximum);
    if (power->integer) {
        memset(block->sum, 0, sizeof block->sum);
        panel_dense(block, s, power->integer, power, x, w);
        if (panel_integer_roots(block, power->integer, y, s->y_stride) == 0) return;
        ISA(linf_forward)(&part, x, w, block->maximum[0]);
    } else
        for (size_t b = 0; b < block->rows; ++b)
            memcpy(block->maximum[b], y + b * s->y_stride, block->outputs * sizeof *y);
    panel_normalised(block, s, power, x, w);
    panel_store(block, power->integer, y, s->y_stride);
}

/* All terms, panel by panel; at any p but small integers y holds the maxima. */
LFD_APART void forward_dense(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, float *y) {
    panel_block block;
    lfd_shape part = *s;
    for (size_t o = 0; o < s->n_out; o += PANEL)
        for (size_t b = 0; b < s->batch; b += PANEL_ROWS) {
            part.batch = block.rows = smaller(PANEL_ROWS, s->batch - b);
            part.n_out = block.outputs = smaller(PANEL, s->n_out - o);
            panel_forward(&block, &part, power, x + b * s->x_stride, w + o * s->w_stride, y + b * s->y_stride + o);
        }
}

void ISA(lp_forward)(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, float *y) {
    lfd_shape part = *s;
    if (power->integer) {
        forward_dense(s, power, x, w, y);
        return;
    }
    linf_quicker(s, x, w, y);
    for (size_t o = 0; o < s->n_out; o += LIVE_OUTPUTS)
        for (size_t b = 0; b < s->batch; b += PANEL_ROWS) {
            const float *xs = x + b * s->x_stride, *ws = w + o * s->w_stride;
            float *ys = y + b * s->y_stride + o;
            part.batch = smaller(PANEL_ROWS, s->batch - b);
            part.n_out = smaller(LIVE_OUTPUTS, s->n_out - o);
            (forward_is_sparse(&part, power, xs, ws, ys) ? forward_sparse : forward_dense)(&part, power, xs, ws, ys);
        }
}
