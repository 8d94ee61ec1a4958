/* Runs: passes against hand-made numbers and a second implementation, gradients against finite differences. */
#include <math.h>
#include <stdio.h>

#include "run_support.h"

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

/* Rows 9 apart, filled with NaN between. */
enum { STRIDE = 9 };

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_made),     cmocka_unit_test(test_hand_made_gradient),
        cmocka_unit_test(test_values),        cmocka_unit_test(test_kinds_agree),
        cmocka_unit_test(test_gradients),     cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_running_means), cmocka_unit_test(test_failed_training_pass),
        cmocka_unit_test(test_bounds),        cmocka_unit_test(test_mixture_loss),
    };
    return cmocka_run_group_tests_name("run", tests, setup, teardown);
}
