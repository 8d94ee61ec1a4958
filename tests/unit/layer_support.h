/* One layer by itself: its spec, tensors, gradients, signals and a pass, without a model. */
#ifndef TEST_LAYER_SUPPORT_H
#define TEST_LAYER_SUPPORT_H

#include "expect.h"

#include <math.h>
#include <stdlib.h>

#include "layers/layer.h"

enum { LAYER_TENSORS = 2 };

/* x, y, and gradients of both: batch x n_in or n_out. */
typedef struct layer_fixture {
    const struct lfd_layer_ops *ops;
    lfd_layer_spec spec;
    lfd_tensor tensors[LAYER_TENSORS];
    float *gradients[LAYER_TENSORS];
    size_t batch;
    lfd_signal x, y, grad_x, grad_y;
    lfd_layer_pass pass;
    void *scratch;
} layer_fixture;

static inline float *layer_floats(size_t count, uint64_t seed) {
    float *floats = aligned_alloc(64, (count * sizeof(float) / 64 + 1) * 64);
    assert_non_null(floats);
    test_fill(floats, count, seed);
    return floats;
}

static inline lfd_signal layer_signal(size_t count, uint64_t seed) {
    return (lfd_signal){layer_floats(count, seed), layer_floats(count, seed + 1), layer_floats(count, seed + 2)};
}

/* spec with n_in, groups and in, and n_out or a window. Numbers are random; every seventh weight is zero, and every
 * fifth interval a point. */
static inline layer_fixture make_layer(linfdist_context *context, lfd_layer_spec spec, size_t batch) {
    layer_fixture f = {.ops = lfd_layer_find(spec.kind), .spec = spec, .batch = batch};
    assert_non_null(f.ops);
    strcpy(f.spec.name, "layer");
    expect_ok(f.ops->check(&f.spec));
    const size_t ins = batch * (size_t)f.spec.n_in, outs = batch * (size_t)f.spec.n_out;
    if (f.ops->describe) f.ops->describe(&f.spec, f.tensors);
    for (int64_t t = 0; t < f.ops->tensor_count; ++t) {
        f.tensors[t].count = 1;
        for (int32_t d = 0; d < f.tensors[t].dims; ++d) f.tensors[t].count *= (size_t)f.tensors[t].shape[d];
        f.tensors[t].data = layer_floats(f.tensors[t].count, 11 + (uint64_t)t);
        f.gradients[t] = layer_floats(f.tensors[t].count, 21 + (uint64_t)t);
        for (size_t i = 0; t == 0 && i < f.tensors[t].count; i += 7) f.tensors[t].data[i] = 0.0f;
    }
    f.x = layer_signal(ins, 31);
    f.y = layer_signal(outs, 41);
    f.grad_x = layer_signal(ins, 51);
    f.grad_y = layer_signal(outs, 61);
    for (size_t i = 0; i < ins; ++i) {
        const float radius = i % 5 == 0 ? 0.0f : fabsf(f.x.upper[i]) * 0.5f;
        f.x.lower[i] = f.x.value[i] - radius;
        f.x.upper[i] = f.x.value[i] + radius;
    }
    const size_t scratch = f.ops->scratch ? f.ops->scratch(&f.spec, batch, (size_t)context->threads) : 0;
    f.scratch = layer_floats(scratch, 71);
    f.pass = (lfd_layer_pass){.context = context, .batch = batch, .mode = LINFDIST_EVALUATE, .p = INFINITY};
    return f;
}

/* The fixture's pass; a fixture may have been moved since it was made. */
static inline const lfd_layer_pass *layer_pass(layer_fixture *f) {
    f->pass.spec = &f->spec;
    f->pass.tensors = f->tensors;
    f->pass.gradients = f->gradients;
    f->pass.scratch = f->scratch;
    return &f->pass;
}

static inline void free_signal(lfd_signal *signal) {
    free(signal->value);
    free(signal->lower);
    free(signal->upper);
}

static inline void free_layer(layer_fixture *f) {
    for (int t = 0; t < LAYER_TENSORS; ++t) {
        free(f->tensors[t].data);
        free(f->gradients[t]);
    }
    free_signal(&f->x);
    free_signal(&f->y);
    free_signal(&f->grad_x);
    free_signal(&f->grad_y);
    free(f->scratch);
}

static inline lfd_layer_spec dense_spec(int32_t kind, int64_t n_in, int64_t n_out) {
    return (lfd_layer_spec){.kind = kind, .n_in = n_in, .n_out = n_out, .groups = 1, .in = {n_in, 1, 1}};
}

/* A value within the float rounding of want, and of `extra` more. */
static inline void assert_near(float got, double want, double extra) {
    const double off = fabs((double)got - want);
    if (!(off <= fabs(want) * 0x1p-23 + extra)) fail_msg("%.9g, not %.9g", (double)got, want);
}

/* A point between x's bounds: random, or a corner. */
static inline void draw_inside(layer_fixture *f, int corner, uint64_t *seed) {
    for (size_t i = 0; i < f->batch * (size_t)f->spec.n_in; ++i) {
        const float l = f->x.lower[i], u = f->x.upper[i], draw = test_number(seed);
        const float inside = l + (u - l) * (0.5f + 0.5f * draw);
        f->x.value[i] = corner ? (draw < 0.0f ? l : u) : fminf(fmaxf(inside, l), u);
    }
}

#endif
