/* Training through interval bounds: a run's passes against the same chain of stateless operators, bit for bit. */
#include <fenv.h>
#include <math.h>
#include <stdlib.h>

#include "net_support.h"

enum { BATCH = 5, N_IN = 6, WIDTH = 9, CLASSES = 4, GROUPS = 3 };

static linfdist_context *context;
static linfdist_model *model;
static linfdist_run *run;
static float x[BATCH * N_IN], x_lower[BATCH * N_IN], x_upper[BATCH * N_IN];
static const int32_t labels[BATCH] = {0, 3, 1, 2, 3};

/* Grouped distances, mean shift, distances, bias. */
static void make_model(void) {
    linfdist_model_options o;
    linfdist_layer list[4];
    OK(linfdist_model_options_init(&o, sizeof o));
    o.height = 1;
    o.width_px = N_IN;
    o.classes = CLASSES;
    OK(linfdist_layer_init(&list[0], sizeof list[0], LINFDIST_LAYER_DISTANCE, "a"));
    OK(linfdist_layer_init(&list[1], sizeof list[1], LINFDIST_LAYER_MEAN_SHIFT, "a"));
    OK(linfdist_layer_init(&list[2], sizeof list[2], LINFDIST_LAYER_DISTANCE, "b"));
    OK(linfdist_layer_init(&list[3], sizeof list[3], LINFDIST_LAYER_BIAS, "b"));
    list[0].n_out = WIDTH;
    list[0].groups = GROUPS;
    list[2].n_out = CLASSES;
    OK(linfdist_model_create(context, &o, list, 4, &model));
    net_disturb(model, 3);
}

static int setup(void **state) {
    (void)state;
    context = make_context(2, NULL);
    make_model();
    OK(linfdist_run_create(model, LINFDIST_RUN_INTERVAL_TRAINING, BATCH, &run));
    test_fill(x, BATCH * N_IN, 1);
    for (int i = 0; i < BATCH * N_IN; ++i) {
        x_lower[i] = x[i] - 0.125f * (float)(i % 3);
        x_upper[i] = x[i] + 0.25f;
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
    return 0;
}

/* ---- the chain of operators ---- */

typedef struct chain {
    linfdist_distance_shape first, second;
    float hidden[3][BATCH * WIDTH], shifted[3][BATCH * WIDTH], out[3][BATCH * CLASSES];
    int32_t arg_first[3][BATCH * WIDTH], arg_second[3][BATCH * CLASSES];
    float grad_out[3][BATCH * CLASSES], grad_shifted[3][BATCH * WIDTH], grad_hidden[BATCH * WIDTH];
    float grad_x[3][BATCH * N_IN], grad_a[WIDTH * N_IN / GROUPS], grad_b[CLASSES * WIDTH];
    float running[WIDTH];
} chain;

static void chain_forward(chain *c, int32_t mode) {
    const float *wa = net_tensor(model, "a.weight").data, *wb = net_tensor(model, "b.weight").data;
    const float *bias = net_tensor(model, "b.bias").data;
    OK(linfdist_distance_shape_init(&c->first, sizeof c->first, BATCH, N_IN, WIDTH));
    OK(linfdist_distance_shape_init(&c->second, sizeof c->second, BATCH, WIDTH, CLASSES));
    c->first.groups = GROUPS;
    c->first.w_stride = N_IN / GROUPS;
    OK(linfdist_distance_forward(context, &c->first, INFINITY, x, wa, c->hidden[0], c->arg_first[0]));
    OK(linfdist_bounds_forward(context, &c->first, x_lower, x_upper, wa, c->hidden[1], c->hidden[2], c->arg_first[1],
                               c->arg_first[2]));
    memcpy(c->running, net_tensor(model, "a.mean_shift.running_mean").data, sizeof c->running);
    OK(linfdist_mean_shift_forward(context, BATCH, WIDTH, 1, mode, 0.1f, c->running, c->hidden[0], c->hidden[1],
                                   c->hidden[2], c->shifted[0], c->shifted[1], c->shifted[2]));
    OK(linfdist_distance_forward(context, &c->second, INFINITY, c->shifted[0], wb, c->out[0], c->arg_second[0]));
    OK(linfdist_bounds_forward(context, &c->second, c->shifted[1], c->shifted[2], wb, c->out[1], c->out[2],
                               c->arg_second[1], c->arg_second[2]));
    for (int k = 0; k < 3; ++k)
        for (int i = 0; i < BATCH * CLASSES; ++i) c->out[k][i] += bias[i % CLASSES];
}

/* From grad_out. */
static void chain_backward(chain *c, int32_t mode) {
    const float *wa = net_tensor(model, "a.weight").data, *wb = net_tensor(model, "b.weight").data;
    OK(linfdist_distance_backward(context, &c->second, INFINITY, c->shifted[0], wb, c->out[0], c->arg_second[0],
                                  c->grad_out[0], c->grad_shifted[0], c->grad_b));
    OK(linfdist_bounds_backward(context, &c->second, c->shifted[1], c->shifted[2], wb, c->arg_second[1],
                                c->arg_second[2], c->grad_out[1], c->grad_out[2], c->grad_shifted[1],
                                c->grad_shifted[2], c->grad_b));
    OK(linfdist_mean_shift_backward(context, BATCH, WIDTH, 1, mode, c->grad_shifted[0], c->grad_shifted[1],
                                    c->grad_shifted[2], c->grad_hidden));
    OK(linfdist_distance_backward(context, &c->first, INFINITY, x, wa, c->hidden[0], c->arg_first[0], c->grad_hidden,
                                  c->grad_x[0], c->grad_a));
    OK(linfdist_bounds_backward(context, &c->first, x_lower, x_upper, wa, c->arg_first[1], c->arg_first[2],
                                c->grad_shifted[1], c->grad_shifted[2], c->grad_x[1], c->grad_x[2], c->grad_a));
}

/* ---- comparisons ---- */

static void expect_values(const chain *c) {
    const float *outputs, *lower, *upper;
    OK(linfdist_run_outputs(run, &outputs, NULL, NULL));
    OK(linfdist_run_bounds(run, &lower, &upper, NULL, NULL));
    assert_memory_equal(outputs, c->out[0], sizeof c->out[0]);
    assert_memory_equal(lower, c->out[1], sizeof c->out[1]);
    assert_memory_equal(upper, c->out[2], sizeof c->out[2]);
    for (int i = 0; i < BATCH * CLASSES; ++i) assert_true(lower[i] <= outputs[i] && outputs[i] <= upper[i]);
}

static const float *gradient(const char *name) {
    linfdist_tensor view = {.struct_size = sizeof view};
    OK(linfdist_run_find_gradient(run, name, &view));
    return view.data;
}

static void expect_gradients(const chain *c) {
    float grad[3][BATCH * N_IN];
    OK(linfdist_run_zero_gradients(run));
    OK(linfdist_backward_intervals(run, grad[0], grad[1], grad[2], N_IN));
    assert_memory_equal(gradient("a.weight"), c->grad_a, sizeof c->grad_a);
    assert_memory_equal(gradient("b.weight"), c->grad_b, sizeof c->grad_b);
    assert_memory_equal(grad, c->grad_x, sizeof grad);
}

static void check_mode(int32_t mode) {
    chain *c = calloc(1, sizeof *c);
    float *grad_outputs, *grad_lower, *grad_upper, *grad_scalar;
    assert_non_null(c);
    chain_forward(c, mode);
    OK(linfdist_forward_intervals(run, x, x_lower, x_upper, N_IN, BATCH, mode));
    expect_values(c);
    assert_memory_equal(net_tensor(model, "a.mean_shift.running_mean").data, c->running, sizeof c->running);
    for (int k = 0; k < 3; ++k) test_fill(c->grad_out[k], BATCH * CLASSES, 7 + (uint64_t)k);
    OK(linfdist_run_output_gradients(run, &grad_outputs, &grad_scalar));
    OK(linfdist_run_bound_gradients(run, &grad_lower, &grad_upper));
    memcpy(grad_outputs, c->grad_out[0], sizeof c->grad_out[0]);
    memcpy(grad_lower, c->grad_out[1], sizeof c->grad_out[1]);
    memcpy(grad_upper, c->grad_out[2], sizeof c->grad_out[2]);
    chain_backward(c, mode);
    expect_gradients(c);
    free(c);
}

static void test_against_operators(void **state) {
    (void)state;
    check_mode(LINFDIST_EVALUATE);
    check_mode(LINFDIST_TRAIN);
}

/* Margins are upper bounds of the label's distance minus lower bounds of the others'. */
static void test_margins(void **state) {
    chain *c = calloc(1, sizeof *c);
    const float *margins;
    float *grad_margins;
    (void)state;
    assert_non_null(c);
    chain_forward(c, LINFDIST_EVALUATE);
    OK(linfdist_forward_intervals(run, x, x_lower, x_upper, N_IN, BATCH, LINFDIST_EVALUATE));
    OK(linfdist_run_margins(run, labels, 0, &margins));
    OK(linfdist_run_margin_gradients(run, &grad_margins));
    test_fill(grad_margins, BATCH * CLASSES, 5);
    for (int b = 0; b < BATCH; ++b) {
        const int first = b * CLASSES, label = first + labels[b];
        double of_label = 0;
        for (int j = first; j < first + CLASSES; ++j) {
            if (j == label) continue;
            assert_true(margins[j] == (float)((double)c->out[2][label] - (double)c->out[1][j]));
            c->grad_out[1][j] = -grad_margins[j];
            of_label += (double)grad_margins[j];
        }
        assert_true(margins[label] == 0);
        c->grad_out[2][label] = (float)of_label;
    }
    chain_backward(c, LINFDIST_EVALUATE);
    expect_gradients(c);
    free(c);
}

/* The loss divides the margins of distances by 2 eps. */
static void test_loss(void **state) {
    linfdist_loss loss;
    const float *margins, *outputs;
    float scaled[BATCH * CLASSES], logits[BATCH * CLASSES];
    double got, want;
    (void)state;
    OK(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_MIXTURE));
    OK(linfdist_forward_intervals(run, x, x_lower, x_upper, N_IN, BATCH, LINFDIST_EVALUATE));
    FAILS(linfdist_run_loss(run, &loss, labels, 0, 0.5, &got), LINFDIST_ERROR_INVALID_ARGUMENT, "eps_normalized is 0");
    OK(linfdist_run_loss(run, &loss, labels, 0.25, 0.5, &got));
    OK(linfdist_run_margins(run, labels, 0.25, &margins));
    OK(linfdist_run_outputs(run, &outputs, NULL, NULL));
    for (int i = 0; i < BATCH * CLASSES; ++i) {
        scaled[i] = 2 * margins[i];
        logits[i] = -outputs[i];
    }
    OK(linfdist_loss_logits(&loss, logits, scaled, labels, BATCH, CLASSES, 0.5, &want, NULL, NULL));
    assert_true(fabs(got - want) <= 1e-12 * fabs(want));
    OK(linfdist_backward(run, NULL, 0));
}

/* The host's rounding mode changes neither the loss nor a class. */
static void test_environment(void **state) {
    linfdist_loss loss;
    int32_t predicted[BATCH], again[BATCH];
    (void)state;
    for (int32_t kind = LINFDIST_LOSS_MIXTURE; kind <= LINFDIST_LOSS_CROSSENTROPY; ++kind)
        for (double eps = 0.1; eps < 0.2; eps += 0.01) {
            double got, want;
            OK(linfdist_loss_init(&loss, sizeof loss, kind));
            OK(linfdist_forward_intervals(run, x, x_lower, x_upper, N_IN, BATCH, LINFDIST_EVALUATE));
            OK(linfdist_run_loss(run, &loss, labels, eps, 0.5, &want));
            OK(linfdist_run_predictions(run, predicted));
            fesetround(FE_UPWARD);
            OK(linfdist_run_loss(run, &loss, labels, eps, 0.5, &got));
            OK(linfdist_run_predictions(run, again));
            fesetround(FE_TONEAREST);
            assert_memory_equal(&got, &want, sizeof got);
            assert_memory_equal(predicted, again, sizeof again);
        }
}

/* A pass that fails leaves no results, bounds neither. */
static void test_failed_pass(void **state) {
    const float *lower, *upper;
    (void)state;
    OK(linfdist_forward_intervals(run, x, x_lower, x_upper, N_IN, BATCH, LINFDIST_EVALUATE));
    OK(linfdist_run_bounds(run, &lower, &upper, NULL, NULL));
    linfdist_tensor bias = net_tensor(model, "b.bias"), w = net_tensor(model, "b.weight");
    bias.data[1] = w.data[WIDTH] = 0x1p100f;
    FAILS(linfdist_forward_intervals(run, x, x_lower, x_upper, N_IN, BATCH, LINFDIST_EVALUATE),
          LINFDIST_ERROR_NOT_FINITE, "layer b");
    FAILS(linfdist_run_bounds(run, &lower, &upper, NULL, NULL), LINFDIST_ERROR_STATE, "no pass of bounds");
}

static void test_states(void **state) {
    linfdist_run *training = NULL;
    const float *margins;
    float *grad, *other, grad_x[BATCH * N_IN];
    (void)state;
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, BATCH, &training));
    FAILS(linfdist_forward_intervals(training, x, x_lower, x_upper, N_IN, BATCH, LINFDIST_TRAIN), LINFDIST_ERROR_STATE,
          "interval training");
    FAILS(linfdist_run_margins(training, labels, 0, &margins), LINFDIST_ERROR_STATE, "forward");
    OK(linfdist_forward(training, x, N_IN, BATCH, LINFDIST_TRAIN, 8));
    FAILS(linfdist_run_margin_gradients(training, &grad), LINFDIST_ERROR_STATE, "no margins");
    FAILS(linfdist_run_bound_gradients(training, &grad, &other), LINFDIST_ERROR_STATE, "no intervals");
    FAILS(linfdist_backward_intervals(training, grad_x, NULL, NULL, N_IN), LINFDIST_ERROR_STATE, "no intervals");
    FAILS(linfdist_run_margins(training, labels, -1, &margins), LINFDIST_ERROR_INVALID_ARGUMENT,
          "eps_normalized is -1");
    FAILS(linfdist_run_margins(training, labels, NAN, &margins), LINFDIST_ERROR_INVALID_ARGUMENT, "eps_normalized");
    const int32_t wrong[BATCH] = {0, 1, CLASSES, 0, 0};
    FAILS(linfdist_run_margins(training, wrong, 0, &margins), LINFDIST_ERROR_INVALID_ARGUMENT, "labels[2] is 4");
    OK(linfdist_run_margins(training, labels, 0.5, &margins));
    OK(linfdist_run_margin_gradients(training, &grad));
    grad[1] = NAN;
    FAILS(linfdist_backward(training, NULL, 0), LINFDIST_ERROR_NOT_FINITE, "grad_margins is nan");
    grad[1] = 0;
    OK(linfdist_backward(training, NULL, 0));
    linfdist_run_destroy(training);
    FAILS(linfdist_forward_intervals(run, x, x_upper, x_lower, N_IN, BATCH, LINFDIST_TRAIN),
          LINFDIST_ERROR_INVERTED_INTERVAL, "x_lower");
    x_upper[3] = INFINITY;
    FAILS(linfdist_forward_intervals(run, x, x_lower, x_upper, N_IN, BATCH, LINFDIST_TRAIN), LINFDIST_ERROR_NOT_FINITE,
          "x_upper");
}

/* Values -+ eps: margins of a pass at any p, with the gradients of a loss that reads them. */
/* An optimizer takes the gradients of such a run as any other's. */
static void test_step(void **state) {
    linfdist_optimizer *optimizer = NULL;
    linfdist_loss loss;
    float before[CLASSES * WIDTH];
    const linfdist_tensor w = net_tensor(model, "b.weight");
    int moved = 0;
    (void)state;
    OK(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_HINGE));
    OK(linfdist_optimizer_create_adam(model, NULL, &optimizer));
    OK(linfdist_forward_intervals(run, x, x_lower, x_upper, N_IN, BATCH, LINFDIST_TRAIN));
    OK(linfdist_run_loss(run, &loss, labels, 0.1, 0.0, NULL));
    OK(linfdist_backward(run, NULL, 0));
    memcpy(before, w.data, sizeof before);
    OK(linfdist_optimizer_step(optimizer, run, 0.5, 0.1));
    for (int i = 0; i < CLASSES * WIDTH; ++i) moved += before[i] != w.data[i];
    assert_true(moved > 0);
    linfdist_optimizer_destroy(optimizer);
}

static void test_lipschitz_margins(void **state) {
    linfdist_run *own = NULL, *library = NULL;
    linfdist_loss hinge;
    const float *margins;
    float *grad_margins, grad_own[BATCH * N_IN], grad_library[BATCH * N_IN];
    const double eps = 0.5;
    (void)state;
    OK(linfdist_loss_init(&hinge, sizeof hinge, LINFDIST_LOSS_HINGE));
    hinge.mix = 1;
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, BATCH, &own));
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, BATCH, &library));
    OK(linfdist_forward(own, x, N_IN, BATCH, LINFDIST_EVALUATE, 8));
    OK(linfdist_forward(library, x, N_IN, BATCH, LINFDIST_EVALUATE, 8));
    OK(linfdist_run_loss(library, &hinge, labels, eps, 0, NULL));
    OK(linfdist_backward(library, grad_library, N_IN));
    OK(linfdist_run_margins(own, labels, eps, &margins));
    OK(linfdist_run_margin_gradients(own, &grad_margins));
    for (int i = 0; i < BATCH * CLASSES; ++i)
        grad_margins[i] = margins[i] >= 0 ? (float)(1.0 / (2 * eps) / (BATCH * CLASSES)) : 0.0f;
    OK(linfdist_backward(own, grad_own, N_IN));
    for (int i = 0; i < BATCH * N_IN; ++i) assert_true(fabsf(grad_own[i] - grad_library[i]) <= 1e-6f);
    linfdist_run_destroy(own);
    linfdist_run_destroy(library);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_against_operators, setup, teardown),
        cmocka_unit_test_setup_teardown(test_margins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(test_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_step, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lipschitz_margins, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
