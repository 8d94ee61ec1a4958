#include <stdatomic.h>

#include "cut.h"
#include "ranking.h"

enum { BLOCK = 32, HALF = 16 }; /* samples in the lanes */
enum { FEW = 2 };               /* up to here samples pass one by one */
enum { STRIP = 16 };            /* outputs after which a tile may turn to the dense kernel, */
enum { STRIP_GROWTH = 64 };     /* at first; each later one is so many times longer */
enum { PART = 4 * STRIP };      /* outputs that a thread takes are a multiple of it */
enum { SHARED = 1 << 22 };      /* weights that are worth the waking of other threads for a sample or two */

_Static_assert(PART % LFD_HEAD_ROWS == 0, "threads take whole heads");
_Static_assert((int)FEW <= (int)BLOCK, "single samples are one block");

typedef struct pass {
    const lfd_kernels *kernels;
    const lfd_pruned *pruned;
    const lfd_dims *dims;
    size_t n, lanes; /* inputs of a group; lanes of a block: 1 for rows as they are */
    cut batch, out;  /* blocks of samples; outputs of a group */
    const float *x, *xu, *w;
    float *y, *yu;            /* yu: a pass of bounds */
    float *packed, *packed_u; /* lanes; of single intervals, packed has both ends side by side */
    float *above, *below;
    atomic_size_t visited; /* terms */
} pass;

static size_t padded(size_t batch) {
    return (batch + BLOCK - 1) / BLOCK * BLOCK;
}

size_t lfd_pruned_scratch(size_t batch, size_t n_in, size_t groups) {
    return 2 * padded(batch) * groups + 2 * (batch > FEW ? padded(batch) : batch) * n_in;
}

static size_t rows_of(const pass *p, size_t block) {
    return block_length(&p->batch, block);
}

/* Of a group: where a block's excesses begin. */
static size_t excess_at(const pass *p, size_t block, size_t group) {
    return (block * p->dims->groups + group) * BLOCK;
}

static void repeat_last(float *values, size_t count, size_t lanes) {
    for (size_t lane = count; lane < lanes; ++lane) values[lane] = values[count - 1];
}

static int is_short(const pass *p) {
    return p->lanes == 1 && p->n < LFD_SINGLE_SHORTEST;
}

/* The ends of each sample's intervals side by side. */
static void pair_ends(const pass *p) {
    const lfd_dims *d = p->dims;
    for (size_t b = 0; b < d->batch; ++b)
        for (size_t i = 0; i < d->n_in; ++i) {
            p->packed[2 * (b * d->n_in + i)] = p->x[b * d->x_stride + i];
            p->packed[2 * (b * d->n_in + i) + 1] = p->xu[b * d->x_stride + i];
        }
}

/* One block's samples into lanes, and how far they leave the range. */
static void load_block(void *data, size_t block) {
    const pass *p = data;
    const lfd_dims *d = p->dims;
    const size_t rows = rows_of(p, block), x = block * BLOCK * d->x_stride, packed = block * p->lanes * d->n_in;
    const lfd_shape all = {.batch = rows, .n_in = d->n_in, .x_stride = d->x_stride};
    const lfd_shape part = {.batch = rows, .n_in = p->n, .x_stride = d->x_stride};
    for (size_t group = 0; group < d->groups && !is_short(p); ++group) {
        const size_t input = group * p->n, excess = excess_at(p, block, group);
        p->kernels->range_excess(&part, p->x + x + input, p->xu + x + input, p->pruned->low + input,
                                 p->pruned->high + input, p->above + excess, p->below + excess);
        repeat_last(p->above + excess, rows, p->lanes);
        repeat_last(p->below + excess, rows, p->lanes);
    }
    if (p->lanes == 1) {
        if (p->yu && !is_short(p)) pair_ends(p);
        return;
    }
    p->kernels->pack_lanes(&all, p->lanes, p->x + x, p->packed + packed);
    if (p->yu) p->kernels->pack_lanes(&all, p->lanes, p->xu + x, p->packed_u + packed);
}

/* Outputs [out, out + count) of one block. */
typedef struct tile {
    size_t block, group, out, count; /* out: of all groups */
} tile;

static lfd_shape shape_of(const pass *p, const tile *t) {
    const lfd_dims *d = p->dims;
    return (lfd_shape){rows_of(p, t->block), p->n, t->count, d->x_stride, d->w_stride, d->y_stride};
}

static size_t terms_of(const pass *p, const tile *t) {
    return rows_of(p, t->block) * t->count * p->n;
}

/* Returns the terms. */
static size_t run_dense(const pass *p, const tile *t) {
    const lfd_dims *d = p->dims;
    const lfd_shape shape = shape_of(p, t);
    const size_t x = t->block * BLOCK * d->x_stride + t->group * p->n, y = t->block * BLOCK * d->y_stride + t->out;
    const float *w = p->w + t->out * d->w_stride;
    if (p->yu)
        p->kernels->bounds_forward(&shape, p->x + x, p->xu + x, w, p->y + y, p->yu + y);
    else
        p->kernels->linf_forward(&shape, p->x + x, w, p->y + y);
    return terms_of(p, t);
}

/* Returns the terms visited. */
static size_t run_ranked(const pass *p, const tile *t) {
    const lfd_dims *d = p->dims;
    const lfd_shape shape = shape_of(p, t);
    const lfd_ranked ranked = {p->pruned->count, d->n_out, p->pruned->slices + t->out, NULL};
    const size_t excess = excess_at(p, t->block, t->group), y = t->block * BLOCK * d->y_stride + t->out;
    const size_t x = t->block * BLOCK * d->x_stride + t->group * p->n;
    const size_t packed = (t->block * d->n_in + t->group * p->n) * p->lanes;
    const float *w = p->w + t->out * d->w_stride;
    if (p->yu)
        return p->kernels->ranked_bounds(&shape, &ranked, p->lanes, p->x + x, p->xu + x, p->packed + packed,
                                         p->packed_u + packed, p->above + excess, p->below + excess, w, p->y + y,
                                         p->yu + y);
    return p->kernels->ranked_forward(&shape, &ranked, p->lanes, p->x + x, p->packed + packed, p->above + excess, w,
                                      p->y + y);
}

/* Samples one by one; of the group's rows those that the tile's heads name. Returns the terms visited. */
static size_t run_single(const pass *p, const tile *t) {
    const lfd_dims *d = p->dims;
    const lfd_shape shape = shape_of(p, t);
    const size_t first = t->group * p->out.length; /* output of the group */
    const size_t head = t->group * p->pruned->group_heads + (t->out - first) / LFD_HEAD_ROWS;
    const lfd_ranked ranked = {p->pruned->count, d->n_out, p->pruned->slices + first, p->pruned->heads + head};
    const float *w = p->w + first * d->w_stride;
    size_t visited = 0;
    for (size_t b = 0; b < d->batch; ++b) {
        const size_t x = b * d->x_stride + t->group * p->n, y = b * d->y_stride + first;
        const size_t excess = excess_at(p, t->block, t->group) + b;
        if (p->yu)
            visited +=
                p->kernels->single_bounds(&shape, &ranked, p->packed + 2 * (b * d->n_in + t->group * p->n), p->x + x,
                                          p->xu + x, p->above[excess], p->below[excess], w, p->y + y, p->yu + y);
        else
            visited += p->kernels->single_forward(&shape, &ranked, p->x + x, p->above[excess], w, p->y + y);
    }
    return visited;
}

/* The outputs of a tile in strips; from one on that visits too many terms, densely. Returns the terms. */
static size_t run_strips(const pass *p, const tile *t) {
    const size_t end = t->out + t->count;
    tile strip = *t;
    size_t visited = 0, length = STRIP;
    for (int dense = 0; strip.out < end; strip.out += strip.count, length *= STRIP_GROWTH) {
        if (dense) {
            strip.count = end - strip.out;
            return visited + run_dense(p, &strip);
        }
        strip.count = smaller(length, end - strip.out);
        const size_t terms = run_ranked(p, &strip);
        dense = terms > terms_of(p, &strip) / 2;
        visited += terms;
    }
    return visited;
}

static void run_tile(void *data, size_t index) {
    pass *p = data;
    const size_t block = index % p->batch.count, part = index / p->batch.count % p->out.count;
    const size_t group = index / p->batch.count / p->out.count;
    const tile t = {.block = block,
                    .group = group,
                    .out = group * p->out.length + block_begin(&p->out, part),
                    .count = block_length(&p->out, part)};
    const size_t visited = p->lanes > 1 ? run_strips(p, &t) : is_short(p) ? run_dense(p, &t) : run_single(p, &t);
    atomic_fetch_add_explicit(&p->visited, visited, memory_order_relaxed);
}

static size_t run(linfdist_context *context, pass *p, float *scratch) {
    const lfd_dims *d = p->dims;
    const size_t outputs = d->n_out / d->groups, threads = (size_t)context->threads, rows = padded(d->batch);
    p->kernels = context->kernels;
    p->n = d->n_in / d->groups;
    p->lanes = d->batch <= FEW ? 1 : d->batch <= HALF ? HALF : BLOCK;
    p->batch = cut_into(d->batch, BLOCK);
    const int alone = p->lanes == 1 && outputs * p->n < SHARED;
    p->out = alone ? whole(outputs) : cut_evenly(outputs, d->groups * p->batch.count, threads, PART, outputs);
    atomic_init(&p->visited, 0);
    p->above = scratch;
    p->below = p->above + rows * d->groups;
    p->packed = p->below + rows * d->groups;
    p->packed_u = p->packed + (p->lanes == 1 ? 0 : rows * d->n_in);
    lfd_parallel_for(context, load_block, p, p->batch.count);
    lfd_parallel_for(context, run_tile, p, p->batch.count * d->groups * p->out.count);
    return atomic_load(&p->visited);
}

size_t lfd_pruned_forward(linfdist_context *context, const lfd_pruned *pruned, const lfd_dims *dims, const float *x,
                          const float *w, float *y, float *scratch) {
    pass p = {.pruned = pruned, .dims = dims, .x = x, .xu = x, .w = w, .y = y};
    return run(context, &p, scratch);
}

size_t lfd_pruned_bounds(linfdist_context *context, const lfd_pruned *pruned, const lfd_dims *dims, const float *xl,
                         const float *xu, const float *w, float *yl, float *yu, float *scratch) {
    pass p = {.pruned = pruned, .dims = dims, .x = xl, .xu = xu, .w = w, .y = yl, .yu = yu};
    return run(context, &p, scratch);
}
