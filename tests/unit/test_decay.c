/* Weight decay: the l_p decay against its formula in double, on any number of threads; the plain one; every refusal. */
#include "operator_support.h"

#include <fenv.h>

enum { ROWS = 7, COLUMNS = 61 };

/* The formula as it is written, without scaling. */
static void plain_decay(const float *w, int n, double p, double rate, double *decayed) {
    double sum = 0;
    for (int i = 0; i < n; ++i) sum += pow(fabs((double)w[i]), p);
    const double norm = pow(sum, 1 / p);
    for (int i = 0; i < n; ++i) {
        const double factor = w[i] == 0 ? 0 : pow(fabs((double)w[i]) / norm, p - 2);
        decayed[i] = (double)w[i] - rate * factor * (double)w[i];
    }
}

/* Half a last place of the result and 1e-10 of the change. */
static void expect_decayed(float got, float before, double want) {
    expect_near((double)got, want, fabs(want) * 0x1p-24 + fabs(want - (double)before) * 1e-10);
}

static void test_formula(void **state) {
    (void)state;
    static const float ps[] = {1, 1.5f, 2, 2.0001f, 3, 8, 9.7f, 33, 100};
    linfdist_context *context = make_context(1, NULL);
    for (size_t k = 0; k < sizeof ps / sizeof ps[0]; ++k) {
        float w[ROWS * COLUMNS], before[ROWS * COLUMNS];
        double want[COLUMNS];
        test_fill(w, ROWS * COLUMNS, k + 1);
        for (int i = 0; i < COLUMNS; ++i) w[i] *= 100;
        w[5] = w[70] = 0;
        memcpy(before, w, sizeof w);
        expect_ok(linfdist_lp_decay(context, ROWS, COLUMNS, ps[k], 0.3, w));
        for (int r = 0; r < ROWS; ++r) {
            plain_decay(before + r * COLUMNS, COLUMNS, (double)ps[k], 0.3, want);
            for (int i = 0; i < COLUMNS; ++i) expect_decayed(w[r * COLUMNS + i], before[r * COLUMNS + i], want[i]);
        }
        assert_true(memcmp(w, before, sizeof w) != 0 && w[5] == 0 && w[70] == 0);
    }
    linfdist_context_destroy(context);
}

/* A large p, where the formula's powers leave the range of doubles: scaled by the largest entry. */
static void test_p_1000(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    const float before[5] = {0x1p90f, -0x1.ffcp89f, 0x1.fep89f, 0x1p80f, 0};
    float w[5];
    memcpy(w, before, sizeof w);
    expect_ok(linfdist_lp_decay(context, 1, 5, 1000, 0.5, w));
    double sum = 0;
    for (int i = 0; i < 5; ++i) sum += pow(fabs((double)before[i]) * 0x1p-90, 1000);
    const double norm = pow(sum, 1e-3);
    for (int i = 0; i < 5; ++i) {
        const double factor = pow(fabs((double)before[i]) * 0x1p-90 / norm, 998);
        expect_decayed(w[i], before[i], (double)before[i] * (1 - 0.5 * factor));
    }
    assert_true(w[0] < before[0] && w[1] > before[1] && w[3] == before[3] && w[4] == 0);
    linfdist_context_destroy(context);
}

static void test_infinity(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    float w[12] = {1, -4, 3, 4, 0.5f, 0.25f, -0.5f, 0, 0, 0, 0, 0};
    const float want[12] = {1, -3, 3, 4, 0.375f, 0.25f, -0.5f, 0, 0, 0, 0, 0};
    expect_ok(linfdist_lp_decay(context, 3, 4, INFINITY, 0.25, w));
    for (int i = 0; i < 12; ++i) assert_true(w[i] == want[i]);
    expect_ok(linfdist_lp_decay(context, 3, 4, INFINITY, 0, w));
    for (int i = 0; i < 12; ++i) assert_true(w[i] == want[i]);
    expect_ok(linfdist_lp_decay(context, 1, 4, 8, 1, w + 8)); /* a row of zeros */
    for (int i = 0; i < 12; ++i) assert_true(w[i] == want[i]);
    linfdist_context_destroy(context);
}

/* p = 2 and rows of one entry: the plain decay. */
static void test_plain(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    float w[COLUMNS], single[COLUMNS], before[COLUMNS];
    test_fill(before, COLUMNS, 3);
    memcpy(w, before, sizeof w);
    memcpy(single, before, sizeof single);
    expect_ok(linfdist_lp_decay(context, 1, COLUMNS, 2, 0.01, w));
    expect_ok(linfdist_lp_decay(context, COLUMNS, 1, 33, 0.01, single));
    for (int i = 0; i < COLUMNS; ++i) assert_true(w[i] == (float)((double)before[i] - 0.01 * (double)before[i]));
    assert_memory_equal(w, single, sizeof w);
    linfdist_context_destroy(context);
}

/* In linfdist_adam_update it comes before the step: the gradient 0 leaves it alone. */
static void test_in_adam(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    linfdist_adam_options options;
    const float g[3] = {0, 1, -1};
    expect_ok(linfdist_adam_options_init(&options, sizeof options));
    assert_true(options.weight_decay == 0 && options.decay == LINFDIST_DECAY_PLAIN);
    for (options.decay = LINFDIST_DECAY_PLAIN; options.decay <= LINFDIST_DECAY_LP; ++options.decay) {
        float w[3] = {4, 4, -4}, m[3] = {0}, v[3] = {0}, decayed[3] = {4, 4, -4}, m2[3] = {0}, v2[3] = {0};
        options.weight_decay = 0.25;
        expect_ok(linfdist_adam_update(context, &options, 3, 1, 0.5, g, w, m, v));
        expect_ok(linfdist_lp_decay(context, 1, 3, 2, 0.125, decayed));
        assert_true(w[0] == 3.5f && decayed[0] == 3.5f);
        expect_ok(linfdist_adam_update(context, NULL, 3, 1, 0.5, g, decayed, m2, v2));
        assert_memory_equal(w, decayed, sizeof w);
        assert_memory_equal(m, m2, sizeof m);
        assert_memory_equal(v, v2, sizeof v);
    }
    linfdist_context_destroy(context);
}

static void test_same_bits_everywhere(void **state) {
    (void)state;
    enum { MANY = 300, WIDE = 257 };
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    static const float ps[] = {1.3f, 2, 8, 57, INFINITY};
    static float w[MANY * WIDE], want[MANY * WIDE];
    for (size_t k = 0; k < sizeof ps / sizeof ps[0]; ++k)
        for (int i = 0; i < 3; ++i)
            for (int32_t threads = 1; threads <= 3 && linfdist_isa_available(isas[i]); ++threads) {
                linfdist_context *context = make_context(threads, isas[i]);
                test_fill(w, MANY * WIDE, 9);
                if (threads == 2) fesetround(FE_UPWARD);
                const linfdist_status status = linfdist_lp_decay(context, MANY, WIDE, ps[k], 0.1, w);
                fesetround(FE_TONEAREST);
                expect_ok(status);
                if (i == 0 && threads == 1) memcpy(want, w, sizeof want);
                assert_memory_equal(w, want, sizeof want);
                linfdist_context_destroy(context);
            }
}

static void test_errors(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    linfdist_adam_options options;
    float w[4] = {1, 2, 3, 4}, g[4] = {0}, m[4] = {0}, v[4] = {0};
    expect_invalid(linfdist_lp_decay(NULL, 2, 2, 8, 0.1, w), "context is NULL");
    expect_invalid(linfdist_lp_decay(context, 2, 2, 8, 0.1, NULL), "weights is NULL");
    expect_invalid(linfdist_lp_decay(context, 0, 2, 8, 0.1, w), "weights is 0 x 2");
    expect_invalid(linfdist_lp_decay(context, INT64_MAX, 2, 8, 0.1, w), "more than memory can hold");
    expect_invalid(linfdist_lp_decay(context, 2, 2, 0.5f, 0.1, w), "p is 0.5");
    expect_invalid(linfdist_lp_decay(context, 2, 2, NAN, 0.1, w), "p is nan");
    expect_invalid(linfdist_lp_decay(context, 2, 2, 8, -0.1, w), "rate is -0.1");
    expect_invalid(linfdist_lp_decay(context, 2, 2, 8, 1.5, w), "rate is 1.5");
    expect_invalid(linfdist_lp_decay(context, 2, 2, 8, NAN, w), "rate is nan");
    expect_ok(linfdist_adam_options_init(&options, sizeof options));
    options.weight_decay = 0.5;
    expect_invalid(linfdist_adam_update(context, &options, 4, 1, 3, g, w, m, v),
                   "lr is 3, with weight_decay 0.5 the decay's rate is above 1");
    options.weight_decay = -0.5;
    expect_invalid(linfdist_adam_update(context, &options, 4, 1, 1, g, w, m, v), "weight_decay is -0.5");
    options.weight_decay = 1.5;
    expect_invalid(linfdist_adam_update(context, &options, 4, 1, 0.1, g, w, m, v), "weight_decay is 1.5");
    options.weight_decay = 0.5, options.decay = 2;
    expect_invalid(linfdist_adam_update(context, &options, 4, 1, 1, g, w, m, v), "decay is 2");
    assert_true(w[0] == 1 && w[3] == 4);
    w[3] = INFINITY;
    expect_error(linfdist_lp_decay(context, 2, 2, 8, 0.1, w), LINFDIST_ERROR_NOT_FINITE,
                 "weights is inf at row 1, column 1");
    assert_true(w[0] == 1);
    linfdist_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formula), cmocka_unit_test(test_p_1000),  cmocka_unit_test(test_infinity),
        cmocka_unit_test(test_plain),   cmocka_unit_test(test_in_adam), cmocka_unit_test(test_same_bits_everywhere),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
