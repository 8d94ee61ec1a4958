/* What the tests of attacks share: samples to attack, and where adversarial pixels may be. */
#ifndef ATTACK_SUPPORT_H
#define ATTACK_SUPPORT_H

#include <math.h>

#include "certifier_support.h"

static const float surrogates[] = {INFINITY, 8.0f, 40.0f, 300.0f};

/* Few steps with all surrogates. */
static inline linfdist_attack_options make_options(int64_t steps) {
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

static inline void bed_create(bed *b, uint64_t seed) {
    float margin[SAMPLES];
    b->model = pixel_model(context, seed);
    b->certifier = make_certifier(b->model);
    OK(linfdist_run_create(b->model, LINFDIST_RUN_TRAINING, SAMPLES, &b->run));
    pixel_values(b->x, LENGTH(b->x), (uint32_t)seed + 10);
    pixel_predict(b->run, b->x, SAMPLES, b->labels, margin);
}

static inline void bed_destroy(bed *b) {
    linfdist_run_destroy(b->run);
    linfdist_certifier_destroy(b->certifier);
    linfdist_model_destroy(b->model);
}

/* How many succeeded. */
static inline int bed_attack(bed *b, const linfdist_attack_options *options, double eps) {
    int count = 0;
    OK(linfdist_attack(b->certifier, options, b->x, N_IN, b->labels, SAMPLES, eps, b->adversarial, N_IN, b->predicted,
                       b->success));
    for (int i = 0; i < SAMPLES; ++i) count += b->success[i];
    return count;
}

/* |v - x| <= eps without rounding: a difference beyond the range of a long double's bits is far from eps. */
static inline int within(float x, float v, double eps) {
    return fabsl((long double)v - (long double)x) <= (long double)eps;
}

static inline void check_pixels(const bed *b, double eps) {
    for (int i = 0; i < SAMPLES * N_IN; ++i) {
        assert_true(within(b->x[i], b->adversarial[i], eps));
        assert_true(b->adversarial[i] >= 0.0f && b->adversarial[i] <= 1.0f);
    }
}

#endif
