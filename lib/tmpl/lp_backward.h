/* l_p backward: lanes over columns; grad_x sums over outputs and grad_w over samples, both in ascending order, in one
 * pass. Blocks of GRADIENT_OUTPUTS outputs keep the rows of w and grad_w in cache. */

enum { GRADIENT_OUTPUTS = 32 };
/* From here on collecting the terms that matter beats computing all: measured, decides no bit. */
static const float GRADIENT_SPARSE_FROM = 16.0f;

/* Per (sample, output) of a register tile's rows and one block of outputs. */
typedef struct gradient_factors {
    float inverse[GRADIENT_ROWS_X][GRADIENT_OUTPUTS]; /* 1 / distance, 0 for distance 0 */
    float cut[GRADIENT_ROWS_X][GRADIENT_OUTPUTS];     /* infinity for distance 0 */
    const float *grad_y[GRADIENT_ROWS_X];
} gradient_factors;

/* Returns 1 when some distance is too small for plain reciprocals: the reference then does the block. */
static int gradient_prepare(gradient_factors *f, size_t rows, size_t outputs, float backward_cut, const float *y,
                            const float *grad_y, size_t y_stride) {
    vf zero = vf_set(0.0f), infinite = vf_set(INFINITY), one = vf_set(1.0f);
    uint32_t tiny = 0;
    for (size_t r = 0; r < rows; ++r) {
        f->grad_y[r] = grad_y + r * y_stride;
        for (size_t o = 0; o < outputs; o += LANES) {
            const float *from = y + r * y_stride + o;
            vf distance = outputs - o >= LANES ? vf_load(from) : vf_load_part(from, outputs - o);
            vm positive = vf_less(zero, distance);
            tiny |= vm_bits(positive) & vm_bits(vf_less(distance, vf_set(LFD_TINY)));
            vf_store(f->inverse[r] + o, vf_keep(positive, vf_div(one, distance)));
            vf_store(f->cut[r] + o, vf_select(positive, vf_mul(distance, vf_set(backward_cut)), infinite));
        }
    }
    return tiny != 0;
}

/* grad_y sign(t) (|t| / distance)^(p - 1). n = 0: any p. */
LFD_INLINE vf gradient_term(int n, vf exponent, vf difference, float inverse, float cut, float grad_y) {
    vf inverses = vf_set(inverse);
    if (n > 0) return vf_mul(integer_gradient(vf_mul(difference, inverses), n), vf_set(grad_y));
    vf distance = vf_abs(difference);
    vf power = vf_copysign(power_float(vf_mul(distance, inverses), exponent), difference);
    return vf_keep(vf_at_least(distance, vf_set(cut)), vf_mul(power, vf_set(grad_y)));
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
        LFD_UNROLL
        for (size_t b = 0; b < rows; ++b) {
            vf term = gradient_term(n, exponent, vf_difference(x[b], ws), f->inverse[r + b][o + c],
                                    f->cut[r + b][o + c], f->grad_y[r + b][o + c]);
            grad_x[b] = vf_add(grad_x[b], term);
            sum = vf_sub(sum, term);
        }
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
    LFD_UNROLL
    for (size_t b = 0; b < rows && grad_x; ++b) store_columns(grad_x + b * x_stride, sums[b], part);
}

/* One block of outputs for rows <= GRADIENT_ROWS_X samples, all columns of s. */
LFD_INLINE void gradient_rows(const lfd_shape *s, int n, vf exponent, const gradient_factors *f, size_t rows,
                              size_t outputs, const float *x, const float *w, float *grad_x, float *grad_w) {
    size_t whole = s->n_in / LANES * LANES, part = s->n_in - whole;
    for (size_t i = 0; i < whole; i += LANES) {
        float *gx = grad_x ? grad_x + i : NULL, *gw = grad_w ? grad_w + i : NULL;
        if (rows == GRADIENT_ROWS_X)
            gradient_columns(GRADIENT_ROWS_X, 0, n, exponent, f, 0, outputs, x + i, s->x_stride, w + i, s->w_stride,
                             gx, gw);
        for (size_t b = 0; b < rows && rows < GRADIENT_ROWS_X; ++b)
            gradient_columns(1, 0, n, exponent, f, b, outputs, x + b * s->x_stride + i, s->x_stride, w + i,
                             s->w_stride, gx ? gx + b * s->x_stride : NULL, gw);
    }
    for (size_t b = 0; b < rows && part > 0; ++b)
        gradient_columns(1, part, n, exponent, f, b, outputs, x + b * s->x_stride + whole, s->x_stride, w + whole,
                         s->w_stride, grad_x ? grad_x + b * s->x_stride + whole : NULL,
                         grad_w ? grad_w + whole : NULL);
}

typedef void gradient_rows_fn(const lfd_shape *s, float exponent, const gradient_factors *f, size_t rows,
                              size_t outputs, const float *x, const float *w, float *grad_x, float *grad_w);
#define GRADIENT_ROWS_OF(n)                                                                                            \
    static void gradient_rows_##n(const lfd_shape *s, float exponent, const gradient_factors *f, size_t rows,          \
                                  size_t outputs, const float *x, const float *w, float *grad_x, float *grad_w) {      \
        gradient_rows(s, n, vf_set(exponent), f, rows, outputs, x, w, grad_x, grad_w);                                 \
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

/* Powers of the collected terms of outputs [first, last], added to grad_x and subtracted from grad_w in order. */
static void gradient_flush(live_terms *terms, size_t last, float exponent, const float *grad_y, size_t w_stride,
                           float *grad_x, float *grad_w) {
    size_t i = 0;
    terms->ends[last] = terms->count;
    live_powers(terms, exponent);
    for (size_t o = terms->first; o <= last; ++o) {
        float *row = grad_w ? grad_w + o * w_stride : NULL;
        for (; i < terms->ends[o]; ++i) {
            size_t column = (size_t)terms->columns[i];
            float term = terms->ratios[i] * grad_y[o];
            if (grad_x) grad_x[column] += term;
            if (row) row[column] -= term;
        }
    }
    terms->first = last;
    terms->count = 0;
}

/* One block of outputs for row r of the factors. */
static void gradient_sparse(const lfd_shape *s, const lfd_power *power, const gradient_factors *f, size_t r,
                            size_t outputs, const float *x, const float *w, float *grad_x, float *grad_w) {
    live_terms terms;
    terms.count = terms.first = 0;
    for (size_t o = 0; o < outputs; ++o) {
        for (size_t i = 0; i < s->n_in; i += LIVE_COLUMNS) {
            if (terms.count + LIVE_COLUMNS > LIVE_CAPACITY)
                gradient_flush(&terms, o, power->exponent, f->grad_y[r], s->w_stride, grad_x, grad_w);
            live_collect(&terms, x, w + o * s->w_stride, i, smaller(i + LIVE_COLUMNS, s->n_in), f->cut[r][o],
                         f->inverse[r][o], power->p, 1);
        }
        terms.ends[o] = terms.count;
    }
    gradient_flush(&terms, outputs - 1, power->exponent, f->grad_y[r], s->w_stride, grad_x, grad_w);
}

/* One block of outputs for rows samples. */
static void gradient_block(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                           const float *grad_y, float *grad_x, float *grad_w) {
    gradient_factors factors;
    size_t rows = s->batch, outputs = s->n_out;
    if (gradient_prepare(&factors, rows, outputs, power->backward_cut, y, grad_y, s->y_stride)) {
        lfd_ref_lp_backward(s, power, x, w, y, grad_y, grad_x, grad_w);
    } else if (power->integer || power->p < GRADIENT_SPARSE_FROM) {
        gradient_rows_by_power[power->integer](s, power->exponent, &factors, rows, outputs, x, w, grad_x, grad_w);
    } else {
        for (size_t r = 0; r < rows; ++r)
            gradient_sparse(s, power, &factors, r, outputs, x + r * s->x_stride, w,
                            grad_x ? grad_x + r * s->x_stride : NULL, grad_w);
    }
}

/* The reference's first step. */
static void clear_negative_zeros(float *grad, size_t rows, size_t columns, size_t stride) {
    for (size_t r = 0; r < rows && grad; ++r)
        for (size_t i = 0; i < columns; ++i) grad[r * stride + i] += 0.0f;
}

void ISA(lp_backward)(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                      const float *grad_y, float *grad_x, float *grad_w) {
    lfd_shape block = *s;
    clear_negative_zeros(grad_x, s->batch, s->n_in, s->x_stride);
    clear_negative_zeros(grad_w, s->n_out, s->n_in, s->w_stride);
    for (size_t o = 0; o < s->n_out; o += GRADIENT_OUTPUTS)
        for (size_t b = 0; b < s->batch; b += GRADIENT_ROWS_X) {
            block.n_out = smaller(GRADIENT_OUTPUTS, s->n_out - o);
            block.batch = smaller(GRADIENT_ROWS_X, s->batch - b);
            gradient_block(&block, power, x + b * s->x_stride, w + o * s->w_stride, y + b * s->y_stride + o,
                           grad_y + b * s->y_stride + o, grad_x ? grad_x + b * s->x_stride : NULL,
                           grad_w ? grad_w + o * s->w_stride : NULL);
        }
}
