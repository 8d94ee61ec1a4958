#include "ref.h"

/* upper = max_i max(w - l, u - w); lower = max(0, max_i max(l - w, w - u)). Returns the lowest attaining indices, -1
 * for a bound of 0. */
static void one_output(size_t n_in, const float *xl, const float *xu, const float *w, float *lower, float *upper,
                       int32_t *arg_l, int32_t *arg_u) {
    *lower = *upper = 0.0f;
    *arg_l = *arg_u = -1;
    for (size_t i = 0; i < n_in; ++i) {
        float from_lower = w[i] - xl[i], to_upper = xu[i] - w[i];
        float farthest = from_lower > to_upper ? from_lower : to_upper;
        float nearest = from_lower < to_upper ? -from_lower : -to_upper;
        if (farthest > *upper) {
            *upper = farthest;
            *arg_u = (int32_t)i;
        }
        if (nearest > *lower) {
            *lower = nearest;
            *arg_l = (int32_t)i;
        }
    }
}

void lfd_ref_bounds_argmax(const lfd_shape *s, const float *xl, const float *xu, const float *w, float *yl, float *yu,
                           int32_t *arg_l, int32_t *arg_u) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            size_t y = b * s->y_stride + o;
            one_output(s->n_in, xl + b * s->x_stride, xu + b * s->x_stride, w + o * s->w_stride, yl + y, yu + y,
                       arg_l + y, arg_u + y);
        }
}

void lfd_ref_bounds_forward(const lfd_shape *s, const float *xl, const float *xu, const float *w, float *yl,
                            float *yu) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            size_t y = b * s->y_stride + o;
            int32_t arg_l, arg_u;
            one_output(s->n_in, xl + b * s->x_stride, xu + b * s->x_stride, w + o * s->w_stride, yl + y, yu + y, &arg_l,
                       &arg_u);
        }
}

/* Where one bound of one output came from: the column, whether from the upper end of the input, and the sign. */
typedef struct source {
    size_t column;
    int from_upper;
    float sign; /* of x in the bound; w has the opposite */
} source;

/* At the chosen column the input lies to the right of w (t1 <= t2) or to its left. To the right the lower bound is
 * l - w and the upper u - w; to the left they are w - u and w - l. Which of them is as good as random, and not branched
 * on. */
static source source_of(int upper, int32_t arg, const float *xl, const float *xu, const float *w) {
    const size_t i = (size_t)arg;
    const int right = w[i] - xl[i] <= xu[i] - w[i];
    return (source){i, right == upper, (float)(2 * right - 1)};
}

void lfd_ref_bounds_backward_x(const lfd_shape *s, const float *xl, const float *xu, const float *w,
                               const int32_t *arg_l, const int32_t *arg_u, const float *grad_yl, const float *grad_yu,
                               float *grad_xl, float *grad_xu) {
    const int32_t *const args[] = {arg_l, arg_u};
    const float *const grads_y[] = {grad_yl, grad_yu};
    float *const grads_x[] = {grad_xl, grad_xu};
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o)
            for (int upper = 0; upper < 2; ++upper) {
                const size_t y = b * s->y_stride + o, x = b * s->x_stride;
                if (args[upper][y] < 0) continue;
                const source from = source_of(upper, args[upper][y], xl + x, xu + x, w + o * s->w_stride);
                float *grad = grads_x[from.from_upper];
                if (grad) grad[x + from.column] += from.sign * grads_y[upper][y];
            }
}

void lfd_ref_bounds_backward_w(const lfd_shape *s, const float *xl, const float *xu, const float *w,
                               const int32_t *arg_l, const int32_t *arg_u, const float *grad_yl, const float *grad_yu,
                               float *grad_w) {
    const int32_t *const args[] = {arg_l, arg_u};
    const float *const grads_y[] = {grad_yl, grad_yu};
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o)
            for (int upper = 0; upper < 2; ++upper) {
                const size_t y = b * s->y_stride + o, x = b * s->x_stride, row = o * s->w_stride;
                if (args[upper][y] < 0) continue;
                const source from = source_of(upper, args[upper][y], xl + x, xu + x, w + row);
                grad_w[row + from.column] -= from.sign * grads_y[upper][y];
            }
}
