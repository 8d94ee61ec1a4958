/* The ranked and the single kernels of kernels.def against the dense ones. */
#ifndef LINFDIST_TESTS_RANKED_RUNS_H
#define LINFDIST_TESTS_RANKED_RUNS_H

#include "kernel_case.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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
        heads->rest[lane] = heads->earlier[lane] = -INFINITY;
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

static const size_t lane_counts[] = {16, 32};

static outputs run_pack_lanes(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{{0}}, 0};
    for (size_t i = 0; i < 2 && c->shape.batch > 0; ++i) {
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
    outputs out = {{y_like(c), y_like(c), y_like(c)}, 0};
    const size_t all = c->shape.n_in / LFD_SLICE, slices[] = {all, all / 2, 0};
    lfd_kernels_for(LFD_ISA_REF)->linf_forward(&c->shape, c->x.data, c->w.data, out.array[2].data);
    for (size_t i = 0; i < 2 && c->shape.batch > 0; ++i) {
        ranked_case r = make_ranked(k, c, lane_counts[i], slices[(i + c->shape.n_out) % 3]);
        k->range_excess(&r.shape, c->x.data, c->x.data, r.low.data, r.high.data, r.above.data, r.below.data);
        for (size_t b = r.shape.batch; b < r.above.count; ++b) r.above.data[b] = r.above.data[r.shape.batch - 1];
        const size_t visited = k->ranked_forward(&r.shape, &r.ranked, r.lanes, c->x.data, r.lanes_x.data, r.above.data,
                                                 c->w.data, out.array[i].data);
        expect_dense(&r.shape, &out.array[i], &out.array[2]);
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
    for (size_t i = 0; i < 2 && c->shape.batch > 0; ++i) {
        ranked_case r = make_ranked(k, c, lane_counts[i], slices[(i + c->shape.n_out) % 3]);
        k->ranked_bounds(&r.shape, &r.ranked, r.lanes, c->x.data, c->x_upper.data, r.lanes_x.data, r.lanes_xu.data,
                         r.above.data, r.below.data, c->w.data, out.array[0].data, out.array[1].data);
        expect_dense(&r.shape, &out.array[0], &out.array[2]);
        expect_dense(&r.shape, &out.array[1], &out.array[3]);
        free_ranked(&r);
    }
    return out;
}

/* All whole slices or half of them; none where the kernels take no such case. */
static size_t slices_of_single(const kernel_case *c) {
    const size_t all = c->shape.n_in / LFD_SLICE;
    return c->shape.batch == 0 ? 0 : c->shape.n_out % 2 ? all : (all + 1) / 2;
}

/* The same with all whole slices or half of them, one sample at a time, its rows from the last to the first. */
static outputs run_single_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c)}, 0};
    const size_t slices = slices_of_single(c);
    if (slices == 0) return out;
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
    const size_t slices = slices_of_single(c);
    if (slices == 0) return out;
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

#endif
