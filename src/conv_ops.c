#include "conv_ops.h"

#include "cut.h"
#include "ops.h"

#include <math.h> /* isinf */
#include <string.h>

enum {
    TILE_FLOATS = 1 << 16, /* patches of a tile: 256 KiB, a part of a level-2 cache */
    ROW_STEP = 32,         /* a tile's rows are a multiple of the kernels' register blocks */
    MOST_ROWS = 128,
    OUT_BLOCK = 48, /* output channels whose results a tile holds */
    MOST_COLUMNS = 512,
    LEAST_COLUMNS = 64, /* of a block of channels; more where the kernel is larger */
    CACHE_LINE = 16     /* floats */
};

/* Arrays of patches with so many columns: the floats between their rows, and how many rows fit. */
typedef struct tiling {
    size_t stride, rows;
} tiling;

/* One part of a convolution: rows of patches by channels by output channels of one group, in the arrays' numbering. */
typedef struct block {
    lfd_patch_range patches;
    size_t column; /* of w, of the first channel */
    size_t out, outs;
} block;

typedef struct operation operation;
typedef void run_block_fn(const operation *op, const block *b, float *scratch);

/* Grid of blocks: groups x channel blocks x output blocks x row blocks. As many slots as there are threads share it,
 * each with scratch of its own. */
struct operation {
    const lfd_kernels *kernels;
    const lfd_conv_dims *dims;
    cut rows, outs, channels; /* the latter two of one group */
    tiling tile;
    run_block_fn *run_block;
    size_t slots, slot_floats;
    lfd_power power;
    const float *x, *xu, *w;
    float *y, *yu; /* of the forward passes */
    int32_t *argmax, *argmax_u;
    const float *known_y, *grad_y, *grad_yu; /* of the backward passes */
    const int32_t *known_argmax, *known_argmax_u;
    float *grad_x, *grad_xu, *grad_w, *scratch;
};

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t positions_of(const lfd_conv_dims *d) {
    return d->out_height * d->out_width;
}

static size_t kernel_of(const lfd_conv_dims *d) {
    return d->kernel_h * d->kernel_w;
}

static size_t columns_of(const lfd_conv_dims *d) {
    return d->channels / d->groups * kernel_of(d);
}

static tiling tile_for(size_t columns, size_t arrays) {
    const size_t stride = (columns + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    const size_t rows = TILE_FLOATS / (arrays * stride) / ROW_STEP * ROW_STEP;
    return (tiling){stride, larger(ROW_STEP, smaller(MOST_ROWS, rows))};
}

/* Blocks of channels of the finite-p gradients: a multiple of least_channels and at most most_channels. */
static size_t least_channels(const lfd_conv_dims *d) {
    return (LEAST_COLUMNS + kernel_of(d) - 1) / kernel_of(d);
}

static size_t most_channels(const lfd_conv_dims *d) {
    const size_t least = least_channels(d);
    return larger(1, MOST_COLUMNS / (least * kernel_of(d))) * least;
}

/* The tiles of the three kinds of passes: distances with one array of patches, bounds with two, gradients with one of
 * patches and one of their gradients. */
static tiling distance_tile(const lfd_conv_dims *d) {
    return tile_for(columns_of(d), 1);
}

static tiling bounds_tile(const lfd_conv_dims *d) {
    return tile_for(columns_of(d), 2);
}

static tiling gradient_tile(const lfd_conv_dims *d) {
    return tile_for(smaller(d->channels / d->groups, most_channels(d)) * kernel_of(d), 2);
}

static size_t tile_floats(tiling tile, size_t patches, size_t results) {
    return tile.rows * (patches * tile.stride + results * OUT_BLOCK);
}

/* Every block of rows in a slot's scratch is a multiple of 32 floats, so slots do not share cache lines. */
static size_t slot_floats(const lfd_conv_dims *d) {
    const size_t distance = tile_floats(distance_tile(d), 1, 2), bounds = tile_floats(bounds_tile(d), 2, 5);
    const size_t sums = (OUT_BLOCK * columns_of(d) + 31) / 32 * 32;
    return larger(larger(distance, bounds), tile_floats(gradient_tile(d), 2, 2) + sums);
}

size_t lfd_conv_scratch(const lfd_conv_dims *dims, size_t threads) {
    return threads * slot_floats(dims);
}

static operation begin(const lfd_conv_dims *dims, tiling tile, float *scratch) {
    return (operation){
        .dims = dims,
        .rows = whole(dims->batch * positions_of(dims)),
        .outs = whole(dims->out_channels / dims->groups),
        .channels = whole(dims->channels / dims->groups),
        .tile = tile,
        .slot_floats = slot_floats(dims),
        .scratch = scratch,
    };
}

static size_t block_count(const operation *op) {
    return op->dims->groups * op->channels.count * op->outs.count * op->rows.count;
}

static block block_at(const operation *op, size_t index) {
    const size_t rows = index % op->rows.count;
    index /= op->rows.count;
    const size_t outs = index % op->outs.count;
    index /= op->outs.count;
    const size_t channels = index % op->channels.count, channel = block_begin(&op->channels, channels);
    const size_t group = index / op->channels.count;
    return (block){
        .patches = {block_begin(&op->rows, rows), block_length(&op->rows, rows), group * op->channels.length + channel,
                    block_length(&op->channels, channels)},
        .column = channel * kernel_of(op->dims),
        .out = group * op->outs.length + block_begin(&op->outs, outs),
        .outs = block_length(&op->outs, outs),
    };
}

static void run_slot(void *data, size_t slot) {
    const operation *op = data;
    const size_t count = block_count(op), end = (slot + 1) * count / op->slots;
    for (size_t index = slot * count / op->slots; index < end; ++index) {
        const block b = block_at(op, index);
        op->run_block(op, &b, op->scratch + slot * op->slot_floats);
    }
}

static void run_all(linfdist_context *context, operation *op) {
    op->kernels = context->kernels;
    op->slots = smaller((size_t)context->threads, block_count(op));
    lfd_parallel_for(context, run_slot, op, op->slots);
}

/* ---- results of a tile ------------------------------------------------------------------------------------------- */

/* The output channels [out, out + OUT_BLOCK) of a block. */
static block part_of(const block *b, size_t out) {
    block part = *b;
    part.out += out;
    part.outs = smaller(OUT_BLOCK, b->outs - out);
    return part;
}

static const float *weights_of(const operation *op, const block *b) {
    return op->w + b->out * columns_of(op->dims) + b->column;
}

/* Rows of the block, from row on, that follow each other in y-shaped arrays: how many, and where the first is there. */
static size_t run_from(const operation *op, const block *b, size_t row, size_t *offset) {
    const size_t positions = positions_of(op->dims), first = b->patches.row + row;
    *offset = (first / positions * op->dims->out_channels + b->out) * positions + first % positions;
    return smaller(b->patches.rows - row, positions - first % positions);
}

/* From a y-shaped array into lines of op->tile.rows numbers, one per output channel. */
static void load(const operation *op, const block *b, const float *y, float *lines) {
    for (size_t row = 0, run, at; row < b->patches.rows; row += run) {
        run = run_from(op, b, row, &at);
        for (size_t o = 0; o < b->outs; ++o)
            memcpy(lines + o * op->tile.rows + row, y + at + o * positions_of(op->dims), run * sizeof *y);
    }
}

/* The other way, for floats and argmaxes: numbers of 4 bytes. */
static void store(const operation *op, const block *b, const void *lines, void *y) {
    enum { SIZE = sizeof(float) };
    for (size_t row = 0, run, at; row < b->patches.rows; row += run) {
        run = run_from(op, b, row, &at);
        for (size_t o = 0; o < b->outs; ++o)
            memcpy((char *)y + (at + o * positions_of(op->dims)) * SIZE,
                   (const char *)lines + (o * op->tile.rows + row) * SIZE, run * SIZE);
    }
}

/* store, from rows of OUT_BLOCK numbers, by way of lines. */
static void store_rows(const operation *op, const block *b, const void *rows, void *lines, void *y) {
    enum { SIZE = sizeof(float) };
    for (size_t o = 0; o < b->outs; ++o)
        for (size_t row = 0; row < b->patches.rows; ++row)
            memcpy((char *)lines + (o * op->tile.rows + row) * SIZE, (const char *)rows + (row * OUT_BLOCK + o) * SIZE,
                   SIZE);
    store(op, b, lines, y);
}

/* ---- distances --------------------------------------------------------------------------------------------------- */

/* |x - w| is symmetric, so the weights stand in for x and the patches for w: results come out channel by channel, and
 * vectors run over positions, of which there are many even where a group has one output channel. */
static lfd_shape swapped_shape(const operation *op, const block *b) {
    return (lfd_shape){b->outs,         b->patches.channels * kernel_of(op->dims),
                       b->patches.rows, columns_of(op->dims),
                       op->tile.stride, op->tile.rows};
}

static void distance_block(const operation *op, const block *b, float *scratch) {
    float *patches = scratch, *y = patches + op->tile.rows * op->tile.stride;
    int32_t *argmax = (int32_t *)(void *)(y + op->tile.rows * OUT_BLOCK);
    lfd_patches_unfold(op->dims, &b->patches, op->x, patches, op->tile.stride);
    for (size_t out = 0; out < b->outs; out += OUT_BLOCK) {
        const block part = part_of(b, out);
        const lfd_shape shape = swapped_shape(op, &part);
        const float *w = weights_of(op, &part);
        if (!isinf(op->power.p))
            op->kernels->lp_forward(&shape, &op->power, w, patches, y);
        else if (op->argmax)
            op->kernels->linf_argmax(&shape, w, patches, y, argmax);
        else
            op->kernels->linf_forward(&shape, w, patches, y);
        store(op, &part, y, op->y);
        if (op->argmax) store(op, &part, argmax, op->argmax);
    }
}

/* Rows cut so that every thread has a few blocks, where there are enough. */
static void run_forward(linfdist_context *context, operation *op, run_block_fn *run_block) {
    size_t step = op->tile.rows;
    op->rows = cut_into(op->rows.length, step);
    while (step > ROW_STEP && block_count(op) < 4 * (size_t)context->threads)
        op->rows = cut_into(op->rows.length, step -= ROW_STEP);
    op->run_block = run_block;
    run_all(context, op);
}

void lfd_conv_distance_forward(linfdist_context *context, const lfd_conv_dims *dims, float p, const float *x,
                               const float *w, float *y, int32_t *argmax, float *scratch) {
    operation op = begin(dims, distance_tile(dims), scratch);
    op.x = x, op.w = w, op.y = y, op.argmax = isinf(p) ? argmax : NULL;
    op.power.p = p;
    if (!isinf(p)) lfd_forward_power(&op.power, p, columns_of(dims));
    run_forward(context, &op, distance_block);
}

/* ---- finite-p gradients ------------------------------------------------------------------------------------------ */

/* A tile adds up its own part of grad_w: so a weight's gradient has roundings of a tile's rows plus the number of
 * tiles, not of all positions of the batch. */
static void add_tile(const operation *op, const lfd_shape *shape, const float *w, const float *patches, const float *y,
                     const float *grad_y, float *sums, float *grad_w, float *grad_patches) {
    for (size_t out = 0; out < shape->batch; ++out) memset(sums + out * shape->x_stride, 0, shape->n_in * sizeof *sums);
    op->kernels->lp_backward(shape, &op->power, w, patches, y, grad_y, sums, grad_patches);
    for (size_t out = 0; out < shape->batch; ++out)
        for (size_t i = 0; i < shape->n_in; ++i) grad_w[out * shape->x_stride + i] += sums[out * shape->x_stride + i];
}

/* The rows of a block that fit a tile. */
static void gradient_rows(const operation *op, const block *b, float *scratch) {
    const size_t columns = columns_of(op->dims), patch_floats = op->tile.rows * op->tile.stride;
    float *patches = scratch, *grad_patches = op->grad_x ? patches + patch_floats : NULL;
    float *y = patches + 2 * patch_floats, *grad_y = y + op->tile.rows * OUT_BLOCK;
    float *sums = grad_y + op->tile.rows * OUT_BLOCK;
    lfd_patches_unfold(op->dims, &b->patches, op->x, patches, op->tile.stride);
    if (grad_patches) memset(grad_patches, 0, b->patches.rows * op->tile.stride * sizeof *grad_patches);
    for (size_t out = 0; out < b->outs; out += OUT_BLOCK) {
        const block part = part_of(b, out);
        const lfd_shape shape = swapped_shape(op, &part);
        load(op, &part, op->known_y, y);
        load(op, &part, op->grad_y, grad_y);
        const float *w = weights_of(op, &part);
        float *grad_w = op->grad_w ? op->grad_w + part.out * columns + part.column : NULL;
        if (grad_w)
            add_tile(op, &shape, w, patches, y, grad_y, sums, grad_w, grad_patches);
        else
            op->kernels->lp_backward(&shape, &op->power, w, patches, y, grad_y, NULL, grad_patches);
    }
    if (grad_patches) lfd_patches_fold(op->dims, &b->patches, grad_patches, op->tile.stride, op->grad_x);
}

/* All rows of a block in ascending order. */
static void gradient_block(const operation *op, const block *b, float *scratch) {
    block tile = *b;
    for (size_t row = 0; row < b->patches.rows; row += op->tile.rows) {
        tile.patches.row = b->patches.row + row;
        tile.patches.rows = smaller(op->tile.rows, b->patches.rows - row);
        gradient_rows(op, &tile, scratch);
    }
}

/* Channels are independent in both gradients, samples in grad_x, output channels in grad_w. */
static void cut_gradients(operation *op, size_t threads) {
    const lfd_conv_dims *d = op->dims;
    const size_t groups = d->groups;
    op->channels = cut_evenly(op->channels.length, groups, threads, least_channels(d), most_channels(d));
    if (!op->grad_w) {
        const cut samples = cut_evenly(d->batch, groups * op->channels.count, threads, 1, d->batch);
        op->rows = (cut){op->rows.length, positions_of(d), samples.count};
    } else if (!op->grad_x) {
        op->outs = cut_evenly(op->outs.length, groups * op->channels.count, threads, 4, op->outs.length);
    }
}

/* ---- gradients at p = infinity ----------------------------------------------------------------------------------- */

/* Of values there is one array of upstream gradients, of intervals two: the lower ends', and the upper ends'. */
static int ends_of(const operation *op) {
    return op->xu ? 2 : 1;
}

/* One output channel of one sample, one end. grad_w: its row of gradients. */
static void scatter(const operation *op, size_t sample, size_t out, int end, float *grad_x, float *grad_xu,
                    float *grad_w) {
    const lfd_conv_dims *d = op->dims;
    const size_t group = out / op->outs.length;
    const size_t pixel = (sample * d->channels + group * op->channels.length) * d->height * d->width;
    const size_t y = (sample * d->out_channels + out) * positions_of(d);
    const float *w = op->w + out * columns_of(d), *grad_y = end ? op->grad_yu : op->grad_y;
    const int32_t *argmax = end ? op->known_argmax_u : op->known_argmax;
    grad_x = grad_x ? grad_x + pixel : NULL;
    grad_xu = grad_xu ? grad_xu + pixel : NULL;
    if (op->xu)
        lfd_patches_scatter_bound(d, end, op->x + pixel, op->xu + pixel, w, argmax + y, grad_y + y, grad_x, grad_xu,
                                  grad_w);
    else
        lfd_patches_scatter(d, op->x + pixel, w, argmax + y, grad_y + y, grad_x, grad_w);
}

/* index: sample and group. */
static void scatter_to_x(void *data, size_t index) {
    const operation *op = data;
    const size_t sample = index / op->dims->groups, first = index % op->dims->groups * op->outs.length;
    for (size_t out = first; out < first + op->outs.length; ++out)
        for (int end = 0; end < ends_of(op); ++end) scatter(op, sample, out, end, op->grad_x, op->grad_xu, NULL);
}

/* Each sample's positions are summed on their own, then the samples: one float sum over all positions of a batch would
 * lose too much. */
static void scatter_to_row(const operation *op, size_t out, float *partial) {
    const size_t columns = columns_of(op->dims);
    float *grad_w = op->grad_w + out * columns;
    for (size_t sample = 0; sample < op->dims->batch; ++sample)
        for (int end = 0; end < ends_of(op); ++end) {
            memset(partial, 0, columns * sizeof *partial);
            scatter(op, sample, out, end, NULL, NULL, partial);
            for (size_t i = 0; i < columns; ++i) grad_w[i] += partial[i];
        }
}

/* Output channels, each whole. */
static void scatter_to_w(void *data, size_t slot) {
    const operation *op = data;
    const size_t count = op->dims->out_channels, end = (slot + 1) * count / op->slots;
    for (size_t out = slot * count / op->slots; out < end; ++out)
        scatter_to_row(op, out, op->scratch + slot * op->slot_floats);
}

static void scatter_all(linfdist_context *context, operation *op) {
    const lfd_conv_dims *d = op->dims;
    if (op->grad_x || op->grad_xu) lfd_parallel_for(context, scatter_to_x, op, d->batch * d->groups);
    op->slots = smaller((size_t)context->threads, d->out_channels);
    if (op->grad_w) lfd_parallel_for(context, scatter_to_w, op, op->slots);
}

void lfd_conv_distance_backward(linfdist_context *context, const lfd_conv_dims *dims, float p, const float *x,
                                const float *w, const float *y, const int32_t *argmax, const float *grad_y,
                                float *grad_x, float *grad_w, float *scratch) {
    operation op = begin(dims, gradient_tile(dims), scratch);
    op.x = x, op.w = w, op.known_y = y, op.known_argmax = argmax;
    op.grad_y = grad_y, op.grad_x = grad_x, op.grad_w = grad_w;
    if (isinf(p)) {
        scatter_all(context, &op);
        return;
    }
    if (!grad_x && !grad_w) return;
    lfd_backward_power(&op.power, p);
    cut_gradients(&op, (size_t)context->threads);
    op.run_block = gradient_block;
    run_all(context, &op);
}

/* ---- interval bounds --------------------------------------------------------------------------------------------- */

static void bounds_block(const operation *op, const block *b, float *scratch) {
    const size_t results = op->tile.rows * OUT_BLOCK, columns = columns_of(op->dims);
    float *lower = scratch, *upper = lower + op->tile.rows * op->tile.stride;
    float *yl = upper + op->tile.rows * op->tile.stride, *yu = yl + results, *lines = yu + results;
    int32_t *arg_l = (int32_t *)(void *)(lines + results), *arg_u = arg_l + results;
    lfd_patches_unfold(op->dims, &b->patches, op->x, lower, op->tile.stride);
    lfd_patches_unfold(op->dims, &b->patches, op->xu, upper, op->tile.stride);
    for (size_t out = 0; out < b->outs; out += OUT_BLOCK) {
        const block part = part_of(b, out);
        const lfd_shape shape = {part.patches.rows, columns, part.outs, op->tile.stride, columns, OUT_BLOCK};
        const float *w = weights_of(op, &part);
        if (op->argmax)
            op->kernels->bounds_argmax(&shape, lower, upper, w, yl, yu, arg_l, arg_u);
        else
            op->kernels->bounds_forward(&shape, lower, upper, w, yl, yu);
        store_rows(op, &part, yl, lines, op->y);
        store_rows(op, &part, yu, lines, op->yu);
        if (!op->argmax) continue;
        store_rows(op, &part, arg_l, lines, op->argmax);
        store_rows(op, &part, arg_u, lines, op->argmax_u);
    }
}

void lfd_conv_bounds_forward(linfdist_context *context, const lfd_conv_dims *dims, const float *xl, const float *xu,
                             const float *w, float *yl, float *yu, int32_t *arg_l, int32_t *arg_u, float *scratch) {
    operation op = begin(dims, bounds_tile(dims), scratch);
    op.x = xl, op.xu = xu, op.w = w, op.y = yl, op.yu = yu, op.argmax = arg_l, op.argmax_u = arg_u;
    run_forward(context, &op, bounds_block);
}

void lfd_conv_bounds_backward(linfdist_context *context, const lfd_conv_dims *dims, const float *xl, const float *xu,
                              const float *w, const int32_t *arg_l, const int32_t *arg_u, const float *grad_yl,
                              const float *grad_yu, float *grad_xl, float *grad_xu, float *grad_w, float *scratch) {
    operation op = begin(dims, bounds_tile(dims), scratch);
    op.x = xl, op.xu = xu, op.w = w, op.known_argmax = arg_l, op.known_argmax_u = arg_u;
    op.grad_y = grad_yl, op.grad_yu = grad_yu, op.grad_x = grad_xl, op.grad_xu = grad_xu, op.grad_w = grad_w;
    scatter_all(context, &op);
}
