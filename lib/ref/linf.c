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

/* Least and largest x of every column. */
typedef struct ranges {
    float low[LFD_SPARSE_INPUTS], high[LFD_SPARSE_INPUTS];
} ranges;

static void load_ranges(ranges *r, size_t rows, size_t n, const float *x, size_t x_stride) {
    for (size_t i = 0; i < n; ++i) r->low[i] = INFINITY, r->high[i] = -INFINITY;
    for (size_t b = 0; b < rows; ++b)
        for (size_t i = 0; i < n; ++i) {
            const float value = x[b * x_stride + i];
            if (value < r->low[i]) r->low[i] = value;
            if (value > r->high[i]) r->high[i] = value;
        }
}

/* The columns whose |x - w| can be the largest of some row, and how many. */
static size_t find_candidates(const ranges *r, size_t n, const float *w, size_t *column) {
    float floor = 0.0f;
    size_t count = 0;
    for (size_t i = 0; i < n; ++i) {
        if (r->low[i] - w[i] > floor) floor = r->low[i] - w[i];
        if (w[i] - r->high[i] > floor) floor = w[i] - r->high[i];
    }
    for (size_t i = 0; i < n; ++i)
        if (r->high[i] - w[i] >= floor || w[i] - r->low[i] >= floor) column[count++] = i;
    return count;
}

size_t lfd_ref_linf_sparse(const lfd_shape *s, const float *x, const float *w, float *y, int32_t *argmax) {
    ranges r;
    size_t column[LFD_SPARSE_INPUTS], visited = 0;
    load_ranges(&r, s->batch, s->n_in, x, s->x_stride);
    for (size_t o = 0; o < s->n_out; ++o, w += s->w_stride) {
        const size_t count = find_candidates(&r, s->n_in, w, column);
        visited += count * s->batch;
        for (size_t b = 0; b < s->batch; ++b) {
            float maximum = 0.0f;
            size_t index = 0;
            for (size_t k = 0; k < count; ++k) {
                const float distance = fabsf(x[b * s->x_stride + column[k]] - w[column[k]]);
                if (distance > maximum) maximum = distance, index = column[k];
            }
            y[b * s->y_stride + o] = maximum;
            if (argmax) argmax[b * s->y_stride + o] = (int32_t)index;
        }
    }
    return visited;
}

size_t lfd_ref_linf_is_sparse(const lfd_shape *s, const float *x, const float *w) {
    ranges r;
    size_t column[LFD_SPARSE_INPUTS], candidates = 0, seen = 0;
    if (s->batch < LFD_SPARSE_BATCH || s->n_in > LFD_SPARSE_INPUTS) return 0;
    load_ranges(&r, LFD_SPARSE_SAMPLES, s->n_in, x, s->batch / LFD_SPARSE_SAMPLES * s->x_stride);
    for (size_t o = 0; o < s->n_out; o += LFD_SPARSE_STEP, seen += s->n_in)
        candidates += find_candidates(&r, s->n_in, w + o * s->w_stride, column);
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
