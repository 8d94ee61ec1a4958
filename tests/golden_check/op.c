/* op_*: the l_p distance and its gradients. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

/* In the golden's layout. */
typedef struct op_results {
    const float *y, *grad_x, *grad_w;
} op_results;

static op_results compute(check *c, const check_dims *d) {
    const float p = (float)check_scalar(c, "p");
    const float *x = check_to_rows(c, check_f32(c, "x", d->x_count), d->batch, d->n_in, d->positions);
    const float *grad_y = check_to_rows(c, check_f32(c, "go", d->y_count), d->batch, d->n_out, d->positions);
    const float *w = check_f32(c, "w", d->w_count);
    int32_t *argmax = isinf(p) ? check_array(c, d->y_count, sizeof *argmax) : NULL;
    float *y = CHECK_FLOATS(c, d->y_count), *grad_x = CHECK_FLOATS(c, d->x_count);
    float *grad_w = CHECK_FLOATS(c, d->w_count);
    CHECK(c, linfdist_distance_forward(c->context, &d->shape, p, x, w, y, argmax));
    CHECK(c, linfdist_distance_backward(c->context, &d->shape, p, x, w, y, argmax, grad_y, grad_x, grad_w));
    return (op_results){check_to_planes(c, y, d->batch, d->n_out, d->positions),
                        check_to_planes(c, grad_x, d->batch, d->n_in, d->positions), grad_w};
}

/* Files have tolerances for the kernel rule's triple. Their absolute part is a fraction of the largest expected value
 * (golden README, section 2), and keeps that fraction for the triple without floors. */
static check_tolerance math_tolerance(check *c, const char *name, const double *want, size_t count) {
    check_tolerance tolerance = check_read_tolerance(c, name);
    double kernel_largest = check_largest(check_values(c, name, count), count);
    if (kernel_largest > 0.0) tolerance.absolute *= check_largest(want, count) / kernel_largest;
    return tolerance;
}

static int matches_math(check *c, const char *name, const float *got, size_t count) {
    char math_name[16];
    snprintf(math_name, sizeof math_name, "%s_math", name);
    const double *want = check_values(c, math_name, count);
    return check_mismatch(got, want, count, math_tolerance(c, name, want, count)) == count;
}

static int is_any(const char *text, const char *const *choices) {
    for (; *choices; ++choices)
        if (strcmp(text, *choices) == 0) return 1;
    return 0;
}

void check_op(check *c) {
    static const char *const plain[] = {"random", "scale", NULL};
    static const char *const special[] = {"tiny", "equal", "ties", NULL};
    const char *kind = check_metadata(c, "kind");
    if (!is_any(kind, plain) && !is_any(kind, special)) check_stop(c, "unknown kind %s", kind);
    check_dims d;
    check_read_dims(c, &d);
    const op_results got = compute(c, &d);
    /* The special kinds accept the kernel rule's triple or the one without floors, as a whole. */
    if (is_any(kind, special)) {
        int math = matches_math(c, "y", got.y, d.y_count);
        math &= matches_math(c, "gx", got.grad_x, d.x_count);
        math &= matches_math(c, "gw", got.grad_w, d.w_count);
        if (math) return;
    }
    check_close(c, "y", got.y, d.y_count);
    check_close(c, "gx", got.grad_x, d.x_count);
    check_close(c, "gw", got.grad_w, d.w_count);
}
