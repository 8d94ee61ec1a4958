/* The distance layer: y_j = ||x - w_j||_p over the inputs of j's group. */
#include "../prune.h"
#include "layer.h"

#include <math.h>

static void describe(const lfd_layer_spec *spec, lfd_tensor *tensors) {
    const int64_t shape[] = {spec->n_out, spec->n_in / spec->groups};
    lfd_layer_tensor(spec, ".weight", LINFDIST_ROLE_WEIGHT, 2, shape, &tensors[0]);
    tensors[0].lp_rows = 1;
}

static lfd_dims dims_of(const lfd_layer_pass *pass) {
    const lfd_layer_spec *spec = pass->spec;
    lfd_dims dims = {
        .batch = pass->batch,
        .n_in = (size_t)spec->n_in,
        .n_out = (size_t)spec->n_out,
        .groups = (size_t)spec->groups,
        .x_stride = (size_t)spec->n_in,
        .w_stride = (size_t)(spec->n_in / spec->groups),
        .y_stride = (size_t)spec->n_out,
    };
    return dims;
}

static linfdist_status prepare(const lfd_layer_pass *pass, const lfd_signal *range, void **prepared) {
    const lfd_dims dims = dims_of(pass);
    lfd_pruned *pruned;
    LFD_TRY(lfd_pruned_create(pass->context, &dims, pass->tensors[0].data, range->lower, range->upper, &pruned));
    *prepared = pruned;
    return LINFDIST_OK;
}

static void forget(const linfdist_context *context, void *prepared) {
    lfd_pruned_destroy(context, prepared);
}

/* What a backward pass at p = infinity leaves from one gradient to the other. */
static size_t scratch(const lfd_layer_spec *spec, size_t max_batch, size_t threads) {
    (void)threads;
    return max_batch * (size_t)spec->n_out;
}

static size_t prepared_scratch(const lfd_layer_spec *spec, size_t max_batch) {
    return lfd_pruned_scratch(max_batch, (size_t)spec->n_in, (size_t)spec->groups);
}

static linfdist_status code(const lfd_layer_pass *pass, double step, const double *tops, double *output_tops,
                            lfd_code_rows **coded) {
    const lfd_dims dims = dims_of(pass);
    return lfd_codes_create(pass->context, &dims, pass->tensors[0].data, step, tops, output_tops, coded);
}

static void pruned_forward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y) {
    const lfd_dims dims = dims_of(pass);
    const float *w = pass->tensors[0].data;
    if (x->value) (void)lfd_pruned_forward(pass->context, pass->prepared, &dims, x->value, w, y->value, pass->scratch);
    if (x->lower)
        (void)lfd_pruned_bounds(pass->context, pass->prepared, &dims, x->lower, x->upper, w, y->lower, y->upper,
                                pass->scratch);
}

static void forward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y) {
    const lfd_dims dims = dims_of(pass);
    const float *w = pass->tensors[0].data;
    const lfd_argmaxes arg = lfd_layer_argmaxes(pass, x->lower != NULL);
    if (pass->prepared && !arg.value && isinf(pass->p)) {
        pruned_forward(pass, x, y);
        return;
    }
    if (x->value) lfd_distance_forward(pass->context, &dims, pass->p, x->value, w, y->value, arg.value);
    if (x->lower)
        lfd_bounds_forward(pass->context, &dims, x->lower, x->upper, w, y->lower, y->upper, arg.lower, arg.upper);
}

static void backward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y, const lfd_signal *grad_y,
                     const lfd_signal *grad_x) {
    const lfd_dims dims = dims_of(pass);
    const float *w = pass->tensors[0].data;
    float *grad_w = pass->gradients ? pass->gradients[0] : NULL;
    const lfd_argmaxes arg = lfd_layer_argmaxes(pass, grad_y->lower != NULL);
    lfd_layer_clear(pass, grad_x);
    if (grad_y->value)
        lfd_distance_backward(pass->context, &dims, pass->p, x->value, w, y->value, arg.value, grad_y->value,
                              pass->scratch, grad_x->value, grad_w);
    if (grad_y->lower)
        lfd_bounds_backward(pass->context, &dims, x->lower, x->upper, w, arg.lower, arg.upper, grad_y->lower,
                            grad_y->upper, grad_x->lower, grad_x->upper, grad_w);
}

const struct lfd_layer_ops lfd_layer_distance = {
    .kind = LINFDIST_LAYER_DISTANCE,
    .label = "distance",
    .tensor_count = 1,
    .lipschitz = 1,
    .exact_at_p = 1,
    .check = lfd_layer_check_dense,
    .describe = describe,
    .workspace = lfd_layer_argmax_room,
    .scratch = scratch,
    .prepare = prepare,
    .forget = forget,
    .prepared_scratch = prepared_scratch,
    .code = code,
    .forward = forward,
    .backward = backward,
    .growth = lfd_layer_growth,
};
