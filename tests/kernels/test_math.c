/* The library's own transcendentals against long double: the error bounds that math.h promises. */
#include "../../lib/math.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static uint64_t state_of_random = 7;

static double uniform(double low, double high) {
    state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(state_of_random >> 11) * 0x1p-53;
}

/* |got - want| in units of want's last place. */
static double ulps(double got, long double want) {
    int exponent;
    frexpl(want, &exponent);
    return (double)(fabsl((long double)got - want) / ldexpl(1.0L, exponent - 53));
}

enum { SAMPLES = 200000 };
static const long double PI = 3.14159265358979323846264338327950288L;

static void test_exp(void **state) {
    (void)state;
    for (int i = 0; i < SAMPLES; ++i) {
        double x = uniform(-708.0, 709.0), y = uniform(-1022.0, 1023.0), z = uniform(-1.0, 1.0);
        assert_true(ulps(lfd_exp(x), expl(x)) < 2.0);
        assert_true(ulps(lfd_exp(z), expl(z)) < 2.0);
        assert_true(ulps(lfd_exp2(y), exp2l(y)) < 2.0);
    }
}

static void test_log(void **state) {
    (void)state;
    for (int i = 0; i < SAMPLES; ++i) {
        double x = ldexp(uniform(1.0, 2.0), (int)uniform(-1022.0, 1023.0)), near_one = uniform(0.5, 2.0);
        assert_true(ulps(lfd_log(x), logl(x)) < 4.0);
        assert_true(ulps(lfd_log(near_one), logl(near_one)) < 4.0);
        assert_true(ulps(lfd_log2(x), log2l(x)) < 4.0);
        assert_true(ulps(lfd_log2(near_one), log2l(near_one)) < 4.0);
    }
}

/* Absolute error, in units of 2^-53. */
static void test_trigonometry(void **state) {
    (void)state;
    for (int i = 0; i < SAMPLES; ++i) {
        double x = uniform(-8.0, 8.0);
        assert_true(fabsl((long double)lfd_cospi(x) - cosl(PI * (long double)x)) < 2.0L * 0x1p-53L);
    }
    for (int n = -4; n <= 4; ++n) {
        assert_true(lfd_cospi(n) == (n % 2 == 0 ? 1.0 : -1.0));
        assert_true(lfd_cospi(n + 0.5) == 0.0);
    }
}

static void test_pow(void **state) {
    (void)state;
    for (int i = 0; i < SAMPLES; ++i) {
        double x = uniform(1e-4, 1e4), y = uniform(-4.0, 4.0);
        double bound = 4.0 + fabs(y * log2(x)) * 4.0; /* the exponent's own rounding */
        assert_true(ulps(lfd_pow(x, y), powl(x, y)) < bound);
    }
}

static void test_tanh(void **state) {
    (void)state;
    for (int i = 0; i < SAMPLES; ++i) {
        double x = uniform(-20.0, 20.0), y = uniform(-1.0, 1.0), z = ldexp(y, (int)uniform(-120.0, 0.0));
        assert_true(ulps(lfd_tanh(x), tanhl(x)) < 6.0);
        assert_true(ulps(lfd_tanh(y), tanhl(y)) < 6.0);
        assert_true(ulps(lfd_tanh(z), tanhl(z)) < 6.0);
        assert_true(lfd_tanh(-x) == -lfd_tanh(x));
    }
}

static float next_float(float x) {
    return nextafterf(x, INFINITY);
}

/* Runs of neighbouring floats: in every binade, where the two formulas meet, and where results become 1. */
static void test_tanh_is_monotone(void **state) {
    enum { RUN = 20000 };
    (void)state;
    float starts[170];
    size_t count = 0;
    for (int e = -149; e <= 3; ++e) starts[count++] = ldexpf(1.0f, e);
    starts[count++] = 0.5f - RUN / 2 * 0x1p-25f;
    for (float x = 8.0f; x < 9.1f; x += 0.1f) starts[count++] = x;
    for (size_t i = 0; i < count; ++i) {
        float x = starts[i], y = (float)lfd_tanh((double)x);
        for (int n = 0; n < RUN; ++n) {
            const float x_next = next_float(x), y_next = (float)lfd_tanh((double)x_next);
            assert_true(y_next >= y && y_next <= 1.0f);
            x = x_next;
            y = y_next;
        }
    }
}

static void test_corners(void **state) {
    (void)state;
    assert_true(lfd_exp(0.0) == 1.0 && lfd_exp2(0.0) == 1.0 && lfd_log(1.0) == 0.0 && lfd_log2(1.0) == 0.0);
    assert_true(lfd_exp2(10.0) == 1024.0 && lfd_log2(0x1p-1074) == -1074.0 && lfd_log2(8.0) == 3.0);
    assert_true(lfd_exp(-INFINITY) == 0.0 && isinf(lfd_exp(INFINITY)) && isinf(lfd_exp2(1024.0)));
    assert_true(isnan(lfd_exp((double)NAN)) && isnan(lfd_exp2((double)NAN)));
    assert_true(lfd_exp2(-1074.0) == 0x1p-1074 && lfd_exp2(-1100.0) == 0.0);
    assert_true(lfd_pow(0.0, 2.0) == 0.0 && lfd_pow(5.0, 0.0) == 1.0 && lfd_pow(1.0, 1e300) == 1.0);
    assert_true(lfd_tanh(0.0) == 0.0 && !signbit(lfd_tanh(0.0)) && signbit(lfd_tanh(-0.0)) &&
                isnan(lfd_tanh((double)NAN)));
    assert_true(lfd_tanh(1e30) == 1.0 && lfd_tanh(-INFINITY) == -1.0 && lfd_tanh(0x1p-149) == 0x1p-149);
    assert_true(lfd_sqrt(2.0) == sqrt(2.0) && lfd_sqrtf(2.0f) == sqrtf(2.0f));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exp),          cmocka_unit_test(test_log),
                                       cmocka_unit_test(test_trigonometry), cmocka_unit_test(test_pow),
                                       cmocka_unit_test(test_tanh),         cmocka_unit_test(test_tanh_is_monotone),
                                       cmocka_unit_test(test_corners)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
