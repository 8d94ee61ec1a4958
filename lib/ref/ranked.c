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

/* Rounding is monotone: where |x - w| <= bound + above in real numbers, the rounded difference is at most the rounded
 * sum. So the test below needs no slack, as long as bound and above are rounded upwards. */
static size_t one_output(const lfd_shape *s, const lfd_ranked *ranked, size_t o, size_t lanes, const float *x,
                         float above, const float *w, float *y) {
    float maximum = 0.0f;
    size_t visited = 0;
    for (size_t slice = 0; slice < ranked->slices; ++slice) {
        const lfd_rank *ranks = ranked->ranks + slice * ranked->slice_stride + o * LFD_SLICE;
        for (size_t k = 0; k < LFD_SLICE; ++k, ++visited) {
            if (maximum >= ranks[k].bound + above) {
                *y = maximum;
                return visited;
            }
            const float distance = fabsf(x[ranks[k].column * lanes] - ranks[k].w);
            maximum = distance > maximum ? distance : maximum;
        }
    }
    for (size_t i = 0; i < s->n_in && !(maximum >= ranked->rest[o] + above); ++i, ++visited) {
        const float distance = fabsf(x[i * lanes] - w[o * s->w_stride + i]);
        maximum = distance > maximum ? distance : maximum;
    }
    *y = maximum;
    return visited;
}

size_t lfd_ref_ranked_forward(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, const float *x,
                              const float *above, const float *w, float *y) {
    const size_t x_stride = lanes == 1 ? s->x_stride : 1;
    size_t visited = 0;
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o)
            visited += one_output(s, ranked, o, lanes, x + b * x_stride, above[b], w, y + b * s->y_stride + o);
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
    const float farthest = from_lower > to_upper ? from_lower : to_upper;
    const float nearest = from_lower < to_upper ? -from_lower : -to_upper;
    if (farthest > y->upper) y->upper = farthest;
    if (nearest > y->lower) y->lower = nearest;
}

static size_t one_interval(const lfd_shape *s, const lfd_ranked *ranked, size_t o, size_t lanes, const float *xl,
                           const float *xu, const float *w, interval *y) {
    size_t visited = 0;
    for (size_t slice = 0; slice < ranked->slices; ++slice) {
        const lfd_rank *ranks = ranked->ranks + slice * ranked->slice_stride + o * LFD_SLICE;
        for (size_t k = 0; k < LFD_SLICE; ++k, ++visited) {
            if (settled(y, ranks[k].bound)) return visited;
            widen(y, xl[ranks[k].column * lanes], xu[ranks[k].column * lanes], ranks[k].w);
        }
    }
    for (size_t i = 0; i < s->n_in && !settled(y, ranked->rest[o]); ++i, ++visited)
        widen(y, xl[i * lanes], xu[i * lanes], w[o * s->w_stride + i]);
    return visited;
}

size_t lfd_ref_ranked_bounds(const lfd_shape *s, const lfd_ranked *ranked, size_t lanes, const float *xl,
                             const float *xu, const float *above, const float *below, const float *w, float *yl,
                             float *yu) {
    const size_t x_stride = lanes == 1 ? s->x_stride : 1;
    size_t visited = 0;
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o) {
            const size_t x = b * x_stride;
            interval y = {.below = below[b], .above = above[b]};
            visited += one_interval(s, ranked, o, lanes, xl + x, xu + x, w, &y);
            yl[b * s->y_stride + o] = y.lower;
            yu[b * s->y_stride + o] = y.upper;
        }
    return visited;
}
