#include "prune.h"

#include <float.h>
#include <stdatomic.h>

#include "cut.h"

enum { SHORTEST = 64 };         /* rows below it stay dense */
enum { WHOLE_ORDER = 16 };      /* outputs of a group up to which rows keep the whole order */
enum { ORDER_SHARE = 4 };       /* elsewhere they keep the first quarter */
enum { BUCKETS = 1024 };        /* of a row's bounds when it is ordered */
enum { BLOCK = 32, HALF = 16 }; /* samples in the lanes */
enum { FEW = 2 };               /* up to here samples pass one by one */
enum { STRIP = 16 };            /* outputs after which a tile may turn to the dense kernel */

struct lfd_pruned {
    size_t slices;
    float *low, *high; /* n_in */
    float *rest;       /* n_out */
    lfd_rank *ranks;   /* slices x n_out x LFD_SLICE */
};

/* ---- ranking ---- */

typedef struct ranking {
    const lfd_dims *dims;
    const float *w;
    lfd_pruned *pruned;
} ranking;

static float bound_of(const lfd_pruned *pruned, size_t input, float w) {
    const float up = pruned->high[input] - w, down = w - pruned->low[input];
    return lfd_raised(up > down ? up : down);
}

/* The bucket of a bound, the largest first. */
typedef struct scale {
    float most, factor;
} scale;

static scale scale_of(const lfd_pruned *pruned, size_t first, size_t n, const float *w) {
    float most = -FLT_MAX, least = FLT_MAX;
    for (size_t i = 0; i < n; ++i) {
        const float bound = bound_of(pruned, first + i, w[i]);
        if (bound > most) most = bound;
        if (bound < least) least = bound;
    }
    const float factor = (float)BUCKETS / (most - least);
    return (scale){most, factor <= FLT_MAX ? factor : 0.0f};
}

static size_t bucket_of(const scale *by, float bound) {
    const float bucket = (by->most - bound) * by->factor;
    return bucket < (float)BUCKETS ? (size_t)bucket : BUCKETS - 1;
}

static void count_buckets(const lfd_pruned *pruned, const scale *by, size_t first, size_t n, const float *w,
                          size_t next[BUCKETS]) {
    size_t before = 0;
    for (size_t k = 0; k < BUCKETS; ++k) next[k] = 0;
    for (size_t i = 0; i < n; ++i) ++next[bucket_of(by, bound_of(pruned, first + i, w[i]))];
    for (size_t k = 0; k < BUCKETS; ++k) {
        const size_t count = next[k];
        next[k] = before;
        before += count;
    }
}

static lfd_rank *rank_at(const ranking *r, size_t row, size_t position) {
    return r->pruned->ranks + (position / LFD_SLICE * r->dims->n_out + row) * LFD_SLICE + position % LFD_SLICE;
}

/* Inside a bucket the order does not matter, since each rank bounds all that follow. */
static void rank_row(void *data, size_t row) {
    const ranking *r = data;
    lfd_pruned *pruned = r->pruned;
    const size_t n = r->dims->n_in / r->dims->groups, depth = pruned->slices * LFD_SLICE;
    const size_t first = row / (r->dims->n_out / r->dims->groups) * n;
    const float *w = r->w + row * r->dims->w_stride;
    const scale by = scale_of(pruned, first, n, w);
    size_t next[BUCKETS];
    float rest = -FLT_MAX;
    count_buckets(pruned, &by, first, n, w, next);
    for (size_t i = n; i < depth; ++i) *rank_at(r, row, i) = (lfd_rank){-FLT_MAX, 0.0f, 0};
    for (size_t i = 0; i < n; ++i) {
        const float bound = bound_of(pruned, first + i, w[i]);
        const size_t position = next[bucket_of(&by, bound)]++;
        if (position < depth)
            *rank_at(r, row, position) = (lfd_rank){bound, w[i], (uint32_t)i};
        else if (bound > rest)
            rest = bound;
    }
    pruned->rest[row] = rest;
    for (size_t position = depth; position-- > 0;) {
        lfd_rank *rank = rank_at(r, row, position);
        if (rank->bound > rest) rest = rank->bound;
        rank->bound = rest;
    }
}

static size_t slices_of(const lfd_dims *dims) {
    const size_t n = dims->n_in / dims->groups;
    if (dims->n_out / dims->groups <= WHOLE_ORDER) return (n + LFD_SLICE - 1) / LFD_SLICE;
    return n / (ORDER_SHARE * LFD_SLICE);
}

static linfdist_status allocate(const linfdist_context *context, const lfd_dims *dims, lfd_pruned *pruned) {
    void *memory;
    LFD_TRY(lfd_alloc(context, 2 * dims->n_in + dims->n_out, sizeof(float), "ranges of inputs", &memory));
    pruned->low = memory;
    pruned->high = pruned->low + dims->n_in;
    pruned->rest = pruned->high + dims->n_in;
    LFD_TRY(lfd_alloc(context, pruned->slices * dims->n_out, LFD_SLICE * sizeof(lfd_rank), "ranks of inputs", &memory));
    pruned->ranks = memory;
    return LINFDIST_OK;
}

linfdist_status lfd_pruned_create(linfdist_context *context, const lfd_dims *dims, const float *w, const float *low,
                                  const float *high, lfd_pruned **pruned) {
    void *memory;
    *pruned = NULL;
    if (dims->n_in / dims->groups < SHORTEST) return LINFDIST_OK;
    LFD_TRY(lfd_alloc_zero(context, 1, sizeof(lfd_pruned), "ranks of inputs", &memory));
    lfd_pruned *made = memory;
    made->slices = slices_of(dims);
    const linfdist_status status = allocate(context, dims, made);
    if (status != LINFDIST_OK) {
        lfd_pruned_destroy(context, made);
        return status;
    }
    for (size_t i = 0; i < dims->n_in; ++i) made->low[i] = low[i], made->high[i] = high[i];
    ranking job = {dims, w, made};
    lfd_parallel_for(context, rank_row, &job, dims->n_out);
    *pruned = made;
    return LINFDIST_OK;
}

void lfd_pruned_destroy(const linfdist_context *context, lfd_pruned *pruned) {
    if (!pruned) return;
    lfd_free(context, pruned->low);
    lfd_free(context, pruned->ranks);
    lfd_free(context, pruned);
}

/* ---- passes ---- */

typedef struct pass {
    const lfd_kernels *kernels;
    const lfd_pruned *pruned;
    const lfd_dims *dims;
    size_t n, lanes; /* inputs of a group; lanes of a block: 1 for rows as they are */
    cut batch, out;  /* blocks of samples; outputs of a group */
    const float *x, *xu, *w;
    float *y, *yu;                   /* yu: a pass of bounds */
    const float *lanes_x, *lanes_xu; /* x in lanes: packed, or x itself */
    float *packed, *packed_u, *above, *below;
    atomic_size_t visited; /* terms */
} pass;

static size_t padded(size_t batch) {
    return (batch + BLOCK - 1) / BLOCK * BLOCK;
}

size_t lfd_pruned_scratch(size_t batch, size_t n_in, size_t groups) {
    return 2 * padded(batch) * (n_in + groups);
}

static size_t rows_of(const pass *p, size_t block) {
    return smaller(p->batch.step, p->batch.length - block * p->batch.step);
}

/* Of a group: where a block's excesses begin. */
static size_t excess_at(const pass *p, size_t block, size_t group) {
    return (block * p->dims->groups + group) * BLOCK;
}

static void repeat_last(float *values, size_t count, size_t lanes) {
    for (size_t lane = count; lane < lanes; ++lane) values[lane] = values[count - 1];
}

/* One block's samples into lanes, and how far they leave the range. */
static void load_block(void *data, size_t block) {
    const pass *p = data;
    const lfd_dims *d = p->dims;
    const size_t rows = rows_of(p, block), x = block * BLOCK * d->x_stride, packed = block * p->lanes * d->n_in;
    const lfd_shape all = {.batch = rows, .n_in = d->n_in, .x_stride = d->x_stride};
    const lfd_shape part = {.batch = rows, .n_in = p->n, .x_stride = d->x_stride};
    for (size_t group = 0; group < d->groups; ++group) {
        const size_t input = group * p->n, excess = excess_at(p, block, group);
        p->kernels->range_excess(&part, p->x + x + input, p->xu + x + input, p->pruned->low + input,
                                 p->pruned->high + input, p->above + excess, p->below + excess);
        repeat_last(p->above + excess, rows, p->lanes);
        repeat_last(p->below + excess, rows, p->lanes);
    }
    if (p->lanes == 1) return;
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

static void run_dense(const pass *p, const tile *t) {
    const lfd_dims *d = p->dims;
    const lfd_shape shape = shape_of(p, t);
    const size_t x = t->block * BLOCK * d->x_stride + t->group * p->n, y = t->block * BLOCK * d->y_stride + t->out;
    const float *w = p->w + t->out * d->w_stride;
    if (p->yu)
        p->kernels->bounds_forward(&shape, p->x + x, p->xu + x, w, p->y + y, p->yu + y);
    else
        p->kernels->linf_forward(&shape, p->x + x, w, p->y + y);
}

/* Returns the terms visited. */
static size_t run_ranked(const pass *p, const tile *t) {
    const lfd_dims *d = p->dims;
    const lfd_shape shape = shape_of(p, t);
    const lfd_ranked ranked = {p->pruned->slices, d->n_out * LFD_SLICE, p->pruned->ranks + t->out * LFD_SLICE,
                               p->pruned->rest + t->out};
    const size_t excess = excess_at(p, t->block, t->group), y = t->block * BLOCK * d->y_stride + t->out;
    const size_t x = (t->block * d->n_in + t->group * p->n) * p->lanes;
    const float *w = p->w + t->out * d->w_stride;
    if (p->yu)
        return p->kernels->ranked_bounds(&shape, &ranked, p->lanes, p->lanes_x + x, p->lanes_xu + x, p->above + excess,
                                         p->below + excess, w, p->y + y, p->yu + y);
    return p->kernels->ranked_forward(&shape, &ranked, p->lanes, p->lanes_x + x, p->above + excess, w, p->y + y);
}

/* Where a strip visits so many terms that the dense kernel is faster, it does the rest of the tile. */
static int too_many(const pass *p, const tile *strip, size_t visited) {
    const size_t all = strip->count * p->n;
    return p->lanes == 1 ? visited > rows_of(p, strip->block) * (all / 32) : visited > p->lanes * (all / 2);
}

static void run_tile(void *data, size_t index) {
    pass *p = data;
    const size_t block = index % p->batch.count, part = index / p->batch.count % p->out.count;
    const size_t group = index / p->batch.count / p->out.count, begin = group * p->out.length + part * p->out.step;
    const size_t end = begin + smaller(p->out.step, p->out.length - part * p->out.step);
    tile strip = {.block = block, .group = group, .out = begin};
    while (strip.out < end) {
        strip.count = smaller(strip.out == begin ? STRIP : 4 * STRIP, end - strip.out);
        const size_t visited = run_ranked(p, &strip);
        const int dense = too_many(p, &strip, visited);
        atomic_fetch_add_explicit(&p->visited, visited, memory_order_relaxed);
        strip.out += strip.count;
        if (!dense || strip.out == end) continue;
        strip.count = end - strip.out;
        run_dense(p, &strip);
        atomic_fetch_add_explicit(&p->visited, rows_of(p, block) * strip.count * p->n, memory_order_relaxed);
        return;
    }
}

static size_t run(linfdist_context *context, pass *p, float *scratch) {
    const lfd_dims *d = p->dims;
    const size_t outputs = d->n_out / d->groups, threads = (size_t)context->threads, rows = padded(d->batch);
    p->kernels = context->kernels;
    p->n = d->n_in / d->groups;
    p->lanes = d->batch <= FEW ? 1 : d->batch <= HALF ? HALF : BLOCK;
    p->batch = cut_into(d->batch, BLOCK);
    /* A sample or two are done before other threads are awake. */
    p->out =
        p->lanes == 1 ? whole(outputs) : cut_evenly(outputs, d->groups * p->batch.count, threads, 4 * STRIP, outputs);
    atomic_init(&p->visited, 0);
    p->above = scratch;
    p->below = p->above + rows * d->groups;
    p->packed = p->below + rows * d->groups;
    p->packed_u = p->packed + rows * d->n_in;
    p->lanes_x = p->lanes == 1 ? p->x : p->packed;
    p->lanes_xu = p->lanes == 1 ? p->xu : p->packed_u;
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
