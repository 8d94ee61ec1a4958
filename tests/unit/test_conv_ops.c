/* Distance convolutions against plain loops over every output, kernel position and pixel, and against the dense
 * operators; the same bits on every instruction set and thread count. All arrays, the scratch included, end or begin at
 * a page that nobody may touch. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* anonymous mappings */
#endif
#include "../kernels/guarded.h"
#include "operator_support.h"

#include "conv_ops.h"
#include "ops.h"

static const float powers[] = {1, 2, 8, 9.5f, 33.3f, 100, 1000, INFINITY};
enum { POWERS = sizeof powers / sizeof powers[0] };

/* RANDOM numbers; TIED ones, multiples of 0.5 with many equal differences, zeros and x == w among them. */
typedef enum numbers { RANDOM, TIED } numbers;

enum array { X, XU, W, Y, YU, ARG, ARG_U, GRAD_Y, GRAD_YU, GRAD_X, GRAD_XU, GRAD_W, SCRATCH, ARRAYS };

typedef struct conv {
    lfd_conv_dims d;
    guarded a[ARRAYS];
} conv;

/* batch, channels, height, width, out_channels, groups, kernel_h, kernel_w, stride, padding, dilation. */
static const size_t cases[][11] = {
    {3, 4, 9, 7, 6, 1, 3, 3, 1, 1, 1},     {2, 6, 8, 11, 8, 2, 3, 2, 2, 2, 1},  {2, 5, 10, 9, 5, 5, 2, 3, 3, 0, 2},
    {4, 3, 5, 5, 7, 1, 1, 1, 1, 0, 1},     {2, 2, 6, 6, 3, 1, 1, 1, 2, 2, 1},   {2, 2, 4, 5, 4, 2, 2, 2, 1, 5, 1},
    {37, 3, 3, 3, 5, 1, 3, 3, 1, 0, 1},    {1, 8, 7, 8, 100, 1, 5, 3, 1, 2, 2}, {2, 40, 6, 6, 13, 1, 5, 5, 1, 2, 1},
    {2, 16, 14, 14, 12, 4, 3, 3, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1},   {9, 6, 7, 5, 12, 6, 3, 3, 2, 1, 1},
    {6, 1, 9, 1, 2, 1, 4, 1, 3, 1, 2},     {1, 58, 3, 4, 49, 1, 3, 3, 1, 1, 1},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static lfd_conv_dims dims_of(const size_t *c) {
    lfd_conv_dims d = {c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10], 0, 0};
    d.out_height = (d.height + 2 * d.padding - d.dilation * (d.kernel_h - 1) - 1) / d.stride + 1;
    d.out_width = (d.width + 2 * d.padding - d.dilation * (d.kernel_w - 1) - 1) / d.stride + 1;
    return d;
}

static size_t columns_of(const lfd_conv_dims *d) {
    return d->channels / d->groups * d->kernel_h * d->kernel_w;
}

static size_t size_of(const lfd_conv_dims *d, int array, size_t threads) {
    if (array == SCRATCH) return lfd_conv_scratch(d, threads);
    if (array == W || array == GRAD_W) return d->out_channels * columns_of(d);
    if (array == X || array == XU || array == GRAD_X || array == GRAD_XU)
        return d->batch * d->channels * d->height * d->width;
    return d->batch * d->out_channels * d->out_height * d->out_width;
}

static float *data(const conv *c, int array) {
    return c->a[array].data;
}

static int32_t *ints(const conv *c, int array) {
    return (int32_t *)(void *)c->a[array].data;
}

static conv make_conv(const lfd_conv_dims *d, numbers kind, size_t threads, int at_end) {
    conv c = {.d = *d};
    for (int i = 0; i < ARRAYS; ++i) c.a[i] = guarded_make(size_of(d, i, threads), at_end);
    memset(data(&c, SCRATCH), 0xff, c.a[SCRATCH].count * sizeof(float));
    for (int i = X; i < SCRATCH; ++i) {
        test_fill(c.a[i].data, c.a[i].count, (uint64_t)i + 1);
        for (size_t k = 0; k < c.a[i].count && kind == TIED; ++k) c.a[i].data[k] = (float)(int)(c.a[i].data[k] * 4) / 2;
    }
    for (size_t k = 0; k < c.a[X].count; ++k)
        data(&c, XU)[k] = k % 3 == 0 ? data(&c, X)[k] : data(&c, X)[k] + fabsf(data(&c, XU)[k]);
    return c;
}

static void free_conv(conv *c) {
    for (int i = 0; i < ARRAYS; ++i) guarded_free(&c->a[i]);
}

static void expect_same(const conv *got, const conv *want, int array) {
    assert_int_equal(got->a[array].count, want->a[array].count);
    assert_memory_equal(got->a[array].data, want->a[array].data, want->a[array].count * sizeof(float));
}

/* A host executor: the last task first, so that no task can rely on an earlier one. */
static void run_backwards(void *user, linfdist_task_fn task, void *data_, size_t count) {
    (void)user;
    while (count-- > 0) task(data_, count);
}

static linfdist_context *make_backwards_context(int32_t threads, const char *isa) {
    linfdist_context_options options;
    linfdist_context *context = NULL;
    expect_ok(linfdist_context_options_init(&options, sizeof options));
    options.threads = threads;
    options.isa = isa;
    options.parallel_for = run_backwards;
    expect_ok(linfdist_context_create(&options, &context));
    return context;
}

/* Calls check with every instruction set and thread count, first of all with the reference on one thread. */
typedef void check_fn(linfdist_context *context, size_t threads, void *data);

static void everywhere(check_fn *check, void *data_) {
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    static const int32_t threads[] = {1, 2, 3, 5};
    for (size_t i = 0; i < 3; ++i)
        for (size_t t = 0; t < 4 && linfdist_isa_available(isas[i]); ++t) {
            linfdist_context *context = make_backwards_context(threads[t], isas[i]);
            check(context, (size_t)threads[t], data_);
            linfdist_context_destroy(context);
        }
}

/* ---- plain loops ------------------------------------------------------------------------------------------------- */

/* One output: its sample, channel and offset in y-shaped arrays, and for each column of w the offset of the pixel under
 * it, or -1 in the padding. */
typedef struct output {
    size_t sample, channel, at;
    ptrdiff_t *pixels;
} output;

static ptrdiff_t pixel_at(const lfd_conv_dims *d, size_t sample, size_t channel, ptrdiff_t h, ptrdiff_t w) {
    if (h < 0 || w < 0 || h >= (ptrdiff_t)d->height || w >= (ptrdiff_t)d->width) return -1;
    return (ptrdiff_t)((sample * d->channels + channel) * d->height * d->width) + h * (ptrdiff_t)d->width + w;
}

static void find_pixels(const lfd_conv_dims *d, output *out, size_t h, size_t w) {
    const size_t per_group = d->channels / d->groups, group = out->channel / (d->out_channels / d->groups);
    size_t k = 0;
    for (size_t c = 0; c < per_group; ++c)
        for (size_t i = 0; i < d->kernel_h; ++i)
            for (size_t j = 0; j < d->kernel_w; ++j)
                out->pixels[k++] = pixel_at(d, out->sample, group * per_group + c,
                                            (ptrdiff_t)(h * d->stride + i * d->dilation) - (ptrdiff_t)d->padding,
                                            (ptrdiff_t)(w * d->stride + j * d->dilation) - (ptrdiff_t)d->padding);
}

typedef void output_fn(const conv *c, const output *out, void *data);

static void each_output(const conv *c, output_fn *visit, void *data) {
    const lfd_conv_dims *d = &c->d;
    output out = {0, 0, 0, allocate(columns_of(d), sizeof(ptrdiff_t))};
    for (out.sample = 0; out.sample < d->batch; ++out.sample)
        for (out.channel = 0; out.channel < d->out_channels; ++out.channel)
            for (size_t h = 0; h < d->out_height; ++h)
                for (size_t w = 0; w < d->out_width; ++w, ++out.at) {
                    find_pixels(d, &out, h, w);
                    visit(c, &out, data);
                }
    free(out.pixels);
}

static float pixel_of(const conv *c, int array, const output *out, size_t k) {
    return out->pixels[k] < 0 ? 0.0f : data(c, array)[out->pixels[k]];
}

static float weight_of(const conv *c, const output *out, size_t k) {
    return data(c, W)[out->channel * columns_of(&c->d) + k];
}

/* Expected gradients in double, and for each the number of terms and the largest upstream gradient that bound its
 * error. */
typedef struct sums {
    float p;
    double *sum[ARRAYS];
    double *terms[ARRAYS];
} sums;

static sums make_sums(const conv *fresh, float p) {
    sums s = {.p = p};
    for (int i = GRAD_X; i <= GRAD_W; ++i) {
        s.sum[i] = allocate(fresh->a[i].count, sizeof(double));
        s.terms[i] = allocate(fresh->a[i].count, sizeof(double));
        for (size_t k = 0; k < fresh->a[i].count; ++k) s.sum[i][k] = (double)data(fresh, i)[k];
    }
    return s;
}

static void add(sums *s, int array, ptrdiff_t at, double gradient) {
    if (at < 0) return;
    s->sum[array][at] += gradient;
    s->terms[array][at] += 1;
}

static void check_sums(const conv *c, sums *s, int array) {
    const double per_term = 1e-6 + (isinf(s->p) ? 0 : 2e-7 * (double)s->p);
    for (size_t k = 0; k < c->a[array].count; ++k)
        expect_near((double)data(c, array)[k], s->sum[array][k], per_term * (1 + s->terms[array][k]));
}

static void free_sums(sums *s) {
    for (int i = 0; i < ARRAYS; ++i) free(s->sum[i]), free(s->terms[i]);
}

/* Differences are rounded as the library's are, so that equal ones are equal here too. */
static double difference_of(const conv *c, const output *out, size_t k) {
    return (double)(pixel_of(c, X, out, k) - weight_of(c, out, k));
}

/* Distance, lowest column of the largest difference, and this output's part of the gradients. */
static void check_output(const conv *c, const output *out, void *data_) {
    sums *s = data_;
    const size_t n = columns_of(&c->d);
    const double p = (double)s->p, upstream = (double)data(c, GRAD_Y)[out->at];
    double largest = 0, sum = 0;
    size_t argmax = 0;
    for (size_t k = 0; k < n; ++k)
        if (fabs(difference_of(c, out, k)) > largest) largest = fabs(difference_of(c, out, k)), argmax = k;
    for (size_t k = 0; k < n && largest > 0 && !isinf(p); ++k) sum += pow(fabs(difference_of(c, out, k)) / largest, p);
    const double y = sum > 0 ? largest * pow(sum, 1 / p) : largest;
    expect_near((double)data(c, Y)[out->at], y, isinf(p) ? 0 : (1e-6 + (double)n * 0x1p-24 / p) * y);
    if (isinf(p)) assert_int_equal(ints(c, ARG)[out->at], argmax);
    for (size_t k = 0; k < n && y > 0; ++k) {
        const double t = difference_of(c, out, k), sign = t > 0 ? 1 : t < 0 ? -1 : 0;
        if (isinf(p) && k != argmax) continue;
        const double gradient = upstream * sign * (isinf(p) ? 1 : pow(fabs(t) / y, p - 1));
        add(s, GRAD_X, out->pixels[k], gradient);
        add(s, GRAD_W, (ptrdiff_t)(out->channel * n + k), -gradient);
    }
}

/* The same for both bounds, which are exact. */
static void check_bounds(const conv *c, const output *out, void *data_) {
    sums *s = data_;
    const size_t n = columns_of(&c->d);
    float lower = 0, upper = 0;
    int arg_l = -1, arg_u = -1;
    for (size_t k = 0; k < n; ++k) {
        const float w = weight_of(c, out, k), t1 = w - pixel_of(c, X, out, k), t2 = pixel_of(c, XU, out, k) - w;
        if (-fminf(t1, t2) > lower) lower = -fminf(t1, t2), arg_l = (int)k;
        if (fmaxf(t1, t2) > upper) upper = fmaxf(t1, t2), arg_u = (int)k;
    }
    assert_true(data(c, Y)[out->at] == lower && data(c, YU)[out->at] == upper);
    assert_int_equal(ints(c, ARG)[out->at], arg_l);
    assert_int_equal(ints(c, ARG_U)[out->at], arg_u);
    for (int is_upper = 0; is_upper < 2; ++is_upper) {
        const int k = is_upper ? arg_u : arg_l;
        if (k < 0) continue;
        const float w = weight_of(c, out, (size_t)k), l = pixel_of(c, X, out, (size_t)k);
        const int right = w - l <= pixel_of(c, XU, out, (size_t)k) - w;
        const double gradient = (right ? 1 : -1) * (double)data(c, is_upper ? GRAD_YU : GRAD_Y)[out->at];
        add(s, right == is_upper ? GRAD_XU : GRAD_X, out->pixels[k], gradient);
        add(s, GRAD_W, (ptrdiff_t)(out->channel * n) + k, -gradient);
    }
}

/* ---- distances --------------------------------------------------------------------------------------------------- */

static void run_distance(linfdist_context *context, conv *c, float p, int to_x, int to_w) {
    int32_t *argmax = isinf(p) ? ints(c, ARG) : NULL;
    lfd_conv_distance_forward(context, &c->d, p, data(c, X), data(c, W), data(c, Y), argmax, data(c, SCRATCH));
    lfd_conv_distance_backward(context, &c->d, p, data(c, X), data(c, W), data(c, Y), argmax, data(c, GRAD_Y),
                               to_x ? data(c, GRAD_X) : NULL, to_w ? data(c, GRAD_W) : NULL, data(c, SCRATCH));
}

typedef struct trial {
    lfd_conv_dims d;
    numbers kind;
    float p;
    int at_end;
    conv want; /* of the first run, once there is one */
} trial;

/* Without a gradient the other one and the untouched one have the same bits. */
static void check_left_out(linfdist_context *context, size_t threads, const trial *t) {
    for (int to_x = 0; to_x < 2; ++to_x)
        for (int to_w = 0; to_w < 2 - to_x; ++to_w) {
            conv got = make_conv(&t->d, t->kind, threads, t->at_end), fresh = make_conv(&t->d, t->kind, threads, 1);
            run_distance(context, &got, t->p, to_x, to_w);
            expect_same(&got, to_x ? &t->want : &fresh, GRAD_X);
            expect_same(&got, to_w ? &t->want : &fresh, GRAD_W);
            free_conv(&got), free_conv(&fresh);
        }
}

static void distance_trial(linfdist_context *context, size_t threads, void *data_) {
    trial *t = data_;
    conv got = make_conv(&t->d, t->kind, threads, t->at_end);
    run_distance(context, &got, t->p, 1, 1);
    if (!t->want.a[X].data) {
        conv fresh = make_conv(&t->d, t->kind, threads, t->at_end);
        sums s = make_sums(&fresh, t->p);
        each_output(&got, check_output, &s);
        check_sums(&got, &s, GRAD_X), check_sums(&got, &s, GRAD_W);
        free_sums(&s), free_conv(&fresh);
        t->want = got;
    } else {
        for (int i = X; i < SCRATCH; ++i) expect_same(&got, &t->want, i);
        free_conv(&got);
    }
    if (t->kind == TIED) check_left_out(context, threads, t);
    if (!isinf(t->p)) return;
    got = make_conv(&t->d, t->kind, threads, !t->at_end);
    lfd_conv_distance_forward(context, &t->d, t->p, data(&got, X), data(&got, W), data(&got, Y), NULL,
                              data(&got, SCRATCH));
    expect_same(&got, &t->want, Y);
    free_conv(&got);
}

static void test_distances(void **state) {
    (void)state;
    for (int i = 0; i < CASES; ++i)
        for (int k = 0; k < POWERS; ++k)
            for (numbers kind = RANDOM; kind <= TIED; ++kind) {
                trial t = {.d = dims_of(cases[i]), .kind = kind, .p = powers[k], .at_end = (i + k) % 2};
                everywhere(distance_trial, &t);
                free_conv(&t.want);
            }
}

/* Padding is data: the lowest column of the largest difference may lie there, and then no pixel has a gradient. */
static void test_padding_takes_part(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    const lfd_conv_dims d = dims_of((const size_t[]){1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 1});
    const float x[] = {0, 0, 0, 2}, w[] = {2, 0, 0, -2};
    const float want_y[] = {2, 2, 2, 2, 4, 2, 2, 2, 2}, want_x[] = {0, -32, -128, 16}, want_w[] = {239, 0, 0, -272};
    const int32_t columns[] = {0, 0, 0, 0, 3, 0, 0, 0, 3};
    float y[9], grad_y[9], grad_x[4] = {0}, grad_w[4] = {0},
                           *scratch = allocate(lfd_conv_scratch(&d, 1), sizeof(float));
    int32_t argmax[9];
    for (int i = 0; i < 9; ++i) grad_y[i] = (float)(1 << i);
    lfd_conv_distance_forward(context, &d, INFINITY, x, w, y, argmax, scratch);
    assert_memory_equal(y, want_y, sizeof y);
    assert_memory_equal(argmax, columns, sizeof columns);
    lfd_conv_distance_backward(context, &d, INFINITY, x, w, y, argmax, grad_y, grad_x, grad_w, scratch);
    for (int i = 0; i < 4; ++i) assert_true(grad_x[i] == want_x[i] && grad_w[i] == want_w[i]);
    free(scratch);
    linfdist_context_destroy(context);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static void run_bounds(linfdist_context *context, conv *c, int to_l, int to_u, int to_w) {
    lfd_conv_bounds_forward(context, &c->d, data(c, X), data(c, XU), data(c, W), data(c, Y), data(c, YU), ints(c, ARG),
                            ints(c, ARG_U), data(c, SCRATCH));
    lfd_conv_bounds_backward(context, &c->d, data(c, X), data(c, XU), data(c, W), ints(c, ARG), ints(c, ARG_U),
                             data(c, GRAD_Y), data(c, GRAD_YU), to_l ? data(c, GRAD_X) : NULL,
                             to_u ? data(c, GRAD_XU) : NULL, to_w ? data(c, GRAD_W) : NULL, data(c, SCRATCH));
}

static void bounds_trial(linfdist_context *context, size_t threads, void *data_) {
    trial *t = data_;
    conv got = make_conv(&t->d, t->kind, threads, t->at_end);
    run_bounds(context, &got, 1, 1, 1);
    if (!t->want.a[X].data) {
        conv fresh = make_conv(&t->d, t->kind, threads, t->at_end);
        sums s = make_sums(&fresh, INFINITY);
        each_output(&got, check_bounds, &s);
        for (int i = GRAD_X; i <= GRAD_W; ++i) check_sums(&got, &s, i);
        free_sums(&s), free_conv(&fresh);
        t->want = got;
    } else {
        for (int i = X; i < SCRATCH; ++i) expect_same(&got, &t->want, i);
        free_conv(&got);
    }
    for (int only = 0; only < 3; ++only) {
        got = make_conv(&t->d, t->kind, threads, !t->at_end);
        run_bounds(context, &got, only == 0, only == 1, only == 2);
        expect_same(&got, &t->want, GRAD_X + only);
        lfd_conv_bounds_forward(context, &t->d, data(&got, X), data(&got, XU), data(&got, W), data(&got, Y),
                                data(&got, YU), NULL, NULL, data(&got, SCRATCH));
        expect_same(&got, &t->want, Y), expect_same(&got, &t->want, YU);
        free_conv(&got);
    }
}

static void test_bounds(void **state) {
    (void)state;
    for (int i = 0; i < CASES; ++i)
        for (numbers kind = RANDOM; kind <= TIED; ++kind) {
            trial t = {.d = dims_of(cases[i]), .kind = kind, .at_end = i % 2};
            everywhere(bounds_trial, &t);
            free_conv(&t.want);
        }
}

/* ---- the dense operators ----------------------------------------------------------------------------------------- */

/* Sums tile by tile are others than those sample by sample: up to rounding in double the same. */
static void expect_close(const conv *got, const conv *want, int array) {
    const float *a = got->a[array].data, *b = want->a[array].data;
    double largest = 0;
    for (size_t i = 0; i < want->a[array].count; ++i) largest = fmax(largest, fabs((double)b[i]));
    for (size_t i = 0; i < want->a[array].count; ++i) expect_near((double)a[i], (double)b[i], 2e-6 * largest);
}

static void check_dense(linfdist_context *context, const lfd_conv_dims *d, float p) {
    conv got = make_conv(d, RANDOM, 2, 1), want = make_conv(d, RANDOM, 2, 1);
    const size_t n_in = d->channels * d->height * d->width;
    const lfd_dims dense = {d->batch, n_in, d->out_channels, d->groups, n_in, n_in / d->groups, d->out_channels};
    int32_t *argmax = isinf(p) ? ints(&want, ARG) : NULL;
    float *grad_d = room(d->batch * d->out_channels, sizeof *grad_d);
    for (int i = GRAD_X; i <= GRAD_W; ++i) {
        memset(data(&got, i), 0, got.a[i].count * sizeof(float));
        memset(data(&want, i), 0, got.a[i].count * sizeof(float));
    }
    run_distance(context, &got, p, 1, 1);
    lfd_distance_forward(context, &dense, p, data(&want, X), data(&want, W), data(&want, Y), argmax);
    lfd_distance_backward(context, &dense, p, data(&want, X), data(&want, W), data(&want, Y), argmax,
                          data(&want, GRAD_Y), grad_d, data(&want, GRAD_X), data(&want, GRAD_W));
    free(grad_d);
    for (int i = X; i < SCRATCH; ++i) (i == GRAD_W && !isinf(p) ? expect_close : expect_same)(&got, &want, i);
    if (isinf(p)) {
        run_bounds(context, &got, 1, 1, 1);
        lfd_bounds_forward(context, &dense, data(&want, X), data(&want, XU), data(&want, W), data(&want, Y),
                           data(&want, YU), ints(&want, ARG), ints(&want, ARG_U));
        lfd_bounds_backward(context, &dense, data(&want, X), data(&want, XU), data(&want, W), ints(&want, ARG),
                            ints(&want, ARG_U), data(&want, GRAD_Y), data(&want, GRAD_YU), data(&want, GRAD_X),
                            data(&want, GRAD_XU), data(&want, GRAD_W));
        for (int i = X; i < SCRATCH; ++i) expect_same(&got, &want, i);
    }
    free_conv(&got), free_conv(&want);
}

/* Where the kernel covers the whole image, a convolution is the dense operator. */
static void test_whole_image(void **state) {
    (void)state;
    static const size_t shapes[][11] = {{150, 6, 3, 5, 68, 1, 3, 5, 1, 0, 1},
                                        {70, 4, 2, 7, 60, 2, 2, 7, 3, 0, 1},
                                        {33, 90, 1, 1, 20, 1, 1, 1, 1, 0, 1}};
    linfdist_context *context = make_context(2, NULL);
    for (int i = 0; i < 3; ++i)
        for (int k = 0; k < POWERS; ++k) {
            const lfd_conv_dims d = dims_of(shapes[i]);
            check_dense(context, &d, powers[k]);
        }
    linfdist_context_destroy(context);
}

/* The rounding of a weight's gradient grows with the positions of a sample plus the samples (at finite p: with a tile's
 * rows plus the tiles), not with their product: 64 samples of 8 x 8 positions that all add the same number to one
 * weight. */
static void test_long_sums(void **state) {
    (void)state;
    enum { SAMPLES = 64, POSITIONS = 64, TERMS = SAMPLES * POSITIONS };
    linfdist_context *context = make_context(1, NULL);
    const lfd_conv_dims d = dims_of((const size_t[]){SAMPLES, 1, 8, 8, 1, 1, 1, 1, 1, 0, 1});
    conv c = make_conv(&d, RANDOM, 1, 1);
    const double sum = TERMS * (double)0.1f, rounding = (SAMPLES + POSITIONS) * 0x1p-24 * sum;
    for (size_t i = 0; i < TERMS; ++i) data(&c, GRAD_Y)[i] = data(&c, GRAD_YU)[i] = 0.1f;
    data(&c, W)[0] = -100.0f;
    data(&c, GRAD_W)[0] = 0.0f;
    run_distance(context, &c, INFINITY, 0, 1);
    expect_near((double)data(&c, GRAD_W)[0], -sum, rounding);
    for (size_t i = 0; i < TERMS; ++i) data(&c, Y)[i] = 100.0f + data(&c, X)[i];
    data(&c, GRAD_W)[0] = 0.0f;
    run_distance(context, &c, 1, 0, 1);
    expect_near((double)data(&c, GRAD_W)[0], -sum, rounding);
    data(&c, GRAD_W)[0] = 0.0f;
    run_bounds(context, &c, 0, 0, 1);
    expect_near((double)data(&c, GRAD_W)[0], -2 * sum, 4 * rounding);
    free_conv(&c);
    linfdist_context_destroy(context);
}

/* The same bits on real threads. */
static void test_on_a_pool(void **state) {
    (void)state;
    for (int32_t threads = 2; threads <= 5; ++threads) {
        linfdist_context *pool = make_context(threads, NULL), *alone = make_context(1, NULL);
        for (int k = 0; k < POWERS; ++k) {
            const lfd_conv_dims d = dims_of((const size_t[]){7, 16, 9, 9, 50, 2, 3, 3, 1, 1, 1});
            conv got = make_conv(&d, RANDOM, (size_t)threads, 1), want = make_conv(&d, RANDOM, 1, 1);
            run_distance(pool, &got, powers[k], 1, 1), run_distance(alone, &want, powers[k], 1, 1);
            for (int i = X; i < SCRATCH; ++i) expect_same(&got, &want, i);
            run_bounds(pool, &got, 1, 1, 1), run_bounds(alone, &want, 1, 1, 1);
            for (int i = X; i < SCRATCH; ++i) expect_same(&got, &want, i);
            free_conv(&got), free_conv(&want);
        }
        linfdist_context_destroy(pool), linfdist_context_destroy(alone);
    }
}

/* A layer asks once, whatever its batches. */
static void test_scratch(void **state) {
    (void)state;
    for (int i = 0; i < CASES; ++i) {
        const lfd_conv_dims d = dims_of(cases[i]);
        lfd_conv_dims other = d;
        other.batch = 1000;
        assert_int_equal(lfd_conv_scratch(&d, 3), 3 * lfd_conv_scratch(&other, 1));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distances),   cmocka_unit_test(test_padding_takes_part), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_whole_image), cmocka_unit_test(test_long_sums),          cmocka_unit_test(test_on_a_pool),
        cmocka_unit_test(test_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
