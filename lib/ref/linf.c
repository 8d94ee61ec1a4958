#include "../numerics.h"
#include "ref.h"

#include <math.h>

void lfd_ref_linf_forward(const lfd_shape *s, const float *x, const float *w, float *y) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            float maximum = 0.0f;
            for (size_t i = 0; i < s->n_in; ++i) {
                float distance = fabsf(x[b * s->x_stride + i] - w[o * s->w_stride + i]);
                if (distance > maximum) maximum = distance;
            }
            y[b * s->y_stride + o] = maximum;
        }
}

void lfd_ref_linf_argmax(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            float maximum = 0.0f;
            size_t index = 0;
            for (size_t i = 0; i < s->n_in; ++i) {
                float distance = fabsf(x[b * s->x_stride + i] - w[o * s->w_stride + i]);
                if (distance > maximum) {
                    maximum = distance;
                    index = i;
                }
            }
            y[b * s->y_stride + o] = maximum;
            argmax[b * s->y_stride + o] = (int32_t)index;
        }
}

/* The columns whose |x - w| can be the largest of some of rows rows. */
static size_t candidates_of(size_t rows, size_t n, const float *x, size_t x_stride, const float *w) {
    float low[LFD_SPARSE_INPUTS], high[LFD_SPARSE_INPUTS], floor = 0.0f;
    size_t count = 0;
    for (size_t i = 0; i < n; ++i) {
        low[i] = INFINITY, high[i] = -INFINITY;
        for (size_t b = 0; b < rows; ++b) {
            low[i] = fminf(low[i], x[b * x_stride + i]);
            high[i] = fmaxf(high[i], x[b * x_stride + i]);
        }
        floor = fmaxf(floor, fmaxf(low[i] - w[i], w[i] - high[i]));
    }
    for (size_t i = 0; i < n; ++i) count += fmaxf(high[i] - w[i], w[i] - low[i]) >= floor;
    return count;
}

size_t lfd_ref_linf_sparse(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    size_t visited = 0;
    for (size_t o = 0; o < s->n_out; ++o)
        visited += candidates_of(s->batch, s->n_in, x, s->x_stride, w + o * s->w_stride) * s->batch;
    if (argmax)
        lfd_ref_linf_argmax(s, x, w, y, argmax);
    else
        lfd_ref_linf_forward(s, x, w, y);
    return visited;
}

size_t lfd_ref_linf_is_sparse(const lfd_shape *s, const float *x, const float *w) {
    const size_t step = (s->n_out + LFD_SPARSE_SAMPLED - 1) / LFD_SPARSE_SAMPLED;
    size_t candidates = 0, seen = 0;
    if (s->batch < LFD_SPARSE_BATCH || s->n_in > LFD_SPARSE_INPUTS) return 0;
    for (size_t o = 0; o < s->n_out; o += step) {
        const size_t x_stride = s->batch / LFD_SPARSE_SAMPLES * s->x_stride;
        candidates += candidates_of(LFD_SPARSE_SAMPLES, s->n_in, x, x_stride, w + o * s->w_stride);
        seen += s->n_in;
    }
    return candidates * LFD_SPARSE_SHARE < seen;
}

void lfd_ref_linf_backward_x(const lfd_shape *s, const float *x, const float *w, const int32_t *argmax,
                             const float *grad_y, float *grad_d, float *grad_x) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            const size_t y = b * s->y_stride + o, i = (size_t)argmax[y];
            const float difference = x[b * s->x_stride + i] - w[o * s->w_stride + i];
            const float gradient = lfd_signed_gradient(difference, grad_y[y]);
            if (grad_d) grad_d[y] = gradient;
            if (grad_x) grad_x[b * s->x_stride + i] += gradient;
        }
}

void lfd_ref_linf_backward_w(const lfd_shape *s, const int32_t *argmax, const float *grad_d, float *grad_w) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            const size_t y = b * s->y_stride + o;
            grad_w[o * s->w_stride + (size_t)argmax[y]] -= grad_d[y];
        }
}
