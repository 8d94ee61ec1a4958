/* Attacks: what they return must lie in the ball and in the valid range, and really break what they say is broken. */
#include "../../src/units.h"
#include "attack_support.h"

/* ---- the ball ---- */

static void test_ball(void **state) {
    static const double radii[] = {0.0, 0.1, 0.3, 8.0 / 255, 1.0 / 3, 0x1p-25, 1e-9, 0.5 + 0x1p-53, 2.0, 1e300};
    linfdist_model *model = pixel_model(context, 1);
    float x[N_IN], lower[N_IN], upper[N_IN];
    int inexact = 0;
    lfd_units units;
    (void)state;
    lfd_units_init(&units, model);
    for (uint32_t k = 0; k < 2000; ++k) {
        const double eps = fmin(radii[k % LENGTH(radii)], 0x1p101);
        pixel_values(x, N_IN, k);
        x[0] = 0.1f;
        x[1] = (float)eps;
        if (!(x[1] <= 1.0f)) x[1] = 1.0f;
        lfd_units_ball(&units, x, eps, lower, upper);
        for (int i = 0; i < N_IN; ++i) {
            assert_true(within(x[i], lower[i], eps) && within(x[i], upper[i], eps));
            assert_true(lower[i] >= 0.0f && lower[i] <= x[i] && x[i] <= upper[i] && upper[i] <= 1.0f);
            assert_true(lower[i] == 0.0f || !within(x[i], nextafterf(lower[i], -9), eps));
            assert_true(upper[i] == 1.0f || !within(x[i], nextafterf(upper[i], 9), eps));
        }
    }
    /* Differences that no double holds: eps is the rounded one, and the true one may be larger. */
    for (uint32_t k = 0; k < 200; ++k) {
        net_uniform(x, N_IN, 0x1p-41f, 0x1p-40f, k);
        const double eps = 1.0 - (double)x[0];
        lfd_units_ball(&units, x, eps, lower, upper);
        inexact += !within(x[0], 1.0f, eps);
        assert_true(within(x[0], upper[0], eps));
        assert_true(upper[0] == (within(x[0], 1.0f, eps) ? 1.0f : nextafterf(1.0f, 0.0f)));
    }
    assert_true(inexact > 20 && inexact < 180);
    linfdist_model_destroy(model);
}

/* The pixels are where they must be, and the net says of them what the attack says. */
static void test_sound(void **state) {
    static const double radii[] = {0.01, 8.0 / 255, 1.0 / 15, 0.1, 0.3};
    const linfdist_attack_options options = make_options(10);
    int32_t now[SAMPLES];
    float margin[SAMPLES];
    int total = 0;
    bed b;
    (void)state;
    bed_create(&b, 3);
    for (size_t k = 0; k < LENGTH(radii); ++k) {
        total += bed_attack(&b, &options, radii[k]);
        check_pixels(&b, radii[k]);
        pixel_predict(b.run, b.adversarial, SAMPLES, now, margin);
        assert_memory_equal(now, b.predicted, sizeof now);
        for (int i = 0; i < SAMPLES; ++i) assert_int_equal(b.success[i], now[i] != b.labels[i]);
    }
    assert_true(total > SAMPLES && total < 4 * SAMPLES);
    bed_destroy(&b);
}

/* What is certified is never broken, and near the certified radius the attack finds nearly all that is not. */
static void test_certified(void **state) {
    const linfdist_attack_options options = make_options(30);
    int certified_total = 0, broken_total = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        int32_t certified[SAMPLES];
        bed b;
        bed_create(&b, seed);
        for (double eps = 0.01; eps < 0.2; eps += 0.03) {
            bed_attack(&b, &options, eps);
            OK(linfdist_certify_at(b.certifier, LINFDIST_METHOD_INTERVAL, b.x, N_IN, SAMPLES, eps, NULL, certified));
            for (int i = 0; i < SAMPLES; ++i) {
                assert_false(certified[i] && b.success[i]);
                certified_total += certified[i];
                broken_total += b.success[i];
            }
        }
        bed_destroy(&b);
    }
    assert_true(certified_total > 100 && broken_total > 100);
    assert_true(certified_total + broken_total > 9 * 7 * 3 * SAMPLES / 10);
}

static void test_zero(void **state) {
    const linfdist_attack_options options = make_options(3);
    bed b;
    (void)state;
    bed_create(&b, 3);
    assert_int_equal(bed_attack(&b, &options, 0.0), 0);
    assert_memory_equal(b.adversarial, b.x, sizeof b.x);
    assert_memory_equal(b.predicted, b.labels, sizeof b.labels);
    b.labels[7] = (b.labels[7] + 1) % CLASSES;
    assert_int_equal(bed_attack(&b, &options, 0.0), 1);
    assert_int_equal(b.success[7], 1);
    /* Wrong from the start: broken by itself, at any radius. */
    (void)bed_attack(&b, &options, 0.1);
    assert_int_equal(b.success[7], 1);
    assert_memory_equal(b.adversarial + 7 * N_IN, b.x + 7 * N_IN, N_IN * sizeof *b.x);
    bed_destroy(&b);
}

/* ---- by hand ---- */

/* One input, two classes at -1 and 2, which meet at 0.5. */
static linfdist_certifier *hand_made(const linfdist_statistics *statistics) {
    linfdist_model *model = net_mlp(context, 1, 1, 1, 2, 1);
    linfdist_tensor weight = net_tensor(model, "fc_dist.0.weight");
    weight.data[0] = -1.0f;
    weight.data[1] = 2.0f;
    net_tensor(model, "scalar").data[0] = 1e6f; /* so sure that a softmax has no gradient left */
    OK(linfdist_model_set_statistics(model, statistics));
    linfdist_certifier *certifier = make_certifier(model);
    linfdist_model_destroy(model);
    return certifier;
}

static void expect_by_hand(const linfdist_statistics *statistics, const linfdist_attack_options *options, float x,
                           double eps, int32_t label, int32_t success) {
    linfdist_certifier *certifier = hand_made(statistics);
    float adversarial = NAN;
    int32_t predicted = -1, got = -1;
    OK(linfdist_attack(certifier, options, &x, 1, &label, 1, eps, &adversarial, 1, &predicted, &got));
    assert_int_equal(got, success);
    assert_int_equal(predicted, success ? 1 - label : label);
    assert_true(within(x, adversarial, eps));
    assert_true(adversarial <= 0.5f || success == (label == 0));
    linfdist_certifier_destroy(certifier);
}

static void test_by_hand(void **state) {
    const double zero = 0.0;
    const linfdist_statistics narrow = {sizeof narrow, 1, &zero, 1.0, 0.0, 0.375};
    (void)state;
    for (int32_t random = 0; random <= 1; ++random) {
        linfdist_attack_options options = make_options(8);
        options.random_start = random;
        expect_by_hand(NULL, &options, 0.25f, 0.24, 0, 0); /* 0.5 is out of reach */
        expect_by_hand(NULL, &options, 0.25f, 0.25, 0, 0); /* the tie at 0.5 is class 0's */
        expect_by_hand(NULL, &options, 0.25f, 0.26, 0, 1);
        expect_by_hand(NULL, &options, 0.75f, 0.25, 1, 1); /* so here it breaks */
        expect_by_hand(NULL, &options, 0.75f, 0.24, 1, 0);
        expect_by_hand(&narrow, &options, 0.25f, 0.3, 0, 0);
        options.clamp = 0;
        expect_by_hand(&narrow, &options, 0.25f, 0.3, 0, 1);
        options.clamp = 1;
        options.p_count = 0; /* gradients of the net itself */
        expect_by_hand(NULL, &options, 0.25f, 0.26, 0, 1);
    }
    expect_by_hand(NULL, NULL, 0.25f, 0.26, 0, 1);
    expect_by_hand(NULL, NULL, 0.25f, 0.24, 0, 0);
}

/* Radii beyond everything stay within the numbers the library computes with. */
static void test_large_radius(void **state) {
    linfdist_attack_options options = make_options(4);
    bed b;
    (void)state;
    bed_create(&b, 3);
    assert_int_equal(bed_attack(&b, &options, 1e300), bed_attack(&b, &options, 1.0));
    options.clamp = 0;
    options.p_count = 1;
    for (double eps = 2.0; eps < 1e308; eps *= 1e51) {
        (void)bed_attack(&b, &options, eps);
        for (int i = 0; i < SAMPLES * N_IN; ++i) {
            assert_true(fabs(((double)b.adversarial[i] - pixel_means[i % N_IN / 4]) / pixel_std) <= 0x1.000002p100);
            assert_true(within(b.x[i], b.adversarial[i], eps));
        }
    }
    bed_destroy(&b);
}

/* ---- steps ---- */

/* The step from x by the gradient of a training run, whose loss is written here in double. NaN where the gradient is
 * nothing but rounding: it sums to 0 over the outputs, so a pixel that moves all of them alike has none. */
static void expected_step(const bed *b, float p, double eps, double step, float *expected) {
    float normalized[SAMPLES * N_IN], grad_x[SAMPLES * N_IN], *grad, *grad_scalar;
    const float *d;
    int64_t batch, classes;
    const double scalar = (double)net_tensor(b->model, "scalar").data[0];
    pixel_normalize(b->x, normalized, SAMPLES);
    OK(linfdist_forward(b->run, normalized, N_IN, SAMPLES, LINFDIST_EVALUATE, p));
    OK(linfdist_run_outputs(b->run, &d, &batch, &classes));
    OK(linfdist_run_output_gradients(b->run, &grad, &grad_scalar));
    for (int i = 0; i < SAMPLES; ++i) {
        double sum = 0.0;
        for (int j = 0; j < CLASSES; ++j) sum += exp(scalar * (double)(d[i * CLASSES] - d[i * CLASSES + j]));
        for (int j = 0; j < CLASSES; ++j)
            grad[i * CLASSES + j] =
                (float)(scalar *
                        ((j == b->labels[i]) - exp(scalar * (double)(d[i * CLASSES] - d[i * CLASSES + j])) / sum));
    }
    OK(linfdist_backward(b->run, grad_x, N_IN));
    for (int i = 0; i < SAMPLES * N_IN; ++i) {
        const double sign = (grad_x[i] > 0.0f) - (grad_x[i] < 0.0f), moved = (double)b->x[i] + sign * step * eps;
        float largest = 0.0f;
        for (int k = i / N_IN * N_IN; k < (i / N_IN + 1) * N_IN; ++k) largest = fmaxf(largest, fabsf(grad_x[k]));
        const int rounding = grad_x[i] != 0.0f && fabsf(grad_x[i]) < 1e-5f * largest;
        expected[i] = rounding ? NAN : (float)fmin(fmax(moved, 0.0), 1.0);
    }
}

static void test_one_step(void **state) {
    bed b;
    (void)state;
    bed_create(&b, 5);
    for (size_t k = 0; k < LENGTH(surrogates); ++k) {
        linfdist_attack_options options = make_options(1);
        float expected[SAMPLES * N_IN];
        int compared = 0, still = 0;
        options.random_start = 0;
        options.last_iterate = 1;
        options.p_count = 1;
        options.p = &surrogates[k];
        (void)bed_attack(&b, &options, 0.1);
        expected_step(&b, surrogates[k], 0.1, 0.25, expected);
        for (int i = 0; i < SAMPLES * N_IN; ++i) {
            const int nothing = isnan(expected[i]) || expected[i] == b.x[i]; /* perhaps only one that cancels */
            const int same = fabsf(b.adversarial[i] - expected[i]) <= 1e-7f;
            assert_true(nothing || same);
            compared += same && b.adversarial[i] != b.x[i];
            still += b.adversarial[i] == b.x[i];
        }
        assert_true(compared >= 10);
        if (isinf(surrogates[k])) assert_true(still > SAMPLES * N_IN / 2); /* sign(0) = 0 */
    }
    bed_destroy(&b);
}

/* Steps of size 0 leave the random start: deviation eps / 4, cut at eps / 2. */
static void test_random_start(void **state) {
    linfdist_attack_options options = make_options(1);
    const float half = 0.5f;
    double sum = 0.0, squares = 0.0, most = 0.0;
    bed b;
    (void)state;
    bed_create(&b, 3);
    for (int i = 0; i < SAMPLES * N_IN; ++i) b.x[i] = half + 0.001f * (float)(i / N_IN); /* far from the range's ends */
    options.step_fraction = 0.0;
    options.last_iterate = 1;
    options.p_count = 1;
    (void)bed_attack(&b, &options, 0.1);
    for (int i = 0; i < SAMPLES * N_IN; ++i) {
        const double noise = ((double)b.adversarial[i] - (double)b.x[i]) / 0.1;
        sum += noise / (SAMPLES * N_IN);
        squares += noise * noise / (SAMPLES * N_IN);
        most = fmax(most, fabs(noise));
    }
    assert_true(fabs(sum) < 0.05);
    assert_true(sqrt(squares) > 0.2 && sqrt(squares) < 0.25);
    assert_true(most > 0.49 && most < 0.5 + 1e-6);
    bed_destroy(&b);
}

/* ---- the worst of all ---- */

/* A list breaks what any of its members breaks, restarts break no less, and the seed is what decides. */
static void test_worst(void **state) {
    linfdist_attack_options options = make_options(6);
    int32_t all[SAMPLES], any[SAMPLES] = {0};
    float adversarial[SAMPLES * N_IN];
    int differences = 0;
    bed b;
    (void)state;
    bed_create(&b, 3);
    const int count = bed_attack(&b, &options, 0.05);
    memcpy(all, b.success, sizeof all);
    memcpy(adversarial, b.adversarial, sizeof adversarial);
    assert_true(count > 0 && count < SAMPLES);
    options.p_count = 1;
    for (size_t k = 0; k < LENGTH(surrogates); ++k) {
        options.p = &surrogates[k];
        (void)bed_attack(&b, &options, 0.05);
        for (int i = 0; i < SAMPLES; ++i) any[i] |= b.success[i];
    }
    assert_memory_equal(any, all, sizeof all);
    options = make_options(6);
    options.restarts = 3;
    (void)bed_attack(&b, &options, 0.05);
    for (int i = 0; i < SAMPLES; ++i) assert_true(b.success[i] >= all[i]);
    assert_true(memcmp(adversarial, b.adversarial, sizeof adversarial) != 0);
    options.restarts = 1;
    options.seed = 2;
    (void)bed_attack(&b, &options, 0.05);
    for (int i = 0; i < SAMPLES * N_IN; ++i) differences += adversarial[i] != b.adversarial[i];
    assert_true(differences > 0);
    bed_destroy(&b);
}

/* Where nothing breaks, the iterate with the smallest margin is reported: smaller than at x. */
static void test_best_iterate(void **state) {
    const linfdist_attack_options options = make_options(6);
    float before[SAMPLES], after[SAMPLES];
    int32_t predicted[SAMPLES];
    int unbroken = 0, smaller = 0;
    bed b;
    (void)state;
    bed_create(&b, 3);
    (void)bed_attack(&b, &options, 0.02);
    pixel_predict(b.run, b.x, SAMPLES, predicted, before);
    pixel_predict(b.run, b.adversarial, SAMPLES, predicted, after);
    for (int i = 0; i < SAMPLES; ++i) {
        assert_true(b.success[i] || after[i] <= before[i]);
        unbroken += !b.success[i];
        smaller += !b.success[i] && after[i] < before[i];
    }
    assert_true(unbroken > SAMPLES / 2 && smaller > unbroken / 2);
    bed_destroy(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ball),         cmocka_unit_test(test_sound),        cmocka_unit_test(test_certified),
        cmocka_unit_test(test_zero),         cmocka_unit_test(test_by_hand),      cmocka_unit_test(test_large_radius),
        cmocka_unit_test(test_one_step),     cmocka_unit_test(test_random_start), cmocka_unit_test(test_worst),
        cmocka_unit_test(test_best_iterate),
    };
    return cmocka_run_group_tests_name("attack", tests, setup, teardown);
}
