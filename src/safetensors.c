/* Reader and writer of the safetensors container. The reader trusts nothing in the file. */
#include "safetensors.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX 8                     /* the header length in front */
#define DATA_ALIGNMENT 64            /* of the data in files written here */
#define MAX_HEADER ((size_t)4 << 20) /* thousands of layers; parsed, it takes some ten times that in memory */
#define MAX_NAME 255

static const struct {
    const char *name;
    size_t size;
} dtypes[LFD_FILE_DTYPE_COUNT] = {
    [LFD_FILE_F32] = {"F32", 4}, [LFD_FILE_U8] = {"U8", 1},     [LFD_FILE_F64] = {"F64", 8},
    [LFD_FILE_F16] = {"F16", 2}, [LFD_FILE_BF16] = {"BF16", 2}, [LFD_FILE_BOOL] = {"BOOL", 1},
    [LFD_FILE_I8] = {"I8", 1},   [LFD_FILE_I16] = {"I16", 2},   [LFD_FILE_U16] = {"U16", 2},
    [LFD_FILE_I32] = {"I32", 4}, [LFD_FILE_U32] = {"U32", 4},   [LFD_FILE_I64] = {"I64", 8},
    [LFD_FILE_U64] = {"U64", 8},
};

const char *lfd_file_dtype_name(int32_t dtype) {
    return dtypes[dtype].name;
}

/* Tensor data is used as it lies in the file. */
static linfdist_status check_byte_order(void) {
    const uint16_t one = 1;
    if (*(const unsigned char *)&one == 1) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "model files need a little-endian machine");
}

/* ---- reading ---- */

static linfdist_status read_header_size(const unsigned char *data, size_t size, size_t *header_size) {
    if (size < PREFIX) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "file of %zu bytes is too short for a safetensors header", size);
    }
    uint64_t length = 0;
    for (int i = 0; i < PREFIX; ++i) length |= (uint64_t)data[i] << (8 * i);
    if (length > MAX_HEADER) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "header of %llu bytes, at most %zu are allowed (not safetensors?)",
                        (unsigned long long)length, MAX_HEADER);
    }
    if (length > size - PREFIX) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "header of %llu bytes in a file of %zu (truncated?)",
                        (unsigned long long)length, size);
    }
    if (length == 0 || data[PREFIX] != '{') {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "header does not begin with '{' (not safetensors?)");
    }
    *header_size = (size_t)length;
    return LINFDIST_OK;
}

static linfdist_status check_name(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || length > MAX_NAME) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "tensor name of %zu bytes, must be 1 to %d", length, MAX_NAME);
    }
    for (size_t i = 0; i < length; ++i) {
        if (name[i] < 0x20 || name[i] > 0x7e) {
            return lfd_fail(LINFDIST_ERROR_FORMAT, "byte %zu of a tensor name is 0x%02x, not printable ASCII", i,
                            (unsigned)(unsigned char)name[i]);
        }
    }
    return LINFDIST_OK;
}

static linfdist_status read_dtype(lfd_json *json, lfd_file_tensor *tensor) {
    const char *word;
    LFD_TRY(lfd_json_read_string(json, tensor->name, "dtype", &word));
    for (tensor->dtype = 0; tensor->dtype < LFD_FILE_DTYPE_COUNT; ++tensor->dtype) {
        if (strcmp(word, dtypes[tensor->dtype].name) == 0) return LINFDIST_OK;
    }
    return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "%s: dtype \"%.32s\" is unknown", tensor->name, word);
}

/* Reads the shape and leaves the bytes it needs in tensor->size. */
static linfdist_status read_shape(lfd_json *json, lfd_file_tensor *tensor) {
    LFD_TRY(lfd_json_read_array(json, tensor->name, "shape"));
    size_t dims = lfd_json_size(json);
    if (dims > LFD_FILE_MAX_DIMS) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: shape of %zu dimensions, at most %d are allowed", tensor->name,
                        dims, LFD_FILE_MAX_DIMS);
    }
    tensor->dims = (int32_t)dims;
    tensor->size = dtypes[tensor->dtype].size;
    for (size_t i = 0; i < dims; ++i) {
        LFD_TRY(lfd_json_read_count(lfd_json_element(json, i), tensor->name, "shape", &tensor->shape[i]));
        if (tensor->shape[i] > 0 && (uint64_t)tensor->shape[i] > SIZE_MAX / 2 / (tensor->size ? tensor->size : 1)) {
            return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: shape overflows at %lld", tensor->name,
                            (long long)tensor->shape[i]);
        }
        tensor->size *= (size_t)tensor->shape[i];
    }
    return LINFDIST_OK;
}

static linfdist_status read_offsets(lfd_json *json, const unsigned char *data, size_t data_size,
                                    lfd_file_tensor *tensor) {
    int64_t begin, end;
    LFD_TRY(lfd_json_read_array(json, tensor->name, "data_offsets"));
    if (lfd_json_size(json) != 2) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: data_offsets has %zu entries, not 2", tensor->name,
                        lfd_json_size(json));
    }
    LFD_TRY(lfd_json_read_count(lfd_json_element(json, 0), tensor->name, "data_offsets", &begin));
    LFD_TRY(lfd_json_read_count(lfd_json_element(json, 1), tensor->name, "data_offsets", &end));
    if (begin > end || (uint64_t)end > data_size) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: data_offsets %lld to %lld outside %zu bytes of data (truncated?)",
                        tensor->name, (long long)begin, (long long)end, data_size);
    }
    if ((uint64_t)(end - begin) != tensor->size) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: %lld bytes of data, its shape needs %zu", tensor->name,
                        (long long)(end - begin), tensor->size);
    }
    tensor->data = data + begin;
    return LINFDIST_OK;
}

static linfdist_status read_tensor(const char *name, lfd_json *json, const unsigned char *data, size_t data_size,
                                   lfd_file_tensor *tensor) {
    LFD_TRY(check_name(name));
    tensor->name = name;
    LFD_TRY(lfd_json_read_object(json, "header", name));
    LFD_TRY(read_dtype(lfd_json_member(json, "dtype"), tensor));
    LFD_TRY(read_shape(lfd_json_member(json, "shape"), tensor));
    LFD_TRY(read_offsets(lfd_json_member(json, "data_offsets"), data, data_size, tensor));
    if (lfd_json_size(json) != 3) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: has a field beside dtype, shape, data_offsets", name);
    }
    return LINFDIST_OK;
}

static linfdist_status check_metadata(lfd_json *metadata) {
    const char *text;
    LFD_TRY(lfd_json_read_object(metadata, "header", "__metadata__"));
    for (void *at = lfd_json_first(metadata); at; at = lfd_json_next(metadata, at)) {
        LFD_TRY(lfd_json_read_string(lfd_json_value(at), "__metadata__", lfd_json_key(at), &text));
    }
    return LINFDIST_OK;
}

static int compare_positions(const void *a, const void *b) {
    const lfd_file_tensor *left = a, *right = b;
    const char *left_data = left->data, *right_data = right->data;
    if (left_data != right_data) return left_data < right_data ? -1 : 1;
    return (left->size > right->size) - (left->size < right->size);
}

static int compare_names(const void *a, const void *b) {
    const lfd_file_tensor *left = a, *right = b;
    return strcmp(left->name, right->name);
}

/* The tensors must cover the data exactly: a hole could hide anything, an overlap shares memory. */
static linfdist_status check_tiling(lfd_safetensors *file, const unsigned char *data, size_t data_size) {
    size_t covered = 0;
    if (file->count > 1) qsort(file->tensors, file->count, sizeof(file->tensors[0]), compare_positions);
    for (size_t i = 0; i < file->count; ++i) {
        const lfd_file_tensor *tensor = &file->tensors[i];
        if (tensor->data != data + covered) {
            return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: begins at byte %zu of the data, the tensor before ends at %zu",
                            tensor->name, (size_t)((const unsigned char *)tensor->data - data), covered);
        }
        covered += tensor->size;
    }
    if (covered != data_size) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "%zu bytes of data after the last tensor", data_size - covered);
    }
    if (file->count > 1) qsort(file->tensors, file->count, sizeof(file->tensors[0]), compare_names);
    return LINFDIST_OK;
}

static linfdist_status read_tensors(lfd_safetensors *file, const unsigned char *data, size_t data_size) {
    void *tensors;
    size_t members = lfd_json_size(file->header);
    LFD_TRY(lfd_alloc_zero(file->context, members + 1, sizeof(file->tensors[0]), "table of tensors", &tensors));
    file->tensors = tensors;
    for (void *at = lfd_json_first(file->header); at; at = lfd_json_next(file->header, at)) {
        lfd_json *value = lfd_json_value(at);
        if (strcmp(lfd_json_key(at), "__metadata__") == 0) {
            LFD_TRY(check_metadata(value));
            file->metadata = value;
        } else {
            LFD_TRY(read_tensor(lfd_json_key(at), value, data, data_size, &file->tensors[file->count]));
            ++file->count;
        }
    }
    return check_tiling(file, data, data_size);
}

linfdist_status lfd_safetensors_parse(const linfdist_context *context, const void *data, size_t size,
                                      lfd_safetensors *file) {
    const unsigned char *bytes = data;
    size_t header_size = 0;
    *file = (lfd_safetensors){.context = context};
    LFD_TRY(check_byte_order());
    LFD_TRY(read_header_size(bytes, size, &header_size));
    LFD_TRY(lfd_json_parse(context, (const char *)bytes + PREFIX, header_size, "header", &file->header));
    linfdist_status status = read_tensors(file, bytes + PREFIX + header_size, size - PREFIX - header_size);
    if (status != LINFDIST_OK) lfd_safetensors_close(file);
    return status;
}

void lfd_safetensors_close(lfd_safetensors *file) {
    lfd_json_free(file->header);
    lfd_free(file->context, file->tensors);
    *file = (lfd_safetensors){.context = file->context};
}

const lfd_file_tensor *lfd_safetensors_find(const lfd_safetensors *file, const char *name) {
    lfd_file_tensor key = {.name = name};
    if (file->count == 0) return NULL;
    return bsearch(&key, file->tensors, file->count, sizeof(file->tensors[0]), compare_names);
}

/* ---- writing ---- */

static lfd_json *describe_tensor(const lfd_file_tensor *tensor, size_t offset) {
    lfd_json *object = lfd_json_new_object(), *shape = lfd_json_new_array(), *offsets = lfd_json_new_array();
    int failed = 0;
    for (int32_t i = 0; i < tensor->dims; ++i) {
        failed |= lfd_json_append(shape, lfd_json_new_integer(tensor->shape[i]));
    }
    failed |= lfd_json_append(offsets, lfd_json_new_integer((int64_t)offset));
    failed |= lfd_json_append(offsets, lfd_json_new_integer((int64_t)(offset + tensor->size)));
    failed |= lfd_json_put(object, "dtype", lfd_json_new_string(dtypes[tensor->dtype].name));
    failed |= lfd_json_put(object, "shape", shape);
    failed |= lfd_json_put(object, "data_offsets", offsets);
    if (!failed) return object;
    lfd_json_free(object);
    return NULL;
}

static linfdist_status describe(lfd_json *header, lfd_json *metadata, const lfd_file_tensor *tensors, size_t count) {
    size_t offset = 0;
    int failed = lfd_json_put(header, "__metadata__", lfd_json_share(metadata));
    for (size_t i = 0; i < count && !failed; ++i) {
        if (lfd_json_member(header, tensors[i].name)) {
            return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "two tensors are named %s", tensors[i].name);
        }
        failed = lfd_json_put(header, tensors[i].name, describe_tensor(&tensors[i], offset));
        offset += tensors[i].size;
    }
    return failed ? lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "no memory for the header") : LINFDIST_OK;
}

static linfdist_status put_bytes(linfdist_write_fn write, void *user, const void *data, size_t size) {
    if (size == 0) return LINFDIST_OK;
    int32_t refused = write(user, data, size);
    if (refused == 0) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_IO, "write of %zu bytes returned %ld", size, (long)refused);
}

static linfdist_status put_header(const char *text, size_t size, linfdist_write_fn write, void *user) {
    char padding[DATA_ALIGNMENT];
    unsigned char prefix[PREFIX];
    size_t pad = (DATA_ALIGNMENT - (PREFIX + size) % DATA_ALIGNMENT) % DATA_ALIGNMENT;
    if (size + pad > MAX_HEADER) {
        return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "header of %zu bytes, at most %zu are allowed: too many layers",
                        size, MAX_HEADER);
    }
    for (int i = 0; i < PREFIX; ++i) prefix[i] = (unsigned char)((uint64_t)(size + pad) >> (8 * i));
    memset(padding, ' ', sizeof padding);
    LFD_TRY(put_bytes(write, user, prefix, sizeof prefix));
    LFD_TRY(put_bytes(write, user, text, size));
    return put_bytes(write, user, padding, pad);
}

linfdist_status lfd_safetensors_write(const linfdist_context *context, lfd_json *metadata,
                                      const lfd_file_tensor *tensors, size_t count, linfdist_write_fn write,
                                      void *user) {
    char *text = NULL;
    size_t size = 0;
    LFD_TRY(check_byte_order());
    lfd_json *header = lfd_json_new_object();
    linfdist_status status = describe(header, metadata, tensors, count);
    if (status == LINFDIST_OK) status = lfd_json_text(context, header, &text, &size);
    if (status == LINFDIST_OK) status = put_header(text, size, write, user);
    for (size_t i = 0; i < count && status == LINFDIST_OK; ++i) {
        status = put_bytes(write, user, tensors[i].data, tensors[i].size);
    }
    lfd_free(context, text);
    lfd_json_free(header);
    return status;
}
