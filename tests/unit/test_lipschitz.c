/* Local Lipschitz estimates: exact where the constant is known, below it where only a bound is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file_support.h"
#include "net_support.h"
#include "pixel_support.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { N_IN = PIXEL_N_IN, CLASSES = PIXEL_CLASSES, SAMPLES = 70 }; /* more outputs than a chunk */

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

static linfdist_certifier *make_certifier(linfdist_context *from) {
    linfdist_certifier *certifier = NULL;
    linfdist_model *model = pixel_model(from, 5);
    OK(linfdist_certifier_create(model, &certifier));
    linfdist_model_destroy(model);
    return certifier;
}

static linfdist_lipschitz_options make_options(void) {
    linfdist_lipschitz_options options;
    OK(linfdist_lipschitz_options_init(&options, sizeof options));
    return options;
}

/* Inputs all at 1, weights 0, and 0 and 2 in turn: d = n^(1/p), and moving every input by eps, in the direction that is
 * the output's own, moves it by eps n^(1/p). A power of two for eps, so that little is lost in the difference. */
static void test_known_constant(void **state) {
    static const float list[] = {1.0f, 2.0f, 8.0f, 100.0f, INFINITY};
    const double mean = 0.0;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, 0.25, 0.0, 1.0};
    linfdist_model *model = net_mlp(context, 1, 1, 9, 2, 1);
    linfdist_certifier *c = NULL;
    linfdist_lipschitz_options options = make_options();
    float *weight = net_tensor(model, "fc_dist.0.weight").data, x[9], estimate[2];
    (void)state;
    for (int i = 0; i < 9; ++i) {
        x[i] = 0.25f;
        weight[i] = 0.0f;
        weight[9 + i] = i % 2 ? 2.0f : 0.0f;
    }
    OK(linfdist_model_set_statistics(model, &statistics));
    OK(linfdist_certifier_create(model, &c));
    options.eps_normalized = 0.125;
    for (size_t k = 0; k < LENGTH(list); ++k) {
        OK(linfdist_lipschitz(c, &options, x, 9, 1, list[k], estimate));
        const double constant = isinf(list[k]) ? 1.0 : pow(9.0, 1.0 / (double)list[k]);
        for (int j = 0; j < 2; ++j) assert_true(fabs((double)estimate[j] - constant) < 1e-4 * constant);
    }
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

static double mean_estimate(const linfdist_certifier *c, const float *x, float p, double most) {
    static float estimate[SAMPLES * CLASSES];
    double sum = 0.0;
    OK(linfdist_lipschitz(c, NULL, x, N_IN, SAMPLES, p, estimate));
    for (int i = 0; i < SAMPLES * CLASSES; ++i) {
        assert_true(estimate[i] >= 0.0f && (double)estimate[i] <= most);
        sum += (double)estimate[i];
    }
    return sum / (SAMPLES * CLASSES);
}

/* At most 1 at infinity, up to roundings of numbers below 16 over 1/255; n^(1/p) of every layer at p. It falls with p,
 * and ascent finds far more than a random start. */
static void test_bounds(void **state) {
    linfdist_certifier *c = make_certifier(context);
    linfdist_lipschitz_options options = make_options();
    float x[SAMPLES * N_IN], estimate[SAMPLES * CLASSES];
    double random = 0.0;
    (void)state;
    pixel_values(x, LENGTH(x), 1);
    const double at_2 = mean_estimate(c, x, 2.0f, sqrt(12.0 * 20.0 * 20.0) * 1.001);
    const double at_8 = mean_estimate(c, x, 8.0f, pow(12.0 * 20.0 * 20.0, 1.0 / 8.0) * 1.001);
    const double at_inf = mean_estimate(c, x, INFINITY, 1.001);
    assert_true(at_2 > 1.5 * at_8 && at_8 > 1.2 * at_inf && at_inf > 0.7);
    options.step_fraction = 0.0;
    OK(linfdist_lipschitz(c, &options, x, N_IN, SAMPLES, 2.0f, estimate));
    for (int i = 0; i < SAMPLES * CLASSES; ++i) random += (double)estimate[i] / (SAMPLES * CLASSES);
    assert_true(random > 0.0 && random < 0.5 * at_2);
    linfdist_certifier_destroy(c);
}

/* The best iterate of the best start: more steps or starts on the same path never lose what was found. */
static void test_best(void **state) {
    linfdist_certifier *c = make_certifier(context);
    linfdist_lipschitz_options options = make_options();
    float x[SAMPLES * N_IN], before[SAMPLES * CLASSES] = {0}, estimate[SAMPLES * CLASSES];
    (void)state;
    pixel_values(x, LENGTH(x), 1);
    options.eps_normalized = 3.0; /* so large that a step may lose again */
    for (options.restarts = 1; options.restarts <= 3; ++options.restarts) {
        OK(linfdist_lipschitz(c, &options, x, N_IN, SAMPLES, INFINITY, estimate));
        for (int i = 0; i < SAMPLES * CLASSES; ++i) assert_true(estimate[i] >= before[i]);
        memcpy(before, estimate, sizeof before);
    }
    options.restarts = 1;
    memset(before, 0, sizeof before);
    for (options.steps = 1; options.steps <= 10; ++options.steps) {
        OK(linfdist_lipschitz(c, &options, x, N_IN, SAMPLES, INFINITY, estimate));
        for (int i = 0; i < SAMPLES * CLASSES; ++i) assert_true(estimate[i] >= before[i]);
        memcpy(before, estimate, sizeof before);
    }
    linfdist_certifier_destroy(c);
}

/* Every instruction set and thread count, and one sample at a time with rows apart. */
static void test_same_bits(void **state) {
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    linfdist_certifier *c = make_certifier(context);
    float x[SAMPLES * N_IN], expected[SAMPLES * CLASSES], estimate[SAMPLES * CLASSES];
    (void)state;
    pixel_values(x, LENGTH(x), 1);
    OK(linfdist_lipschitz(c, NULL, x, N_IN, SAMPLES, 33.3f, expected));
    for (size_t i = 0; i < LENGTH(isas); ++i) {
        for (int32_t threads = 1; threads <= 3 && linfdist_isa_available(isas[i]); ++threads) {
            linfdist_context *own = make_context(threads, isas[i]);
            linfdist_certifier *other = make_certifier(own);
            linfdist_context_destroy(own);
            OK(linfdist_lipschitz(other, NULL, x, N_IN, SAMPLES, 33.3f, estimate));
            assert_memory_equal(estimate, expected, sizeof expected);
            linfdist_certifier_destroy(other);
        }
    }
    OK(linfdist_lipschitz(c, NULL, x, 7 * N_IN, SAMPLES / 7, 33.3f, estimate));
    for (int i = 0; i < SAMPLES / 7; ++i)
        assert_memory_equal(estimate + i * CLASSES, expected + 7 * i * CLASSES, CLASSES * sizeof *expected);
    linfdist_certifier_destroy(c);
}

static void test_bad_arguments(void **state) {
    linfdist_certifier *c = make_certifier(context);
    linfdist_lipschitz_options options = make_options();
    float x[N_IN] = {0}, estimate[CLASSES] = {-1.0f};
    (void)state;
    const linfdist_status invalid = LINFDIST_ERROR_INVALID_ARGUMENT;
    FAILS(linfdist_lipschitz(NULL, NULL, x, N_IN, 1, 8.0f, estimate), invalid, "certifier is NULL");
    FAILS(linfdist_lipschitz(c, NULL, NULL, N_IN, 1, 8.0f, estimate), invalid, "x is NULL");
    FAILS(linfdist_lipschitz(c, NULL, x, N_IN, 1, 8.0f, NULL), invalid, "estimate is NULL");
    FAILS(linfdist_lipschitz(c, NULL, x, 3, 1, 8.0f, estimate), invalid, "x");
    FAILS(linfdist_lipschitz(c, NULL, x, N_IN, 0, 8.0f, estimate), invalid, "x");
    FAILS(linfdist_lipschitz(c, NULL, x, N_IN, 1, 0.5f, estimate), invalid, "p is 0.5");
    FAILS(linfdist_lipschitz(c, NULL, x, N_IN, 1, NAN, estimate), invalid, "p is nan");
    options.eps_normalized = 0.0;
    FAILS(linfdist_lipschitz(c, &options, x, N_IN, 1, 8.0f, estimate), invalid, "eps_normalized is 0");
    options = make_options();
    options.steps = 0;
    FAILS(linfdist_lipschitz(c, &options, x, N_IN, 1, 8.0f, estimate), invalid, "steps is 0");
    options = make_options();
    options.restarts = -3;
    FAILS(linfdist_lipschitz(c, &options, x, N_IN, 1, 8.0f, estimate), invalid, "restarts is -3");
    options = make_options();
    options.step_fraction = NAN;
    FAILS(linfdist_lipschitz(c, &options, x, N_IN, 1, 8.0f, estimate), invalid, "step_fraction is nan");
    options = make_options();
    options.struct_size = 12;
    FAILS(linfdist_lipschitz(c, &options, x, N_IN, 1, 8.0f, estimate), invalid, "struct_size 12");
    x[3] = -0.5f;
    FAILS(linfdist_lipschitz(c, NULL, x, N_IN, 1, 8.0f, estimate), LINFDIST_ERROR_RANGE, "pixel 3 of sample 0");
    assert_true(estimate[0] == -1.0f);
    linfdist_certifier_destroy(c);
}

static linfdist_status estimate_once(linfdist_context *scripted, scripted_memory *memory, long failing) {
    linfdist_certifier *c = make_certifier(scripted);
    float x[N_IN] = {0}, estimate[CLASSES] = {-1.0f};
    memory->failing_call = memory->calls + failing;
    linfdist_status status = linfdist_lipschitz(c, NULL, x, N_IN, 1, INFINITY, estimate);
    if (status != LINFDIST_OK) assert_true(estimate[0] == -1.0f);
    linfdist_context_destroy(scripted);
    linfdist_certifier_destroy(c);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    assert_true(fail_each_allocation(estimate_once) > 15);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_constant), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_best),           cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_bad_arguments),  cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("lipschitz", tests, setup, teardown);
}
