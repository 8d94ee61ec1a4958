/* The metadata of model files: a model's architecture and statistics as JSON texts. */
#include <string.h>

#include "layers/layer.h"
#include "model_file.h"

#define FORMAT_VERSION 1
#define FORMAT_VERSION_TEXT "1"
#define OUTPUTS_LOGITS_WORD "logits"

/* ---- what convolutions have beside the other layers ---- */

enum { WINDOW_FIELDS = 6 };

static const char *const window_fields[WINDOW_FIELDS] = {"kernel_h", "kernel_w", "stride",
                                                         "padding",  "dilation", "out_channels"};

static int put_window(lfd_json *object, const lfd_window *w) {
    const int64_t values[WINDOW_FIELDS] = {w->kernel_h, w->kernel_w, w->stride,
                                           w->padding,  w->dilation, w->out_channels};
    int failed = 0;
    for (size_t i = 0; i < WINDOW_FIELDS; ++i)
        failed |= lfd_json_put(object, window_fields[i], lfd_json_new_integer(values[i]));
    return failed;
}

/* ---- writing ---- */

static lfd_json *describe_layer(const lfd_layer *layer) {
    lfd_json *object = lfd_json_new_object();
    int failed = lfd_json_put(object, "kind", lfd_json_new_string(layer->ops->label));
    failed |= lfd_json_put(object, "name", lfd_json_new_string(layer->spec.name));
    failed |= lfd_json_put(object, "n_in", lfd_json_new_integer(layer->spec.n_in));
    failed |= lfd_json_put(object, "n_out", lfd_json_new_integer(layer->spec.n_out));
    failed |= lfd_json_put(object, "groups", lfd_json_new_integer(layer->spec.groups));
    if (layer->ops->window) failed |= put_window(object, &layer->spec.window);
    if (!failed) return object;
    lfd_json_free(object);
    return NULL;
}

static lfd_json *describe_architecture(const linfdist_model *model) {
    lfd_json *object = lfd_json_new_object(), *layers = lfd_json_new_array();
    int failed = 0;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        failed |= lfd_json_append(layers, describe_layer(&model->layers[i]));
    }
    failed |= lfd_json_put(object, "channels", lfd_json_new_integer(model->channels));
    failed |= lfd_json_put(object, "height", lfd_json_new_integer(model->height));
    failed |= lfd_json_put(object, "width_px", lfd_json_new_integer(model->width_px));
    failed |= lfd_json_put(object, "classes", lfd_json_new_integer(model->classes));
    failed |= lfd_json_put(object, "learned_scalar", lfd_json_new_boolean(model->learned_scalar));
    failed |= lfd_json_put(object, "layers", layers);
    if (model->outputs == LINFDIST_OUTPUTS_LOGITS)
        failed |= lfd_json_put(object, "outputs", lfd_json_new_string(OUTPUTS_LOGITS_WORD));
    if (!failed) return object;
    lfd_json_free(object);
    return NULL;
}

static lfd_json *describe_statistics(const lfd_statistics *statistics) {
    lfd_json *object = lfd_json_new_object(), *mean = lfd_json_new_array();
    int failed = 0;
    for (int64_t i = 0; i < statistics->channels; ++i) {
        failed |= lfd_json_append(mean, lfd_json_new_number(statistics->mean[i]));
    }
    failed |= lfd_json_put(object, "mean", mean);
    failed |= lfd_json_put(object, "std", lfd_json_new_number(statistics->std));
    failed |= lfd_json_put(object, "low", lfd_json_new_number(statistics->low));
    failed |= lfd_json_put(object, "high", lfd_json_new_number(statistics->high));
    if (!failed) return object;
    lfd_json_free(object);
    return NULL;
}

linfdist_status lfd_header_put(const linfdist_context *context, lfd_json *metadata, const char *key, lfd_json *value) {
    char *text = NULL;
    linfdist_status status = lfd_json_text(context, value, &text, NULL);
    if (status == LINFDIST_OK && lfd_json_put(metadata, key, lfd_json_new_string(text)) != 0) {
        status = lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "no memory for the metadata");
    }
    lfd_free(context, text);
    lfd_json_free(value);
    return status;
}

linfdist_status lfd_header_describe(const linfdist_model *model, const char *format, lfd_json **metadata) {
    lfd_json *made = lfd_json_new_object();
    int failed = lfd_json_put(made, "format", lfd_json_new_string(format));
    failed |= lfd_json_put(made, "format_version", lfd_json_new_string(FORMAT_VERSION_TEXT));
    failed |= lfd_json_put(made, "library_version", lfd_json_new_string(LINFDIST_VERSION_STRING));
    linfdist_status status = LINFDIST_OK;
    if (failed) status = lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "no memory for the metadata");
    if (status == LINFDIST_OK)
        status = lfd_header_put(model->context, made, "architecture", describe_architecture(model));
    if (status == LINFDIST_OK && model->statistics.channels > 0) {
        status = lfd_header_put(model->context, made, "statistics", describe_statistics(&model->statistics));
    }
    if (status != LINFDIST_OK) {
        lfd_json_free(made);
        return status;
    }
    *metadata = made;
    return LINFDIST_OK;
}

/* ---- reading ---- */

linfdist_status lfd_blame_file(linfdist_status status) {
    if (status != LINFDIST_ERROR_INVALID_ARGUMENT && status != LINFDIST_ERROR_RANGE) return status;
    return lfd_fail(LINFDIST_ERROR_FORMAT, "in the file: %s", linfdist_last_error());
}

linfdist_status lfd_header_get(const linfdist_context *context, lfd_json *metadata, const char *key, lfd_json **value) {
    const char *text;
    LFD_TRY(lfd_json_read_string(lfd_json_member(metadata, key), "__metadata__", key, &text));
    return lfd_json_parse(context, text, strlen(text), key, value);
}

/* Decimal digits; a version beyond any sane one is simply newer. */
static linfdist_status check_version(const char *text) {
    int64_t version = 0;
    for (const char *at = text; *at; ++at) {
        if (*at < '0' || *at > '9') return lfd_fail(LINFDIST_ERROR_FORMAT, "format_version is \"%.32s\"", text);
        if (version <= FORMAT_VERSION) version = 10 * version + (*at - '0');
    }
    if (version == 0) return lfd_fail(LINFDIST_ERROR_FORMAT, "format_version is \"%.32s\"", text);
    if (version <= FORMAT_VERSION) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "format_version is %.32s, this library reads up to %d", text,
                    FORMAT_VERSION);
}

linfdist_status lfd_header_format(lfd_json *metadata, const char **format) {
    const char *word, *version;
    LFD_TRY(lfd_json_read_string(lfd_json_member(metadata, "format"), "__metadata__", "format", &word));
    if (strcmp(word, LFD_FORMAT_MODEL) != 0 && strcmp(word, LFD_FORMAT_CHECKPOINT) != 0) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "format is \"%.64s\", must be \"%s\" or \"%s\"", word, LFD_FORMAT_MODEL,
                        LFD_FORMAT_CHECKPOINT);
    }
    LFD_TRY(
        lfd_json_read_string(lfd_json_member(metadata, "format_version"), "__metadata__", "format_version", &version));
    LFD_TRY(check_version(version));
    *format = word;
    return LINFDIST_OK;
}

/* Kinds are numbered from 1 without gaps. */
static linfdist_status read_kind(const char *word, lfd_layer_spec *spec) {
    const struct lfd_layer_ops *ops;
    for (spec->kind = 1; (ops = lfd_layer_find(spec->kind)) != NULL; ++spec->kind) {
        if (strcmp(word, ops->label) == 0) return LINFDIST_OK;
    }
    return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "layer %s: kind \"%.64s\" is unknown to this library", spec->name,
                    word);
}

/* The member that writing puts there only for logits. */
static linfdist_status read_outputs(lfd_json *json, lfd_architecture *a) {
    const char *word;
    lfd_json *member = lfd_json_member(json, "outputs");
    a->outputs = LINFDIST_OUTPUTS_DISTANCES;
    if (!member) return lfd_json_check_size(json, 6, "architecture");
    LFD_TRY(lfd_json_read_string(member, "architecture", "outputs", &word));
    if (strcmp(word, OUTPUTS_LOGITS_WORD) != 0)
        return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "outputs are \"%.64s\", which this library does not know", word);
    a->outputs = LINFDIST_OUTPUTS_LOGITS;
    return lfd_json_check_size(json, 7, "architecture");
}

static linfdist_status read_window(lfd_json *json, const char *name, lfd_window *window) {
    int64_t values[WINDOW_FIELDS];
    for (size_t i = 0; i < WINDOW_FIELDS; ++i)
        LFD_TRY(lfd_json_read_count(lfd_json_member(json, window_fields[i]), name, window_fields[i], &values[i]));
    *window = (lfd_window){values[5], values[0], values[1], values[2], values[3], values[4]};
    return LINFDIST_OK;
}

/* Where 0 would mean that it follows from the rest. */
static linfdist_status read_features(lfd_json *json, const char *name, const char *field, int64_t *value) {
    LFD_TRY(lfd_json_read_count(lfd_json_member(json, field), name, field, value));
    if (*value > 0) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_SHAPE, "layer %s: %s is 0, must be at least 1", name, field);
}

static linfdist_status read_layer(lfd_json *json, lfd_layer_spec *spec) {
    const char *name, *kind;
    LFD_TRY(lfd_json_read_object(json, "architecture", "a layer"));
    LFD_TRY(lfd_json_read_string(lfd_json_member(json, "name"), "architecture", "the name of a layer", &name));
    if (strlen(name) >= sizeof spec->name) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "layer name \"%.64s\" has %zu bytes, at most %zu are allowed", name,
                        strlen(name), sizeof spec->name - 1);
    }
    strcpy(spec->name, name);
    LFD_TRY(lfd_json_read_string(lfd_json_member(json, "kind"), name, "kind", &kind));
    LFD_TRY(read_kind(kind, spec));
    LFD_TRY(read_features(json, name, "n_in", &spec->n_in));
    LFD_TRY(read_features(json, name, "n_out", &spec->n_out));
    LFD_TRY(lfd_json_read_count(lfd_json_member(json, "groups"), name, "groups", &spec->groups));
    if (!lfd_layer_find(spec->kind)->window) return lfd_json_check_size(json, 5, "a layer");
    LFD_TRY(read_window(json, name, &spec->window));
    return lfd_json_check_size(json, 5 + WINDOW_FIELDS, "a layer");
}

static linfdist_status read_architecture(const linfdist_context *context, lfd_json *json, lfd_architecture *a) {
    void *memory;
    lfd_json *layers = lfd_json_member(json, "layers");
    LFD_TRY(lfd_json_read_count(lfd_json_member(json, "channels"), "architecture", "channels", &a->channels));
    LFD_TRY(lfd_json_read_count(lfd_json_member(json, "height"), "architecture", "height", &a->height));
    LFD_TRY(lfd_json_read_count(lfd_json_member(json, "width_px"), "architecture", "width_px", &a->width_px));
    LFD_TRY(lfd_json_read_count(lfd_json_member(json, "classes"), "architecture", "classes", &a->classes));
    LFD_TRY(lfd_json_read_boolean(lfd_json_member(json, "learned_scalar"), "architecture", "learned_scalar",
                                  &a->learned_scalar));
    LFD_TRY(lfd_json_read_array(layers, "architecture", "layers"));
    LFD_TRY(read_outputs(json, a));
    size_t count = lfd_json_size(layers);
    if (count > LFD_LAYERS_MAX)
        return lfd_fail(LINFDIST_ERROR_FORMAT, "architecture: %zu layers, must be at most %d", count, LFD_LAYERS_MAX);
    LFD_TRY(lfd_alloc_zero(context, count, sizeof(lfd_layer_spec), "layers", &memory));
    a->layer_count = (int64_t)count;
    a->layers = memory;
    for (size_t i = 0; i < count; ++i) LFD_TRY(read_layer(lfd_json_element(layers, i), &a->layers[i]));
    return LINFDIST_OK;
}

linfdist_status lfd_header_architecture(const linfdist_context *context, lfd_json *metadata,
                                        lfd_architecture *architecture) {
    lfd_json *json;
    *architecture = (lfd_architecture){0};
    LFD_TRY(lfd_header_get(context, metadata, "architecture", &json));
    linfdist_status status = read_architecture(context, json, architecture);
    lfd_json_free(json);
    if (status != LINFDIST_OK) lfd_free(context, architecture->layers);
    return status;
}

static linfdist_status read_statistics(lfd_json *json, double *mean, linfdist_statistics *statistics) {
    lfd_json *means = lfd_json_member(json, "mean");
    for (int64_t i = 0; i < statistics->channels; ++i) {
        LFD_TRY(lfd_json_read_number(lfd_json_element(means, (size_t)i), "statistics", "a mean", &mean[i]));
    }
    LFD_TRY(lfd_json_read_number(lfd_json_member(json, "std"), "statistics", "std", &statistics->std));
    LFD_TRY(lfd_json_read_number(lfd_json_member(json, "low"), "statistics", "low", &statistics->low));
    LFD_TRY(lfd_json_read_number(lfd_json_member(json, "high"), "statistics", "high", &statistics->high));
    return lfd_json_check_size(json, 4, "statistics");
}

linfdist_status lfd_header_statistics(lfd_json *metadata, linfdist_model *model) {
    lfd_json *json = NULL;
    void *mean = NULL;
    linfdist_statistics statistics = {.struct_size = sizeof statistics};
    if (!lfd_json_member(metadata, "statistics")) return LINFDIST_OK;
    LFD_TRY(lfd_header_get(model->context, metadata, "statistics", &json));
    linfdist_status status = lfd_json_read_array(lfd_json_member(json, "mean"), "statistics", "mean");
    statistics.channels = (int64_t)lfd_json_size(lfd_json_member(json, "mean"));
    if (status == LINFDIST_OK) {
        status = lfd_alloc(model->context, (size_t)statistics.channels, sizeof(double), "means", &mean);
    }
    if (status == LINFDIST_OK) status = read_statistics(json, mean, &statistics);
    statistics.mean = mean;
    if (status == LINFDIST_OK) status = lfd_blame_file(linfdist_model_set_statistics(model, &statistics));
    lfd_free(model->context, mean);
    lfd_json_free(json);
    return status;
}
