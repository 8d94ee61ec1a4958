/* Adam on a model; and whole trainings, bit for bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file_support.h"
#include "net_support.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { BATCH = 37, N_IN = 29, CLASSES = 5 };

static linfdist_context *context;

static int setup(void **state) {
    (void)state;
    context = make_context(1, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    linfdist_context_destroy(context);
    return 0;
}

typedef struct trainer {
    linfdist_model *model;
    linfdist_run *run;
    linfdist_optimizer *optimizer;
} trainer;

static trainer make_trainer(linfdist_context *from, uint64_t seed) {
    trainer t = {.model = net_mlp(from, 3, 33, N_IN, CLASSES, seed)};
    OK(linfdist_run_create(t.model, LINFDIST_RUN_TRAINING, BATCH, &t.run));
    OK(linfdist_optimizer_create_adam(t.model, NULL, &t.optimizer));
    return t;
}

static void free_trainer(trainer *t) {
    linfdist_model_destroy(t->model);
    linfdist_optimizer_destroy(t->optimizer);
    linfdist_run_destroy(t->run);
}

/* One step of the paper's recipe on made-up data. */
static void train_step(trainer *t, uint32_t step, float p, double lr) {
    float x[BATCH * N_IN];
    int32_t labels[BATCH];
    net_uniform(x, LENGTH(x), -1.0f, 2.0f, step);
    for (uint32_t b = 0; b < BATCH; ++b) labels[b] = (int32_t)((b * 7 + step) % CLASSES);
    OK(linfdist_run_zero_gradients(t->run));
    OK(linfdist_forward(t->run, x, N_IN, BATCH, LINFDIST_TRAIN, p));
    OK(net_mixture(t->run, labels, 1.0, 0.1, NULL));
    OK(linfdist_backward(t->run, NULL, 0));
    OK(linfdist_optimizer_step(t->optimizer, t->run, lr, lr / 5));
}

static linfdist_tensor gradient_of(linfdist_run *run, int64_t index) {
    linfdist_tensor gradient = {.struct_size = sizeof gradient};
    OK(linfdist_run_get_gradient(run, index, &gradient));
    return gradient;
}

static linfdist_tensor weights_of(linfdist_model *model, int64_t index) {
    linfdist_tensor tensor = {.struct_size = sizeof tensor};
    OK(linfdist_model_get_tensor(model, index, &tensor));
    return tensor;
}

/* ---- one step ---- */

/* Every tensor moves as linfdist_adam_update moves it, the scalar by its own rate; running means stay. */
static void test_same_as_plain_adam(void **state) {
    trainer t = make_trainer(context, 4);
    linfdist_model *copy = NULL;
    (void)state;
    train_step(&t, 1, 8, 0.03);
    OK(linfdist_model_copy(t.model, &copy));
    for (int64_t i = 0; i < 7; ++i) {
        linfdist_tensor gradient = gradient_of(t.run, i), w = weights_of(copy, i);
        linfdist_tensor m = {.struct_size = sizeof m}, v = m;
        float first[33 * 33], second[33 * 33];
        int64_t n = w.shape[0] * w.shape[1];
        OK(linfdist_optimizer_get_moments(t.optimizer, i, &m, &v));
        assert_string_equal(m.name, w.name);
        if (!gradient.data) {
            assert_true(!m.data && !v.data);
            continue;
        }
        memcpy(first, m.data, (size_t)n * sizeof(float));
        memcpy(second, v.data, (size_t)n * sizeof(float));
        OK(linfdist_adam_update(context, NULL, n, 2, i == 6 ? 0.002 : 0.01, gradient.data, w.data, first, second));
    }
    OK(linfdist_optimizer_step(t.optimizer, t.run, 0.01, 0.002));
    assert_true(net_same(t.model, copy));
    free_trainer(&t);
    linfdist_model_destroy(copy);
}

/* A whole step with weight decay: the rows of distance weights by linfdist_lp_decay at the p of the backward pass,
 * biases by the plain decay, the scalar not at all; then as without. */
static void expect_decay(int32_t kind, float p) {
    trainer t = make_trainer(context, 4);
    linfdist_model *copy = NULL;
    linfdist_optimizer *decaying = NULL;
    linfdist_adam_options options;
    float x[N_IN] = {0};
    OK(linfdist_adam_options_init(&options, sizeof options));
    options.weight_decay = 0.5;
    options.decay = kind;
    OK(linfdist_optimizer_create_adam(t.model, &options, &decaying));
    net_disturb(t.model, 8);
    train_step(&t, 1, p, 0.03);
    OK(linfdist_model_copy(t.model, &copy));
    for (int64_t i = 0; i < 7; ++i) {
        linfdist_tensor gradient = gradient_of(t.run, i), w = weights_of(copy, i);
        float first[33 * 33] = {0}, second[33 * 33] = {0};
        const float row_p = kind == LINFDIST_DECAY_LP && w.role == LINFDIST_ROLE_WEIGHT ? p : 2;
        if (!gradient.data) continue;
        if (i != 6) OK(linfdist_lp_decay(context, w.shape[0], w.shape[1], row_p, 0.2 * 0.5, w.data));
        OK(linfdist_adam_update(context, NULL, w.shape[0] * w.shape[1], 1, i == 6 ? 0.1 : 0.2, gradient.data, w.data,
                                first, second));
    }
    OK(linfdist_forward(t.run, x, N_IN, 1, LINFDIST_EVALUATE, 77)); /* its p does not count */
    OK(linfdist_optimizer_step(decaying, t.run, 0.2, 0.1));
    assert_true(net_same(t.model, copy));
    linfdist_optimizer_destroy(decaying);
    linfdist_model_destroy(copy);
    free_trainer(&t);
}

static void test_weight_decay(void **state) {
    (void)state;
    expect_decay(LINFDIST_DECAY_PLAIN, 8);
    expect_decay(LINFDIST_DECAY_LP, 8);
    expect_decay(LINFDIST_DECAY_LP, 33.3f);
    expect_decay(LINFDIST_DECAY_LP, INFINITY);
}

/* Of a layer's first tensor: whether the l_p decay sees its rows. */
static void expect_rows(linfdist_model *model, const char *name, int64_t n_in, int lp) {
    linfdist_tensor w = net_tensor(model, name);
    const int64_t columns = w.shape[1] * w.shape[2] * w.shape[3], count = w.shape[0] * columns;
    linfdist_model *copy = NULL;
    linfdist_run *run = NULL;
    linfdist_optimizer *decaying = NULL;
    linfdist_adam_options options;
    float *x = calloc((size_t)n_in, sizeof *x);
    const int32_t label = 0;
    OK(linfdist_adam_options_init(&options, sizeof options));
    options.weight_decay = 0.5;
    options.decay = LINFDIST_DECAY_LP;
    OK(linfdist_optimizer_create_adam(model, &options, &decaying));
    OK(linfdist_model_copy(model, &copy));
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, 1, &run));
    OK(linfdist_forward(run, x, n_in, 1, LINFDIST_EVALUATE, 8));
    OK(net_mixture(run, &label, 1.0, 0.1, NULL));
    OK(linfdist_backward(run, NULL, 0));
    OK(linfdist_run_zero_gradients(run)); /* so that Adam leaves the weights as the decay does */
    OK(linfdist_optimizer_step(decaying, run, 0.2, 0.1));
    linfdist_tensor want = net_tensor(copy, name);
    OK(linfdist_lp_decay(context, w.shape[0], columns, lp ? 8.0f : 2.0f, 0.2 * 0.5, want.data));
    assert_memory_equal(w.data, want.data, (size_t)count * sizeof(float));
    free(x);
    linfdist_run_destroy(run);
    linfdist_optimizer_destroy(decaying);
    linfdist_model_destroy(copy);
}

/* Distances are points of an l_p space, linear layers are not. */
static void test_decay_of_layers(void **state) {
    linfdist_conv_options options;
    linfdist_model *model = NULL;
    (void)state;
    OK(linfdist_conv_options_init(&options, sizeof options));
    options.channels = 1;
    options.height = options.width_px = 4;
    options.features = 6;
    options.hidden = 5;
    OK(linfdist_model_create_conv(context, &options, &model));
    for (int64_t i = 0;; ++i) {
        linfdist_layer_info info = {.struct_size = sizeof info};
        char name[80];
        if (linfdist_model_get_layer(model, i, &info) != LINFDIST_OK) break;
        const int linear = info.kind == LINFDIST_LAYER_LINEAR;
        if (!linear && info.kind != LINFDIST_LAYER_DISTANCE && info.kind != LINFDIST_LAYER_DISTANCE_CONV) continue;
        (void)snprintf(name, sizeof name, "%s.weight", info.name);
        expect_rows(model, name, 16, !linear);
    }
    linfdist_model_destroy(model);
}

static void test_refused_decays(void **state) {
    trainer t = make_trainer(context, 4);
    linfdist_optimizer *decaying = NULL;
    linfdist_adam_options options;
    int64_t step = -1;
    (void)state;
    OK(linfdist_adam_options_init(&options, sizeof options));
    options.weight_decay = 0.5;
    options.decay = LINFDIST_DECAY_LP;
    OK(linfdist_optimizer_create_adam(t.model, &options, &decaying));
    FAILS(linfdist_optimizer_step(decaying, t.run, 0.1, 0.1), LINFDIST_ERROR_STATE, "no backward pass");
    train_step(&t, 1, 8, 0.03);
    FAILS(linfdist_optimizer_step(decaying, t.run, 3, 0.1), LINFDIST_ERROR_INVALID_ARGUMENT,
          "lr is 3, with weight_decay 0.5");
    OK(linfdist_optimizer_get_step(decaying, &step));
    assert_int_equal(step, 0);
    OK(linfdist_optimizer_step(decaying, t.run, 0.1, 3));
    linfdist_optimizer_destroy(decaying);
    options.decay = -1;
    FAILS(linfdist_optimizer_create_adam(t.model, &options, &decaying), LINFDIST_ERROR_INVALID_ARGUMENT, "decay is -1");
    free_trainer(&t);
}

/* The first step of Adam has the size of the rate, against the gradient's sign. */
static void test_first_step(void **state) {
    trainer t = make_trainer(context, 4);
    linfdist_model *before = NULL;
    int moved = 0;
    (void)state;
    OK(linfdist_model_copy(t.model, &before));
    train_step(&t, 1, 8, 0.5);
    for (int64_t i = 0; i < 7; ++i) {
        linfdist_tensor gradient = gradient_of(t.run, i), w = weights_of(t.model, i), old = weights_of(before, i);
        double rate = i == 6 ? 0.1 : 0.5;
        for (int64_t k = 0; gradient.data && k < w.shape[0] * w.shape[1]; ++k) {
            double g = (double)gradient.data[k], expected = fabs(g) > 1e-5 ? -rate * copysign(1.0, g) : 0.0;
            if (fabs(g) <= 1e-5) continue;
            assert_true(fabs((double)w.data[k] - (double)old.data[k] - expected) < 1e-4);
            ++moved;
        }
    }
    assert_true(moved > 100); /* at p = 8 most gradients are far smaller than 1e-5 */
    free_trainer(&t);
    linfdist_model_destroy(before);
}

static void test_step_count(void **state) {
    trainer t = make_trainer(context, 4);
    int64_t step = -1;
    (void)state;
    OK(linfdist_optimizer_get_step(t.optimizer, &step));
    assert_int_equal(step, 0);
    train_step(&t, 1, 8, 0.03);
    train_step(&t, 2, 8, 0.03);
    OK(linfdist_optimizer_get_step(t.optimizer, &step));
    assert_int_equal(step, 2);
    OK(linfdist_optimizer_set_step(t.optimizer, 40));
    OK(linfdist_optimizer_get_step(t.optimizer, &step));
    assert_int_equal(step, 40);
    FAILS(linfdist_optimizer_set_step(t.optimizer, -1), LINFDIST_ERROR_INVALID_ARGUMENT, "step");
    OK(linfdist_optimizer_set_step(t.optimizer, INT64_MAX));
    FAILS(linfdist_optimizer_step(t.optimizer, t.run, 0.1, 0.1), LINFDIST_ERROR_STATE, "steps");
    free_trainer(&t);
}

/* ---- errors ---- */

static void test_refused_steps(void **state) {
    trainer t = make_trainer(context, 4), other = make_trainer(context, 4);
    linfdist_model *before = NULL;
    linfdist_run *inference = NULL;
    int64_t step;
    (void)state;
    train_step(&t, 1, 8, 0.03);
    OK(linfdist_model_copy(t.model, &before));
    OK(linfdist_run_create(t.model, LINFDIST_RUN_INFERENCE, 1, &inference));
    FAILS(linfdist_optimizer_step(t.optimizer, other.run, 0.1, 0.1), LINFDIST_ERROR_SHAPE, "another model");
    FAILS(linfdist_optimizer_step(t.optimizer, inference, 0.1, 0.1), LINFDIST_ERROR_STATE, "inference");
    FAILS(linfdist_optimizer_step(t.optimizer, t.run, NAN, 0.1), LINFDIST_ERROR_INVALID_ARGUMENT, "lr is nan");
    FAILS(linfdist_optimizer_step(t.optimizer, t.run, -0.1, 0.1), LINFDIST_ERROR_INVALID_ARGUMENT, "lr is -0.1");
    FAILS(linfdist_optimizer_step(t.optimizer, t.run, INFINITY, 0.1), LINFDIST_ERROR_INVALID_ARGUMENT, "lr is inf");
    FAILS(linfdist_optimizer_step(t.optimizer, t.run, 0.1, -1), LINFDIST_ERROR_INVALID_ARGUMENT, "scalar_lr is -1");
    FAILS(linfdist_optimizer_step(NULL, t.run, 0.1, 0.1), LINFDIST_ERROR_INVALID_ARGUMENT, "optimizer");
    FAILS(linfdist_optimizer_step(t.optimizer, NULL, 0.1, 0.1), LINFDIST_ERROR_INVALID_ARGUMENT, "run");
    gradient_of(t.run, 4).data[7] = NAN;
    FAILS(linfdist_optimizer_step(t.optimizer, t.run, 0.1, 0.1), LINFDIST_ERROR_NOT_FINITE,
          "gradient of fc_dist.2.weight");
    assert_true(net_same(t.model, before));
    OK(linfdist_optimizer_get_step(t.optimizer, &step));
    assert_int_equal(step, 1);
    linfdist_run_destroy(inference);
    linfdist_model_destroy(before);
    free_trainer(&t);
    free_trainer(&other);
}

static void test_bad_arguments(void **state) {
    trainer t = make_trainer(context, 4);
    linfdist_optimizer *none = NULL;
    linfdist_adam_options o;
    linfdist_tensor m = {.struct_size = sizeof m};
    (void)state;
    OK(linfdist_adam_options_init(&o, sizeof o));
    o.beta1 = 1.0;
    FAILS(linfdist_optimizer_create_adam(t.model, &o, &none), LINFDIST_ERROR_INVALID_ARGUMENT, "beta1");
    FAILS(linfdist_optimizer_create_adam(NULL, NULL, &none), LINFDIST_ERROR_INVALID_ARGUMENT, "model");
    FAILS(linfdist_optimizer_create_adam(t.model, NULL, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "optimizer");
    FAILS(linfdist_optimizer_get_moments(t.optimizer, 7, &m, &m), LINFDIST_ERROR_RANGE, "index is 7");
    FAILS(linfdist_optimizer_get_moments(t.optimizer, 0, NULL, &m), LINFDIST_ERROR_INVALID_ARGUMENT, "first");
    linfdist_tensor small = {.struct_size = 8};
    FAILS(linfdist_optimizer_get_moments(t.optimizer, 0, &m, &small), LINFDIST_ERROR_INVALID_ARGUMENT, "second");
    assert_true(m.data == NULL && m.name == NULL); /* not written before second was refused */
    FAILS(linfdist_optimizer_get_step(t.optimizer, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "step");
    assert_null(none);
    linfdist_optimizer_destroy(NULL);
    free_trainer(&t);
}

static linfdist_status create_once(linfdist_context *scripted, scripted_memory *memory, long failing) {
    linfdist_model *model = net_mlp(scripted, 2, 3, 3, 2, 1);
    linfdist_optimizer *optimizer = NULL;
    memory->failing_call = memory->calls + failing;
    linfdist_status status = linfdist_optimizer_create_adam(model, NULL, &optimizer);
    assert_true(status == (optimizer ? LINFDIST_OK : LINFDIST_ERROR_OUT_OF_MEMORY));
    linfdist_context_destroy(scripted);
    linfdist_model_destroy(model);
    linfdist_optimizer_destroy(optimizer);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    assert_true(fail_each_allocation(create_once) > 10);
}

/* ---- trainings ---- */

/* 20 steps, p from 8 through general powers to infinity. */
static trainer trained(const char *isa, int32_t threads) {
    linfdist_context *own = make_context(threads, isa);
    trainer t = make_trainer(own, 11);
    linfdist_context_destroy(own);
    for (uint32_t step = 0; step < 20; ++step) {
        float p = step < 17 ? 8.0f * powf(1.3f, (float)step) : INFINITY;
        train_step(&t, step, step < 4 ? 8.0f : p, 0.03);
    }
    return t;
}

static void expect_same_moments(const trainer *a, const trainer *b) {
    for (int64_t i = 0; i < 7; ++i) {
        linfdist_tensor m = {.struct_size = sizeof m}, v = m, om = m, ov = m;
        OK(linfdist_optimizer_get_moments(a->optimizer, i, &m, &v));
        OK(linfdist_optimizer_get_moments(b->optimizer, i, &om, &ov));
        if (!m.data) continue;
        size_t size = (size_t)(m.shape[0] * m.shape[1]) * sizeof(float);
        assert_memory_equal(m.data, om.data, size);
        assert_memory_equal(v.data, ov.data, size);
    }
}

/* The same bits on every instruction set and for every thread count. */
static void test_same_bits(void **state) {
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    trainer expected = trained("ref", 1);
    (void)state;
    for (size_t i = 0; i < LENGTH(isas); ++i) {
        if (!linfdist_isa_available(isas[i])) {
            print_message("%s: not on this machine\n", isas[i]);
            continue;
        }
        for (int32_t threads = 1; threads <= 3; ++threads) {
            trainer t = trained(isas[i], threads);
            assert_true(net_same(t.model, expected.model));
            expect_same_moments(&t, &expected);
            free_trainer(&t);
        }
    }
    free_trainer(&expected);
}

/* It learns: samples near one centre for each class are told apart after fifty steps. */
static void test_loss_falls(void **state) {
    trainer t = make_trainer(context, 11);
    float x[BATCH * N_IN], centres[CLASSES * N_IN];
    int32_t labels[BATCH];
    double first = 0.0, last = 0.0;
    (void)state;
    net_uniform(x, LENGTH(x), -0.2f, 0.2f, 3);
    net_uniform(centres, LENGTH(centres), -1.0f, 1.0f, 4);
    for (int b = 0; b < BATCH; ++b) {
        labels[b] = b % CLASSES;
        for (int i = 0; i < N_IN; ++i) x[b * N_IN + i] += centres[labels[b] * N_IN + i];
    }
    for (int step = 0; step < 50; ++step) {
        OK(linfdist_run_zero_gradients(t.run));
        OK(linfdist_forward(t.run, x, N_IN, BATCH, LINFDIST_TRAIN, 8));
        OK(net_mixture(t.run, labels, 0.1, 0.1, &last));
        if (step == 0) first = last;
        OK(linfdist_backward(t.run, NULL, 0));
        OK(linfdist_optimizer_step(t.optimizer, t.run, 0.03, 0.006));
    }
    assert_true(last < 0.5 * first);
    free_trainer(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_plain_adam), cmocka_unit_test(test_weight_decay),
        cmocka_unit_test(test_decay_of_layers),    cmocka_unit_test(test_refused_decays),
        cmocka_unit_test(test_first_step),         cmocka_unit_test(test_step_count),
        cmocka_unit_test(test_refused_steps),      cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_out_of_memory),      cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_loss_falls),
    };
    return cmocka_run_group_tests_name("optimizer", tests, setup, teardown);
}
