/* The published nets: their layers, from one call each. */
#include <stdio.h>

#include "model.h"
#include "ops.h"

enum { DEPTH_MAX = LFD_LAYERS_MAX / 2, CONVOLUTIONS = 5, HEAD_LAYERS = 3 };

/* ---- building blocks ---- */

/* A net that is being listed. */
typedef struct plan {
    lfd_architecture architecture;
    const linfdist_context *context;
    int64_t distances; /* dense distance layers so far, for their names */
} plan;

static linfdist_status plan_begin(plan *p, linfdist_context *context, int64_t layers) {
    void *memory;
    p->context = context;
    LFD_TRY(lfd_alloc_zero(context, (size_t)layers, sizeof(lfd_layer_spec), "layers of the net", &memory));
    p->architecture.layers = memory;
    return LINFDIST_OK;
}

static lfd_layer_spec *add(plan *p, int32_t kind, const char *block, int64_t index) {
    lfd_layer_spec *spec = &p->architecture.layers[p->architecture.layer_count++];
    *spec = (lfd_layer_spec){.kind = kind, .groups = 1};
    if (index < 0)
        (void)snprintf(spec->name, sizeof spec->name, "%s", block);
    else
        (void)snprintf(spec->name, sizeof spec->name, "%s.%lld", block, (long long)index);
    return spec;
}

static void add_distance(plan *p, int64_t n_out, int32_t then) {
    const int64_t index = p->distances++;
    add(p, LINFDIST_LAYER_DISTANCE, "fc_dist", index)->n_out = n_out;
    (void)add(p, then, "fc_dist", index);
}

static void add_convolution(plan *p, int64_t index, int64_t out_channels, int64_t stride) {
    const lfd_window window = {out_channels, 3, 3, stride, 1, 1};
    add(p, LINFDIST_LAYER_DISTANCE_CONV, "conv_dist", index)->window = window;
    (void)add(p, LINFDIST_LAYER_MEAN_SHIFT, "conv_dist", index);
}

/* The linear head of hybrid nets. */
static void add_head(plan *p, int64_t hidden) {
    add(p, LINFDIST_LAYER_LINEAR, "fc_linear", 0)->n_out = hidden;
    (void)add(p, LINFDIST_LAYER_TANH, "fc_linear", 0);
    add(p, LINFDIST_LAYER_LINEAR, "fc_final", -1)->n_out = p->architecture.classes;
    p->architecture.outputs = LINFDIST_OUTPUTS_LOGITS;
    p->architecture.learned_scalar = 0;
}

/* Makes the model and forgets the plan. */
static linfdist_status plan_end(plan *p, linfdist_context *context, uint64_t seed, float identity_value,
                                linfdist_model **model) {
    linfdist_model *made = NULL;
    linfdist_status status = lfd_model_create(context, &p->architecture, &made);
    lfd_free(p->context, p->architecture.layers);
    if (status == LINFDIST_OK) status = lfd_model_init_weights(made, seed, identity_value);
    if (status != LINFDIST_OK) {
        lfd_model_release(made);
        return status;
    }
    *model = made;
    return LINFDIST_OK;
}

static linfdist_status check_identity(float identity_value) {
    return lfd_check_number("identity_value", (double)identity_value, -LFD_LIMIT, LFD_LIMIT);
}

static linfdist_status check_classes(int64_t classes) {
    return lfd_check_count("classes", classes, 2, INT32_MAX);
}

/* ---- MLP ---- */

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

static linfdist_status read_mlp(linfdist_mlp_options *o, const linfdist_mlp_options *options) {
    LFD_TRY(linfdist_mlp_options_init(o, sizeof *o));
    LFD_TRY(lfd_options_read(o, sizeof *o, sizeof *o, options, "options"));
    LFD_TRY(check_classes(o->classes));
    LFD_TRY(lfd_check_count("depth", o->depth, 1, DEPTH_MAX));
    LFD_TRY(lfd_check_count("width", o->width, 1, INT32_MAX));
    return check_identity(o->identity_value);
}

linfdist_status linfdist_model_create_mlp(linfdist_context *context, const linfdist_mlp_options *options,
                                          linfdist_model **model) {
    linfdist_mlp_options o;
    LFD_REQUIRE(context);
    LFD_REQUIRE(options);
    LFD_REQUIRE(model);
    LFD_TRY(read_mlp(&o, options));
    plan p = {.architecture = {.channels = o.channels,
                               .height = o.height,
                               .width_px = o.width_px,
                               .classes = o.classes,
                               .learned_scalar = o.learned_scalar}};
    LFD_TRY(plan_begin(&p, context, 2 * o.depth));
    for (int64_t i = 0; i < o.depth - 1; ++i) add_distance(&p, o.width, LINFDIST_LAYER_MEAN_SHIFT);
    add_distance(&p, o.classes, LINFDIST_LAYER_BIAS);
    return plan_end(&p, context, o.seed, o.identity_value, model);
}

/* ---- hybrid net ---- */

linfdist_status linfdist_hybrid_options_init(linfdist_hybrid_options *options, size_t struct_size) {
    static const linfdist_hybrid_options defaults = {.struct_size = sizeof defaults,
                                                     .channels = 1,
                                                     .height = 28,
                                                     .width_px = 28,
                                                     .classes = 10,
                                                     .depth = 6,
                                                     .width = 5120,
                                                     .hidden = 256,
                                                     .identity_value = 10.0f,
                                                     .seed = 2020};
    return lfd_options_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "options");
}

static linfdist_status read_hybrid(linfdist_hybrid_options *o, const linfdist_hybrid_options *options) {
    LFD_TRY(linfdist_hybrid_options_init(o, sizeof *o));
    LFD_TRY(lfd_options_read(o, sizeof *o, sizeof *o, options, "options"));
    LFD_TRY(check_classes(o->classes));
    LFD_TRY(lfd_check_count("depth", o->depth, 3, DEPTH_MAX));
    LFD_TRY(lfd_check_count("width", o->width, 1, INT32_MAX));
    LFD_TRY(lfd_check_count("hidden", o->hidden, 1, INT32_MAX));
    return check_identity(o->identity_value);
}

linfdist_status linfdist_model_create_hybrid(linfdist_context *context, const linfdist_hybrid_options *options,
                                             linfdist_model **model) {
    linfdist_hybrid_options o;
    LFD_REQUIRE(context);
    LFD_REQUIRE(options);
    LFD_REQUIRE(model);
    LFD_TRY(read_hybrid(&o, options));
    plan p = {
        .architecture = {.channels = o.channels, .height = o.height, .width_px = o.width_px, .classes = o.classes}};
    LFD_TRY(plan_begin(&p, context, 2 * (o.depth - 2) + HEAD_LAYERS));
    for (int64_t i = 0; i < o.depth - 2; ++i) add_distance(&p, o.width, LINFDIST_LAYER_MEAN_SHIFT);
    add_head(&p, o.hidden);
    return plan_end(&p, context, o.seed, o.identity_value, model);
}

/* ---- convolutional nets ---- */

linfdist_status linfdist_conv_options_init(linfdist_conv_options *options, size_t struct_size) {
    static const linfdist_conv_options defaults = {.struct_size = sizeof defaults,
                                                   .channels = 3,
                                                   .height = 32,
                                                   .width_px = 32,
                                                   .classes = 10,
                                                   .width_factor = 1,
                                                   .features = 512,
                                                   .identity_value = 10.0f,
                                                   .learned_scalar = 1,
                                                   .seed = 2021};
    return lfd_options_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "options");
}

static linfdist_status read_conv(linfdist_conv_options *o, const linfdist_conv_options *options) {
    LFD_TRY(linfdist_conv_options_init(o, sizeof *o));
    LFD_TRY(lfd_options_read(o, sizeof *o, sizeof *o, options, "options"));
    LFD_TRY(check_classes(o->classes));
    LFD_TRY(lfd_check_count("width_factor", o->width_factor, 1, INT32_MAX / 64));
    LFD_TRY(lfd_check_count("features", o->features, 1, INT32_MAX));
    LFD_TRY(lfd_check_count("hidden", o->hidden, 0, INT32_MAX));
    return check_identity(o->identity_value);
}

linfdist_status linfdist_model_create_conv(linfdist_context *context, const linfdist_conv_options *options,
                                           linfdist_model **model) {
    linfdist_conv_options o;
    LFD_REQUIRE(context);
    LFD_REQUIRE(options);
    LFD_REQUIRE(model);
    LFD_TRY(read_conv(&o, options));
    const int64_t w = 32 * o.width_factor, channels[CONVOLUTIONS] = {w, w, 2 * w, 2 * w, 2 * w};
    plan p = {.architecture = {.channels = o.channels,
                               .height = o.height,
                               .width_px = o.width_px,
                               .classes = o.classes,
                               .learned_scalar = o.learned_scalar}};
    LFD_TRY(plan_begin(&p, context, 2 * CONVOLUTIONS + 2 + HEAD_LAYERS));
    for (int64_t i = 0; i < CONVOLUTIONS; ++i) add_convolution(&p, i, channels[i], i == 2 ? 2 : 1);
    add_distance(&p, o.features, LINFDIST_LAYER_MEAN_SHIFT);
    if (o.hidden > 0)
        add_head(&p, o.hidden);
    else
        add_distance(&p, o.classes, LINFDIST_LAYER_BIAS);
    return plan_end(&p, context, o.seed, o.identity_value, model);
}
