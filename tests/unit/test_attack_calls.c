/* Attacks from outside: the same answers for every batch, machine and thread; what they refuse; memory that runs out.
 */
#include <stdlib.h>

#include "attack_support.h"
#include "file_support.h"
#include "same_answers.h"

/* ---- sameness ---- */

enum { MANY = 300, OUT_STRIDE = N_IN + 2 }; /* more than a chunk */

typedef struct answers {
    int32_t predicted[MANY], success[MANY];
    float adversarial[MANY * OUT_STRIDE];
} answers;

static void many_labels(int32_t *labels) {
    for (int i = 0; i < MANY; ++i) labels[i] = i % CLASSES;
}

static linfdist_status ask(const linfdist_certifier *c, const float *x, void *data) {
    answers *a = data;
    const float p[] = {INFINITY, 8.0f, 123.4f};
    linfdist_attack_options options = make_options(4);
    int32_t labels[MANY];
    many_labels(labels);
    options.p = p;
    options.p_count = LENGTH(p);
    options.restarts = 2;
    memset(a, 0x5a, sizeof *a);
    return linfdist_attack(c, &options, x, MANY_STRIDE, labels, MANY, 0.04, a->adversarial, OUT_STRIDE, a->predicted,
                           a->success);
}

static const inquiry attack = {MANY, sizeof(answers), ask};

static void test_same_bits(void **state) {
    (void)state;
    expect_same_bits(&attack);
}

/* One sample at a time, in place, and nothing between the rows. */
static void test_batch_split(void **state) {
    const float p[] = {INFINITY, 8.0f, 123.4f};
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c = make_certifier(model);
    linfdist_attack_options options = make_options(4);
    float *x = many_pixels(MANY), gap;
    answers *expected = answers_of(&attack, c, x);
    int32_t labels[MANY], predicted, success;
    (void)state;
    many_labels(labels);
    memset(&gap, 0x5a, sizeof gap);
    options.p = p;
    options.p_count = LENGTH(p);
    options.restarts = 2;
    for (int i = MANY - 1; i >= 0; i -= 7) {
        float *pixels = x + i * MANY_STRIDE;
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

static void test_threads(void **state) {
    (void)state;
    expect_same_on_threads(&attack);
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
    expect_refused(&b, &options, 0.1, LINFDIST_ERROR_INVALID_ARGUMENT, "p[1] is 0.5");
    options.p_count = 1;
    options.p = &large_p;
    expect_refused(&b, &options, 0.1, LINFDIST_ERROR_INVALID_ARGUMENT, "p[0] is 1001");
    options.p = &no_p;
    expect_refused(&b, &options, 0.1, LINFDIST_ERROR_INVALID_ARGUMENT, "p[0] is nan");
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

static linfdist_status attack_once(linfdist_context *scripted, scripted_memory *memory, long failing) {
    const linfdist_attack_options options = make_options(2);
    linfdist_model *model = pixel_model(scripted, 5);
    linfdist_certifier *c = make_certifier(model);
    float x[N_IN] = {0}, adversarial[N_IN] = {-1.0f};
    int32_t label = 0, success = -1;
    memory->failing_call = memory->calls + failing;
    linfdist_status status = linfdist_attack(c, &options, x, N_IN, &label, 1, 0.1, adversarial, N_IN, NULL, &success);
    if (status != LINFDIST_OK) assert_true(adversarial[0] == -1.0f && success == -1);
    linfdist_context_destroy(scripted);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    assert_true(fail_each_allocation(attack_once) > 15);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),     cmocka_unit_test(test_batch_split),   cmocka_unit_test(test_threads),
        cmocka_unit_test(test_bad_options),   cmocka_unit_test(test_bad_arguments), cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("attack calls", tests, setup, teardown);
}
