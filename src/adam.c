#include "ops.h"

#include "../lib/math.h"

#include <float.h>

linfdist_status linfdist_adam_options_init(linfdist_adam_options *options, size_t struct_size) {
    const linfdist_adam_options defaults = {
        .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-10, .decay = LINFDIST_DECAY_PLAIN};
    return lfd_options_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "options");
}

linfdist_status lfd_adam_options_read(linfdist_adam_options *options, const linfdist_adam_options *given) {
    LFD_TRY(linfdist_adam_options_init(options, sizeof *options));
    if (given) LFD_TRY(lfd_options_read(options, sizeof *options, sizeof *options, given, "options"));
    /* Closer to 1, the corrections 1 - beta^t of the first steps would drown in rounding. */
    LFD_TRY(lfd_check_number("beta1", options->beta1, 0, 0.999999));
    LFD_TRY(lfd_check_number("beta2", options->beta2, 0, 0.999999));
    /* As a float it must not become 0, which would make 0 / 0 of a gradient that never came. */
    LFD_TRY(lfd_check_number("epsilon", options->epsilon, FLT_MIN, 1));
    LFD_TRY(lfd_check_number("weight_decay", options->weight_decay, 0, 1));
    return lfd_check_count("decay", options->decay, LINFDIST_DECAY_PLAIN, LINFDIST_DECAY_LP);
}

typedef struct preparation {
    lfd_adam *adam;
    double beta1, beta2, epsilon, lr;
    int64_t t;
} preparation;

static void prepare(void *data, size_t index) {
    (void)index;
    const preparation *from = data;
    *from->adam = (lfd_adam){
        .beta1 = (float)from->beta1,
        .one_minus_beta1 = (float)(1 - from->beta1),
        .beta2 = (float)from->beta2,
        .one_minus_beta2 = (float)(1 - from->beta2),
        .step_size = (float)(from->lr / (1 - lfd_pow(from->beta1, (double)from->t))),
        .sqrt_correction = (float)lfd_sqrt(1 - lfd_pow(from->beta2, (double)from->t)),
        .epsilon = (float)from->epsilon,
    };
}

void lfd_adam_prepare(lfd_adam *adam, double beta1, double beta2, double epsilon, int64_t t, double lr) {
    preparation from = {adam, beta1, beta2, epsilon, lr, t};
    lfd_serial_for(prepare, &from, 1);
}

linfdist_status lfd_check_second_moments(linfdist_context *context, const float *v, size_t n, const char *name) {
    char text[32];
    LFD_TRY(lfd_check_matrix(context, v, 1, n, n, name));
    const size_t found = lfd_first_outside(context, v, 1, n, n, 0.0f, LFD_LIMIT);
    if (found == SIZE_MAX) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_RANGE, "%s is %s at %zu, must not be negative", name,
                    lfd_format_double(text, (double)v[found]), found);
}

linfdist_status linfdist_adam_update(linfdist_context *context, const linfdist_adam_options *options, int64_t n,
                                     int64_t step, double lr, const float *gradient, float *w, float *m, float *v) {
    linfdist_adam_options read;
    LFD_REQUIRE(context);
    LFD_REQUIRE(gradient);
    LFD_REQUIRE(w);
    LFD_REQUIRE(m);
    LFD_REQUIRE(v);
    LFD_TRY(lfd_adam_options_read(&read, options));
    LFD_TRY(lfd_check_extent("gradient", 1, n, n));
    LFD_TRY(lfd_check_count("step", step, 1, INT64_MAX));
    LFD_TRY(lfd_check_number("lr", lr, 0, (double)LFD_LIMIT));
    LFD_TRY(lfd_check_decay_rate(lr, read.weight_decay));
    const size_t count = (size_t)n;
    LFD_TRY(lfd_check_gradient(context, gradient, 1, count, "gradient"));
    LFD_TRY(lfd_check_matrix(context, w, 1, count, count, "w"));
    LFD_TRY(lfd_check_matrix(context, m, 1, count, count, "m"));
    LFD_TRY(lfd_check_second_moments(context, v, count, "v"));
    lfd_lp_decay(context, count, 1, 2, lr, read.weight_decay, w);
    lfd_adam adam;
    lfd_adam_prepare(&adam, read.beta1, read.beta2, read.epsilon, step, lr);
    lfd_adam_apply(context, &adam, count, gradient, w, m, v);
    return LINFDIST_OK;
}
