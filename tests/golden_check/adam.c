/* opt_adam: steps of Adam on plain numbers. */
#include <stdio.h>
#include <string.h>

#include "check.h"

/* The file gives a tolerance for the parameters only; the moments get the rule of golden README, section 2. */
static void compare_moment(check *c, const char *name, const float *got, size_t count) {
    const double *want = check_values(c, name, count);
    check_close_within(c, name, got, want, count, (check_tolerance){1e-6, 1e-6 * check_largest(want, count)});
}

void check_adam(check *c) {
    const golden_tensor *grads = golden_find(c->file, "grads");
    if (!grads || grads->dims != 2) check_stop(c, "tensor grads is missing or not two-dimensional");
    const size_t steps = grads->shape[0], n = grads->shape[1];
    const float *gradients = check_f32(c, "grads", grads->count);
    const double *lr = check_values(c, "lr", steps), *want = check_values(c, "params", grads->count);
    const check_tolerance tolerance = check_read_tolerance(c, "params");
    float *w = CHECK_FLOATS(c, n), *m = CHECK_FLOATS(c, n), *v = CHECK_FLOATS(c, n);
    memcpy(w, check_f32(c, "p0", n), n * sizeof *w);

    linfdist_adam_options options;
    CHECK(c, linfdist_adam_options_init(&options, sizeof options));
    options.beta1 = check_number(c, "beta1");
    options.beta2 = check_number(c, "beta2");
    options.epsilon = check_number(c, "epsilon");
    for (size_t t = 0; t < steps; ++t) {
        char name[48];
        CHECK(c, linfdist_adam_update(c->context, &options, (int64_t)n, (int64_t)t + 1, lr[t], gradients + t * n, w, m,
                                      v));
        snprintf(name, sizeof name, "params of step %zu", t);
        check_close_within(c, name, w, want + t * n, n, tolerance);
    }
    compare_moment(c, "exp_avg", m, n);
    compare_moment(c, "exp_avg_sq", v, n);
}
