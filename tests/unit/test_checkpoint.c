/* Checkpoints: a training that goes on from one continues bit for bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file_support.h"
#include "net_support.h"

static scripted_memory memory;
static linfdist_context *context;
static linfdist_model *model;
static linfdist_optimizer *optimizer;
static char folder[64], path[128];
static const char note[] = "rng 1 2 3\0epoch 4";

static int setup(void **state) {
    (void)state;
    memory = (scripted_memory){0};
    context = scripted_context(&memory);
    model = small_model(context, 1);
    linfdist_adam_options options;
    assert_int_equal(linfdist_adam_options_init(&options, sizeof options), LINFDIST_OK);
    options.beta2 = 0.98765432109876543;
    assert_int_equal(linfdist_optimizer_create_adam(model, &options, &optimizer), LINFDIST_OK);
    make_folder(folder);
    sprintf(path, "%s/c.safetensors", folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    remove_folder(folder);
    linfdist_optimizer_destroy(optimizer);
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
    return memory.live != 0;
}

/* Real steps on a few samples; each step sees other numbers. */
static void train(linfdist_model *m, linfdist_optimizer *o, int first, int steps) {
    enum { BATCH = 7 };
    static const int32_t labels[BATCH] = {0, 1, 2, 3, 3, 2, 1};
    float x[BATCH * 6];
    linfdist_run *run = NULL;
    double loss;
    assert_int_equal(linfdist_run_create(m, LINFDIST_RUN_TRAINING, BATCH, &run), LINFDIST_OK);
    for (int step = first; step < first + steps; ++step) {
        for (int i = 0; i < BATCH * 6; ++i) x[i] = (float)((i * 37 + step * 11) % 29) / 7.0f - 2.0f;
        assert_int_equal(linfdist_forward(run, x, 6, BATCH, LINFDIST_TRAIN, 9.5f), LINFDIST_OK);
        assert_int_equal(net_mixture(run, labels, 0.5, 0.1, &loss), LINFDIST_OK);
        assert_int_equal(linfdist_backward(run, NULL, 0), LINFDIST_OK);
        assert_int_equal(linfdist_optimizer_step(o, run, 0.02, 0.005), LINFDIST_OK);
        assert_int_equal(linfdist_run_zero_gradients(run), LINFDIST_OK);
    }
    linfdist_run_destroy(run);
}

static void save(void) {
    assert_int_equal(linfdist_checkpoint_save(model, optimizer, note, sizeof note, path), LINFDIST_OK);
}

static void test_resume(void **state) {
    (void)state;
    linfdist_model *resumed = NULL;
    linfdist_optimizer *resumed_optimizer = NULL;
    char got[64] = {0}, second[160];
    size_t size = 0;
    int64_t step = 0;
    bytes left = {0}, right = {0};
    train(model, optimizer, 0, 5);
    save();
    assert_int_equal(linfdist_checkpoint_load(context, path, &resumed, &resumed_optimizer, got, sizeof got, &size),
                     LINFDIST_OK);
    assert_int_equal(size, sizeof note);
    assert_memory_equal(got, note, sizeof note);
    assert_same_tensors(model, resumed);
    assert_int_equal(linfdist_optimizer_get_step(resumed_optimizer, &step), LINFDIST_OK);
    assert_int_equal(step, 5);

    train(model, optimizer, 5, 6);
    train(resumed, resumed_optimizer, 5, 6);
    assert_same_tensors(model, resumed);
    save();
    sprintf(second, "%s/d.safetensors", folder);
    assert_int_equal(linfdist_checkpoint_save(resumed, resumed_optimizer, note, sizeof note, second), LINFDIST_OK);
    read_path(path, &left);
    read_path(second, &right);
    assert_int_equal(left.size, right.size);
    assert_memory_equal(left.data, right.data, left.size);
    bytes_free(&left);
    bytes_free(&right);
    linfdist_optimizer_destroy(resumed_optimizer);
    linfdist_model_destroy(resumed);
    assert_int_equal(count_files(folder), 2);
}

/* Handles may go in any order. */
static void test_destroy_order(void **state) {
    (void)state;
    linfdist_model *loaded = NULL;
    linfdist_optimizer *loaded_optimizer = NULL;
    save();
    assert_int_equal(linfdist_checkpoint_load(context, path, &loaded, &loaded_optimizer, NULL, 0, NULL), LINFDIST_OK);
    linfdist_model_destroy(loaded);
    linfdist_optimizer_destroy(loaded_optimizer);
}

static void test_state_sizes(void **state) {
    (void)state;
    linfdist_model *loaded = NULL;
    linfdist_optimizer *loaded_optimizer = NULL;
    char got[64];
    size_t size = 77;
    save();
    memset(got, 'z', sizeof got);
    assert_int_equal(linfdist_checkpoint_load(context, path, &loaded, &loaded_optimizer, got, sizeof note - 1, &size),
                     LINFDIST_ERROR_RANGE);
    assert_int_equal(size, 77);
    assert_int_equal(got[0], 'z');
    assert_null(loaded);
    assert_null(loaded_optimizer);
    assert_int_equal(linfdist_checkpoint_load(context, path, &loaded, &loaded_optimizer, NULL, 0, &size), LINFDIST_OK);
    assert_int_equal(size, sizeof note);
    linfdist_optimizer_destroy(loaded_optimizer);
    linfdist_model_destroy(loaded);

    assert_int_equal(linfdist_checkpoint_save(model, optimizer, NULL, 0, path), LINFDIST_OK);
    assert_int_equal(linfdist_checkpoint_load(context, path, &loaded, &loaded_optimizer, got, 0, &size), LINFDIST_OK);
    assert_int_equal(size, 0);
    linfdist_optimizer_destroy(loaded_optimizer);
    linfdist_model_destroy(loaded);
}

/* The model of a checkpoint loads as a model; a model is no checkpoint. */
static void test_formats(void **state) {
    (void)state;
    linfdist_model *loaded = NULL;
    linfdist_optimizer *loaded_optimizer = NULL;
    train(model, optimizer, 0, 2);
    save();
    assert_int_equal(linfdist_model_load(context, path, &loaded), LINFDIST_OK);
    assert_same_tensors(model, loaded);
    assert_int_equal(linfdist_model_save(loaded, path), LINFDIST_OK);
    linfdist_model_destroy(loaded);
    loaded = NULL;
    assert_int_equal(linfdist_checkpoint_load(context, path, &loaded, &loaded_optimizer, NULL, 0, NULL),
                     LINFDIST_ERROR_FORMAT);
    assert_non_null(strstr(linfdist_last_error(), "not a checkpoint"));
    assert_null(loaded);
}

static void test_bad_arguments(void **state) {
    (void)state;
    linfdist_status bad = LINFDIST_ERROR_INVALID_ARGUMENT;
    linfdist_model *other = small_model(context, 2), *loaded = NULL;
    linfdist_optimizer *loaded_optimizer = NULL;
    assert_int_equal(linfdist_checkpoint_save(NULL, optimizer, NULL, 0, path), bad);
    assert_int_equal(linfdist_checkpoint_save(model, NULL, NULL, 0, path), bad);
    assert_int_equal(linfdist_checkpoint_save(model, optimizer, NULL, 1, path), bad);
    assert_int_equal(linfdist_checkpoint_save(model, optimizer, note, SIZE_MAX, path), bad);
    assert_int_equal(linfdist_checkpoint_save(model, optimizer, NULL, 0, NULL), bad);
    assert_int_equal(linfdist_checkpoint_save(other, optimizer, NULL, 0, path), LINFDIST_ERROR_SHAPE);
    assert_int_equal(linfdist_checkpoint_load(NULL, path, &loaded, &loaded_optimizer, NULL, 0, NULL), bad);
    assert_int_equal(linfdist_checkpoint_load(context, NULL, &loaded, &loaded_optimizer, NULL, 0, NULL), bad);
    assert_int_equal(linfdist_checkpoint_load(context, path, NULL, &loaded_optimizer, NULL, 0, NULL), bad);
    assert_int_equal(linfdist_checkpoint_load(context, path, &loaded, NULL, NULL, 0, NULL), bad);
    assert_int_equal(count_files(folder), 0);
    linfdist_model_destroy(other);
}

/* ---- files changed on the way ---- */

static void write_path(const bytes *b) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(b->data, 1, b->size, file), b->size);
    assert_int_equal(fclose(file), 0);
}

static linfdist_status load_changed(const bytes *b) {
    linfdist_model *loaded = NULL;
    linfdist_optimizer *loaded_optimizer = NULL;
    write_path(b);
    linfdist_status status = linfdist_checkpoint_load(context, path, &loaded, &loaded_optimizer, NULL, 0, NULL);
    if (status != LINFDIST_OK) assert_true(loaded == NULL && loaded_optimizer == NULL);
    linfdist_optimizer_destroy(loaded_optimizer);
    linfdist_model_destroy(loaded);
    return status;
}

typedef struct refused_edit {
    const char *from, *to; /* of equal length */
    linfdist_status status;
    const char *message;
} refused_edit;

static const refused_edit refused[] = {
    {"\"optimizer\":\"", "\"optimiser\":\"", LINFDIST_ERROR_FORMAT, "optimizer is missing"},
    {"\\\"kind\\\":\\\"adam\\\"", "\\\"kind\\\":\\\"sgdm\\\"", LINFDIST_ERROR_UNSUPPORTED, "sgdm"},
    {"\\\"step\\\":3", "\\\"stop\\\":3", LINFDIST_ERROR_FORMAT, "step is missing"},
    {"\\\"step\\\":3,", "\\\"step\\\":-,", LINFDIST_ERROR_FORMAT, "JSON"},
    {"\\\"beta1\\\":0.9", "\\\"beta1\\\":1.9", LINFDIST_ERROR_FORMAT, "beta1"},
    {"\\\"epsilon\\\":", "\\\"epsilom\\\":", LINFDIST_ERROR_FORMAT, "epsilon is missing"},
    {"\"optimizer.m.fc_dist.1.weight\"", "\"optimizer.x.fc_dist.1.weight\"", LINFDIST_ERROR_FORMAT,
     "optimizer.m.fc_dist.1.weight is missing"},
    {"\"state\":", "\"stats\":", LINFDIST_ERROR_FORMAT, "tensors"},
    {"\"optimizer.v.scalar\":{\"dtype\":\"F32\",\"shape\":[1]",
     "\"optimizer.v.scalar\":{\"dtype\":\"I32\",\"shape\":[1]", LINFDIST_ERROR_FORMAT, "is I32"},
    {"\"state\":{\"dtype\":\"U8\"", "\"state\":{\"dtype\":\"I8\"", LINFDIST_ERROR_FORMAT, "must be U8"},
};

static const refused_edit refused_with_decay[] = {
    {"\\\"weight_decay\\\":0.25", "\\\"weight_decay\\\":1.25", LINFDIST_ERROR_FORMAT, "weight_decay is 1.25"},
    {"\\\"weight_decay\\\":", "\\\"weight_dacay\\\":", LINFDIST_ERROR_UNSUPPORTED, "7 fields"},
    {"\\\"decay\\\":\\\"lp\\\"", "\\\"decay\\\":\\\"l2\\\"", LINFDIST_ERROR_UNSUPPORTED, "decay \"l2\""},
    {"\\\"decay\\\":\\\"lp\\\"", "\\\"dacay\\\":\\\"lp\\\"", LINFDIST_ERROR_FORMAT, "decay is missing"},
};

static void expect_refused(const refused_edit *edits, size_t count) {
    bytes whole = {0};
    train(model, optimizer, 0, 3);
    save();
    read_path(path, &whole);
    for (const refused_edit *edit = edits; edit < edits + count; ++edit) {
        size_t length = strlen(edit->from), at = 8;
        assert_int_equal(length, strlen(edit->to));
        while (at < whole.size - length && memcmp(whole.data + at, edit->from, length) != 0) ++at;
        if (at == whole.size - length) fail_msg("%s is not in the file", edit->from);
        memcpy(whole.data + at, edit->to, length);
        linfdist_status status = load_changed(&whole);
        if (status != edit->status || !strstr(linfdist_last_error(), edit->message)) {
            fail_msg("%s: status %d, \"%s\"; expected %d, \"%s\"", edit->to, (int)status, linfdist_last_error(),
                     (int)edit->status, edit->message);
        }
        memcpy(whole.data + at, edit->from, length);
    }
    assert_int_equal(load_changed(&whole), LINFDIST_OK);
    bytes_free(&whole);
}

static void test_refused_edits(void **state) {
    (void)state;
    expect_refused(refused, sizeof refused / sizeof refused[0]);
}

/* The decay is part of the checkpoint: with it the training goes on bit for bit. */
static void test_weight_decay(void **state) {
    (void)state;
    linfdist_adam_options options;
    linfdist_model *resumed = NULL;
    linfdist_optimizer *resumed_optimizer = NULL;
    linfdist_optimizer_destroy(optimizer);
    assert_int_equal(linfdist_adam_options_init(&options, sizeof options), LINFDIST_OK);
    options.weight_decay = 0.25;
    options.decay = LINFDIST_DECAY_LP;
    assert_int_equal(linfdist_optimizer_create_adam(model, &options, &optimizer), LINFDIST_OK);
    expect_refused(refused_with_decay, sizeof refused_with_decay / sizeof refused_with_decay[0]);
    assert_int_equal(linfdist_checkpoint_load(context, path, &resumed, &resumed_optimizer, NULL, 0, NULL), LINFDIST_OK);
    train(model, optimizer, 3, 5);
    train(resumed, resumed_optimizer, 3, 5);
    assert_same_tensors(model, resumed);
    linfdist_optimizer_destroy(resumed_optimizer);
    linfdist_model_destroy(resumed);
}

/* Any number of the file that is no number, and any negative second moment. */
static void test_refused_values(void **state) {
    (void)state;
    bytes whole = {0};
    int negative = 0;
    train(model, optimizer, 0, 1);
    save();
    read_path(path, &whole);
    for (size_t at = 8 + bytes_header_size(&whole); at + sizeof note < whole.size; at += sizeof(float)) {
        float good, bad = NAN;
        memcpy(&good, whole.data + at, sizeof good);
        memcpy(whole.data + at, &bad, sizeof bad);
        assert_int_equal(load_changed(&whole), LINFDIST_ERROR_NOT_FINITE);
        bad = -1.0f;
        memcpy(whole.data + at, &bad, sizeof bad);
        if (load_changed(&whole) == LINFDIST_ERROR_FORMAT) ++negative;
        memcpy(whole.data + at, &good, sizeof good);
    }
    assert_int_equal(negative, 30 + 25 + 20 + 4 + 1); /* the second moments of all trainable numbers */
    assert_int_equal(load_changed(&whole), LINFDIST_OK);
    bytes_free(&whole);

    linfdist_tensor first = {.struct_size = sizeof first}, second = {.struct_size = sizeof second};
    assert_int_equal(linfdist_optimizer_get_moments(optimizer, 0, &first, &second), LINFDIST_OK);
    first.data[3] = INFINITY;
    assert_int_equal(linfdist_checkpoint_save(model, optimizer, NULL, 0, path), LINFDIST_ERROR_NOT_FINITE);
    assert_non_null(strstr(linfdist_last_error(), "optimizer.m.fc_dist.0.weight"));
    first.data[3] = 0.0f;
    second.data[3] = -1.0f;
    assert_int_equal(linfdist_checkpoint_save(model, optimizer, NULL, 0, path), LINFDIST_ERROR_RANGE);
}

static void test_truncations_and_flips(void **state) {
    (void)state;
    bytes whole = {0};
    save();
    read_path(path, &whole);
    size_t end = 8 + bytes_header_size(&whole), size = whole.size;
    for (whole.size = 0; whole.size < size; whole.size += whole.size < 64 ? 1 : 17) {
        assert_int_equal(load_changed(&whole), LINFDIST_ERROR_FORMAT);
    }
    whole.size = size;
    for (size_t at = 0; at < end; ++at) {
        whole.data[at] ^= (unsigned char)(1u << at % 8);
        (void)load_changed(&whole); /* asserts that failures leave nothing behind */
        whole.data[at] ^= (unsigned char)(1u << at % 8);
    }
    bytes_free(&whole);
}

static linfdist_status load_once(void) {
    linfdist_model *loaded = NULL;
    linfdist_optimizer *loaded_optimizer = NULL;
    char got[sizeof note];
    linfdist_status status = linfdist_checkpoint_load(context, path, &loaded, &loaded_optimizer, got, sizeof got, NULL);
    if (status != LINFDIST_OK) assert_true(loaded == NULL && loaded_optimizer == NULL);
    linfdist_optimizer_destroy(loaded_optimizer);
    linfdist_model_destroy(loaded);
    return status;
}

static linfdist_status save_once(void) {
    linfdist_status status = linfdist_checkpoint_save(model, optimizer, note, sizeof note, path);
    assert_int_equal(count_files(folder), 1); /* the old one or the new one, nothing else */
    return status;
}

static void test_no_memory(void **state) {
    (void)state;
    linfdist_status (*const actions[])(void) = {save_once, load_once};
    save();
    for (int i = 0; i < 2; ++i) {
        linfdist_status status;
        long failing = 0, live = memory.live;
        do {
            memory.calls = 0;
            memory.failing_call = ++failing;
            status = actions[i]();
            if (status != LINFDIST_OK) assert_int_equal(status, LINFDIST_ERROR_OUT_OF_MEMORY);
            assert_int_equal(memory.live, live);
            memory.failing_call = 0;
            assert_int_equal(load_once(), LINFDIST_OK);
        } while (status != LINFDIST_OK);
        assert_true(failing > 4);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_resume),        TEST(test_destroy_order), TEST(test_state_sizes),    TEST(test_formats),
        TEST(test_bad_arguments), TEST(test_refused_edits), TEST(test_refused_values), TEST(test_truncations_and_flips),
        TEST(test_no_memory),     TEST(test_weight_decay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
