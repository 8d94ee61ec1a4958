/* layers_bound*: linear layers, convolutions, activations, and margins merged into the last layer. */
#include "net.h"

/* x is batch x inputs, weight outputs x inputs. */
static net_case begin_dense(check *c) {
    const golden_tensor *x = golden_find(c->file, "x"), *y = golden_find(c->file, "y");
    if (!x || x->dims != 2 || !y || y->dims != 2) check_stop(c, "tensor x or y is missing or not two-dimensional");
    net_case n = net_begin((int64_t)x->shape[0], (int64_t)x->shape[1], 1, 1);
    n.n_out = (int64_t)y->shape[1];
    n.outputs = LINFDIST_OUTPUTS_LOGITS;
    n.bounds = 1;
    return n;
}

static void read_scales(check *c, net_case *n) {
    n->w_scale = check_number(c, "w_scale_arg");
    n->b_scale = check_number(c, "b_scale_arg");
}

void check_linear(check *c) {
    net_case n = begin_dense(c);
    net_add(c, &n, LINFDIST_LAYER_LINEAR);
    n.layers[0].n_out = n.n_out;
    n.bias = check_flag(c, "bias");
    read_scales(c, &n);
    net_check(c, &n);
}

void check_final_linear(check *c) {
    net_case n = begin_dense(c);
    net_add(c, &n, LINFDIST_LAYER_LINEAR);
    n.layers[0].n_out = n.n_out;
    n.bias = 1;
    n.margins = 1;
    read_scales(c, &n);
    net_check(c, &n);
}

void check_linear_conv(check *c) {
    net_case n = net_begin_window(c, LINFDIST_LAYER_CONV);
    n.outputs = LINFDIST_OUTPUTS_LOGITS;
    n.bounds = 1;
    n.bias = check_flag(c, "bias");
    read_scales(c, &n);
    net_check(c, &n);
}

static void check_activation(check *c, int32_t kind) {
    net_case n = begin_dense(c);
    net_add(c, &n, kind);
    net_check(c, &n);
}

void check_tanh(check *c) {
    check_activation(c, LINFDIST_LAYER_TANH);
}

void check_relu(check *c) {
    check_activation(c, LINFDIST_LAYER_RELU);
}
