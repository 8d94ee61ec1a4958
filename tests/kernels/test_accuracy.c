/* The reference kernels against plain double loops (the other instruction sets have the reference's bits). Stated
 * bounds, relative: forward 1e-6 + n 2^-24 / p, gradients 1e-6 + 4e-7 p of the largest; what the cuts drop included. */
#include "../../lib/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static uint64_t state_of_random = 3;

static float uniform(void) {
    state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state_of_random >> 40) / 16777216.0 - 0.5);
}

static double exact_distance(size_t n, const float *x, const float *w, double p) {
    double maximum = 0.0, sum = 0.0;
    for (size_t i = 0; i < n; ++i) maximum = fmax(maximum, fabs((double)x[i] - w[i]));
    for (size_t i = 0; i < n && maximum > 0.0; ++i) sum += pow(fabs((double)x[i] - w[i]) / maximum, p);
    return maximum * pow(sum, 1.0 / p);
}

enum { BATCH = 3, N_OUT = 5, LARGEST = 2000 };
static const float powers[] = {1.0f, 1.01f, 1.5f,  2.0f,  3.0f,  5.0f,   7.0f,   8.0f,   8.5f,
                               9.5f, 10.0f, 20.0f, 30.0f, 50.0f, 100.0f, 200.0f, 1000.0f};
static const float scales[] = {1.0f, 1e-6f, 1e6f, 1e-30f, 1e29f};
static const size_t sizes[] = {1, 2, 30, 784, LARGEST};

typedef void check(size_t n, float p, const float *x, const float *w);

static void for_all(check *what) {
    static float x[BATCH * LARGEST], w[N_OUT * LARGEST];
    for (size_t s = 0; s < sizeof scales / sizeof *scales; ++s)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; ++k)
            for (size_t j = 0; j < sizeof powers / sizeof *powers; ++j) {
                for (size_t i = 0; i < BATCH * sizes[k]; ++i) x[i] = uniform() * scales[s];
                for (size_t i = 0; i < N_OUT * sizes[k]; ++i) w[i] = uniform() * scales[s];
                what(sizes[k], powers[j], x, w);
            }
}

static void check_forward(size_t n, float p, const float *x, const float *w) {
    lfd_shape shape = {BATCH, n, N_OUT, n, n, N_OUT};
    lfd_power power;
    float y[BATCH * N_OUT];
    double bound = 1e-6 + (double)n * 0x1p-24 / p;
    lfd_power_init_forward(&power, p, n);
    lfd_kernels_for(LFD_ISA_REF)->lp_forward(&shape, &power, x, w, y);
    for (size_t b = 0; b < BATCH; ++b)
        for (size_t o = 0; o < N_OUT; ++o) {
            double want = exact_distance(n, x + b * n, w + o * n, p), got = y[b * N_OUT + o];
            if (!(fabs(got - want) <= bound * want))
                fail_msg("n %zu p %g: distance %g, exactly %g, error %g", n, (double)p, got, want, got / want - 1.0);
        }
}

static void check_backward(size_t n, float p, const float *x, const float *w) {
    static float grad_x[BATCH * LARGEST], grad_w[N_OUT * LARGEST];
    lfd_shape shape = {BATCH, n, N_OUT, n, n, N_OUT};
    lfd_power power;
    float y[BATCH * N_OUT], grad_y[BATCH * N_OUT];
    lfd_power_init_forward(&power, p, n);
    lfd_power_init_backward(&power, p);
    lfd_kernels_for(LFD_ISA_REF)->lp_forward(&shape, &power, x, w, y);
    for (size_t i = 0; i < BATCH * N_OUT; ++i) grad_y[i] = uniform();
    for (size_t i = 0; i < BATCH * n; ++i) grad_x[i] = 0.0f;
    for (size_t i = 0; i < N_OUT * n; ++i) grad_w[i] = 0.0f;
    lfd_kernels_for(LFD_ISA_REF)->lp_backward(&shape, &power, x, w, y, grad_y, grad_x, grad_w);
    double bound = (1e-6 + 4e-7 * p) * N_OUT * 0.5;
    for (size_t b = 0; b < BATCH; ++b)
        for (size_t i = 0; i < n; ++i) {
            double want = 0.0;
            for (size_t o = 0; o < N_OUT; ++o) {
                double t = (double)x[b * n + i] - w[o * n + i], d = exact_distance(n, x + b * n, w + o * n, p);
                if (t != 0.0) want += grad_y[b * N_OUT + o] * copysign(pow(fabs(t) / d, (double)p - 1.0), t);
            }
            if (!(fabs(grad_x[b * n + i] - want) <= bound))
                fail_msg("n %zu p %g: gradient %g, exactly %g", n, (double)p, (double)grad_x[b * n + i], want);
        }
}

static void test_forward(void **state) {
    (void)state;
    for_all(check_forward);
}

/* Exact distances are slow in double: a smaller set of columns suffices, since every column has its own gradient. */
static void test_backward(void **state) {
    (void)state;
    static float x[BATCH * 64], w[N_OUT * 64];
    for (size_t s = 0; s < sizeof scales / sizeof *scales; ++s)
        for (size_t j = 0; j < sizeof powers / sizeof *powers; ++j) {
            for (size_t i = 0; i < BATCH * 64; ++i) x[i] = uniform() * scales[s];
            for (size_t i = 0; i < N_OUT * 64; ++i) w[i] = uniform() * scales[s];
            check_backward(64, powers[j], x, w);
        }
}

/* What the forward cut drops is below p 2^-24 of what it keeps, by the constants themselves. */
static void test_cuts(void **state) {
    (void)state;
    for (size_t j = 0; j < sizeof powers / sizeof *powers; ++j)
        for (size_t n = 1; n < 100000; n *= 3) {
            lfd_power power;
            lfd_power_init_forward(&power, powers[j], n);
            lfd_power_init_backward(&power, powers[j]);
            double largest_dropped = pow((double)power.forward.cut, powers[j]);
            assert_true((double)n * largest_dropped < powers[j] * 0x1p-24);
            double exponent = (double)powers[j] - 1.0;
            if (exponent >= 0.5) assert_true(pow((double)power.backward.cut, exponent) < 0x1.001p-34);
        }
}

/* x == w on a whole row: distance and gradient exactly 0. */
static void test_equal_rows(void **state) {
    (void)state;
    float x[33], grad_x[33] = {0}, grad_w[33] = {0}, y, grad_y = 1.0f;
    lfd_shape shape = {1, 33, 1, 33, 33, 1};
    for (size_t i = 0; i < 33; ++i) x[i] = uniform();
    for (size_t j = 0; j < sizeof powers / sizeof *powers; ++j) {
        lfd_power power;
        lfd_power_init_forward(&power, powers[j], 33);
        lfd_power_init_backward(&power, powers[j]);
        lfd_kernels_for(LFD_ISA_REF)->lp_forward(&shape, &power, x, x, &y);
        assert_true(y == 0.0f);
        lfd_kernels_for(LFD_ISA_REF)->lp_backward(&shape, &power, x, x, &y, &grad_y, grad_x, grad_w);
        for (size_t i = 0; i < 33; ++i) assert_true(grad_x[i] == 0.0f && grad_w[i] == 0.0f);
    }
}

/* One term: y is |x - w| and the gradient +-1, exactly and nearly always, so that gradients that cancel leave nothing.
 */
static void test_one_term(void **state) {
    (void)state;
    enum { TRIALS = 1000 };
    const lfd_shape shape = {1, 1, 1, 1, 1, 1};
    for (size_t j = 0; j < sizeof powers / sizeof *powers; ++j) {
        lfd_power power;
        int exact = 0;
        lfd_power_init_forward(&power, powers[j], 1024);
        lfd_power_init_backward(&power, powers[j]);
        for (int i = 0; i < TRIALS; ++i) {
            const float x = uniform() * 8.0f, w = uniform() * 8.0f, grad_y = 1.0f;
            float y, grad_x = 0.0f, grad_w = 0.0f;
            lfd_kernels_for(LFD_ISA_REF)->lp_forward(&shape, &power, &x, &w, &y);
            lfd_kernels_for(LFD_ISA_REF)->lp_backward(&shape, &power, &x, &w, &y, &grad_y, &grad_x, &grad_w);
            exact += y == fabsf(x - w) && fabsf(grad_x) == 1.0f && grad_w == -grad_x;
        }
        if (power.integer == 0 && exact < TRIALS * 99 / 100) fail_msg("p %g: exact %d times", (double)powers[j], exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forward), cmocka_unit_test(test_backward),
                                       cmocka_unit_test(test_cuts), cmocka_unit_test(test_equal_rows),
                                       cmocka_unit_test(test_one_term)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
