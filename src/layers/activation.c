/* Tanh and ReLU. Both are monotone as functions of floats, so that the bounds of an output are the outputs of the
 * bounds, and neither moves by more than its input. */
#include "layer.h"

#include "../../lib/math.h"

/* ---- a function on every element ---- */

typedef struct activation {
    float (*value)(float x);
    float (*gradient)(float y, float grad_y);
} activation;

typedef struct elements {
    const activation *function;
    const float *x, *y, *grad_y; /* x forward, y and grad_y backward */
    float *out;
    size_t columns;
} elements;

static void run_sample(void *data, size_t sample) {
    const elements *e = data;
    for (size_t i = sample * e->columns, end = i + e->columns; i < end; ++i)
        e->out[i] = e->x ? e->function->value(e->x[i]) : e->function->gradient(e->y[i], e->grad_y[i]);
}

static void put_out(const lfd_layer_pass *pass, const activation *function, const float *x, float *y) {
    elements e = {.function = function, .x = x, .out = y, .columns = (size_t)pass->spec->n_in};
    if (x) lfd_parallel_for(pass->context, run_sample, &e, pass->batch);
}

static void put_back(const lfd_layer_pass *pass, const activation *function, const float *y, const float *grad_y,
                     float *grad_x) {
    elements e = {.function = function, .y = y, .grad_y = grad_y, .out = grad_x, .columns = (size_t)pass->spec->n_in};
    if (!grad_x) return;
    if (grad_y)
        lfd_parallel_for(pass->context, run_sample, &e, pass->batch);
    else
        lfd_layer_pass_on(pass, NULL, grad_x);
}

static void forward(const lfd_layer_pass *pass, const activation *function, const lfd_signal *x, const lfd_signal *y) {
    put_out(pass, function, x->value, y->value);
    put_out(pass, function, x->lower, y->lower);
    put_out(pass, function, x->upper, y->upper);
}

static void backward(const lfd_layer_pass *pass, const activation *function, const lfd_signal *y,
                     const lfd_signal *grad_y, const lfd_signal *grad_x) {
    put_back(pass, function, y->value, grad_y->value, grad_x->value);
    put_back(pass, function, y->lower, grad_y->lower, grad_x->lower);
    put_back(pass, function, y->upper, grad_y->upper, grad_x->upper);
}

/* ---- tanh ---- */

static float tanh_value(float x) {
    return (float)lfd_tanh((double)x);
}

static float tanh_gradient(float y, float grad_y) {
    return (float)((double)grad_y * (1.0 - (double)y * (double)y));
}

static const activation tanh_function = {tanh_value, tanh_gradient};

static void tanh_forward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y) {
    forward(pass, &tanh_function, x, y);
}

static void tanh_backward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y,
                          const lfd_signal *grad_y, const lfd_signal *grad_x) {
    (void)x;
    backward(pass, &tanh_function, y, grad_y, grad_x);
}

static double tanh_growth(const lfd_layer_pass *pass, double magnitude) {
    (void)pass;
    return magnitude < 1.0 ? magnitude : 1.0;
}

const struct lfd_layer_ops lfd_layer_tanh = {
    .kind = LINFDIST_LAYER_TANH,
    .label = "tanh",
    .lipschitz = 1,
    .elementwise = 1,
    .check = lfd_layer_check_elementwise,
    .forward = tanh_forward,
    .backward = tanh_backward,
    .growth = tanh_growth,
};

/* ---- ReLU ---- */

/* NaN stays NaN. */
static float relu_value(float x) {
    return x <= 0.0f ? 0.0f : x;
}

static float relu_gradient(float y, float grad_y) {
    return y > 0.0f ? grad_y : 0.0f;
}

static const activation relu_function = {relu_value, relu_gradient};

static void relu_forward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y) {
    forward(pass, &relu_function, x, y);
}

static void relu_backward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y,
                          const lfd_signal *grad_y, const lfd_signal *grad_x) {
    (void)x;
    backward(pass, &relu_function, y, grad_y, grad_x);
}

static double relu_growth(const lfd_layer_pass *pass, double magnitude) {
    (void)pass;
    return magnitude;
}

const struct lfd_layer_ops lfd_layer_relu = {
    .kind = LINFDIST_LAYER_RELU,
    .label = "relu",
    .lipschitz = 1,
    .elementwise = 1,
    .check = lfd_layer_check_elementwise,
    .forward = relu_forward,
    .backward = relu_backward,
    .growth = relu_growth,
};
