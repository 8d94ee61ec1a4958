/* Nets with a linear head as wholes: margins of a run, certificates that hold, attacks, estimates, files. */
#include <math.h>
#include <stdlib.h>

#include "file_support.h"
#include "net_support.h"

enum { N = 24, SIDE = 3, N_IN = SIDE * SIDE, CLASSES = 4, WIDTH = 14, CORNERS = 300 };

static const double std_of_pixels = 0.3;
static linfdist_context *context;
static linfdist_model *model;
static linfdist_certifier *certifier;
static float pixels[N * N_IN];

static void normalize(const float *raw, double shift, float *x) {
    for (int i = 0; i < N * N_IN; ++i) {
        const double moved = fmin(fmax((double)raw[i] + shift, 0.0), 1.0);
        x[i] = (float)((moved - 0.25) / std_of_pixels);
    }
}

/* Running means of the pixels, so that the head sees numbers on both sides of 0. */
static void settle_means(void) {
    linfdist_run *run = NULL;
    float x[N * N_IN];
    normalize(pixels, 0, x);
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, N, &run));
    for (int i = 0; i < 100; ++i) OK(linfdist_forward(run, x, N_IN, N, LINFDIST_TRAIN, INFINITY));
    linfdist_run_destroy(run);
}

static int setup(void **state) {
    linfdist_hybrid_options o;
    const double mean = 0.25;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, std_of_pixels, 0.0, 1.0};
    (void)state;
    context = make_context(2, NULL);
    OK(linfdist_hybrid_options_init(&o, sizeof o));
    o.height = o.width_px = SIDE;
    o.classes = CLASSES;
    o.depth = 4;
    o.width = WIDTH;
    o.hidden = 6;
    o.identity_value = 0;
    OK(linfdist_model_create_hybrid(context, &o, &model));
    OK(linfdist_model_set_statistics(model, &statistics));
    net_uniform(pixels, N * N_IN, 0.0f, 1.0f, 9);
    settle_means();
    OK(linfdist_certifier_create(model, &certifier));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    linfdist_certifier_destroy(certifier);
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
    return 0;
}

/* ---- margins of a run ---- */

/* Bounds of the distance part, led through the head by formulas in double. */
static double head_margin(const float *lower, const float *upper, double eps, int32_t label, int j) {
    const linfdist_tensor w1 = net_tensor(model, "fc_linear.0.weight"), w2 = net_tensor(model, "fc_final.weight");
    const float *b1 = net_tensor(model, "fc_linear.0.bias").data, *b2 = net_tensor(model, "fc_final.bias").data;
    const int64_t width = w1.shape[1], hidden = w1.shape[0];
    double sum = (double)b2[j] - (double)b2[label];
    for (int64_t k = 0; k < hidden; ++k) {
        double middle = 0, radius = 0;
        for (int64_t i = 0; i < width; ++i) {
            const double half = ((double)upper[i] - (double)lower[i]) / 2 + eps;
            middle += (double)w1.data[k * width + i] * ((double)upper[i] + (double)lower[i]) / 2;
            radius += fabs((double)w1.data[k * width + i]) * half;
        }
        const double scale = 1 / sqrt((double)width), centre = scale * middle + (double)b1[k];
        const double low = tanh(centre - scale * radius), high = tanh(centre + scale * radius);
        const double slope = (double)w2.data[j * hidden + k] - (double)w2.data[label * hidden + k];
        sum += slope * (slope > 0 ? high : low) / sqrt((double)hidden);
    }
    return sum;
}

/* The distance part alone, distances and mean shifts, as a model of its own: values, and bounds for all pixels within
 * eps of raw ones. */
static void distance_part(const float *raw, double eps, float *d, float *d_lower, float *d_upper) {
    linfdist_model_options o;
    linfdist_layer list[4];
    linfdist_model *part = NULL;
    linfdist_run *run = NULL;
    const float *outputs, *lower, *upper;
    float x[N * N_IN], x_lower[N * N_IN], x_upper[N * N_IN];
    static const char *const copied[] = {"fc_dist.0.weight", "fc_dist.0.mean_shift.running_mean", "fc_dist.1.weight",
                                         "fc_dist.1.mean_shift.running_mean"};
    OK(linfdist_model_options_init(&o, sizeof o));
    o.height = o.width_px = SIDE;
    o.classes = WIDTH;
    for (int i = 0; i < 4; ++i) {
        OK(linfdist_layer_init(&list[i], sizeof list[i], i % 2 ? LINFDIST_LAYER_MEAN_SHIFT : LINFDIST_LAYER_DISTANCE,
                               i < 2 ? "fc_dist.0" : "fc_dist.1"));
        if (i % 2 == 0) list[i].n_out = WIDTH;
    }
    OK(linfdist_model_create(context, &o, list, 4, &part));
    for (size_t i = 0; i < 4; ++i) {
        const linfdist_tensor from = net_tensor(model, copied[i]), to = net_tensor(part, copied[i]);
        memcpy(to.data, from.data, (size_t)(from.shape[0] * from.shape[1]) * sizeof(float));
    }
    normalize(raw, 0, x);
    normalize(raw, -eps, x_lower);
    normalize(raw, eps, x_upper);
    OK(linfdist_run_create(part, LINFDIST_RUN_INFERENCE, N, &run));
    OK(linfdist_forward(run, x, N_IN, N, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_run_outputs(run, &outputs, NULL, NULL));
    memcpy(d, outputs, N * WIDTH * sizeof *d);
    OK(linfdist_forward_bounds(run, x_lower, x_upper, N_IN, N));
    OK(linfdist_run_bounds(run, &lower, &upper, NULL, NULL));
    memcpy(d_lower, lower, N * WIDTH * sizeof *d);
    memcpy(d_upper, upper, N * WIDTH * sizeof *d);
    linfdist_run_destroy(run);
    linfdist_model_destroy(part);
}

static void test_run_margins(void **state) {
    linfdist_run *run = NULL, *training = NULL;
    float x[N * N_IN], d[3][N * WIDTH];
    int32_t labels[N];
    const float *margins, *again;
    (void)state;
    for (int i = 0; i < N; ++i) labels[i] = i % CLASSES;
    normalize(pixels, 0, x);
    distance_part(pixels, 0, d[0], d[1], d[2]);
    OK(linfdist_run_create(model, LINFDIST_RUN_INFERENCE, N, &run));
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, N, &training));
    OK(linfdist_forward(run, x, N_IN, N, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_forward(training, x, N_IN, N, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_run_margins(run, labels, 0.125, &margins));
    OK(linfdist_run_margins(training, labels, 0.125, &again));
    assert_memory_equal(margins, again, N * CLASSES * sizeof *margins);
    for (int i = 0; i < N * CLASSES; ++i) {
        const int32_t label = labels[i / CLASSES];
        const float *at = d[0] + i / CLASSES * WIDTH;
        const double want = i % CLASSES == label ? 0 : head_margin(at, at, 0.125, label, i % CLASSES);
        assert_true(fabs((double)margins[i] - want) <= 1e-5);
    }
    linfdist_run_destroy(run);
    linfdist_run_destroy(training);
}

/* Predictions of a run are the certifier's. */
static void test_predictions(void **state) {
    linfdist_run *run = NULL;
    float x[N * N_IN];
    int32_t predicted[N], certified[N];
    (void)state;
    normalize(pixels, 0, x);
    OK(linfdist_run_create(model, LINFDIST_RUN_INFERENCE, N, &run));
    FAILS(linfdist_run_predictions(run, predicted), LINFDIST_ERROR_STATE, "forward");
    OK(linfdist_forward(run, x, N_IN, N, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_run_predictions(run, predicted));
    OK(linfdist_certify(certifier, LINFDIST_METHOD_MARGIN, pixels, N_IN, N, certified, NULL, NULL));
    assert_memory_equal(predicted, certified, sizeof predicted);
    linfdist_run_destroy(run);
}

/* ---- certificates ---- */

/* Corners and other points of the ball around sample i. */
static void draw_ball(int i, double radius, uint64_t *seed, float *raw) {
    for (int c = 0; c < CORNERS; ++c) {
        for (int k = 0; k < N_IN; ++k) {
            const double at = (double)pixels[i * N_IN + k];
            const double step = c % 2 ? (test_number(seed) < 0 ? -radius : radius) : (double)test_number(seed) * radius;
            float moved = (float)fmin(fmax(at + step, 0.0), 1.0);
            if (fabs((double)moved - at) > radius) moved = (float)at;
            raw[c * N_IN + k] = moved;
        }
    }
}

/* The largest margin by formulas in double: just below 0 at the certified radius, just above beyond it. */
static double worst_margin(int32_t method, int i, double radius, int32_t predicted) {
    static float d[3][N * WIDTH];
    const int from_pixels = method == LINFDIST_METHOD_INTERVAL;
    double worst = -INFINITY;
    distance_part(pixels, radius, d[0], d[1], d[2]);
    for (int j = 0; j < CLASSES; ++j) {
        const float *lower = d[from_pixels ? 1 : 0] + i * WIDTH, *upper = d[from_pixels ? 2 : 0] + i * WIDTH;
        const double eps = from_pixels ? 0 : radius / std_of_pixels;
        if (j != predicted) worst = fmax(worst, head_margin(lower, upper, eps, predicted, j));
    }
    return worst;
}

static void check_method(int32_t method, int least) {
    float radius[N], *raw = malloc(sizeof *raw * CORNERS * N_IN);
    int32_t predicted[N], moved[CORNERS], certified;
    uint64_t seed = 3;
    int some = 0;
    assert_non_null(raw);
    OK(linfdist_certify(certifier, method, pixels, N_IN, N, predicted, NULL, radius));
    for (int i = 0; i < N; ++i) {
        const float *x = pixels + i * N_IN;
        some += radius[i] > 1e-3f;
        OK(linfdist_certify_at(certifier, method, x, N_IN, 1, (double)radius[i] * 1.001 + 1e-6, NULL, &certified));
        assert_int_equal(certified, 0);
        if (!(radius[i] > 0)) continue;
        OK(linfdist_certify_at(certifier, method, x, N_IN, 1, (double)radius[i] * 0.999, NULL, &certified));
        assert_int_equal(certified, 1);
        assert_true(fabs(worst_margin(method, i, (double)radius[i], predicted[i])) <= 2e-5);
        draw_ball(i, (double)radius[i] * 0.999, &seed, raw);
        OK(linfdist_certify(certifier, method, raw, N_IN, CORNERS, moved, NULL, NULL));
        for (int c = 0; c < CORNERS; ++c) assert_int_equal(moved[c], predicted[i]);
    }
    assert_true(some >= least);
    free(raw);
}

static void test_certificates(void **state) {
    (void)state;
    check_method(LINFDIST_METHOD_MARGIN, 8);
    check_method(LINFDIST_METHOD_INTERVAL, 8);
}

/* An attack breaks no certified sample, and breaks others at a large radius. */
static void test_attack(void **state) {
    int32_t predicted[N], certified[N], success[N];
    linfdist_attack_options o;
    const float surrogates[] = {INFINITY, 20.0f};
    const double eps = 0.02;
    int broken = 0;
    (void)state;
    OK(linfdist_attack_options_init(&o, sizeof o));
    o.steps = 20;
    o.p = surrogates;
    o.p_count = 2;
    OK(linfdist_certify_at(certifier, LINFDIST_METHOD_MARGIN, pixels, N_IN, N, eps, predicted, certified));
    OK(linfdist_attack(certifier, &o, pixels, N_IN, predicted, N, eps, NULL, N_IN, NULL, success));
    for (int i = 0; i < N; ++i) assert_false(certified[i] && success[i]);
    OK(linfdist_attack(certifier, &o, pixels, N_IN, predicted, N, 0.5, NULL, N_IN, NULL, success));
    for (int i = 0; i < N; ++i) broken += success[i];
    assert_true(broken >= N / 4);
}

static void test_estimate(void **state) {
    float estimate[N * CLASSES];
    (void)state;
    OK(linfdist_lipschitz(certifier, NULL, pixels, N_IN, N, 8, estimate));
    for (int i = 0; i < N * CLASSES; ++i) assert_true(estimate[i] > 0 && isfinite(estimate[i]));
}

/* ---- training ---- */

/* The loss may start at eps = 0, and a step lowers it. */
static void test_training(void **state) {
    linfdist_run *run = NULL;
    linfdist_optimizer *optimizer = NULL;
    linfdist_loss loss;
    float x[N * N_IN];
    int32_t labels[N];
    double first = 0, value = 0;
    (void)state;
    for (int i = 0; i < N; ++i) labels[i] = i % CLASSES;
    normalize(pixels, 0, x);
    OK(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_CROSSENTROPY));
    loss.mix = 0.5;
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, N, &run));
    OK(linfdist_optimizer_create_adam(model, NULL, &optimizer));
    for (int step = 0; step < 60; ++step) {
        OK(linfdist_run_zero_gradients(run));
        OK(linfdist_forward(run, x, N_IN, N, LINFDIST_TRAIN, 8));
        OK(linfdist_run_loss(run, &loss, labels, 0.001 * step, 0, &value));
        if (step == 0) first = value;
        OK(linfdist_backward(run, NULL, 0));
        OK(linfdist_optimizer_step(optimizer, run, 0.02, 0));
    }
    assert_true(value < 0.8 * first);
    linfdist_optimizer_destroy(optimizer);
    linfdist_run_destroy(run);
}

/* dL/dx of the margins' loss against differences of the loss, at a p where it is smooth. */
static void test_gradient(void **state) {
    linfdist_run *run = NULL;
    linfdist_loss loss;
    float x[N * N_IN], grad[N * N_IN];
    int32_t labels[N];
    (void)state;
    for (int i = 0; i < N; ++i) labels[i] = i % CLASSES;
    normalize(pixels, 0, x);
    OK(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_CROSSENTROPY));
    loss.mix = 0.25;
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, N, &run));
    OK(linfdist_forward(run, x, N_IN, N, LINFDIST_EVALUATE, 4));
    OK(linfdist_run_loss(run, &loss, labels, 0.05, 0, NULL));
    OK(linfdist_backward(run, grad, N_IN));
    for (int i = 0; i < N_IN; ++i) {
        const float kept = x[i];
        double ahead, behind;
        x[i] = kept + 0x1p-9f;
        OK(linfdist_forward(run, x, N_IN, N, LINFDIST_EVALUATE, 4));
        OK(linfdist_run_loss(run, &loss, labels, 0.05, 0, &ahead));
        x[i] = kept - 0x1p-9f;
        OK(linfdist_forward(run, x, N_IN, N, LINFDIST_EVALUATE, 4));
        OK(linfdist_run_loss(run, &loss, labels, 0.05, 0, &behind));
        x[i] = kept;
        assert_true(fabs((ahead - behind) * 0x1p8 - (double)grad[i]) <= 2e-4);
    }
    linfdist_run_destroy(run);
}

/* ---- what is refused ---- */

static void test_growth(void **state) {
    linfdist_certifier *none = NULL;
    (void)state;
    net_tensor(model, "fc_linear.0.weight").data[3] = 0x1p90f;
    FAILS(linfdist_certifier_create(model, &none), LINFDIST_ERROR_RANGE, "layer fc_linear.0 (linear)");
    assert_null(none);
}

/* 4 inputs, a linear layer under distances: 3 classes. */
static linfdist_model *odd_net(void) {
    linfdist_model_options o;
    linfdist_layer list[2];
    linfdist_model *odd = NULL;
    OK(linfdist_model_options_init(&o, sizeof o));
    o.height = 1;
    o.width_px = 4;
    o.classes = 3;
    OK(linfdist_layer_init(&list[0], sizeof list[0], LINFDIST_LAYER_LINEAR, "a"));
    OK(linfdist_layer_init(&list[1], sizeof list[1], LINFDIST_LAYER_DISTANCE, "b"));
    list[0].n_out = 5;
    list[1].n_out = 3;
    OK(linfdist_model_create(context, &o, list, 2, &odd));
    return odd;
}

/* Distances behind a linear layer have bounds at p = infinity alone. */
static void test_bounds_at_finite_p(void **state) {
    linfdist_model *odd = odd_net();
    linfdist_run *run = NULL;
    const float *margins;
    float x[4] = {0, 1, 2, 3};
    const int32_t label = 1;
    (void)state;
    OK(linfdist_run_create(odd, LINFDIST_RUN_TRAINING, 1, &run));
    OK(linfdist_forward(run, x, 4, 1, LINFDIST_EVALUATE, 8));
    FAILS(linfdist_run_margins(run, &label, 0.1, &margins), LINFDIST_ERROR_INVALID_ARGUMENT, "layer b (distance)");
    OK(linfdist_forward(run, x, 4, 1, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_run_margins(run, &label, 0.1, &margins));
    OK(linfdist_backward(run, NULL, 0));
    linfdist_run_destroy(run);
    linfdist_model_destroy(odd);
}

static void test_file(void **state) {
    linfdist_model *loaded = NULL;
    bytes first = {0}, second = {0};
    (void)state;
    save_bytes(model, &first);
    OK(linfdist_model_load_memory(context, first.data, first.size, &loaded));
    assert_same_tensors(model, loaded);
    save_bytes(loaded, &second);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    bytes_free(&first);
    bytes_free(&second);
    linfdist_model_destroy(loaded);
}

enum { FLAT_IN = 3, FLAT_CLASSES = 2 };

/* Linear layers of n_out outputs and the kinds between them, ending in FLAT_CLASSES logits. Each kind's layer is named
 * by its place. */
static linfdist_model *flat_net(const int32_t *kinds, int64_t count, int64_t width) {
    static const char *const names[] = {"l0", "l1", "l2", "l3", "l4", "l5"};
    linfdist_model_options o;
    linfdist_layer list[6];
    linfdist_model *made = NULL;
    OK(linfdist_model_options_init(&o, sizeof o));
    o.height = 1;
    o.width_px = FLAT_IN;
    o.classes = FLAT_CLASSES;
    o.outputs = LINFDIST_OUTPUTS_LOGITS;
    for (int64_t i = 0; i < count; ++i) {
        OK(linfdist_layer_init(&list[i], sizeof list[i], kinds[i], names[i]));
        if (kinds[i] == LINFDIST_LAYER_LINEAR || kinds[i] == LINFDIST_LAYER_DISTANCE)
            list[i].n_out = i + 1 == count ? FLAT_CLASSES : width;
    }
    OK(linfdist_model_create(context, &o, list, count, &made));
    return made;
}

static void fill(linfdist_model *net, const char *name, float value) {
    linfdist_tensor t = net_tensor(net, name);
    for (int64_t i = 0; i < t.shape[0] * t.shape[1]; ++i) t.data[i] = value;
}

/* tanh bounds the values, but not what a margin widens them by: layers behind it could leave the range of a float. */
static void test_growth_of_widened_values(void **state) {
    static const int32_t kinds[] = {LINFDIST_LAYER_DISTANCE, LINFDIST_LAYER_TANH, LINFDIST_LAYER_LINEAR,
                                    LINFDIST_LAYER_LINEAR,   LINFDIST_LAYER_RELU, LINFDIST_LAYER_LINEAR};
    linfdist_model *net = flat_net(kinds, 6, 4);
    linfdist_certifier *c = NULL;
    (void)state;
    OK(linfdist_certifier_create(net, &c));
    linfdist_certifier_destroy(c);
    c = NULL;
    fill(net, "l2.weight", 0x1p50f);
    fill(net, "l3.weight", 0x1p50f);
    FAILS(linfdist_certifier_create(net, &c), LINFDIST_ERROR_RANGE, "its outputs may reach");
    assert_null(c);
    linfdist_model_destroy(net);
}

static const int32_t shifted_head[] = {LINFDIST_LAYER_LINEAR, LINFDIST_LAYER_MEAN_SHIFT, LINFDIST_LAYER_LINEAR};

/* The batch's means are still there after a backward, which has means of its own. */
static void test_margins_after_backward(void **state) {
    linfdist_model *net = flat_net(shifted_head, 3, 4);
    linfdist_run *run = NULL;
    const float *margins;
    float x[3 * FLAT_IN], before[3 * FLAT_CLASSES];
    const int32_t labels[] = {0, 1, 1};
    (void)state;
    net_uniform(x, 3 * FLAT_IN, -1.0f, 2.0f, 4);
    OK(linfdist_run_create(net, LINFDIST_RUN_TRAINING, 3, &run));
    OK(linfdist_forward(run, x, FLAT_IN, 3, LINFDIST_TRAIN, 8));
    OK(net_mixture(run, labels, 0.25, 0.5, NULL));
    OK(linfdist_run_margins(run, labels, 0.25, &margins));
    memcpy(before, margins, sizeof before);
    OK(linfdist_backward(run, NULL, 0));
    OK(linfdist_run_margins(run, labels, 0.25, &margins));
    assert_memory_equal(before, margins, sizeof before);
    linfdist_run_destroy(run);
    linfdist_model_destroy(net);
}

/* A refused loss leaves the gradients as they were; margins that fail on the way end the wait. */
static void test_refusals_before_backward(void **state) {
    linfdist_model *net = flat_net(shifted_head, 3, 4);
    linfdist_run *run = NULL;
    linfdist_loss bad;
    const float *margins;
    float x[3 * FLAT_IN], want[4 * FLAT_IN];
    const int32_t labels[] = {0, 1, 1}, others[] = {1, 0, 0};
    linfdist_tensor gradient = {.struct_size = sizeof gradient};
    (void)state;
    net_uniform(x, 3 * FLAT_IN, -1.0f, 2.0f, 4);
    OK(linfdist_loss_init(&bad, sizeof bad, LINFDIST_LOSS_HINGE));
    bad.mix = 7;
    OK(linfdist_run_create(net, LINFDIST_RUN_TRAINING, 3, &run));
    OK(linfdist_run_find_gradient(run, "l0.weight", &gradient));
    for (int refused = 0; refused < 2; ++refused) {
        OK(linfdist_run_zero_gradients(run));
        OK(linfdist_forward(run, x, FLAT_IN, 3, LINFDIST_EVALUATE, 8));
        OK(net_mixture(run, labels, 0.25, 0.5, NULL));
        if (refused)
            FAILS(linfdist_run_loss(run, &bad, others, 0.5, 0.5, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "mix is 7");
        OK(linfdist_backward(run, NULL, 0));
        if (!refused) memcpy(want, gradient.data, sizeof want);
    }
    assert_memory_equal(want, gradient.data, sizeof want);
    OK(linfdist_forward(run, x, FLAT_IN, 3, LINFDIST_EVALUATE, 8));
    OK(net_mixture(run, labels, 0.25, 0.5, NULL));
    FAILS(linfdist_run_margins(run, labels, 0x1p100, &margins), LINFDIST_ERROR_NOT_FINITE, "must be finite");
    FAILS(linfdist_backward(run, NULL, 0), LINFDIST_ERROR_STATE, "forward pass");
    linfdist_run_destroy(run);
    linfdist_model_destroy(net);
}

/* Margins lead bounds of their own, which may stand where those of linfdist_forward_bounds did. */
static void test_bounds_end_with_margins(void **state) {
    linfdist_model *odd = odd_net();
    linfdist_run *run = NULL;
    const float *margins, *lower, *upper;
    float low[4] = {0, 1, 2, 3}, high[4] = {1, 2, 3, 4};
    const int32_t label = 1;
    (void)state;
    OK(linfdist_run_create(odd, LINFDIST_RUN_INFERENCE, 1, &run));
    OK(linfdist_forward(run, low, 4, 1, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_forward_bounds(run, low, high, 4, 1));
    OK(linfdist_run_bounds(run, &lower, &upper, NULL, NULL));
    OK(linfdist_run_margins(run, &label, 0.1, &margins));
    FAILS(linfdist_run_bounds(run, &lower, &upper, NULL, NULL), LINFDIST_ERROR_STATE, "no pass of bounds");
    linfdist_run_destroy(run);
    linfdist_model_destroy(odd);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_run_margins),
        TEST(test_predictions),
        TEST(test_certificates),
        TEST(test_attack),
        TEST(test_estimate),
        TEST(test_training),
        TEST(test_gradient),
        TEST(test_growth),
        TEST(test_bounds_at_finite_p),
        TEST(test_bounds_end_with_margins),
        TEST(test_growth_of_widened_values),
        TEST(test_margins_after_backward),
        TEST(test_refusals_before_backward),
        TEST(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
