/* conv_*: convolutions of distances, with mean shift and bias, with intervals or without. */
#include "net.h"

void check_conv(check *c) {
    net_case n = net_begin_window(c, LINFDIST_LAYER_DISTANCE_CONV);
    n.bounds = check_flag(c, "bounds");
    n.bias = check_flag(c, "bias");
    n.mode = check_flag(c, "training") ? LINFDIST_TRAIN : LINFDIST_EVALUATE;
    n.p = (float)check_scalar(c, "p");
    if (check_flag(c, "mean_shift")) net_add(c, &n, LINFDIST_LAYER_MEAN_SHIFT);
    if (n.bias) net_add(c, &n, LINFDIST_LAYER_BIAS);
    net_check(c, &n);
}
