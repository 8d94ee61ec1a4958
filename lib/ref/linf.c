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
