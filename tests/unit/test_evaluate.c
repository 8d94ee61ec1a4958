/* Accuracy at any p, against one pass over all images at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "evaluate.h"

#include <linfdist/linfdist.h>

#include <math.h>
#include <stdlib.h>

#define IMAGES 1100 /* more than two calls take */
#define PIXELS 784

typedef struct fixture {
    dataset data;
    linfdist_context *context;
    linfdist_model *model;
    linfdist_run *run;
    float *x;
} fixture;

static void set_up(fixture *f) {
    problem what;
    linfdist_mlp_options options;
    assert_int_equal(dataset_open(&f->data, "digits:1,1100", 5, DATASET_TEST, &what), 0);
    assert_int_equal(linfdist_context_create(NULL, &f->context), LINFDIST_OK);
    assert_int_equal(linfdist_mlp_options_init(&options, sizeof options), LINFDIST_OK);
    options.channels = 1;
    options.height = options.width_px = 28;
    options.classes = 10;
    options.depth = 2;
    options.width = 16;
    options.seed = 3;
    linfdist_statistics statistics = {sizeof statistics, 1, f->data.mean, f->data.std, 0.0, 1.0};
    assert_int_equal(linfdist_model_create_mlp(f->context, &options, &f->model), LINFDIST_OK);
    assert_int_equal(linfdist_model_set_statistics(f->model, &statistics), LINFDIST_OK);
    assert_int_equal(linfdist_run_create(f->model, LINFDIST_RUN_TRAINING, IMAGES, &f->run), LINFDIST_OK);
    f->x = malloc(sizeof *f->x * IMAGES * PIXELS);
    assert_non_null(f->x);
    for (int64_t i = 0; i < (int64_t)IMAGES * PIXELS; ++i)
        f->x[i] = (float)(((double)((float)f->data.test.pixels[i] / 255.0f) - f->data.mean[0]) / f->data.std);
    /* Running means that are not zero. */
    assert_int_equal(linfdist_forward(f->run, f->x, PIXELS, IMAGES, LINFDIST_TRAIN, 8), LINFDIST_OK);
}

static void tear_down(fixture *f) {
    free(f->x);
    linfdist_run_destroy(f->run);
    linfdist_model_destroy(f->model);
    linfdist_context_destroy(f->context);
    dataset_close(&f->data);
}

static double expected(fixture *f, int32_t mode, float p) {
    const float *distances;
    int64_t batch, classes, right = 0;
    assert_int_equal(linfdist_forward(f->run, f->x, PIXELS, IMAGES, mode, p), LINFDIST_OK);
    assert_int_equal(linfdist_run_outputs(f->run, &distances, &batch, &classes), LINFDIST_OK);
    for (int64_t i = 0; i < batch; ++i) {
        int64_t best = 0;
        for (int64_t k = 1; k < classes; ++k)
            if (distances[i * classes + k] < distances[i * classes + best]) best = k;
        right += best == f->data.test.labels[i];
    }
    return (double)right / IMAGES;
}

static void test_accuracy_at_p(void **state) {
    (void)state;
    problem what;
    fixture f;
    linfdist_certifier *certifier = NULL;
    accuracy at_infinity;
    double at_8 = -1, at_50 = -1, at_inf = -1;
    set_up(&f);
    assert_int_equal(evaluate_at(f.model, 8, &f.data, &f.data.test, &at_8, &what), 0);
    assert_int_equal(evaluate_at(f.model, 50, &f.data, &f.data.test, &at_50, &what), 0);
    assert_int_equal(evaluate_at(f.model, INFINITY, &f.data, &f.data.test, &at_inf, &what), 0);
    assert_true(at_8 == expected(&f, LINFDIST_EVALUATE, 8));
    assert_true(at_50 == expected(&f, LINFDIST_EVALUATE, 50));
    assert_true(at_8 != at_50 && at_50 != at_inf); /* p matters to this net */
    assert_int_equal(linfdist_certifier_create(f.model, &certifier), LINFDIST_OK);
    assert_int_equal(evaluate(certifier, LINFDIST_METHOD_MARGIN, &f.data, &f.data.test, IMAGES, 0, &at_infinity, &what),
                     0);
    assert_true(at_inf == accuracy_clean(&at_infinity));
    assert_true(at_8 != expected(&f, LINFDIST_TRAIN, 8)); /* nor would the batch's means do; moves the running means */
    linfdist_certifier_destroy(certifier);
    tear_down(&f);
}

static void test_problems_are_told(void **state) {
    (void)state;
    problem what;
    fixture f;
    double right;
    set_up(&f);
    assert_int_equal(evaluate_at(f.model, 0.5, &f.data, &f.data.test, &right, &what), -1);
    assert_non_null(what.text);
    assert_true(what.text[0] != '\0');
    tear_down(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accuracy_at_p), cmocka_unit_test(test_problems_are_told)};
    return cmocka_run_group_tests_name("evaluate", tests, NULL, NULL);
}
