/* The schedule against the published points and its own formulas, and every refusal. */
#include "expect.h"

#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

static linfdist_schedule defaults(void) {
    linfdist_schedule s;
    expect_ok(linfdist_schedule_init(&s, sizeof s));
    return s;
}

static linfdist_schedule_point point_at(const linfdist_schedule *s, int64_t step) {
    linfdist_schedule_point point = {.struct_size = sizeof point};
    expect_ok(linfdist_schedule_at(s, step, &point));
    return point;
}

static void expect_close(const char *what, double got, double want) {
    if (got == want || fabs(got - want) <= 1e-12 * fabs(want) + 1e-15) return;
    fail_msg("%s is %.17g, wanted %.17g", what, got, want);
}

/* ---- published points -------------------------------------------------------------------------------------------- */

static double number(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (json_is_string(value) && strcmp(json_string_value(value), "inf") == 0) return INFINITY;
    if (!json_is_number(value)) fail_msg("%s is missing", name);
    return json_number_value(value);
}

/* "mixture(lam0=0.05,lam_end=0.002)"; losses without lambda have none. */
static void read_lambda(const json_t *golden, linfdist_schedule *s) {
    const char *loss = json_string_value(json_object_get(golden, "loss"));
    assert_non_null(loss);
    s->lambda_start = s->lambda_end = 0;
    if (strstr(loss, "lam0"))
        assert_int_equal(sscanf(loss, "mixture(lam0=%lf,lam_end=%lf)", &s->lambda_start, &s->lambda_end), 2);
}

static linfdist_schedule read_schedule(const json_t *golden) {
    const json_t *epochs = json_object_get(golden, "epochs");
    linfdist_schedule s = defaults();
    s.batches_per_epoch = (int64_t)number(golden, "batches_per_epoch");
    s.eps_begin = (int64_t)number(epochs, "eps_start");
    s.eps_finish = (int64_t)number(epochs, "eps_end");
    s.p_begin = (int64_t)number(epochs, "p_start");
    s.p_finish = (int64_t)number(epochs, "p_end");
    s.epochs = (int64_t)number(epochs, "total");
    s.p_start = number(golden, "p_start");
    s.p_end = number(golden, "p_end");
    s.eps_train_normalized = number(golden, "eps_train");
    s.eps_smooth = number(golden, "eps_smooth");
    s.positive_eps = 0;
    s.lr = number(golden, "lr");
    s.scalar_lr = number(golden, "scalar_lr");
    assert_true(json_is_null(json_object_get(golden, "decays")));
    read_lambda(golden, &s);
    return s;
}

static size_t check_points(const json_t *golden) {
    const linfdist_schedule s = read_schedule(golden);
    const json_t *points = json_object_get(golden, "points");
    for (size_t i = 0; i < json_array_size(points); ++i) {
        const json_t *want = json_array_get(points, i);
        const int64_t step = (int64_t)number(want, "epoch") * s.batches_per_epoch + (int64_t)number(want, "batch");
        const linfdist_schedule_point got = point_at(&s, step);
        expect_close("p", got.p, number(want, "p"));
        expect_close("eps", got.eps_normalized, number(want, "eps"));
        expect_close("lambda", got.lambda, number(want, "lambda"));
        /* The file's own tolerance where the cosine cancels. */
        if (fabs(got.lr - number(want, "lr")) > 1e-12) expect_close("lr", got.lr, number(want, "lr"));
        if (fabs(got.scalar_lr - number(want, "scalar_lr")) > 1e-12)
            expect_close("scalar_lr", got.scalar_lr, number(want, "scalar_lr"));
    }
    return json_array_size(points);
}

static void test_published_points(void **state) {
    (void)state;
    const char *folder = getenv("LINFDIST_TEST_DATA");
    if (!folder) {
        print_message("LINFDIST_TEST_DATA is not set: published points skipped\n");
        skip();
    }
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof path, "%s/golden/dev/schedule.json", folder);
    json_t *file = json_load_file(path, 0, &error);
    if (!file) fail_msg("%s: %s", path, error.text);
    const json_t *schedules = json_object_get(file, "schedules");
    size_t points = 0;
    for (size_t i = 0; i < json_array_size(schedules); ++i) points += check_points(json_array_get(schedules, i));
    assert_true(points > 100);
    json_decref(file);
}

/* ---- formulas ---------------------------------------------------------------------------------------------------- */

static void test_defaults(void **state) {
    (void)state;
    const linfdist_schedule s = defaults();
    const linfdist_schedule_point first = point_at(&s, 0), last = point_at(&s, 118 * 450);
    assert_true(first.p == 8 && first.lambda == 0.05 && first.lr == 0.03 && first.scalar_lr == 0.006);
    assert_true(first.eps_normalized == 0.45 / 0.3081);
    assert_true(isinf(last.p) && last.lambda == 0.0002 && last.lr == 0 && last.scalar_lr == 0);
    assert_true(point_at(&s, 118 * 25).p == 8);
    assert_true(point_at(&s, 118 * 400 - 1).p < 1000 && point_at(&s, 118 * 400 - 1).p > 999);
    assert_true(isinf(point_at(&s, 118 * 400).p));
    expect_close("lr in the middle", point_at(&s, 118 * 225).lr, 0.015);
    expect_close("p in the middle", point_at(&s, 118 * 425 / 2).p, sqrt(8000.0));
}

static void test_p_ends_below_100(void **state) {
    (void)state;
    linfdist_schedule s = defaults();
    s.p_end = 99.5;
    assert_true(point_at(&s, 118 * 450).p == 99.5);
    s.p_end = 100;
    assert_true(isinf(point_at(&s, 118 * 450).p));
    s.p_begin = s.p_finish = 30; /* an empty phase is over from the start */
    assert_true(isinf(point_at(&s, 0).p));
    s.p_start = 1000, s.p_end = 1, s.p_begin = 0, s.p_finish = 450;
    for (int64_t step = 0; step <= 118 * 450; step += 59) {
        const double p = point_at(&s, step).p;
        assert_true(p >= 1 && p <= 1000);
    }
}

static void test_eps_ramps(void **state) {
    (void)state;
    linfdist_schedule s = defaults();
    s.eps_begin = 10, s.eps_finish = 110, s.eps_train_normalized = 2, s.batches_per_epoch = 10;
    s.positive_eps = 0;
    assert_true(point_at(&s, 100).eps_normalized == 0);
    expect_close("linear", point_at(&s, 350).eps_normalized, 0.5);
    assert_true(point_at(&s, 1100).eps_normalized == 2);
    const double ratios[] = {0.25, 0.5, 0.999, 1e-200};
    for (size_t i = 0; i < sizeof ratios / sizeof ratios[0]; ++i) {
        const double r = s.eps_smooth = ratios[i], k = 1 / ((4 - 3 * r) * r * r * r);
        double before = 0;
        assert_true(point_at(&s, 100).eps_normalized == 0 && point_at(&s, 1100).eps_normalized == 2);
        for (int64_t step = 101; step < 1100; ++step) {
            const double q = (double)(step - 100) / 1000, eps = point_at(&s, step).eps_normalized;
            const double line = 1 + (1 - r / (4 - 3 * r)) / (1 - r) * (q - 1);
            expect_close("smooth", eps, 2 * (q < r ? k * q * q * q * q : line));
            assert_true(eps > before && eps < 2);
            before = eps;
        }
    }
}

/* For a loss that divides by eps, any ramp is refused at every step; the constant is not. */
static void test_positive_eps(void **state) {
    (void)state;
    linfdist_schedule s = defaults();
    linfdist_schedule_point point = {.struct_size = sizeof point, .p = -5};
    assert_true(s.positive_eps == 1);
    s.eps_begin = 3, s.eps_finish = 7;
    expect_invalid(linfdist_schedule_at(&s, 0, &point), "eps_begin is 3, eps_finish is 7: eps would grow from 0");
    expect_invalid(linfdist_schedule_at(&s, 118 * 450, &point), "eps would grow from 0");
    s.eps_smooth = 0.5;
    expect_invalid(linfdist_schedule_at(&s, 118 * 10, &point), "eps would grow from 0");
    s = defaults();
    s.eps_train_normalized = 0;
    expect_invalid(linfdist_schedule_at(&s, 0, &point), "eps_train_normalized is 0, must be at least 2^-100");
    s.positive_eps = 0;
    assert_true(point.p == -5 && point_at(&s, 0).eps_normalized == 0);
    s = defaults();
    s.eps_begin = s.eps_finish = 7;
    assert_true(point_at(&s, 0).eps_normalized == 0.45 / 0.3081);
}

/* The programs of 2021: constant up to an epoch, and then half a cosine. */
static void test_constant_lr(void **state) {
    (void)state;
    linfdist_schedule s = defaults();
    s.lr_begin = 50, s.epochs = 400, s.batches_per_epoch = 10;
    assert_true(point_at(&s, 0).lr == 0.03 && point_at(&s, 499).lr == 0.03 && point_at(&s, 500).lr == 0.03);
    assert_true(point_at(&s, 501).lr < 0.03 && point_at(&s, 501).scalar_lr < 0.006);
    for (int64_t step = 500; step <= 4000; step += 250)
        expect_close("lr", point_at(&s, step).lr,
                     0.03 * (1 + cos(3.14159265358979323846 * (double)(step - 500) / 3500)) / 2);
    s.lr_begin = 399;
    assert_true(point_at(&s, 3990).lr == 0.03 && point_at(&s, 4000).lr == 0);
}

static void test_decays(void **state) {
    (void)state;
    linfdist_schedule s = defaults();
    const int64_t decays[] = {300, 100};
    s.decay_count = 2;
    s.decay_epochs = decays;
    assert_true(point_at(&s, 118 * 100 - 1).lr == 0.03);
    expect_close("lr", point_at(&s, 118 * 100).lr, 0.006);
    expect_close("scalar_lr", point_at(&s, 118 * 300 - 1).scalar_lr, 0.0012);
    expect_close("lr", point_at(&s, 118 * 450).lr, 0.0012);
}

static void test_no_lambda(void **state) {
    (void)state;
    linfdist_schedule s = defaults();
    s.lambda_start = s.lambda_end = 0;
    assert_true(point_at(&s, 118 * 200).lambda == 0);
}

static void test_same_bits_in_any_environment(void **state) {
    (void)state;
    const linfdist_schedule s = defaults();
    for (int64_t step = 118 * 25; step < 118 * 400; step += 1111) {
        const linfdist_schedule_point want = point_at(&s, step);
        fesetround(FE_DOWNWARD);
        const linfdist_schedule_point got = point_at(&s, step);
        fesetround(FE_TONEAREST);
        assert_memory_equal(&got, &want, sizeof got);
    }
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void test_steps(void **state) {
    (void)state;
    const linfdist_schedule s = defaults();
    linfdist_schedule_point point = {.struct_size = sizeof point, .p = -5};
    expect_error(linfdist_schedule_at(&s, -1, &point), LINFDIST_ERROR_RANGE, "step is -1, must be in [0, 53100]");
    expect_error(linfdist_schedule_at(&s, 53101, &point), LINFDIST_ERROR_RANGE, "step is 53101");
    expect_error(linfdist_schedule_at(&s, INT64_MAX, &point), LINFDIST_ERROR_RANGE, "step is");
    expect_invalid(linfdist_schedule_at(NULL, 0, &point), "schedule is NULL");
    expect_invalid(linfdist_schedule_at(&s, 0, NULL), "point is NULL");
    point.struct_size = 16;
    expect_invalid(linfdist_schedule_at(&s, 0, &point), "point has struct_size 16");
    assert_true(point.p == -5);
    expect_invalid(linfdist_schedule_init(NULL, sizeof s), "schedule is NULL");
    linfdist_schedule other;
    expect_invalid(linfdist_schedule_init(&other, sizeof other - 8), "struct_size");
}

/* Each line makes one field nonsense. */
static void test_bad_fields(void **state) {
    (void)state;
    linfdist_schedule s, good = defaults();
    const int64_t negative = -3;
    linfdist_schedule_point point = {.struct_size = sizeof point, .p = -5};
#define REFUSE(field, value, text)                                                                                     \
    s = good;                                                                                                          \
    s.field = value;                                                                                                   \
    expect_invalid(linfdist_schedule_at(&s, 0, &point), text)
    REFUSE(struct_size, 0, "schedule has struct_size 0");
    REFUSE(batches_per_epoch, 0, "batches_per_epoch is 0");
    REFUSE(batches_per_epoch, INT64_MAX, "batches_per_epoch is 9223372036854775807");
    REFUSE(epochs, 0, "epochs is 0");
    REFUSE(epochs, INT64_MAX / 118, "epochs is");
    REFUSE(eps_begin, -1, "eps_begin is -1");
    REFUSE(eps_finish, INT64_MAX, "eps_finish is");
    REFUSE(p_begin, INT64_MIN, "p_begin is");
    REFUSE(p_finish, INT64_MAX, "p_finish is");
    REFUSE(p_start, 0.5, "p_start is 0.5");
    REFUSE(p_start, NAN, "p_start is nan");
    REFUSE(p_end, INFINITY, "p_end is inf");
    REFUSE(p_end, 1001, "p_end is 1001");
    REFUSE(eps_train_normalized, -0.1, "eps_train_normalized is -0.1");
    REFUSE(eps_train_normalized, INFINITY, "eps_train_normalized is inf");
    REFUSE(eps_smooth, 1, "eps_smooth is 1");
    REFUSE(eps_smooth, -0.1, "eps_smooth is -0.1");
    REFUSE(lambda_start, NAN, "lambda_start is nan");
    REFUSE(lambda_end, 0, "lambda_end is 0");
    REFUSE(lambda_end, -1, "lambda_end is -1");
    REFUSE(lr, -0.1, "lr is -0.1");
    REFUSE(lr_begin, -1, "lr_begin is -1");
    REFUSE(lr_begin, 450, "lr_begin is 450");
    REFUSE(positive_eps, 2, "positive_eps is 2");
    REFUSE(scalar_lr, INFINITY, "scalar_lr is inf");
    REFUSE(decay_count, -1, "decay_count is -1");
    REFUSE(decay_count, 1, "decay_epochs is NULL");
    REFUSE(decay_count, 1; s.decay_epochs = &negative, "decay_epochs[0] is -3");
#undef REFUSE
    assert_true(point.p == -5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_points),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_p_ends_below_100),
        cmocka_unit_test(test_eps_ramps),
        cmocka_unit_test(test_positive_eps),
        cmocka_unit_test(test_constant_lr),
        cmocka_unit_test(test_decays),
        cmocka_unit_test(test_no_lambda),
        cmocka_unit_test(test_same_bits_in_any_environment),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_bad_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
