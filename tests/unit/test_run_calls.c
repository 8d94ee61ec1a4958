/* Runs from outside: calls out of order, what is refused, memory that runs out, many threads. */
#include <math.h>
#include <pthread.h>

#include "file_support.h"
#include "run_support.h"

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
    (void)state;
    assert_true(fail_each_allocation(train_and_infer) > 30);
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
        cmocka_unit_test(test_states),       cmocka_unit_test(test_bad_arguments), cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_huge_batches), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("run calls", tests, setup, teardown);
}
