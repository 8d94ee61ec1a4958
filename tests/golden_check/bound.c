/* bound_*: interval bounds of the l_inf distance and their gradients. */
#include <string.h>

#include "check.h"

/* The reference's smallest distance. This library has no floor: where the expected bound is the floor, 0 is right, and
 * no gradient passes. */
static const double reference_floor = 1e-10;

/* As rows. */
typedef struct bound_inputs {
    const float *lower, *upper, *w, *grad_lower, *grad_upper;
} bound_inputs;

static bound_inputs read_inputs(check *c, const check_dims *d) {
    return (bound_inputs){
        .lower = check_to_rows(c, check_f32(c, "xl", d->x_count), d->batch, d->n_in, d->positions),
        .upper = check_to_rows(c, check_f32(c, "xu", d->x_count), d->batch, d->n_in, d->positions),
        .w = check_f32(c, "w", d->w_count),
        .grad_lower = check_to_rows(c, check_f32(c, "gl", d->y_count), d->batch, d->n_out, d->positions),
        .grad_upper = check_to_rows(c, check_f32(c, "gu", d->y_count), d->batch, d->n_out, d->positions),
    };
}

/* An inverted interval is refused and leaves the outputs as they were. */
static void check_refusal(check *c, const check_dims *d, const bound_inputs *in) {
    struct {
        float *lower, *upper;
        int32_t *arg_lower, *arg_upper;
    } out = {CHECK_FLOATS(c, d->y_count), CHECK_FLOATS(c, d->y_count), check_array(c, d->y_count, sizeof(int32_t)),
             check_array(c, d->y_count, sizeof(int32_t))};
    for (size_t i = 0; i < d->y_count; ++i) {
        out.lower[i] = out.upper[i] = -77.0f;
        out.arg_lower[i] = out.arg_upper[i] = -77;
    }
    linfdist_status status = linfdist_bounds_forward(c->context, &d->shape, in->lower, in->upper, in->w, out.lower,
                                                     out.upper, out.arg_lower, out.arg_upper);
    if (status != LINFDIST_ERROR_INVERTED_INTERVAL)
        check_fail(c, "status is %d (%s), not inverted interval", (int)status, linfdist_status_string(status));
    for (size_t i = 0; i < d->y_count; ++i) {
        if (out.lower[i] != -77.0f || out.upper[i] != -77.0f || out.arg_lower[i] != -77 || out.arg_upper[i] != -77)
            check_stop(c, "the refused call wrote output %zu", i);
    }
}

/* The expected values of a bound without the floor. */
static double *without_floor(check *c, const char *name, size_t count) {
    const double *want = check_values(c, name, count);
    double *exact = check_array(c, count, sizeof *exact);
    for (size_t i = 0; i < count; ++i) exact[i] = want[i] == reference_floor ? 0.0 : want[i];
    return exact;
}

/* The reference sends the gradient of a floored upper bound to channel 0 of its group: takes it out again. */
static void remove_floor_gradient(check *c, const check_dims *d, double *grad_xu, double *grad_w) {
    const double *yu = check_values(c, "yu", d->y_count), *grad_yu = check_values(c, "gu", d->y_count);
    const size_t group_in = d->n_in / d->groups, group_out = d->n_out / d->groups;
    for (size_t i = 0; i < d->y_count; ++i) {
        if (yu[i] != reference_floor) continue;
        const size_t position = i % d->positions, output = i / d->positions % d->n_out;
        const size_t sample = i / d->positions / d->n_out, channel = output / group_out * group_in;
        grad_xu[(sample * d->n_in + channel) * d->positions + position] -= grad_yu[i];
        grad_w[output * group_in] += grad_yu[i];
    }
}

static double *copy_values(check *c, const char *name, size_t count) {
    double *copy = check_array(c, count, sizeof *copy);
    memcpy(copy, check_values(c, name, count), count * sizeof *copy);
    return copy;
}

static void compare_inputs_side(check *c, const check_dims *d, const char *name, const float *rows,
                                const double *want) {
    check_close_within(c, name, check_to_planes(c, rows, d->batch, d->n_in, d->positions), want, d->x_count,
                       check_read_tolerance(c, name));
}

static void compare_bound(check *c, const check_dims *d, const char *name, const float *rows) {
    check_close_within(c, name, check_to_planes(c, rows, d->batch, d->n_out, d->positions),
                       without_floor(c, name, d->y_count), d->y_count, check_read_tolerance(c, name));
}

static void check_values_and_gradients(check *c, const check_dims *d, const bound_inputs *in) {
    float *yl = CHECK_FLOATS(c, d->y_count), *yu = CHECK_FLOATS(c, d->y_count);
    float *grad_xl = CHECK_FLOATS(c, d->x_count), *grad_xu = CHECK_FLOATS(c, d->x_count);
    float *grad_w = CHECK_FLOATS(c, d->w_count);
    int32_t *arg_l = check_array(c, d->y_count, sizeof *arg_l), *arg_u = check_array(c, d->y_count, sizeof *arg_u);
    CHECK(c, linfdist_bounds_forward(c->context, &d->shape, in->lower, in->upper, in->w, yl, yu, arg_l, arg_u));
    CHECK(c, linfdist_bounds_backward(c->context, &d->shape, in->lower, in->upper, in->w, arg_l, arg_u, in->grad_lower,
                                      in->grad_upper, grad_xl, grad_xu, grad_w));

    double *want_xu = copy_values(c, "g_xu", d->x_count), *want_w = copy_values(c, "g_w", d->w_count);
    remove_floor_gradient(c, d, want_xu, want_w);
    compare_bound(c, d, "yl", yl);
    compare_bound(c, d, "yu", yu);
    compare_inputs_side(c, d, "g_xl", grad_xl, check_values(c, "g_xl", d->x_count));
    compare_inputs_side(c, d, "g_xu", grad_xu, want_xu);
    check_close_within(c, "g_w", grad_w, want_w, d->w_count, check_read_tolerance(c, "g_w"));
}

void check_bound(check *c) {
    static const char *const kinds[] = {"random", "zero", "inside", "mixed", "inverted", "ties", "point_equal"};
    const char *kind = check_metadata(c, "kind");
    size_t known = 0;
    while (known < sizeof kinds / sizeof *kinds && strcmp(kind, kinds[known]) != 0) ++known;
    if (known == sizeof kinds / sizeof *kinds) check_stop(c, "unknown kind %s", kind);
    check_dims d;
    check_read_dims(c, &d);
    const bound_inputs in = read_inputs(c, &d);
    if (strcmp(kind, "inverted") == 0)
        check_refusal(c, &d, &in);
    else
        check_values_and_gradients(c, &d, &in);
}
