/* Training checkpoints: a model file that also holds Adam's moments and the caller's own state. */
#include <stdio.h>
#include <string.h>

#include "file.h"
#include "model_file.h"
#include "ops.h"
#include "optimizer.h"

#define STATE "state"
#define MOMENT_NAME 96 /* "optimizer.m." and the name of a tensor */

typedef char moment_name[MOMENT_NAME];

static const char *name_moment(moment_name name, char moment, const lfd_tensor *tensor) {
    (void)snprintf(name, MOMENT_NAME, "optimizer.%c.%s", moment, tensor->name);
    return name;
}

/* Anything else would reach the weights at the next step. */
static linfdist_status check_moments(linfdist_context *context, char moment, const char *name, const float *data,
                                     size_t count) {
    return moment == 'v' ? lfd_check_second_moments(context, data, count, name)
                         : lfd_check_matrix(context, data, 1, count, count, name);
}

/* ---- saving ---- */

struct checkpoint {
    const linfdist_model *model;
    const linfdist_optimizer *optimizer;
    const void *state;
    size_t state_size;
};

static const char *const decay_names[] = {[LINFDIST_DECAY_PLAIN] = "plain", [LINFDIST_DECAY_LP] = "lp"};

/* The weight decay is there only where there is one. */
static lfd_json *describe_optimizer(const linfdist_optimizer *optimizer) {
    const linfdist_adam_options *options = &optimizer->options;
    lfd_json *object = lfd_json_new_object();
    int failed = lfd_json_put(object, "kind", lfd_json_new_string("adam"));
    failed |= lfd_json_put(object, "step", lfd_json_new_integer(optimizer->step));
    failed |= lfd_json_put(object, "beta1", lfd_json_new_number(options->beta1));
    failed |= lfd_json_put(object, "beta2", lfd_json_new_number(options->beta2));
    failed |= lfd_json_put(object, "epsilon", lfd_json_new_number(options->epsilon));
    if (options->weight_decay > 0) {
        failed |= lfd_json_put(object, "weight_decay", lfd_json_new_number(options->weight_decay));
        failed |= lfd_json_put(object, "decay", lfd_json_new_string(decay_names[options->decay]));
    }
    if (!failed) return object;
    lfd_json_free(object);
    return NULL;
}

static linfdist_status list_moment(linfdist_context *context, const lfd_tensor *tensor, char moment, const float *data,
                                   moment_name name, lfd_file_tensor *table, size_t *count) {
    lfd_file_entry(name_moment(name, moment, tensor), tensor, data, &table[*count]);
    ++*count;
    return check_moments(context, moment, name, data, tensor->count);
}

/* All tensors of the file in their order; names holds two for each tensor of the model. */
static linfdist_status list_tensors(const struct checkpoint *c, moment_name *names, lfd_file_tensor *table,
                                    size_t *count) {
    const linfdist_optimizer *optimizer = c->optimizer;
    for (int64_t i = 0; i < c->model->tensor_count; ++i) {
        const lfd_tensor *tensor = &c->model->tensors[i];
        lfd_file_entry(tensor->name, tensor, tensor->data, &table[*count]);
        ++*count;
    }
    for (int64_t i = 0; i < c->model->tensor_count; ++i) {
        if (!optimizer->m[i]) continue;
        const lfd_tensor *tensor = &c->model->tensors[i];
        LFD_TRY(list_moment(c->model->context, tensor, 'm', optimizer->m[i], names[2 * i], table, count));
        LFD_TRY(list_moment(c->model->context, tensor, 'v', optimizer->v[i], names[2 * i + 1], table, count));
    }
    if (c->state_size > 0) {
        table[*count] = (lfd_file_tensor){.name = STATE,
                                          .dtype = LFD_FILE_U8,
                                          .dims = 1,
                                          .shape = {(int64_t)c->state_size},
                                          .size = c->state_size,
                                          .data = c->state};
        ++*count;
    }
    return LINFDIST_OK;
}

static linfdist_status write_checkpoint(const struct checkpoint *c, moment_name *names, lfd_file_tensor *table,
                                        linfdist_write_fn write, void *user) {
    linfdist_context *context = c->model->context;
    lfd_json *metadata;
    size_t count = 0;
    LFD_TRY(lfd_model_check_finite(c->model));
    LFD_TRY(list_tensors(c, names, table, &count));
    LFD_TRY(lfd_header_describe(c->model, LFD_FORMAT_CHECKPOINT, &metadata));
    linfdist_status status = lfd_header_put(context, metadata, "optimizer", describe_optimizer(c->optimizer));
    if (status == LINFDIST_OK) status = lfd_safetensors_write(context, metadata, table, count, write, user);
    lfd_json_free(metadata);
    return status;
}

static linfdist_status produce_checkpoint(const void *contents, linfdist_write_fn write, void *user) {
    const struct checkpoint *c = contents;
    const linfdist_context *context = c->model->context;
    size_t tensors = (size_t)c->model->tensor_count;
    void *names = NULL, *table = NULL;
    linfdist_status status = lfd_alloc(context, 2 * tensors, sizeof(moment_name), "names of moments", &names);
    if (status == LINFDIST_OK) {
        status = lfd_alloc(context, 3 * tensors + 1, sizeof(lfd_file_tensor), "table of tensors", &table);
    }
    if (status == LINFDIST_OK) status = write_checkpoint(c, names, table, write, user);
    lfd_free(context, table);
    lfd_free(context, names);
    return status;
}

linfdist_status linfdist_checkpoint_save(const linfdist_model *model, const linfdist_optimizer *optimizer,
                                         const void *state, size_t state_size, const char *path) {
    LFD_REQUIRE(model);
    LFD_REQUIRE(optimizer);
    LFD_REQUIRE(path);
    if (state_size > 0) LFD_REQUIRE(state);
    if (state_size > PTRDIFF_MAX) {
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "state_size is %zu", state_size);
    }
    if (optimizer->model != model) {
        return lfd_fail(LINFDIST_ERROR_SHAPE, "optimizer belongs to another model");
    }
    struct checkpoint checkpoint = {model, optimizer, state, state_size};
    return lfd_file_replace(path, produce_checkpoint, &checkpoint);
}

/* ---- loading ---- */

static linfdist_status read_decay(lfd_json *json, linfdist_adam_options *options) {
    const char *name;
    LFD_TRY(lfd_json_read_number(lfd_json_member(json, "weight_decay"), "optimizer", "weight_decay",
                                 &options->weight_decay));
    LFD_TRY(lfd_json_read_string(lfd_json_member(json, "decay"), "optimizer", "decay", &name));
    for (int32_t i = 0; i < (int32_t)(sizeof decay_names / sizeof decay_names[0]); ++i) {
        options->decay = i;
        if (strcmp(name, decay_names[i]) == 0) return LINFDIST_OK;
    }
    return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "optimizer: decay \"%.64s\" is unknown to this library", name);
}

static linfdist_status read_options(lfd_json *json, linfdist_adam_options *options, int64_t *step) {
    const char *kind;
    LFD_TRY(lfd_json_read_string(lfd_json_member(json, "kind"), "optimizer", "kind", &kind));
    if (strcmp(kind, "adam") != 0) {
        return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "optimizer: kind \"%.64s\" is unknown to this library", kind);
    }
    LFD_TRY(lfd_json_read_count(lfd_json_member(json, "step"), "optimizer", "step", step));
    LFD_TRY(lfd_json_read_number(lfd_json_member(json, "beta1"), "optimizer", "beta1", &options->beta1));
    LFD_TRY(lfd_json_read_number(lfd_json_member(json, "beta2"), "optimizer", "beta2", &options->beta2));
    LFD_TRY(lfd_json_read_number(lfd_json_member(json, "epsilon"), "optimizer", "epsilon", &options->epsilon));
    const size_t known = lfd_json_member(json, "weight_decay") ? 7 : 5;
    if (known == 7) LFD_TRY(read_decay(json, options));
    return lfd_json_check_size(json, known, "optimizer");
}

static linfdist_status read_moment(linfdist_context *context, const lfd_safetensors *file, const lfd_tensor *tensor,
                                   char moment, float *data) {
    moment_name name;
    LFD_TRY(lfd_file_copy(file, name_moment(name, moment, tensor), tensor, data));
    return check_moments(context, moment, name, data, tensor->count);
}

static linfdist_status read_moments(const lfd_safetensors *file, linfdist_optimizer *optimizer) {
    const linfdist_model *model = optimizer->model;
    size_t expected = (size_t)model->tensor_count + (lfd_safetensors_find(file, STATE) != NULL);
    for (int64_t i = 0; i < model->tensor_count; ++i) {
        if (!optimizer->m[i]) continue;
        LFD_TRY(read_moment(optimizer->context, file, &model->tensors[i], 'm', optimizer->m[i]));
        LFD_TRY(read_moment(optimizer->context, file, &model->tensors[i], 'v', optimizer->v[i]));
        expected += 2;
    }
    if (file->count == expected) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_FORMAT, "checkpoint of %zu tensors, its model and optimizer have %zu", file->count,
                    expected);
}

static linfdist_status read_optimizer(const lfd_safetensors *file, linfdist_model *model,
                                      linfdist_optimizer **optimizer) {
    linfdist_adam_options options;
    lfd_json *json;
    int64_t step = 0;
    LFD_TRY(linfdist_adam_options_init(&options, sizeof options));
    LFD_TRY(lfd_header_get(file->context, file->metadata, "optimizer", &json));
    linfdist_status status = read_options(json, &options, &step);
    lfd_json_free(json);
    if (status == LINFDIST_OK) status = linfdist_optimizer_create_adam(model, &options, optimizer);
    if (status == LINFDIST_OK) status = linfdist_optimizer_set_step(*optimizer, step);
    if (status == LINFDIST_OK) status = read_moments(file, *optimizer);
    return lfd_blame_file(status);
}

/* The file's tensor "state", or NULL; it must fit where the caller wants it. */
static linfdist_status find_state(const lfd_safetensors *file, const void *state, size_t capacity,
                                  const lfd_file_tensor **found) {
    const lfd_file_tensor *entry = lfd_safetensors_find(file, STATE);
    if (entry && (entry->dtype != LFD_FILE_U8 || entry->dims != 1)) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "tensor %s is %s with %d dimensions, must be U8 with one", STATE,
                        lfd_file_dtype_name(entry->dtype), (int)entry->dims);
    }
    if (entry && state && entry->size > capacity) {
        return lfd_fail(LINFDIST_ERROR_RANGE, "state_capacity is %zu, the file's state has %zu bytes", capacity,
                        entry->size);
    }
    *found = entry;
    return LINFDIST_OK;
}

static linfdist_status read_checkpoint(linfdist_context *context, const lfd_safetensors *file, linfdist_model **model,
                                       linfdist_optimizer **optimizer) {
    const char *format;
    LFD_TRY(lfd_header_format(file->metadata, &format));
    if (strcmp(format, LFD_FORMAT_CHECKPOINT) != 0) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "format is \"%s\": a model, not a checkpoint", format);
    }
    LFD_TRY(lfd_model_read(context, file, model));
    return read_optimizer(file, *model, optimizer);
}

static linfdist_status load_bytes(linfdist_context *context, const void *data, size_t size, linfdist_model **model,
                                  linfdist_optimizer **optimizer, void *state, size_t capacity, size_t *state_size) {
    lfd_safetensors file;
    const lfd_file_tensor *entry = NULL;
    linfdist_model *made = NULL;
    linfdist_optimizer *made_optimizer = NULL;
    LFD_TRY(lfd_safetensors_parse(context, data, size, &file));
    linfdist_status status = find_state(&file, state, capacity, &entry);
    if (status == LINFDIST_OK) status = read_checkpoint(context, &file, &made, &made_optimizer);
    if (status == LINFDIST_OK) {
        if (entry && state) memcpy(state, entry->data, entry->size);
        if (state_size) *state_size = entry ? entry->size : 0;
        *model = made;
        *optimizer = made_optimizer;
    } else {
        linfdist_optimizer_destroy(made_optimizer);
        lfd_model_release(made);
    }
    lfd_safetensors_close(&file);
    return status;
}

linfdist_status linfdist_checkpoint_load(linfdist_context *context, const char *path, linfdist_model **model,
                                         linfdist_optimizer **optimizer, void *state, size_t state_capacity,
                                         size_t *state_size) {
    void *data;
    size_t size;
    LFD_REQUIRE(context);
    LFD_REQUIRE(path);
    LFD_REQUIRE(model);
    LFD_REQUIRE(optimizer);
    LFD_TRY(lfd_file_read(context, path, &data, &size));
    linfdist_status status = load_bytes(context, data, size, model, optimizer, state, state_capacity, state_size);
    lfd_free(context, data);
    return status;
}
