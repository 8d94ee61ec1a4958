/* The table of layers and what they share. */
#include "../ops.h"
#include "layer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct lfd_layer_ops *const layers[] = {
    &lfd_layer_distance, &lfd_layer_mean_shift, &lfd_layer_bias, &lfd_layer_distance_conv,
    &lfd_layer_linear,   &lfd_layer_conv,       &lfd_layer_tanh, &lfd_layer_relu,
};

const struct lfd_layer_ops *lfd_layer_find(int32_t kind) {
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; ++i) {
        if (layers[i]->kind == kind) return layers[i];
    }
    return NULL;
}

lfd_layer_pass lfd_layer_inference(const linfdist_model *model, int64_t index) {
    const lfd_layer *layer = &model->layers[index];
    return (lfd_layer_pass){.context = model->context,
                            .spec = &layer->spec,
                            .tensors = model->tensors + layer->first_tensor,
                            .batch = 1,
                            .mode = LINFDIST_EVALUATE,
                            .p = INFINITY};
}

/* ---- tensors ---- */

void lfd_layer_tensor(const lfd_layer_spec *spec, const char *suffix, int32_t role, int32_t dims, const int64_t *shape,
                      lfd_tensor *tensor) {
    (void)snprintf(tensor->name, sizeof tensor->name, "%s%s", spec->name, suffix);
    tensor->role = role;
    tensor->dims = dims;
    for (int32_t i = 0; i < LINFDIST_MAX_DIMS; ++i) tensor->shape[i] = i < dims ? shape[i] : 1;
}

void lfd_layer_kernel_tensor(const lfd_layer_spec *spec, lfd_tensor *tensor) {
    const int64_t shape[] = {spec->out.channels, spec->in.channels / spec->groups, spec->window.kernel_h,
                             spec->window.kernel_w};
    lfd_layer_tensor(spec, ".weight", LINFDIST_ROLE_WEIGHT, 4, shape, tensor);
}

double lfd_layer_largest(const lfd_tensor *tensor) {
    double largest = 0.0;
    for (size_t i = 0; i < tensor->count; ++i) largest = fmax(largest, fabs((double)tensor->data[i]));
    return largest;
}

double lfd_layer_growth(const lfd_layer_pass *pass, double magnitude) {
    return magnitude + lfd_layer_largest(&pass->tensors[0]);
}

/* ---- passes ---- */

lfd_conv_dims lfd_layer_conv_dims(const lfd_layer_spec *spec, size_t batch) {
    const lfd_window *window = &spec->window;
    return (lfd_conv_dims){
        .batch = batch,
        .channels = (size_t)spec->in.channels,
        .height = (size_t)spec->in.height,
        .width = (size_t)spec->in.width,
        .out_channels = (size_t)spec->out.channels,
        .groups = (size_t)spec->groups,
        .kernel_h = (size_t)window->kernel_h,
        .kernel_w = (size_t)window->kernel_w,
        .stride = (size_t)window->stride,
        .padding = (size_t)window->padding,
        .dilation = (size_t)window->dilation,
        .out_height = (size_t)spec->out.height,
        .out_width = (size_t)spec->out.width,
    };
}

void lfd_layer_argmax_room(const lfd_layer_spec *spec, size_t max_batch, int bounded, size_t *rows, size_t *columns) {
    *rows = max_batch * (bounded ? 3 : 1);
    *columns = (size_t)spec->n_out;
}

lfd_argmaxes lfd_layer_argmaxes(const lfd_layer_pass *pass, int bounded) {
    const size_t count = pass->batch * (size_t)pass->spec->n_out;
    lfd_argmaxes arg = {0};
    if (!pass->workspace) return arg;
    if (isinf(pass->p)) arg.value = pass->workspace;
    if (!bounded) return arg;
    arg.lower = (int32_t *)pass->workspace + count;
    arg.upper = arg.lower + count;
    return arg;
}

void lfd_layer_clear(const lfd_layer_pass *pass, const lfd_signal *grad_x) {
    float *const ends[] = {grad_x->value, grad_x->lower, grad_x->upper};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; ++i)
        if (ends[i]) lfd_zero(pass->context, pass->batch * (size_t)pass->spec->n_in, ends[i]);
}

void lfd_layer_pass_on(const lfd_layer_pass *pass, const float *grad_y, float *grad_x) {
    const size_t bytes = pass->batch * (size_t)pass->spec->n_out * sizeof *grad_x;
    if (grad_x && grad_y) memcpy(grad_x, grad_y, bytes);
    if (grad_x && !grad_y) memset(grad_x, 0, bytes);
}

/* ---- checks ---- */

static linfdist_status check_name(const char *name, size_t room, int64_t index) {
    const char *end = memchr(name, '\0', room);
    if (!end || end == name)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "layer %lld: its name must have 1 to %zu bytes, \"%.*s\"%s",
                        (long long)index, room - 1, (int)(room - 1), name, end ? " has none" : " is longer");
    for (const char *c = name; c < end; ++c)
        if (*c < 0x20 || *c > 0x7e)
            return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT,
                            "layer %lld: byte %lld of its name is 0x%02x, not printable ASCII", (long long)index,
                            (long long)(c - name), (unsigned)(unsigned char)*c);
    return LINFDIST_OK;
}

linfdist_status lfd_layer_look_up(const char *name, size_t room, int32_t kind, int64_t index,
                                  const struct lfd_layer_ops **ops) {
    LFD_TRY(check_name(name, room, index));
    *ops = lfd_layer_find(kind);
    if (*ops) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "layer %s: unknown kind %d", name, (int)kind);
}

/* A field of the layer in [low, high]. */
static linfdist_status check_field(const lfd_layer_spec *spec, const char *field, int64_t value, int64_t low,
                                   int64_t high) {
    char name[80];
    (void)snprintf(name, sizeof name, "layer %s: %s", spec->name, field);
    return lfd_check_count(name, value, low, high);
}

linfdist_status lfd_layer_check_elementwise(lfd_layer_spec *spec) {
    if (spec->n_out == 0) spec->n_out = spec->n_in;
    if (spec->n_in != spec->n_out || spec->groups != 1) {
        return lfd_fail(LINFDIST_ERROR_SHAPE, "layer %s: n_in %lld, n_out %lld, groups %lld, must be n, n, 1",
                        spec->name, (long long)spec->n_in, (long long)spec->n_out, (long long)spec->groups);
    }
    spec->out = spec->in;
    return LINFDIST_OK;
}

static linfdist_status check_groups(const lfd_layer_spec *spec, const char *in_name, int64_t n_in, const char *out_name,
                                    int64_t n_out) {
    if (spec->groups >= 1 && n_in % spec->groups == 0 && n_out % spec->groups == 0) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_SHAPE, "layer %s: groups %lld must divide %s %lld and %s %lld", spec->name,
                    (long long)spec->groups, in_name, (long long)n_in, out_name, (long long)n_out);
}

linfdist_status lfd_layer_check_dense(lfd_layer_spec *spec) {
    LFD_TRY(check_field(spec, "n_out", spec->n_out, 1, INT32_MAX));
    LFD_TRY(check_groups(spec, "n_in", spec->n_in, "n_out", spec->n_out));
    spec->out = (lfd_extent){spec->n_out, 1, 1};
    return LINFDIST_OK;
}

/* Positions of a window along one side of the image; 0 where none fits. */
static int64_t positions(int64_t side, int64_t kernel, const lfd_window *window) {
    const int64_t room = side + 2 * window->padding - window->dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / window->stride + 1;
}

linfdist_status lfd_layer_check_window(lfd_layer_spec *spec) {
    lfd_window *window = &spec->window;
    enum { SIDE_MOST = 1 << 15 };
    LFD_TRY(check_field(spec, "kernel_h", window->kernel_h, 1, SIDE_MOST));
    LFD_TRY(check_field(spec, "kernel_w", window->kernel_w, 1, SIDE_MOST));
    LFD_TRY(check_field(spec, "stride", window->stride, 1, SIDE_MOST));
    LFD_TRY(check_field(spec, "padding", window->padding, 0, SIDE_MOST));
    LFD_TRY(check_field(spec, "dilation", window->dilation, 1, SIDE_MOST));
    LFD_TRY(check_field(spec, "out_channels", window->out_channels, 1, INT32_MAX));
    LFD_TRY(check_groups(spec, "channels", spec->in.channels, "out_channels", window->out_channels));
    const int64_t height = positions(spec->in.height, window->kernel_h, window);
    const int64_t width = positions(spec->in.width, window->kernel_w, window);
    if (height == 0 || width == 0 || spec->in.channels > INT32_MAX / (window->kernel_h * window->kernel_w) ||
        height > INT32_MAX / width || window->out_channels > INT32_MAX / (height * width)) {
        return lfd_fail(
            LINFDIST_ERROR_SHAPE,
            "layer %s: a kernel of %lld x %lld does not fit %lld x %lld x %lld features with padding %lld and "
            "dilation %lld, or with stride %lld and %lld out_channels makes more than 2^31 of them",
            spec->name, (long long)window->kernel_h, (long long)window->kernel_w, (long long)spec->in.channels,
            (long long)spec->in.height, (long long)spec->in.width, (long long)window->padding,
            (long long)window->dilation, (long long)window->stride, (long long)window->out_channels);
    }
    const int64_t n_out = window->out_channels * height * width;
    if (spec->n_out != 0 && spec->n_out != n_out) {
        return lfd_fail(LINFDIST_ERROR_SHAPE, "layer %s: n_out is %lld, but its windows make %lld", spec->name,
                        (long long)spec->n_out, (long long)n_out);
    }
    spec->n_out = n_out;
    spec->out = (lfd_extent){window->out_channels, height, width};
    return LINFDIST_OK;
}
