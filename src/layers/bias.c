/* The bias layer: y = x + b. */
#include "layer.h"

#include <string.h>

static void describe(const lfd_layer_spec *spec, lfd_tensor *tensors) {
    lfd_layer_tensor(spec, ".bias", LINFDIST_ROLE_BIAS, spec->n_out, 0, &tensors[0]);
}

static void forward(const lfd_layer_pass *pass, const float *x, float *y) {
    const float *bias = pass->tensors[0].data;
    size_t n = (size_t)pass->spec->n_out;
    for (size_t b = 0; b < pass->batch; ++b) {
        for (size_t j = 0; j < n; ++j) y[b * n + j] = x[b * n + j] + bias[j];
    }
}

static void forward_bounds(const lfd_layer_pass *pass, const float *x_lower, const float *x_upper, float *y_lower,
                           float *y_upper) {
    forward(pass, x_lower, y_lower);
    forward(pass, x_upper, y_upper);
}

static void backward(const lfd_layer_pass *pass, const float *x, const float *y, const float *grad_y, float *grad_x) {
    size_t n = (size_t)pass->spec->n_out;
    (void)x;
    (void)y;
    for (size_t j = 0; pass->gradients && j < n; ++j) {
        double sum = 0.0;
        for (size_t b = 0; b < pass->batch; ++b) sum += (double)grad_y[b * n + j];
        pass->gradients[0][j] += (float)sum;
    }
    if (grad_x) memcpy(grad_x, grad_y, pass->batch * n * sizeof *grad_x);
}

const struct lfd_layer_ops lfd_layer_bias = {
    .kind = LINFDIST_LAYER_BIAS,
    .label = "bias",
    .tensor_count = 1,
    .check = lfd_layer_check_elementwise,
    .describe = describe,
    .forward = forward,
    .forward_bounds = forward_bounds,
    .backward = backward,
};
