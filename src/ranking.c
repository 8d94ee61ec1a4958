#include "ranking.h"

#include <float.h>
#include <math.h>

#include "cut.h"

enum { SHORTEST = 64 };   /* rows below it stay dense */
enum { ORDER_SHARE = 4 }; /* rows keep this part of their order */
enum { BUCKETS = 1024 };  /* of a row's bounds when it is ordered */

typedef struct ranking {
    const lfd_dims *dims;
    const float *w;
    lfd_pruned *pruned;
    uint8_t *needs; /* n_out, see need_of */
} ranking;

static size_t inputs_of(const ranking *r) {
    return r->dims->n_in / r->dims->groups;
}

static size_t outputs_of(const ranking *r) {
    return r->dims->n_out / r->dims->groups;
}

/* The first of a row's inputs. */
static size_t first_input(const ranking *r, size_t row) {
    return row / outputs_of(r) * inputs_of(r);
}

static float larger(float a, float b) {
    return a > b ? a : b;
}

static float bound_of(const lfd_pruned *pruned, size_t input, float w) {
    const float up = pruned->high[input] - w, down = w - pruned->low[input];
    return lfd_raised(larger(up, down));
}

/* That of the i-th column of a slice. */
static float rank_bound(const lfd_pruned *pruned, size_t first, const lfd_slice *slice, size_t i) {
    return bound_of(pruned, first + slice->column[i], slice->w[i]);
}

/* The bucket of a bound, the largest first. */
typedef struct scale {
    float most, factor;
} scale;

static scale scale_of(const lfd_pruned *pruned, size_t first, size_t n, const float *w) {
    float most = -FLT_MAX, least = FLT_MAX;
    for (size_t i = 0; i < n; ++i) {
        const float bound = bound_of(pruned, first + i, w[i]);
        most = larger(bound, most);
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

/* Largest bounds first. */
static void sort_slice(const lfd_pruned *pruned, size_t first, lfd_slice *slice) {
    for (size_t i = 1; i < LFD_SLICE; ++i) {
        const float w = slice->w[i];
        const uint16_t column = slice->column[i];
        const float bound = bound_of(pruned, first + column, w);
        size_t place = i;
        for (; place > 0 && rank_bound(pruned, first, slice, place - 1) < bound; --place) {
            slice->w[place] = slice->w[place - 1];
            slice->column[place] = slice->column[place - 1];
        }
        slice->w[place] = w;
        slice->column[place] = column;
    }
}

/* Inside a bucket the order does not matter, since each slice bounds all that follow; inside the first slice it does
 * for heads. */
static void rank_row(void *data, size_t row) {
    const ranking *r = data;
    const lfd_pruned *pruned = r->pruned;
    const size_t n = inputs_of(r), stride = r->dims->n_out, first = first_input(r, row);
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
        *most = larger(bound, *most);
        if (k >= pruned->count) continue;
        slices[k * stride].w[position % LFD_SLICE] = w[i];
        slices[k * stride].column[position % LFD_SLICE] = (uint16_t)i;
    }
    for (size_t k = pruned->count; k-- > 0;) {
        const float own = slices[k * stride].rest;
        slices[k * stride].rest = rest;
        rest = larger(own, rest);
    }
    sort_slice(pruned, first, slices);
}

/* ---- heads ---- */

/* The least that a row's maximum can be inside the range. */
static float least_of(const ranking *r, size_t row) {
    const float *w = r->w + row * r->dims->w_stride;
    const float *low = r->pruned->low + first_input(r, row), *high = r->pruned->high + first_input(r, row);
    float least = 0.0f;
    for (size_t i = 0; i < inputs_of(r); ++i) least = larger(larger(low[i] - w[i], w[i] - high[i]), least);
    return least;
}

/* Ranks that settle a row wherever the sample is inside the range; more than LFD_SLICE where the first slice may not.
 */
static void need_of(void *data, size_t row) {
    const ranking *r = data;
    const lfd_slice *slice = &r->pruned->slices[row];
    const float least = least_of(r, row);
    uint8_t need = 1;
    while (need < LFD_SLICE && rank_bound(r->pruned, first_input(r, row), slice, need) > least) ++need;
    r->needs[row] = slice->rest > least ? LFD_SLICE + 1 : need;
}

/* Gives the rows of a group to its heads, those with small needs first. */
static void order_rows(void *data, size_t group) {
    const ranking *r = data;
    const uint8_t *needs = r->needs + group * outputs_of(r);
    lfd_heads *heads = r->pruned->heads + group * r->pruned->group_heads;
    size_t place = 0;
    for (size_t need = 1; need <= LFD_SLICE + 1; ++need)
        for (size_t o = 0; o < outputs_of(r); ++o) {
            if (needs[o] != need) continue;
            heads[place / LFD_HEAD_ROWS].row[place % LFD_HEAD_ROWS] = (int32_t)o;
            heads[place / LFD_HEAD_ROWS].ranks = smaller(need, LFD_SLICE);
            ++place;
        }
}

static void fill_lane(const ranking *r, lfd_heads *heads, size_t lane, size_t row) {
    const lfd_slice *slice = &r->pruned->slices[row];
    for (size_t i = 0; i < LFD_SLICE; ++i) {
        heads->w[i][lane] = slice->w[i];
        heads->column[i][lane] = slice->column[i];
    }
    heads->rest[lane] = heads->earlier[lane] = slice->rest;
    if (heads->ranks < LFD_SLICE)
        heads->earlier[lane] = larger(rank_bound(r->pruned, first_input(r, row), slice, heads->ranks), slice->rest);
}

/* Lanes without a row are zero, and settled whatever the sample. */
static void fill_heads(void *data, size_t index) {
    const ranking *r = data;
    const size_t group = index / r->pruned->group_heads, before = index % r->pruned->group_heads * LFD_HEAD_ROWS;
    const size_t rows = smaller(LFD_HEAD_ROWS, outputs_of(r) - before);
    lfd_heads *heads = &r->pruned->heads[index];
    for (size_t lane = 0; lane < rows; ++lane)
        fill_lane(r, heads, lane, group * outputs_of(r) + (size_t)heads->row[lane]);
    for (size_t lane = rows; lane < LFD_HEAD_ROWS; ++lane) heads->rest[lane] = heads->earlier[lane] = -INFINITY;
}

static linfdist_status make_heads(linfdist_context *context, ranking *r) {
    lfd_pruned *pruned = r->pruned;
    void *memory;
    if (inputs_of(r) < LFD_SINGLE_SHORTEST) return LINFDIST_OK;
    pruned->group_heads = (outputs_of(r) + LFD_HEAD_ROWS - 1) / LFD_HEAD_ROWS;
    LFD_TRY(
        lfd_alloc_zero(context, r->dims->groups * pruned->group_heads, sizeof(lfd_heads), "ranks of inputs", &memory));
    pruned->heads = memory;
    LFD_TRY(lfd_alloc(context, r->dims->n_out, sizeof *r->needs, "ranks of inputs", &memory));
    r->needs = memory;
    lfd_parallel_for(context, need_of, r, r->dims->n_out);
    lfd_parallel_for(context, order_rows, r, r->dims->groups);
    lfd_parallel_for(context, fill_heads, r, r->dims->groups * pruned->group_heads);
    lfd_free(context, memory);
    return LINFDIST_OK;
}

/* ---- the prepared form ---- */

static linfdist_status rank_rows(linfdist_context *context, ranking *r, const float *low, const float *high) {
    const lfd_dims *d = r->dims;
    lfd_pruned *pruned = r->pruned;
    void *memory;
    LFD_TRY(lfd_alloc(context, 2 * d->n_in, sizeof(float), "ranges of inputs", &memory));
    pruned->low = memory;
    pruned->high = pruned->low + d->n_in;
    for (size_t i = 0; i < d->n_in; ++i) pruned->low[i] = low[i], pruned->high[i] = high[i];
    pruned->count = (inputs_of(r) / ORDER_SHARE + LFD_SLICE - 1) / LFD_SLICE;
    LFD_TRY(lfd_alloc(context, pruned->count * d->n_out, sizeof(lfd_slice), "ranks of inputs", &memory));
    pruned->slices = memory;
    lfd_parallel_for(context, rank_row, r, d->n_out);
    return LINFDIST_OK;
}

linfdist_status lfd_pruned_create(linfdist_context *context, const lfd_dims *dims, const float *w, const float *low,
                                  const float *high, lfd_pruned **pruned) {
    void *memory;
    *pruned = NULL;
    const size_t n = dims->n_in / dims->groups;
    if (n < SHORTEST || n > LFD_SLICED_COLUMNS) return LINFDIST_OK;
    LFD_TRY(lfd_alloc_zero(context, 1, sizeof(lfd_pruned), "ranks of inputs", &memory));
    ranking r = {.dims = dims, .w = w, .pruned = memory};
    linfdist_status status = rank_rows(context, &r, low, high);
    if (status == LINFDIST_OK) status = make_heads(context, &r);
    if (status == LINFDIST_OK)
        *pruned = r.pruned;
    else
        lfd_pruned_destroy(context, r.pruned);
    return status;
}

void lfd_pruned_destroy(const linfdist_context *context, lfd_pruned *pruned) {
    if (!pruned) return;
    lfd_free(context, pruned->low);
    lfd_free(context, pruned->slices);
    lfd_free(context, pruned->heads);
    lfd_free(context, pruned);
}
