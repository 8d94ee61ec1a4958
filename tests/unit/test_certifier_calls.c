/* Certifiers from outside: the same answers for every chunk, machine and thread, whatever becomes of the model; what
 * they refuse; memory that runs out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "file_support.h"
#include "same_answers.h"

/* ---- sameness ---- */

enum { MANY = 600 }; /* more than one chunk, the last not full */

typedef struct answers {
    int32_t predicted[MANY], certified[MANY];
    float margin[MANY], radius[MANY];
} answers;

static linfdist_status ask(const linfdist_certifier *c, const float *x, void *data) {
    answers *a = data;
    linfdist_status status = linfdist_certify(c, INTERVAL, x, MANY_STRIDE, MANY, a->predicted, a->margin, a->radius);
    if (status != LINFDIST_OK) return status;
    return linfdist_certify_at(c, INTERVAL, x, MANY_STRIDE, MANY, 0.03, NULL, a->certified);
}

static const inquiry both_calls = {MANY, sizeof(answers), ask};

static void test_chunks(void **state) {
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c = make_certifier(model);
    float *x = many_pixels(MANY), margin, radius;
    answers *a = answers_of(&both_calls, c, x);
    int32_t predicted;
    (void)state;
    for (int i = 0; i < MANY; i += 17) {
        OK(linfdist_certify(c, INTERVAL, x + i * MANY_STRIDE, N_IN, 1, &predicted, &margin, &radius));
        assert_true(predicted == a->predicted[i] && margin == a->margin[i] && radius == a->radius[i]);
        assert_int_equal(certified_at(c, INTERVAL, x + i * MANY_STRIDE, 0.03), a->certified[i]);
    }
    free(x);
    free(a);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

static void test_same_bits(void **state) {
    (void)state;
    expect_same_bits(&both_calls);
}

/* Later changes of the model, and its end, are not seen. */
static void test_snapshot(void **state) {
    linfdist_context *own = make_context(1, NULL);
    linfdist_model *model = pixel_model(own, 5);
    linfdist_certifier *c = make_certifier(model);
    float *x = many_pixels(MANY);
    answers *expected = answers_of(&both_calls, c, x);
    (void)state;
    linfdist_context_destroy(own);
    net_disturb(model, 99);
    net_tensor(model, "fc_dist.1.weight").data[3] = NAN;
    OK(linfdist_model_set_statistics(model, NULL));
    expect_same(&both_calls, c, x, expected);
    linfdist_model_destroy(model);
    expect_same(&both_calls, c, x, expected);
    free(x);
    free(expected);
    linfdist_certifier_destroy(c);
}

static void test_threads(void **state) {
    (void)state;
    expect_same_on_threads(&both_calls);
}

/* ---- errors ---- */

static void expect_no_certifier(float scalar, float weight, linfdist_status status, const char *text) {
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c = NULL;
    net_tensor(model, "scalar").data[0] = scalar;
    net_tensor(model, "fc_dist.1.weight").data[9] = weight;
    FAILS(linfdist_certifier_create(model, &c), status, text);
    assert_null(c);
    linfdist_model_destroy(model);
}

static void test_refused_models(void **state) {
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c = NULL;
    (void)state;
    expect_no_certifier(0.0f, 1.0f, LINFDIST_ERROR_RANGE, "scalar is 0");
    expect_no_certifier(-2.0f, 1.0f, LINFDIST_ERROR_RANGE, "scalar is -2");
    expect_no_certifier(NAN, 1.0f, LINFDIST_ERROR_RANGE, "scalar is nan");
    expect_no_certifier(INFINITY, 1.0f, LINFDIST_ERROR_RANGE, "scalar is inf");
    expect_no_certifier(1.0f, NAN, LINFDIST_ERROR_NOT_FINITE, "fc_dist.1.weight");
    expect_no_certifier(1.0f, 1e38f, LINFDIST_ERROR_NOT_FINITE, "fc_dist.1.weight");
    FAILS(linfdist_certifier_create(NULL, &c), LINFDIST_ERROR_INVALID_ARGUMENT, "model");
    FAILS(linfdist_certifier_create(model, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "certifier");
    linfdist_certifier_destroy(NULL);
    linfdist_model_destroy(model);
}

/* The bad pixel is in the last chunk; no output was touched. */
static void expect_bad_pixel(const linfdist_certifier *c, float value, linfdist_status status, const char *text) {
    float *x = many_pixels(MANY);
    answers *a = malloc(sizeof *a), *before = malloc(sizeof *a);
    memset(a, 0x5a, sizeof *a);
    memcpy(before, a, sizeof *a);
    x[(MANY - 1) * MANY_STRIDE + 7] = value;
    FAILS(linfdist_certify(c, MARGIN, x, MANY_STRIDE, MANY, a->predicted, a->margin, a->radius), status, text);
    FAILS(linfdist_certify_at(c, INTERVAL, x, MANY_STRIDE, MANY, 0.1, a->predicted, a->certified), status, text);
    assert_memory_equal(a, before, sizeof *a);
    free(x);
    free(a);
    free(before);
}

/* Pixels are checked several at a time: each of a wide sample is, against both ends. */
static void test_every_pixel(void **state) {
    enum { WIDE = 35 };
    static const double mean = 0.5;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, 0.5, 0.0, 1.0};
    static const float bad[] = {1.25f, -0.25f};
    linfdist_model *model = net_mlp(context, 1, 4, WIDE, 3, 1);
    float x[2 * WIDE] = {0}, radius[2] = {7, 7};
    char text[64];
    (void)state;
    OK(linfdist_model_set_statistics(model, &statistics));
    linfdist_certifier *c = make_certifier(model);
    for (int i = 0; i < WIDE; ++i)
        for (int end = 0; end < 2; ++end) {
            x[WIDE + i] = bad[end];
            (void)snprintf(text, sizeof text, "pixel %d of sample 1 is %g", i, (double)bad[end]);
            FAILS(linfdist_certify(c, MARGIN, x, WIDE, 2, NULL, NULL, radius), LINFDIST_ERROR_RANGE, text);
            x[WIDE + i] = NAN;
            FAILS(linfdist_certify(c, MARGIN, x, WIDE, 2, NULL, NULL, radius), LINFDIST_ERROR_NOT_FINITE, "x");
            x[WIDE + i] = 1.0f - (float)end;
            OK(linfdist_certify(c, MARGIN, x, WIDE, 2, NULL, NULL, NULL));
        }
    assert_true(radius[0] == 7.0f && radius[1] == 7.0f);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

static void test_bad_arguments(void **state) {
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c = make_certifier(model);
    float x[N_IN] = {0}, radius;
    int32_t certified;
    (void)state;
    expect_bad_pixel(c, NAN, LINFDIST_ERROR_NOT_FINITE, "x");
    expect_bad_pixel(c, INFINITY, LINFDIST_ERROR_NOT_FINITE, "x");
    expect_bad_pixel(c, 1.5f, LINFDIST_ERROR_RANGE, "pixel 7 of sample 599 is 1.5");
    expect_bad_pixel(c, -0.25f, LINFDIST_ERROR_RANGE, "pixel 7 of sample 599 is -0.25");
    expect_bad_pixel(c, -1e-40f, LINFDIST_ERROR_RANGE, "pixel 7 of sample 599 is -");
    FAILS(linfdist_certify(NULL, MARGIN, x, N_IN, 1, NULL, NULL, &radius), LINFDIST_ERROR_INVALID_ARGUMENT,
          "certifier");
    FAILS(linfdist_certify(c, MARGIN, NULL, N_IN, 1, NULL, NULL, &radius), LINFDIST_ERROR_INVALID_ARGUMENT, "x");
    FAILS(linfdist_certify(c, 0, x, N_IN, 1, NULL, NULL, &radius), LINFDIST_ERROR_INVALID_ARGUMENT, "method is 0");
    FAILS(linfdist_certify(c, 3, x, N_IN, 1, NULL, NULL, &radius), LINFDIST_ERROR_INVALID_ARGUMENT, "method is 3");
    FAILS(linfdist_certify(c, MARGIN, x, 3, 1, NULL, NULL, &radius), LINFDIST_ERROR_INVALID_ARGUMENT, "x");
    FAILS(linfdist_certify(c, MARGIN, x, N_IN, 0, NULL, NULL, &radius), LINFDIST_ERROR_INVALID_ARGUMENT, "x");
    FAILS(linfdist_certify(c, MARGIN, x, INT64_MAX, 9, NULL, NULL, &radius), LINFDIST_ERROR_INVALID_ARGUMENT, "x");
    FAILS(linfdist_certify_at(c, MARGIN, x, N_IN, 1, 0.1, NULL, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "certified");
    FAILS(linfdist_certify_at(c, MARGIN, x, N_IN, 1, NAN, NULL, &certified), LINFDIST_ERROR_INVALID_ARGUMENT, "nan");
    FAILS(linfdist_certify_at(c, MARGIN, x, N_IN, 1, -0.1, NULL, &certified), LINFDIST_ERROR_INVALID_ARGUMENT, "-0.1");
    FAILS(linfdist_certify_at(c, MARGIN, x, N_IN, 1, INFINITY, NULL, &certified), LINFDIST_ERROR_INVALID_ARGUMENT,
          "eps_raw is inf");
    OK(linfdist_certify(c, MARGIN, x, N_IN, 1, NULL, NULL, NULL));
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

/* Every allocation fails in turn, of the certifier and of its calls. Preparing layers may fail unnoticed, without a
 * trace in the last error. */
static void test_out_of_memory(void **state) {
    long failures = 0, refused = 0, calls;
    (void)state;
    do {
        scripted_memory memory = {0};
        linfdist_context *scripted = scripted_context(&memory);
        linfdist_model *model = pixel_model(scripted, 5);
        linfdist_certifier *c = NULL;
        float x[N_IN] = {0}, radius = -1.0f;
        memory.failing_call = memory.calls + ++failures;
        char before[512];
        strcpy(before, linfdist_last_error());
        linfdist_status status = linfdist_certifier_create(model, &c);
        if (status == LINFDIST_OK) assert_string_equal(linfdist_last_error(), before);
        if (status == LINFDIST_OK) status = linfdist_certify(c, INTERVAL, x, N_IN, 1, NULL, NULL, &radius);
        assert_true(status == LINFDIST_OK || (status == LINFDIST_ERROR_OUT_OF_MEMORY && radius == -1.0f));
        refused += status != LINFDIST_OK;
        calls = memory.failing_call - memory.calls;
        linfdist_context_destroy(scripted);
        linfdist_certifier_destroy(c);
        linfdist_model_destroy(model);
        assert_int_equal(memory.live, 0);
    } while (calls <= 0);
    assert_true(refused > 15);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),      cmocka_unit_test(test_same_bits),      cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_threads),     cmocka_unit_test(test_refused_models), cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_every_pixel), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("certifier calls", tests, setup, teardown);
}
