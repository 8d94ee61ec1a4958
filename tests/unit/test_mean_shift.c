/* Mean shift against plain sums in double, initial weights, and every refusal. */
#include "operator_support.h"

/* ---- mean shift -------------------------------------------------------------------------------------------------- */

enum { BATCH = 7, CHANNELS = 130, POSITIONS = 3, ELEMENTS = BATCH * CHANNELS * POSITIONS };

static size_t at(int b, int c, int i) {
    return (size_t)((b * CHANNELS + c) * POSITIONS + i);
}

static double channel_mean(const float *x, int c) {
    double sum = 0;
    for (int b = 0; b < BATCH; ++b)
        for (int i = 0; i < POSITIONS; ++i) sum += (double)x[at(b, c, i)];
    return sum / (BATCH * POSITIONS);
}

static void test_mean_shift(void **state) {
    (void)state;
    static float x[3][ELEMENTS], y[3][ELEMENTS], grad_x[ELEMENTS];
    float running[CHANNELS];
    for (int32_t threads = 1; threads <= 3; ++threads)
        for (int32_t mode = LINFDIST_EVALUATE; mode <= LINFDIST_TRAIN; ++mode) {
            linfdist_context *context = make_context(threads, NULL);
            for (int k = 0; k < 3; ++k) test_fill(x[k], ELEMENTS, (uint64_t)k);
            for (int c = 0; c < CHANNELS; ++c) running[c] = (float)c / 8;
            expect_ok(linfdist_mean_shift_forward(context, BATCH, CHANNELS, POSITIONS, mode, 0.1f, running, x[0], x[1],
                                                  x[2], y[0], y[1], y[2]));
            for (int c = 0; c < CHANNELS; ++c) {
                const double mean = channel_mean(x[0], c), moved = 0.9 * c / 8 + 0.1 * mean;
                const double shift = mode == LINFDIST_TRAIN ? mean : c / 8.0;
                expect_near((double)running[c], mode == LINFDIST_TRAIN ? moved : c / 8.0, 2e-6);
                for (int k = 0; k < 3; ++k)
                    expect_near((double)y[k][at(6, c, 2)], (double)x[k][at(6, c, 2)] - shift, 2e-6);
            }
            expect_ok(
                linfdist_mean_shift_backward(context, BATCH, CHANNELS, POSITIONS, mode, x[0], x[1], x[2], grad_x));
            for (int c = 0; c < CHANNELS; ++c) {
                double shift = 0;
                for (int k = 0; k < 3 && mode == LINFDIST_TRAIN; ++k) shift += channel_mean(x[k], c);
                for (int b = 0; b < BATCH; ++b)
                    expect_near((double)grad_x[at(b, c, 1)], (double)x[0][at(b, c, 1)] - shift, 1e-6);
            }
            linfdist_context_destroy(context);
        }
}

static void test_mean_shift_in_place(void **state) {
    (void)state;
    static float x[ELEMENTS], y[ELEMENTS], same[ELEMENTS];
    float running[CHANNELS] = {0}, running_same[CHANNELS] = {0};
    linfdist_context *context = make_context(2, NULL);
    test_fill(x, ELEMENTS, 1);
    memcpy(same, x, sizeof x);
    expect_ok(linfdist_mean_shift_forward(context, BATCH, CHANNELS, POSITIONS, LINFDIST_TRAIN, 0.1f, running, x, NULL,
                                          NULL, y, NULL, NULL));
    expect_ok(linfdist_mean_shift_forward(context, BATCH, CHANNELS, POSITIONS, LINFDIST_TRAIN, 0.1f, running_same, same,
                                          NULL, NULL, same, NULL, NULL));
    assert_memory_equal(same, y, sizeof y);
    assert_memory_equal(running, running_same, sizeof running);
    memcpy(same, x, sizeof x);
    expect_ok(linfdist_mean_shift_backward(context, BATCH, CHANNELS, POSITIONS, LINFDIST_TRAIN, x, NULL, NULL, y));
    expect_ok(
        linfdist_mean_shift_backward(context, BATCH, CHANNELS, POSITIONS, LINFDIST_TRAIN, same, NULL, NULL, same));
    assert_memory_equal(same, y, sizeof y);
    linfdist_context_destroy(context);
}

static void test_mean_shift_errors(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    float x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {0}, running[3] = {0};
    const int32_t train = LINFDIST_TRAIN;
#define FORWARD(batch, channels, positions, mode, momentum)                                                            \
    linfdist_mean_shift_forward(context, batch, channels, positions, mode, momentum, running, x, NULL, NULL, y, NULL,  \
                                NULL)
    expect_invalid(FORWARD(0, 3, 1, train, 0.1f), "0 x 3");
    expect_invalid(FORWARD(2, 0, 1, train, 0.1f), "0 x 1");
    expect_invalid(FORWARD(2, 3, -1, train, 0.1f), "3 x -1");
    expect_invalid(FORWARD(2, INT64_MAX, 3, train, 0.1f), "more than memory can hold");
    expect_invalid(FORWARD(INT64_MAX, 3, 1, train, 0.1f), "more than memory can hold");
    expect_invalid(FORWARD(2, 3, 1, 2, 0.1f), "mode is 2");
    expect_invalid(FORWARD(2, 3, 1, train, -0.1f), "momentum is -0.1");
    expect_invalid(FORWARD(2, 3, 1, train, NAN), "momentum is nan");
    x[4] = NAN, expect_error(FORWARD(2, 3, 1, train, 0.1f), LINFDIST_ERROR_NOT_FINITE, "x is nan at row 1, column 1");
    x[4] = 5, running[2] = INFINITY;
    expect_error(FORWARD(2, 3, 1, train, 0.1f), LINFDIST_ERROR_NOT_FINITE, "running_mean is inf at row 0, column 2");
    running[2] = 0;
#undef FORWARD
#define WITH(context, running, x, x_lower, x_upper, y, y_lower, y_upper)                                               \
    linfdist_mean_shift_forward(context, 2, 3, 1, train, 0, running, x, x_lower, x_upper, y, y_lower, y_upper)
    expect_invalid(WITH(NULL, running, x, NULL, NULL, y, NULL, NULL), "context is NULL");
    expect_invalid(WITH(context, NULL, x, NULL, NULL, y, NULL, NULL), "running_mean is NULL");
    expect_invalid(WITH(context, running, NULL, NULL, NULL, y, NULL, NULL), "x is NULL");
    expect_invalid(WITH(context, running, x, NULL, NULL, NULL, NULL, NULL), "y is NULL");
    expect_invalid(WITH(context, running, x, x, NULL, y, y, y), "x_upper is NULL");
    expect_invalid(WITH(context, running, x, x, x, y, NULL, y), "y_lower is NULL");
    expect_invalid(WITH(context, running, x, x, x, y, NULL, NULL), "y_lower is NULL");
#undef WITH
    expect_invalid(linfdist_mean_shift_backward(NULL, 2, 3, 1, train, x, NULL, NULL, y), "context is NULL");
    expect_invalid(linfdist_mean_shift_backward(context, 2, 3, 1, train, NULL, NULL, NULL, y), "grad_y is NULL");
    expect_invalid(linfdist_mean_shift_backward(context, 2, 3, 1, train, x, NULL, NULL, NULL), "grad_x is NULL");
    expect_invalid(linfdist_mean_shift_backward(context, 2, 3, 1, train, x, x, NULL, y), "grad_y_upper is NULL");
    x[0] = NAN;
    expect_error(linfdist_mean_shift_backward(context, 2, 3, 1, train, x, NULL, NULL, y), LINFDIST_ERROR_NOT_FINITE,
                 "grad_y is nan");
    for (int i = 0; i < 6; ++i) assert_true(y[i] == 0);
    linfdist_context_destroy(context);
}

/* ---- initial weights --------------------------------------------------------------------------------------------- */

static void test_weights_init(void **state) {
    (void)state;
    enum { OUT = 12, PER_GROUP = 3, KERNEL_H = 3, KERNEL_W = 2, COLUMNS = PER_GROUP * KERNEL_H * KERNEL_W };
    float plain[OUT * COLUMNS], w[OUT * COLUMNS], other[OUT * COLUMNS];
    expect_ok(linfdist_distance_weights_init(5, OUT, PER_GROUP, 2, KERNEL_H, KERNEL_W, 1, 0, plain));
    expect_ok(linfdist_distance_weights_init(5, OUT, PER_GROUP, 2, KERNEL_H, KERNEL_W, 1, 10, w));
    expect_ok(linfdist_distance_weights_init(6, OUT, PER_GROUP, 2, KERNEL_H, KERNEL_W, 1, 0, other));
    assert_true(memcmp(plain, other, sizeof plain) != 0);
    for (int j = 0; j < OUT; ++j)
        for (int c = 0; c < COLUMNS; ++c) {
            const int centre = j % PER_GROUP * KERNEL_H * KERNEL_W + 1 * KERNEL_W + 1;
            const float want = c == centre ? -10 : plain[j * COLUMNS + c];
            assert_true(w[j * COLUMNS + c] == want);
        }
    /* Fewer outputs than inputs: no identity. */
    expect_ok(linfdist_distance_weights_init(5, OUT, PER_GROUP, 6, KERNEL_H, KERNEL_W, 1, 10, w));
    assert_memory_equal(w, plain, sizeof plain);
    expect_ok(linfdist_distance_weights_init(5, OUT, COLUMNS, 1, 1, 1, 0.5f, 10, w));
    for (int i = 0; i < OUT * COLUMNS; ++i) assert_true(w[i] == 0.5f * plain[i]);
    expect_ok(linfdist_distance_weights_init(5, OUT, COLUMNS, 1, 1, 1, 0, 0, w));
    for (int i = 0; i < OUT * COLUMNS; ++i) assert_true(w[i] == 0);
}

static void test_weights_init_errors(void **state) {
    (void)state;
    float w[4] = {CANARY, CANARY, CANARY, CANARY};
    expect_invalid(linfdist_distance_weights_init(1, 2, 2, 1, 1, 1, 1, 0, NULL), "w is NULL");
    expect_invalid(linfdist_distance_weights_init(1, 0, 2, 1, 1, 1, 1, 0, w), "w is 0 x 2");
    expect_invalid(linfdist_distance_weights_init(1, 2, 0, 1, 1, 1, 1, 0, w), "channels_per_group");
    expect_invalid(linfdist_distance_weights_init(1, 2, 2, 0, 1, 1, 1, 0, w), "groups is 0");
    expect_invalid(linfdist_distance_weights_init(1, 3, 2, 2, 1, 1, 1, 0, w), "groups is 2, must divide n_out = 3");
    expect_invalid(linfdist_distance_weights_init(1, 2, 2, 1, 0, 1, 1, 0, w), "kernel_h x kernel_w is 0 x 1");
    expect_invalid(linfdist_distance_weights_init(1, 2, 2, 1, 1, -1, 1, 0, w), "kernel_h x kernel_w is 1 x -1");
    expect_invalid(linfdist_distance_weights_init(1, INT64_MAX, 2, 1, 1, 1, 1, 0, w), "more than memory can hold");
    expect_invalid(linfdist_distance_weights_init(1, 2, INT64_MAX / 16, 1, 3, 1, 1, 0, w), "more than memory can hold");
    expect_invalid(linfdist_distance_weights_init(1, 2, 2, 1, 1, 1, -1, 0, w), "std is -1");
    expect_invalid(linfdist_distance_weights_init(1, 2, 2, 1, 1, 1, NAN, 0, w), "std is nan");
    expect_invalid(linfdist_distance_weights_init(1, 2, 2, 1, 1, 1, 1, INFINITY, w), "identity_value is inf");
    for (int i = 0; i < 4; ++i) assert_true(w[i] == CANARY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mean_shift),          cmocka_unit_test(test_mean_shift_in_place),
        cmocka_unit_test(test_mean_shift_errors),   cmocka_unit_test(test_weights_init),
        cmocka_unit_test(test_weights_init_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
