/* What the tests of the operators share: shapes, arrays with canaries between their rows. */
#ifndef TEST_OPERATOR_SUPPORT_H
#define TEST_OPERATOR_SUPPORT_H

#include "expect.h"

#include <math.h>
#include <stdlib.h>

#define CANARY (-12345.5f)

static inline void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

typedef linfdist_distance_shape shape_t;

static inline shape_t make_shape(int64_t batch, int64_t n_in, int64_t n_out, int64_t groups, int64_t padding) {
    shape_t s;
    expect_ok(linfdist_distance_shape_init(&s, sizeof s, batch, n_in, n_out));
    s.groups = groups;
    s.x_stride = n_in + padding;
    s.w_stride = n_in / groups + (padding ? padding + 1 : 0);
    s.y_stride = n_out + (padding ? padding + 2 : 0);
    return s;
}

static inline size_t x_size(const shape_t *s) {
    return (size_t)(s->batch * s->x_stride);
}

static inline size_t w_size(const shape_t *s) {
    return (size_t)(s->n_out * s->w_stride);
}

static inline size_t y_size(const shape_t *s) {
    return (size_t)(s->batch * s->y_stride);
}

/* First column of x that output o sees. */
static inline int64_t first_column(const shape_t *s, int64_t o) {
    return o / (s->n_out / s->groups) * (s->n_in / s->groups);
}

static inline void put_canaries(float *array, int64_t rows, int64_t columns, int64_t stride) {
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = columns; c < stride; ++c) array[r * stride + c] = CANARY;
}

static inline void check_canaries(const float *array, int64_t rows, int64_t columns, int64_t stride) {
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = columns; c < stride; ++c) assert_true(array[r * stride + c] == CANARY);
}

static inline float *random_array(size_t size, uint64_t seed) {
    float *array = allocate(size, sizeof(float));
    test_fill(array, size, seed);
    return array;
}

static inline void expect_near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) fail_msg("got %.9g, wanted %.9g within %.3g", got, want, tolerance);
}

#endif
