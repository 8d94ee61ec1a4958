#include "ops.h"

#include "cut.h"

#include <math.h> /* isinf, ldexpf */
#include <string.h>

/* One operator over a grid of tiles: groups x batch blocks x output blocks x column blocks. Each operator cuts the
 * directions in which its results are independent and leaves the others whole, so that the cut decides no bit. */
typedef struct operation operation;

/* What a kernel sees of the arrays: its shape, and where its part of x-, w- and y-shaped arrays begins. */
typedef struct tile {
    lfd_shape shape;
    size_t x, w, y;
} tile;

typedef void run_tile_fn(const operation *op, const tile *t);

struct operation {
    const lfd_kernels *kernels;
    const lfd_dims *dims;
    cut batch, out, columns; /* of one group */
    run_tile_fn *run_tile;
    lfd_power power;
    const float *x, *xu, *w;
    float *y, *yu; /* of the forward kernels */
    int32_t *argmax, *argmax_u;
    const float *known_y, *grad_y, *grad_yu; /* of the backward kernels */
    const int32_t *known_argmax, *known_argmax_u;
    float *grad_d, *grad_x, *grad_xu, *grad_w;
};

static float *offset(float *array, size_t start) {
    return array ? array + start : NULL;
}

/* Whether a tile's rows of x stay in L2 while all of w passes by: there are more of them than of w, so that fewer
 * numbers pass by. Where they do not fit, its rows of w stay as near as they can, and the usually smaller x passes by.
 */
static int x_stays(const operation *op) {
    return block_length(&op->batch, 0) * op->columns.length * sizeof(float) <= (size_t)1 << 20;
}

static void run_at(void *data, size_t index) {
    const operation *op = data;
    const lfd_dims *d = op->dims;
    const cut *fast = x_stays(op) ? &op->out : &op->batch, *slow = x_stays(op) ? &op->batch : &op->out;
    const size_t first = index % fast->count;
    index /= fast->count;
    const size_t columns = index % op->columns.count, column = block_begin(&op->columns, columns);
    index /= op->columns.count;
    const size_t second = index % slow->count, group = index / slow->count;
    const size_t outs = x_stays(op) ? first : second, out = block_begin(&op->out, outs);
    const size_t samples = x_stays(op) ? second : first, batch = block_begin(&op->batch, samples);
    const tile t = {
        .shape = {block_length(&op->batch, samples), block_length(&op->columns, columns), block_length(&op->out, outs),
                  d->x_stride, d->w_stride, d->y_stride},
        .x = batch * d->x_stride + group * op->columns.length + column,
        .w = (group * op->out.length + out) * d->w_stride + column,
        .y = batch * d->y_stride + group * op->out.length + out,
    };
    op->run_tile(op, &t);
}

static void run_all(linfdist_context *context, operation *op) {
    const size_t tiles = op->dims->groups * op->batch.count * op->out.count * op->columns.count;
    lfd_parallel_for(context, run_at, op, tiles);
}

/* Multiples of the kernels' register blocks, as large as leaves every thread a few tiles. */
static void cut_for_forward(operation *op, size_t threads) {
    static const size_t steps[][2] = {{192, 128}, {96, 128}, {96, 64}, {48, 64}, {48, 32}};
    const size_t rows = op->dims->batch, outputs = op->dims->n_out / op->dims->groups;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; ++i) {
        op->batch = cut_into(rows, steps[i][0]);
        op->out = cut_into(outputs, steps[i][1]);
        if (op->dims->groups * op->batch.count * op->out.count >= 4 * threads) break;
    }
}

/* The kernels at p = infinity pack rows of w once per tile: tiles as large as leaves every thread a few, of even sizes.
 */
static void cut_for_packing(operation *op, size_t threads) {
    static const size_t most[][2] = {{192, 96}, {192, 48}, {96, 48}, {48, 48}, {48, 16}};
    const size_t rows = op->dims->batch, outputs = op->dims->n_out / op->dims->groups;
    for (size_t i = 0; i < sizeof most / sizeof most[0]; ++i) {
        op->batch = cut_evenly(rows, 1, 1, 16, most[i][0]);
        op->out = cut_evenly(outputs, op->dims->groups * op->batch.count, threads, smaller(48, most[i][1]), most[i][1]);
        if (op->dims->groups * op->batch.count * op->out.count >= 4 * threads) break;
    }
}

static operation begin(const linfdist_context *context, const lfd_dims *dims) {
    return (operation){
        .kernels = context->kernels,
        .dims = dims,
        .batch = whole(dims->batch),
        .out = whole(dims->n_out / dims->groups),
        .columns = whole(dims->n_in / dims->groups),
    };
}

/* ---- distances ------------------------------------------------------------------------------------------------ */

/* argmax or NULL. */
static void linf_forward(const operation *op, const tile *t) {
    const lfd_kernels *k = op->kernels;
    const float *x = op->x + t->x, *w = op->w + t->w;
    float *y = op->y + t->y;
    if (k->linf_is_sparse(&t->shape, x, w))
        k->linf_sparse(&t->shape, x, w, y, op->argmax ? op->argmax + t->y : NULL);
    else if (op->argmax)
        k->linf_argmax(&t->shape, x, w, y, op->argmax + t->y);
    else
        k->linf_forward(&t->shape, x, w, y);
}

static void linf_backward_x(const operation *op, const tile *t) {
    op->kernels->linf_backward_x(&t->shape, op->x + t->x, op->w + t->w, op->known_argmax + t->y, op->grad_y + t->y,
                                 offset(op->grad_d, t->y), offset(op->grad_x, t->x));
}

static void linf_backward_w(const operation *op, const tile *t) {
    op->kernels->linf_backward_w(&t->shape, op->known_argmax + t->y, op->grad_d + t->y, op->grad_w + t->w);
}

static void lp_forward(const operation *op, const tile *t) {
    op->kernels->lp_forward(&t->shape, &op->power, op->x + t->x, op->w + t->w, op->y + t->y);
}

static void lp_backward(const operation *op, const tile *t) {
    op->kernels->lp_backward(&t->shape, &op->power, op->x + t->x, op->w + t->w, op->known_y + t->y, op->grad_y + t->y,
                             offset(op->grad_x, t->x), offset(op->grad_w, t->w));
}

typedef struct power_job {
    lfd_power *power;
    float p;
    size_t n_in;
} power_job;

static void init_forward(void *data, size_t index) {
    (void)index;
    const power_job *job = data;
    lfd_power_init_forward(job->power, job->p, job->n_in);
}

static void init_backward(void *data, size_t index) {
    (void)index;
    const power_job *job = data;
    lfd_power_init_backward(job->power, job->p);
}

void lfd_forward_power(lfd_power *power, float p, size_t n_in) {
    power_job job = {power, p, n_in};
    lfd_serial_for(init_forward, &job, 1);
}

void lfd_backward_power(lfd_power *power, float p) {
    power_job job = {power, p, 0};
    lfd_serial_for(init_backward, &job, 1);
}

void lfd_distance_forward(linfdist_context *context, const lfd_dims *dims, float p, const float *x, const float *w,
                          float *y, int32_t *argmax) {
    operation op = begin(context, dims);
    op.x = x, op.w = w, op.y = y, op.argmax = argmax;
    if (isinf(p)) {
        op.run_tile = linf_forward;
        cut_for_packing(&op, (size_t)context->threads);
    } else {
        cut_for_forward(&op, (size_t)context->threads);
        op.run_tile = lp_forward;
        lfd_forward_power(&op.power, p, op.columns.length);
    }
    run_all(context, &op);
}

/* The scatter kernels add in an order that only rows of x, or only rows of w, share. */
static void scatter_to_x(linfdist_context *context, operation *op, run_tile_fn *run_tile) {
    op->run_tile = run_tile;
    op->batch = cut_evenly(op->batch.length, op->dims->groups, (size_t)context->threads, 1, 64);
    run_all(context, op);
    op->batch = whole(op->batch.length);
}

static void scatter_to_w(linfdist_context *context, operation *op, run_tile_fn *run_tile) {
    op->run_tile = run_tile;
    op->out = cut_evenly(op->out.length, op->dims->groups, (size_t)context->threads, 16, op->out.length);
    run_all(context, op);
}

void lfd_distance_backward(linfdist_context *context, const lfd_dims *dims, float p, const float *x, const float *w,
                           const float *y, const int32_t *argmax, const float *grad_y, float *grad_d, float *grad_x,
                           float *grad_w) {
    operation op = begin(context, dims);
    op.x = x, op.w = w, op.known_y = y, op.known_argmax = argmax;
    op.grad_y = grad_y, op.grad_d = grad_w ? grad_d : NULL, op.grad_x = grad_x, op.grad_w = grad_w;
    if (!grad_x && !grad_w) return;
    if (isinf(p)) {
        scatter_to_x(context, &op, linf_backward_x);
        if (grad_w) scatter_to_w(context, &op, linf_backward_w);
        return;
    }
    op.run_tile = lp_backward;
    lfd_backward_power(&op.power, p);
    op.columns = cut_evenly(op.columns.length, dims->groups, (size_t)context->threads, 16, 256);
    run_all(context, &op);
}

/* ---- interval bounds ------------------------------------------------------------------------------------------- */

static void bounds_forward(const operation *op, const tile *t) {
    op->kernels->bounds_forward(&t->shape, op->x + t->x, op->xu + t->x, op->w + t->w, op->y + t->y, op->yu + t->y);
}

static void bounds_argmax(const operation *op, const tile *t) {
    op->kernels->bounds_argmax(&t->shape, op->x + t->x, op->xu + t->x, op->w + t->w, op->y + t->y, op->yu + t->y,
                               op->argmax + t->y, op->argmax_u + t->y);
}

static void bounds_backward_x(const operation *op, const tile *t) {
    op->kernels->bounds_backward_x(&t->shape, op->x + t->x, op->xu + t->x, op->w + t->w, op->known_argmax + t->y,
                                   op->known_argmax_u + t->y, op->grad_y + t->y, op->grad_yu + t->y,
                                   offset(op->grad_x, t->x), offset(op->grad_xu, t->x));
}

static void bounds_backward_w(const operation *op, const tile *t) {
    op->kernels->bounds_backward_w(&t->shape, op->x + t->x, op->xu + t->x, op->w + t->w, op->known_argmax + t->y,
                                   op->known_argmax_u + t->y, op->grad_y + t->y, op->grad_yu + t->y, op->grad_w + t->w);
}

void lfd_bounds_forward(linfdist_context *context, const lfd_dims *dims, const float *xl, const float *xu,
                        const float *w, float *yl, float *yu, int32_t *arg_l, int32_t *arg_u) {
    operation op = begin(context, dims);
    op.x = xl, op.xu = xu, op.w = w, op.y = yl, op.yu = yu, op.argmax = arg_l, op.argmax_u = arg_u;
    op.run_tile = arg_l ? bounds_argmax : bounds_forward;
    cut_for_packing(&op, (size_t)context->threads);
    run_all(context, &op);
}

void lfd_bounds_backward(linfdist_context *context, const lfd_dims *dims, const float *xl, const float *xu,
                         const float *w, const int32_t *arg_l, const int32_t *arg_u, const float *grad_yl,
                         const float *grad_yu, float *grad_xl, float *grad_xu, float *grad_w) {
    operation op = begin(context, dims);
    op.x = xl, op.xu = xu, op.w = w, op.known_argmax = arg_l, op.known_argmax_u = arg_u;
    op.grad_y = grad_yl, op.grad_yu = grad_yu, op.grad_x = grad_xl, op.grad_xu = grad_xu, op.grad_w = grad_w;
    if (grad_xl || grad_xu) scatter_to_x(context, &op, bounds_backward_x);
    if (grad_w) scatter_to_w(context, &op, bounds_backward_w);
}

/* ---- channels -------------------------------------------------------------------------------------------------- */

enum { CHANNEL_BLOCK = 64, ELEMENT_BLOCK = 16384 };

typedef struct channel_job {
    size_t batch, channels, positions;
    size_t step; /* channels of a sum's task, samples of a shift's */
    const float *x, *lower, *upper, *shift;
    float *y;
    double *sums;
} channel_job;

/* Adds one array's part; each channel's sum runs over samples and positions in ascending order, whatever the block. */
static void add_to_sums(const channel_job *job, const float *x, size_t begin_channel, size_t count, double *sums) {
    for (size_t b = 0; x && b < job->batch; ++b) {
        const float *from = x + (b * job->channels + begin_channel) * job->positions;
        if (job->positions == 1) { /* contiguous, for vectors */
            for (size_t c = 0; c < count; ++c) sums[c] += (double)from[c];
            continue;
        }
        for (size_t c = 0; c < count; ++c)
            for (size_t i = 0; i < job->positions; ++i) sums[c] += (double)from[c * job->positions + i];
    }
}

static void sums_of_block(void *data, size_t index) {
    const channel_job *job = data;
    const size_t begin_channel = index * job->step, count = smaller(job->step, job->channels - begin_channel);
    double *sums = job->sums + begin_channel;
    for (size_t c = 0; c < count; ++c) sums[c] = 0;
    add_to_sums(job, job->x, begin_channel, count, sums);
    add_to_sums(job, job->lower, begin_channel, count, sums);
    add_to_sums(job, job->upper, begin_channel, count, sums);
}

void lfd_channel_sums(linfdist_context *context, size_t batch, size_t channels, size_t positions, const float *x,
                      const float *lower, const float *upper, double *sums) {
    const size_t step = positions < CHANNEL_BLOCK ? CHANNEL_BLOCK / positions : 1;
    channel_job job = {batch, channels, positions, step, x, lower, upper, NULL, NULL, sums};
    lfd_parallel_for(context, sums_of_block, &job, (channels + step - 1) / step);
}

typedef struct means_job {
    size_t channels;
    const double *sums;
    double terms;
    float *means;
} means_job;

static void divide(void *data, size_t index) {
    (void)index;
    const means_job *job = data;
    for (size_t c = 0; c < job->channels; ++c) job->means[c] = (float)(job->sums[c] / job->terms);
}

void lfd_channel_means(size_t channels, const double *sums, double terms, float *means) {
    means_job job = {channels, sums, terms, means};
    lfd_serial_for(divide, &job, 1);
}

static void shift_sample(const channel_job *job, const float *x, float *y) {
    const size_t positions = job->positions;
    if (positions == 1) {
        for (size_t c = 0; c < job->channels; ++c) y[c] = x[c] - job->shift[c];
        return;
    }
    for (size_t c = 0; c < job->channels; ++c)
        for (size_t i = 0; i < positions; ++i) y[c * positions + i] = x[c * positions + i] - job->shift[c];
}

static void shift_samples(void *data, size_t index) {
    const channel_job *job = data;
    const size_t first = index * job->step, last = smaller(first + job->step, job->batch);
    const size_t sample = job->channels * job->positions;
    for (size_t b = first; b < last; ++b) shift_sample(job, job->x + b * sample, job->y + b * sample);
}

void lfd_channel_shift(linfdist_context *context, size_t batch, size_t channels, size_t positions, const float *x,
                       const float *shift, float *y) {
    const size_t sample = channels * positions, step = sample < ELEMENT_BLOCK ? ELEMENT_BLOCK / sample : 1;
    channel_job job = {batch, channels, positions, step, x, NULL, NULL, shift, y, NULL};
    lfd_parallel_for(context, shift_samples, &job, (batch + step - 1) / step);
}

typedef struct running_job {
    size_t channels;
    float momentum;
    const float *mean;
    float *running;
} running_job;

static void move_running(void *data, size_t index) {
    (void)index;
    const running_job *job = data;
    const float keep = 1 - job->momentum;
    for (size_t c = 0; c < job->channels; ++c) job->running[c] = keep * job->running[c] + job->momentum * job->mean[c];
}

void lfd_running_mean(size_t channels, float momentum, const float *mean, float *running) {
    running_job job = {channels, momentum, mean, running};
    lfd_serial_for(move_running, &job, 1);
}

/* ---- plain arrays ----------------------------------------------------------------------------------------------- */

typedef struct zero_job {
    size_t n;
    float *x;
} zero_job;

static void zero_block(void *data, size_t index) {
    const zero_job *job = data;
    const size_t start = index * ELEMENT_BLOCK;
    memset(job->x + start, 0, smaller(ELEMENT_BLOCK, job->n - start) * sizeof *job->x);
}

void lfd_zero(linfdist_context *context, size_t n, float *x) {
    zero_job job = {n, x};
    lfd_parallel_for(context, zero_block, &job, (n + ELEMENT_BLOCK - 1) / ELEMENT_BLOCK);
}

typedef struct adam_job {
    const lfd_kernels *kernels;
    const lfd_adam *adam;
    size_t n;
    const float *grad;
    float *w, *m, *v;
} adam_job;

static void adam_block(void *data, size_t index) {
    const adam_job *job = data;
    const size_t start = index * ELEMENT_BLOCK;
    job->kernels->adam(smaller(ELEMENT_BLOCK, job->n - start), job->adam, job->grad + start, job->w + start,
                       job->m + start, job->v + start);
}

void lfd_adam_apply(linfdist_context *context, const lfd_adam *adam, size_t n, const float *grad, float *w, float *m,
                    float *v) {
    adam_job job = {context->kernels, adam, n, grad, w, m, v};
    lfd_parallel_for(context, adam_block, &job, (n + ELEMENT_BLOCK - 1) / ELEMENT_BLOCK);
}

typedef struct check_job check_job;
/* The first column of the row at an offset that fails, or as many as there are. */
typedef size_t check_row_fn(const check_job *job, size_t row);

struct check_job {
    check_row_fn *check_row;
    const lfd_kernels *kernels;
    const float *x, *upper;
    size_t rows, columns, stride, step; /* rows of a task */
    float low, high;
    atomic_size_t first; /* lowest offset that fails, SIZE_MAX for none */
};

static void lower_to(atomic_size_t *lowest, size_t value) {
    size_t seen = atomic_load(lowest);
    while (value < seen && !atomic_compare_exchange_weak(lowest, &seen, value)) continue;
}

static void check_rows(void *data, size_t index) {
    check_job *job = data;
    const size_t last = smaller((index + 1) * job->step, job->rows);
    for (size_t row = index * job->step; row < last; ++row) {
        const size_t column = job->check_row(job, row * job->stride);
        if (column == job->columns) continue;
        lower_to(&job->first, row * job->stride + column);
        return;
    }
}

static size_t first_failing(linfdist_context *context, check_job *job) {
    job->step = job->columns < ELEMENT_BLOCK ? ELEMENT_BLOCK / job->columns : 1;
    atomic_init(&job->first, SIZE_MAX);
    lfd_parallel_for(context, check_rows, job, (job->rows + job->step - 1) / job->step);
    return atomic_load(&job->first);
}

static size_t first_outside(const check_job *job, size_t row) {
    return job->kernels->first_outside(job->columns, job->low, job->high, job->x + row);
}

size_t lfd_first_outside(linfdist_context *context, const float *x, size_t rows, size_t columns, size_t stride,
                         float low, float high) {
    check_job job = {.check_row = first_outside,
                     .kernels = context ? context->kernels : lfd_kernels_for(LFD_ISA_REF),
                     .x = x,
                     .rows = rows,
                     .columns = columns,
                     .stride = stride,
                     .low = low,
                     .high = high};
    return first_failing(context, &job);
}

static size_t first_inverted(const check_job *job, size_t row) {
    size_t column = 0;
    while (column < job->columns && job->x[row + column] <= job->upper[row + column]) ++column;
    return column;
}

size_t lfd_first_inverted(linfdist_context *context, const float *x_lower, const float *x_upper, size_t rows,
                          size_t columns, size_t stride) {
    check_job job = {.check_row = first_inverted,
                     .x = x_lower,
                     .upper = x_upper,
                     .rows = rows,
                     .columns = columns,
                     .stride = stride};
    return first_failing(context, &job);
}

static linfdist_status check_magnitudes(linfdist_context *context, const float *x, size_t rows, size_t columns,
                                        size_t stride, int exponent, const char *name) {
    const float most = ldexpf(1.0f, exponent);
    const size_t found = lfd_first_outside(context, x, rows, columns, stride, -most, most);
    if (found == SIZE_MAX) return LINFDIST_OK;
    char value[32];
    return lfd_fail(LINFDIST_ERROR_NOT_FINITE, "%s is %s at row %llu, column %llu, must be finite and at most 2^%d",
                    name, lfd_format_double(value, (double)x[found]), (unsigned long long)(found / stride),
                    (unsigned long long)(found % stride), exponent);
}

linfdist_status lfd_check_matrix(linfdist_context *context, const float *x, size_t rows, size_t columns, size_t stride,
                                 const char *name) {
    return check_magnitudes(context, x, rows, columns, stride, LFD_LIMIT_EXPONENT, name);
}

linfdist_status lfd_check_gradient(linfdist_context *context, const float *x, size_t rows, size_t columns,
                                   const char *name) {
    return check_magnitudes(context, x, rows, columns, columns, LFD_GRADIENT_EXPONENT, name);
}
