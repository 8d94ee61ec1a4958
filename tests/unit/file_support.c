#define _XOPEN_SOURCE 700
#include "file_support.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

void bytes_append(bytes *b, const void *data, size_t size) {
    if (b->size + size > b->capacity) {
        b->capacity = 2 * (b->size + size);
        b->data = realloc(b->data, b->capacity);
        assert_non_null(b->data);
    }
    if (size > 0) memcpy(b->data + b->size, data, size);
    b->size += size;
}

void bytes_free(bytes *b) {
    free(b->data);
    *b = (bytes){0};
}

int32_t bytes_write(void *user, const void *data, size_t size) {
    bytes *b = user;
    assert_true(size > 0);
    if (++b->calls == b->refused_call) return -7;
    bytes_append(b, data, size);
    return 0;
}

int64_t bytes_read(void *user, void *buffer, size_t size) {
    bytes *b = user;
    size_t left = b->size - b->read_at;
    if (b->read_most && size > b->read_most) size = b->read_most;
    if (size > left) size = left;
    if (size > 0) memcpy(buffer, b->data + b->read_at, size);
    b->read_at += size;
    return (int64_t)size;
}

void bytes_append_file(bytes *b, const char *header, const void *data, size_t data_size) {
    size_t length = strlen(header);
    for (int i = 0; i < 8; ++i) {
        unsigned char byte = (unsigned char)((uint64_t)length >> (8 * i));
        bytes_append(b, &byte, 1);
    }
    bytes_append(b, header, length);
    bytes_append(b, data, data_size);
}

size_t bytes_header_size(const bytes *b) {
    size_t length = 0;
    for (int i = 0; i < 8; ++i) length |= (size_t)b->data[i] << (8 * i);
    return length;
}

/* ---- memory ---- */

static void *scripted_alloc(void *user, size_t size, size_t alignment) {
    scripted_memory *memory = user;
    void *block = NULL;
    if (size > memory->largest) memory->largest = size;
    if (++memory->calls == memory->failing_call || size > (size_t)1 << 30) return NULL;
    if (posix_memalign(&block, alignment, size) != 0) return NULL;
    ++memory->live;
    return block;
}

static void scripted_free(void *user, void *block) {
    scripted_memory *memory = user;
    if (block) --memory->live;
    free(block);
}

static void count_warnings(void *user, int32_t level, const char *message) {
    (void)message;
    ((scripted_memory *)user)->warnings += level == 1;
}

linfdist_context *scripted_context(scripted_memory *memory) {
    linfdist_context_options options;
    linfdist_context *context = NULL;
    assert_int_equal(linfdist_context_options_init(&options, sizeof options), LINFDIST_OK);
    options.alloc = scripted_alloc;
    options.free = scripted_free;
    options.alloc_user = memory;
    options.log = count_warnings;
    options.log_user = memory;
    assert_int_equal(linfdist_context_create(&options, &context), LINFDIST_OK);
    return context;
}

long fail_each_allocation(attempt_fn *attempt) {
    linfdist_status status = LINFDIST_ERROR_OUT_OF_MEMORY;
    long failures = 0;
    while (status != LINFDIST_OK) {
        scripted_memory memory = {0};
        linfdist_context *scripted = scripted_context(&memory);
        status = attempt(scripted, &memory, ++failures);
        assert_true(status == LINFDIST_OK || status == LINFDIST_ERROR_OUT_OF_MEMORY);
        assert_int_equal(memory.live, 0);
    }
    return failures;
}

static scripted_memory *json_memory;

static void *json_alloc(size_t size) {
    return scripted_alloc(json_memory, size, sizeof(void *) * 2);
}

static void json_free(void *block) {
    scripted_free(json_memory, block);
}

void scripted_json(scripted_memory *memory) {
    json_memory = memory;
    if (memory)
        json_set_alloc_funcs(json_alloc, json_free);
    else
        json_set_alloc_funcs(malloc, free);
}

/* ---- models ---- */

static linfdist_tensor tensor_at(linfdist_model *model, int64_t index, size_t *count) {
    linfdist_tensor tensor = {.struct_size = sizeof tensor};
    assert_int_equal(linfdist_model_get_tensor(model, index, &tensor), LINFDIST_OK);
    *count = 1;
    for (int32_t i = 0; i < tensor.dims; ++i) *count *= (size_t)tensor.shape[i];
    return tensor;
}

static int64_t tensor_count(const linfdist_model *model) {
    linfdist_model_info info = {.struct_size = sizeof info};
    assert_int_equal(linfdist_model_get_info(model, &info), LINFDIST_OK);
    return info.tensors;
}

linfdist_model *small_model(linfdist_context *context, uint32_t seed) {
    static const double mean[2] = {0.1307, -1.0 / 3.0};
    linfdist_mlp_options options;
    linfdist_model *model = NULL;
    size_t count;
    assert_int_equal(linfdist_mlp_options_init(&options, sizeof options), LINFDIST_OK);
    options.channels = 2;
    options.height = 3;
    options.width_px = 1;
    options.classes = 4;
    options.depth = 3;
    options.width = 5;
    options.seed = seed;
    assert_int_equal(linfdist_model_create_mlp(context, &options, &model), LINFDIST_OK);
    linfdist_statistics statistics = {sizeof statistics, 2, mean, 0.3081, -0.1, 1e22};
    assert_int_equal(linfdist_model_set_statistics(model, &statistics), LINFDIST_OK);
    for (int64_t i = 0; i < tensor_count(model); ++i) {
        linfdist_tensor tensor = tensor_at(model, i, &count);
        for (size_t k = 0; k < count; ++k) tensor.data[k] += (float)(i + 1) / (float)(3 * k + seed + 1);
    }
    return model;
}

void assert_same_tensors(linfdist_model *a, linfdist_model *b) {
    assert_int_equal(tensor_count(a), tensor_count(b));
    for (int64_t i = 0; i < tensor_count(a); ++i) {
        size_t count, other_count;
        linfdist_tensor tensor = tensor_at(a, i, &count), other = tensor_at(b, i, &other_count);
        assert_string_equal(tensor.name, other.name);
        assert_int_equal(tensor.role, other.role);
        assert_int_equal(count, other_count);
        assert_memory_equal(tensor.data, other.data, count * sizeof(float));
    }
}

void save_bytes(const linfdist_model *model, bytes *out) {
    assert_int_equal(linfdist_model_save_to(model, bytes_write, out), LINFDIST_OK);
}

/* ---- folders ---- */

void make_folder(char path[64]) {
    strcpy(path, P_tmpdir "/linfdist-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

/* Calls visit for every entry but "." and "..". */
static int walk(const char *folder, void (*visit)(const char *path)) {
    char path[512];
    int count = 0;
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        ++count;
        assert_true(snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path);
        if (visit) visit(path);
    }
    closedir(listing);
    return count;
}

int count_files(const char *folder) {
    return walk(folder, NULL);
}

static void remove_path(const char *path) {
    assert_int_equal(remove(path), 0);
}

void remove_folder(const char *folder) {
    walk(folder, remove_path);
    assert_int_equal(rmdir(folder), 0);
}

void read_path(const char *path, bytes *b) {
    char buffer[4096];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, file)) > 0;) bytes_append(b, buffer, got);
    fclose(file);
}
