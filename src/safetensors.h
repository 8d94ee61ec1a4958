/* The safetensors container: 8 bytes little-endian header length N, N bytes of JSON padded with spaces, then the
 * tensors' raw little-endian data without holes. Knows nothing of models. */
#ifndef LFD_SAFETENSORS_H
#define LFD_SAFETENSORS_H

#include "context.h"
#include "json.h"

#define LFD_FILE_MAX_DIMS 8

enum {
    LFD_FILE_F32,
    LFD_FILE_U8,
    LFD_FILE_F64,
    LFD_FILE_F16,
    LFD_FILE_BF16,
    LFD_FILE_BOOL,
    LFD_FILE_I8,
    LFD_FILE_I16,
    LFD_FILE_U16,
    LFD_FILE_I32,
    LFD_FILE_U32,
    LFD_FILE_I64,
    LFD_FILE_U64,
    LFD_FILE_DTYPE_COUNT
};

typedef struct lfd_file_tensor {
    const char *name;
    int32_t dtype;
    int32_t dims;
    int64_t shape[LFD_FILE_MAX_DIMS];
    size_t size;      /* bytes */
    const void *data; /* maybe unaligned */
} lfd_file_tensor;

/* A parsed file. Tensors are sorted by name and point into the bytes it was parsed from. */
typedef struct lfd_safetensors {
    const linfdist_context *context;
    lfd_json *header;
    lfd_json *metadata; /* of strings, inside header; NULL: none */
    size_t count;
    lfd_file_tensor *tensors;
} lfd_safetensors;

/* Everything about the container is checked before it returns: sizes, offsets, names, tiling. Errors: FORMAT,
 * UNSUPPORTED (a dtype newer than this library, a big-endian host), OUT_OF_MEMORY. */
linfdist_status lfd_safetensors_parse(const linfdist_context *context, const void *data, size_t size,
                                      lfd_safetensors *file);
void lfd_safetensors_close(lfd_safetensors *file);
/* NULL when there is no such tensor. */
const lfd_file_tensor *lfd_safetensors_find(const lfd_safetensors *file, const char *name);
/* The dtype's word, such as "F32". */
const char *lfd_file_dtype_name(int32_t dtype);

/* Streams a file: metadata first, then tensors in the given order, data at a multiple of 64 bytes. Equal arguments give
 * equal bytes. Errors: IO (write refused), INVALID_ARGUMENT (a name twice), UNSUPPORTED, OUT_OF_MEMORY. */
linfdist_status lfd_safetensors_write(const linfdist_context *context, lfd_json *metadata,
                                      const lfd_file_tensor *tensors, size_t count, linfdist_write_fn write,
                                      void *user);

#endif
