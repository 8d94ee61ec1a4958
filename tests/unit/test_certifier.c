/* Certifiers: what they claim must hold for the floating-point net, and be the most they can claim. */
#include <math.h>

#include "../../src/units.h"
#include "certifier_support.h"

/* ---- values ---- */

static void test_predictions(void **state) {
    linfdist_model *model = pixel_model(context, 3);
    linfdist_certifier *c = make_certifier(model);
    linfdist_run *run = NULL;
    float x[SAMPLES * N_IN], margin[SAMPLES], expected_margin[SAMPLES];
    int32_t predicted[SAMPLES], at[SAMPLES], expected[SAMPLES], certified[SAMPLES], wins[CLASSES] = {0};
    (void)state;
    pixel_values(x, LENGTH(x), 1);
    OK(linfdist_run_create(model, LINFDIST_RUN_INFERENCE, SAMPLES, &run));
    pixel_predict(run, x, SAMPLES, expected, expected_margin);
    OK(linfdist_certify(c, MARGIN, x, N_IN, SAMPLES, predicted, margin, NULL));
    OK(linfdist_certify_at(c, INTERVAL, x, N_IN, SAMPLES, 0.01, at, certified));
    assert_memory_equal(predicted, expected, sizeof expected);
    assert_memory_equal(at, expected, sizeof expected);
    assert_memory_equal(margin, expected_margin, sizeof margin);
    for (int i = 0; i < SAMPLES; ++i) wins[predicted[i]] = 1;
    assert_int_equal(wins[0] + wins[1] + wins[2] + wins[3], CLASSES);
    linfdist_run_destroy(run);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

/* One input, two classes at -1 and 2, without statistics: distances of 0.25 are 1.25 and 1.75. */
static linfdist_model *hand_made(const linfdist_statistics *statistics) {
    linfdist_model *model = net_mlp(context, 1, 1, 1, 2, 1);
    linfdist_tensor weight = net_tensor(model, "fc_dist.0.weight");
    weight.data[0] = -1.0f;
    weight.data[1] = 2.0f;
    OK(linfdist_model_set_statistics(model, statistics));
    return model;
}

static void expect_hand_made(const linfdist_statistics *statistics, float pixel, int32_t method, int32_t label,
                             float margin, float radius) {
    linfdist_model *model = hand_made(statistics);
    linfdist_certifier *c = make_certifier(model);
    int32_t predicted = -1, certified = -1;
    float m = -1.0f, r = -1.0f;
    OK(linfdist_certify(c, method, &pixel, 1, 1, &predicted, &m, &r));
    assert_int_equal(predicted, label);
    assert_true(m == margin);
    if (r != radius) print_error("radius %.9g, expected %.9g\n", (double)r, (double)radius);
    assert_true(r == radius);
    OK(linfdist_certify_at(c, method, &pixel, 1, 1, nextafter((double)r, 0), NULL, &certified));
    assert_int_equal(certified, r > 0.0f);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

static void test_hand_made(void **state) {
    const double zero = 0.0;
    const linfdist_statistics wide = {sizeof wide, 1, &zero, 2.0, -10.0, 10.0}; /* pixels are twice the inputs */
    const linfdist_statistics narrow = {sizeof narrow, 1, &zero, 1.0, 0.0, 0.375};
    (void)state;
    /* The classes meet at 0.5. Distances about 1.5 are 2^-23 apart: the floating-point net tells the classes apart as
     * long as 1 + u and 2 - u do not both round to 1.5, that is up to u = 0.5 - 3 * 2^-25. */
    expect_hand_made(NULL, 0.25f, MARGIN, 0, 0.5f, 0.25f);
    expect_hand_made(NULL, 0.25f, INTERVAL, 0, 0.5f, 0.25f - 0x3p-25f);
    expect_hand_made(&wide, 0.5f, MARGIN, 0, 0.5f, 0.5f);
    expect_hand_made(&wide, 0.5f, INTERVAL, 0, 0.5f, 0.5f - 0x3p-24f);
    /* The clamp keeps every valid pixel from 0.5. */
    expect_hand_made(&narrow, 0.25f, MARGIN, 0, 0.5f, 0.25f);
    expect_hand_made(&narrow, 0.25f, INTERVAL, 0, 0.5f, 0.375f);
    /* A tie. */
    expect_hand_made(NULL, 0.5f, MARGIN, 0, 0.0f, 0.0f);
    expect_hand_made(NULL, 0.5f, INTERVAL, 0, 0.0f, 0.0f);
}

/* The certificate holds at all numbers below the radius, and not at all of those below the next float. */
static void check_margin_radius(linfdist_model *model, double deviation) {
    const double zero = 0.0;
    const linfdist_statistics statistics = {sizeof statistics, 1, &zero, deviation, -100.0, 100.0};
    const float pixel = 0.0f;
    OK(linfdist_model_set_statistics(model, &statistics));
    linfdist_certifier *c = make_certifier(model);
    int32_t below = -1, above = -1;
    float radius;
    OK(linfdist_certify(c, MARGIN, &pixel, 1, 1, NULL, NULL, &radius));
    const float next = nextafterf(radius, 100);
    OK(linfdist_certify_at(c, MARGIN, &pixel, 1, 1, nextafter((double)radius, 0), NULL, &below));
    OK(linfdist_certify_at(c, MARGIN, &pixel, 1, 1, nextafter((double)next, 0), NULL, &above));
    assert_true(below == 1 && above == 0);
    linfdist_certifier_destroy(c);
}

/* Margins m and deviations that lead to a float radius, or nearly so: the products round in every way. */
static void test_margin_radius(void **state) {
    linfdist_model *model = hand_made(NULL);
    (void)state;
    for (int m = 1; m <= 40; ++m) {
        net_tensor(model, "fc_dist.0.weight").data[1] = 1.0f + (float)m; /* distances 1 and 1 + m */
        for (int k = 1; k <= 40; ++k) {
            double deviation = 2.0 * (double)(1.0f / (float)k) / m;
            check_margin_radius(model, deviation);
            check_margin_radius(model, nextafter(deviation, 0));
            check_margin_radius(model, nextafter(deviation, 9));
        }
    }
    linfdist_model_destroy(model);
}

/* The nearest floats on both sides. */
static void test_directed_rounding(void **state) {
    static const double values[] = {0.0,           0.5,           1.0,        0.1,         -0.1,    0.3,
                                    1.0 + 0x1p-30, 1.0 - 0x1p-30, 1e-50,      -1e-50,      0x1p100, -0x1p99,
                                    1 / 3.0,       -1 / 3.0,      0x1.8p-149, -0x1.8p-149, 1e-40,   -0x1p-24 - 0x1p-60};
    (void)state;
    for (size_t i = 0; i < LENGTH(values); ++i) {
        float below = lfd_float_below(values[i]), above = lfd_float_above(values[i]);
        assert_true((double)below <= values[i] && values[i] <= (double)above);
        assert_true(below == above || nextafterf(below, INFINITY) == above);
        assert_int_equal(below == above, (double)(float)values[i] == values[i]);
    }
}

/* Beside the boundary both distances round to 1.5, a tie that class 0 wins: the floating-point net changes its mind at
 * less than half the margin. The interval certificate knows; the margin's speaks of exact arithmetic. */
static void test_rounding(void **state) {
    linfdist_model *model = hand_made(NULL);
    linfdist_certifier *c = make_certifier(model);
    const float x = 0.75f, near = nextafterf(0.5f, 1);
    const double eps = (double)x - (double)near;
    float radius[2];
    int32_t predicted, certified;
    (void)state;
    OK(linfdist_certify(c, MARGIN, &x, 1, 1, &predicted, NULL, &radius[0]));
    assert_int_equal(predicted, 1);
    OK(linfdist_certify(c, INTERVAL, &near, 1, 1, &predicted, NULL, NULL));
    assert_int_equal(predicted, 0);
    OK(linfdist_certify(c, INTERVAL, &x, 1, 1, NULL, NULL, &radius[1]));
    assert_true((double)radius[1] < eps && eps < (double)radius[0]);
    OK(linfdist_certify_at(c, INTERVAL, &x, 1, 1, eps, NULL, &certified));
    assert_int_equal(certified, 0);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

/* ---- soundness ---- */

/* A pixel within radius of x, as far as a random number or a coin says; checked without rounding. */
static float perturbed(float x, float radius, float random, int corner) {
    float t = corner ? (random < 0.0f ? -1.0f : 1.0f) : random;
    float v = fminf(fmaxf(x + t * radius, 0.0f), 1.0f);
    while (fabs((double)v - (double)x) > (double)radius) v = nextafterf(v, x);
    return v;
}

/* No perturbation within the radius changes the prediction of the floating-point net. */
static void test_sound(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        linfdist_model *model = pixel_model(context, seed);
        linfdist_certifier *c = make_certifier(model);
        linfdist_run *run = NULL;
        float x[SAMPLES * N_IN], t[SAMPLES * N_IN], near[SAMPLES * N_IN], radius[SAMPLES], margin[SAMPLES];
        int32_t predicted[SAMPLES], now[SAMPLES];
        double largest = 0.0;
        pixel_values(x, LENGTH(x), (uint32_t)seed + 10);
        OK(linfdist_run_create(model, LINFDIST_RUN_INFERENCE, SAMPLES, &run));
        OK(linfdist_certify(c, INTERVAL, x, N_IN, SAMPLES, predicted, NULL, radius));
        for (uint32_t trial = 0; trial < 500; ++trial) {
            net_uniform(t, LENGTH(t), -1.0f, 1.0f, 1000 + trial);
            for (size_t i = 0; i < LENGTH(x); ++i) near[i] = perturbed(x[i], radius[i / N_IN], t[i], trial % 2);
            pixel_predict(run, near, SAMPLES, now, margin);
            assert_memory_equal(now, predicted, sizeof now);
            for (int i = 0; i < SAMPLES; ++i) assert_true(radius[i] == 0.0f || margin[i] > 0.0f);
        }
        for (int i = 0; i < SAMPLES; ++i) largest = fmax(largest, (double)radius[i]);
        assert_true(largest > 0.02);
        linfdist_run_destroy(run);
        linfdist_certifier_destroy(c);
        linfdist_model_destroy(model);
    }
}

/* The next float is not certified; nothing above is, and everything below is. */
static void test_maximal(void **state) {
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c = make_certifier(model);
    float x[SAMPLES * N_IN], interval[SAMPLES], margin_radius[SAMPLES];
    int larger = 0;
    (void)state;
    pixel_values(x, LENGTH(x), 2);
    OK(linfdist_certify(c, INTERVAL, x, N_IN, SAMPLES, NULL, NULL, interval));
    OK(linfdist_certify(c, MARGIN, x, N_IN, SAMPLES, NULL, NULL, margin_radius));
    for (int i = 0; i < SAMPLES; ++i) {
        const float *pixels = x + i * N_IN;
        assert_true(interval[i] > 0.0f && interval[i] < 1.0f);
        assert_int_equal(certified_at(c, INTERVAL, pixels, (double)interval[i]), 1);
        assert_int_equal(certified_at(c, INTERVAL, pixels, 0.5 * (double)interval[i]), 1);
        assert_int_equal(certified_at(c, INTERVAL, pixels, (double)nextafterf(interval[i], 1)), 0);
        assert_int_equal(certified_at(c, INTERVAL, pixels, 1.1 * (double)interval[i]), 0);
        assert_int_equal(certified_at(c, MARGIN, pixels, nextafter((double)margin_radius[i], 0)), 1);
        assert_int_equal(certified_at(c, MARGIN, pixels, (double)nextafterf(margin_radius[i], 1)), 0);
        /* Up to the roundings of three layers, of numbers below 16, the interval's is the larger one. */
        assert_true((double)interval[i] > (double)margin_radius[i] - 1e-6);
        larger += (double)interval[i] > (double)margin_radius[i] + 1e-3;
    }
    assert_true(larger > 0); /* the clamp helps some */
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

/* Interval certificates as the contract states them, from the public pieces; eps is no float and its limits round
 * outwards. */
static int certified_by_hand(linfdist_run *run, const float *x, double eps, int32_t predicted) {
    float lower[N_IN], upper[N_IN];
    const float *l, *u;
    int64_t batch, classes;
    for (int i = 0; i < N_IN; ++i) {
        float low = (float)((double)x[i] - eps), high = (float)((double)x[i] + eps);
        if ((double)low > (double)x[i] - eps) low = nextafterf(low, -INFINITY);
        if ((double)high < (double)x[i] + eps) high = nextafterf(high, INFINITY);
        lower[i] = (float)(((double)fmaxf(low, 0.0f) - pixel_means[i / 4]) / pixel_std);
        upper[i] = (float)(((double)fminf(high, 1.0f) - pixel_means[i / 4]) / pixel_std);
    }
    OK(linfdist_forward_bounds(run, lower, upper, N_IN, 1));
    OK(linfdist_run_bounds(run, &l, &u, &batch, &classes));
    for (int32_t j = 0; j < CLASSES; ++j) {
        if (j != predicted && u[predicted] >= l[j]) return 0;
    }
    return 1;
}

static void test_intervals_by_hand(void **state) {
    linfdist_model *model = pixel_model(context, 6);
    linfdist_certifier *c = make_certifier(model);
    linfdist_run *run = NULL;
    float x[SAMPLES * N_IN];
    int32_t predicted[SAMPLES], certified[SAMPLES];
    int total = 0;
    (void)state;
    pixel_values(x, LENGTH(x), 3);
    OK(linfdist_run_create(model, LINFDIST_RUN_INFERENCE, 1, &run));
    for (double eps = 0.001; eps < 0.3; eps *= 1.1) {
        OK(linfdist_certify_at(c, INTERVAL, x, N_IN, SAMPLES, eps, predicted, certified));
        for (int i = 0; i < SAMPLES; ++i) {
            assert_int_equal(certified[i], certified_by_hand(run, x + i * N_IN, eps, predicted[i]));
            total += certified[i];
        }
    }
    assert_true(total > SAMPLES);
    linfdist_run_destroy(run);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

/* A bias far away: no pixel can change the prediction. Radii beyond the range mean the range. */
static void test_whole_range(void **state) {
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c;
    float x[N_IN], radius;
    (void)state;
    pixel_values(x, LENGTH(x), 2);
    net_tensor(model, "fc_dist.2.bias").data[2] = -1e6f;
    c = make_certifier(model);
    for (int32_t method = MARGIN; method <= INTERVAL; ++method) {
        OK(linfdist_certify(c, method, x, N_IN, 1, NULL, NULL, &radius));
        assert_true(radius == 1.0f);
        assert_int_equal(certified_at(c, method, x, 1.0), 1);
    }
    assert_int_equal(certified_at(c, INTERVAL, x, 1e300), 1);
    assert_int_equal(certified_at(c, MARGIN, x, 1e300), 0); /* knows of no range */
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

static void test_without_statistics(void **state) {
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c;
    float x[SAMPLES * N_IN], margin[SAMPLES], radius[SAMPLES], next;
    (void)state;
    OK(linfdist_model_set_statistics(model, NULL));
    net_uniform(x, LENGTH(x), -3, 3, 8);
    c = make_certifier(model);
    OK(linfdist_certify(c, INTERVAL, x, N_IN, SAMPLES, NULL, margin, radius));
    for (int i = 0; i < SAMPLES; ++i) {
        next = nextafterf(radius[i], INFINITY);
        assert_true((double)radius[i] > 0.5 * (double)margin[i] * (1 - 1e-4) - 1e-6);
        assert_int_equal(certified_at(c, INTERVAL, x + i * N_IN, (double)radius[i]), 1);
        assert_int_equal(certified_at(c, INTERVAL, x + i * N_IN, (double)next), 0);
    }
    assert_int_equal(certified_at(c, INTERVAL, x, 0x1p100), 0);
    assert_int_equal(certified_at(c, INTERVAL, x, 1e300), 0);
    assert_int_equal(certified_at(c, MARGIN, x, 1e308), 0);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

/* A limit that is no float: the float nearest to it is a valid pixel all the same. */
static void test_decimal_range(void **state) {
    const double mean = 0.2;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, 0.5, 0.1, 0.3};
    linfdist_model *model = hand_made(&statistics);
    linfdist_certifier *c = make_certifier(model);
    const float x[3] = {0.1f, 0.2f, 0.3f}, outside = nextafterf(0.3f, 1);
    float radius[3];
    (void)state;
    OK(linfdist_certify(c, INTERVAL, x, 1, 3, NULL, NULL, radius));
    for (int i = 0; i < 3; ++i) assert_true(radius[i] >= 0.2f && radius[i] < 0.2000001f);
    FAILS(linfdist_certify(c, INTERVAL, &outside, 1, 1, NULL, NULL, radius), LINFDIST_ERROR_RANGE, "pixel 0");
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

/* ---- ties ---- */

static void test_ties(void **state) {
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c;
    float x[SAMPLES * N_IN], margin[SAMPLES], radius[SAMPLES];
    int32_t predicted[SAMPLES];
    (void)state;
    linfdist_tensor weight = net_tensor(model, "fc_dist.2.weight"), bias = net_tensor(model, "fc_dist.2.bias");
    for (int j = 1; j < CLASSES; ++j) memcpy(weight.data + j * 20, weight.data, 20 * sizeof(float));
    for (int j = 0; j < CLASSES; ++j) bias.data[j] = j == 0 ? 5.0f : 1.0f;
    pixel_values(x, LENGTH(x), 2);
    c = make_certifier(model);
    for (int32_t method = MARGIN; method <= INTERVAL; ++method) {
        OK(linfdist_certify(c, method, x, N_IN, SAMPLES, predicted, margin, radius));
        for (int i = 0; i < SAMPLES; ++i) {
            assert_int_equal(predicted[i], 1);
            assert_true(margin[i] == 0.0f && radius[i] == 0.0f);
            assert_int_equal(certified_at(c, method, x + i * N_IN, 0.0), 0);
        }
    }
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predictions),   cmocka_unit_test(test_hand_made),
        cmocka_unit_test(test_margin_radius), cmocka_unit_test(test_directed_rounding),
        cmocka_unit_test(test_rounding),      cmocka_unit_test(test_sound),
        cmocka_unit_test(test_maximal),       cmocka_unit_test(test_intervals_by_hand),
        cmocka_unit_test(test_whole_range),   cmocka_unit_test(test_without_statistics),
        cmocka_unit_test(test_decimal_range), cmocka_unit_test(test_ties),
    };
    return cmocka_run_group_tests_name("certifier", tests, setup, teardown);
}
