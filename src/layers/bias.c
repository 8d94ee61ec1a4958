/* The bias layer: y = x + b, one number per channel. */
#include "layer.h"

static void describe(const lfd_layer_spec *spec, lfd_tensor *tensors) {
    lfd_layer_tensor(spec, ".bias", LINFDIST_ROLE_BIAS, 1, &spec->in.channels, &tensors[0]);
}

static size_t positions_of(const lfd_layer_spec *spec) {
    return (size_t)(spec->in.height * spec->in.width);
}

static void add(const lfd_layer_pass *pass, const float *x, float *y) {
    const float *bias = pass->tensors[0].data;
    const size_t channels = (size_t)pass->spec->in.channels, positions = positions_of(pass->spec);
    if (!x) return;
    for (size_t row = 0; row < pass->batch * channels; ++row) {
        const float b = bias[row % channels];
        for (size_t i = 0; i < positions; ++i) y[row * positions + i] = x[row * positions + i] + b;
    }
}

static linfdist_status code(const lfd_layer_pass *pass, double step, const double *tops, double *output_tops,
                            lfd_code_rows **coded) {
    const size_t features = (size_t)pass->spec->n_in, positions = positions_of(pass->spec);
    (void)step;
    (void)coded;
    for (size_t i = 0; i < features; ++i) output_tops[i] = tops[i] + (double)pass->tensors[0].data[i / positions];
    return LINFDIST_OK;
}

/* Rounded addition is monotone, so the bounds need no widening. */
static void forward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y) {
    add(pass, x->value, y->value);
    add(pass, x->lower, y->lower);
    add(pass, x->upper, y->upper);
}

static double sum_of(const float *grad, size_t begin, size_t count) {
    double sum = 0.0;
    for (size_t i = 0; grad && i < count; ++i) sum += (double)grad[begin + i];
    return sum;
}

static void add_gradient(const lfd_layer_pass *pass, const lfd_signal *grad_y) {
    const size_t channels = (size_t)pass->spec->in.channels, positions = positions_of(pass->spec);
    for (size_t c = 0; c < channels; ++c) {
        double sum = 0.0;
        for (size_t b = 0; b < pass->batch; ++b) {
            const size_t begin = (b * channels + c) * positions;
            sum += sum_of(grad_y->value, begin, positions);
            sum += sum_of(grad_y->lower, begin, positions);
            sum += sum_of(grad_y->upper, begin, positions);
        }
        pass->gradients[0][c] += (float)sum;
    }
}

static void backward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y, const lfd_signal *grad_y,
                     const lfd_signal *grad_x) {
    (void)x;
    (void)y;
    if (pass->gradients) add_gradient(pass, grad_y);
    lfd_layer_pass_on(pass, grad_y->value, grad_x->value);
    lfd_layer_pass_on(pass, grad_y->lower, grad_x->lower);
    lfd_layer_pass_on(pass, grad_y->upper, grad_x->upper);
}

const struct lfd_layer_ops lfd_layer_bias = {
    .kind = LINFDIST_LAYER_BIAS,
    .label = "bias",
    .tensor_count = 1,
    .lipschitz = 1,
    .elementwise = 1,
    .check = lfd_layer_check_elementwise,
    .describe = describe,
    .code = code,
    .forward = forward,
    .backward = backward,
    .growth = lfd_layer_growth,
};
