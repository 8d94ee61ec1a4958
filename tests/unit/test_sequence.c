/* Models from lists of layers and the published nets: what fits together, names, shapes, files. */
#include <math.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file_support.h"
#include "net_support.h"

enum { LIST = 8 };

static linfdist_context *context;

static int setup(void **state) {
    (void)state;
    OK(linfdist_context_create(NULL, &context));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    linfdist_context_destroy(context);
    return 0;
}

static linfdist_layer layer(int32_t kind, const char *name, int64_t n_out) {
    linfdist_layer made;
    OK(linfdist_layer_init(&made, sizeof made, kind, name));
    made.n_out = n_out;
    return made;
}

static linfdist_layer convolution(int32_t kind, const char *name, int64_t channels, int64_t stride, int64_t groups) {
    linfdist_layer made = layer(kind, name, 0);
    made.out_channels = channels;
    made.stride = stride;
    made.groups = groups;
    made.padding = 1;
    return made;
}

/* 2 x 7 x 5 pixels: a grouped convolution, mean shift, a dense layer in groups, 3 classes. */
static size_t small_net(linfdist_model_options *o, linfdist_layer list[LIST]) {
    size_t n = 0;
    OK(linfdist_model_options_init(o, sizeof *o));
    o->channels = 2;
    o->height = 7;
    o->width_px = 5;
    o->classes = 3;
    list[n++] = convolution(LINFDIST_LAYER_DISTANCE_CONV, "conv", 4, 2, 2);
    list[n++] = layer(LINFDIST_LAYER_MEAN_SHIFT, "conv", 0);
    list[n++] = layer(LINFDIST_LAYER_DISTANCE, "dense", 6);
    list[n - 1].groups = 2;
    list[n++] = layer(LINFDIST_LAYER_DISTANCE, "last", 3);
    list[n++] = layer(LINFDIST_LAYER_BIAS, "last", 0);
    return n;
}

static void expect_shape(linfdist_model *model, const char *name, int32_t dims, int64_t a, int64_t b, int64_t c,
                         int64_t d) {
    const int64_t want[] = {a, b, c, d};
    const linfdist_tensor tensor = net_tensor(model, name);
    assert_int_equal(tensor.dims, dims);
    for (int i = 0; i < 4; ++i) assert_int_equal(tensor.shape[i], want[i]);
}

static void test_list(void **state) {
    linfdist_model_options o;
    linfdist_layer list[LIST];
    linfdist_model *model = NULL;
    linfdist_layer_info info = {.struct_size = sizeof info};
    (void)state;
    const size_t n = small_net(&o, list);
    OK(linfdist_model_create(context, &o, list, (int64_t)n, &model));
    expect_shape(model, "conv.weight", 4, 4, 1, 3, 3);
    expect_shape(model, "conv.mean_shift.running_mean", 1, 4, 1, 1, 1);
    expect_shape(model, "dense.weight", 2, 6, 24, 1, 1);
    expect_shape(model, "last.weight", 2, 3, 6, 1, 1);
    expect_shape(model, "last.bias", 1, 3, 1, 1, 1);
    OK(linfdist_model_get_layer(model, 0, &info));
    assert_int_equal(info.kind, LINFDIST_LAYER_DISTANCE_CONV);
    assert_int_equal(info.n_out, 4 * 4 * 3);
    assert_int_equal(info.out_height, 4);
    assert_int_equal(info.out_width, 3);
    assert_int_equal(info.kernel_h, 3);
    assert_int_equal(info.stride, 2);
    assert_int_equal(info.padding, 1);
    OK(linfdist_model_get_layer(model, 2, &info));
    assert_int_equal(info.n_in, 48);
    assert_int_equal(info.kernel_h, 0);
    linfdist_model_destroy(model);
}

/* The longest names, in a file too. */
static void test_longest_names(void **state) {
    static const char name[] = "12345678901234567890123456789012345678901234567";
    linfdist_model_options o;
    linfdist_layer list[2] = {layer(LINFDIST_LAYER_MEAN_SHIFT, name, 0), layer(LINFDIST_LAYER_DISTANCE, name, 10)};
    linfdist_model *model = NULL, *loaded = NULL;
    char text[80];
    bytes file = {0};
    (void)state;
    OK(linfdist_model_options_init(&o, sizeof o));
    OK(linfdist_model_create(context, &o, list, 2, &model));
    save_bytes(model, &file);
    OK(linfdist_model_load_memory(context, file.data, file.size, &loaded));
    (void)snprintf(text, sizeof text, "%s.mean_shift.running_mean", name);
    assert_string_equal(net_tensor(loaded, text).name, text);
    bytes_free(&file);
    linfdist_model_destroy(loaded);
    linfdist_model_destroy(model);
}

/* Logits have no scalar, whatever the options say. */
static void test_logits_without_scalar(void **state) {
    linfdist_model_options o;
    linfdist_layer list[] = {layer(LINFDIST_LAYER_LINEAR, "fc", 10)};
    linfdist_model *model = NULL;
    linfdist_model_info info = {.struct_size = sizeof info};
    (void)state;
    OK(linfdist_model_options_init(&o, sizeof o));
    o.outputs = LINFDIST_OUTPUTS_LOGITS;
    assert_int_equal(o.learned_scalar, 1);
    OK(linfdist_model_create(context, &o, list, 1, &model));
    OK(linfdist_model_get_info(model, &info));
    assert_int_equal(info.learned_scalar, 0);
    linfdist_model_destroy(model);
}

/* An older program's struct ends before the shapes. */
static void test_older_info(void **state) {
    linfdist_model *model = net_mlp(context, 2, 3, 4, 2, 1);
    struct {
        linfdist_layer_info info;
        int64_t guard;
    } old;
    memset(&old, 0x55, sizeof old);
    (void)state;
    old.info.struct_size = offsetof(linfdist_layer_info, in_channels);
    OK(linfdist_model_get_layer(model, 0, &old.info));
    assert_int_equal(old.info.n_out, 3);
    assert_int_equal(old.info.in_channels, 0x5555555555555555);
    linfdist_model_destroy(model);
}

static void test_refused_lists(void **state) {
    linfdist_model_options o;
    linfdist_layer good[LIST], bad[LIST];
    linfdist_model *model = NULL;
    (void)state;
    const size_t n = small_net(&o, good);
#define EXPECT_BAD(change, status, text)                                                                               \
    do {                                                                                                               \
        memcpy(bad, good, sizeof bad);                                                                                 \
        change;                                                                                                        \
        FAILS(linfdist_model_create(context, &o, bad, (int64_t)n, &model), status, text);                              \
        assert_null(model);                                                                                            \
    } while (0)
    EXPECT_BAD(bad[0].kind = 99, LINFDIST_ERROR_INVALID_ARGUMENT, "kind 99");
    EXPECT_BAD(bad[0].name = NULL, LINFDIST_ERROR_INVALID_ARGUMENT, "name of layers[0] is NULL");
    EXPECT_BAD(bad[1].name = "", LINFDIST_ERROR_INVALID_ARGUMENT, "its name must have");
    EXPECT_BAD(bad[1].name = "123456789012345678901234567890123456789012345678", LINFDIST_ERROR_INVALID_ARGUMENT,
               "layer 1: its name");
    EXPECT_BAD(bad[1].name = "a\n", LINFDIST_ERROR_INVALID_ARGUMENT, "layer 1: byte 1 of its name is 0x0a");
    EXPECT_BAD(bad[1].name = "gr\xc3\xb6\xc3\x9f"
                             "e",
               LINFDIST_ERROR_INVALID_ARGUMENT, "byte 2 of its name is 0xc3");
    EXPECT_BAD(bad[1].struct_size = 8, LINFDIST_ERROR_INVALID_ARGUMENT, "struct_size 8");
    EXPECT_BAD(bad[1].struct_size += 8, LINFDIST_ERROR_INVALID_ARGUMENT, "layers[1] has struct_size");
    EXPECT_BAD(bad[0].n_out = 4, LINFDIST_ERROR_INVALID_ARGUMENT, "n_out is 4");
    EXPECT_BAD(bad[0].out_channels = 0, LINFDIST_ERROR_INVALID_ARGUMENT, "out_channels is 0");
    EXPECT_BAD(bad[0].out_channels = INT64_MAX, LINFDIST_ERROR_INVALID_ARGUMENT, "out_channels");
    EXPECT_BAD(bad[0].groups = 3, LINFDIST_ERROR_SHAPE, "groups 3 must divide channels 2");
    EXPECT_BAD(bad[0].groups = 0, LINFDIST_ERROR_SHAPE, "groups 0");
    EXPECT_BAD(bad[0].stride = 0, LINFDIST_ERROR_INVALID_ARGUMENT, "stride is 0");
    EXPECT_BAD(bad[0].dilation = -1, LINFDIST_ERROR_INVALID_ARGUMENT, "dilation is -1");
    EXPECT_BAD(bad[0].padding = -1, LINFDIST_ERROR_INVALID_ARGUMENT, "padding is -1");
    EXPECT_BAD(bad[0].padding = INT64_MAX, LINFDIST_ERROR_INVALID_ARGUMENT, "padding");
    EXPECT_BAD(bad[0].kernel_h = 10, LINFDIST_ERROR_SHAPE, "does not fit");
    EXPECT_BAD(bad[0].dilation = 4, LINFDIST_ERROR_SHAPE, "dilation 4");
    EXPECT_BAD((bad[0].padding = 1 << 15, bad[0].out_channels = INT32_MAX, bad[0].groups = 1), LINFDIST_ERROR_SHAPE,
               "2^31");
    EXPECT_BAD(bad[1].n_out = 4, LINFDIST_ERROR_INVALID_ARGUMENT, "n_out is 4");
    EXPECT_BAD(bad[1].groups = 2, LINFDIST_ERROR_SHAPE, "groups 2");
    EXPECT_BAD(bad[2].n_out = 0, LINFDIST_ERROR_INVALID_ARGUMENT, "layer dense: n_out is 0");
    EXPECT_BAD(bad[2].groups = 5, LINFDIST_ERROR_SHAPE, "groups 5 must divide n_in 48");
    EXPECT_BAD(bad[2].kernel_w = 1, LINFDIST_ERROR_INVALID_ARGUMENT, "kernel_w is 1");
    EXPECT_BAD(bad[2].padding = 2, LINFDIST_ERROR_INVALID_ARGUMENT, "padding is 2");
    EXPECT_BAD(bad[3].name = "dense", LINFDIST_ERROR_INVALID_ARGUMENT, "two tensors are named dense.weight");
    EXPECT_BAD(bad[3].n_out = 4, LINFDIST_ERROR_SHAPE, "4 outputs, but there are 3 classes");
    FAILS(linfdist_model_create(context, &o, good, 0, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "layer_count is 0");
    FAILS(linfdist_model_create(context, &o, good, INT64_MAX, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "layer_count");
    FAILS(linfdist_model_create(context, &o, NULL, 1, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "layers");
    FAILS(linfdist_model_create(context, NULL, good, 1, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "options");
    FAILS(linfdist_layer_init(bad, sizeof *bad, 99, "x"), LINFDIST_ERROR_INVALID_ARGUMENT, "kind is 99");
    FAILS(linfdist_layer_init(bad, sizeof *bad, 1, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "name");
}

static void test_refused_options(void **state) {
    linfdist_model_options good, bad;
    linfdist_layer list[LIST];
    linfdist_model *model = NULL;
    (void)state;
    const int64_t n = (int64_t)small_net(&good, list);
#define EXPECT_BAD_OPTION(change, status, text)                                                                        \
    do {                                                                                                               \
        bad = good;                                                                                                    \
        change;                                                                                                        \
        FAILS(linfdist_model_create(context, &bad, list, n, &model), status, text);                                    \
    } while (0)
    EXPECT_BAD_OPTION(bad.outputs = 2, LINFDIST_ERROR_INVALID_ARGUMENT, "outputs is 2");
    EXPECT_BAD_OPTION(bad.learned_scalar = 2, LINFDIST_ERROR_INVALID_ARGUMENT, "learned_scalar is 2");
    EXPECT_BAD_OPTION(bad.classes = 1, LINFDIST_ERROR_INVALID_ARGUMENT, "classes is 1");
    EXPECT_BAD_OPTION(bad.height = 0, LINFDIST_ERROR_INVALID_ARGUMENT, "height is 0");
    EXPECT_BAD_OPTION(bad.identity_value = NAN, LINFDIST_ERROR_INVALID_ARGUMENT, "identity_value is nan");
    assert_null(model);
}

/* What a file says of the layers makes the same model again, with the same bytes. */
static void test_file(void **state) {
    linfdist_model_options o;
    linfdist_layer list[LIST];
    linfdist_model *model = NULL, *loaded = NULL, *copy = NULL;
    (void)state;
    const size_t n = small_net(&o, list);
    o.outputs = LINFDIST_OUTPUTS_LOGITS;
    o.learned_scalar = 0;
    OK(linfdist_model_create(context, &o, list, (int64_t)n, &model));
    bytes first = {0}, second = {0};
    save_bytes(model, &first);
    OK(linfdist_model_load_memory(context, first.data, first.size, &loaded));
    OK(linfdist_model_copy(loaded, &copy));
    save_bytes(copy, &second);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    linfdist_model_info info = {.struct_size = sizeof info};
    OK(linfdist_model_get_info(copy, &info));
    assert_int_equal(info.outputs, LINFDIST_OUTPUTS_LOGITS);
    bytes_free(&first);
    bytes_free(&second);
    linfdist_model_destroy(model);
    linfdist_model_destroy(loaded);
    linfdist_model_destroy(copy);
}

/* ---- the published nets ---- */

static void test_conv_net(void **state) {
    linfdist_conv_options o;
    linfdist_model *model = NULL;
    linfdist_layer_info info = {.struct_size = sizeof info};
    (void)state;
    OK(linfdist_conv_options_init(&o, sizeof o));
    o.channels = 1;
    o.height = o.width_px = 9;
    o.features = 11;
    OK(linfdist_model_create_conv(context, &o, &model));
    expect_shape(model, "conv_dist.0.weight", 4, 32, 1, 3, 3);
    expect_shape(model, "conv_dist.2.weight", 4, 64, 32, 3, 3);
    expect_shape(model, "conv_dist.4.mean_shift.running_mean", 1, 64, 1, 1, 1);
    expect_shape(model, "fc_dist.0.weight", 2, 11, 64 * 5 * 5, 1, 1);
    expect_shape(model, "fc_dist.1.weight", 2, 10, 11, 1, 1);
    expect_shape(model, "fc_dist.1.bias", 1, 10, 1, 1, 1);
    expect_shape(model, "scalar", 1, 1, 1, 1, 1);
    OK(linfdist_model_get_layer(model, 4, &info));
    assert_int_equal(info.stride, 2);
    const linfdist_tensor weight = net_tensor(model, "conv_dist.1.weight");
    for (int64_t j = 0; j < 32; ++j) assert_true(weight.data[(j * 32 + j) * 9 + 4] == -10.0f);
    linfdist_model_destroy(model);
    o.width_factor = 0;
    FAILS(linfdist_model_create_conv(context, &o, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "width_factor is 0");
    o.width_factor = INT64_MAX;
    FAILS(linfdist_model_create_conv(context, &o, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "width_factor");
    o.width_factor = 1;
    o.features = 0;
    FAILS(linfdist_model_create_conv(context, &o, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "features is 0");
}

static void test_hybrid_net(void **state) {
    linfdist_hybrid_options o;
    linfdist_model *model = NULL;
    linfdist_model_info info = {.struct_size = sizeof info};
    (void)state;
    OK(linfdist_hybrid_options_init(&o, sizeof o));
    o.height = 1;
    o.width_px = 6;
    o.depth = 4;
    o.width = 7;
    o.hidden = 5;
    OK(linfdist_model_create_hybrid(context, &o, &model));
    OK(linfdist_model_get_info(model, &info));
    assert_int_equal(info.outputs, LINFDIST_OUTPUTS_LOGITS);
    assert_int_equal(info.learned_scalar, 0);
    assert_int_equal(info.layers, 7);
    assert_int_equal(info.tensors, 8);
    expect_shape(model, "fc_dist.1.weight", 2, 7, 7, 1, 1);
    expect_shape(model, "fc_linear.0.weight", 2, 5, 7, 1, 1);
    expect_shape(model, "fc_linear.0.bias", 1, 5, 1, 1, 1);
    expect_shape(model, "fc_final.weight", 2, 10, 5, 1, 1);
    linfdist_model_destroy(model);
    o.depth = 2;
    FAILS(linfdist_model_create_hybrid(context, &o, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "depth is 2");
    o.depth = 3;
    o.hidden = 0;
    FAILS(linfdist_model_create_hybrid(context, &o, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "hidden is 0");
}

static void test_conv_hybrid_net(void **state) {
    linfdist_conv_options o;
    linfdist_model *model = NULL;
    (void)state;
    OK(linfdist_conv_options_init(&o, sizeof o));
    o.height = o.width_px = 4;
    o.features = 6;
    o.hidden = 5;
    OK(linfdist_model_create_conv(context, &o, &model));
    expect_shape(model, "fc_dist.0.mean_shift.running_mean", 1, 6, 1, 1, 1);
    expect_shape(model, "fc_linear.0.weight", 2, 5, 6, 1, 1);
    expect_shape(model, "fc_final.bias", 1, 10, 1, 1, 1);
    linfdist_model_destroy(model);
    o.hidden = -1;
    FAILS(linfdist_model_create_conv(context, &o, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "hidden is -1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longest_names), cmocka_unit_test(test_logits_without_scalar),
        cmocka_unit_test(test_list),          cmocka_unit_test(test_older_info),
        cmocka_unit_test(test_refused_lists), cmocka_unit_test(test_refused_options),
        cmocka_unit_test(test_file),          cmocka_unit_test(test_conv_net),
        cmocka_unit_test(test_hybrid_net),    cmocka_unit_test(test_conv_hybrid_net),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
