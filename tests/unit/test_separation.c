/* The net of the theorem on well-separated data: its parts, its certificates, and that they break where the theorem's
 * conditions do. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "points.h"
#include "rng.h"

#define STD 0.3081
#define MEAN 0.1307

static linfdist_context *context;

static int make_context(void **state) {
    (void)state;
    return linfdist_context_create(NULL, &context);
}

static int drop_context(void **state) {
    (void)state;
    linfdist_context_destroy(context);
    return 0;
}

/* count x n_in coordinates in the unit cube. */
static point_set random_set(int64_t count, int64_t n_in, int64_t classes, uint64_t seed) {
    problem what;
    point_set set = {.channels = 1, .height = 1, .width_px = n_in, .n_in = n_in, .classes = classes};
    rng r = rng_at(seed, RNG_POINTS, 0);
    assert_int_equal(point_set_alloc(&set, count, &what), 0);
    for (int64_t i = 0; i < count * n_in; ++i) set.x[i] = (float)rng_between(&r, 0.0, 1.0);
    for (int64_t i = 0; i < count; ++i) set.labels[i] = (int32_t)rng_below(&r, (uint32_t)classes);
    return set;
}

static separation measure(const point_set *set) {
    separation found;
    problem what;
    assert_int_equal(separation_measure(context, set, &found, &what), 0);
    return found;
}

static linfdist_certifier *certifier_of(const point_set *set, double c, const linfdist_statistics *statistics) {
    linfdist_model *model;
    linfdist_certifier *certifier;
    problem what;
    assert_int_equal(separation_net(context, set, c, &model, &what), 0);
    assert_int_equal(linfdist_model_set_statistics(model, statistics), LINFDIST_OK);
    assert_int_equal(linfdist_certifier_create(model, &certifier), LINFDIST_OK);
    linfdist_model_destroy(model);
    return certifier;
}

/* How many of the points, in raw units x, are right and certified. */
static int64_t certified_at(const linfdist_certifier *certifier, const point_set *set, const float *x, int32_t method,
                            double radius) {
    int32_t predicted[512], certified[512];
    int64_t good = 0;
    assert_in_range(set->count, 1, 512);
    assert_int_equal(linfdist_certify_at(certifier, method, x, set->n_in, set->count, radius, predicted, certified),
                     LINFDIST_OK);
    for (int64_t i = 0; i < set->count; ++i) good += predicted[i] == set->labels[i] && certified[i];
    return good;
}

/* ---- the separation ---- */

static double distance(const point_set *set, int64_t i, int64_t j) {
    float most = 0;
    for (int64_t k = 0; k < set->n_in; ++k)
        most = fmaxf(most, fabsf(set->x[i * set->n_in + k] - set->x[j * set->n_in + k]));
    return (double)most;
}

/* More points than a tile has rows and columns. */
static void test_measure(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        point_set set = random_set(seed == 1 ? 4500 : 300, 3, 4, seed);
        separation found = measure(&set);
        double smallest = INFINITY, largest = 0, reach = 0;
        for (int64_t i = 0; i < set.count; ++i)
            for (int64_t j = 0; j < i; ++j) {
                const double d = distance(&set, i, j);
                largest = fmax(largest, d);
                if (set.labels[i] != set.labels[j]) smallest = fmin(smallest, d);
            }
        for (int64_t i = 0; i < set.count * set.n_in; ++i) reach = fmax(reach, fabs((double)set.x[i]));
        assert_true(found.smallest == smallest && found.largest == largest && found.reach == reach);
        assert_int_not_equal(set.labels[found.first], set.labels[found.second]);
        assert_true(distance(&set, found.first, found.second) == smallest);
        point_set_free(&set);
    }
}

/* The two that are too near stand in different tiles. */
static void test_twins_of_two_classes(void **state) {
    (void)state;
    point_set set = random_set(4500, 3, 2, 5);
    memcpy(set.x + 4400 * 3, set.x + 10 * 3, 3 * sizeof *set.x);
    set.labels[10] = 0;
    set.labels[4400] = 1;
    separation found = measure(&set);
    assert_true(found.smallest == 0.0);
    assert_int_equal(found.first, 10);
    assert_int_equal(found.second, 4400);
    assert_true(separation_radius(&found) <= 0.0);
    point_set_free(&set);
}

static void test_one_class(void **state) {
    (void)state;
    point_set set = random_set(5, 2, 2, 1);
    for (int64_t i = 0; i < set.count; ++i) set.labels[i] = 1;
    assert_int_equal(measure(&set).first, -1);
    point_set_free(&set);
}

static void test_refused_coordinates(void **state) {
    (void)state;
    separation found;
    problem what;
    point_set set = random_set(5, 2, 2, 1);
    set.x[7] = NAN;
    assert_int_equal(separation_measure(context, &set, &found, &what), -1);
    assert_non_null(strstr(what.text, "row 3, column 1"));
    point_set_free(&set);
}

/* ---- the net ---- */

static void test_weights(void **state) {
    (void)state;
    linfdist_model *model;
    linfdist_tensor hidden = {.struct_size = sizeof hidden}, output = {.struct_size = sizeof output};
    problem what;
    point_set set = random_set(7, 3, 3, 1);
    assert_int_equal(separation_net(context, &set, 4.0, &model, &what), 0);
    assert_int_equal(linfdist_model_find_tensor(model, "fc_dist.0.weight", &hidden), LINFDIST_OK);
    assert_int_equal(linfdist_model_find_tensor(model, "fc_dist.1.weight", &output), LINFDIST_OK);
    assert_memory_equal(hidden.data, set.x, 7 * 3 * sizeof(float));
    for (int64_t k = 0; k < 3; ++k)
        for (int64_t i = 0; i < 7; ++i) assert_true(output.data[k * 7 + i] == (set.labels[i] == k ? 0.0f : 4.0f));
    linfdist_model_destroy(model);
    point_set_free(&set);
}

static void test_weight_covers_twice_what_it_must(void **state) {
    (void)state;
    const separation wide = {.smallest = 0.5, .largest = 0.75, .reach = 0.1}, far = {0.5, 0, 1, 0.75, 9.0};
    assert_true(separation_weight(&wide) == 2.0); /* 2 (0.75 + 0.25) is a power of two */
    assert_true(separation_weight(&far) == 32.0);
    assert_true(separation_radius(&wide) < 0.25 && separation_radius(&wide) > 0.25 - 0x1p-18);
}

/* The predictions within the radius are what the certificate promises, corners of the square included. */
static void check_square(const linfdist_certifier *certifier, const point_set *set, double radius) {
    rng r = rng_at(1, RNG_POINTS, 1);
    for (int64_t i = 0; i < set->count; ++i) {
        float x[8][2];
        int32_t predicted[8];
        for (int k = 0; k < 8; ++k)
            for (int n = 0; n < 2; ++n) {
                const double step = k < 4 ? (k >> n & 1 ? radius : -radius) : rng_between(&r, -radius, radius);
                x[k][n] = (float)((double)set->x[2 * i + n] + step);
            }
        assert_int_equal(linfdist_certify(certifier, LINFDIST_METHOD_MARGIN, x[0], 2, 8, predicted, NULL, NULL),
                         LINFDIST_OK);
        for (int k = 0; k < 8; ++k) assert_int_equal(predicted[k], set->labels[i]);
    }
}

static void test_points_are_certified(void **state) {
    (void)state;
    problem what;
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        point_set set;
        const int64_t classes = 2 + (int64_t)(seed % 5);
        assert_int_equal(points_draw(&set, 50, classes, 0.03, seed, &what), 0);
        separation found = measure(&set);
        const double most = separation_radius(&found);
        assert_true(found.smallest > 0.06 && most >= 0.03);
        linfdist_certifier *certifier = certifier_of(&set, separation_weight(&found), NULL);
        for (int32_t method = LINFDIST_METHOD_MARGIN; method <= LINFDIST_METHOD_INTERVAL; ++method) {
            assert_int_equal(certified_at(certifier, &set, set.x, method, 0.03), 50);
            assert_int_equal(certified_at(certifier, &set, set.x, method, most), 50);
            /* The two nearest of different classes lose theirs beyond half their distance. */
            assert_in_range(certified_at(certifier, &set, set.x, method, 0.5 * found.smallest + 0x1p-20), 0, 48);
        }
        check_square(certifier, &set, most);
        linfdist_certifier_destroy(certifier);
        point_set_free(&set);
    }
}

/* With statistics a radius is raw, pixels are clamped and every normalization rounds. */
static void test_normalized_points_are_certified(void **state) {
    (void)state;
    const double mean = MEAN;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, STD, 0.0, 1.0};
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        float raw[60 * 20];
        point_set set = random_set(60, 20, 5, seed);
        memcpy(raw, set.x, sizeof raw);
        for (int i = 0; i < 60 * 20; ++i) set.x[i] = (float)(((double)raw[i] - MEAN) / STD);
        separation found = measure(&set);
        linfdist_certifier *certifier = certifier_of(&set, separation_weight(&found), &statistics);
        const double most = separation_radius(&found) * STD;
        assert_int_equal(certified_at(certifier, &set, raw, LINFDIST_METHOD_MARGIN, most), 60);
        assert_int_equal(certified_at(certifier, &set, raw, LINFDIST_METHOD_INTERVAL, most), 60);
        linfdist_certifier_destroy(certifier);
        point_set_free(&set);
    }
}

/* Two points of class 0 are 1 apart, so with C = 1 either is as far from its own class's output as from the other's. */
static void test_small_c_certifies_less(void **state) {
    (void)state;
    float x[] = {0.0f, 0.0f, 1.0f, 0.0f, 0.5f, 0.0f};
    int32_t labels[] = {0, 0, 1};
    const point_set set = {1, 1, 2, 3, 2, 2, x, labels};
    separation found = measure(&set);
    assert_true(found.smallest == 0.5 && found.largest == 1.0);
    for (int32_t method = LINFDIST_METHOD_MARGIN; method <= LINFDIST_METHOD_INTERVAL; ++method) {
        linfdist_certifier *certifier = certifier_of(&set, separation_weight(&found), NULL);
        assert_int_equal(certified_at(certifier, &set, x, method, 0.249), 3);
        linfdist_certifier_destroy(certifier);
        certifier = certifier_of(&set, 1.0, NULL);
        assert_int_equal(certified_at(certifier, &set, x, method, 0.249), 1);
        assert_int_equal(certified_at(certifier, &set, x, method, 0.0), 1);
        linfdist_certifier_destroy(certifier);
    }
}

/* ---- random points ---- */

static void test_draws(void **state) {
    (void)state;
    point_set a, b;
    problem what;
    assert_int_equal(points_draw(&a, 40, 3, 0.04, 7, &what), 0);
    assert_int_equal(points_draw(&b, 40, 3, 0.04, 7, &what), 0);
    assert_memory_equal(a.x, b.x, 80 * sizeof(float));
    for (int i = 0; i < 40; ++i) assert_int_equal(a.labels[i], i % 3);
    point_set_free(&b);
    assert_int_equal(points_draw(&b, 40, 3, 0.04, 8, &what), 0);
    assert_memory_not_equal(a.x, b.x, 80 * sizeof(float));
    point_set_free(&a);
    point_set_free(&b);
    assert_int_equal(points_draw(&a, 40, 3, 0.6, 7, &what), -1);
    assert_non_null(
        strstr(what.text, "--radius 0.6, --points 40, --classes 3: the unit square was full after 1 points"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measure),
        cmocka_unit_test(test_twins_of_two_classes),
        cmocka_unit_test(test_one_class),
        cmocka_unit_test(test_refused_coordinates),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_weight_covers_twice_what_it_must),
        cmocka_unit_test(test_points_are_certified),
        cmocka_unit_test(test_normalized_points_are_certified),
        cmocka_unit_test(test_small_c_certifies_less),
        cmocka_unit_test(test_draws),
    };
    return cmocka_run_group_tests_name("separation", tests, make_context, drop_context);
}
