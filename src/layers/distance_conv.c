/* The distance convolution: the distance of every window of the image to every kernel; zeros around the image are data.
 */
#include "../conv_ops.h"
#include "layer.h"

#include <string.h>

static void describe(const lfd_layer_spec *spec, lfd_tensor *tensors) {
    lfd_layer_kernel_tensor(spec, &tensors[0]);
    tensors[0].lp_rows = 1;
}

/* The argmaxes of an l_inf pass: of the values, and of both bounds. */
static void workspace(const lfd_layer_spec *spec, size_t max_batch, int bounded, size_t *rows, size_t *columns) {
    *rows = max_batch * (bounded ? 3 : 1);
    *columns = (size_t)spec->n_out;
}

static size_t scratch(const lfd_layer_spec *spec, size_t max_batch, size_t threads) {
    const lfd_conv_dims dims = lfd_layer_conv_dims(spec, max_batch);
    return lfd_conv_scratch(&dims, threads);
}

static void forward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y) {
    const lfd_conv_dims dims = lfd_layer_conv_dims(pass->spec, pass->batch);
    const float *w = pass->tensors[0].data;
    const lfd_argmaxes arg = lfd_layer_argmaxes(pass, x->lower != NULL);
    if (x->value)
        lfd_conv_distance_forward(pass->context, &dims, pass->p, x->value, w, y->value, arg.value, pass->scratch);
    if (x->lower)
        lfd_conv_bounds_forward(pass->context, &dims, x->lower, x->upper, w, y->lower, y->upper, arg.lower, arg.upper,
                                pass->scratch);
}

static void clear(float *grad, size_t count) {
    if (grad) memset(grad, 0, count * sizeof *grad);
}

static void backward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y, const lfd_signal *grad_y,
                     const lfd_signal *grad_x) {
    const lfd_conv_dims dims = lfd_layer_conv_dims(pass->spec, pass->batch);
    const size_t count = pass->batch * (size_t)pass->spec->n_in;
    const float *w = pass->tensors[0].data;
    float *grad_w = pass->gradients ? pass->gradients[0] : NULL;
    const lfd_argmaxes arg = lfd_layer_argmaxes(pass, grad_y->lower != NULL);
    clear(grad_x->value, count);
    clear(grad_x->lower, count);
    clear(grad_x->upper, count);
    if (grad_y->value)
        lfd_conv_distance_backward(pass->context, &dims, pass->p, x->value, w, y->value, arg.value, grad_y->value,
                                   grad_x->value, grad_w, pass->scratch);
    if (grad_y->lower)
        lfd_conv_bounds_backward(pass->context, &dims, x->lower, x->upper, w, arg.lower, arg.upper, grad_y->lower,
                                 grad_y->upper, grad_x->lower, grad_x->upper, grad_w, pass->scratch);
}

/* Zeros of the padding are no larger than any input. */
static double growth(const lfd_layer_pass *pass, double magnitude) {
    return magnitude + lfd_layer_largest(&pass->tensors[0]);
}

const struct lfd_layer_ops lfd_layer_distance_conv = {
    .kind = LINFDIST_LAYER_DISTANCE_CONV,
    .label = "distance_conv",
    .tensor_count = 1,
    .lipschitz = 1,
    .window = 1,
    .exact_at_p = 1,
    .check = lfd_layer_check_window,
    .describe = describe,
    .workspace = workspace,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
    .growth = growth,
};
