/* The fixture of the tests of model files: a model, and its file in memory. */
#ifndef SAVED_MODEL_H
#define SAVED_MODEL_H

#include "expect.h"
#include "file_support.h"

static scripted_memory memory;
static linfdist_context *context;
static linfdist_model *model;
static bytes saved; /* the model's file */

static inline int setup(void **state) {
    (void)state;
    memory = (scripted_memory){0};
    context = scripted_context(&memory);
    model = small_model(context, 1);
    save_bytes(model, &saved);
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    bytes_free(&saved);
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
    return memory.live != 0;
}

static inline linfdist_status load(const bytes *file, linfdist_model **loaded) {
    return linfdist_model_load_memory(context, file->data, file->size, loaded);
}

/* The same tensors, statistics and file. */
static inline void assert_same_model(linfdist_model *loaded) {
    bytes again = {0};
    assert_same_tensors(model, loaded);
    save_bytes(loaded, &again);
    assert_int_equal(again.size, saved.size);
    assert_memory_equal(again.data, saved.data, saved.size);
    bytes_free(&again);
}

#endif
