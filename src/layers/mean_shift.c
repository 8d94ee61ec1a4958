/* Mean shift: subtracts the mean of every feature, the batch's in TRAIN (the gradient flows through it), the running
 * one in EVALUATE. */
#include "../ops.h"
#include "layer.h"

#include <string.h>

static const float momentum = 0.1f;

static void describe(const lfd_layer_spec *spec, lfd_tensor *tensors) {
    lfd_layer_tensor(spec, ".mean_shift.running_mean", LINFDIST_ROLE_RUNNING_MEAN, spec->n_out, 0, &tensors[0]);
}

/* The batch's mean until commit; the mean of the gradients in backward. */
static void workspace(const lfd_layer_spec *spec, size_t max_batch, size_t *rows, size_t *columns) {
    (void)max_batch;
    *rows = 1;
    *columns = (size_t)spec->n_out;
}

static void shift(const lfd_layer_pass *pass, const float *x, const float *mean, float *y) {
    lfd_channel_shift(pass->context, pass->batch, (size_t)pass->spec->n_out, 1, x, mean, y);
}

static void forward(const lfd_layer_pass *pass, const float *x, float *y) {
    const float *mean = pass->tensors[0].data;
    if (pass->mode == LINFDIST_TRAIN) {
        lfd_channel_mean(pass->context, pass->batch, (size_t)pass->spec->n_out, 1, x, pass->workspace);
        mean = pass->workspace;
    }
    shift(pass, x, mean, y);
}

static void forward_bounds(const lfd_layer_pass *pass, const float *x_lower, const float *x_upper, float *y_lower,
                           float *y_upper) {
    shift(pass, x_lower, pass->tensors[0].data, y_lower);
    shift(pass, x_upper, pass->tensors[0].data, y_upper);
}

/* dL/dx = dL/dy - mean over the batch of dL/dy. */
static void backward(const lfd_layer_pass *pass, const float *x, const float *y, const float *grad_y, float *grad_x) {
    size_t n = (size_t)pass->spec->n_out;
    (void)x;
    (void)y;
    if (!grad_x) return;
    if (pass->mode == LINFDIST_TRAIN) {
        lfd_channel_mean(pass->context, pass->batch, n, 1, grad_y, pass->workspace);
        shift(pass, grad_y, pass->workspace, grad_x);
    } else {
        memcpy(grad_x, grad_y, pass->batch * n * sizeof *grad_x);
    }
}

static void commit(const lfd_layer_pass *pass) {
    lfd_running_mean((size_t)pass->spec->n_out, momentum, pass->workspace, pass->tensors[0].data);
}

const struct lfd_layer_ops lfd_layer_mean_shift = {
    .kind = LINFDIST_LAYER_MEAN_SHIFT,
    .label = "mean_shift",
    .tensor_count = 1,
    .check = lfd_layer_check_elementwise,
    .describe = describe,
    .workspace = workspace,
    .forward = forward,
    .forward_bounds = forward_bounds,
    .backward = backward,
    .commit = commit,
};
