/* PGD images of a state: the reference's attack without a random start, in normalized units, on the first samples. */
#include <math.h>
#include <stdio.h>

#include "train.h"

enum { STEPS = 6 };

static void destroy_certifier(void *certifier) {
    linfdist_certifier_destroy(certifier);
}

/* Raw pixels that are normalized already, valid from down to up. */
static linfdist_certifier *make_certifier(check *c, const train_case *t) {
    const double mean = 0.0;
    const linfdist_statistics statistics = {sizeof statistics,    1, &mean, 1.0, check_scalar(c, "down"),
                                            check_scalar(c, "up")};
    linfdist_certifier *certifier = NULL;
    CHECK(c, linfdist_model_set_statistics(t->model, &statistics));
    CHECK(c, linfdist_certifier_create(t->model, &certifier));
    check_own(c, certifier, destroy_certifier);
    CHECK(c, linfdist_model_set_statistics(t->model, NULL));
    return certifier;
}

/* At most the file's fraction of pixels beyond its tolerance. */
static void compare_pixels(check *c, const char *name, const float *got, size_t count) {
    char key[64];
    const double *want = check_values(c, name, count);
    const check_tolerance tolerance = check_read_tolerance(c, name);
    size_t mismatches = 0;
    snprintf(key, sizeof key, "dev.%s.mismatch_fraction", name);
    for (size_t i = 0; i < count; ++i) mismatches += check_mismatch(got + i, want + i, 1, tolerance) == 0;
    if ((double)mismatches > check_number(c, key) * (double)count)
        check_fail(c, "%s: %zu of %zu pixels differ", name, mismatches, count);
}

static void check_images(check *c, const train_case *t, const linfdist_certifier *certifier, float p,
                         const char *pixels_name, const char *logits_name) {
    const golden_tensor *images = golden_find(c->file, pixels_name);
    const size_t samples = images && images->dims > 0 ? images->shape[0] : 0, count = samples * t->n_in;
    if (samples == 0 || samples > t->eval_count) check_stop(c, "tensor %s is missing or too long", pixels_name);
    const float *x = check_f32(c, "eval.x", t->eval_count * t->n_in);
    const int32_t *labels = check_i32(c, "eval.y", t->eval_count);
    float *adversarial = CHECK_FLOATS(c, count);
    linfdist_attack_options options;
    CHECK(c, linfdist_attack_options_init(&options, sizeof options));
    options.steps = STEPS;
    options.random_start = 0;
    options.last_iterate = 1;
    options.p_count = 1;
    options.p = &p;
    CHECK(c, linfdist_attack(certifier, &options, x, (int64_t)t->n_in, labels, (int64_t)samples,
                             check_scalar(c, "eval.eps"), adversarial, (int64_t)t->n_in, NULL, NULL));
    compare_pixels(c, pixels_name, adversarial, count);
    CHECK(c, linfdist_forward(t->run, adversarial, (int64_t)t->n_in, (int64_t)samples, LINFDIST_EVALUATE, p));
    check_close(c, logits_name, train_logits(c, t, train_outputs(c, t, t->run, samples), samples),
                samples * t->classes);
}

void train_check_attack(check *c, const train_case *t) {
    const linfdist_certifier *certifier = make_certifier(c, t);
    check_images(c, t, certifier, 8.0f, "pgd.x_p8", "pgd.logits_p8");
    check_images(c, t, certifier, INFINITY, "pgd.x_inf", "pgd.logits_inf");
}
