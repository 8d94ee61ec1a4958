/* Helpers of the tests of model files. */
#ifndef FILE_SUPPORT_H
#define FILE_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#include "linfdist/linfdist.h"

/* A growing byte string; the callbacks append to it and read from its start. */
typedef struct bytes {
    unsigned char *data;
    size_t size, capacity;
    size_t read_at, read_most; /* read_most: bytes given at once; 0: all that is asked for */
    long calls, refused_call;  /* the write call that fails, 0: none */
} bytes;

void bytes_append(bytes *b, const void *data, size_t size);
void bytes_free(bytes *b);
int32_t bytes_write(void *user, const void *data, size_t size);
int64_t bytes_read(void *user, void *buffer, size_t size);
/* Appends a safetensors file: length of header, header, data. */
void bytes_append_file(bytes *b, const char *header, const void *data, size_t data_size);
/* Bytes of the file's header, without the 8 in front. */
size_t bytes_header_size(const bytes *b);

/* An allocator that fails at one call and counts what lives. */
typedef struct scripted_memory {
    long calls, failing_call; /* 0: none fails */
    long live;
    long warnings; /* in the log */
    size_t largest;
} scripted_memory;

linfdist_context *scripted_context(scripted_memory *memory);
/* Frees everything, the context too. From some place on, the failing-th next allocation fails. */
typedef linfdist_status attempt_fn(linfdist_context *scripted, scripted_memory *memory, long failing);
/* Lets every allocation fail in turn until the attempt succeeds; nothing may stay allocated. Returns the attempts. */
long fail_each_allocation(attempt_fn *attempt);
/* The same for Jansson, which uses malloc otherwise; NULL restores that. */
void scripted_json(scripted_memory *memory);

/* A small MLP (2 x 3 x 1 inputs, 3 layers of width 5, 4 classes, learned scalar, statistics with awkward doubles) whose
 * every tensor is set, differently for different seeds. */
linfdist_model *small_model(linfdist_context *context, uint32_t seed);
/* Same tensors bit for bit. */
void assert_same_tensors(linfdist_model *a, linfdist_model *b);
/* Saves through the callback and appends to out. */
void save_bytes(const linfdist_model *model, bytes *out);

/* A new empty folder, and its removal with all files. */
void make_folder(char path[64]);
int count_files(const char *folder);
void remove_folder(const char *folder);
void read_path(const char *path, bytes *b);

#endif
