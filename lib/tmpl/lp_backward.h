/* l_p backward: grad_x sums over outputs and grad_w over samples, both in ascending order, in one pass. Where most
 * terms matter, lanes over columns: blocks of GRADIENT_OUTPUTS outputs, packed. Where few do, lanes over samples
 * (lp_backward_live.h). */

enum {
    GRADIENT_OUTPUTS = 64,
    GRADIENT_COLUMNS = LIVE_COLUMNS,
    GRADIENT_BLOCK = 24,                /* samples per block, a multiple of every register tile's rows */
    GRADIENT_GROUP = 8 * GRADIENT_BLOCK /* samples that are treated alike; a multiple of LIVE_ROWS too */
};
_Static_assert((int)GRADIENT_BLOCK % GRADIENT_ROWS_X == 0 && (int)GRADIENT_GROUP % (int)LIVE_ROWS == 0,
               "tiles and vectors of samples are full");
/* Share of places where some sample has a term that matters, below which looking for them beats computing all terms.
 * Measured. */
static const float GRADIENT_FEW = 0.55f;

/* Per (sample, output) of one block. A term is grad sign(u) |u|^(p - 1) with u = t inverse, t = x - w. */
typedef struct gradient_factors {
    float inverse[GRADIENT_BLOCK][GRADIENT_OUTPUTS]; /* 1 (any p: scale) / distance, 0 for 0; plain: 1 */
    float grad[GRADIENT_BLOCK][GRADIENT_OUTPUTS];    /* grad_y; plain: grad_y / distance^(p - 1) */
    int plain;                                       /* all of them: inverses are 1 */
} gradient_factors;

/* One vector of columns of the block's outputs, contiguous: rows of w at a stride of 4 KiB would all fall into the same
 * few lines of the cache. */
typedef struct gradient_panel {
    _Alignas(64) float w[GRADIENT_OUTPUTS][LANES], grad_w[GRADIENT_OUTPUTS][LANES];
} gradient_panel;

LFD_INLINE vf load_columns(const float *p, size_t part) {
    return part ? vf_load_part(p, part) : vf_load(p);
}

/* Small integer p, one vector of outputs: plain where the reference is; returns the bits of the others. */
LFD_INLINE uint32_t gradient_plain(int n, vf distance, vf grad_y, vf *inverse, vf *grad) {
    vf product = vf_mul(integer_gradient(*inverse, n), grad_y), one = vf_set(1.0f);
    vf size = vf_select(vf_equal(grad_y, vf_set(0.0f)), one, vf_abs(product));
    /* 1 where all is in its range, else 0 */
    vf fits = vf_keep(vf_at_least(distance, vf_set(LFD_PLAIN_LOW)), one);
    fits = vf_keep(vf_at_least(vf_set(LFD_PLAIN_HIGH), distance), fits);
    fits = vf_keep(vf_at_least(size, vf_set(LFD_PLAIN_FACTOR_LOW)), fits);
    fits = vf_keep(vf_at_least(vf_set(LFD_PLAIN_FACTOR_HIGH), size), fits);
    vm plain = vf_equal(fits, one);
    *inverse = vf_select(plain, one, *inverse);
    *grad = vf_select(plain, product, grad_y);
    return vm_bits(vf_less(fits, one));
}

LFD_INLINE void gradient_prepare(gradient_factors *f, const lfd_shape *s, int n, const lfd_power *power, const float *y,
                                 const float *grad_y) {
    vf zero = vf_set(0.0f);
    vf numerator = vf_set(n > 0 ? 1.0f : power->backward.scale);
    uint32_t others = 0;
    for (size_t r = 0; r < s->batch; ++r)
        for (size_t o = 0; o < s->n_out; o += LANES) {
            size_t part = s->n_out - o < LANES ? s->n_out - o : 0;
            vf distance = load_columns(y + r * s->y_stride + o, part);
            vf grad = load_columns(grad_y + r * s->y_stride + o, part);
            vm positive = vf_less(zero, distance);
            vf inverse = vf_keep(positive, vf_div(numerator, distance));
            uint32_t valid = part ? (1u << part) - 1 : ~0u;
            if (n > 0) others |= valid & gradient_plain(n, distance, grad, &inverse, &grad);
            vf_store(f->inverse[r] + o, inverse);
            vf_store(f->grad[r] + o, grad);
        }
    f->plain = others == 0;
}

/* grad_x[b] += and *grad_w -= the terms of rows samples from row r on and one output o. */
LFD_INLINE void gradient_integer(size_t rows, int n, int plain, const gradient_factors *f, size_t r, size_t o,
                                 const vf *x, vf w, vf *grad_x, vf *grad_w) {
    vf term[GRADIENT_ROWS_X];
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        term[b] = vf_sub(x[b], w);
        if (!plain) term[b] = vf_mul(term[b], vf_set(f->inverse[r + b][o]));
    }
    integer_gradients(rows, term, n);
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) term[b] = vf_mul(term[b], vf_set(f->grad[r + b][o]));
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        grad_x[b] = vf_add(grad_x[b], term[b]);
        *grad_w = vf_sub(*grad_w, term[b]);
    }
}

LFD_INLINE void gradient_general(size_t rows, const power_pieces *pieces, const gradient_factors *f, size_t r, size_t o,
                                 const vf *x, vf w, vf *grad_x, vf *grad_w) {
    vf power[GRADIENT_ROWS_X];
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) power[b] = vf_mul(vf_sub(x[b], w), vf_set(f->inverse[r + b][o]));
    powers(rows, power, pieces, 1);
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        vf term = vf_mul(power[b], vf_set(f->grad[r + b][o]));
        grad_x[b] = vf_add(grad_x[b], term);
        *grad_w = vf_sub(*grad_w, term);
    }
}

LFD_INLINE void store_columns(float *p, vf a, size_t part) {
    if (part)
        vf_store_part(p, a, part);
    else
        vf_store(p, a);
}

/* One register tile: rows samples by outs outputs [o, o + outs) by one vector of columns. */
LFD_INLINE void gradient_tile(size_t rows, size_t outs, int n, int plain, const power_pieces *pieces,
                              const gradient_factors *f, size_t r, size_t o, const vf *x, gradient_panel *panel,
                              vf *grad_x) {
    LFD_UNROLL
    for (size_t c = 0; c < outs; ++c) {
        vf ws = vf_load(panel->w[o + c]), sum = vf_load(panel->grad_w[o + c]);
        if (n > 0)
            gradient_integer(rows, n, plain, f, r, o + c, x, ws, grad_x, &sum);
        else
            gradient_general(rows, pieces, f, r, o + c, x, ws, grad_x, &sum);
        vf_store(panel->grad_w[o + c], sum);
    }
}

/* All outputs of the block for rows samples and one vector of columns (part of one if part > 0). */
LFD_INLINE void gradient_columns(size_t rows, size_t part, int n, int plain, const power_pieces *pieces,
                                 const gradient_factors *f, size_t r, size_t outputs, const float *x, size_t x_stride,
                                 gradient_panel *panel, float *grad_x) {
    vf xs[GRADIENT_ROWS_X], sums[GRADIENT_ROWS_X];
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        xs[b] = load_columns(x + b * x_stride, part);
        sums[b] = grad_x ? load_columns(grad_x + b * x_stride, part) : vf_set(0.0f);
    }
    size_t o = 0;
    for (; o + GRADIENT_ROWS_W <= outputs; o += GRADIENT_ROWS_W)
        gradient_tile(rows, GRADIENT_ROWS_W, n, plain, pieces, f, r, o, xs, panel, sums);
    for (; o < outputs; ++o) gradient_tile(rows, 1, n, plain, pieces, f, r, o, xs, panel, sums);
    if (!grad_x) return;
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) store_columns(grad_x + b * x_stride, sums[b], part);
}

/* The register tile of samples from row r on: rows of x are apart, and nothing else foresees them. */
LFD_INLINE void gradient_prefetch(const lfd_shape *s, size_t r, const float *x, const float *grad_x) {
    for (size_t b = r; b < smaller(r + GRADIENT_ROWS_X, s->batch); ++b) {
        prefetch_row(x + b * s->x_stride, LANES);
        if (grad_x) prefetch_row(grad_x + b * s->x_stride, LANES);
    }
}

/* The samples and outputs of s, one block, all its columns. */
LFD_INLINE void gradient_rows(const lfd_shape *s, int n, int plain, const power_pieces *pieces,
                              const gradient_factors *f, const float *x, gradient_panel *panel, float *grad_x) {
    for (size_t i = 0; i < s->n_in; i += LANES, ++panel) {
        const size_t part = s->n_in - i < LANES ? s->n_in - i : 0;
        float *gx = grad_x ? grad_x + i : NULL;
        size_t b = 0;
        for (; b + GRADIENT_ROWS_X <= s->batch && !part; b += GRADIENT_ROWS_X) {
            gradient_prefetch(s, b + GRADIENT_ROWS_X, x + i, gx);
            gradient_columns(GRADIENT_ROWS_X, 0, n, plain, pieces, f, b, s->n_out, x + b * s->x_stride + i, s->x_stride,
                             panel, gx ? gx + b * s->x_stride : NULL);
        }
        for (; b < s->batch; ++b)
            gradient_columns(1, part, n, plain, pieces, f, b, s->n_out, x + b * s->x_stride + i, s->x_stride, panel,
                             gx ? gx + b * s->x_stride : NULL);
    }
}

typedef void gradient_block_fn(const lfd_shape *s, const lfd_power *power, const float *x, gradient_panel *panel,
                               const float *y, const float *grad_y, float *grad_x);
/* The samples and outputs of s, one block; at most GRADIENT_COLUMNS columns. */
#define GRADIENT_BLOCK_OF(n)                                                                                           \
    static void gradient_block_##n(const lfd_shape *s, const lfd_power *power, const float *x, gradient_panel *panel,  \
                                   const float *y, const float *grad_y, float *grad_x) {                               \
        const power_pieces pieces = power_load(&power->backward);                                                      \
        gradient_factors factors;                                                                                      \
        gradient_prepare(&factors, s, n, power, y, grad_y);                                                            \
        if (n > 0 && factors.plain)                                                                                    \
            gradient_rows(s, n, 1, &pieces, &factors, x, panel, grad_x);                                               \
        else                                                                                                           \
            gradient_rows(s, n, 0, &pieces, &factors, x, panel, grad_x);                                               \
    }
GRADIENT_BLOCK_OF(0)
GRADIENT_BLOCK_OF(1)
GRADIENT_BLOCK_OF(2)
GRADIENT_BLOCK_OF(3)
GRADIENT_BLOCK_OF(4)
GRADIENT_BLOCK_OF(5)
GRADIENT_BLOCK_OF(6)
GRADIENT_BLOCK_OF(7)
GRADIENT_BLOCK_OF(8)
static gradient_block_fn *const gradient_block_by_power[] = {gradient_block_0, gradient_block_1, gradient_block_2,
                                                             gradient_block_3, gradient_block_4, gradient_block_5,
                                                             gradient_block_6, gradient_block_7, gradient_block_8};

/* 1 when some distance is too small for plain reciprocals: the reference then does the block. */
static int gradient_is_tiny(const lfd_shape *s, const float *y) {
    vf zero = vf_set(0.0f), infinite = vf_set(INFINITY), least = infinite;
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; o += LANES) {
            vf distance = load_columns(y + b * s->y_stride + o, s->n_out - o < LANES ? s->n_out - o : 0);
            least = vf_min(least, vf_select(vf_less(zero, distance), distance, infinite));
        }
    return vm_bits(vf_less(least, vf_set(LFD_TINY))) != 0;
}

/* Columns past the last are 0. A few outputs at a time: stores that always jump to the next panel are slow. */
static void gradient_pack(const lfd_shape *s, const float *w, const float *grad_w, gradient_panel *panels) {
    enum { TOGETHER = 8 };
    for (size_t first = 0; first < s->n_out; first += TOGETHER)
        for (size_t i = 0; i < s->n_in; i += LANES)
            for (size_t o = first; o < smaller(first + TOGETHER, s->n_out); ++o) {
                const size_t part = s->n_in - i < LANES ? s->n_in - i : 0, at = o * s->w_stride + i;
                vf_store(panels[i / LANES].w[o], load_columns(w + at, part));
                vf_store(panels[i / LANES].grad_w[o], grad_w ? load_columns(grad_w + at, part) : vf_set(0.0f));
            }
}

static void gradient_unpack(const lfd_shape *s, const gradient_panel *panels, float *grad_w) {
    for (size_t o = 0; o < s->n_out; ++o)
        for (size_t i = 0; i < s->n_in; i += LANES)
            store_columns(grad_w + o * s->w_stride + i, vf_load(panels[i / LANES].grad_w[o]),
                          s->n_in - i < LANES ? s->n_in - i : 0);
}

/* All terms of at most GRADIENT_COLUMNS columns and GRADIENT_OUTPUTS outputs. */
LFD_APART void gradient_range(const lfd_shape *s, const lfd_power *power, const float *x, const float *w,
                              const float *y, const float *grad_y, float *grad_x, float *grad_w) {
    gradient_panel panels[GRADIENT_COLUMNS / LANES];
    lfd_shape block = *s;
    if (gradient_is_tiny(s, y)) {
        lfd_ref_lp_backward(s, power, x, w, y, grad_y, grad_x, grad_w);
        return;
    }
    gradient_pack(s, w, grad_w, panels);
    for (size_t b = 0; b < s->batch; b += GRADIENT_BLOCK) {
        const size_t next = b + GRADIENT_BLOCK;
        block.batch = smaller(GRADIENT_BLOCK, s->batch - b);
        for (size_t r = next; r < smaller(next + GRADIENT_BLOCK, s->batch); ++r)
            prefetch_row(grad_y + r * s->y_stride, s->n_out);
        gradient_block_by_power[power->integer](&block, power, x + b * s->x_stride, panels, y + b * s->y_stride,
                                                grad_y + b * s->y_stride, grad_x ? grad_x + b * s->x_stride : NULL);
    }
    if (grad_w) gradient_unpack(s, panels, grad_w);
}

static void gradient_dense(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                           const float *grad_y, float *grad_x, float *grad_w) {
    lfd_shape range = *s;
    for (size_t i = 0; i < s->n_in; i += GRADIENT_COLUMNS)
        for (size_t o = 0; o < s->n_out; o += GRADIENT_OUTPUTS) {
            range.n_in = smaller(GRADIENT_COLUMNS, s->n_in - i);
            range.n_out = smaller(GRADIENT_OUTPUTS, s->n_out - o);
            gradient_range(&range, power, x + i, w + o * s->w_stride + i, y + o, grad_y + o, grad_x ? grad_x + i : NULL,
                           grad_w ? grad_w + o * s->w_stride + i : NULL);
        }
}

/* 1 when terms are better looked for than all computed: few matter, and no distance is too small for plain
 * reciprocals. */
LFD_APART int gradient_is_sparse(const lfd_shape *s, const lfd_power *power, const float *x, const float *w,
                                 const float *y) {
    gradient_live g;
    live_rows rows;
    const size_t samples = smaller(LIVE_ROWS, s->batch), outputs = smaller(GRADIENT_LIVE_OUTPUTS, s->n_out);
    if (power->integer || gradient_is_tiny(s, y)) return 0;
    g.block.rows = &rows;
    live_load(&rows, samples, smaller(LIVE_COLUMNS, s->n_in), x, s->x_stride);
    gradient_live_prepare(&g, samples, outputs, power, y, y, s->y_stride);
    float share = live_share(&g.block, outputs, w, s->w_stride);
    return share * (float)LIVE_ROWS < GRADIENT_FEW * (float)samples;
}

/* The reference's first step. */
static void clear_negative_zeros(float *grad, size_t rows, size_t columns, size_t stride) {
    for (size_t r = 0; r < rows && grad; ++r)
        for (size_t i = 0; i < columns; ++i) grad[r * stride + i] += 0.0f;
}

/* At most GRADIENT_COLUMNS columns. */
static void gradient_group(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                           const float *grad_y, float *grad_x, float *grad_w) {
    if (!gradient_is_sparse(s, power, x, w, y)) {
        gradient_dense(s, power, x, w, y, grad_y, grad_x, grad_w);
        return;
    }
    lfd_shape block = *s;
    for (size_t b = 0; b < s->batch; b += GRADIENT_LIVE_BLOCKS * LIVE_ROWS) {
        block.batch = smaller(GRADIENT_LIVE_BLOCKS * LIVE_ROWS, s->batch - b);
        gradient_sparse(&block, power, x + b * s->x_stride, w, y + b * s->y_stride, grad_y + b * s->y_stride,
                        grad_x ? grad_x + b * s->x_stride : NULL, grad_w);
    }
}

void ISA(lp_backward)(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                      const float *grad_y, float *grad_x, float *grad_w) {
    lfd_shape part = *s;
    clear_negative_zeros(grad_x, s->batch, s->n_in, s->x_stride);
    clear_negative_zeros(grad_w, s->n_out, s->n_in, s->w_stride);
    for (size_t i = 0; i < s->n_in; i += GRADIENT_COLUMNS)
        for (size_t b = 0; b < s->batch; b += GRADIENT_GROUP) {
            part.n_in = smaller(GRADIENT_COLUMNS, s->n_in - i);
            part.batch = smaller(GRADIENT_GROUP, s->batch - b);
            gradient_group(&part, power, x + b * s->x_stride + i, w + i, y + b * s->y_stride, grad_y + b * s->y_stride,
                           grad_x ? grad_x + b * s->x_stride + i : NULL, grad_w ? grad_w + i : NULL);
        }
}
