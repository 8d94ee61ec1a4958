#include <string.h>

#include "ops.h"
#include "random.h"

#include <float.h>
#include <math.h> /* isinf */

/* ---- checks ---------------------------------------------------------------------------------------------------- */

linfdist_status linfdist_distance_shape_init(linfdist_distance_shape *shape, size_t struct_size, int64_t batch,
                                             int64_t n_in, int64_t n_out) {
    LFD_REQUIRE(shape);
    LFD_TRY(lfd_check_extent("x", batch, n_in, n_in));
    LFD_TRY(lfd_check_extent("w", n_out, n_in, n_in));
    LFD_TRY(lfd_check_extent("y", batch, n_out, n_out));
    const linfdist_distance_shape dense = {
        .batch = batch,
        .n_in = n_in,
        .n_out = n_out,
        .groups = 1,
        .x_stride = n_in,
        .w_stride = n_in,
        .y_stride = n_out,
    };
    return lfd_options_init(shape, struct_size, &dense, sizeof dense, sizeof dense, "shape");
}

static linfdist_status check_divides(int64_t groups, int64_t value, const char *name) {
    if (value % groups == 0) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "groups is %lld, must divide %s = %lld", (long long)groups, name,
                    (long long)value);
}

static linfdist_status read_shape(const linfdist_distance_shape *given, lfd_dims *dims) {
    linfdist_distance_shape s = {0};
    LFD_TRY(lfd_options_read(&s, sizeof s, sizeof s, given, "shape"));
    LFD_TRY(lfd_check_count("groups", s.groups, 1, INT64_MAX));
    LFD_TRY(lfd_check_extent("x", s.batch, s.n_in, s.x_stride));
    LFD_TRY(lfd_check_extent("y", s.batch, s.n_out, s.y_stride));
    LFD_TRY(check_divides(s.groups, s.n_in, "n_in"));
    LFD_TRY(check_divides(s.groups, s.n_out, "n_out"));
    LFD_TRY(lfd_check_extent("w", s.n_out, s.n_in / s.groups, s.w_stride));
    /* Argmaxes are int32. */
    LFD_TRY(lfd_check_count("n_in / groups", s.n_in / s.groups, 1, INT32_MAX));
    *dims = (lfd_dims){
        .batch = (size_t)s.batch,
        .n_in = (size_t)s.n_in,
        .n_out = (size_t)s.n_out,
        .groups = (size_t)s.groups,
        .x_stride = (size_t)s.x_stride,
        .w_stride = (size_t)s.w_stride,
        .y_stride = (size_t)s.y_stride,
    };
    return LINFDIST_OK;
}

/* Arrays of the shapes of x, w and y; NULL ones were left out. */
static linfdist_status check_x(linfdist_context *context, const lfd_dims *d, const float *x, const char *name) {
    return x ? lfd_check_matrix(context, x, d->batch, d->n_in, d->x_stride, name) : LINFDIST_OK;
}

static linfdist_status check_w(linfdist_context *context, const lfd_dims *d, const float *w, const char *name) {
    return w ? lfd_check_matrix(context, w, d->n_out, d->n_in / d->groups, d->w_stride, name) : LINFDIST_OK;
}

static linfdist_status check_y(linfdist_context *context, const lfd_dims *d, const float *y, const char *name) {
    return lfd_check_matrix(context, y, d->batch, d->n_out, d->y_stride, name);
}

static linfdist_status check_argmax(const lfd_dims *d, const int32_t *argmax, int32_t lowest, const char *name) {
    const int32_t columns = (int32_t)(d->n_in / d->groups);
    for (size_t b = 0; b < d->batch; ++b)
        for (size_t o = 0; o < d->n_out; ++o) {
            const int32_t value = argmax[b * d->y_stride + o];
            if (value >= lowest && value < columns) continue;
            return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is %lld at row %llu, column %llu, must be in [%d, %d)",
                            name, (long long)value, (unsigned long long)b, (unsigned long long)o, (int)lowest,
                            (int)columns);
        }
    return LINFDIST_OK;
}

/* y as the forward pass wrote it: sums of numbers up to 2^100 may exceed that. */
static linfdist_status check_distances(linfdist_context *context, const lfd_dims *d, const float *y) {
    char text[32];
    const size_t found = lfd_first_outside(context, y, d->batch, d->n_out, d->y_stride, 0.0f, FLT_MAX);
    if (found == SIZE_MAX) return LINFDIST_OK;
    return lfd_fail(y[found] < 0 ? LINFDIST_ERROR_RANGE : LINFDIST_ERROR_NOT_FINITE,
                    "y is %s at row %llu, column %llu, distances are finite and not negative",
                    lfd_format_double(text, (double)y[found]), (unsigned long long)(found / d->y_stride),
                    (unsigned long long)(found % d->y_stride));
}

linfdist_status lfd_check_intervals(linfdist_context *context, const float *x_lower, const float *x_upper, size_t rows,
                                    size_t columns, size_t stride) {
    LFD_TRY(lfd_check_matrix(context, x_lower, rows, columns, stride, "x_lower"));
    LFD_TRY(lfd_check_matrix(context, x_upper, rows, columns, stride, "x_upper"));
    const size_t found = lfd_first_inverted(context, x_lower, x_upper, rows, columns, stride);
    if (found == SIZE_MAX) return LINFDIST_OK;
    char low[32], high[32];
    return lfd_fail(LINFDIST_ERROR_INVERTED_INTERVAL, "x_lower is %s, above x_upper %s, at row %llu, column %llu",
                    lfd_format_double(low, (double)x_lower[found]), lfd_format_double(high, (double)x_upper[found]),
                    (unsigned long long)(found / stride), (unsigned long long)(found % stride));
}

static linfdist_status check_both(const void *first, const void *second, const char *first_name,
                                  const char *second_name) {
    if (!first == !second) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is NULL, %s and %s come together",
                    first ? second_name : first_name, first_name, second_name);
}

/* ---- distances ------------------------------------------------------------------------------------------------- */

linfdist_status linfdist_distance_forward(linfdist_context *context, const linfdist_distance_shape *shape, float p,
                                          const float *x, const float *w, float *y, int32_t *argmax) {
    lfd_dims dims;
    LFD_REQUIRE(context);
    LFD_REQUIRE(shape);
    LFD_REQUIRE(x);
    LFD_REQUIRE(w);
    LFD_REQUIRE(y);
    LFD_TRY(read_shape(shape, &dims));
    LFD_TRY(lfd_check_p("p", p));
    char text[32];
    if (argmax && !isinf(p))
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "p is %s, and argmax must be NULL at finite p",
                        lfd_format_double(text, (double)p));
    LFD_TRY(check_x(context, &dims, x, "x"));
    LFD_TRY(check_w(context, &dims, w, "w"));
    lfd_distance_forward(context, &dims, p, x, w, y, argmax);
    return LINFDIST_OK;
}

linfdist_status linfdist_distance_backward(linfdist_context *context, const linfdist_distance_shape *shape, float p,
                                           const float *x, const float *w, const float *y, const int32_t *argmax,
                                           const float *grad_y, float *grad_x, float *grad_w) {
    lfd_dims dims;
    LFD_REQUIRE(context);
    LFD_REQUIRE(shape);
    LFD_REQUIRE(x);
    LFD_REQUIRE(w);
    LFD_REQUIRE(y);
    LFD_REQUIRE(grad_y);
    LFD_TRY(read_shape(shape, &dims));
    LFD_TRY(lfd_check_p("p", p));
    if (isinf(p)) {
        LFD_REQUIRE(argmax);
        LFD_TRY(check_argmax(&dims, argmax, 0, "argmax"));
    }
    LFD_TRY(check_x(context, &dims, x, "x"));
    LFD_TRY(check_w(context, &dims, w, "w"));
    LFD_TRY(check_distances(context, &dims, y));
    LFD_TRY(check_y(context, &dims, grad_y, "grad_y"));
    LFD_TRY(check_x(context, &dims, grad_x, "grad_x"));
    LFD_TRY(check_w(context, &dims, grad_w, "grad_w"));
    void *grad_d = NULL;
    if (isinf(p) && grad_w)
        LFD_TRY(lfd_alloc(context, (dims.batch - 1) * dims.y_stride + dims.n_out, sizeof(float),
                          "gradients at the argmax", &grad_d));
    lfd_distance_backward(context, &dims, p, x, w, y, argmax, grad_y, grad_d, grad_x, grad_w);
    lfd_free(context, grad_d);
    return LINFDIST_OK;
}

/* ---- interval bounds --------------------------------------------------------------------------------------------- */

linfdist_status linfdist_bounds_forward(linfdist_context *context, const linfdist_distance_shape *shape,
                                        const float *x_lower, const float *x_upper, const float *w, float *y_lower,
                                        float *y_upper, int32_t *argmax_lower, int32_t *argmax_upper) {
    lfd_dims dims;
    LFD_REQUIRE(context);
    LFD_REQUIRE(shape);
    LFD_REQUIRE(x_lower);
    LFD_REQUIRE(x_upper);
    LFD_REQUIRE(w);
    LFD_REQUIRE(y_lower);
    LFD_REQUIRE(y_upper);
    LFD_TRY(read_shape(shape, &dims));
    LFD_TRY(check_both(argmax_lower, argmax_upper, "argmax_lower", "argmax_upper"));
    LFD_TRY(lfd_check_intervals(context, x_lower, x_upper, dims.batch, dims.n_in, dims.x_stride));
    LFD_TRY(check_w(context, &dims, w, "w"));
    lfd_bounds_forward(context, &dims, x_lower, x_upper, w, y_lower, y_upper, argmax_lower, argmax_upper);
    return LINFDIST_OK;
}

linfdist_status linfdist_bounds_backward(linfdist_context *context, const linfdist_distance_shape *shape,
                                         const float *x_lower, const float *x_upper, const float *w,
                                         const int32_t *argmax_lower, const int32_t *argmax_upper,
                                         const float *grad_y_lower, const float *grad_y_upper, float *grad_x_lower,
                                         float *grad_x_upper, float *grad_w) {
    lfd_dims dims;
    LFD_REQUIRE(context);
    LFD_REQUIRE(shape);
    LFD_REQUIRE(x_lower);
    LFD_REQUIRE(x_upper);
    LFD_REQUIRE(w);
    LFD_REQUIRE(argmax_lower);
    LFD_REQUIRE(argmax_upper);
    LFD_REQUIRE(grad_y_lower);
    LFD_REQUIRE(grad_y_upper);
    LFD_TRY(read_shape(shape, &dims));
    LFD_TRY(check_argmax(&dims, argmax_lower, -1, "argmax_lower"));
    LFD_TRY(check_argmax(&dims, argmax_upper, -1, "argmax_upper"));
    LFD_TRY(lfd_check_intervals(context, x_lower, x_upper, dims.batch, dims.n_in, dims.x_stride));
    LFD_TRY(check_w(context, &dims, w, "w"));
    LFD_TRY(check_y(context, &dims, grad_y_lower, "grad_y_lower"));
    LFD_TRY(check_y(context, &dims, grad_y_upper, "grad_y_upper"));
    LFD_TRY(check_x(context, &dims, grad_x_lower, "grad_x_lower"));
    LFD_TRY(check_x(context, &dims, grad_x_upper, "grad_x_upper"));
    LFD_TRY(check_w(context, &dims, grad_w, "grad_w"));
    lfd_bounds_backward(context, &dims, x_lower, x_upper, w, argmax_lower, argmax_upper, grad_y_lower, grad_y_upper,
                        grad_x_lower, grad_x_upper, grad_w);
    return LINFDIST_OK;
}

/* ---- mean shift -------------------------------------------------------------------------------------------------- */

typedef struct sizes {
    size_t batch, channels, positions;
} sizes;

static linfdist_status read_sizes(int64_t batch, int64_t channels, int64_t positions, int32_t mode, sizes *read) {
    LFD_TRY(lfd_check_extent("channels x positions", channels, positions, positions));
    LFD_TRY(lfd_check_extent("batch x (channels positions)", batch, channels * positions, channels * positions));
    LFD_TRY(lfd_check_count("mode", mode, LINFDIST_EVALUATE, LINFDIST_TRAIN));
    *read = (sizes){(size_t)batch, (size_t)channels, (size_t)positions};
    return LINFDIST_OK;
}

static linfdist_status check_samples(linfdist_context *context, const sizes *s, const float *x, const char *name) {
    const size_t columns = s->channels * s->positions;
    return x ? lfd_check_matrix(context, x, s->batch, columns, columns, name) : LINFDIST_OK;
}

/* The means of what x, lower and upper add up to, for lfd_free(*memory). */
static linfdist_status find_means(linfdist_context *context, const sizes *s, const float *x, const float *lower,
                                  const float *upper, void **memory, float **means) {
    LFD_TRY(lfd_alloc(context, s->channels, sizeof(double) + sizeof(float), "channel means", memory));
    double *sums = *memory;
    *means = (float *)(sums + s->channels);
    lfd_channel_sums(context, s->batch, s->channels, s->positions, x, lower, upper, sums);
    lfd_channel_means(s->channels, sums, (double)s->batch * (double)s->positions, *means);
    return LINFDIST_OK;
}

linfdist_status linfdist_mean_shift_forward(linfdist_context *context, int64_t batch, int64_t channels,
                                            int64_t positions, int32_t mode, float momentum, float *running_mean,
                                            const float *x, const float *x_lower, const float *x_upper, float *y,
                                            float *y_lower, float *y_upper) {
    sizes s;
    LFD_REQUIRE(context);
    LFD_REQUIRE(running_mean);
    LFD_REQUIRE(x);
    LFD_REQUIRE(y);
    LFD_TRY(read_sizes(batch, channels, positions, mode, &s));
    LFD_TRY(lfd_check_number("momentum", (double)momentum, 0, 1));
    LFD_TRY(check_both(x_lower, x_upper, "x_lower", "x_upper"));
    LFD_TRY(check_both(y_lower, y_upper, "y_lower", "y_upper"));
    LFD_TRY(check_both(x_lower, y_lower, "x_lower", "y_lower"));
    LFD_TRY(check_samples(context, &s, x, "x"));
    LFD_TRY(check_samples(context, &s, x_lower, "x_lower"));
    LFD_TRY(check_samples(context, &s, x_upper, "x_upper"));
    LFD_TRY(lfd_check_matrix(context, running_mean, 1, s.channels, s.channels, "running_mean"));
    void *memory = NULL;
    float *shift = running_mean;
    if (mode == LINFDIST_TRAIN) {
        LFD_TRY(find_means(context, &s, x, NULL, NULL, &memory, &shift));
        lfd_running_mean(s.channels, momentum, shift, running_mean);
    }
    lfd_channel_shift(context, s.batch, s.channels, s.positions, x, shift, y);
    if (x_lower) {
        lfd_channel_shift(context, s.batch, s.channels, s.positions, x_lower, shift, y_lower);
        lfd_channel_shift(context, s.batch, s.channels, s.positions, x_upper, shift, y_upper);
    }
    lfd_free(context, memory);
    return LINFDIST_OK;
}

linfdist_status linfdist_mean_shift_backward(linfdist_context *context, int64_t batch, int64_t channels,
                                             int64_t positions, int32_t mode, const float *grad_y,
                                             const float *grad_y_lower, const float *grad_y_upper, float *grad_x) {
    sizes s;
    LFD_REQUIRE(context);
    LFD_REQUIRE(grad_y);
    LFD_REQUIRE(grad_x);
    LFD_TRY(read_sizes(batch, channels, positions, mode, &s));
    LFD_TRY(check_both(grad_y_lower, grad_y_upper, "grad_y_lower", "grad_y_upper"));
    LFD_TRY(check_samples(context, &s, grad_y, "grad_y"));
    LFD_TRY(check_samples(context, &s, grad_y_lower, "grad_y_lower"));
    LFD_TRY(check_samples(context, &s, grad_y_upper, "grad_y_upper"));
    if (mode == LINFDIST_EVALUATE) {
        memmove(grad_x, grad_y, s.batch * s.channels * s.positions * sizeof *grad_x);
        return LINFDIST_OK;
    }
    void *memory;
    float *means;
    LFD_TRY(find_means(context, &s, grad_y, grad_y_lower, grad_y_upper, &memory, &means));
    lfd_channel_shift(context, s.batch, s.channels, s.positions, grad_y, means, grad_x);
    lfd_free(context, memory);
    return LINFDIST_OK;
}

/* ---- initial weights --------------------------------------------------------------------------------------------- */

typedef struct weights_job {
    uint64_t seed, stream;
    size_t rows, columns;
    float std;
    float *w;
} weights_job;

static void draw_weights(void *data, size_t index) {
    (void)index;
    const weights_job *job = data;
    lfd_random random;
    lfd_random_seed(&random, job->seed, job->stream);
    for (size_t i = 0; i < job->rows * job->columns; ++i) job->w[i] = job->std * lfd_random_normal(&random);
}

linfdist_status lfd_distance_weights_init(uint64_t seed, uint64_t stream, int64_t n_out, int64_t channels_per_group,
                                          int64_t groups, int64_t kernel_h, int64_t kernel_w, float std,
                                          float identity_value, float *w) {
    LFD_REQUIRE(w);
    LFD_TRY(lfd_check_count("groups", groups, 1, INT64_MAX));
    LFD_TRY(lfd_check_extent("kernel_h x kernel_w", kernel_h, kernel_w, kernel_w));
    const int64_t kernel = kernel_h * kernel_w;
    LFD_TRY(lfd_check_extent("channels_per_group x kernel", channels_per_group, kernel, kernel));
    LFD_TRY(lfd_check_extent("w", n_out, channels_per_group * kernel, channels_per_group * kernel));
    LFD_TRY(check_divides(groups, n_out, "n_out"));
    /* A normal deviate from 53 bits stays below 2^4. */
    LFD_TRY(lfd_check_number("std", (double)std, 0, 0x1p96));
    LFD_TRY(lfd_check_number("identity_value", (double)identity_value, -LFD_LIMIT, LFD_LIMIT));
    weights_job job = {seed, stream, (size_t)n_out, (size_t)(channels_per_group * kernel), std, w};
    lfd_serial_for(draw_weights, &job, 1);
    if (identity_value == 0 || n_out / groups < channels_per_group) return LINFDIST_OK;
    const int64_t centre = kernel_h / 2 * kernel_w + kernel_w / 2;
    for (int64_t j = 0; j < n_out; ++j)
        w[j * channels_per_group * kernel + j % channels_per_group * kernel + centre] = -identity_value;
    return LINFDIST_OK;
}

linfdist_status linfdist_distance_weights_init(uint64_t seed, int64_t n_out, int64_t channels_per_group, int64_t groups,
                                               int64_t kernel_h, int64_t kernel_w, float std, float identity_value,
                                               float *w) {
    return lfd_distance_weights_init(seed, 0, n_out, channels_per_group, groups, kernel_h, kernel_w, std,
                                     identity_value, w);
}
