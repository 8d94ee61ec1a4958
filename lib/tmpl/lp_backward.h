/* l_p backward: grad_x sums over outputs and grad_w over samples, both in ascending order, in one pass. Where most terms
 * matter, lanes over columns: blocks of GRADIENT_OUTPUTS outputs keep the rows of w and grad_w in cache. Where few do,
 * lanes over samples (lp_backward_live.h). */

enum {
    GRADIENT_OUTPUTS = LIVE_OUTPUTS,
    GRADIENT_COLUMNS = 128,
    GRADIENT_BLOCK = 12,                /* samples per block, a multiple of every register tile's rows */
    GRADIENT_GROUP = 4 * GRADIENT_BLOCK /* samples that are treated alike; a multiple of LANES too */
};
/* Share of places where some sample has a term that matters, below which looking for them beats computing all terms.
 * Measured. */
static const float GRADIENT_FEW = 0.7f;

/* Per (sample, output) of one block. */
typedef struct gradient_factors {
    float inverse[GRADIENT_BLOCK][GRADIENT_OUTPUTS]; /* 1 (any p: POWER_SCALE) / distance, 0 for 0 */
    float cut[GRADIENT_BLOCK][GRADIENT_OUTPUTS];     /* infinity for distance 0 */
    const float *grad_y[GRADIENT_BLOCK];
} gradient_factors;

/* Returns 1 when some distance is too small for plain reciprocals: the reference then does the block. */
static int gradient_prepare(gradient_factors *f, size_t rows, size_t outputs, const lfd_power *power, const float *y,
                            const float *grad_y, size_t y_stride) {
    vf zero = vf_set(0.0f), infinite = vf_set(INFINITY), backward_cut = vf_set(power->backward_cut);
    vf numerator = vf_set(power->integer ? 1.0f : POWER_SCALE);
    uint32_t tiny = 0;
    for (size_t r = 0; r < rows; ++r) {
        f->grad_y[r] = grad_y + r * y_stride;
        for (size_t o = 0; o < outputs; o += LANES) {
            const float *from = y + r * y_stride + o;
            vf distance = outputs - o >= LANES ? vf_load(from) : vf_load_part(from, outputs - o);
            vm positive = vf_less(zero, distance);
            tiny |= vm_bits(positive) & vm_bits(vf_less(distance, vf_set(LFD_TINY)));
            vf_store(f->inverse[r] + o, vf_keep(positive, vf_div(numerator, distance)));
            vf_store(f->cut[r] + o, vf_select(positive, vf_mul(distance, backward_cut), infinite));
        }
    }
    return tiny != 0;
}

/* grad_x[b] += and *grad_w -= the terms grad_y sign(t) (|t| / distance)^(p - 1) of rows samples from row r on and one
 * output o, t = x - w. */
LFD_INLINE void gradient_integer(size_t rows, int n, const gradient_factors *f, size_t r, size_t o, const vf *x, vf w,
                                 vf *grad_x, vf *grad_w) {
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        vf ratio = vf_mul(vf_difference(x[b], w), vf_set(f->inverse[r + b][o]));
        vf term = vf_mul(integer_gradient(ratio, n), vf_set(f->grad_y[r + b][o]));
        grad_x[b] = vf_add(grad_x[b], term);
        *grad_w = vf_sub(*grad_w, term);
    }
}

LFD_INLINE void gradient_general(size_t rows, vf exponent, const gradient_factors *f, size_t r, size_t o, const vf *x,
                                 vf w, vf *grad_x, vf *grad_w) {
    vf t[GRADIENT_ROWS_X], power[GRADIENT_ROWS_X];
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        t[b] = vf_difference(x[b], w);
        power[b] = vf_abs(vf_mul(t[b], vf_set(f->inverse[r + b][o])));
    }
    powers(rows, power, exponent);
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        vm live = vf_at_least(vf_abs(t[b]), vf_set(f->cut[r + b][o]));
        vf term = vf_mul(vf_copysign(power[b], t[b]), vf_set(f->grad_y[r + b][o]));
        grad_x[b] = vf_add_where(live, grad_x[b], term);
        *grad_w = vf_sub_where(live, *grad_w, term);
    }
}

LFD_INLINE vf load_columns(const float *p, size_t part) {
    return part ? vf_load_part(p, part) : vf_load(p);
}

LFD_INLINE void store_columns(float *p, vf a, size_t part) {
    if (part)
        vf_store_part(p, a, part);
    else
        vf_store(p, a);
}

/* One register tile: rows samples by outs outputs [o, o + outs) by one vector of columns (part of one if part > 0). */
LFD_INLINE void gradient_tile(size_t rows, size_t outs, size_t part, int n, vf exponent, const gradient_factors *f,
                              size_t r, size_t o, const vf *x, const float *w, size_t w_stride, vf *grad_x,
                              float *grad_w) {
    LFD_UNROLL
    for (size_t c = 0; c < outs; ++c) {
        vf ws = load_columns(w + (o + c) * w_stride, part), sum = vf_set(0.0f);
        if (grad_w) sum = load_columns(grad_w + (o + c) * w_stride, part);
        if (n > 0)
            gradient_integer(rows, n, f, r, o + c, x, ws, grad_x, &sum);
        else
            gradient_general(rows, exponent, f, r, o + c, x, ws, grad_x, &sum);
        if (grad_w) store_columns(grad_w + (o + c) * w_stride, sum, part);
    }
}

/* All outputs of the block for rows samples and one vector of columns. */
LFD_INLINE void gradient_columns(size_t rows, size_t part, int n, vf exponent, const gradient_factors *f, size_t r,
                                 size_t outputs, const float *x, size_t x_stride, const float *w, size_t w_stride,
                                 float *grad_x, float *grad_w) {
    vf xs[GRADIENT_ROWS_X], sums[GRADIENT_ROWS_X];
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) {
        xs[b] = load_columns(x + b * x_stride, part);
        sums[b] = vf_set(0.0f);
        if (grad_x) sums[b] = load_columns(grad_x + b * x_stride, part);
    }
    size_t o = 0;
    for (; o + GRADIENT_ROWS_W <= outputs && !part; o += GRADIENT_ROWS_W)
        gradient_tile(rows, GRADIENT_ROWS_W, 0, n, exponent, f, r, o, xs, w, w_stride, sums, grad_w);
    for (; o < outputs; ++o) gradient_tile(rows, 1, part, n, exponent, f, r, o, xs, w, w_stride, sums, grad_w);
    if (!grad_x) return;
    LFD_UNROLL
    for (size_t b = 0; b < rows; ++b) store_columns(grad_x + b * x_stride, sums[b], part);
}

/* The samples and outputs of s, one block, all its columns. */
LFD_INLINE void gradient_rows(const lfd_shape *s, int n, vf exponent, const gradient_factors *f, const float *x,
                              const float *w, float *grad_x, float *grad_w) {
    size_t whole = s->n_in / LANES * LANES, part = s->n_in - whole;
    for (size_t i = 0; i < whole; i += LANES) {
        float *gx = grad_x ? grad_x + i : NULL, *gw = grad_w ? grad_w + i : NULL;
        size_t b = 0;
        for (; b + GRADIENT_ROWS_X <= s->batch; b += GRADIENT_ROWS_X)
            gradient_columns(GRADIENT_ROWS_X, 0, n, exponent, f, b, s->n_out, x + b * s->x_stride + i, s->x_stride,
                             w + i, s->w_stride, gx ? gx + b * s->x_stride : NULL, gw);
        for (; b < s->batch; ++b)
            gradient_columns(1, 0, n, exponent, f, b, s->n_out, x + b * s->x_stride + i, s->x_stride, w + i,
                             s->w_stride, gx ? gx + b * s->x_stride : NULL, gw);
    }
    for (size_t b = 0; b < s->batch && part > 0; ++b)
        gradient_columns(1, part, n, exponent, f, b, s->n_out, x + b * s->x_stride + whole, s->x_stride, w + whole,
                         s->w_stride, grad_x ? grad_x + b * s->x_stride + whole : NULL, grad_w ? grad_w + whole : NULL);
}

typedef void gradient_rows_fn(const lfd_shape *s, float exponent, const gradient_factors *f, const float *x,
                              const float *w, float *grad_x, float *grad_w);
#define GRADIENT_ROWS_OF(n)                                                                                            \
    static void gradient_rows_##n(const lfd_shape *s, float exponent, const gradient_factors *f, const float *x,       \
                                  const float *w, float *grad_x, float *grad_w) {                                      \
        gradient_rows(s, n, vf_set(exponent), f, x, w, grad_x, grad_w);                                                \
    }
GRADIENT_ROWS_OF(0)
GRADIENT_ROWS_OF(1)
GRADIENT_ROWS_OF(2)
GRADIENT_ROWS_OF(3)
GRADIENT_ROWS_OF(4)
GRADIENT_ROWS_OF(5)
GRADIENT_ROWS_OF(6)
GRADIENT_ROWS_OF(7)
GRADIENT_ROWS_OF(8)
static gradient_rows_fn *const gradient_rows_by_power[] = {gradient_rows_0, gradient_rows_1, gradient_rows_2,
                                                           gradient_rows_3, gradient_rows_4, gradient_rows_5,
                                                           gradient_rows_6, gradient_rows_7, gradient_rows_8};

/* The samples and outputs of s, one block; at most GRADIENT_COLUMNS columns. */
static void gradient_block(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                           const float *grad_y, float *grad_x, float *grad_w) {
    gradient_factors factors;
    if (gradient_prepare(&factors, s->batch, s->n_out, power, y, grad_y, s->y_stride))
        lfd_ref_lp_backward(s, power, x, w, y, grad_y, grad_x, grad_w);
    else
        gradient_rows_by_power[power->integer](s, power->exponent, &factors, x, w, grad_x, grad_w);
}

/* All terms; at most GRADIENT_COLUMNS columns. */
static void gradient_range(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                           const float *grad_y, float *grad_x, float *grad_w) {
    lfd_shape block = *s;
    for (size_t o = 0; o < s->n_out; o += GRADIENT_OUTPUTS)
        for (size_t b = 0; b < s->batch; b += GRADIENT_BLOCK) {
            block.n_out = smaller(GRADIENT_OUTPUTS, s->n_out - o);
            block.batch = smaller(GRADIENT_BLOCK, s->batch - b);
            gradient_block(&block, power, x + b * s->x_stride, w + o * s->w_stride, y + b * s->y_stride + o,
                           grad_y + b * s->y_stride + o, grad_x ? grad_x + b * s->x_stride : NULL,
                           grad_w ? grad_w + o * s->w_stride : NULL);
        }
}

static void gradient_dense(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                           const float *grad_y, float *grad_x, float *grad_w) {
    lfd_shape range = *s;
    for (size_t i = 0; i < s->n_in; i += GRADIENT_COLUMNS) {
        range.n_in = smaller(GRADIENT_COLUMNS, s->n_in - i);
        gradient_range(&range, power, x + i, w + i, y, grad_y, grad_x ? grad_x + i : NULL, grad_w ? grad_w + i : NULL);
    }
}

/* 1 when terms are better looked for than all computed: few matter, and no distance is too small for plain
 * reciprocals. */
static int gradient_is_sparse(const lfd_shape *s, const lfd_power *power, const float *x, const float *w,
                              const float *y) {
    gradient_live g;
    const size_t samples = smaller(LANES, s->batch), outputs = smaller(LIVE_OUTPUTS, s->n_out);
    if (power->integer) return 0;
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o)
            if (y[b * s->y_stride + o] < LFD_TINY && y[b * s->y_stride + o] > 0.0f) return 0;
    live_load(&g.rows, samples, s->n_in, x, s->x_stride);
    gradient_live_prepare(&g, samples, outputs, power, y, y, s->y_stride);
    float share = live_share(&g.rows, outputs, w, s->w_stride, g.cut, &g.found);
    return share * (float)LANES < GRADIENT_FEW * (float)samples;
}

/* The reference's first step. */
static void clear_negative_zeros(float *grad, size_t rows, size_t columns, size_t stride) {
    for (size_t r = 0; r < rows && grad; ++r)
        for (size_t i = 0; i < columns; ++i) grad[r * stride + i] += 0.0f;
}

/* At most LIVE_COLUMNS columns. */
static void gradient_group(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                           const float *grad_y, float *grad_x, float *grad_w) {
    if (!gradient_is_sparse(s, power, x, w, y)) {
        gradient_dense(s, power, x, w, y, grad_y, grad_x, grad_w);
        return;
    }
    lfd_shape block = *s;
    for (size_t b = 0; b < s->batch; b += LANES) {
        block.batch = smaller(LANES, s->batch - b);
        gradient_sparse(&block, power, x + b * s->x_stride, w, y + b * s->y_stride, grad_y + b * s->y_stride,
                        grad_x ? grad_x + b * s->x_stride : NULL, grad_w);
    }
}

void ISA(lp_backward)(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                      const float *grad_y, float *grad_x, float *grad_w) {
    lfd_shape part = *s;
    clear_negative_zeros(grad_x, s->batch, s->n_in, s->x_stride);
    clear_negative_zeros(grad_w, s->n_out, s->n_in, s->w_stride);
    for (size_t i = 0; i < s->n_in; i += LIVE_COLUMNS)
        for (size_t b = 0; b < s->batch; b += GRADIENT_GROUP) {
            part.n_in = smaller(LIVE_COLUMNS, s->n_in - i);
            part.batch = smaller(GRADIENT_GROUP, s->batch - b);
            gradient_group(&part, power, x + b * s->x_stride + i, w + i, y + b * s->y_stride,
                           grad_y + b * s->y_stride, grad_x ? grad_x + b * s->x_stride + i : NULL,
                           grad_w ? grad_w + i : NULL);
        }
}
