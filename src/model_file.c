/* Model files: saving and loading a model by path, in memory and through callbacks. */
#include "model_file.h"

#include <string.h>

#include "file.h"
#include "layers/layer.h"

/* ---- tensors ---- */

void lfd_file_entry(const char *name, const lfd_tensor *tensor, const float *data, lfd_file_tensor *entry) {
    *entry = (lfd_file_tensor){
        .name = name, .dtype = LFD_FILE_F32, .dims = tensor->dims, .size = tensor->count * sizeof(float), .data = data};
    for (int32_t i = 0; i < tensor->dims; ++i) entry->shape[i] = tensor->shape[i];
}

/* The file's tensor of that name, F32 and of this shape. */
static linfdist_status find_like(const lfd_safetensors *file, const char *name, const lfd_tensor *tensor,
                                 const lfd_file_tensor **found) {
    const lfd_file_tensor *entry = lfd_safetensors_find(file, name);
    if (!entry) return lfd_fail(LINFDIST_ERROR_FORMAT, "tensor %s is missing", name);
    if (entry->dtype != LFD_FILE_F32) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "tensor %s is %s, must be F32", name, lfd_file_dtype_name(entry->dtype));
    }
    if (entry->dims != tensor->dims) {
        return lfd_fail(LINFDIST_ERROR_SHAPE, "tensor %s has %d dimensions, must have %d", name, (int)entry->dims,
                        (int)tensor->dims);
    }
    for (int32_t i = 0; i < tensor->dims; ++i) {
        if (entry->shape[i] != tensor->shape[i]) {
            return lfd_fail(LINFDIST_ERROR_SHAPE, "tensor %s has %lld entries in dimension %d, must have %lld", name,
                            (long long)entry->shape[i], (int)i, (long long)tensor->shape[i]);
        }
    }
    *found = entry;
    return LINFDIST_OK;
}

linfdist_status lfd_file_copy(const lfd_safetensors *file, const char *name, const lfd_tensor *tensor, float *data) {
    const lfd_file_tensor *entry = NULL;
    LFD_TRY(find_like(file, name, tensor, &entry));
    memcpy(data, entry->data, entry->size);
    return LINFDIST_OK;
}

/* ---- loading ---- */

/* Adds what the layer needs to bytes, all of it found in the file. */
static linfdist_status check_layer(const linfdist_context *context, const lfd_safetensors *file,
                                   const lfd_layer_spec *spec, size_t *bytes) {
    void *memory;
    const struct lfd_layer_ops *ops = lfd_layer_find(spec->kind);
    if (!ops->describe) return LINFDIST_OK;
    LFD_TRY(lfd_alloc_zero(context, (size_t)ops->tensor_count, sizeof(lfd_tensor), "tensors of a layer", &memory));
    lfd_tensor *tensors = memory;
    linfdist_status status = LINFDIST_OK;
    ops->describe(spec, tensors);
    for (int64_t i = 0; i < ops->tensor_count && status == LINFDIST_OK; ++i) {
        const lfd_file_tensor *entry = NULL;
        status = find_like(file, tensors[i].name, &tensors[i], &entry);
        if (status == LINFDIST_OK) *bytes += entry->size;
    }
    lfd_free(context, tensors);
    return status;
}

/* An architecture costs a line of text, its tensors memory: nothing is allocated for tensors the file does not hold. */
static linfdist_status check_architecture(const linfdist_context *context, const lfd_safetensors *file,
                                          const lfd_architecture *architecture) {
    size_t bytes = 0, held = 0;
    LFD_TRY(lfd_blame_file(lfd_architecture_resolve(architecture)));
    for (size_t i = 0; i < file->count; ++i) held += file->tensors[i].size;
    for (int64_t i = 0; i < architecture->layer_count; ++i) {
        LFD_TRY(check_layer(context, file, &architecture->layers[i], &bytes));
        if (bytes > held) return lfd_fail(LINFDIST_ERROR_FORMAT, "architecture: layers share their tensors");
    }
    return LINFDIST_OK;
}

static linfdist_status fill_model(const lfd_safetensors *file, linfdist_model *model) {
    for (int64_t i = 0; i < model->tensor_count; ++i) {
        const lfd_tensor *tensor = &model->tensors[i];
        LFD_TRY(lfd_file_copy(file, tensor->name, tensor, tensor->data));
    }
    LFD_TRY(lfd_header_statistics(file->metadata, model));
    return lfd_model_check_finite(model);
}

linfdist_status lfd_model_read(linfdist_context *context, const lfd_safetensors *file, linfdist_model **model) {
    lfd_architecture architecture;
    linfdist_model *made = NULL;
    LFD_TRY(lfd_header_architecture(context, file->metadata, &architecture));
    linfdist_status status = check_architecture(context, file, &architecture);
    if (status == LINFDIST_OK) status = lfd_blame_file(lfd_model_create(context, &architecture, &made));
    if (status == LINFDIST_OK) status = fill_model(file, made);
    lfd_free(context, architecture.layers);
    if (status != LINFDIST_OK) {
        lfd_model_release(made);
        return status;
    }
    *model = made;
    return LINFDIST_OK;
}

/* Every tensor of the model was found, so more in the file than that is one too many. */
static linfdist_status check_no_others(const lfd_safetensors *file, const linfdist_model *model) {
    for (size_t i = 0; file->count > (size_t)model->tensor_count && i < file->count; ++i) {
        if (lfd_model_tensor_index(model, file->tensors[i].name) < 0) {
            return lfd_fail(LINFDIST_ERROR_FORMAT, "tensor %s is not the model's", file->tensors[i].name);
        }
    }
    return LINFDIST_OK;
}

linfdist_status linfdist_model_load_memory(linfdist_context *context, const void *data, size_t size,
                                           linfdist_model **model) {
    lfd_safetensors file;
    const char *format;
    linfdist_model *made = NULL;
    LFD_REQUIRE(context);
    LFD_REQUIRE(data);
    LFD_REQUIRE(model);
    LFD_TRY(lfd_safetensors_parse(context, data, size, &file));
    linfdist_status status = lfd_header_format(file.metadata, &format);
    if (status == LINFDIST_OK) status = lfd_model_read(context, &file, &made);
    if (status == LINFDIST_OK && strcmp(format, LFD_FORMAT_MODEL) == 0) status = check_no_others(&file, made);
    lfd_safetensors_close(&file);
    if (status != LINFDIST_OK) {
        lfd_model_release(made);
        return status;
    }
    *model = made;
    return LINFDIST_OK;
}

linfdist_status linfdist_model_load(linfdist_context *context, const char *path, linfdist_model **model) {
    void *data;
    size_t size;
    LFD_REQUIRE(context);
    LFD_REQUIRE(path);
    LFD_REQUIRE(model);
    LFD_TRY(lfd_file_read(context, path, &data, &size));
    linfdist_status status = linfdist_model_load_memory(context, data, size, model);
    lfd_free(context, data);
    return status;
}

linfdist_status linfdist_model_load_from(linfdist_context *context, linfdist_read_fn read, void *user,
                                         linfdist_model **model) {
    void *data;
    size_t size;
    LFD_REQUIRE(context);
    LFD_REQUIRE(read);
    LFD_REQUIRE(model);
    LFD_TRY(lfd_stream_read(context, read, user, &data, &size));
    linfdist_status status = linfdist_model_load_memory(context, data, size, model);
    lfd_free(context, data);
    return status;
}

/* ---- saving ---- */

linfdist_status linfdist_model_save_to(const linfdist_model *model, linfdist_write_fn write, void *user) {
    lfd_json *metadata = NULL;
    void *memory;
    LFD_REQUIRE(model);
    LFD_REQUIRE(write);
    size_t count = (size_t)model->tensor_count;
    LFD_TRY(lfd_model_check_finite(model)); /* such a file could not be loaded */
    LFD_TRY(lfd_alloc(model->context, count, sizeof(lfd_file_tensor), "table of tensors", &memory));
    lfd_file_tensor *table = memory;
    for (size_t i = 0; i < count; ++i) {
        lfd_file_entry(model->tensors[i].name, &model->tensors[i], model->tensors[i].data, &table[i]);
    }
    linfdist_status status = lfd_header_describe(model, LFD_FORMAT_MODEL, &metadata);
    if (status == LINFDIST_OK) {
        status = lfd_safetensors_write(model->context, metadata, table, count, write, user);
    }
    lfd_json_free(metadata);
    lfd_free(model->context, table);
    return status;
}

static linfdist_status produce_model(const void *contents, linfdist_write_fn write, void *user) {
    return linfdist_model_save_to(contents, write, user);
}

linfdist_status linfdist_model_save(const linfdist_model *model, const char *path) {
    LFD_REQUIRE(model);
    LFD_REQUIRE(path);
    return lfd_file_replace(path, produce_model, model);
}
