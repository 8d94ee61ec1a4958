/* The distance convolution: the distance of every window of the image to every kernel; zeros around the image are data.
 */
#include "../conv_ops.h"
#include "layer.h"

static void describe(const lfd_layer_spec *spec, lfd_tensor *tensors) {
    lfd_layer_kernel_tensor(spec, &tensors[0]);
    tensors[0].lp_rows = 1;
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

static void backward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y, const lfd_signal *grad_y,
                     const lfd_signal *grad_x) {
    const lfd_conv_dims dims = lfd_layer_conv_dims(pass->spec, pass->batch);
    const float *w = pass->tensors[0].data;
    float *grad_w = pass->gradients ? pass->gradients[0] : NULL;
    const lfd_argmaxes arg = lfd_layer_argmaxes(pass, grad_y->lower != NULL);
    lfd_layer_clear(pass, grad_x);
    if (grad_y->value)
        lfd_conv_distance_backward(pass->context, &dims, pass->p, x->value, w, y->value, arg.value, grad_y->value,
                                   grad_x->value, grad_w, pass->scratch);
    if (grad_y->lower)
        lfd_conv_bounds_backward(pass->context, &dims, x->lower, x->upper, w, arg.lower, arg.upper, grad_y->lower,
                                 grad_y->upper, grad_x->lower, grad_x->upper, grad_w, pass->scratch);
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
    .workspace = lfd_layer_argmax_room,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
    .growth = lfd_layer_growth,
};
