/* Several workers on one model: the sums they exchange, the step they take together, and every refusal. */
#define _POSIX_C_SOURCE 200809L /* barriers */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net_support.h"
#include "operator_support.h"

enum { N_IN = 6, WIDTH = 5, CLASSES = 3, BATCH = 9, WORKERS_MOST = 3, SUMS_MOST = 256 };

static linfdist_context *context;
static float inputs[BATCH * N_IN], lower[BATCH * N_IN], upper[BATCH * N_IN];
static const int32_t labels[BATCH] = {0, 1, 2, 0, 1, 2, 2, 1, 0};

static int setup(void **state) {
    (void)state;
    context = make_context(2, NULL);
    net_uniform(inputs, BATCH * N_IN, -1, 1, 3);
    for (int i = 0; i < BATCH * N_IN; ++i) lower[i] = inputs[i] - 0.05f, upper[i] = inputs[i] + 0.05f;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    linfdist_context_destroy(context);
    return 0;
}

/* ---- hooks that look, and fail when told to ---- */

typedef struct witness {
    int calls, fails_at; /* fails_at: the number of a call, from 1; 0: never */
    size_t counts[32];
    double samples, first; /* what the first call gets and what it makes of it, if not 0 */
} witness;

static int32_t seen(witness *w, size_t count) {
    assert_true(w->calls < 32);
    w->counts[w->calls++] = count;
    return w->calls == w->fails_at ? 7 : 0;
}

static int32_t witness_means(void *user, double *values, size_t count) {
    witness *w = user;
    if (w->calls == 0) {
        w->samples = values[0];
        if (w->first != 0) values[0] = w->first;
    }
    return seen(w, count);
}

static int32_t witness_gradients(void *user, float *values, size_t count) {
    (void)values;
    return seen(user, count);
}

static void watch(linfdist_run *run, witness *w) {
    const linfdist_run_hooks hooks = {sizeof hooks, witness_means, witness_gradients, w};
    OK(linfdist_run_set_hooks(run, &hooks));
}

static linfdist_model *small_mlp(void) {
    return net_mlp(context, 3, WIDTH, N_IN, CLASSES, 1);
}

static linfdist_run *training_run(linfdist_model *model) {
    linfdist_run *run = NULL;
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, BATCH, &run));
    return run;
}

static linfdist_status forward(linfdist_run *run, int32_t mode) {
    return linfdist_forward(run, inputs, N_IN, BATCH, mode, 8);
}

static void assert_counts(const witness *w, const size_t *counts, int calls) {
    assert_int_equal(w->calls, calls);
    for (int i = 0; i < calls; ++i) assert_int_equal(w->counts[i], counts[i]);
}

static void test_who_is_asked_and_when(void **state) {
    linfdist_model *model = small_mlp();
    linfdist_run *run = training_run(model);
    witness w = {0};
    (void)state;
    watch(run, &w);
    OK(forward(run, LINFDIST_TRAIN));
    assert_counts(&w, (const size_t[]){1, WIDTH, WIDTH}, 3);
    assert_true(w.samples == BATCH);
    OK(net_mixture(run, labels, 0.1, 0.5, NULL));
    assert_int_equal(w.calls, 3);
    w = (witness){0};
    OK(linfdist_backward(run, NULL, 0));
    assert_counts(&w, (const size_t[]){WIDTH, WIDTH}, 2);
    w = (witness){0};
    OK(linfdist_run_reduce_gradients(run));
    assert_counts(&w, (const size_t[]){WIDTH * N_IN, WIDTH * WIDTH, CLASSES * WIDTH, CLASSES, 1}, 5);
    w = (witness){0};
    OK(linfdist_run_zero_gradients(run));
    OK(forward(run, LINFDIST_EVALUATE));
    OK(net_mixture(run, labels, 0.1, 0.5, NULL));
    OK(linfdist_backward(run, NULL, 0));
    assert_int_equal(w.calls, 0);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
}

static void step(linfdist_run *run, linfdist_optimizer *optimizer) {
    OK(linfdist_run_zero_gradients(run));
    OK(forward(run, LINFDIST_TRAIN));
    OK(net_mixture(run, labels, 0.1, 0.5, NULL));
    OK(linfdist_backward(run, NULL, 0));
    OK(linfdist_run_reduce_gradients(run));
    OK(linfdist_optimizer_step(optimizer, run, 0.03, 0.01));
}

/* A worker that is alone, and hooks that were taken away again, change no bit. */
static void test_alone(void **state) {
    linfdist_model *models[3];
    witness w = {0};
    (void)state;
    for (int i = 0; i < 3; ++i) {
        models[i] = small_mlp();
        linfdist_run *run = training_run(models[i]);
        linfdist_optimizer *optimizer = NULL;
        OK(linfdist_optimizer_create_adam(models[i], NULL, &optimizer));
        if (i > 0) watch(run, &w);
        if (i > 1) OK(linfdist_run_set_hooks(run, NULL));
        for (int k = 0; k < 3; ++k) {
            w.calls = 0;
            step(run, optimizer);
            assert_int_equal(w.calls, i == 1 ? 10 : 0);
        }
        linfdist_optimizer_destroy(optimizer);
        linfdist_run_destroy(run);
    }
    assert_true(net_same(models[0], models[1]));
    assert_true(net_same(models[0], models[2]));
    for (int i = 0; i < 3; ++i) linfdist_model_destroy(models[i]);
}

/* Losses and their gradients are parts of the mean over all samples. */
static void test_parts_of_a_loss(void **state) {
    /* Without mean shift, so that both modes have the same outputs. */
    linfdist_model *model = net_mlp(context, 1, WIDTH, N_IN, CLASSES, 1);
    linfdist_run *run = training_run(model);
    witness w = {.first = 4 * BATCH};
    double whole, part;
    float *grad, *grad_scalar, kept[BATCH * CLASSES], kept_scalar;
    (void)state;
    OK(forward(run, LINFDIST_EVALUATE));
    OK(net_mixture(run, labels, 0.1, 0.5, &whole));
    OK(linfdist_run_output_gradients(run, &grad, &grad_scalar));
    memcpy(kept, grad, sizeof kept);
    kept_scalar = *grad_scalar;
    watch(run, &w);
    OK(forward(run, LINFDIST_TRAIN));
    OK(net_mixture(run, labels, 0.1, 0.5, &part));
    assert_true(part == whole / 4);
    OK(linfdist_run_output_gradients(run, &grad, &grad_scalar));
    for (int i = 0; i < BATCH * CLASSES; ++i) assert_true(grad[i] == kept[i] / 4);
    assert_true(*grad_scalar == kept_scalar / 4);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
}

/* ---- refusals ---- */

static void assert_zero_gradients(linfdist_run *run) {
    linfdist_tensor gradient = {.struct_size = sizeof gradient};
    OK(linfdist_run_find_gradient(run, "fc_dist.0.weight", &gradient));
    for (int i = 0; i < WIDTH * N_IN; ++i) assert_true(gradient.data[i] == 0);
    OK(linfdist_run_find_gradient(run, "fc_dist.2.weight", &gradient));
    for (int i = 0; i < CLASSES * WIDTH; ++i) assert_true(gradient.data[i] == 0);
}

static void test_a_forward_pass_that_is_refused(void **state) {
    linfdist_model *model = small_mlp(), *before = NULL;
    linfdist_run *run = training_run(model);
    const float *outputs;
    (void)state;
    witness w;
    net_disturb(model, 5);
    OK(linfdist_model_copy(model, &before));
    watch(run, &w);
    for (int call = 1; call <= 3; ++call) {
        w = (witness){.fails_at = call};
        FAILS(forward(run, LINFDIST_TRAIN), LINFDIST_ERROR_IO, "sum_means returned 7");
        assert_int_equal(w.calls, call);
        FAILS(linfdist_run_outputs(run, &outputs, NULL, NULL), LINFDIST_ERROR_STATE, "no forward pass");
        FAILS(linfdist_backward(run, NULL, 0), LINFDIST_ERROR_STATE, "forward pass of its own");
        assert_true(net_same(model, before));
    }
    const double no_sums[] = {BATCH - 1, NAN, INFINITY, -1};
    for (int i = 0; i < 4; ++i) {
        w = (witness){.first = no_sums[i]};
        FAILS(forward(run, LINFDIST_TRAIN), LINFDIST_ERROR_IO, "of the batch of 9 samples, which is no sum");
        assert_true(net_same(model, before));
    }
    w = (witness){0};
    OK(forward(run, LINFDIST_TRAIN)); /* the failures are forgotten */
    assert_false(net_same(model, before));
    linfdist_run_destroy(run);
    linfdist_model_destroy(before);
    linfdist_model_destroy(model);
}

static void test_gradients_that_are_refused(void **state) {
    linfdist_model *model = small_mlp();
    linfdist_run *run = training_run(model);
    linfdist_optimizer *optimizer = NULL;
    witness w = {0};
    (void)state;
    OK(linfdist_optimizer_create_adam(model, NULL, &optimizer));
    watch(run, &w);
    for (int call = 1; call <= 2 + 5; ++call) {
        const int reducing = call > 2;
        w = (witness){0};
        OK(forward(run, LINFDIST_TRAIN));
        OK(net_mixture(run, labels, 0.1, 0.5, NULL));
        w = (witness){.fails_at = call};
        if (reducing) {
            OK(linfdist_backward(run, NULL, 0));
            FAILS(linfdist_run_reduce_gradients(run), LINFDIST_ERROR_IO, "sum_gradients returned 7");
        } else {
            FAILS(linfdist_backward(run, NULL, 0), LINFDIST_ERROR_IO, "sum_means returned 7");
        }
        assert_int_equal(w.calls, call);
        assert_zero_gradients(run);
        FAILS(linfdist_run_reduce_gradients(run), LINFDIST_ERROR_STATE, "no backward pass");
    }
    linfdist_optimizer_destroy(optimizer);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
}

static void test_order(void **state) {
    linfdist_model *model = small_mlp();
    linfdist_run *run = training_run(model);
    linfdist_optimizer *optimizer = NULL;
    witness w = {0};
    (void)state;
    OK(linfdist_optimizer_create_adam(model, NULL, &optimizer));
    OK(forward(run, LINFDIST_TRAIN));
    watch(run, &w);
    FAILS(linfdist_backward(run, NULL, 0), LINFDIST_ERROR_STATE, "forward pass of its own");
    FAILS(linfdist_run_reduce_gradients(run), LINFDIST_ERROR_STATE, "no backward pass");
    for (int k = 0; k < 2; ++k) { /* gradients add up before they are reduced */
        OK(forward(run, LINFDIST_TRAIN));
        OK(linfdist_backward(run, NULL, 0));
        w.calls = 0;
    }
    FAILS(linfdist_optimizer_step(optimizer, run, 0.1, 0.1), LINFDIST_ERROR_STATE, "linfdist_run_reduce_gradients");
    OK(linfdist_run_reduce_gradients(run));
    FAILS(linfdist_run_reduce_gradients(run), LINFDIST_ERROR_STATE, "no backward pass");
    OK(linfdist_optimizer_step(optimizer, run, 0.1, 0.1));
    w.calls = 0;
    OK(forward(run, LINFDIST_TRAIN));
    FAILS(linfdist_backward(run, NULL, 0), LINFDIST_ERROR_STATE, "zero them first");
    OK(linfdist_run_zero_gradients(run));
    OK(linfdist_backward(run, NULL, 0));
    OK(linfdist_run_set_hooks(run, NULL));
    OK(linfdist_run_reduce_gradients(run));
    OK(linfdist_run_reduce_gradients(run));
    OK(linfdist_optimizer_step(optimizer, run, 0.1, 0.1));
    linfdist_optimizer_destroy(optimizer);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
}

static void test_arguments(void **state) {
    linfdist_model *model = small_mlp();
    linfdist_run *run = training_run(model), *inference = NULL;
    linfdist_run_hooks hooks = {sizeof hooks, witness_means, witness_gradients, NULL};
    (void)state;
    OK(linfdist_run_create(model, LINFDIST_RUN_INFERENCE, 1, &inference));
    expect_invalid(linfdist_run_set_hooks(NULL, &hooks), "run is NULL");
    FAILS(linfdist_run_set_hooks(inference, &hooks), LINFDIST_ERROR_STATE, "made for inference");
    FAILS(linfdist_run_reduce_gradients(inference), LINFDIST_ERROR_STATE, "made for inference");
    expect_invalid(linfdist_run_reduce_gradients(NULL), "run is NULL");
    hooks.sum_means = NULL;
    expect_invalid(linfdist_run_set_hooks(run, &hooks), "sum_means is NULL");
    hooks.sum_means = witness_means, hooks.sum_gradients = NULL;
    expect_invalid(linfdist_run_set_hooks(run, &hooks), "sum_gradients is NULL");
    hooks.struct_size = 8;
    expect_invalid(linfdist_run_set_hooks(run, &hooks), "hooks has struct_size 8");
    linfdist_run_destroy(inference);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
}

/* ---- workers on threads ---- */

/* Sums in the order of the workers, so that each gets the same bits. */
typedef struct group {
    int workers;
    pthread_barrier_t barrier;
    double slots[WORKERS_MOST][SUMS_MOST];
} group;

typedef linfdist_model *(*make_fn)(void);

typedef struct worker {
    group *others;
    int index, steps;
    int64_t first, count; /* its samples */
    int32_t kind;
    float p;
    linfdist_model *model;
    double losses[32];
} worker;

/* Ends the program, since the other threads would wait for ever. */
static void require(linfdist_status status) {
    if (status == LINFDIST_OK) return;
    fprintf(stderr, "a worker failed: %s\n", linfdist_last_error());
    exit(1);
}

static int32_t exchange_means(void *user, double *values, size_t count) {
    const worker *w = user;
    group *g = w->others;
    if (count > SUMS_MOST) return -1;
    memcpy(g->slots[w->index], values, count * sizeof *values);
    pthread_barrier_wait(&g->barrier);
    for (size_t i = 0; i < count; ++i) {
        values[i] = 0;
        for (int k = 0; k < g->workers; ++k) values[i] += g->slots[k][i];
    }
    pthread_barrier_wait(&g->barrier);
    return 0;
}

static int32_t exchange_gradients(void *user, float *values, size_t count) {
    double wide[SUMS_MOST];
    if (count > SUMS_MOST) return -1;
    for (size_t i = 0; i < count; ++i) wide[i] = (double)values[i];
    const int32_t status = exchange_means(user, wide, count);
    for (size_t i = 0; i < count; ++i) values[i] = (float)wide[i];
    return status;
}

static void pass(const worker *w, linfdist_run *run) {
    const int64_t from = w->first * N_IN;
    if (w->kind == LINFDIST_RUN_TRAINING)
        require(linfdist_forward(run, inputs + from, N_IN, w->count, LINFDIST_TRAIN, w->p));
    else
        require(
            linfdist_forward_intervals(run, inputs + from, lower + from, upper + from, N_IN, w->count, LINFDIST_TRAIN));
}

static void *work(void *data) {
    worker *w = data;
    const linfdist_run_hooks hooks = {sizeof hooks, exchange_means, exchange_gradients, w};
    linfdist_run *run;
    linfdist_optimizer *optimizer;
    linfdist_loss loss;
    linfdist_adam_options adam;
    require(linfdist_adam_options_init(&adam, sizeof adam));
    adam.epsilon = 1e-3; /* far above the rounding of a gradient, which a smaller one would divide by itself */
    require(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_MIXTURE));
    require(linfdist_run_create(w->model, w->kind, w->count, &run));
    require(linfdist_optimizer_create_adam(w->model, &adam, &optimizer));
    if (w->others) require(linfdist_run_set_hooks(run, &hooks));
    for (int k = 0; k < w->steps; ++k) {
        require(linfdist_run_zero_gradients(run));
        pass(w, run);
        require(linfdist_run_loss(run, &loss, labels + w->first, 0.2, 0.5, &w->losses[k]));
        require(linfdist_backward(run, NULL, 0));
        require(linfdist_run_reduce_gradients(run));
        require(linfdist_optimizer_step(optimizer, run, 0.01, 0.01));
    }
    linfdist_optimizer_destroy(optimizer);
    linfdist_run_destroy(run);
    return NULL;
}

/* Trains on parts of the batch, each on a thread. */
static void work_together(worker *workers, int count, const int64_t *parts, const worker *like, make_fn make) {
    group g = {.workers = count};
    pthread_t threads[WORKERS_MOST];
    int64_t first = 0;
    assert_int_equal(pthread_barrier_init(&g.barrier, NULL, (unsigned)count), 0);
    for (int i = 0; i < count; ++i) {
        workers[i] = *like;
        workers[i].others = &g, workers[i].index = i, workers[i].model = make();
        workers[i].first = first, workers[i].count = parts[i];
        first += parts[i];
    }
    assert_int_equal(first, BATCH);
    for (int i = 0; i < count; ++i) assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    for (int i = 0; i < count; ++i) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&g.barrier);
}

static double largest_difference(linfdist_model *a, linfdist_model *b) {
    linfdist_model_info info = {.struct_size = sizeof info};
    double largest = 0;
    OK(linfdist_model_get_info(a, &info));
    for (int64_t i = 0; i < info.tensors; ++i) {
        linfdist_tensor left = {.struct_size = sizeof left}, right = left;
        OK(linfdist_model_get_tensor(a, i, &left));
        OK(linfdist_model_get_tensor(b, i, &right));
        for (int64_t k = 0; k < left.shape[0] * left.shape[1]; ++k)
            largest = fmax(largest, fabs((double)left.data[k] - (double)right.data[k]));
    }
    return largest;
}

/* The workers' models have the same bits, and one worker's on the whole batch up to rounding. */
static void compare(const worker *like, make_fn make) {
    static const int64_t parts[][WORKERS_MOST] = {{5, 4}, {1, 8}, {4, 2, 3}};
    worker alone = *like, workers[WORKERS_MOST];
    alone.model = make(), alone.count = BATCH;
    (void)work(&alone);
    for (int i = 0; i < 3; ++i) {
        const int count = parts[i][2] > 0 ? 3 : 2;
        work_together(workers, count, parts[i], like, make);
        for (int k = 1; k < count; ++k) assert_true(net_same(workers[0].model, workers[k].model));
        const double difference = largest_difference(alone.model, workers[0].model);
        assert_true(difference < 1e-5);
        for (int k = 0; k < like->steps; ++k) {
            double loss = 0;
            for (int j = 0; j < count; ++j) loss += workers[j].losses[k];
            expect_near(loss, alone.losses[k], 1e-6);
        }
        for (int k = 0; k < count; ++k) linfdist_model_destroy(workers[k].model);
    }
    linfdist_model_destroy(alone.model);
}

static linfdist_model *small_hybrid(void) {
    linfdist_hybrid_options options;
    linfdist_model *model = NULL;
    require(linfdist_hybrid_options_init(&options, sizeof options));
    options.height = 1, options.width_px = N_IN, options.classes = CLASSES;
    options.depth = 4, options.width = WIDTH, options.hidden = 4;
    require(linfdist_model_create_hybrid(context, &options, &model));
    return model;
}

static void test_workers_take_the_step_of_one(void **state) {
    (void)state;
    compare(&(worker){.steps = 20, .kind = LINFDIST_RUN_TRAINING, .p = 8}, small_mlp);
    compare(&(worker){.steps = 20, .kind = LINFDIST_RUN_TRAINING, .p = INFINITY}, small_mlp);
    compare(&(worker){.steps = 20, .kind = LINFDIST_RUN_TRAINING, .p = 40}, small_hybrid);
    compare(&(worker){.steps = 20, .kind = LINFDIST_RUN_INTERVAL_TRAINING, .p = INFINITY}, small_hybrid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_asked_and_when),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_parts_of_a_loss),
        cmocka_unit_test(test_a_forward_pass_that_is_refused),
        cmocka_unit_test(test_gradients_that_are_refused),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_workers_take_the_step_of_one),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
