#include "ref.h"

#include <float.h>
#include <math.h>

void lfd_ref_pack_lanes(const lfd_shape *s, size_t lanes, const float *x, float *packed) {
    for (size_t i = 0; i < s->n_in; ++i)
        for (size_t lane = 0; lane < lanes; ++lane) {
            const size_t b = lane < s->batch ? lane : s->batch - 1;
            packed[i * lanes + lane] = x[b * s->x_stride + i];
        }
}

static float larger(float a, float b) {
    return a > b ? a : b;
}

void lfd_ref_range_excess(const lfd_shape *s, const float *xl, const float *xu, const float *low, const float *high,
                          float *above, float *below) {
    for (size_t b = 0; b < s->batch; ++b) {
        const float *l = xl + b * s->x_stride, *u = xu + b * s->x_stride;
        float outer = -FLT_MAX, inner = -FLT_MAX;
        for (size_t i = 0; i < s->n_in; ++i) {
            outer = larger(outer, larger(u[i] - high[i], low[i] - l[i]));
            inner = larger(inner, larger(l[i] - high[i], low[i] - u[i]));
        }
        above[b] = lfd_raised(outer);
        below[b] = lfd_raised(inner);
    }
}

/* Rounding is monotone: where |x - w| <= rest + above in real numbers, the rounded difference is at most the rounded
 * sum. So the test below needs no slack, as long as rest and above are rounded upwards. */
static size_t one_output(const lfd_shape *s, const lfd_ranked *ranked, size_t o, const float *x, float above,
                         const float *w, float *y) {
    const lfd_slice *slice = ranked->slices + o;
    size_t visited = 0;
    *y = 0.0f;
    for (size_t k = 0; k < ranked->count; ++k, slice += ranked->stride) {
        for (size_t i = 0; i < LFD_SLICE; ++i) *y = larger(*y, fabsf(x[slice->column[i]] - slice->w[i]));
        visited += LFD_SLICE;
        if (*y >= slice->rest + above) return visited;
    }
    for (size_t i = 0; i < s->n_in; ++i) *y = larger(*y, fabsf(x[i] - w[o * s->w_stride + i]));
    return visited + s->n_in;
}

size_t lfd_ref_ranked_forward(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, const float *x,
                              const float *packed, const float *above, const float *w, float *y) {
    size_t visited = 0;
    (void)lanes;
    (void)packed;
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o)
            visited += one_output(s, ranked, o, x + b * s->x_stride, above[b], w, y + b * s->y_stride + o);
    return visited;
}

static size_t row_at(const lfd_ranked *ranked, size_t place) {
    return (size_t)ranked->heads[place / LFD_HEAD_ROWS].row[place % LFD_HEAD_ROWS];
}

size_t lfd_ref_single_forward(const lfd_shape *s, const lfd_ranked *ranked, const float *x, float above, const float *w,
                              float *y) {
    size_t visited = 0;
    for (size_t i = 0; i < s->n_out; ++i) {
        const size_t o = row_at(ranked, i);
        visited += one_output(s, ranked, o, x, above, w, y + o);
    }
    return visited;
}

/* Both bounds of one output on their way. */
typedef struct interval {
    float lower, upper, below, above;
} interval;

static int settled(const interval *y, float bound) {
    return y->upper >= bound + y->above && y->lower >= bound + y->below;
}

static void widen(interval *y, float l, float u, float w) {
    const float from_lower = w - l, to_upper = u - w;
    y->upper = larger(larger(from_lower, to_upper), y->upper);
    y->lower = larger(from_lower < to_upper ? -from_lower : -to_upper, y->lower);
}

static size_t one_interval(const lfd_shape *s, const lfd_ranked *ranked, size_t o, const float *xl, const float *xu,
                           const float *w, interval *y) {
    const lfd_slice *slice = ranked->slices + o;
    size_t visited = 0;
    for (size_t k = 0; k < ranked->count; ++k, slice += ranked->stride) {
        for (size_t i = 0; i < LFD_SLICE; ++i) widen(y, xl[slice->column[i]], xu[slice->column[i]], slice->w[i]);
        visited += LFD_SLICE;
        if (settled(y, slice->rest)) return visited;
    }
    for (size_t i = 0; i < s->n_in; ++i) widen(y, xl[i], xu[i], w[o * s->w_stride + i]);
    return visited + s->n_in;
}

size_t lfd_ref_ranked_bounds(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, const float *xl,
                             const float *xu, const float *packed_l, const float *packed_u, const float *above,
                             const float *below, const float *w, float *yl, float *yu) {
    size_t visited = 0;
    (void)lanes;
    (void)packed_l;
    (void)packed_u;
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            interval y = {.below = below[b], .above = above[b]};
            visited += one_interval(s, ranked, o, xl + b * s->x_stride, xu + b * s->x_stride, w, &y);
            yl[b * s->y_stride + o] = y.lower;
            yu[b * s->y_stride + o] = y.upper;
        }
    return visited;
}

size_t lfd_ref_single_bounds(const lfd_shape *s, const lfd_ranked *ranked, const float *pairs, const float *xl,
                             const float *xu, float above, float below, const float *w, float *yl, float *yu) {
    size_t visited = 0;
    (void)pairs;
    for (size_t i = 0; i < s->n_out; ++i) {
        const size_t o = row_at(ranked, i);
        interval y = {.below = below, .above = above};
        visited += one_interval(s, ranked, o, xl, xu, w, &y);
        yl[o] = y.lower;
        yu[o] = y.upper;
    }
    return visited;
}
