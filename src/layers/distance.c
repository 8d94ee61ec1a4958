/* The distance layer: y_j = ||x - w_j||_p over the inputs of j's group. */
#include "../ops.h"
#include "layer.h"

#include <math.h>
#include <string.h>

/* The kernels' argmaxes are int32. */
static linfdist_status check(const lfd_layer_spec *spec) {
    if (spec->n_in > INT32_MAX || spec->groups < 1 || spec->n_in % spec->groups != 0 ||
        spec->n_out % spec->groups != 0) {
        return lfd_fail(LINFDIST_ERROR_SHAPE, "layer %s: groups %lld must divide n_in %lld (below 2^31) and n_out %lld",
                        spec->name, (long long)spec->groups, (long long)spec->n_in, (long long)spec->n_out);
    }
    return LINFDIST_OK;
}

static void describe(const lfd_layer_spec *spec, lfd_tensor *tensors) {
    lfd_layer_tensor(spec, ".weight", LINFDIST_ROLE_WEIGHT, spec->n_out, spec->n_in / spec->groups, &tensors[0]);
    tensors[0].lp_rows = 1;
}

/* The argmaxes of an l_inf pass. */
static void workspace(const lfd_layer_spec *spec, size_t max_batch, size_t *rows, size_t *columns) {
    *rows = max_batch;
    *columns = (size_t)spec->n_out;
}

static lfd_dims dims_of(const lfd_layer_pass *pass) {
    const lfd_layer_spec *spec = pass->spec;
    lfd_dims dims = {
        .batch = pass->batch,
        .n_in = (size_t)spec->n_in,
        .n_out = (size_t)spec->n_out,
        .groups = (size_t)spec->groups,
        .x_stride = (size_t)spec->n_in,
        .w_stride = (size_t)(spec->n_in / spec->groups),
        .y_stride = (size_t)spec->n_out,
    };
    return dims;
}

static int32_t *argmax_of(const lfd_layer_pass *pass) {
    return isinf(pass->p) ? pass->workspace : NULL;
}

static void forward(const lfd_layer_pass *pass, const float *x, float *y) {
    lfd_dims dims = dims_of(pass);
    lfd_distance_forward(pass->context, &dims, pass->p, x, pass->tensors[0].data, y, argmax_of(pass));
}

static void forward_bounds(const lfd_layer_pass *pass, const float *x_lower, const float *x_upper, float *y_lower,
                           float *y_upper) {
    lfd_dims dims = dims_of(pass);
    lfd_bounds_forward(pass->context, &dims, x_lower, x_upper, pass->tensors[0].data, y_lower, y_upper, NULL, NULL);
}

static void backward(const lfd_layer_pass *pass, const float *x, const float *y, const float *grad_y, float *grad_x) {
    lfd_dims dims = dims_of(pass);
    if (grad_x) memset(grad_x, 0, dims.batch * dims.n_in * sizeof *grad_x);
    lfd_distance_backward(pass->context, &dims, pass->p, x, pass->tensors[0].data, y, argmax_of(pass), grad_y, grad_x,
                          pass->gradients ? pass->gradients[0] : NULL);
}

const struct lfd_layer_ops lfd_layer_distance = {
    .kind = LINFDIST_LAYER_DISTANCE,
    .label = "distance",
    .tensor_count = 1,
    .check = check,
    .describe = describe,
    .workspace = workspace,
    .forward = forward,
    .forward_bounds = forward_bounds,
    .backward = backward,
};
