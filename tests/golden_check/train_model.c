/* The nets of training goldens. */
#include <stdio.h>
#include <string.h>

#include "train.h"

enum { LAYERS_MAX = 32 };

typedef struct layer_list {
    linfdist_layer layers[LAYERS_MAX];
    char names[LAYERS_MAX][48];
    int64_t count;
} layer_list;

static void destroy_model(void *model) {
    linfdist_model_destroy(model);
}

static linfdist_layer *add_named(check *c, layer_list *list, int32_t kind, const char *name) {
    if (list->count == LAYERS_MAX) check_stop(c, "the model has too many layers");
    char *kept = list->names[list->count];
    linfdist_layer *layer = &list->layers[list->count++];
    snprintf(kept, sizeof list->names[0], "%s", name);
    CHECK(c, linfdist_layer_init(layer, sizeof *layer, kind, kept));
    return layer;
}

static linfdist_layer *add(check *c, layer_list *list, int32_t kind, const char *block, int index) {
    char name[48];
    snprintf(name, sizeof name, "%s.%d", block, index);
    return add_named(c, list, kind, name);
}

/* ---- nets by name ---- */

/* "(1, 8, 8)", and what the file's tensors say. */
static linfdist_model_options read_frame(check *c) {
    const char *input = check_metadata(c, "input_dim");
    const golden_tensor *logits = golden_find(c->file, "eval.logits");
    long long channels, height, width_px;
    linfdist_model_options frame;
    CHECK(c, linfdist_model_options_init(&frame, sizeof frame));
    if (sscanf(input, "(%lld, %lld, %lld)", &channels, &height, &width_px) != 3) check_stop(c, "input is %s", input);
    if (!logits || logits->dims != 2) check_stop(c, "tensor eval.logits is missing or not two-dimensional");
    frame.channels = channels;
    frame.height = height;
    frame.width_px = width_px;
    frame.classes = (int64_t)logits->shape[1];
    frame.learned_scalar = check_has(c, "init.scalar");
    return frame;
}

static int create_mlp(check *c, const char *text, const linfdist_model_options *frame, linfdist_model **model) {
    long long depth, width;
    linfdist_mlp_options options;
    if (sscanf(text, "MLPModel(depth=%lld,width=%lld,", &depth, &width) != 2) return 0;
    CHECK(c, linfdist_mlp_options_init(&options, sizeof options));
    options.channels = frame->channels;
    options.height = frame->height;
    options.width_px = frame->width_px;
    options.classes = frame->classes;
    options.depth = depth;
    options.width = width;
    options.learned_scalar = frame->learned_scalar;
    CHECK(c, linfdist_model_create_mlp(c->context, &options, model));
    return 1;
}

static int create_hybrid(check *c, const char *text, const linfdist_model_options *frame, linfdist_model **model) {
    long long depth, width, hidden;
    const char *part = strstr(text, "hidden=");
    linfdist_hybrid_options options;
    if (sscanf(text, "HybridModel(depth=%lld,width=%lld,", &depth, &width) != 2) return 0;
    if (!part || sscanf(part, "hidden=%lld)", &hidden) != 1) return 0;
    CHECK(c, linfdist_hybrid_options_init(&options, sizeof options));
    options.channels = frame->channels;
    options.height = frame->height;
    options.width_px = frame->width_px;
    options.classes = frame->classes;
    options.depth = depth;
    options.width = width;
    options.hidden = hidden;
    CHECK(c, linfdist_model_create_hybrid(c->context, &options, model));
    return 1;
}

/* "(1, 6, 3, 2, 1, 1), (6, 8, 3, 1, 1, 1)]": input and output channels, kernel, stride, padding, groups. Returns what
 * comes after the last, NULL where it is no such list. */
static const char *add_convolutions(check *c, const char *text, layer_list *list) {
    for (int index = 0;; ++index) {
        long long in, out, kernel, stride, padding, groups;
        int length = 0;
        if (sscanf(text, "(%lld, %lld, %lld, %lld, %lld, %lld)%n", &in, &out, &kernel, &stride, &padding, &groups,
                   &length) != 6 ||
            length == 0)
            return NULL;
        linfdist_layer *layer = add(c, list, LINFDIST_LAYER_DISTANCE_CONV, "conv_dist", index);
        layer->out_channels = out;
        layer->kernel_h = layer->kernel_w = kernel;
        layer->stride = stride;
        layer->padding = padding;
        layer->groups = groups;
        (void)add(c, list, LINFDIST_LAYER_MEAN_SHIFT, "conv_dist", index);
        text += length;
        if (strncmp(text, ", ", 2) != 0) return *text == ']' ? text + 1 : NULL;
        text += 2;
    }
}

/* ", [128, 24], None)": the flattened features, and the width of each hidden dense layer. */
static int add_dense(check *c, const char *text, int64_t classes, layer_list *list) {
    long long width;
    int length = 0, index = 0;
    if (sscanf(text, ", [%lld%n", &width, &length) != 1) return 0;
    for (text += length; sscanf(text, ", %lld%n", &width, &length) == 1; text += length, ++index) {
        add(c, list, LINFDIST_LAYER_DISTANCE, "fc_dist", index)->n_out = width;
        (void)add(c, list, LINFDIST_LAYER_MEAN_SHIFT, "fc_dist", index);
    }
    add(c, list, LINFDIST_LAYER_DISTANCE, "fc_dist", index)->n_out = classes;
    (void)add(c, list, LINFDIST_LAYER_BIAS, "fc_dist", index);
    return *text == ']';
}

static int create_conv(check *c, const char *text, const linfdist_model_options *frame, linfdist_model **model) {
    static const char prefix[] = "('conv', [";
    layer_list list = {.count = 0};
    if (strncmp(text, prefix, strlen(prefix)) != 0) return 0;
    const char *dense = add_convolutions(c, text + strlen(prefix), &list);
    if (!dense || !add_dense(c, dense, frame->classes, &list)) return 0;
    CHECK(c, linfdist_model_create(c->context, frame, list.layers, list.count, model));
    return 1;
}

/* ---- the part of distances ---- */

static void add_copy(check *c, layer_list *list, const linfdist_layer_info *info) {
    linfdist_layer *layer = add_named(c, list, info->kind, info->name);
    layer->groups = info->groups;
    if (info->kind == LINFDIST_LAYER_DISTANCE) layer->n_out = info->n_out;
    if (info->kind != LINFDIST_LAYER_DISTANCE_CONV) return;
    layer->out_channels = info->out_channels;
    layer->kernel_h = info->kernel_h;
    layer->kernel_w = info->kernel_w;
    layer->stride = info->stride;
    layer->padding = info->padding;
    layer->dilation = info->dilation;
}

static void create_part(check *c, train_case *t, linfdist_model_options frame, int64_t layers) {
    layer_list list = {.count = 0};
    linfdist_layer_info info = {.struct_size = sizeof info};
    for (int64_t i = 0; i < layers; ++i) {
        CHECK(c, linfdist_model_get_layer(t->model, i, &info));
        if (info.kind == LINFDIST_LAYER_LINEAR) break;
        add_copy(c, &list, &info);
        frame.classes = info.n_out;
    }
    frame.learned_scalar = 0;
    CHECK(c, linfdist_model_create(c->context, &frame, list.layers, list.count, &t->part));
    check_own(c, t->part, destroy_model);
    t->features = (size_t)frame.classes;
}

void train_create_models(check *c, train_case *t) {
    const char *text = check_metadata(c, "model");
    const linfdist_model_options frame = read_frame(c);
    linfdist_model_info info = {.struct_size = sizeof info};
    if (!create_mlp(c, text, &frame, &t->model) && !create_hybrid(c, text, &frame, &t->model) &&
        !create_conv(c, text, &frame, &t->model))
        check_stop(c, "unknown model %s", text);
    check_own(c, t->model, destroy_model);
    CHECK(c, linfdist_model_get_info(t->model, &info));
    t->tensors = info.tensors;
    t->n_in = (size_t)info.n_in;
    t->classes = (size_t)info.classes;
    t->outputs = info.outputs;
    t->eval_count = golden_find(c->file, "eval.logits")->shape[0];
    create_part(c, t, frame, info.layers);
}
