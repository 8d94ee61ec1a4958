#include "prune.h"

#include <float.h>
#include <stdatomic.h>

#include "cut.h"

enum { SHORTEST = 64 };         /* rows below it stay dense */
enum { ORDER_SHARE = 4 };       /* rows keep this part of their order */
enum { BUCKETS = 1024 };        /* of a row's bounds when it is ordered */
enum { BLOCK = 32, HALF = 16 }; /* samples in the lanes */
enum { FEW = 2 };               /* up to here samples pass one by one, */
enum { ALONE_SHORTEST = 192 };  /* through rows that are at least so long; shorter ones stay dense */
enum { STRIP = 16 };            /* outputs after which a tile may turn to the dense kernel, */
enum { STRIP_GROWTH = 64 };     /* at first; each later one is so many times longer */
enum { SHARED = 1 << 22 };      /* weights that are worth the waking of other threads for a sample or two */

struct lfd_pruned {
    size_t count;      /* slices of a row */
    float *low, *high; /* n_in */
    size_t group_heads;
    lfd_slice *slices; /* count x n_out */
    lfd_heads *heads;  /* groups x group_heads */
};

static float larger(float a, float b) {
    return a > b ? a : b;
}

/* ---- ranking ---- */

typedef struct ranking {
    const lfd_dims *dims;
    const float *w;
    lfd_pruned *pruned;
    uint8_t *needs; /* n_out */
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

/* Inside a bucket the order does not matter, since each slice bounds all that follow. */
static void rank_row(void *data, size_t row) {
    const ranking *r = data;
    const lfd_pruned *pruned = r->pruned;
    const size_t n = r->dims->n_in / r->dims->groups, stride = r->dims->n_out;
    const size_t first = row / (r->dims->n_out / r->dims->groups) * n;
    const float *w = r->w + row * r->dims->w_stride;
    const scale by = scale_of(pruned, first, n, w);
    lfd_slice *slices = pruned->slices + row;
    size_t next[BUCKETS];
    float rest = -FLT_MAX;
    count_buckets(pruned, &by, first, n, w, next);
    for (size_t k = 0; k < pruned->count; ++k) slices[k * stride].rest = -FLT_MAX;
    for (size_t i = 0; i < n; ++i) {
        const float bound = bound_of(pruned, first + i, w[i]);
        const size_t position = next[bucket_of(&by, bound)]++, k = position / LFD_SLICE;
        float *most = k < pruned->count ? &slices[k * stride].rest : &rest; /* of this slice, so far */
        if (bound > *most) *most = bound;
        if (k >= pruned->count) continue;
        slices[k * stride].w[position % LFD_SLICE] = w[i];
        slices[k * stride].column[position % LFD_SLICE] = (uint16_t)i;
    }
    for (size_t k = pruned->count; k-- > 0;) {
        const float own = slices[k * stride].rest;
        slices[k * stride].rest = rest;
        if (own > rest) rest = own;
    }
}

/* ---- heads ---- */

/* Of the first slice: what one column can contribute. */
typedef struct first_rank {
    float bound, w;
    uint16_t column;
} first_rank;

static size_t first_input(const ranking *r, size_t row) {
    return row / (r->dims->n_out / r->dims->groups) * (r->dims->n_in / r->dims->groups);
}

/* The first slice of a row, in order. */
static void first_ranks(const ranking *r, size_t row, first_rank ranks[LFD_SLICE]) {
    const lfd_slice *slice = &r->pruned->slices[row];
    for (size_t i = 0; i < LFD_SLICE; ++i) {
        const float bound = bound_of(r->pruned, first_input(r, row) + slice->column[i], slice->w[i]);
        size_t place = i;
        for (; place > 0 && ranks[place - 1].bound < bound; --place) ranks[place] = ranks[place - 1];
        ranks[place] = (first_rank){bound, slice->w[i], slice->column[i]};
    }
}

/* The least that a row's maximum can be inside the range. */
static float least_of(const ranking *r, size_t row) {
    const float *w = r->w + row * r->dims->w_stride;
    const float *low = r->pruned->low + first_input(r, row), *high = r->pruned->high + first_input(r, row);
    float least = 0.0f;
    for (size_t i = 0; i < r->dims->n_in / r->dims->groups; ++i) {
        const float below = low[i] - w[i], beyond = w[i] - high[i];
        if (below > least) least = below;
        if (beyond > least) least = beyond;
    }
    return least;
}

/* Ranks that settle a row wherever the sample is inside the range; more than LFD_SLICE where the first slice may not.
 */
static uint8_t need_of(const ranking *r, size_t row) {
    const float least = least_of(r, row);
    first_rank ranks[LFD_SLICE];
    uint8_t need = 1;
    if (r->pruned->slices[row].rest > least) return LFD_SLICE + 1;
    first_ranks(r, row, ranks);
    while (need < LFD_SLICE && ranks[need].bound > least) ++need;
    return need;
}

static void count_need(void *data, size_t row) {
    const ranking *r = data;
    r->needs[row] = need_of(r, row);
}

/* Gives the rows of a group to its heads, those with small needs first. */
static void order_rows(void *data, size_t group) {
    const ranking *r = data;
    const size_t outputs = r->dims->n_out / r->dims->groups;
    lfd_heads *heads = r->pruned->heads + group * r->pruned->group_heads;
    size_t place = 0;
    for (size_t need = 1; need <= LFD_SLICE + 1; ++need)
        for (size_t o = 0; o < outputs; ++o) {
            if (r->needs[group * outputs + o] != need) continue;
            heads[place / LFD_HEAD_ROWS].row[place % LFD_HEAD_ROWS] = (int32_t)o;
            heads[place / LFD_HEAD_ROWS].ranks = smaller(need, LFD_SLICE);
            ++place;
        }
}

/* A lane without a row is settled whatever the sample. */
static void fill_lane(lfd_heads *heads, size_t lane, const first_rank ranks[LFD_SLICE], float rest) {
    heads->rest[lane] = rest;
    heads->earlier[lane] = heads->ranks == LFD_SLICE ? rest : larger(ranks[heads->ranks].bound, rest);
    for (size_t i = 0; i < LFD_SLICE; ++i) {
        heads->w[i][lane] = ranks[i].w;
        heads->column[i][lane] = ranks[i].column;
    }
}

static void fill_heads(void *data, size_t index) {
    const ranking *r = data;
    const lfd_pruned *pruned = r->pruned;
    const size_t outputs = r->dims->n_out / r->dims->groups, group = index / pruned->group_heads;
    const size_t rows = outputs - index % pruned->group_heads * LFD_HEAD_ROWS;
    lfd_heads *heads = &pruned->heads[index];
    for (size_t lane = 0; lane < LFD_HEAD_ROWS; ++lane) {
        first_rank ranks[LFD_SLICE] = {{-FLT_MAX, 0.0f, 0}};
        if (lane < rows) {
            const size_t row = group * outputs + (size_t)heads->row[lane];
            first_ranks(r, row, ranks);
            fill_lane(heads, lane, ranks, pruned->slices[row].rest);
        } else {
            for (size_t i = 0; i < LFD_SLICE; ++i) ranks[i].bound = -FLT_MAX;
            fill_lane(heads, lane, ranks, -FLT_MAX);
        }
    }
}

static linfdist_status make_heads(linfdist_context *context, ranking *job) {
    const lfd_dims *d = job->dims;
    void *memory;
    LFD_TRY(lfd_alloc(context, d->n_out, sizeof *job->needs, "ranks of inputs", &memory));
    job->needs = memory;
    lfd_parallel_for(context, count_need, job, d->n_out);
    lfd_parallel_for(context, order_rows, job, d->groups);
    lfd_parallel_for(context, fill_heads, job, d->groups * job->pruned->group_heads);
    lfd_free(context, memory);
    return LINFDIST_OK;
}

static linfdist_status allocate(const linfdist_context *context, const lfd_dims *dims, lfd_pruned *pruned) {
    void *memory;
    LFD_TRY(lfd_alloc(context, 2 * dims->n_in, sizeof(float), "ranges of inputs", &memory));
    pruned->low = memory;
    pruned->high = pruned->low + dims->n_in;
    LFD_TRY(lfd_alloc(context, pruned->count * dims->n_out, sizeof(lfd_slice), "ranks of inputs", &memory));
    pruned->slices = memory;
    LFD_TRY(lfd_alloc(context, dims->groups * pruned->group_heads, sizeof(lfd_heads), "ranks of inputs", &memory));
    pruned->heads = memory;
    return LINFDIST_OK;
}

linfdist_status lfd_pruned_create(linfdist_context *context, const lfd_dims *dims, const float *w, const float *low,
                                  const float *high, lfd_pruned **pruned) {
    void *memory;
    *pruned = NULL;
    const size_t n = dims->n_in / dims->groups;
    if (n < SHORTEST || n > LFD_SLICED_COLUMNS) return LINFDIST_OK;
    LFD_TRY(lfd_alloc_zero(context, 1, sizeof(lfd_pruned), "ranks of inputs", &memory));
    lfd_pruned *made = memory;
    made->count = (n / ORDER_SHARE + LFD_SLICE - 1) / LFD_SLICE;
    made->group_heads = (dims->n_out / dims->groups + LFD_HEAD_ROWS - 1) / LFD_HEAD_ROWS;
    ranking job = {.dims = dims, .w = w, .pruned = made};
    linfdist_status status = allocate(context, dims, made);
    if (status == LINFDIST_OK) {
        for (size_t i = 0; i < dims->n_in; ++i) made->low[i] = low[i], made->high[i] = high[i];
        lfd_parallel_for(context, rank_row, &job, dims->n_out);
        status = make_heads(context, &job);
    }
    if (status != LINFDIST_OK) {
        lfd_pruned_destroy(context, made);
        return status;
    }
    *pruned = made;
    return LINFDIST_OK;
}

void lfd_pruned_destroy(const linfdist_context *context, lfd_pruned *pruned) {
    if (!pruned) return;
    lfd_free(context, pruned->low);
    lfd_free(context, pruned->slices);
    lfd_free(context, pruned->heads);
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
    float *y, *yu; /* yu: a pass of bounds */
    float *packed, *packed_u, *above, *below;
    atomic_size_t visited; /* terms */
} pass;

static size_t padded(size_t batch) {
    return (batch + BLOCK - 1) / BLOCK * BLOCK;
}

size_t lfd_pruned_scratch(size_t batch, size_t n_in, size_t groups) {
    return 2 * padded(batch) * groups + 2 * (batch > FEW ? padded(batch) : batch) * n_in;
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

static int is_short(const pass *p) {
    return p->lanes == 1 && p->n < ALONE_SHORTEST;
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
    const size_t group = index / p->batch.count / p->out.count, begin = group * p->out.length + part * p->out.step;
    const size_t end = begin + smaller(p->out.step, p->out.length - part * p->out.step);
    const tile t = {.block = block, .group = group, .out = begin, .count = end - begin};
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
    p->out = alone ? whole(outputs) : cut_evenly(outputs, d->groups * p->batch.count, threads, 4 * STRIP, outputs);
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
