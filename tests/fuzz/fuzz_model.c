/* Fuzzes model files and checkpoints. With LFD_LIBFUZZER it is a libFuzzer target; without, a program that replays
 * files, or mutates its own seeds the same way every time: fuzz_model FILE...      replays fuzz_model -n COUNT mutates
 * What loads must save and load again to the same bytes. */
#define _XOPEN_SOURCE 700
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "linfdist/linfdist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct buffer {
    uint8_t *data;
    size_t size, capacity;
} buffer;

static linfdist_context *context;
static char path[] = P_tmpdir "/linfdist-fuzz-XXXXXX";

static void require(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_model: %s (%s)\n", what, linfdist_last_error());
    abort();
}

static void remove_file(void) {
    (void)unlink(path);
}

static void set_up(void) {
    if (context) return;
    require(linfdist_context_create(NULL, &context) == LINFDIST_OK, "no context");
    int fd = mkstemp(path);
    require(fd >= 0 && close(fd) == 0 && atexit(remove_file) == 0, "no temporary file");
}

static int32_t append(void *user, const void *data, size_t size) {
    buffer *b = user;
    if (b->size + size > b->capacity) {
        b->capacity = 2 * (b->size + size);
        b->data = realloc(b->data, b->capacity);
        require(b->data != NULL, "no memory");
    }
    if (size > 0) memcpy(b->data + b->size, data, size);
    b->size += size;
    return 0;
}

/* What loads can be asked; the answer, or refusal, is its own. */
static void certify(const linfdist_model *model) {
    enum { MOST_INPUTS = 64 };
    static const float pixels[MOST_INPUTS];
    linfdist_model_info info = {.struct_size = sizeof info};
    linfdist_certifier *certifier;
    float radius = 0.0f;
    require(linfdist_model_get_info(model, &info) == LINFDIST_OK, "info");
    if (info.n_in > MOST_INPUTS || linfdist_certifier_create(model, &certifier) != LINFDIST_OK) return;
    (void)linfdist_certify(certifier, LINFDIST_METHOD_INTERVAL, pixels, info.n_in, 1, NULL, NULL, &radius);
    require(radius >= 0.0f, "a radius below 0");
    linfdist_certifier_destroy(certifier);
}

static void check_model(const uint8_t *data, size_t size) {
    linfdist_model *model = NULL, *again = NULL;
    buffer first = {0}, second = {0};
    if (linfdist_model_load_memory(context, data, size, &model) != LINFDIST_OK) {
        require(model == NULL, "a model after a failure");
        return;
    }
    require(linfdist_model_save_to(model, append, &first) == LINFDIST_OK, "what loads does not save");
    require(linfdist_model_load_memory(context, first.data, first.size, &again) == LINFDIST_OK,
            "what was saved does not load");
    require(linfdist_model_save_to(again, append, &second) == LINFDIST_OK, "what loads again does not save");
    certify(again);
    require(first.size == second.size && memcmp(first.data, second.data, first.size) == 0, "other bytes");
    linfdist_model_destroy(again);
    linfdist_model_destroy(model);
    free(first.data);
    free(second.data);
}

static void read_file(const char *name, buffer *b) {
    uint8_t bytes[4096];
    FILE *file = fopen(name, "rb");
    require(file != NULL, name);
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, file)) > 0;) append(b, bytes, got);
    fclose(file);
}

/* Saves and destroys them. */
static void save_checkpoint(linfdist_model *model, linfdist_optimizer *optimizer, const void *state, size_t state_size,
                            buffer *to) {
    require(linfdist_checkpoint_save(model, optimizer, state, state_size, path) == LINFDIST_OK,
            "what loads does not save");
    read_file(path, to);
    linfdist_optimizer_destroy(optimizer);
    linfdist_model_destroy(model);
}

/* Checkpoints load by path only. */
static void check_checkpoint(const uint8_t *data, size_t size) {
    linfdist_model *model = NULL;
    linfdist_optimizer *optimizer = NULL;
    uint8_t state[16];
    size_t state_size;
    FILE *file = fopen(path, "wb");
    require(file && fwrite(data, 1, size, file) == size && fclose(file) == 0, "temporary file");
    if (linfdist_checkpoint_load(context, path, &model, &optimizer, state, sizeof state, &state_size) != LINFDIST_OK) {
        require(model == NULL && optimizer == NULL, "a checkpoint after a failure");
        return;
    }
    buffer first = {0}, second = {0};
    save_checkpoint(model, optimizer, state, state_size, &first);
    require(linfdist_checkpoint_load(context, path, &model, &optimizer, state, sizeof state, &state_size) ==
                LINFDIST_OK,
            "what was saved does not load");
    save_checkpoint(model, optimizer, state, state_size, &second);
    require(first.size == second.size && memcmp(first.data, second.data, first.size) == 0, "other bytes");
    free(first.data);
    free(second.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    set_up();
    uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees any read beyond */
    require(exact != NULL, "no memory");
    if (size > 0) memcpy(exact, data, size);
    check_model(exact, size);
    check_checkpoint(exact, size);
    free(exact);
    return 0;
}

#ifndef LFD_LIBFUZZER

enum { SEEDS = 3 };

/* Every kind of layer of the published nets, logits, and weight decay. */
static void make_conv_hybrid(buffer *seed) {
    linfdist_conv_options options;
    linfdist_adam_options adam;
    linfdist_model *model;
    linfdist_optimizer *optimizer;
    require(linfdist_conv_options_init(&options, sizeof options) == LINFDIST_OK, "options");
    options.channels = 1;
    options.height = options.width_px = options.classes = 2;
    options.features = 3;
    options.hidden = 2;
    require(linfdist_model_create_conv(context, &options, &model) == LINFDIST_OK, "model");
    require(linfdist_adam_options_init(&adam, sizeof adam) == LINFDIST_OK, "options");
    adam.weight_decay = 0.25;
    adam.decay = LINFDIST_DECAY_LP;
    require(linfdist_optimizer_create_adam(model, &adam, &optimizer) == LINFDIST_OK, "optimizer");
    save_checkpoint(model, optimizer, "state", 5, seed);
}

/* Small files to start from: a model, and two checkpoints. */
static void make_seeds(buffer seeds[SEEDS]) {
    const double mean = 0.25;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, 0.5, 0.0, 1.0};
    linfdist_mlp_options options;
    linfdist_model *model;
    linfdist_optimizer *optimizer;
    require(linfdist_mlp_options_init(&options, sizeof options) == LINFDIST_OK, "options");
    options.height = options.width_px = options.depth = options.classes = 2;
    options.width = 3;
    require(linfdist_model_create_mlp(context, &options, &model) == LINFDIST_OK, "model");
    require(linfdist_model_set_statistics(model, &statistics) == LINFDIST_OK, "statistics");
    require(linfdist_model_save_to(model, append, &seeds[0]) == LINFDIST_OK, "save");
    require(linfdist_optimizer_create_adam(model, NULL, &optimizer) == LINFDIST_OK, "optimizer");
    save_checkpoint(model, optimizer, "state", 5, &seeds[1]);
    make_conv_hybrid(&seeds[2]);
}

static uint64_t random_state = 1;

/* A number in [0, below): xorshift64*. */
static size_t pick(size_t below) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return below ? (size_t)((random_state * 0x2545f4914f6cdd1du >> 16) % below) : 0;
}

static void splice(buffer *b, size_t at, size_t removed, const void *text, size_t inserted) {
    buffer made = {0};
    append(&made, b->data, at);
    append(&made, text, inserted);
    append(&made, b->data + at + removed, b->size - at - removed);
    free(b->data);
    *b = made;
}

/* Where the header's text ends, by its length field. */
static size_t header_end(const buffer *b) {
    size_t length = 0;
    for (size_t i = 0; i < 8 && i < b->size; ++i) length |= (size_t)b->data[i] << (8 * i);
    return b->size < 8 || length > b->size - 8 ? b->size : 8 + length;
}

/* One change, most often in the header, whose length is then mostly kept true. */
static void mutate(buffer *b) {
    static const char *const words[] = {"0",          "-1",         "1e999", "18446744073709551616",
                                        "4294967295", "1073741824", "\"",    "{",
                                        "}",          "[",          "]",     ",",
                                        "null",       "\\u",        "\xff",  "\\\"",
                                        "[[[[[[",     "0.1"};
    const char *word = words[pick(sizeof words / sizeof words[0])];
    size_t end = header_end(b);
    size_t at = pick(4) ? pick(end) : pick(b->size), left = b->size - at, size = b->size;
    switch (pick(5)) {
    case 0:
        if (left > 0) b->data[at] ^= (uint8_t)(1u << pick(8));
        break;
    case 1: splice(b, at, 0, word, strlen(word)); break;
    case 2: splice(b, at, left > strlen(word) ? strlen(word) : left, word, strlen(word)); break;
    case 3: splice(b, at, pick(left < 20 ? left + 1 : 20), "", 0); break;
    default: splice(b, at, 0, b->data + pick(at + 1), pick(left < 60 ? left + 1 : 60)); break;
    }
    if (at < 8 || at > end || !pick(4) || b->size < 8) return;
    for (size_t i = 0; i < 8; ++i) b->data[i] = (uint8_t)((end - 8 + b->size - size) >> (8 * i));
}

static void mutate_seeds(long count) {
    buffer seeds[SEEDS] = {{0}};
    long loaded[SEEDS] = {0};
    make_seeds(seeds);
    for (long i = 0; i < count; ++i) {
        buffer b = {0};
        append(&b, seeds[i % SEEDS].data, seeds[i % SEEDS].size);
        for (size_t changes = 1 + pick(3); changes > 0; --changes) mutate(&b);
        linfdist_model *model = NULL;
        loaded[i % SEEDS] += linfdist_model_load_memory(context, b.data, b.size, &model) == LINFDIST_OK;
        linfdist_model_destroy(model);
        LLVMFuzzerTestOneInput(b.data, b.size);
        free(b.data);
    }
    printf("%ld files; still models: %ld, %ld, %ld of the seeds' descendants\n", count, loaded[0], loaded[1],
           loaded[2]);
    for (int i = 0; i < SEEDS; ++i) {
        require(count < 100 * SEEDS || (loaded[i] > 0 && loaded[i] < count / SEEDS),
                "the mutations are too strong or too weak");
        free(seeds[i].data);
    }
}

int main(int argc, char **argv) {
    set_up();
    if (argc == 3 && strcmp(argv[1], "-n") == 0) {
        mutate_seeds(strtol(argv[2], NULL, 10));
    } else {
        for (int i = 1; i < argc; ++i) {
            buffer b = {0};
            read_file(argv[i], &b);
            LLVMFuzzerTestOneInput(b.data, b.size);
            free(b.data);
        }
    }
    linfdist_context_destroy(context);
    return 0;
}

#endif
