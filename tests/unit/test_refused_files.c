/* Model files that somebody else wrote, or that suffered: accepted when they say the same, refused without harm when
 * not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "saved_model.h"

/* The saved file with the first `from` of its header replaced; the padding goes, so data is unaligned. */
static bytes edited(const char *from, const char *to) {
    bytes file = {0};
    size_t size = bytes_header_size(&saved);
    char *header = malloc(size + strlen(to) + 1);
    assert_non_null(header);
    memcpy(header, saved.data + 8, size);
    while (header[size - 1] == ' ') --size;
    header[size] = '\0';
    char *at = strstr(header, from);
    if (!at) fail_msg("%s is not in the header", from);
    size_t rest = size - (size_t)(at - header) - strlen(from);
    memmove(at + strlen(to), at + strlen(from), rest + 1);
    memcpy(at, to, strlen(to));
    bytes_append_file(&file, header, saved.data + 8 + bytes_header_size(&saved),
                      saved.size - 8 - bytes_header_size(&saved));
    free(header);
    return file;
}

static void test_accepted_edits(void **state) {
    (void)state;
    static const char *const edits[][2] = {
        {"{", "{ "},
        {"{", "{  \n "},
        {"\"library_version\":\"0.1.0\"", "\"library_version\":\"99\""},
        {"\"library_version\":\"0.1.0\",", ""},
        {"\"format\"", "\"their.key\":\"\xc3\xa9\",\"format\""},
        {"\\\"channels\\\":2,\\\"height\\\":3", "\\\"height\\\":3, \\\"channels\\\":2"},
        {"\\\"high\\\":1e22", "\\\"high\\\":10000000000000000000000.0"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; ++i) {
        linfdist_model *loaded = NULL;
        bytes file = edited(edits[i][0], edits[i][1]);
        if (load(&file, &loaded) != LINFDIST_OK) fail_msg("%s: %s", edits[i][1], linfdist_last_error());
        assert_same_model(loaded);
        linfdist_model_destroy(loaded);
        bytes_free(&file);
    }
}

#define HUGE_LAYER                                                                                                     \
    "[{\\\"kind\\\":\\\"distance\\\",\\\"name\\\":\\\"x\\\",\\\"n_in\\\":6,\\\"n_out\\\":1073741824,\\\"groups\\\":1}" \
    ","                                                                                                                \
    "{\\\"kind\\\":\\\"distance\\\",\\\"name\\\":\\\"y\\\",\\\"n_in\\\":1073741824,\\\"n_out\\\":6,\\\"groups\\\":1},"
#define MEAN_SHIFT "{\\\"kind\\\":\\\"mean_shift\\\""
#define SHARED_LAYER                                                                                                   \
    MEAN_SHIFT ",\\\"name\\\":\\\"fc_dist.0\\\",\\\"n_in\\\":5,\\\"n_out\\\":5,\\\"groups\\\":1}," MEAN_SHIFT

static const struct {
    const char *from, *to;
    linfdist_status status;
    const char *message;
} refused[] = {
    {"linfdist-model", "linfdist-models", LINFDIST_ERROR_FORMAT, "linfdist-models"},
    {"\"format\"", "\"formal\"", LINFDIST_ERROR_FORMAT, "format is missing"},
    {"__metadata__\":{", "__metadata__\":{},\"x\":{", LINFDIST_ERROR_FORMAT, "x: dtype is missing"},
    {"\"format_version\":\"1\"", "\"format_version\":\"2\"", LINFDIST_ERROR_UNSUPPORTED, "format_version is 2"},
    {"\"format_version\":\"1\"", "\"format_version\":\"99999999999999999999\"", LINFDIST_ERROR_UNSUPPORTED, "version"},
    {"\"format_version\":\"1\"", "\"format_version\":\"0\"", LINFDIST_ERROR_FORMAT, "format_version is"},
    {"\"format_version\":\"1\"", "\"format_version\":\"-1\"", LINFDIST_ERROR_FORMAT, "format_version is"},
    {"\"format_version\":\"1\"", "\"format_version\":\"\"", LINFDIST_ERROR_FORMAT, "format_version is"},
    {"\"format_version\":\"1\",", "", LINFDIST_ERROR_FORMAT, "format_version is missing"},
    {"\"architecture\":\"", "\"architecture\":\"x", LINFDIST_ERROR_FORMAT, "architecture"},
    {"\"architecture\"", "\"architectura\"", LINFDIST_ERROR_FORMAT, "architecture is missing"},
    {"\\\"channels\\\":2", "\\\"channels\\\":3", LINFDIST_ERROR_SHAPE, "fc_dist.0"},
    {"\\\"channels\\\":2", "\\\"channels\\\":0", LINFDIST_ERROR_FORMAT, "channels is 0"},
    {"\\\"channels\\\":2", "\\\"channels\\\":-2", LINFDIST_ERROR_FORMAT, "channels is not"},
    {"\\\"channels\\\":2", "\\\"channels\\\":2.0", LINFDIST_ERROR_FORMAT, "channels is not"},
    {"\\\"channels\\\":2", "\\\"channels\\\":2,\\\"channels\\\":2", LINFDIST_ERROR_FORMAT, "duplicate"},
    {"\\\"channels\\\":2", "\\\"channels\\\":2,\\\"padding\\\":2", LINFDIST_ERROR_UNSUPPORTED, "fields"},
    {"\\\"channels\\\":2", "\\\"channels\\\":9223372036854775807", LINFDIST_ERROR_FORMAT, "channels"},
    {"\\\"height\\\":3", "\\\"height\\\":1099511627776", LINFDIST_ERROR_FORMAT, "height"},
    {"\\\"classes\\\":4", "\\\"classes\\\":5", LINFDIST_ERROR_SHAPE, "classes"},
    {"\\\"learned_scalar\\\":true", "\\\"learned_scalar\\\":1", LINFDIST_ERROR_FORMAT, "learned_scalar is not"},
    {"\\\"learned_scalar\\\":true", "\\\"learned_scalar\\\":false", LINFDIST_ERROR_FORMAT, "tensor scalar is not"},
    {"\\\"layers\\\":[", "\\\"layers\\\":[7,", LINFDIST_ERROR_FORMAT, "a layer is not"},
    {"\\\"layers\\\":[", "\\\"layers\\\":[[[[[[", LINFDIST_ERROR_FORMAT, "nested"},
    {"\\\"layers\\\":[", "\\\"layers\\\":" HUGE_LAYER, LINFDIST_ERROR_FORMAT, "tensor x.weight is missing"},
    {MEAN_SHIFT, SHARED_LAYER, LINFDIST_ERROR_FORMAT, "share"},
    {"\\\"kind\\\":\\\"distance\\\"", "\\\"kind\\\":\\\"pool\\\"", LINFDIST_ERROR_UNSUPPORTED, "\"pool\" is unknown"},
    {"\\\"kind\\\":\\\"distance\\\"", "\\\"kind\\\":\\\"conv\\\"", LINFDIST_ERROR_FORMAT, "kernel_h is missing"},
    {"\\\"kind\\\":\\\"mean_shift\\\"", "\\\"kind\\\":3", LINFDIST_ERROR_FORMAT, "kind is not"},
    {"\\\"kind\\\":\\\"mean_shift\\\"", "\\\"kind\\\":\\\"bias\\\"", LINFDIST_ERROR_FORMAT,
     "fc_dist.0.bias is missing"},
    {"\\\"n_out\\\":5", "\\\"n_out\\\":1099511627776", LINFDIST_ERROR_FORMAT, "n_out is 1099511627776"},
    {"\\\"n_out\\\":5", "\\\"n_out\\\":0", LINFDIST_ERROR_SHAPE, "fc_dist.0"},
    {"\\\"n_in\\\":6", "\\\"n_in\\\":0", LINFDIST_ERROR_SHAPE, "fc_dist.0"},
    {"\\\"groups\\\":1", "\\\"groups\\\":0", LINFDIST_ERROR_SHAPE, "groups 0"},
    {"\\\"groups\\\":1", "\\\"groups\\\":4", LINFDIST_ERROR_SHAPE, "groups 4"},
    {"\\\"groups\\\":1", "\\\"groups\\\":1,\\\"stride\\\":2", LINFDIST_ERROR_UNSUPPORTED, "a layer has 6 fields"},
    {"\\\"name\\\":\\\"fc_dist.0\\\"", "\\\"name\\\":\\\"\\\"", LINFDIST_ERROR_FORMAT, "its name must have"},
    {"\\\"name\\\":\\\"fc_dist.0\\\"", "\\\"name\\\":\\\"0123456789012345678901234567890123456789012345678\\\"",
     LINFDIST_ERROR_FORMAT, "49 bytes"},
    {"\"fc_dist.1.weight\":", "\"fc_dist.9.weight\":", LINFDIST_ERROR_FORMAT, "fc_dist.1.weight is missing"},
    {"\"F32\",\"shape\":[5]", "\"I32\",\"shape\":[5]", LINFDIST_ERROR_FORMAT, "is I32"},
    {"\"shape\":[5,6]", "\"shape\":[6,5]", LINFDIST_ERROR_SHAPE, "has 6 entries in dimension 0, must have 5"},
    {"\"shape\":[5,6]", "\"shape\":[30]", LINFDIST_ERROR_SHAPE, "1 dimensions, must have 2"},
    {"\"shape\":[1]", "\"shape\":[]", LINFDIST_ERROR_SHAPE, "scalar has 0 dimensions"},
    {"\"scalar\":", "\"z\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"scalar\":", LINFDIST_ERROR_FORMAT,
     "tensor z is not"},
    {"\\\"mean\\\":[", "\\\"mean\\\":[0.5,", LINFDIST_ERROR_SHAPE, "3 channels"},
    {"\\\"mean\\\":[", "\\\"mean\\\":[\\\"x\\\",", LINFDIST_ERROR_FORMAT, "mean"},
    {"\\\"mean\\\":", "\\\"mean\\\":{},\\\"average\\\":", LINFDIST_ERROR_FORMAT, "mean is not"},
    {"\\\"mean\\\":[", "\\\"mean\\\":[1e999,", LINFDIST_ERROR_FORMAT, "overflow"},
    {"\\\"std\\\":0", "\\\"std\\\":-0", LINFDIST_ERROR_FORMAT, "std"},
    {"\\\"std\\\"", "\\\"sdt\\\"", LINFDIST_ERROR_FORMAT, "std is missing"},
    {"\\\"high\\\":1e22", "\\\"high\\\":-7", LINFDIST_ERROR_FORMAT, "low"},
    {"\\\"high\\\":1e22", "\\\"high\\\":1e300", LINFDIST_ERROR_NOT_FINITE, "high"},
};

/* None of them costs more memory than the file itself could. */
static void test_refused_edits(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; ++i) {
        linfdist_model *untouched = model;
        bytes file = edited(refused[i].from, refused[i].to);
        memory.largest = 0;
        linfdist_status status = load(&file, &untouched);
        if (status != refused[i].status || !strstr(linfdist_last_error(), refused[i].message)) {
            fail_msg("%s: status %d, \"%s\"; expected %d, \"%s\"", refused[i].to, (int)status, linfdist_last_error(),
                     (int)refused[i].status, refused[i].message);
        }
        assert_ptr_equal(untouched, model);
        assert_true(memory.largest < (size_t)32 * 8192); /* what reading a header of this size may take */
        bytes_free(&file);
    }
}

static void test_values_not_finite(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 0x1p101f};
    size_t begin = 8 + bytes_header_size(&saved);
    for (size_t i = 0; i < 4; ++i) {
        for (size_t at = begin; at < saved.size; at += sizeof(float)) {
            linfdist_model *loaded = NULL;
            float good;
            memcpy(&good, saved.data + at, sizeof good);
            memcpy(saved.data + at, &bad[i], sizeof good);
            assert_int_equal(load(&saved, &loaded), LINFDIST_ERROR_NOT_FINITE);
            assert_null(loaded);
            memcpy(saved.data + at, &good, sizeof good);
        }
    }
    /* Nor is such a model saved: the file could not be loaded. */
    linfdist_tensor tensor = {.struct_size = sizeof tensor};
    bytes out = {0};
    assert_int_equal(linfdist_model_find_tensor(model, "fc_dist.1.weight", &tensor), LINFDIST_OK);
    tensor.data[7] = NAN;
    assert_int_equal(linfdist_model_save_to(model, bytes_write, &out), LINFDIST_ERROR_NOT_FINITE);
    assert_non_null(strstr(linfdist_last_error(), "fc_dist.1.weight"));
    assert_int_equal(out.calls, 0);
}

static void test_every_truncation(void **state) {
    (void)state;
    for (size_t size = 0; size < saved.size; ++size) {
        linfdist_model *loaded = NULL;
        bytes file = {0};
        bytes_append(&file, saved.data, size);
        linfdist_status status = linfdist_model_load_from(context, bytes_read, &file, &loaded);
        assert_int_equal(status, LINFDIST_ERROR_FORMAT);
        assert_null(loaded);
        bytes_free(&file);
    }
}

/* A flipped byte of the header is an error, or a model with the same tensors: only statistics, sides of the input and
 * keys that nobody reads can change unnoticed. */
static void test_every_flip(void **state) {
    (void)state;
    static const unsigned char flips[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
    size_t end = 8 + bytes_header_size(&saved);
    for (size_t at = 0; at < end; ++at) {
        for (size_t i = 0; i < sizeof flips; ++i) {
            linfdist_model *loaded = NULL;
            saved.data[at] ^= flips[i];
            if (load(&saved, &loaded) == LINFDIST_OK)
                assert_same_tensors(model, loaded);
            else
                assert_null(loaded);
            linfdist_model_destroy(loaded);
            saved.data[at] ^= flips[i];
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_accepted_edits),   TEST(test_refused_edits), TEST(test_values_not_finite),
        TEST(test_every_truncation), TEST(test_every_flip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
