/* Models from a list of layers, and what their weights start from. */
#include <math.h>
#include <string.h>

#include "layers/layer.h"
#include "model.h"
#include "ops.h"
#include "random.h"

/* ---- the caller's list ---- */

linfdist_status linfdist_layer_init(linfdist_layer *layer, size_t struct_size, int32_t kind, const char *name) {
    const linfdist_layer defaults = {
        .kind = kind, .name = name, .groups = 1, .kernel_h = 3, .kernel_w = 3, .stride = 1, .dilation = 1};
    LFD_REQUIRE(name);
    if (!lfd_layer_find(kind))
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "kind is %d, which is no kind of layer", (int)kind);
    return lfd_options_init(layer, struct_size, &defaults, sizeof defaults, sizeof defaults, "layer");
}

linfdist_status linfdist_model_options_init(linfdist_model_options *options, size_t struct_size) {
    static const linfdist_model_options defaults = {.struct_size = sizeof defaults,
                                                    .channels = 1,
                                                    .height = 28,
                                                    .width_px = 28,
                                                    .classes = 10,
                                                    .learned_scalar = 1,
                                                    .identity_value = 10.0f,
                                                    .seed = 2021};
    return lfd_options_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "options");
}

/* A field that the kind does not have must be as linfdist_layer_init left it. */
static linfdist_status check_unused(const linfdist_layer *layer, const char *field, int64_t value, int64_t unused) {
    if (value == unused) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "layer %s: %s is %lld, which a layer of its kind does not have",
                    layer->name, field, (long long)value);
}

static linfdist_status check_fields(const linfdist_layer *layer, const struct lfd_layer_ops *ops) {
    if (layer->n_out != 0 && (ops->window || ops->elementwise)) return check_unused(layer, "n_out", layer->n_out, 0);
    if (ops->window) return LINFDIST_OK;
    LFD_TRY(check_unused(layer, "out_channels", layer->out_channels, 0));
    LFD_TRY(check_unused(layer, "kernel_h", layer->kernel_h, 3));
    LFD_TRY(check_unused(layer, "kernel_w", layer->kernel_w, 3));
    LFD_TRY(check_unused(layer, "stride", layer->stride, 1));
    LFD_TRY(check_unused(layer, "dilation", layer->dilation, 1));
    return check_unused(layer, "padding", layer->padding, 0);
}

static linfdist_status read_layer(const void *given, int64_t index, lfd_layer_spec *spec) {
    linfdist_layer layer = {0};
    char name[LFD_INDEXED];
    LFD_TRY(lfd_options_read(&layer, sizeof layer, sizeof layer, given, lfd_indexed(name, "layers", index)));
    if (!layer.name)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "the name of layers[%lld] is NULL", (long long)index);
    const struct lfd_layer_ops *ops;
    LFD_TRY(lfd_layer_look_up(layer.name, sizeof spec->name, layer.kind, index, &ops));
    LFD_TRY(check_fields(&layer, ops));
    *spec = (lfd_layer_spec){.kind = layer.kind, .n_out = layer.n_out, .groups = layer.groups};
    if (ops->window)
        spec->window = (lfd_window){layer.out_channels, layer.kernel_h, layer.kernel_w,
                                    layer.stride,       layer.padding,  layer.dilation};
    strcpy(spec->name, layer.name);
    return LINFDIST_OK;
}

/* All layers have the struct_size of the first. */
static linfdist_status read_layers(const linfdist_layer *layers, int64_t count, lfd_layer_spec *specs) {
    const unsigned char *at = (const unsigned char *)layers;
    size_t struct_size = 0, size = 0;
    char name[LFD_INDEXED];
    LFD_TRY(lfd_options_size(layers, sizeof *layers, "layers[0]", &struct_size));
    for (int64_t i = 0; i < count; ++i, at += struct_size) {
        LFD_TRY(lfd_options_size(at, sizeof *layers, lfd_indexed(name, "layers", i), &size));
        if (size != struct_size)
            return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "layers[%lld] has struct_size %llu, layers[0] has %llu",
                            (long long)i, (unsigned long long)size, (unsigned long long)struct_size);
        LFD_TRY(read_layer(at, i, &specs[i]));
    }
    return LINFDIST_OK;
}

static linfdist_status create(linfdist_context *context, const linfdist_model_options *o, const linfdist_layer *layers,
                              int64_t count, lfd_layer_spec *specs, linfdist_model **model) {
    LFD_TRY(read_layers(layers, count, specs));
    const lfd_architecture architecture = {.channels = o->channels,
                                           .height = o->height,
                                           .width_px = o->width_px,
                                           .classes = o->classes,
                                           .outputs = o->outputs,
                                           .learned_scalar =
                                               o->outputs == LINFDIST_OUTPUTS_DISTANCES ? o->learned_scalar : 0,
                                           .layer_count = count,
                                           .layers = specs};
    LFD_TRY(lfd_model_create(context, &architecture, model));
    return lfd_model_init_weights(*model, o->seed, o->identity_value);
}

linfdist_status linfdist_model_create(linfdist_context *context, const linfdist_model_options *options,
                                      const linfdist_layer *layers, int64_t layer_count, linfdist_model **model) {
    linfdist_model_options o;
    linfdist_model *made = NULL;
    void *specs;
    LFD_REQUIRE(context);
    LFD_REQUIRE(options);
    LFD_REQUIRE(layers);
    LFD_REQUIRE(model);
    LFD_TRY(linfdist_model_options_init(&o, sizeof o));
    LFD_TRY(lfd_options_read(&o, sizeof o, sizeof o, options, "options"));
    LFD_TRY(lfd_check_number("identity_value", (double)o.identity_value, -LFD_LIMIT, LFD_LIMIT));
    LFD_TRY(lfd_check_count("layer_count", layer_count, 1, LFD_LAYERS_MAX));
    LFD_TRY(lfd_alloc_zero(context, (size_t)layer_count, sizeof(lfd_layer_spec), "layers", &specs));
    linfdist_status status = create(context, &o, layers, layer_count, specs, &made);
    lfd_free(context, specs);
    if (status != LINFDIST_OK) {
        lfd_model_release(made);
        return status;
    }
    *model = made;
    return LINFDIST_OK;
}

/* ---- initial weights ---- */

/* Each layer draws from a sequence of its own, so that the first does not change when another is added. */
linfdist_status lfd_model_init_weights(linfdist_model *model, uint64_t seed, float identity_value) {
    uint64_t stream = 0;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        const lfd_layer *layer = &model->layers[i];
        for (int64_t k = layer->first_tensor; k < layer->first_tensor + layer->tensor_count; ++k) {
            const lfd_tensor *tensor = &model->tensors[k];
            if (tensor->role != LINFDIST_ROLE_WEIGHT) continue;
            LFD_TRY(lfd_distance_weights_init(seed, stream++, tensor->shape[0], tensor->shape[1], layer->spec.groups,
                                              tensor->shape[2], tensor->shape[3], 1.0f,
                                              tensor->lp_rows ? identity_value : 0.0f, tensor->data));
        }
    }
    return LINFDIST_OK;
}
