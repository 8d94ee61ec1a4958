/* Mean shift: subtracts the mean of every channel over batch and positions, the batch's in TRAIN (the gradient flows
 * through it), the running one in EVALUATE. Bounds are shifted by the mean of the values. Where several workers share
 * the batch, its mean is that over all of them. */
#include "../ops.h"
#include "layer.h"

static const float momentum = 0.1f;

static void describe(const lfd_layer_spec *spec, lfd_tensor *tensors) {
    lfd_layer_tensor(spec, ".mean_shift.running_mean", LINFDIST_ROLE_RUNNING_MEAN, 1, &spec->in.channels, &tensors[0]);
}

/* Sums of the channels in double, and means in float: those of the batch, which later bounds are shifted by too, and
 * those of the gradients. */
enum { WORDS_PER_SUM = sizeof(double) / sizeof(float) };

static void workspace(const lfd_layer_spec *spec, size_t max_batch, int bounded, size_t *rows, size_t *columns) {
    (void)max_batch;
    (void)bounded;
    *rows = (size_t)spec->in.channels;
    *columns = WORDS_PER_SUM + 2;
}

static float *means_of(const lfd_layer_pass *pass) {
    return (float *)pass->workspace + WORDS_PER_SUM * (size_t)pass->spec->in.channels;
}

static float *gradient_means_of(const lfd_layer_pass *pass) {
    return means_of(pass) + pass->spec->in.channels;
}

static size_t positions_of(const lfd_layer_spec *spec) {
    return (size_t)(spec->in.height * spec->in.width);
}

static void shift(const lfd_layer_pass *pass, const float *x, const float *mean, float *y) {
    if (!x) return;
    lfd_channel_shift(pass->context, pass->batch, (size_t)pass->spec->in.channels, positions_of(pass->spec), x, mean,
                      y);
}

/* Sums what x has. */
static void find_means(const lfd_layer_pass *pass, const lfd_signal *x, float *means) {
    const size_t channels = (size_t)pass->spec->in.channels, positions = positions_of(pass->spec);
    double *sums = pass->workspace;
    lfd_channel_sums(pass->context, pass->batch, channels, positions, x->value, x->lower, x->upper, sums);
    lfd_workers_sum(pass->workers, sums, channels);
    lfd_channel_means(channels, sums, pass->samples * (double)positions, means);
}

static void forward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y) {
    const int batch_mean = pass->mode == LINFDIST_TRAIN;
    const float *mean = batch_mean ? means_of(pass) : pass->tensors[0].data;
    const lfd_signal values = {.value = x->value};
    if (batch_mean && x->value) find_means(pass, &values, means_of(pass));
    shift(pass, x->value, mean, y->value);
    shift(pass, x->lower, mean, y->lower);
    shift(pass, x->upper, mean, y->upper);
}

static linfdist_status code(const lfd_layer_pass *pass, double step, const double *tops, double *output_tops,
                            lfd_code_rows **coded) {
    const size_t features = (size_t)pass->spec->n_in, positions = positions_of(pass->spec);
    (void)step;
    (void)coded;
    for (size_t i = 0; i < features; ++i) output_tops[i] = tops[i] - (double)pass->tensors[0].data[i / positions];
    return LINFDIST_OK;
}

/* dL/dx = dL/dy - the channel's mean of dL/dy; gradients of the bounds flow through the same mean. */
static void backward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y, const lfd_signal *grad_y,
                     const lfd_signal *grad_x) {
    (void)x;
    (void)y;
    lfd_layer_pass_on(pass, grad_y->lower, grad_x->lower);
    lfd_layer_pass_on(pass, grad_y->upper, grad_x->upper);
    lfd_layer_pass_on(pass, grad_y->value, grad_x->value);
    if (!grad_x->value || pass->mode != LINFDIST_TRAIN) return;
    find_means(pass, grad_y, gradient_means_of(pass));
    shift(pass, grad_x->value, gradient_means_of(pass), grad_x->value);
}

static void commit(const lfd_layer_pass *pass) {
    lfd_running_mean((size_t)pass->spec->in.channels, momentum, means_of(pass), pass->tensors[0].data);
}

const struct lfd_layer_ops lfd_layer_mean_shift = {
    .kind = LINFDIST_LAYER_MEAN_SHIFT,
    .label = "mean_shift",
    .tensor_count = 1,
    .lipschitz = 1,
    .elementwise = 1,
    .check = lfd_layer_check_elementwise,
    .describe = describe,
    .workspace = workspace,
    .code = code,
    .forward = forward,
    .backward = backward,
    .commit = commit,
    .growth = lfd_layer_growth,
};
