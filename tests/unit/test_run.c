/* Runs: passes against hand-made numbers and a second implementation, gradients against finite differences. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file_support.h"
#include "net_support.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static linfdist_context *context;

static int setup(void **state) {
    (void)state;
    context = make_context(2, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    linfdist_context_destroy(context);
    return 0;
}

static linfdist_run *make_run(linfdist_model *model, int32_t kind, int64_t batch) {
    linfdist_run *run = NULL;
    OK(linfdist_run_create(model, kind, batch, &run));
    return run;
}

static const float *distances_of(const linfdist_run *run) {
    const float *distances = NULL;
    int64_t batch, classes;
    OK(linfdist_run_outputs(run, &distances, &batch, &classes));
    return distances;
}

static void set(linfdist_model *model, const char *name, const float *values, size_t count) {
    memcpy(net_tensor(model, name).data, values, count * sizeof *values);
}

/* ---- values ---- */

/* Two inputs, two hidden neurons, two classes. */
static linfdist_model *hand_made(void) {
    linfdist_model *model = net_mlp(context, 2, 2, 2, 2, 1);
    set(model, "fc_dist.0.weight", (const float[]){0, 0, 1, -1}, 4);
    set(model, "fc_dist.0.mean_shift.running_mean", (const float[]){1, 0.5f}, 2);
    set(model, "fc_dist.1.weight", (const float[]){0, 0, 2, 2.5f}, 4);
    set(model, "fc_dist.1.bias", (const float[]){0.25f, -0.5f}, 2);
    return model;
}

/* x = (3, 1): hidden distances 3 and 2, shifted to 2 and 1.5; outputs max(2, 1.5) and max(0, 1), then the bias. */
static void test_hand_made(void **state) {
    linfdist_model *model = hand_made();
    linfdist_run *run = make_run(model, LINFDIST_RUN_INFERENCE, 3);
    const float x[2] = {3, 1}, lower[2] = {2.5f, 1}, upper[2] = {3, 1.25f}, *l, *u;
    int64_t batch, classes;
    (void)state;
    OK(linfdist_forward(run, x, 2, 1, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_run_outputs(run, &l, &batch, &classes));
    assert_int_equal(batch, 1);
    assert_int_equal(classes, 2);
    assert_true(l[0] == 2.25f && l[1] == 0.5f);
    /* Hidden [2.5, 3], [2, 2.25], shifted [1.5, 2], [1.5, 1.75]. Class 0: at least 1.5, at most 2. Class 1: at least
     * max(2 - 2, 2.5 - 1.75), at most max(2 - 1.5, 2.5 - 1.5). */
    OK(linfdist_forward_bounds(run, lower, upper, 2, 1));
    OK(linfdist_run_bounds(run, &l, &u, &batch, &classes));
    assert_int_equal(batch, 1);
    assert_int_equal(classes, 2);
    assert_true(l[0] == 1.75f && u[0] == 2.25f);
    assert_true(l[1] == 0.25f && u[1] == 0.5f);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
}

/* Depth 1 at p = infinity: everything goes to the largest difference. */
static void test_hand_made_gradient(void **state) {
    linfdist_model *model = net_mlp(context, 1, 1, 2, 2, 1);
    linfdist_run *run = make_run(model, LINFDIST_RUN_TRAINING, 2);
    const float x[2] = {3, 1};
    float grad_x[2], *grad_d, *grad_s;
    linfdist_tensor weight = {.struct_size = sizeof weight}, bias = weight, scalar = weight;
    (void)state;
    set(model, "fc_dist.0.weight", (const float[]){1, 5, 4, 1.5f}, 4); /* differences 2, -4 and -1, -0.5 */
    OK(linfdist_forward(run, x, 2, 1, LINFDIST_TRAIN, INFINITY));
    OK(linfdist_run_output_gradients(run, &grad_d, &grad_s));
    assert_true(grad_d[0] == 0.0f && grad_d[1] == 0.0f && *grad_s == 0.0f);
    grad_d[0] = 10;
    grad_d[1] = 7;
    *grad_s = 0.25f;
    OK(linfdist_backward(run, grad_x, 2));
    OK(linfdist_run_find_gradient(run, "fc_dist.0.weight", &weight));
    OK(linfdist_run_find_gradient(run, "fc_dist.0.bias", &bias));
    OK(linfdist_run_get_gradient(run, 2, &scalar));
    assert_memory_equal(weight.data, ((const float[]){0, 10, 7, 0}), 16);
    assert_memory_equal(bias.data, ((const float[]){10, 7}), 8);
    assert_memory_equal(grad_x, ((const float[]){-7, -10}), 8);
    assert_string_equal(scalar.name, "scalar");
    assert_true(scalar.data[0] == 0.25f);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
}

static const double powers[] = {1, 2, 8, 33.3, 1000, INFINITY};

/* 7 samples of 6 inputs, rows 9 apart, filled with NaN between. */
enum { BATCH = 7, N_IN = 6, STRIDE = 9, CLASSES = 4 };

static void strided_inputs(float *x, double *dense, uint32_t seed) {
    for (int64_t b = 0; b < BATCH; ++b) {
        net_uniform(x + b * STRIDE, N_IN, -2.0f, 2.0f, seed + (uint32_t)b);
        for (int i = 0; i < N_IN; ++i) dense[b * N_IN + i] = (double)x[b * STRIDE + i];
        for (int i = N_IN; i < STRIDE; ++i) x[b * STRIDE + i] = NAN;
    }
}

static void check_values(linfdist_run *run, const reference *net, const float *x, const double *dense, int32_t mode,
                         double p) {
    double expected[BATCH * CLASSES];
    OK(linfdist_forward(run, x, STRIDE, BATCH, mode, (float)p));
    reference_forward(net, dense, BATCH, mode, (double)(float)p, expected, NULL);
    const float *distances = distances_of(run);
    for (int k = 0; k < BATCH * CLASSES; ++k) {
        assert_true(fabs((double)distances[k] - expected[k]) <= 2e-6 * (10 + fabs(expected[k])));
    }
}

static void test_values(void **state) {
    linfdist_model *model = net_mlp(context, 4, 9, N_IN, CLASSES, 3);
    linfdist_run *inference = make_run(model, LINFDIST_RUN_INFERENCE, BATCH);
    linfdist_run *training = make_run(model, LINFDIST_RUN_TRAINING, BATCH + 3);
    float x[BATCH * STRIDE];
    double dense[BATCH * N_IN];
    reference net;
    (void)state;
    net_disturb(model, 17);
    reference_create(&net, model);
    strided_inputs(x, dense, 5);
    for (size_t k = 0; k < LENGTH(powers); ++k) {
        check_values(inference, &net, x, dense, LINFDIST_EVALUATE, powers[k]);
        check_values(training, &net, x, dense, LINFDIST_EVALUATE, powers[k]);
    }
    for (size_t k = 0; k < LENGTH(powers); ++k) check_values(training, &net, x, dense, LINFDIST_TRAIN, powers[k]);
    reference_destroy(&net);
    linfdist_run_destroy(inference);
    linfdist_run_destroy(training);
    linfdist_model_destroy(model);
}

/* Both kinds of run give the same bits. */
static void test_kinds_agree(void **state) {
    linfdist_model *model = net_mlp(context, 3, 9, N_IN, CLASSES, 3);
    linfdist_run *inference = make_run(model, LINFDIST_RUN_INFERENCE, BATCH);
    linfdist_run *training = make_run(model, LINFDIST_RUN_TRAINING, BATCH);
    float x[BATCH * STRIDE];
    double dense[BATCH * N_IN];
    (void)state;
    strided_inputs(x, dense, 8);
    for (size_t k = 0; k < LENGTH(powers); ++k) {
        OK(linfdist_forward(inference, x, STRIDE, BATCH, LINFDIST_EVALUATE, (float)powers[k]));
        OK(linfdist_forward(training, x, STRIDE, BATCH, LINFDIST_EVALUATE, (float)powers[k]));
        assert_memory_equal(distances_of(inference), distances_of(training), BATCH * CLASSES * sizeof(float));
    }
    linfdist_run_destroy(inference);
    linfdist_run_destroy(training);
    linfdist_model_destroy(model);
}

/* ---- gradients ---- */

static double weighted_sum(const double *distances, const float *weights) {
    double sum = 0.0;
    for (int k = 0; k < BATCH * CLASSES; ++k) sum += distances[k] * (double)weights[k];
    return sum;
}

typedef struct difference {
    const reference *net;
    const double *x;
    const float *weights;
    int32_t mode;
    double p;
} difference;

/* d(weighted sum) / d(*parameter), from the second implementation. */
static double central_difference(const difference *d, double *parameter) {
    const double step = 1e-5, kept = *parameter;
    double distances[BATCH * CLASSES];
    *parameter = kept + step;
    reference_forward(d->net, d->x, BATCH, d->mode, d->p, distances, NULL);
    double above = weighted_sum(distances, d->weights);
    *parameter = kept - step;
    reference_forward(d->net, d->x, BATCH, d->mode, d->p, distances, NULL);
    double below = weighted_sum(distances, d->weights);
    *parameter = kept;
    return (above - below) / (2 * step);
}

static void compare_gradient(const difference *d, double *parameters, const float *gradient, size_t count) {
    double largest = 0.0, worst = 0.0, sum = 0.0;
    for (size_t i = 0; i < count; ++i) {
        double expected = central_difference(d, &parameters[i]);
        largest = fmax(largest, fabs(expected));
        worst = fmax(worst, fabs(expected - (double)gradient[i]));
        sum += fabs((double)gradient[i]);
    }
    assert_true(sum > 0.0);
    if (worst > 1e-4 * (largest + 0.1)) {
        print_error("p %g, mode %d: %g off, largest %g\n", d->p, (int)d->mode, worst, largest);
    }
    assert_true(worst <= 1e-4 * (largest + 0.1));
}

static void check_gradients(linfdist_model *model, int32_t mode, double p) {
    linfdist_run *run = make_run(model, LINFDIST_RUN_TRAINING, BATCH);
    float x[BATCH * STRIDE], grad_x[BATCH * STRIDE], weights[BATCH * CLASSES], packed[BATCH * N_IN], *grad_d, *grad_s;
    double dense[BATCH * N_IN];
    reference net;
    linfdist_tensor gradient = {.struct_size = sizeof gradient};
    strided_inputs(x, dense, 21);
    memset(grad_x, 0x55, sizeof grad_x);
    net_uniform(weights, LENGTH(weights), -1.0f, 1.0f, 4);
    reference_create(&net, model);
    difference d = {&net, dense, weights, mode, (double)(float)p};
    OK(linfdist_forward(run, x, STRIDE, BATCH, mode, (float)p));
    OK(linfdist_run_output_gradients(run, &grad_d, &grad_s));
    memcpy(grad_d, weights, sizeof weights);
    OK(linfdist_backward(run, grad_x, STRIDE));
    for (int64_t i = 0; i < net.depth; ++i) {
        char name[64];
        snprintf(name, sizeof name, "fc_dist.%lld.weight", (long long)i);
        OK(linfdist_run_find_gradient(run, name, &gradient));
        compare_gradient(&d, net.weight[i], gradient.data, (size_t)(gradient.shape[0] * gradient.shape[1]));
    }
    OK(linfdist_run_find_gradient(run, "fc_dist.2.bias", &gradient));
    compare_gradient(&d, net.bias, gradient.data, CLASSES);
    for (int b = 0; b < BATCH; ++b) memcpy(packed + b * N_IN, grad_x + b * STRIDE, N_IN * sizeof(float));
    compare_gradient(&d, dense, packed, BATCH * N_IN);
    const unsigned char *gap = (const unsigned char *)(grad_x + N_IN);
    for (size_t i = 0; i < (STRIDE - N_IN) * sizeof(float); ++i) assert_int_equal(gap[i], 0x55);
    reference_destroy(&net);
    linfdist_run_destroy(run);
}

static void test_gradients(void **state) {
    static const double p[] = {2, 8, 33.3, INFINITY};
    (void)state;
    for (size_t k = 0; k < LENGTH(p); ++k) {
        linfdist_model *model = net_mlp(context, 3, 8, N_IN, CLASSES, 12);
        net_disturb(model, 2);
        check_gradients(model, LINFDIST_EVALUATE, p[k]);
        check_gradients(model, LINFDIST_TRAIN, p[k]);
        linfdist_model_destroy(model);
    }
}

static void expect_gradient(linfdist_run *run, const char *name, const float *expected, float factor) {
    linfdist_tensor gradient = {.struct_size = sizeof gradient};
    OK(linfdist_run_find_gradient(run, name, &gradient));
    for (int64_t i = 0; i < gradient.shape[0] * gradient.shape[1]; ++i) {
        assert_true(gradient.data[i] == factor * expected[i]);
    }
}

static void pass_with_ones(linfdist_run *run, const float *x, float p) {
    float *grad_d, *grad_s;
    OK(linfdist_forward(run, x, N_IN, BATCH, LINFDIST_EVALUATE, p));
    OK(linfdist_run_output_gradients(run, &grad_d, &grad_s));
    for (int k = 0; k < BATCH * CLASSES; ++k) grad_d[k] = 1.0f;
    *grad_s = 2.0f;
    OK(linfdist_backward(run, NULL, 0));
}

/* At depth 1 doubling is exact in float; a second run starts at zero. */
static void test_accumulation(void **state) {
    linfdist_model *model = net_mlp(context, 1, 8, N_IN, CLASSES, 12);
    linfdist_run *run = make_run(model, LINFDIST_RUN_TRAINING, BATCH);
    float x[BATCH * N_IN], once[CLASSES * N_IN], zero[CLASSES * N_IN] = {0};
    linfdist_tensor gradient = {.struct_size = sizeof gradient};
    (void)state;
    net_uniform(x, LENGTH(x), -1, 1, 9);
    expect_gradient(run, "fc_dist.0.weight", zero, 1);
    pass_with_ones(run, x, INFINITY);
    OK(linfdist_run_find_gradient(run, "fc_dist.0.weight", &gradient));
    memcpy(once, gradient.data, sizeof once);
    pass_with_ones(run, x, INFINITY);
    expect_gradient(run, "fc_dist.0.weight", once, 2);
    expect_gradient(run, "fc_dist.0.bias", (const float[]){BATCH, BATCH, BATCH, BATCH}, 2);
    expect_gradient(run, "scalar", (const float[]){2}, 2);
    OK(linfdist_run_zero_gradients(run));
    expect_gradient(run, "fc_dist.0.weight", zero, 1);
    expect_gradient(run, "scalar", zero, 1);
    pass_with_ones(run, x, INFINITY);
    expect_gradient(run, "fc_dist.0.weight", once, 1);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
}

/* ---- running means ---- */

static void test_running_means(void **state) {
    linfdist_model *model = net_mlp(context, 3, 8, N_IN, CLASSES, 12), *before = NULL;
    linfdist_run *run = make_run(model, LINFDIST_RUN_TRAINING, BATCH);
    float x[BATCH * STRIDE];
    double dense[BATCH * N_IN], distances[BATCH * CLASSES], means[8];
    reference net;
    (void)state;
    net_disturb(model, 6);
    OK(linfdist_model_copy(model, &before));
    reference_create(&net, model);
    strided_inputs(x, dense, 30);
    OK(linfdist_forward(run, x, STRIDE, BATCH, LINFDIST_EVALUATE, 8));
    OK(linfdist_forward_bounds(run, x, x, STRIDE, BATCH));
    assert_true(net_same(model, before));
    OK(linfdist_forward(run, x, STRIDE, BATCH, LINFDIST_TRAIN, 8));
    reference_forward(&net, dense, BATCH, LINFDIST_TRAIN, 8, distances, means);
    linfdist_tensor running = net_tensor(model, "fc_dist.0.mean_shift.running_mean");
    for (int j = 0; j < 8; ++j) {
        assert_true(fabs((double)running.data[j] - (0.9 * net.running[0][j] + 0.1 * means[j])) < 1e-6);
        assert_true(fabs(means[j] - net.running[0][j]) > 1e-3);
    }
    assert_memory_equal(net_tensor(model, "fc_dist.1.weight").data, net_tensor(before, "fc_dist.1.weight").data, 256);
    reference_destroy(&net);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
    linfdist_model_destroy(before);
}

/* The last layer overflows the library's limit after the hidden ones have succeeded: nothing has moved. */
static void test_failed_training_pass(void **state) {
    linfdist_model *model = net_mlp(context, 2, 8, N_IN, CLASSES, 12), *before = NULL;
    linfdist_run *run = make_run(model, LINFDIST_RUN_TRAINING, BATCH);
    float x[BATCH * N_IN] = {0}, *grad_d, *grad_s;
    const float *distances;
    int64_t batch, classes;
    (void)state;
    net_tensor(model, "fc_dist.1.weight").data[3] = 0x1p100f;
    net_tensor(model, "fc_dist.1.bias").data[0] = 0x1p100f;
    OK(linfdist_model_copy(model, &before));
    FAILS(linfdist_forward(run, x, N_IN, BATCH, LINFDIST_TRAIN, INFINITY), LINFDIST_ERROR_NOT_FINITE,
          "fc_dist.1 (bias)");
    assert_true(net_same(model, before));
    FAILS(linfdist_run_outputs(run, &distances, &batch, &classes), LINFDIST_ERROR_STATE, "forward");
    FAILS(linfdist_run_output_gradients(run, &grad_d, &grad_s), LINFDIST_ERROR_STATE, "forward");
    FAILS(linfdist_forward_bounds(run, x, x, N_IN, BATCH), LINFDIST_ERROR_NOT_FINITE, "fc_dist.1 (bias)");
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
    linfdist_model_destroy(before);
}

/* ---- bounds ---- */

/* Point intervals give the distances' bits; every point of an interval lies within; bounds leave a waiting backward
 * alone. */
static void test_bounds(void **state) {
    linfdist_model *model = net_mlp(context, 4, 9, N_IN, CLASSES, 3);
    linfdist_run *run = make_run(model, LINFDIST_RUN_TRAINING, BATCH);
    linfdist_run *points = make_run(model, LINFDIST_RUN_INFERENCE, BATCH);
    float low[BATCH * N_IN], high[BATCH * N_IN], x[BATCH * N_IN], t[BATCH * N_IN], *grad_d, *grad_s;
    const float *lower, *upper;
    int64_t batch, classes;
    (void)state;
    net_disturb(model, 44);
    net_uniform(low, LENGTH(low), -1, 1, 1);
    net_uniform(high, LENGTH(high), 0, 0.3f, 2);
    for (size_t i = 0; i < LENGTH(low); ++i) high[i] += low[i];
    OK(linfdist_forward(run, low, N_IN, BATCH, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_forward_bounds(run, low, low, N_IN, BATCH));
    OK(linfdist_run_bounds(run, &lower, &upper, &batch, &classes));
    assert_memory_equal(lower, distances_of(run), BATCH * CLASSES * sizeof(float));
    assert_memory_equal(upper, distances_of(run), BATCH * CLASSES * sizeof(float));
    OK(linfdist_forward_bounds(run, low, high, N_IN, BATCH));
    OK(linfdist_run_output_gradients(run, &grad_d, &grad_s));
    OK(linfdist_backward(run, NULL, 0));
    for (uint32_t trial = 0; trial < 200; ++trial) {
        net_uniform(t, LENGTH(t), trial % 2 ? -0.5f : 0.0f, trial % 2 ? 1.5f : 1.0f, 100 + trial);
        for (size_t i = 0; i < LENGTH(x); ++i) x[i] = fminf(fmaxf(low[i] + t[i] * (high[i] - low[i]), low[i]), high[i]);
        OK(linfdist_forward(points, x, N_IN, BATCH, LINFDIST_EVALUATE, INFINITY));
        const float *distances = distances_of(points);
        for (int k = 0; k < BATCH * CLASSES; ++k) {
            assert_true(lower[k] <= distances[k] && distances[k] <= upper[k]);
        }
    }
    linfdist_run_destroy(run);
    linfdist_run_destroy(points);
    linfdist_model_destroy(model);
}

/* ---- loss ---- */

static void test_mixture_loss(void **state) {
    linfdist_model *model = net_mlp(context, 2, 9, N_IN, CLASSES, 3);
    linfdist_run *run = make_run(model, LINFDIST_RUN_TRAINING, BATCH);
    linfdist_run *inference = make_run(model, LINFDIST_RUN_INFERENCE, BATCH);
    const int32_t labels[BATCH] = {0, 1, 2, 3, 0, 1, 2}, wrong[BATCH] = {0, 1, 2, 4, 0, 1, 2};
    float x[BATCH * N_IN], grad[BATCH * CLASSES], grad_scalar, *grad_d, *grad_s;
    double expected, loss = -1.0, alone = -1.0;
    linfdist_loss mixture;
    (void)state;
    net_tensor(model, "scalar").data[0] = 1.5f;
    net_uniform(x, LENGTH(x), -1, 1, 9);
    FAILS(net_mixture(run, labels, 0.5, 0.1, &loss), LINFDIST_ERROR_STATE, "forward");
    OK(linfdist_forward(run, x, N_IN, BATCH, LINFDIST_TRAIN, 8));
    OK(net_mixture(run, labels, 0.5, 0.1, &loss));
    OK(net_mixture(run, labels, 0.5, 0.1, NULL));
    OK(linfdist_run_output_gradients(run, &grad_d, &grad_s));
    OK(linfdist_loss_init(&mixture, sizeof mixture, LINFDIST_LOSS_MIXTURE));
    OK(linfdist_loss_distances(&mixture, distances_of(run), labels, BATCH, CLASSES, 1.5f, 0.5, 0.1, &expected, grad,
                               &grad_scalar));
    assert_true(loss == expected && loss > 0.0 && *grad_s == grad_scalar && grad_scalar != 0.0f);
    assert_memory_equal(grad_d, grad, sizeof grad);
    FAILS(net_mixture(run, wrong, 0.5, 0.1, &loss), LINFDIST_ERROR_INVALID_ARGUMENT, "labels");
    FAILS(net_mixture(run, labels, NAN, 0.1, &loss), LINFDIST_ERROR_INVALID_ARGUMENT, "eps");
    FAILS(net_mixture(run, labels, 0, 0.1, &loss), LINFDIST_ERROR_INVALID_ARGUMENT, "eps_normalized is 0");
    FAILS(net_mixture(run, NULL, 0.5, 0.1, &loss), LINFDIST_ERROR_INVALID_ARGUMENT, "labels");
    FAILS(linfdist_run_loss(run, NULL, labels, 0.5, 0.1, &loss), LINFDIST_ERROR_INVALID_ARGUMENT, "loss is NULL");
    FAILS(linfdist_run_loss(NULL, &mixture, labels, 0.5, 0.1, &loss), LINFDIST_ERROR_INVALID_ARGUMENT, "run is NULL");
    assert_true(loss == expected);
    OK(linfdist_backward(run, NULL, 0));
    OK(linfdist_forward(inference, x, N_IN, BATCH, LINFDIST_EVALUATE, 8));
    OK(net_mixture(inference, labels, 0.5, 0.1, &alone));
    assert_true(alone > 0.0);
    linfdist_run_destroy(run);
    linfdist_run_destroy(inference);
    linfdist_model_destroy(model);
}

/* ---- errors ---- */

static void test_states(void **state) {
    linfdist_model *model = net_mlp(context, 2, 9, N_IN, CLASSES, 3);
    linfdist_run *run = make_run(model, LINFDIST_RUN_TRAINING, BATCH);
    linfdist_run *inference = make_run(model, LINFDIST_RUN_INFERENCE, BATCH);
    float x[BATCH * N_IN] = {0}, grad_x[BATCH * N_IN] = {0}, *grad_d, *grad_s;
    const float *lower, *upper;
    int64_t batch, classes;
    linfdist_tensor gradient = {.struct_size = sizeof gradient};
    (void)state;
    FAILS(linfdist_backward(run, NULL, 0), LINFDIST_ERROR_STATE, "forward");
    FAILS(linfdist_run_outputs(run, &lower, &batch, &classes), LINFDIST_ERROR_STATE, "forward");
    FAILS(linfdist_run_bounds(run, &lower, &upper, &batch, &classes), LINFDIST_ERROR_STATE, "bounds");
    OK(linfdist_forward(run, x, N_IN, 2, LINFDIST_TRAIN, 8));
    FAILS(linfdist_run_bounds(run, &lower, &upper, &batch, &classes), LINFDIST_ERROR_STATE, "bounds");
    OK(linfdist_run_output_gradients(run, &grad_d, &grad_s));
    FAILS(linfdist_backward(run, grad_x, N_IN - 1), LINFDIST_ERROR_INVALID_ARGUMENT, "grad_x");
    grad_d[1] = NAN;
    FAILS(linfdist_backward(run, grad_x, N_IN), LINFDIST_ERROR_NOT_FINITE, "grad_outputs");
    grad_d[1] = 1.0f;
    *grad_s = INFINITY;
    FAILS(linfdist_backward(run, grad_x, N_IN), LINFDIST_ERROR_NOT_FINITE, "grad_scalar");
    *grad_s = 1.0f;
    OK(linfdist_backward(run, grad_x, N_IN));
    FAILS(linfdist_backward(run, grad_x, N_IN), LINFDIST_ERROR_STATE, "forward");
    FAILS(linfdist_forward(inference, x, N_IN, 1, LINFDIST_TRAIN, 8), LINFDIST_ERROR_STATE, "TRAIN");
    OK(linfdist_forward(inference, x, N_IN, 1, LINFDIST_EVALUATE, 8));
    FAILS(linfdist_backward(inference, NULL, 0), LINFDIST_ERROR_STATE, "training");
    FAILS(linfdist_run_output_gradients(inference, &grad_d, &grad_s), LINFDIST_ERROR_STATE, "training");
    FAILS(linfdist_run_get_gradient(inference, 0, &gradient), LINFDIST_ERROR_STATE, "inference");
    FAILS(linfdist_run_zero_gradients(inference), LINFDIST_ERROR_STATE, "inference");
    FAILS(linfdist_run_get_gradient(run, 99, &gradient), LINFDIST_ERROR_RANGE, "index is 99");
    FAILS(linfdist_run_find_gradient(run, "weight", &gradient), LINFDIST_ERROR_INVALID_ARGUMENT, "weight");
    OK(linfdist_run_find_gradient(run, "fc_dist.0.mean_shift.running_mean", &gradient));
    assert_null(gradient.data);
    linfdist_run_destroy(run);
    linfdist_run_destroy(inference);
    linfdist_model_destroy(model);
}

static void test_bad_arguments(void **state) {
    linfdist_model *model = net_mlp(context, 2, 9, N_IN, CLASSES, 3);
    linfdist_run *run = make_run(model, LINFDIST_RUN_TRAINING, BATCH), *none = NULL;
    float x[BATCH * N_IN] = {0}, y[BATCH * N_IN] = {0};
    (void)state;
    FAILS(linfdist_run_create(NULL, 0, 1, &none), LINFDIST_ERROR_INVALID_ARGUMENT, "model");
    FAILS(linfdist_run_create(model, 3, 1, &none), LINFDIST_ERROR_INVALID_ARGUMENT, "kind is 3");
    FAILS(linfdist_run_create(model, 0, 0, &none), LINFDIST_ERROR_INVALID_ARGUMENT, "max_batch");
    FAILS(linfdist_run_create(model, 0, 1, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "run");
    assert_null(none);
    OK(linfdist_forward(run, x, N_IN, 2, LINFDIST_EVALUATE, 8));
    FAILS(linfdist_forward(NULL, x, N_IN, 1, 0, 8), LINFDIST_ERROR_INVALID_ARGUMENT, "run");
    FAILS(linfdist_forward(run, NULL, N_IN, 1, 0, 8), LINFDIST_ERROR_INVALID_ARGUMENT, "x");
    FAILS(linfdist_forward(run, x, N_IN - 1, 1, 0, 8), LINFDIST_ERROR_INVALID_ARGUMENT, "x");
    FAILS(linfdist_forward(run, x, INT64_MAX, 2, 0, 8), LINFDIST_ERROR_INVALID_ARGUMENT, "x");
    FAILS(linfdist_forward(run, x, N_IN, 0, 0, 8), LINFDIST_ERROR_INVALID_ARGUMENT, "x");
    FAILS(linfdist_forward(run, x, N_IN, BATCH + 1, 0, 8), LINFDIST_ERROR_RANGE, "batch is 8");
    FAILS(linfdist_forward(run, x, N_IN, 1, 2, 8), LINFDIST_ERROR_INVALID_ARGUMENT, "mode is 2");
    FAILS(linfdist_forward(run, x, N_IN, 1, 0, 0.5f), LINFDIST_ERROR_INVALID_ARGUMENT, "p is 0.5");
    FAILS(linfdist_forward(run, x, N_IN, 1, 0, 1001), LINFDIST_ERROR_INVALID_ARGUMENT, "p is 1001");
    FAILS(linfdist_forward(run, x, N_IN, 1, 0, NAN), LINFDIST_ERROR_INVALID_ARGUMENT, "p is nan");
    FAILS(linfdist_forward(run, x, N_IN, 1, 0, -INFINITY), LINFDIST_ERROR_INVALID_ARGUMENT, "p is -inf");
    x[N_IN + 2] = NAN;
    FAILS(linfdist_forward(run, x, N_IN, 2, 0, 8), LINFDIST_ERROR_NOT_FINITE, "x");
    FAILS(linfdist_forward_bounds(run, x, y, N_IN, 2), LINFDIST_ERROR_NOT_FINITE, "x_lower");
    FAILS(linfdist_forward_bounds(run, y, x, N_IN, 2), LINFDIST_ERROR_NOT_FINITE, "x_upper");
    x[N_IN + 2] = -1.0f;
    FAILS(linfdist_forward_bounds(run, y, x, N_IN, 2), LINFDIST_ERROR_INVERTED_INTERVAL, "at row 1, column 2");
    FAILS(linfdist_forward_bounds(run, y, y, N_IN, BATCH + 1), LINFDIST_ERROR_RANGE, "batch");
    FAILS(linfdist_forward_bounds(run, NULL, y, N_IN, 1), LINFDIST_ERROR_INVALID_ARGUMENT, "x_lower");
    net_tensor(model, "fc_dist.1.weight").data[4] = INFINITY;
    FAILS(linfdist_forward(run, y, N_IN, 2, 0, 8), LINFDIST_ERROR_NOT_FINITE, "fc_dist.1.weight");
    FAILS(linfdist_forward_bounds(run, y, y, N_IN, 2), LINFDIST_ERROR_NOT_FINITE, "fc_dist.1.weight");
    (void)distances_of(run); /* refused arguments leave the last result */
    linfdist_run_destroy(run);
    linfdist_run_destroy(NULL);
    linfdist_model_destroy(model);
}

/* ---- memory and threads ---- */

static linfdist_status train_and_infer(linfdist_context *from, scripted_memory *memory, long failing_call) {
    linfdist_model *model = net_mlp(from, 3, 9, N_IN, CLASSES, 3);
    linfdist_run *run = NULL, *inference = NULL;
    float x[BATCH * N_IN] = {0};
    memory->failing_call = memory->calls + failing_call;
    linfdist_status status = linfdist_run_create(model, LINFDIST_RUN_TRAINING, BATCH, &run);
    if (status == LINFDIST_OK) status = linfdist_run_create(model, LINFDIST_RUN_INFERENCE, BATCH, &inference);
    linfdist_model_destroy(model);
    linfdist_context_destroy(from);
    long calls = memory->calls;
    if (status == LINFDIST_OK) {
        OK(linfdist_forward(run, x, N_IN, BATCH, LINFDIST_TRAIN, INFINITY));
        OK(linfdist_backward(run, x, N_IN));
        OK(linfdist_forward_bounds(inference, x, x, N_IN, BATCH));
        OK(linfdist_forward(inference, x, N_IN, BATCH, LINFDIST_EVALUATE, 20));
        assert_int_equal(memory->calls, calls); /* all memory was there from the start */
    }
    linfdist_run_destroy(run);
    linfdist_run_destroy(inference);
    return status;
}

/* Every allocation of run_create fails in turn. */
static void test_out_of_memory(void **state) {
    linfdist_status status = LINFDIST_ERROR_OUT_OF_MEMORY;
    long failures = 0;
    (void)state;
    while (status != LINFDIST_OK) {
        scripted_memory memory = {0};
        linfdist_context *scripted = scripted_context(&memory);
        status = train_and_infer(scripted, &memory, ++failures);
        assert_true(status == LINFDIST_OK || status == LINFDIST_ERROR_OUT_OF_MEMORY);
        assert_int_equal(memory.live, 0);
    }
    assert_true(failures > 30);
}

/* Sizes that no memory holds, or that overflow. */
static void test_huge_batches(void **state) {
    scripted_memory memory = {0};
    linfdist_context *scripted = scripted_context(&memory);
    linfdist_model *model = net_mlp(scripted, 2, 9, N_IN, CLASSES, 3);
    linfdist_run *none = NULL;
    (void)state;
    for (int64_t batch = INT64_MAX; batch > INT64_C(1) << 30; batch /= 3) {
        FAILS(linfdist_run_create(model, LINFDIST_RUN_INFERENCE, batch, &none), LINFDIST_ERROR_OUT_OF_MEMORY, "memory");
        FAILS(linfdist_run_create(model, LINFDIST_RUN_TRAINING, batch, &none), LINFDIST_ERROR_OUT_OF_MEMORY, "memory");
    }
    assert_null(none);
    linfdist_model_destroy(model);
    linfdist_context_destroy(scripted);
    assert_int_equal(memory.live, 0);
}

typedef struct worker {
    linfdist_model *model;
    const float *x, *expected;
    int mismatches;
} worker;

static void *work(void *data) {
    worker *w = data;
    linfdist_run *run = NULL;
    const float *distances;
    int64_t batch, classes;
    if (linfdist_run_create(w->model, LINFDIST_RUN_INFERENCE, BATCH, &run) != LINFDIST_OK) ++w->mismatches;
    for (int i = 0; i < 50 && w->mismatches == 0; ++i) {
        w->mismatches += linfdist_forward(run, w->x, N_IN, BATCH, LINFDIST_EVALUATE, 30) != LINFDIST_OK;
        w->mismatches += linfdist_run_outputs(run, &distances, &batch, &classes) != LINFDIST_OK;
        w->mismatches += memcmp(distances, w->expected, BATCH * CLASSES * sizeof(float)) != 0;
    }
    linfdist_run_destroy(run);
    return NULL;
}

/* Many threads, one model; whoever finishes last frees it. */
static void test_threads(void **state) {
    linfdist_model *model = net_mlp(context, 3, 40, N_IN, CLASSES, 3);
    linfdist_run *run = make_run(model, LINFDIST_RUN_INFERENCE, BATCH);
    pthread_t threads[6];
    worker workers[6];
    float x[BATCH * N_IN], expected[BATCH * CLASSES];
    (void)state;
    net_uniform(x, LENGTH(x), -1, 1, 77);
    OK(linfdist_forward(run, x, N_IN, BATCH, LINFDIST_EVALUATE, 30));
    memcpy(expected, distances_of(run), sizeof expected);
    for (size_t i = 0; i < LENGTH(threads); ++i) {
        workers[i] = (worker){model, x, expected, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < LENGTH(threads); ++i) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].mismatches, 0);
    }
    linfdist_model_destroy(model);
    linfdist_run_destroy(run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_made),     cmocka_unit_test(test_hand_made_gradient),
        cmocka_unit_test(test_values),        cmocka_unit_test(test_kinds_agree),
        cmocka_unit_test(test_gradients),     cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_running_means), cmocka_unit_test(test_failed_training_pass),
        cmocka_unit_test(test_bounds),        cmocka_unit_test(test_mixture_loss),
        cmocka_unit_test(test_states),        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_huge_batches),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("run", tests, setup, teardown);
}
