/* The MLP of the paper: its layers and its initial weights. */
#include <stdio.h>

#include "model.h"
#include "ops.h"

enum { DEPTH_MAX = LFD_LAYERS_MAX / 2 };

linfdist_status linfdist_mlp_options_init(linfdist_mlp_options *options, size_t struct_size) {
    static const linfdist_mlp_options defaults = {.struct_size = sizeof defaults,
                                                  .channels = 1,
                                                  .height = 28,
                                                  .width_px = 28,
                                                  .classes = 10,
                                                  .depth = 5,
                                                  .width = 5120,
                                                  .identity_value = 10.0f,
                                                  .learned_scalar = 1,
                                                  .seed = 2021};
    return lfd_options_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "options");
}

static linfdist_status read_options(linfdist_mlp_options *read, const linfdist_mlp_options *options) {
    LFD_TRY(linfdist_mlp_options_init(read, sizeof *read));
    LFD_TRY(lfd_options_read(read, sizeof *read, sizeof *read, options, "options"));
    LFD_TRY(lfd_check_count("depth", read->depth, 1, DEPTH_MAX));
    LFD_TRY(lfd_check_count("width", read->width, 1, INT32_MAX));
    return lfd_check_number("identity_value", (double)read->identity_value, -LFD_LIMIT, LFD_LIMIT);
}

static void add_layer(lfd_architecture *a, int32_t kind, int64_t block, int64_t n_in, int64_t n_out) {
    lfd_layer_spec *spec = &a->layers[a->layer_count++];
    *spec = (lfd_layer_spec){.kind = kind, .n_in = n_in, .n_out = n_out, .groups = 1};
    (void)snprintf(spec->name, sizeof spec->name, "fc_dist.%lld", (long long)block);
}

/* depth distance layers, mean shift after all but the last, bias on the last. */
static void add_layers(lfd_architecture *a, const linfdist_mlp_options *o, int64_t n_in) {
    for (int64_t i = 0; i < o->depth - 1; ++i) {
        add_layer(a, LINFDIST_LAYER_DISTANCE, i, n_in, o->width);
        add_layer(a, LINFDIST_LAYER_MEAN_SHIFT, i, o->width, o->width);
        n_in = o->width;
    }
    add_layer(a, LINFDIST_LAYER_DISTANCE, o->depth - 1, n_in, o->classes);
    add_layer(a, LINFDIST_LAYER_BIAS, o->depth - 1, o->classes, o->classes);
}

/* Each layer draws from a sequence of its own. */
static linfdist_status init_weights(linfdist_model *model, const linfdist_mlp_options *o) {
    uint64_t block = 0;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        const lfd_layer_spec *spec = &model->layers[i].spec;
        if (spec->kind != LINFDIST_LAYER_DISTANCE) continue;
        float *weight = model->tensors[model->layers[i].first_tensor].data;
        LFD_TRY(lfd_distance_weights_init(o->seed, block++, spec->n_out, spec->n_in, 1, 1, 1, 1.0f, o->identity_value,
                                          weight));
    }
    return LINFDIST_OK;
}

linfdist_status linfdist_model_create_mlp(linfdist_context *context, const linfdist_mlp_options *options,
                                          linfdist_model **model) {
    linfdist_mlp_options o;
    linfdist_model *made = NULL;
    int64_t n_in;
    void *memory;
    LFD_REQUIRE(context);
    LFD_REQUIRE(options);
    LFD_REQUIRE(model);
    LFD_TRY(read_options(&o, options));
    lfd_architecture architecture = {.channels = o.channels,
                                     .height = o.height,
                                     .width_px = o.width_px,
                                     .classes = o.classes,
                                     .learned_scalar = o.learned_scalar};
    LFD_TRY(lfd_architecture_features(&architecture, &n_in));
    LFD_TRY(lfd_alloc_zero(context, (size_t)o.depth * 2, sizeof(lfd_layer_spec), "layers of the MLP", &memory));
    architecture.layers = memory;
    add_layers(&architecture, &o, n_in);
    linfdist_status status = lfd_model_create(context, &architecture, &made);
    lfd_free(context, memory);
    if (status == LINFDIST_OK) status = init_weights(made, &o);
    if (status != LINFDIST_OK) {
        lfd_model_release(made);
        return status;
    }
    *model = made;
    return LINFDIST_OK;
}
