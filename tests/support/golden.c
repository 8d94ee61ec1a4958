#include "golden.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct golden {
    unsigned char *bytes;
    size_t size;
    json_t *header;
    golden_tensor *tensors;
    size_t count;
};

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {[GOLDEN_F64] = {"F64", 8}, [GOLDEN_F32] = {"F32", 4}, [GOLDEN_I32] = {"I32", 4}};

static unsigned char *read_all(const char *path, size_t *size) {
    FILE *stream = fopen(path, "rb");
    unsigned char *bytes = NULL;
    long end;
    if (!stream) return NULL;
    if (fseek(stream, 0, SEEK_END) == 0 && (end = ftell(stream)) >= 0 && fseek(stream, 0, SEEK_SET) == 0) {
        *size = (size_t)end;
        bytes = malloc(*size + 1);
        if (bytes && fread(bytes, 1, *size, stream) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    fclose(stream);
    return bytes;
}

static int parse_dtype(const json_t *value, golden_dtype *dtype) {
    const char *text = json_string_value(value);
    for (size_t i = 0; text && i < sizeof dtypes / sizeof *dtypes; ++i) {
        if (strcmp(text, dtypes[i].name) == 0) {
            *dtype = (golden_dtype)i;
            return 1;
        }
    }
    return 0;
}

/* Fills shape and count; 0 when the shape is malformed or larger than limit elements. */
static int parse_shape(const json_t *shape, size_t limit, golden_tensor *tensor) {
    if (!json_is_array(shape) || json_array_size(shape) > GOLDEN_MAX_DIMS) return 0;
    tensor->dims = (int)json_array_size(shape);
    tensor->count = 1;
    for (int i = 0; i < tensor->dims; ++i) {
        json_int_t n = json_integer_value(json_array_get(shape, (size_t)i));
        if (n < 1 || (size_t)n > limit / tensor->count) return 0;
        tensor->shape[i] = (size_t)n;
        tensor->count *= (size_t)n;
    }
    return 1;
}

static int parse_tensor(const golden *file, size_t data_start, const json_t *entry, golden_tensor *tensor) {
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const size_t data_size = file->size - data_start;
    if (!parse_dtype(json_object_get(entry, "dtype"), &tensor->dtype)) return 0;
    if (!parse_shape(json_object_get(entry, "shape"), data_size, tensor)) return 0;
    if (json_array_size(offsets) != 2) return 0;
    const json_int_t begin = json_integer_value(json_array_get(offsets, 0));
    const json_int_t end = json_integer_value(json_array_get(offsets, 1));
    const size_t item = dtypes[tensor->dtype].size;
    if (begin < 0 || end < begin || (size_t)end > data_size || (size_t)begin % item != 0) return 0;
    if ((size_t)(end - begin) != tensor->count * item) return 0;
    tensor->data = file->bytes + data_start + begin;
    return 1;
}

static const char *parse(golden *file) {
    uint64_t length = 0;
    json_error_t json_error;
    if (file->size < 8) return "is shorter than 8 bytes";
    for (int i = 7; i >= 0; --i) length = length << 8 | file->bytes[i];
    if (length > file->size - 8 || length % 8 != 0) return "has a wrong header length";
    file->header = json_loadb((const char *)file->bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &json_error);
    if (!json_is_object(file->header)) return "has a header that is not a JSON object";
    file->tensors = calloc(json_object_size(file->header) + 1, sizeof *file->tensors);
    if (!file->tensors) return "does not fit into memory";

    const char *name;
    json_t *entry;
    json_object_foreach(file->header, name, entry) {
        if (strcmp(name, "__metadata__") == 0) continue;
        golden_tensor *tensor = &file->tensors[file->count];
        tensor->name = name;
        if (!parse_tensor(file, 8 + (size_t)length, entry, tensor)) return "has a malformed tensor entry";
        ++file->count;
    }
    return NULL;
}

golden *golden_open(const char *path, char *error, size_t error_size) {
    golden *file = calloc(1, sizeof *file);
    const char *problem = "cannot be read";
    if (file && (file->bytes = read_all(path, &file->size)) != NULL) problem = parse(file);
    if (problem) {
        snprintf(error, error_size, "the file %s", problem);
        golden_close(file);
        return NULL;
    }
    return file;
}

void golden_close(golden *file) {
    if (!file) return;
    json_decref(file->header);
    free(file->tensors);
    free(file->bytes);
    free(file);
}

size_t golden_count(const golden *file) {
    return file->count;
}

const golden_tensor *golden_at(const golden *file, size_t index) {
    return &file->tensors[index];
}

const golden_tensor *golden_find(const golden *file, const char *name) {
    for (size_t i = 0; i < file->count; ++i)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

const char *golden_metadata(const golden *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}
