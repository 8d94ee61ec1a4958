/* layers_*: mean shift, a whole distance layer, and the placement of identity weights. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net.h"

typedef struct channels {
    size_t batch, channels, positions;
} channels;

static void add_bias(float *values, const channels *s, const float *bias) {
    for (size_t i = 0; values && i < s->batch * s->channels * s->positions; ++i)
        values[i] += bias[i / s->positions % s->channels];
}

static void sum_bias_gradient(const float *grad, const channels *s, float *sum) {
    for (size_t i = 0; grad && i < s->batch * s->channels * s->positions; ++i)
        sum[i / s->positions % s->channels] += grad[i];
}

/* Adds "bias" to every member of y, and compares its gradient. */
static void check_bias(check *c, const channels *s, const net_triple *grad_y, net_triple *y) {
    const float *bias = check_f32(c, "bias", s->channels);
    float *grad_bias = CHECK_FLOATS(c, s->channels);
    add_bias(y->x, s, bias);
    add_bias(y->lower, s, bias);
    add_bias(y->upper, s, bias);
    sum_bias_gradient(grad_y->x, s, grad_bias);
    sum_bias_gradient(grad_y->lower, s, grad_bias);
    sum_bias_gradient(grad_y->upper, s, grad_bias);
    check_close(c, "g_bias", grad_bias, s->channels);
}

/* Shifts y in place and turns grad_y into the gradient before the shift. The files give no tolerance for the running
 * mean, which is a mean of x: the one of y holds for it. */
static void check_shift(check *c, const channels *s, int mode, float momentum, net_triple *y, net_triple *grad_y) {
    float *running = CHECK_FLOATS(c, s->channels);
    memcpy(running, check_f32(c, "running_mean", s->channels), s->channels * sizeof *running);
    const int64_t batch = (int64_t)s->batch, channel_count = (int64_t)s->channels, positions = (int64_t)s->positions;
    CHECK(c, linfdist_mean_shift_forward(c->context, batch, channel_count, positions, mode, momentum, running, y->x,
                                         y->lower, y->upper, y->x, y->lower, y->upper));
    CHECK(c, linfdist_mean_shift_backward(c->context, batch, channel_count, positions, mode, grad_y->x, grad_y->lower,
                                          grad_y->upper, grad_y->x));
    check_close_within(c, "running_mean_after", running, check_values(c, "running_mean_after", s->channels),
                       s->channels, check_read_tolerance(c, "y"));
}

static int training_mode(check *c) {
    return check_flag(c, "training") ? LINFDIST_TRAIN : LINFDIST_EVALUATE;
}

static void check_mean_shift(check *c) {
    const golden_tensor *x = golden_find(c->file, "x");
    if (!x || x->dims != 3) check_stop(c, "tensor x is missing or not three-dimensional");
    const channels s = {x->shape[0], x->shape[1], x->shape[2]};
    const net_triple upstream = net_read_triple(c, "go_y", "go_y_lower", "go_y_upper", x->count, 1);
    net_triple y = net_read_triple(c, "x", "lower", "upper", x->count, 1);
    net_triple grad = net_read_triple(c, "go_y", "go_y_lower", "go_y_upper", x->count, 1);
    check_shift(c, &s, training_mode(c), (float)check_scalar(c, "momentum"), &y, &grad);
    if (check_flag(c, "affine")) check_bias(c, &s, &upstream, &y);
    net_compare_triple(c, "y", "y_lower", "y_upper", &y, x->count);
    net_compare_triple(c, "g_x", "g_lower", "g_upper", &grad, x->count);
}

/* dims = (batch, inputs, outputs, groups). */
typedef struct layer_case {
    linfdist_distance_shape shape;
    channels out;
    size_t x_count, w_count, y_count;
    int bounds;
    float p;
    net_triple x, y, grad_y, grad_x;
    int32_t *argmax, *arg_lower, *arg_upper;
    const float *w;
    float *distances, *grad_w; /* y before the mean shift, which the backward pass needs */
} layer_case;

static void read_layer(check *c, layer_case *l) {
    const int32_t *dims = check_i32(c, "dims", 4);
    for (int i = 0; i < 4; ++i)
        if (dims[i] < 1) check_stop(c, "dims[%d] is %d", i, (int)dims[i]);
    l->shape = check_shape(c, dims[0], dims[1], dims[2], dims[3]);
    l->out = (channels){(size_t)dims[0], (size_t)dims[2], 1};
    l->x_count = (size_t)dims[0] * (size_t)dims[1];
    l->w_count = (size_t)dims[2] * (size_t)(dims[1] / dims[3]);
    l->y_count = (size_t)dims[0] * (size_t)dims[2];
    l->bounds = check_flag(c, "bounds");
    l->p = (float)check_scalar(c, "p");
    l->x = net_read_triple(c, "x", "lower", "upper", l->x_count, l->bounds);
    l->grad_y = net_read_triple(c, "go_y", "go_y_lower", "go_y_upper", l->y_count, l->bounds);
    l->w = check_f32(c, "weight", l->w_count);
    l->y = net_new_triple(c, l->y_count, l->bounds);
    l->grad_x = net_new_triple(c, l->x_count, l->bounds);
    l->grad_w = CHECK_FLOATS(c, l->w_count);
    l->argmax = isinf(l->p) ? check_array(c, l->y_count, sizeof(int32_t)) : NULL;
}

static void layer_forward(check *c, layer_case *l) {
    CHECK(c, linfdist_distance_forward(c->context, &l->shape, l->p, l->x.x, l->w, l->y.x, l->argmax));
    l->distances = CHECK_FLOATS(c, l->y_count);
    memcpy(l->distances, l->y.x, l->y_count * sizeof(float));
    if (!l->bounds) return;
    l->arg_lower = check_array(c, l->y_count, sizeof(int32_t));
    l->arg_upper = check_array(c, l->y_count, sizeof(int32_t));
    CHECK(c, linfdist_bounds_forward(c->context, &l->shape, l->x.lower, l->x.upper, l->w, l->y.lower, l->y.upper,
                                     l->arg_lower, l->arg_upper));
}

static void layer_backward(check *c, layer_case *l) {
    CHECK(c, linfdist_distance_backward(c->context, &l->shape, l->p, l->x.x, l->w, l->distances, l->argmax, l->grad_y.x,
                                        l->grad_x.x, l->grad_w));
    if (!l->bounds) return;
    CHECK(c, linfdist_bounds_backward(c->context, &l->shape, l->x.lower, l->x.upper, l->w, l->arg_lower, l->arg_upper,
                                      l->grad_y.lower, l->grad_y.upper, l->grad_x.lower, l->grad_x.upper, l->grad_w));
}

/* The same layer as a model. */
static void check_as_model(check *c, const layer_case *l) {
    net_case n = net_begin(l->shape.batch, l->shape.n_in, 1, 1);
    net_add(c, &n, LINFDIST_LAYER_DISTANCE);
    n.layers[0].n_out = n.n_out = l->shape.n_out;
    n.layers[0].groups = l->shape.groups;
    n.bounds = l->bounds;
    n.bias = check_flag(c, "bias");
    n.mode = training_mode(c);
    n.p = l->p;
    if (check_flag(c, "mean_shift")) net_add(c, &n, LINFDIST_LAYER_MEAN_SHIFT);
    if (n.bias) net_add(c, &n, LINFDIST_LAYER_BIAS);
    net_check(c, &n);
}

static void check_normdist(check *c) {
    layer_case l = {0};
    read_layer(c, &l);
    const net_triple upstream = net_read_triple(c, "go_y", "go_y_lower", "go_y_upper", l.y_count, l.bounds);
    layer_forward(c, &l);
    if (check_flag(c, "mean_shift")) check_shift(c, &l.out, training_mode(c), 0.1f, &l.y, &l.grad_y);
    if (check_flag(c, "bias")) check_bias(c, &l.out, &upstream, &l.y);
    layer_backward(c, &l);
    net_compare_triple(c, "y", "y_lower", "y_upper", &l.y, l.y_count);
    net_compare_triple(c, "g_x", "g_lower", "g_upper", &l.grad_x, l.x_count);
    check_close(c, "g_weight", l.grad_w, l.w_count);
    check_as_model(c, &l);
}

/* dims of fcN = (inputs, outputs, groups), of convN = (channels, outputs, kernel height, kernel width, groups). Exact.
 */
static void check_placement(check *c, const char *name, const int32_t *dims, int convolution) {
    const int64_t groups = dims[convolution ? 4 : 2], height = convolution ? dims[2] : 1;
    const int64_t width = convolution ? dims[3] : 1, per_group = groups > 0 ? dims[0] / groups : 0;
    const int64_t count = dims[1] * per_group * height * width;
    if (count < 1) check_stop(c, "the dims of %s are not positive", name);
    const double *want = check_values(c, name, (size_t)count);
    float *w = CHECK_FLOATS(c, (size_t)count);
    CHECK(c, linfdist_distance_weights_init(1, dims[1], per_group, groups, height, width, (float)check_number(c, "std"),
                                            (float)check_number(c, "identity_val"), w));
    check_close_within(c, name, w, want, (size_t)count, (check_tolerance){0.0, 0.0});
}

static void check_identity(check *c) {
    size_t layers = 0;
    for (size_t i = 0; i < golden_count(c->file); ++i) {
        const char *name = golden_at(c->file, i)->name;
        const size_t stem = strcspn(name, ".");
        const int convolution = strncmp(name, "conv", 4) == 0;
        char dims_name[32];
        if (stem > 20 || strcmp(name + stem, ".weight") != 0) continue;
        snprintf(dims_name, sizeof dims_name, "%.*s.dims", (int)stem, name);
        check_placement(c, name, check_i32(c, dims_name, convolution ? 5 : 3), convolution);
        ++layers;
    }
    if (layers == 0) check_fail(c, "the file has no weights");
}

void check_layers(check *c) {
    static const struct {
        const char *layer;
        check_case run;
    } layers[] = {
        {"MeanShift", check_mean_shift},    {"NormDist", check_normdist},
        {"identity_init", check_identity},  {"BoundLinear", check_linear},
        {"BoundConv2d", check_linear_conv}, {"BoundTanh", check_tanh},
        {"BoundReLU", check_relu},          {"BoundFinalLinear", check_final_linear},
    };
    const char *layer = check_metadata(c, "layer");
    for (size_t i = 0; i < sizeof layers / sizeof *layers; ++i) {
        if (strcmp(layer, layers[i].layer) != 0) continue;
        layers[i].run(c);
        return;
    }
    check_fail(c, "unknown layer %s", layer);
}
