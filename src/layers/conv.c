/* The convolution: the linear layer on patches, zeros in the padding; n_in counts the channels of all groups. */
#include "affine.h"

static void describe(const lfd_layer_spec *spec, lfd_tensor *tensors) {
    lfd_layer_kernel_tensor(spec, &tensors[0]);
    lfd_layer_tensor(spec, ".bias", LINFDIST_ROLE_BIAS, 1, &spec->out.channels, &tensors[1]);
}

const struct lfd_layer_ops lfd_layer_conv = {
    .kind = LINFDIST_LAYER_CONV,
    .label = "conv",
    .tensor_count = 2,
    .window = 1,
    .check = lfd_layer_check_window,
    .describe = describe,
    .scratch = lfd_affine_scratch,
    .forward = lfd_affine_forward,
    .backward = lfd_affine_backward,
    .growth = lfd_affine_growth,
};
