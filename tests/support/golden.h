/* Golden files: safetensors with inputs, expected outputs and tolerances. Reads any file without crashing; tensors are
 * views into the file's bytes. */
#ifndef TEST_GOLDEN_H
#define TEST_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

typedef enum golden_dtype { GOLDEN_F64, GOLDEN_F32, GOLDEN_I32 } golden_dtype;

enum { GOLDEN_MAX_DIMS = 8 };

typedef struct golden_tensor {
    const char *name;
    golden_dtype dtype;
    int dims;
    size_t shape[GOLDEN_MAX_DIMS];
    size_t count;
    const void *data;
} golden_tensor;

typedef struct golden golden;

/* NULL on failure, with the reason in error. */
golden *golden_open(const char *path, char *error, size_t error_size);
void golden_close(golden *file);
size_t golden_count(const golden *file);
const golden_tensor *golden_at(const golden *file, size_t index);
/* NULL when there is none. */
const golden_tensor *golden_find(const golden *file, const char *name);
/* Value of a metadata key, NULL when there is none. */
const char *golden_metadata(const golden *file, const char *key);

#endif
