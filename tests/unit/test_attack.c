/* Attacks: what they return must lie in the ball and in the valid range, really break what they say is broken, and be
 * the same from everywhere. */
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/units.h"
#include "file_support.h"
#include "net_support.h"
#include "pixel_support.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { N_IN = PIXEL_N_IN, CLASSES = PIXEL_CLASSES, SAMPLES = 40 };
static const float surrogates[] = {INFINITY, 8.0f, 40.0f, 300.0f};

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

static linfdist_certifier *make_certifier(const linfdist_model *model) {
    linfdist_certifier *certifier = NULL;
    OK(linfdist_certifier_create(model, &certifier));
    return certifier;
}

/* Few steps with all surrogates. */
static linfdist_attack_options make_options(int64_t steps) {
    linfdist_attack_options options;
    OK(linfdist_attack_options_init(&options, sizeof options));
    options.steps = steps;
    options.p_count = LENGTH(surrogates);
    options.p = surrogates;
    return options;
}

/* Samples with the net's own predictions as labels, and what an attack made of them. */
typedef struct bed {
    linfdist_model *model;
    linfdist_certifier *certifier;
    linfdist_run *run;
    float x[SAMPLES * N_IN], adversarial[SAMPLES * N_IN];
    int32_t labels[SAMPLES], predicted[SAMPLES], success[SAMPLES];
} bed;

static void bed_create(bed *b, uint64_t seed) {
    float margin[SAMPLES];
    b->model = pixel_model(context, seed);
    b->certifier = make_certifier(b->model);
    OK(linfdist_run_create(b->model, LINFDIST_RUN_TRAINING, SAMPLES, &b->run));
    pixel_values(b->x, LENGTH(b->x), (uint32_t)seed + 10);
    pixel_predict(b->run, b->x, SAMPLES, b->labels, margin);
}

static void bed_destroy(bed *b) {
    linfdist_run_destroy(b->run);
    linfdist_certifier_destroy(b->certifier);
    linfdist_model_destroy(b->model);
}

/* How many succeeded. */
static int bed_attack(bed *b, const linfdist_attack_options *options, double eps) {
    int count = 0;
    OK(linfdist_attack(b->certifier, options, b->x, N_IN, b->labels, SAMPLES, eps, b->adversarial, N_IN, b->predicted,
                       b->success));
    for (int i = 0; i < SAMPLES; ++i) count += b->success[i];
    return count;
}

/* ---- the ball ---- */

/* |v - x| <= eps without rounding: a difference beyond the range of a long double's bits is far from eps. */
static int within(float x, float v, double eps) {
    return fabsl((long double)v - (long double)x) <= (long double)eps;
}

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

static void check_pixels(const bed *b, double eps) {
    for (int i = 0; i < SAMPLES * N_IN; ++i) {
        assert_true(within(b->x[i], b->adversarial[i], eps));
        assert_true(b->adversarial[i] >= 0.0f && b->adversarial[i] <= 1.0f);
    }
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

/* ---- sameness ---- */

enum { MANY = 300, X_STRIDE = N_IN + 1, OUT_STRIDE = N_IN + 2 }; /* more than a chunk */

typedef struct answers {
    int32_t predicted[MANY], success[MANY];
    float adversarial[MANY * OUT_STRIDE];
} answers;

static float *many_pixels(void) {
    float *x = malloc(MANY * X_STRIDE * sizeof *x);
    pixel_values(x, MANY * X_STRIDE, 123);
    for (int i = 0; i < MANY - 1; ++i) x[i * X_STRIDE + N_IN] = NAN; /* between the rows */
    return x;
}

static void many_labels(int32_t *labels) {
    for (int i = 0; i < MANY; ++i) labels[i] = i % CLASSES;
}

static linfdist_status ask(const linfdist_certifier *c, const float *x, answers *a) {
    const float p[] = {INFINITY, 8.0f, 123.4f};
    linfdist_attack_options options = make_options(4);
    int32_t labels[MANY];
    many_labels(labels);
    options.p = p;
    options.p_count = LENGTH(p);
    options.restarts = 2;
    memset(a, 0x5a, sizeof *a);
    return linfdist_attack(c, &options, x, X_STRIDE, labels, MANY, 0.04, a->adversarial, OUT_STRIDE, a->predicted,
                           a->success);
}

static answers *expected_answers(const linfdist_certifier *c, const float *x) {
    answers *a = malloc(sizeof *a);
    OK(ask(c, x, a));
    return a;
}

static void expect_same(const linfdist_certifier *c, const float *x, const answers *expected) {
    answers *a = expected_answers(c, x);
    assert_memory_equal(a, expected, sizeof *a);
    free(a);
}

static void test_same_bits(void **state) {
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c = make_certifier(model);
    float *x = many_pixels();
    answers *expected = expected_answers(c, x);
    (void)state;
    for (size_t i = 0; i < LENGTH(isas); ++i) {
        for (int32_t threads = 1; threads <= 3 && linfdist_isa_available(isas[i]); ++threads) {
            linfdist_context *own = make_context(threads, isas[i]);
            linfdist_model *other = pixel_model(own, 5);
            linfdist_certifier *certifier = make_certifier(other);
            linfdist_context_destroy(own);
            linfdist_model_destroy(other);
            expect_same(certifier, x, expected);
            linfdist_certifier_destroy(certifier);
        }
    }
    fesetround(FE_UPWARD);
    expect_same(c, x, expected);
    fesetround(FE_TOWARDZERO);
    expect_same(c, x, expected);
    fesetround(FE_TONEAREST);
    free(x);
    free(expected);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

/* One sample at a time, in place, and nothing between the rows. */
static void test_batch_split(void **state) {
    const float p[] = {INFINITY, 8.0f, 123.4f};
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c = make_certifier(model);
    linfdist_attack_options options = make_options(4);
    float *x = many_pixels(), gap;
    answers *expected = expected_answers(c, x);
    int32_t labels[MANY], predicted, success;
    (void)state;
    many_labels(labels);
    memset(&gap, 0x5a, sizeof gap);
    options.p = p;
    options.p_count = LENGTH(p);
    options.restarts = 2;
    for (int i = MANY - 1; i >= 0; i -= 7) {
        float *pixels = x + i * X_STRIDE;
        OK(linfdist_attack(c, &options, pixels, N_IN, labels + i, 1, 0.04, pixels, N_IN, &predicted, &success));
        assert_memory_equal(pixels, expected->adversarial + i * OUT_STRIDE, N_IN * sizeof *pixels);
        assert_int_equal(predicted, expected->predicted[i]);
        assert_int_equal(success, expected->success[i]);
        assert_true(expected->adversarial[i * OUT_STRIDE + N_IN] == gap);
    }
    free(x);
    free(expected);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

typedef struct worker {
    const linfdist_certifier *certifier;
    const float *x;
    const answers *expected;
    int mismatches;
} worker;

static void *work(void *data) {
    worker *w = data;
    answers *a = malloc(sizeof *a);
    for (int i = 0; i < 2; ++i) {
        if (ask(w->certifier, w->x, a) != LINFDIST_OK || memcmp(a, w->expected, sizeof *a) != 0) ++w->mismatches;
    }
    free(a);
    return NULL;
}

static void test_threads(void **state) {
    linfdist_context *own = make_context(2, NULL);
    linfdist_model *model = pixel_model(own, 5);
    linfdist_certifier *c = make_certifier(model);
    float *x = many_pixels();
    answers *expected = expected_answers(c, x);
    pthread_t threads[4];
    worker workers[4];
    (void)state;
    for (size_t i = 0; i < LENGTH(threads); ++i) {
        workers[i] = (worker){c, x, expected, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < LENGTH(threads); ++i) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].mismatches, 0);
    }
    free(x);
    free(expected);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
    linfdist_context_destroy(own);
}

/* ---- errors ---- */

/* The call fails, and nothing was written. */
static void expect_refused(bed *b, const linfdist_attack_options *options, double eps, linfdist_status status,
                           const char *text) {
    bed before;
    memset(b->adversarial, 0x5a, sizeof b->adversarial);
    memset(b->predicted, 0x5a, sizeof b->predicted);
    memset(b->success, 0x5a, sizeof b->success);
    before = *b;
    FAILS(linfdist_attack(b->certifier, options, b->x, N_IN, b->labels, SAMPLES, eps, b->adversarial, N_IN,
                          b->predicted, b->success),
          status, text);
    assert_memory_equal(b->adversarial, before.adversarial, sizeof before.adversarial);
    assert_memory_equal(b->predicted, before.predicted, sizeof before.predicted);
    assert_memory_equal(b->success, before.success, sizeof before.success);
}

#define EXPECT_BAD_OPTION(b, field, value, text)                                                                       \
    do {                                                                                                               \
        linfdist_attack_options bad = make_options(3);                                                                 \
        bad.field = value;                                                                                             \
        expect_refused(b, &bad, 0.1, LINFDIST_ERROR_INVALID_ARGUMENT, text);                                           \
    } while (0)

static void test_bad_options(void **state) {
    const float bad_p[] = {8.0f, 0.5f}, large_p = 1001.0f, no_p = NAN;
    linfdist_attack_options options = make_options(3);
    bed b;
    (void)state;
    bed_create(&b, 3);
    EXPECT_BAD_OPTION(&b, steps, 0, "steps is 0");
    EXPECT_BAD_OPTION(&b, restarts, 0, "restarts is 0");
    EXPECT_BAD_OPTION(&b, step_fraction, -0.25, "step_fraction is -0.25");
    EXPECT_BAD_OPTION(&b, step_fraction, NAN, "step_fraction is nan");
    EXPECT_BAD_OPTION(&b, random_start, 2, "random_start is 2");
    EXPECT_BAD_OPTION(&b, clamp, -1, "clamp is -1");
    EXPECT_BAD_OPTION(&b, last_iterate, 2, "last_iterate is 2");
    EXPECT_BAD_OPTION(&b, p_count, -1, "p_count is -1");
    EXPECT_BAD_OPTION(&b, p_count, 2000, "p_count is 2000");
    EXPECT_BAD_OPTION(&b, p, NULL, "p is NULL");
    EXPECT_BAD_OPTION(&b, struct_size, 8, "struct_size 8");
    options.p = bad_p;
    options.p_count = 2;
    expect_refused(&b, &options, 0.1, LINFDIST_ERROR_INVALID_ARGUMENT, "p is 0.5");
    options.p_count = 1;
    options.p = &large_p;
    expect_refused(&b, &options, 0.1, LINFDIST_ERROR_INVALID_ARGUMENT, "p is 1001");
    options.p = &no_p;
    expect_refused(&b, &options, 0.1, LINFDIST_ERROR_INVALID_ARGUMENT, "p is nan");
    options = make_options(3);
    options.random_start = 0;
    options.restarts = 2;
    expect_refused(&b, &options, 0.1, LINFDIST_ERROR_INVALID_ARGUMENT, "restarts is 2");
    FAILS(linfdist_attack_options_init(NULL, sizeof options), LINFDIST_ERROR_INVALID_ARGUMENT, "options");
    FAILS(linfdist_attack_options_init(&options, 0), LINFDIST_ERROR_INVALID_ARGUMENT, "struct_size 0");
    bed_destroy(&b);
}

static void test_bad_arguments(void **state) {
    const linfdist_attack_options options = make_options(3);
    const linfdist_attack_options *o = &options;
    bed b;
    (void)state;
    bed_create(&b, 3);
    linfdist_certifier *c = b.certifier;
    FAILS(linfdist_attack(NULL, o, b.x, N_IN, b.labels, 1, 0.1, NULL, 0, NULL, NULL), LINFDIST_ERROR_INVALID_ARGUMENT,
          "certifier is NULL");
    FAILS(linfdist_attack(c, o, NULL, N_IN, b.labels, 1, 0.1, NULL, 0, NULL, NULL), LINFDIST_ERROR_INVALID_ARGUMENT,
          "x is NULL");
    FAILS(linfdist_attack(c, o, b.x, N_IN, NULL, 1, 0.1, NULL, 0, NULL, NULL), LINFDIST_ERROR_INVALID_ARGUMENT,
          "labels is NULL");
    FAILS(linfdist_attack(c, o, b.x, 3, b.labels, 1, 0.1, NULL, 0, NULL, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "x");
    FAILS(linfdist_attack(c, o, b.x, N_IN, b.labels, 0, 0.1, NULL, 0, NULL, NULL), LINFDIST_ERROR_INVALID_ARGUMENT,
          "x");
    FAILS(linfdist_attack(c, o, b.x, N_IN, b.labels, 1, 0.1, b.adversarial, 3, NULL, NULL),
          LINFDIST_ERROR_INVALID_ARGUMENT, "adversarial");
    OK(linfdist_attack(c, o, b.x, N_IN, b.labels, 1, 0.1, NULL, 0, NULL, NULL));
    expect_refused(&b, o, -0.1, LINFDIST_ERROR_INVALID_ARGUMENT, "eps_raw is -0.1");
    expect_refused(&b, o, NAN, LINFDIST_ERROR_INVALID_ARGUMENT, "eps_raw is nan");
    expect_refused(&b, o, INFINITY, LINFDIST_ERROR_INVALID_ARGUMENT, "eps_raw is inf");
    b.x[5 * N_IN + 2] = 1.5f;
    expect_refused(&b, o, 0.1, LINFDIST_ERROR_RANGE, "pixel 2 of sample 5 is 1.5");
    b.x[5 * N_IN + 2] = NAN;
    expect_refused(&b, o, 0.1, LINFDIST_ERROR_NOT_FINITE, "x");
    b.x[5 * N_IN + 2] = 0.5f;
    b.labels[9] = CLASSES;
    expect_refused(&b, o, 0.1, LINFDIST_ERROR_INVALID_ARGUMENT, "labels[9] is 4");
    b.labels[9] = -1;
    expect_refused(&b, o, 0.1, LINFDIST_ERROR_INVALID_ARGUMENT, "labels[9] is -1");
    bed_destroy(&b);
}

/* Weights that the net itself can bear, and a surrogate with its sums cannot. */
static void test_overflow(void **state) {
    const float one = 1.0f;
    linfdist_attack_options options = make_options(3);
    float margin[SAMPLES];
    bed b;
    (void)state;
    bed_create(&b, 3);
    linfdist_tensor weight = net_tensor(b.model, "fc_dist.0.weight");
    for (int i = 0; i < 20 * N_IN; ++i) weight.data[i] = i % 2 ? 0x1p100f : -0x1p100f;
    linfdist_certifier_destroy(b.certifier);
    b.certifier = make_certifier(b.model);
    pixel_predict(b.run, b.x, SAMPLES, b.labels, margin);
    options.p = &one;
    options.p_count = 1;
    expect_refused(&b, &options, 0.1, LINFDIST_ERROR_NOT_FINITE, "fc_dist.0");
    options.p_count = 0;
    (void)bed_attack(&b, &options, 0.1);
    check_pixels(&b, 0.1);
    bed_destroy(&b);
}

/* Every allocation fails in turn. */
static void test_out_of_memory(void **state) {
    const linfdist_attack_options options = make_options(2);
    linfdist_status status = LINFDIST_ERROR_OUT_OF_MEMORY;
    long failures = 0;
    (void)state;
    while (status != LINFDIST_OK) {
        scripted_memory memory = {0};
        linfdist_context *scripted = scripted_context(&memory);
        linfdist_model *model = pixel_model(scripted, 5);
        linfdist_certifier *c = make_certifier(model);
        float x[N_IN] = {0}, adversarial[N_IN] = {-1.0f};
        int32_t label = 0, success = -1;
        memory.failing_call = memory.calls + ++failures;
        status = linfdist_attack(c, &options, x, N_IN, &label, 1, 0.1, adversarial, N_IN, NULL, &success);
        if (status != LINFDIST_OK) {
            assert_int_equal(status, LINFDIST_ERROR_OUT_OF_MEMORY);
            assert_true(adversarial[0] == -1.0f && success == -1);
        }
        linfdist_context_destroy(scripted);
        linfdist_certifier_destroy(c);
        linfdist_model_destroy(model);
        assert_int_equal(memory.live, 0);
    }
    assert_true(failures > 15);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ball),         cmocka_unit_test(test_sound),         cmocka_unit_test(test_certified),
        cmocka_unit_test(test_zero),         cmocka_unit_test(test_by_hand),       cmocka_unit_test(test_large_radius),
        cmocka_unit_test(test_one_step),     cmocka_unit_test(test_random_start),  cmocka_unit_test(test_worst),
        cmocka_unit_test(test_best_iterate), cmocka_unit_test(test_same_bits),     cmocka_unit_test(test_batch_split),
        cmocka_unit_test(test_threads),      cmocka_unit_test(test_bad_options),   cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_overflow),     cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("attack", tests, setup, teardown);
}
