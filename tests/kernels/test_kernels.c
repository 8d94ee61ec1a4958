/* Every kernel of kernels.def on every instruction set against the reference, bit for bit: all sizes around the lane
 * counts, odd sizes, strides, unaligned arrays, guard pages on both sides, ties, equal rows and scales from 1e-38 to
 * 1e29. Whole arrays are compared, gaps between rows included, so that a stray write shows.
 *
 * LINFDIST_TEST_SEED in the environment repeats a run; the seed is printed. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* anonymous mappings */
#endif

#include "../../lib/kernels.h"
#include "guarded.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static uint64_t seed = 1;

static float uniform(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed >> 40) / 16777216.0 - 0.5);
}

enum { OUTPUTS = 4 };
typedef enum data_kind { RANDOM, TIES, EQUAL_ROWS, DATA_KINDS } data_kind;

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
        array.data[i] = c->kind == TIES ? rintf(uniform() * 6.0f) / 2.0f * c->scale : uniform() * c->scale;
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

static outputs run_linf_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c)}, 0};
    k->linf_forward(&c->shape, c->x.data, c->w.data, out.array[0].data);
    return out;
}
static outputs run_linf_argmax(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c)}, 0};
    k->linf_argmax(&c->shape, c->x.data, c->w.data, out.array[0].data, ints(&out.array[1]));
    return out;
}
static outputs run_linf_backward_x(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{x_like(c)}, 0};
    if (c->shape.n_in == 0) return out;
    k->linf_backward_x(&c->shape, c->x.data, c->w.data, ints(&c->argmax), c->grad.data, out.array[0].data);
    return out;
}
static outputs run_linf_backward_w(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{w_like(c)}, 0};
    if (c->shape.n_in == 0) return out;
    k->linf_backward_w(&c->shape, c->x.data, c->w.data, ints(&c->argmax), c->grad.data, out.array[0].data);
    return out;
}
static outputs run_lp_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c)}, 0};
    lfd_power power;
    lfd_power_init_forward(&power, c->p, c->shape.n_in);
    k->lp_forward(&c->shape, &power, c->x.data, c->w.data, out.array[0].data);
    for (size_t b = 0; b < c->shape.batch; ++b)
        for (size_t o = 0; o < c->shape.n_out; ++o) assert_true(isfinite(out.array[0].data[b * c->shape.y_stride + o]));
    return out;
}
static outputs run_lp_backward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{x_like(c), w_like(c), x_like(c), w_like(c)}, 0};
    lfd_power power;
    lfd_power_init_backward(&power, c->p);
    k->lp_backward(&c->shape, &power, c->x.data, c->w.data, c->y.data, c->grad.data, out.array[0].data,
                   out.array[1].data);
    k->lp_backward(&c->shape, &power, c->x.data, c->w.data, c->y.data, c->grad.data, out.array[2].data, NULL);
    k->lp_backward(&c->shape, &power, c->x.data, c->w.data, c->y.data, c->grad.data, NULL, out.array[3].data);
    assert_memory_equal(out.array[0].data, out.array[2].data, out.array[0].count * sizeof(float));
    assert_memory_equal(out.array[1].data, out.array[3].data, out.array[1].count * sizeof(float));
    return out;
}
static outputs run_bounds_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c)}, 0};
    k->bounds_forward(&c->shape, c->x.data, c->x_upper.data, c->w.data, out.array[0].data, out.array[1].data);
    return out;
}
static outputs run_bounds_argmax(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c), y_like(c), y_like(c)}, 0};
    k->bounds_argmax(&c->shape, c->x.data, c->x_upper.data, c->w.data, out.array[0].data, out.array[1].data,
                     ints(&out.array[2]), ints(&out.array[3]));
    return out;
}
static outputs run_bounds_backward_x(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{x_like(c), x_like(c)}, 0};
    k->bounds_backward_x(&c->shape, c->x.data, c->x_upper.data, c->w.data, ints(&c->arg_l), ints(&c->arg_u),
                         c->grad.data, c->y.data, out.array[0].data, out.array[1].data);
    return out;
}
static outputs run_bounds_backward_w(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{w_like(c)}, 0};
    k->bounds_backward_w(&c->shape, c->x.data, c->x_upper.data, c->w.data, ints(&c->arg_l), ints(&c->arg_u),
                         c->grad.data, c->y.data, out.array[0].data);
    return out;
}

/* ---- ranked order ---- */

/* Rows of w ranked for inputs in [low, high], which leaves out some that there are. */
typedef struct ranked_case {
    lfd_shape shape; /* of at most 32 rows */
    lfd_ranked ranked;
    size_t lanes;
    guarded low, high, above, below, lanes_x, lanes_xu;
    lfd_slice *slices;
    lfd_heads *heads;
} ranked_case;

/* How large |x - w| can become in a column. */
typedef struct column_bound {
    float bound;
    size_t column;
} column_bound;

static int by_bound(const void *a, const void *b) {
    const float x = ((const column_bound *)a)->bound, y = ((const column_bound *)b)->bound;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void rank_output(const kernel_case *c, ranked_case *r, size_t o) {
    const size_t n = r->shape.n_in;
    const float *w = c->w.data + o * r->shape.w_stride;
    column_bound *order = malloc((n + 1) * sizeof *order);
    if (!order) abort();
    for (size_t i = 0; i < n; ++i)
        order[i] = (column_bound){lfd_raised(fmaxf(r->high.data[i] - w[i], w[i] - r->low.data[i])), i};
    qsort(order, n, sizeof *order, by_bound);
    for (size_t k = 0; k < r->ranked.count; ++k) {
        lfd_slice *slice = &r->slices[k * r->shape.n_out + o];
        for (size_t i = 0; i < LFD_SLICE; ++i) {
            slice->column[i] = (uint16_t)order[k * LFD_SLICE + i].column;
            slice->w[i] = w[slice->column[i]];
        }
        slice->rest = (k + 1) * LFD_SLICE < n ? order[(k + 1) * LFD_SLICE].bound : -FLT_MAX;
    }
    free(order);
}

/* Heads for the rows from the last to the first, some of which take fewer ranks at first. */
static void make_heads(ranked_case *r) {
    const size_t rows = r->shape.n_out;
    for (size_t i = 0; i < (rows + LFD_HEAD_ROWS - 1) / LFD_HEAD_ROWS * LFD_HEAD_ROWS; ++i) {
        lfd_heads *heads = &r->heads[i / LFD_HEAD_ROWS];
        const size_t lane = i % LFD_HEAD_ROWS, row = rows - 1 - i;
        heads->ranks = 1 + (rows + i / LFD_HEAD_ROWS) % LFD_SLICE;
        heads->rest[lane] = heads->earlier[lane] = -FLT_MAX;
        if (i >= rows) continue;
        heads->row[lane] = (int32_t)row;
        heads->rest[lane] = heads->earlier[lane] = r->slices[row].rest;
        for (size_t k = 0; k < LFD_SLICE; ++k) {
            const size_t column = heads->column[k][lane] = r->slices[row].column[k];
            const float w = heads->w[k][lane] = r->slices[row].w[k];
            const float bound = lfd_raised(fmaxf(r->high.data[column] - w, w - r->low.data[column]));
            if (k >= heads->ranks) heads->earlier[lane] = fmaxf(heads->earlier[lane], bound);
        }
    }
}

static guarded in_lanes(const lfd_kernels *k, const kernel_case *c, const ranked_case *r, const guarded *x) {
    guarded packed = guarded_make(r->lanes * r->shape.n_in, c->at_end);
    k->pack_lanes(&r->shape, r->lanes, x->data, packed.data);
    return packed;
}

static ranked_case make_ranked(const lfd_kernels *k, const kernel_case *c, size_t lanes, size_t slices) {
    ranked_case r = {.shape = c->shape, .lanes = lanes};
    const size_t n = c->shape.n_in, rows = c->shape.n_out;
    if (r.shape.batch > lanes && lanes > 1) r.shape.batch = lanes;
    const size_t excesses = lanes == 1 ? r.shape.batch : lanes;
    r.ranked = (lfd_ranked){slices, rows, NULL, NULL};
    r.low = guarded_make(n, c->at_end);
    r.high = guarded_make(n, c->at_end);
    r.above = guarded_make(excesses, c->at_end);
    r.below = guarded_make(excesses, c->at_end);
    r.slices = calloc(slices * rows + 1, sizeof *r.slices);
    r.heads = calloc(rows / LFD_HEAD_ROWS + 1, sizeof *r.heads);
    if (!r.slices || !r.heads) abort();
    for (size_t i = 0; i < n; ++i) {
        r.low.data[i] = -0.25f * c->scale * (float)(i % 3);
        r.high.data[i] = r.low.data[i] + 0.25f * c->scale * (float)(i % 4);
    }
    for (size_t o = 0; o < rows; ++o) rank_output(c, &r, o);
    if (slices > 0) make_heads(&r);
    r.ranked.slices = r.slices;
    r.ranked.heads = r.heads;
    k->range_excess(&r.shape, c->x.data, c->x_upper.data, r.low.data, r.high.data, r.above.data, r.below.data);
    for (size_t i = r.shape.batch; i < excesses; ++i) {
        r.above.data[i] = r.above.data[r.shape.batch - 1];
        r.below.data[i] = r.below.data[r.shape.batch - 1];
    }
    if (lanes == 1) return r;
    r.lanes_x = in_lanes(k, c, &r, &c->x);
    r.lanes_xu = in_lanes(k, c, &r, &c->x_upper);
    return r;
}

static void free_ranked(ranked_case *r) {
    guarded *all[] = {&r->low, &r->high, &r->above, &r->below, &r->lanes_x, &r->lanes_xu};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) guarded_free(all[i]);
    free(r->slices);
    free(r->heads);
}

/* Of the rows and the outputs, not the gaps. */
static void expect_dense(const lfd_shape *s, const guarded *got, const guarded *dense) {
    for (size_t b = 0; b < s->batch; ++b)
        assert_memory_equal(got->data + b * s->y_stride, dense->data + b * s->y_stride, s->n_out * sizeof(float));
}

static const size_t lane_counts[] = {1, 16, 32};

static outputs run_pack_lanes(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{{0}}, 0};
    for (size_t i = 1; i < 3 && c->shape.batch > 0; ++i) {
        ranked_case r = make_ranked(k, c, lane_counts[i], 0);
        out.array[i] = r.lanes_x;
        for (size_t at = 0; at < r.lanes_x.count; ++at) {
            const size_t lane = at % r.lanes, row = lane < r.shape.batch ? lane : r.shape.batch - 1;
            assert_true(r.lanes_x.data[at] == c->x.data[row * r.shape.x_stride + at / r.lanes]);
        }
        r.lanes_x.mapping = NULL;
        free_ranked(&r);
    }
    return out;
}

/* Rows inside the range they are measured against have no excess. */
static outputs run_range_excess(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{{0}}, 0};
    if (c->shape.batch == 0) return out;
    ranked_case r = make_ranked(k, c, 1, 0);
    lfd_shape first = r.shape;
    float above, below;
    first.batch = 1;
    k->range_excess(&first, c->x.data, c->x_upper.data, c->x.data, c->x_upper.data, &above, &below);
    assert_true(above <= 0.0f && below <= 0.0f);
    k->range_excess(&first, c->x_upper.data, c->x_upper.data, c->x.data, c->x.data, &above, &below);
    for (size_t i = 0; i < first.n_in; ++i)
        assert_true((double)c->x.data[i] + (double)above >= (double)c->x_upper.data[i]);
    out.array[0] = r.above;
    out.array[1] = r.below;
    r.above.mapping = r.below.mapping = NULL;
    free_ranked(&r);
    return out;
}

/* The dense kernel's results, with all whole slices of columns ranked, half of them, or none. */
static outputs run_ranked_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c), y_like(c), y_like(c)}, 0};
    const size_t all = c->shape.n_in / LFD_SLICE, slices[] = {all, all / 2, 0};
    lfd_kernels_for(LFD_ISA_REF)->linf_forward(&c->shape, c->x.data, c->w.data, out.array[3].data);
    for (size_t i = 1; i < 3 && c->shape.batch > 0; ++i) {
        ranked_case r = make_ranked(k, c, lane_counts[i], slices[(i + c->shape.n_out) % 3]);
        k->range_excess(&r.shape, c->x.data, c->x.data, r.low.data, r.high.data, r.above.data, r.below.data);
        for (size_t b = r.shape.batch; b < r.above.count; ++b) r.above.data[b] = r.above.data[r.shape.batch - 1];
        const size_t visited = k->ranked_forward(&r.shape, &r.ranked, r.lanes, c->x.data, r.lanes_x.data, r.above.data,
                                                 c->w.data, out.array[i].data);
        expect_dense(&r.shape, &out.array[i], &out.array[3]);
        assert_true(visited <= 2 * (c->shape.n_in + LFD_SLICE) * c->shape.n_out * (r.lanes + r.shape.batch));
        free_ranked(&r);
    }
    return out;
}
static outputs run_ranked_bounds(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c), y_like(c), y_like(c)}, 0};
    const size_t all = c->shape.n_in / LFD_SLICE, slices[] = {all, all / 2, 0};
    lfd_kernels_for(LFD_ISA_REF)
        ->bounds_forward(&c->shape, c->x.data, c->x_upper.data, c->w.data, out.array[2].data, out.array[3].data);
    for (size_t i = 1; i < 3 && c->shape.batch > 0; ++i) {
        ranked_case r = make_ranked(k, c, lane_counts[i], slices[(i + c->shape.n_out) % 3]);
        k->ranked_bounds(&r.shape, &r.ranked, r.lanes, c->x.data, c->x_upper.data, r.lanes_x.data, r.lanes_xu.data,
                         r.above.data, r.below.data, c->w.data, out.array[0].data, out.array[1].data);
        expect_dense(&r.shape, &out.array[0], &out.array[2]);
        expect_dense(&r.shape, &out.array[1], &out.array[3]);
        free_ranked(&r);
    }
    return out;
}

/* The same with all whole slices or half of them, one sample at a time, its rows from the last to the first. */
static outputs run_single_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c)}, 0};
    const size_t all = c->shape.n_in / LFD_SLICE, slices = c->shape.n_out % 2 ? all : (all + 1) / 2;
    if (slices == 0 || c->shape.batch == 0) return out;
    lfd_kernels_for(LFD_ISA_REF)->linf_forward(&c->shape, c->x.data, c->w.data, out.array[1].data);
    ranked_case r = make_ranked(k, c, 1, slices);
    k->range_excess(&r.shape, c->x.data, c->x.data, r.low.data, r.high.data, r.above.data, r.below.data);
    for (size_t b = 0; b < r.shape.batch; ++b) {
        const size_t visited = k->single_forward(&r.shape, &r.ranked, c->x.data + b * r.shape.x_stride, r.above.data[b],
                                                 c->w.data, out.array[0].data + b * r.shape.y_stride);
        assert_true(visited <= 2 * c->shape.n_in * c->shape.n_out);
    }
    expect_dense(&r.shape, &out.array[0], &out.array[1]);
    free_ranked(&r);
    return out;
}
static outputs run_single_bounds(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c), y_like(c), y_like(c)}, 0};
    const size_t all = c->shape.n_in / LFD_SLICE, slices = c->shape.n_out % 2 ? all : (all + 1) / 2;
    if (slices == 0 || c->shape.batch == 0) return out;
    lfd_kernels_for(LFD_ISA_REF)
        ->bounds_forward(&c->shape, c->x.data, c->x_upper.data, c->w.data, out.array[2].data, out.array[3].data);
    ranked_case r = make_ranked(k, c, 1, slices);
    guarded pairs = guarded_make(2 * r.shape.n_in, c->at_end);
    for (size_t b = 0; b < r.shape.batch; ++b) {
        const float *xl = c->x.data + b * r.shape.x_stride, *xu = c->x_upper.data + b * r.shape.x_stride;
        const size_t y = b * r.shape.y_stride;
        for (size_t i = 0; i < r.shape.n_in; ++i) pairs.data[2 * i] = xl[i], pairs.data[2 * i + 1] = xu[i];
        k->single_bounds(&r.shape, &r.ranked, pairs.data, xl, xu, r.above.data[b], r.below.data[b], c->w.data,
                         out.array[0].data + y, out.array[1].data + y);
    }
    guarded_free(&pairs);
    expect_dense(&r.shape, &out.array[0], &out.array[2]);
    expect_dense(&r.shape, &out.array[1], &out.array[3]);
    free_ranked(&r);
    return out;
}

static outputs run_adam(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{w_like(c), w_like(c), w_like(c)}, 0};
    lfd_adam adam = {0.9f, 0.1f, 0.99f, 0.01f, 0.03f, 0.7f, 1e-10f};
    for (size_t i = 0; i < out.array[2].count; ++i) out.array[2].data[i] = fabsf(out.array[2].data[i]);
    k->adam(c->w.count, &adam, c->w.data, out.array[0].data, out.array[1].data, out.array[2].data);
    return out;
}
/* Finite arrays, then one with each kind of unfit number at a random place, then a range of its own for each number:
 * ends belong to it, what is next to them does not. */
static outputs run_first_outside(const lfd_kernels *k, kernel_case *c) {
    static const float unfit[] = {NAN, -NAN, INFINITY, -INFINITY, 0x1.000002p100f, -0x1p127f};
    outputs out = {{w_like(c)}, 0};
    size_t n = out.array[0].count;
    out.value = k->first_outside(n, -LFD_LIMIT, LFD_LIMIT, out.array[0].data);
    assert_int_equal(out.value, n);
    for (size_t i = 0; n > 0 && i < sizeof unfit / sizeof *unfit; ++i) {
        size_t at = (i * 7919) % n;
        float kept = out.array[0].data[at];
        out.array[0].data[at] = unfit[i];
        assert_int_equal(k->first_outside(n, -LFD_LIMIT, LFD_LIMIT, out.array[0].data), at);
        out.array[0].data[at] = kept;
    }
    for (size_t at = 0; at < n && at < 40; ++at) {
        const float x = out.array[0].data[at];
        assert_int_equal(k->first_outside(1, x, x, out.array[0].data + at), 1);
        assert_int_equal(k->first_outside(n - at, nextafterf(x, INFINITY), LFD_LIMIT, out.array[0].data + at), 0);
        assert_int_equal(k->first_outside(n - at, -LFD_LIMIT, nextafterf(x, -INFINITY), out.array[0].data + at), 0);
    }
    return out;
}

typedef outputs runner(const lfd_kernels *k, kernel_case *c);

static void expect_same(const outputs *want, const outputs *got, const char *what, const kernel_case *c) {
    assert_int_equal(want->value, got->value);
    for (size_t i = 0; i < OUTPUTS; ++i) {
        if (!want->array[i].mapping) continue;
        if (memcmp(want->array[i].data, got->array[i].data, want->array[i].count * sizeof(float)) == 0) continue;
        fail_msg("%s output %zu differs: batch %zu n_in %zu n_out %zu x_stride %zu p %g scale %g kind %d", what, i,
                 c->shape.batch, c->shape.n_in, c->shape.n_out, c->shape.x_stride, (double)c->p, (double)c->scale,
                 (int)c->kind);
    }
}

static void free_outputs(outputs *out) {
    for (size_t i = 0; i < OUTPUTS; ++i) guarded_free(&out->array[i]);
}

static void compare(const lfd_kernels *k, runner *run, const char *what, kernel_case c) {
    outputs want = run(lfd_kernels_for(LFD_ISA_REF), &c), got = run(k, &c);
    expect_same(&want, &got, what, &c);
    free_outputs(&want);
    free_outputs(&got);
    free_case(&c);
}

/* The lane counts and panel widths of all instruction sets, one less, one more; and sizes past every block. */
static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65};
static const float powers[] = {1.0f, 1.0001f, 1.5f, 2.0f,  2.5f,  3.0f,  4.0f,  5.0f,   6.0f,
                               7.0f, 8.0f,    8.5f, 12.0f, 15.9f, 16.0f, 33.3f, 100.0f, 1000.0f};
static const float scales[] = {1.0f, 1e-6f, 1e6f, 1e-12f, 1e-38f, 1e29f};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static size_t pick(size_t count) {
    return (size_t)((double)(uniform() + 0.5f) * (double)count) % count;
}

static void check_kernel(const lfd_kernels *k, runner *run, const char *what) {
    for (size_t i = 0; i < COUNT(sizes); ++i) /* every size in every place, the others at random */
        for (int place = 0; place < 3; ++place) {
            size_t n[3] = {sizes[pick(COUNT(sizes))], sizes[pick(COUNT(sizes))], sizes[pick(COUNT(sizes))]};
            n[place] = sizes[i];
            compare(k, run, what,
                    make_case(n[0], n[1], n[2], pick(3), powers[pick(COUNT(powers))], 1.0f, RANDOM, (int)pick(2)));
        }
    for (size_t i = 0; i < COUNT(powers); ++i)
        for (size_t j = 0; j < COUNT(scales); ++j)
            for (int kind = 0; kind < DATA_KINDS; ++kind)
                compare(k, run, what,
                        make_case(1 + pick(9), 1 + pick(90), 1 + pick(40), pick(3), powers[i], scales[j],
                                  (data_kind)kind, (int)pick(2)));
    for (size_t i = 0; i < COUNT(powers); ++i) { /* past every blocking constant */
        compare(k, run, what, make_case(5, 1300 + pick(9), 37, 1, powers[i], 1.0f, RANDOM, 1));
        compare(k, run, what, make_case(101, 19, 67, 0, powers[i], 1.0f, TIES, 0));
    }
    for (int kind = 0; kind < DATA_KINDS; ++kind) /* and past several packed blocks in every direction */
        compare(k, run, what, make_case(41, 500 + pick(80), 101, 1, 2.0f, 1.0f, (data_kind)kind, kind % 2));
}

typedef struct row {
    const char *kernel;
    runner *run;
    int isa;
} row;

static void test_row(void **state) {
    const row *r = *state;
    const lfd_kernels *k = lfd_kernels_for(r->isa);
    if (!k) skip();
    check_kernel(k, r->run, r->kernel);
}

/* The tables name themselves, and every machine has the reference. */
static void test_tables(void **state) {
    (void)state;
    static const char *const names[] = {"ref", "avx2", "avx512"};
    for (int isa = 0; isa < LFD_ISA_COUNT; ++isa) {
        const lfd_kernels *k = lfd_kernels_for(isa);
        if (isa == LFD_ISA_REF) assert_non_null(k);
        if (k) assert_string_equal(k->name, names[isa]);
    }
    assert_null(lfd_kernels_for(-1));
    assert_null(lfd_kernels_for(LFD_ISA_COUNT));
    assert_non_null(lfd_kernels_for(lfd_isa_best()));
}

/* Kernels an instruction set names as its own must not be the reference's in disguise. */
static void test_overrides(void **state) {
    (void)state;
    const lfd_kernels *ref = lfd_kernels_for(LFD_ISA_REF);
    for (int isa = LFD_ISA_AVX2; isa < LFD_ISA_COUNT; ++isa) {
        const lfd_kernels *k = lfd_kernels_for(isa);
        if (!k) continue;
        assert_true(k->linf_forward != ref->linf_forward && k->linf_argmax != ref->linf_argmax);
        assert_true(k->lp_forward != ref->lp_forward && k->lp_backward != ref->lp_backward);
        assert_true(k->bounds_forward != ref->bounds_forward && k->bounds_argmax != ref->bounds_argmax);
        assert_true(k->ranked_forward != ref->ranked_forward && k->ranked_bounds != ref->ranked_bounds);
        assert_true(k->pack_lanes != ref->pack_lanes && k->range_excess != ref->range_excess);
        assert_true(k->adam != ref->adam && k->first_outside != ref->first_outside);
    }
}

int main(void) {
    static row rows[] = {
#define ROWS(kernel) {#kernel "/avx2", run_##kernel, LFD_ISA_AVX2}, {#kernel "/avx512", run_##kernel, LFD_ISA_AVX512},
#define LFD_KERNEL(result, kernel, parameters) ROWS(kernel)
#include "../../lib/kernels.def"
#undef LFD_KERNEL
    };
    struct CMUnitTest tests[COUNT(rows) + 2] = {cmocka_unit_test(test_tables), cmocka_unit_test(test_overrides)};
    for (size_t i = 0; i < COUNT(rows); ++i)
        tests[i + 2] = (struct CMUnitTest){rows[i].kernel, test_row, NULL, NULL, &rows[i]};
    const char *text = getenv("LINFDIST_TEST_SEED");
    if (text) seed = strtoull(text, NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
