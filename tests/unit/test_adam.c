/* Adam on plain arrays against its formula in double, on any number of threads, and every refusal. */
#include "operator_support.h"

enum { COUNT = 40000, STEPS = 12 };

static void test_formula(void **state) {
    (void)state;
    enum { N = 37 };
    linfdist_context *context = make_context(1, NULL);
    linfdist_adam_options options;
    float w[N], m[N] = {0}, v[N] = {0};
    double plain_w[N], plain_m[N] = {0}, plain_v[N] = {0};
    expect_ok(linfdist_adam_options_init(&options, sizeof options));
    assert_true(options.beta1 == 0.9 && options.beta2 == 0.99 && options.epsilon == 1e-10);
    options.beta1 = 0.8, options.beta2 = 0.95, options.epsilon = 1e-4;
    test_fill(w, N, 1);
    for (int i = 0; i < N; ++i) plain_w[i] = (double)w[i];
    for (int64_t step = 1; step <= STEPS; ++step) {
        float g[N];
        test_fill(g, N, (uint64_t)step);
        g[0] = 0;
        expect_ok(linfdist_adam_update(context, &options, N, step, 0.05, g, w, m, v));
        for (int i = 0; i < N; ++i) {
            const double gradient = (double)g[i];
            plain_m[i] = 0.8 * plain_m[i] + 0.2 * gradient;
            plain_v[i] = 0.95 * plain_v[i] + 0.05 * gradient * gradient;
            const double mean = plain_m[i] / (1 - pow(0.8, (double)step));
            const double square = plain_v[i] / (1 - pow(0.95, (double)step));
            plain_w[i] -= 0.05 * mean / (sqrt(square) + 1e-4);
            expect_near((double)m[i], plain_m[i], 1e-6);
            expect_near((double)v[i], plain_v[i], 1e-6);
            expect_near((double)w[i], plain_w[i], 2e-6);
        }
    }
    linfdist_context_destroy(context);
}

static void test_first_step_is_the_learning_rate(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    const float g[3] = {1e-4f, -2, 0};
    float w[3] = {0}, m[3] = {0}, v[3] = {0};
    expect_ok(linfdist_adam_update(context, NULL, 3, 1, 0.25, g, w, m, v));
    expect_near((double)w[0], -0.25, 1e-6);
    expect_near((double)w[1], 0.25, 1e-6);
    assert_true(w[2] == 0);
    expect_ok(linfdist_adam_update(context, NULL, 3, INT64_MAX, 0, g, w, m, v));
    linfdist_context_destroy(context);
}

static void test_same_bits_everywhere(void **state) {
    (void)state;
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    static float g[COUNT], w[COUNT], m[COUNT], v[COUNT], want[COUNT];
    for (int i = 0; i < 3; ++i)
        for (int32_t threads = 1; threads <= 3 && linfdist_isa_available(isas[i]); ++threads) {
            linfdist_context *context = make_context(threads, isas[i]);
            memset(m, 0, sizeof m), memset(v, 0, sizeof v);
            test_fill(w, COUNT, 9);
            for (int64_t step = 1; step <= 3; ++step) {
                test_fill(g, COUNT, (uint64_t)step);
                expect_ok(linfdist_adam_update(context, NULL, COUNT, step, 0.03, g, w, m, v));
            }
            if (i == 0 && threads == 1) memcpy(want, w, sizeof want);
            assert_memory_equal(w, want, sizeof want);
            linfdist_context_destroy(context);
        }
}

static void test_errors(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    linfdist_adam_options options;
    float g[2] = {1, 2}, w[2] = {3, 4}, m[2] = {0}, v[2] = {0};
#define UPDATE(options, n, step, lr) linfdist_adam_update(context, options, n, step, lr, g, w, m, v)
    expect_invalid(linfdist_adam_update(NULL, NULL, 2, 1, 0.1, g, w, m, v), "context is NULL");
    expect_invalid(linfdist_adam_update(context, NULL, 2, 1, 0.1, NULL, w, m, v), "gradient is NULL");
    expect_invalid(linfdist_adam_update(context, NULL, 2, 1, 0.1, g, NULL, m, v), "w is NULL");
    expect_invalid(linfdist_adam_update(context, NULL, 2, 1, 0.1, g, w, NULL, v), "m is NULL");
    expect_invalid(linfdist_adam_update(context, NULL, 2, 1, 0.1, g, w, m, NULL), "v is NULL");
    expect_invalid(UPDATE(NULL, 0, 1, 0.1), "gradient is 1 x 0");
    expect_invalid(UPDATE(NULL, INT64_MAX, 1, 0.1), "more than memory can hold");
    expect_invalid(UPDATE(NULL, 2, 0, 0.1), "step is 0");
    expect_invalid(UPDATE(NULL, 2, 1, -0.1), "lr is -0.1");
    expect_invalid(UPDATE(NULL, 2, 1, NAN), "lr is nan");
    expect_invalid(linfdist_adam_options_init(NULL, sizeof options), "options is NULL");
    expect_invalid(linfdist_adam_options_init(&options, 1), "struct_size 1");
#define REFUSE(field, value, text)                                                                                     \
    expect_ok(linfdist_adam_options_init(&options, sizeof options));                                                   \
    options.field = value;                                                                                             \
    expect_invalid(UPDATE(&options, 2, 1, 0.1), text)
    REFUSE(struct_size, 9, "struct_size 9");
    REFUSE(beta1, 1, "beta1 is 1");
    REFUSE(beta1, -0.1, "beta1 is -0.1");
    REFUSE(beta2, NAN, "beta2 is nan");
    REFUSE(epsilon, 0, "epsilon is 0");
    REFUSE(epsilon, 1e-60, "epsilon is 1e-60");
#undef REFUSE
#undef UPDATE
    assert_true(w[0] == 3 && w[1] == 4 && m[0] == 0 && v[0] == 0);
    linfdist_context_destroy(context);
}

static void test_unfit_numbers(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    float g[2] = {1, 2}, w[2] = {3, 4}, m[2] = {0}, v[2] = {0};
#define REFUSE(array, value, status, text)                                                                             \
    do {                                                                                                               \
        const float before = array[1];                                                                                 \
        array[1] = value;                                                                                              \
        expect_error(linfdist_adam_update(context, NULL, 2, 1, 0.1, g, w, m, v), status, text);                        \
        array[1] = before;                                                                                             \
    } while (0)
    REFUSE(g, NAN, LINFDIST_ERROR_NOT_FINITE, "gradient is nan at row 0, column 1");
    REFUSE(g, 0x1.000002p49f, LINFDIST_ERROR_NOT_FINITE, "must be finite and at most 2^49");
    REFUSE(w, INFINITY, LINFDIST_ERROR_NOT_FINITE, "w is inf");
    REFUSE(m, -INFINITY, LINFDIST_ERROR_NOT_FINITE, "m is -inf");
    REFUSE(v, NAN, LINFDIST_ERROR_NOT_FINITE, "v is nan");
    REFUSE(v, -1, LINFDIST_ERROR_RANGE, "v is -1 at 1");
#undef REFUSE
    assert_true(w[0] == 3 && w[1] == 4 && m[0] == 0 && v[0] == 0);
    linfdist_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formula),
        cmocka_unit_test(test_first_step_is_the_learning_rate),
        cmocka_unit_test(test_same_bits_everywhere),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_unfit_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
