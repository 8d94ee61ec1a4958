#include "ref.h"

#include "../numerics.h"
#include "../simd/vec_scalar.h"
#include "../tmpl/rows.h"
#include "../tmpl/power.h"
#include "../tmpl/integer_power.h"

static float largest_difference(size_t n_in, const float *x, const float *w) {
    float maximum = 0.0f;
    for (size_t i = 0; i < n_in; ++i) {
        float distance = fabsf(x[i] - w[i]);
        if (distance > maximum) maximum = distance;
    }
    return maximum;
}

float lfd_ref_lp_output(const lfd_power *power, size_t n_in, const float *x, const float *w) {
    float maximum = largest_difference(n_in, x, w);
    if (maximum == 0.0f) return 0.0f;
    int tiny = maximum < LFD_TINY;
    float scale = tiny ? LFD_TINY_SCALE : 1.0f;
    maximum *= scale;
    float inverse = power->forward.scale / maximum, sum = 0.0f;
    const power_pieces pieces = power_load(&power->forward);
    for (size_t i = 0; i < n_in; ++i) {
        float term = (x[i] - w[i]) * scale * inverse;
        powers(1, &term, &pieces, 0);
        sum += term;
    }
    float y = maximum * root(sum, power->p, power->inv_p);
    return tiny ? y * LFD_TINY_UNSCALE : y;
}

/* The plain sum of powers where it is safe, the normalised formula elsewhere. */
static float integer_output(const lfd_power *power, size_t n_in, const float *x, const float *w) {
    float sum = 0.0f;
    for (size_t i = 0; i < n_in; ++i) sum += integer_power(x[i] - w[i], power->integer);
    if (sum >= LFD_SUM_LOW && sum <= LFD_SUM_HIGH) return integer_root(sum, power->integer);
    return lfd_ref_lp_output(power, n_in, x, w);
}

void lfd_ref_lp_forward(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, float *y) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            const float *row_x = x + b * s->x_stride, *row_w = w + o * s->w_stride;
            y[b * s->y_stride + o] = power->integer ? integer_output(power, s->n_in, row_x, row_w)
                                                    : lfd_ref_lp_output(power, s->n_in, row_x, row_w);
        }
}

/* All columns of one output of one sample: dy/dx_i = sign(t) (|t| / y)^(p-1), 0 below the cut. */
static void general_backward(const lfd_power *power, size_t n_in, const float *x, const float *w, float y, float grad_y,
                             float *grad_x, float *grad_w) {
    float scale = y < LFD_TINY ? LFD_TINY_SCALE : 1.0f;
    float inverse = y > 0.0f ? power->backward.scale / (y * scale) : 0.0f;
    const power_pieces pieces = power_load(&power->backward);
    for (size_t i = 0; i < n_in; ++i) {
        float gradient = (x[i] - w[i]) * scale * inverse;
        powers(1, &gradient, &pieces, 1);
        gradient *= grad_y;
        if (grad_x) grad_x[i] += gradient;
        if (grad_w) grad_w[i] -= gradient;
    }
}

/* 1 when grad_y / y^(n - 1), the given product, may stand before the plain power of the difference. */
static int is_plain(float y, float grad_y, float product) {
    if (!(y >= LFD_PLAIN_LOW && y <= LFD_PLAIN_HIGH)) return 0;
    return grad_y == 0.0f || (fabsf(product) >= LFD_PLAIN_FACTOR_LOW && fabsf(product) <= LFD_PLAIN_FACTOR_HIGH);
}

/* The same for a small integer p: grad_y / y^(n - 1) sign(t) |t|^(n - 1), or the powers of t / y where that could
 * overflow or underflow. */
static void integer_backward(const lfd_power *power, size_t n_in, const float *x, const float *w, float y, float grad_y,
                             float *grad_x, float *grad_w) {
    float scale = y < LFD_TINY ? LFD_TINY_SCALE : 1.0f;
    float inverse = y > 0.0f ? 1.0f / (y * scale) : 0.0f;
    float product = integer_gradient(inverse, power->integer) * grad_y;
    int plain = is_plain(y, grad_y, product);
    for (size_t i = 0; i < n_in; ++i) {
        float difference = (x[i] - w[i]) * scale;
        float gradient = plain ? integer_gradient(difference, power->integer) * product
                               : integer_gradient(difference * inverse, power->integer) * grad_y;
        if (grad_x) grad_x[i] += gradient;
        if (grad_w) grad_w[i] -= gradient;
    }
}

/* -0 + 0 = +0. Without negative zeros at the start, adding a dropped term's 0 and leaving it out are the same. */
static void clear_negative_zeros(float *grad, size_t rows, size_t columns, size_t stride) {
    for (size_t r = 0; r < rows && grad; ++r)
        for (size_t i = 0; i < columns; ++i) grad[r * stride + i] += 0.0f;
}

void lfd_ref_lp_backward(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, const float *y,
                         const float *grad_y, float *grad_x, float *grad_w) {
    clear_negative_zeros(grad_x, s->batch, s->n_in, s->x_stride);
    clear_negative_zeros(grad_w, s->n_out, s->n_in, s->w_stride);
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o)
            (power->integer ? integer_backward : general_backward)(
                power, s->n_in, x + b * s->x_stride, w + o * s->w_stride, y[b * s->y_stride + o],
                grad_y[b * s->y_stride + o], grad_x ? grad_x + b * s->x_stride : NULL,
                grad_w ? grad_w + o * s->w_stride : NULL);
}
