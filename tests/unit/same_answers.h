/* A certifier's answers, whatever they are: the same on every machine and thread. */
#ifndef SAME_ANSWERS_H
#define SAME_ANSWERS_H

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "certifier_support.h"

enum { MANY_STRIDE = N_IN + 1 };

/* One way to ask about some samples of many_pixels. All size bytes of the answers are written. */
typedef struct inquiry {
    int samples;
    size_t size;
    linfdist_status (*ask)(const linfdist_certifier *c, const float *x, void *answers);
} inquiry;

/* malloc. Between the rows are NaNs. */
static inline float *many_pixels(int samples) {
    float *x = malloc((size_t)samples * MANY_STRIDE * sizeof *x);
    pixel_values(x, (size_t)samples * MANY_STRIDE, 123);
    for (int i = 0; i < samples - 1; ++i) x[i * MANY_STRIDE + N_IN] = NAN;
    return x;
}

/* malloc. */
static inline void *answers_of(const inquiry *q, const linfdist_certifier *c, const float *x) {
    void *answers = calloc(1, q->size);
    OK(q->ask(c, x, answers));
    return answers;
}

static inline void expect_same(const inquiry *q, const linfdist_certifier *c, const float *x, const void *expected) {
    void *answers = answers_of(q, c, x);
    assert_memory_equal(answers, expected, q->size);
    free(answers);
}

/* Every instruction set, thread count and rounding mode of the host. */
static inline void expect_same_bits(const inquiry *q) {
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    linfdist_model *model = pixel_model(context, 5);
    linfdist_certifier *c = make_certifier(model);
    float *x = many_pixels(q->samples);
    void *expected = answers_of(q, c, x);
    for (size_t i = 0; i < LENGTH(isas); ++i) {
        for (int32_t threads = 1; threads <= 3 && linfdist_isa_available(isas[i]); ++threads) {
            linfdist_context *own = make_context(threads, isas[i]);
            linfdist_model *other = pixel_model(own, 5);
            linfdist_certifier *certifier = make_certifier(other);
            linfdist_context_destroy(own);
            linfdist_model_destroy(other);
            expect_same(q, certifier, x, expected);
            linfdist_certifier_destroy(certifier);
        }
    }
    fesetround(FE_UPWARD);
    expect_same(q, c, x, expected);
    fesetround(FE_TOWARDZERO);
    expect_same(q, c, x, expected);
    fesetround(FE_TONEAREST);
    free(x);
    free(expected);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
}

typedef struct asker {
    const inquiry *inquiry;
    const linfdist_certifier *certifier;
    const float *x;
    const void *expected;
    int mismatches;
} asker;

static inline void *ask_repeatedly(void *data) {
    asker *a = data;
    void *answers = calloc(1, a->inquiry->size);
    for (int i = 0; i < 3; ++i) {
        const linfdist_status status = a->inquiry->ask(a->certifier, a->x, answers);
        if (status != LINFDIST_OK || memcmp(answers, a->expected, a->inquiry->size) != 0) ++a->mismatches;
    }
    free(answers);
    return NULL;
}

/* Several threads ask one certifier. */
static inline void expect_same_on_threads(const inquiry *q) {
    linfdist_context *own = make_context(2, NULL);
    linfdist_model *model = pixel_model(own, 5);
    linfdist_certifier *c = make_certifier(model);
    float *x = many_pixels(q->samples);
    void *expected = answers_of(q, c, x);
    pthread_t threads[5];
    asker askers[5];
    for (size_t i = 0; i < LENGTH(threads); ++i) {
        askers[i] = (asker){q, c, x, expected, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_repeatedly, &askers[i]), 0);
    }
    for (size_t i = 0; i < LENGTH(threads); ++i) {
        pthread_join(threads[i], NULL);
        assert_int_equal(askers[i].mismatches, 0);
    }
    free(x);
    free(expected);
    linfdist_certifier_destroy(c);
    linfdist_model_destroy(model);
    linfdist_context_destroy(own);
}

#endif
