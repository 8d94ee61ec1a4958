#include "net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

net_triple net_new_triple(check *c, size_t count, int bounds) {
    return (net_triple){CHECK_FLOATS(c, count), bounds ? CHECK_FLOATS(c, count) : NULL,
                        bounds ? CHECK_FLOATS(c, count) : NULL};
}

static float *copy_floats(check *c, const char *name, size_t count) {
    float *copy = CHECK_FLOATS(c, count);
    memcpy(copy, check_f32(c, name, count), count * sizeof *copy);
    return copy;
}

net_triple net_read_triple(check *c, const char *x, const char *lower, const char *upper, size_t count, int bounds) {
    return (net_triple){copy_floats(c, x, count), bounds ? copy_floats(c, lower, count) : NULL,
                        bounds ? copy_floats(c, upper, count) : NULL};
}

void net_compare_triple(check *c, const char *x, const char *lower, const char *upper, const net_triple *got,
                        size_t count) {
    check_close(c, x, got->x, count);
    if (!got->lower) return;
    check_close(c, lower, got->lower, count);
    check_close(c, upper, got->upper, count);
}

net_case net_begin(int64_t batch, int64_t channels, int64_t height, int64_t width_px) {
    return (net_case){.batch = batch,
                      .channels = channels,
                      .height = height,
                      .width_px = width_px,
                      .mode = LINFDIST_EVALUATE,
                      .p = INFINITY,
                      .w_scale = 1.0,
                      .b_scale = 1.0};
}

void net_add(check *c, net_case *n, int32_t kind) {
    CHECK(c, linfdist_layer_init(&n->layers[n->layer_count++], sizeof *n->layers, kind, "layer"));
}

net_case net_begin_window(check *c, int32_t kind) {
    const int32_t *d = check_i32(c, "dims", 13);
    for (int i = 0; i < 13; ++i)
        if (d[i] < (i == 8 ? 0 : 1)) check_stop(c, "dims[%d] is %d", i, (int)d[i]);
    net_case n = net_begin(d[0], d[1], d[2], d[3]);
    net_add(c, &n, kind);
    linfdist_layer *window = &n.layers[0];
    window->out_channels = d[4];
    window->kernel_h = d[5];
    window->kernel_w = d[6];
    window->stride = d[7];
    window->padding = d[8];
    window->dilation = d[9];
    window->groups = d[10];
    n.n_out = (int64_t)d[4] * d[11] * d[12];
    return n;
}

/* ---- one case at work ---- */

typedef struct net {
    const net_case *layers;
    linfdist_model *model;
    linfdist_run *run;
    size_t x_count, y_count;
    net_triple x;
} net;

static void destroy_model(void *model) {
    linfdist_model_destroy(model);
}

static void destroy_run(void *run) {
    linfdist_run_destroy(run);
}

static net make_net(check *c, const net_case *n) {
    net made = {.layers = n};
    linfdist_model_options options;
    CHECK(c, linfdist_model_options_init(&options, sizeof options));
    options.channels = n->channels;
    options.height = n->height;
    options.width_px = n->width_px;
    options.classes = n->n_out;
    options.outputs = n->outputs;
    options.learned_scalar = 0;
    CHECK(c, linfdist_model_create(c->context, &options, n->layers, n->layer_count, &made.model));
    check_own(c, made.model, destroy_model);
    CHECK(c, linfdist_run_create(made.model, n->bounds ? LINFDIST_RUN_INTERVAL_TRAINING : LINFDIST_RUN_TRAINING,
                                 n->batch, &made.run));
    check_own(c, made.run, destroy_run);
    made.x_count = (size_t)(n->batch * n->channels * n->height * n->width_px);
    made.y_count = (size_t)(n->batch * n->n_out);
    made.x = net_read_triple(c, "x", "lower", "upper", made.x_count, n->bounds);
    return made;
}

/* The layers' tensor of that name. 0 when they have none. */
static int find_tensor(const net *n, const char *name, linfdist_tensor *tensor, size_t *count) {
    char full[64];
    snprintf(full, sizeof full, "layer.%s", name);
    *tensor = (linfdist_tensor){.struct_size = sizeof *tensor};
    if (linfdist_model_find_tensor(n->model, full, tensor) != LINFDIST_OK) return 0;
    *count = 1;
    for (int32_t i = 0; i < tensor->dims; ++i) *count *= (size_t)tensor->shape[i];
    return 1;
}

static void write_tensor(check *c, const net *n, const char *name, const char *from, double scale) {
    linfdist_tensor tensor;
    size_t count;
    if (!find_tensor(n, name, &tensor, &count)) return;
    const float *values = check_f32(c, from, count);
    for (size_t i = 0; i < count; ++i) tensor.data[i] = (float)(scale * (double)values[i]);
}

static void check_gradient(check *c, const net *n, const char *name, const char *expected, double scale) {
    linfdist_tensor tensor, gradient = {.struct_size = sizeof gradient};
    size_t count;
    if (!find_tensor(n, name, &tensor, &count)) return;
    CHECK(c, linfdist_run_find_gradient(n->run, tensor.name, &gradient));
    float *scaled = CHECK_FLOATS(c, count);
    for (size_t i = 0; i < count; ++i) scaled[i] = (float)(scale * (double)gradient.data[i]);
    check_close(c, expected, scaled, count);
}

static void forward(check *c, const net *n) {
    const net_case *l = n->layers;
    const int64_t stride = l->channels * l->height * l->width_px;
    if (l->bounds)
        CHECK(c, linfdist_forward_intervals(n->run, n->x.x, n->x.lower, n->x.upper, stride, l->batch, l->mode));
    else
        CHECK(c, linfdist_forward(n->run, n->x.x, stride, l->batch, l->mode, l->p));
}

static void check_bounds(check *c, const net *n) {
    const float *lower, *upper;
    CHECK(c, linfdist_run_bounds(n->run, &lower, &upper, NULL, NULL));
    check_close(c, "y_lower", lower, n->y_count);
    check_close(c, "y_upper", upper, n->y_count);
}

static void check_outputs(check *c, const net *n) {
    const float *y, *worst;
    CHECK(c, linfdist_run_outputs(n->run, &y, NULL, NULL));
    check_close(c, "y", y, n->y_count);
    if (n->layers->margins) {
        const int32_t *targets = check_i32(c, "targets", (size_t)n->layers->batch);
        CHECK(c, linfdist_run_margins(n->run, targets, 0.0, &worst));
        check_close(c, "worst", worst, n->y_count);
    } else if (n->layers->bounds) {
        check_bounds(c, n);
    }
}

static void set_gradient(check *c, const net *n, const char *name, float *to) {
    memcpy(to, check_f32(c, name, n->y_count), n->y_count * sizeof *to);
}

static void set_gradients(check *c, const net *n) {
    float *of_outputs, *of_scalar, *of_lower, *of_upper;
    CHECK(c, linfdist_run_output_gradients(n->run, &of_outputs, &of_scalar));
    set_gradient(c, n, "go_y", of_outputs);
    if (n->layers->margins) {
        CHECK(c, linfdist_run_margin_gradients(n->run, &of_upper));
        set_gradient(c, n, "go_worst", of_upper);
    } else if (n->layers->bounds) {
        CHECK(c, linfdist_run_bound_gradients(n->run, &of_lower, &of_upper));
        set_gradient(c, n, "go_y_lower", of_lower);
        set_gradient(c, n, "go_y_upper", of_upper);
    }
}

static void check_backward(check *c, const net *n) {
    const int64_t stride = n->layers->channels * n->layers->height * n->layers->width_px;
    const net_triple grad = net_new_triple(c, n->x_count, n->layers->bounds);
    set_gradients(c, n);
    if (n->layers->bounds)
        CHECK(c, linfdist_backward_intervals(n->run, grad.x, grad.lower, grad.upper, stride));
    else
        CHECK(c, linfdist_backward(n->run, grad.x, stride));
    net_compare_triple(c, "g_x", "g_lower", "g_upper", &grad, n->x_count);
    check_gradient(c, n, "weight", "g_weight", n->layers->w_scale);
    if (n->layers->bias) check_gradient(c, n, "bias", "g_bias", n->layers->b_scale);
}

/* The files give no tolerance for the running mean, which is a mean of the layer before: the one of y holds for it. */
static void check_running_mean(check *c, const net *n) {
    linfdist_tensor mean;
    size_t count;
    if (!find_tensor(n, "mean_shift.running_mean", &mean, &count)) return;
    check_close_within(c, "running_mean_after", mean.data, check_values(c, "running_mean_after", count), count,
                       check_read_tolerance(c, "y"));
}

/* The pass of bounds alone is one of its own. */
static void check_plain_bounds(check *c, const net *n) {
    const net_case *l = n->layers;
    if (!l->bounds || l->margins || l->mode != LINFDIST_EVALUATE) return;
    CHECK(c, linfdist_forward_bounds(n->run, n->x.lower, n->x.upper, l->channels * l->height * l->width_px, l->batch));
    check_bounds(c, n);
}

void net_check(check *c, const net_case *layers) {
    const net n = make_net(c, layers);
    write_tensor(c, &n, "weight", "weight", layers->w_scale);
    if (layers->bias) write_tensor(c, &n, "bias", "bias", layers->b_scale);
    write_tensor(c, &n, "mean_shift.running_mean", "running_mean", 1.0);
    forward(c, &n);
    check_outputs(c, &n);
    check_backward(c, &n);
    check_running_mean(c, &n);
    check_plain_bounds(c, &n);
}
