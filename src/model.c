/* Models: creation from an architecture, copies, references. */
#include "model.h"

#include <string.h>

#include "layers/layer.h"

linfdist_status lfd_alloc_floats(const linfdist_context *context, size_t rows, size_t columns, const char *what,
                                 float **floats) {
    void *memory;
    if (columns != 0 && rows > SIZE_MAX / sizeof(float) / columns) {
        return lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "%s: %zu x %zu floats are more than memory can address", what,
                        rows, columns);
    }
    LFD_TRY(lfd_alloc_zero(context, rows * columns, sizeof(float), what, &memory));
    *floats = memory;
    return LINFDIST_OK;
}

/* ---- checks ---- */

linfdist_status lfd_architecture_features(const lfd_architecture *a, int64_t *n_in) {
    LFD_TRY(lfd_check_count("channels", a->channels, 1, INT32_MAX));
    LFD_TRY(lfd_check_count("height", a->height, 1, INT32_MAX / a->channels));
    LFD_TRY(lfd_check_count("width_px", a->width_px, 1, INT32_MAX / (a->channels * a->height)));
    *n_in = a->channels * a->height * a->width_px;
    return LINFDIST_OK;
}

static int64_t features_of(const lfd_extent *extent) {
    return extent->channels * extent->height * extent->width;
}

/* Completes the spec for what the layers before it put out. */
static linfdist_status resolve_layer(lfd_layer_spec *spec, int64_t index, const lfd_extent *in) {
    const struct lfd_layer_ops *ops;
    LFD_TRY(lfd_layer_look_up(spec->name, sizeof spec->name, spec->kind, index, &ops));
    const int64_t features = features_of(in);
    if (spec->n_in != 0 && spec->n_in != features) {
        return lfd_fail(LINFDIST_ERROR_SHAPE, "layer %s (%s): n_in is %lld, but %lld features reach it", spec->name,
                        ops->label, (long long)spec->n_in, (long long)features);
    }
    spec->in = *in;
    spec->n_in = features;
    return ops->check(spec);
}

static linfdist_status check_architecture(const lfd_architecture *a) {
    int64_t features;
    LFD_TRY(lfd_architecture_features(a, &features));
    LFD_TRY(lfd_check_count("classes", a->classes, 2, INT32_MAX));
    LFD_TRY(lfd_check_count("outputs", a->outputs, LINFDIST_OUTPUTS_DISTANCES, LINFDIST_OUTPUTS_LOGITS));
    LFD_TRY(lfd_check_count("learned_scalar", a->learned_scalar, 0, 1));
    if (a->learned_scalar && a->outputs == LINFDIST_OUTPUTS_LOGITS) {
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "learned_scalar is 1, but outputs that are logits have none");
    }
    LFD_TRY(lfd_check_count("the number of layers", a->layer_count, 1, LFD_LAYERS_MAX));
    LFD_REQUIRE(a->layers);
    return LINFDIST_OK;
}

linfdist_status lfd_architecture_resolve(const lfd_architecture *a) {
    lfd_extent extent = {a->channels, a->height, a->width_px};
    LFD_TRY(check_architecture(a));
    for (int64_t i = 0; i < a->layer_count; ++i) {
        LFD_TRY(resolve_layer(&a->layers[i], i, &extent));
        extent = a->layers[i].out;
    }
    const int64_t features = features_of(&extent);
    if (features != a->classes) {
        return lfd_fail(LINFDIST_ERROR_SHAPE, "the last layer has %lld outputs, but there are %lld classes",
                        (long long)features, (long long)a->classes);
    }
    return LINFDIST_OK;
}

static linfdist_status check_names(const linfdist_model *model) {
    for (int64_t i = 1; i < model->tensor_count; ++i) {
        if (lfd_model_tensor_index(model, model->tensors[i].name) != i) {
            return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "two tensors are named %s", model->tensors[i].name);
        }
    }
    return LINFDIST_OK;
}

/* ---- creation ---- */

/* Where the model's tensors begin, and how far it is 1-Lipschitz. */
static void place_layers(linfdist_model *model) {
    for (int64_t i = 0; i < model->layer_count; ++i) {
        lfd_layer *layer = &model->layers[i];
        layer->ops = lfd_layer_find(layer->spec.kind);
        layer->first_tensor = model->tensor_count;
        layer->tensor_count = layer->ops->tensor_count;
        model->tensor_count += layer->tensor_count;
        if (model->split == i && layer->ops->lipschitz) model->split = i + 1;
    }
    model->tensor_count += model->learned_scalar;
}

static linfdist_status allocate_tensor(const linfdist_context *context, lfd_tensor *tensor) {
    size_t rows = (size_t)tensor->shape[0];
    size_t columns = 1;
    for (int32_t i = 1; i < LINFDIST_MAX_DIMS; ++i) {
        size_t side = (size_t)tensor->shape[i];
        if (columns > SIZE_MAX / side) {
            return lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "%s is larger than memory can address", tensor->name);
        }
        columns *= side;
    }
    LFD_TRY(lfd_alloc_floats(context, rows, columns, tensor->name, &tensor->data));
    tensor->count = rows * columns;
    return LINFDIST_OK;
}

/* The layers' tensors and the scalar, zero but for the scalar. */
static linfdist_status make_tensors(linfdist_model *model) {
    void *memory;
    LFD_TRY(lfd_alloc_zero(model->context, (size_t)model->tensor_count, sizeof(lfd_tensor), "tensors", &memory));
    model->tensors = memory;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        const lfd_layer *layer = &model->layers[i];
        if (layer->ops->describe) layer->ops->describe(&layer->spec, &model->tensors[layer->first_tensor]);
    }
    if (model->learned_scalar) {
        model->tensors[model->tensor_count - 1] =
            (lfd_tensor){.name = "scalar", .role = LINFDIST_ROLE_SCALAR, .dims = 1, .shape = {1, 1, 1, 1}};
    }
    LFD_TRY(check_names(model));
    for (int64_t i = 0; i < model->tensor_count; ++i) LFD_TRY(allocate_tensor(model->context, &model->tensors[i]));
    if (model->learned_scalar) model->tensors[model->tensor_count - 1].data[0] = 1.0f;
    return LINFDIST_OK;
}

static linfdist_status fill(linfdist_model *model, const lfd_architecture *a) {
    void *memory;
    model->channels = a->channels;
    model->height = a->height;
    model->width_px = a->width_px;
    model->n_in = a->channels * a->height * a->width_px;
    model->classes = a->classes;
    model->outputs = a->outputs;
    model->learned_scalar = a->learned_scalar;
    LFD_TRY(lfd_alloc_zero(model->context, (size_t)a->layer_count, sizeof(lfd_layer), "layers", &memory));
    model->layers = memory;
    model->layer_count = a->layer_count;
    for (int64_t i = 0; i < a->layer_count; ++i) model->layers[i].spec = a->layers[i];
    place_layers(model);
    return make_tensors(model);
}

linfdist_status lfd_model_create(linfdist_context *context, const lfd_architecture *architecture,
                                 linfdist_model **model) {
    void *memory;
    LFD_TRY(lfd_architecture_resolve(architecture));
    LFD_TRY(lfd_alloc_zero(context, 1, sizeof(linfdist_model), "model", &memory));
    linfdist_model *made = memory;
    atomic_init(&made->references, 1);
    made->context = lfd_context_retain(context);
    linfdist_status status = fill(made, architecture);
    if (status != LINFDIST_OK) {
        lfd_model_release(made);
        return status;
    }
    *model = made;
    return LINFDIST_OK;
}

/* ---- references ---- */

linfdist_model *lfd_model_retain(linfdist_model *model) {
    atomic_fetch_add_explicit(&model->references, 1, memory_order_relaxed);
    return model;
}

void lfd_model_release(linfdist_model *model) {
    if (!model || atomic_fetch_sub_explicit(&model->references, 1, memory_order_acq_rel) > 1) return;
    linfdist_context *context = model->context;
    /* A model whose creation failed may have no tensors yet. */
    for (int64_t i = 0; model->tensors && i < model->tensor_count; ++i) lfd_free(context, model->tensors[i].data);
    lfd_free(context, model->tensors);
    lfd_free(context, model->layers);
    lfd_statistics_clear(context, &model->statistics);
    lfd_free(context, model);
    lfd_context_release(context);
}

void linfdist_model_destroy(linfdist_model *model) {
    lfd_model_release(model);
}

/* ---- copies ---- */

static linfdist_status copy_contents(const linfdist_model *model, linfdist_model *copy) {
    for (int64_t i = 0; i < model->tensor_count; ++i) {
        memcpy(copy->tensors[i].data, model->tensors[i].data, model->tensors[i].count * sizeof(float));
    }
    if (model->statistics.channels == 0) return LINFDIST_OK;
    linfdist_statistics statistics = {.struct_size = sizeof statistics};
    LFD_TRY(linfdist_model_get_statistics(model, &statistics));
    return linfdist_model_set_statistics(copy, &statistics);
}

linfdist_status linfdist_model_copy(const linfdist_model *model, linfdist_model **copy) {
    void *memory;
    linfdist_model *made = NULL;
    LFD_REQUIRE(model);
    LFD_REQUIRE(copy);
    size_t layers = (size_t)model->layer_count;
    LFD_TRY(lfd_alloc(model->context, layers, sizeof(lfd_layer_spec), "layers of the copy", &memory));
    lfd_layer_spec *specs = memory;
    for (size_t i = 0; i < layers; ++i) specs[i] = model->layers[i].spec;
    lfd_architecture architecture = {.channels = model->channels,
                                     .height = model->height,
                                     .width_px = model->width_px,
                                     .classes = model->classes,
                                     .outputs = model->outputs,
                                     .learned_scalar = model->learned_scalar,
                                     .layer_count = model->layer_count,
                                     .layers = specs};
    linfdist_status status = lfd_model_create(model->context, &architecture, &made);
    lfd_free(model->context, specs);
    if (status == LINFDIST_OK) status = copy_contents(model, made);
    if (status != LINFDIST_OK) {
        lfd_model_release(made);
        return status;
    }
    *copy = made;
    return LINFDIST_OK;
}
