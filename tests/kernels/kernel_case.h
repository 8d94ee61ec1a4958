/* What every kernel is called with: arrays of one shape, kind of numbers and scale, with guard pages around them. */
#ifndef LINFDIST_TESTS_KERNEL_CASE_H
#define LINFDIST_TESTS_KERNEL_CASE_H

#include "../../lib/kernels.h"
#include "guarded.h"

#include <math.h>

static uint64_t seed = 1;

static float uniform(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed >> 40) / 16777216.0 - 0.5);
}

enum { OUTPUTS = 4 };
/* The last two, where few columns can win, are for kernels that look for those. */
typedef enum data_kind { RANDOM, TIES, EQUAL_ROWS, DATA_KINDS, FEW_WIN = DATA_KINDS, FEW_TIES } data_kind;

/* Inputs shared by all kernels. */
typedef struct kernel_case {
    lfd_shape shape;
    float p;
    float scale;
    data_kind kind;
    int at_end;
    guarded x, x_upper, w, y, grad, argmax, arg_l, arg_u;
} kernel_case;

/* What a kernel writes. */
typedef struct outputs {
    guarded array[OUTPUTS];
    size_t value;
} outputs;

static size_t extent(size_t rows, size_t columns, size_t stride) {
    return rows && columns ? (rows - 1) * stride + columns : 0;
}

static guarded filled(size_t count, const kernel_case *c) {
    guarded array = guarded_make(count, c->at_end);
    for (size_t i = 0; i < count; ++i)
        array.data[i] =
            c->kind == TIES || c->kind == FEW_TIES ? rintf(uniform() * 6.0f) / 2.0f * c->scale : uniform() * c->scale;
    return array;
}

static kernel_case make_case(size_t batch, size_t n_in, size_t n_out, size_t gap, float p, float scale, data_kind kind,
                             int at_end) {
    kernel_case c = {{batch, n_in, n_out, n_in + gap, n_in + 2 * gap, n_out + gap},
                     p,
                     scale,
                     kind,
                     at_end,
                     {0},
                     {0},
                     {0},
                     {0},
                     {0},
                     {0},
                     {0},
                     {0}};
    const lfd_kernels *ref = lfd_kernels_for(LFD_ISA_REF);
    size_t x_size = extent(batch, n_in, c.shape.x_stride), w_size = extent(n_out, n_in, c.shape.w_stride);
    size_t y_size = extent(batch, n_out, c.shape.y_stride);
    c.x = filled(x_size, &c);
    c.w = filled(w_size, &c);
    for (size_t i = 0; i < x_size && kind >= FEW_WIN; ++i) c.x.data[i] /= 16.0f;
    if (kind == EQUAL_ROWS && batch && n_out)
        memcpy(c.w.data + (n_out / 2) * c.shape.w_stride, c.x.data, n_in * sizeof(float));
    c.x_upper = guarded_make(x_size, at_end);
    for (size_t i = 0; i < x_size; ++i)
        c.x_upper.data[i] = i % 3 == 0 ? c.x.data[i] : c.x.data[i] + (uniform() + 0.5f) * scale;
    c.y = filled(y_size, &c);
    c.grad = filled(y_size, &c);
    c.argmax = guarded_make(y_size, at_end);
    c.arg_l = guarded_make(y_size, at_end);
    c.arg_u = guarded_make(y_size, at_end);
    guarded lower = guarded_make(y_size, at_end), upper = guarded_make(y_size, at_end);
    ref->bounds_argmax(&c.shape, c.x.data, c.x_upper.data, c.w.data, lower.data, upper.data,
                       (int32_t *)(void *)c.arg_l.data, (int32_t *)(void *)c.arg_u.data);
    ref->linf_argmax(&c.shape, c.x.data, c.w.data, lower.data, (int32_t *)(void *)c.argmax.data);
    guarded_free(&lower);
    guarded_free(&upper);
    if (isfinite(p)) {
        lfd_power power;
        lfd_power_init_forward(&power, p, n_in);
        ref->lp_forward(&c.shape, &power, c.x.data, c.w.data, c.y.data);
    }
    return c;
}

static void free_case(kernel_case *c) {
    guarded *all[] = {&c->x, &c->x_upper, &c->w, &c->y, &c->grad, &c->argmax, &c->arg_l, &c->arg_u};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) guarded_free(all[i]);
}

/* One runner per kernel: makes what the kernel needs of outputs and calls it. Outputs hold the same numbers on every
 * call, negative zeros among them. */
static guarded output_of(size_t count, const kernel_case *c) {
    guarded array = guarded_make(count, c->at_end);
    for (size_t i = 0; i < count; ++i) array.data[i] = i % 3 == 0 ? -0.0f : (float)(i % 7) * 0.125f;
    return array;
}

static guarded y_like(const kernel_case *c) {
    return output_of(extent(c->shape.batch, c->shape.n_out, c->shape.y_stride), c);
}
static guarded x_like(const kernel_case *c) {
    return output_of(extent(c->shape.batch, c->shape.n_in, c->shape.x_stride), c);
}
static guarded w_like(const kernel_case *c) {
    return output_of(extent(c->shape.n_out, c->shape.n_in, c->shape.w_stride), c);
}
static int32_t *ints(guarded *array) {
    return (int32_t *)(void *)array->data;
}

#endif
