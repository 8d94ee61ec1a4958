/* Models: structure, views, statistics, copies, lifetime. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/model.h"
#include "file_support.h"
#include "net_support.h"

static linfdist_context *context;

static int setup(void **state) {
    (void)state;
    context = make_context(1, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    linfdist_context_destroy(context);
    return 0;
}

/* ---- structure ---- */

static void test_defaults(void **state) {
    linfdist_mlp_options o;
    (void)state;
    OK(linfdist_mlp_options_init(&o, sizeof o));
    assert_int_equal(o.struct_size, sizeof o);
    assert_int_equal(o.channels * 1000000 + o.height * 1000 + o.width_px, 1028028);
    assert_int_equal(o.classes, 10);
    assert_int_equal(o.depth, 5);
    assert_int_equal(o.width, 5120);
    assert_true(o.identity_value == 10.0f);
    assert_int_equal(o.learned_scalar, 1);
    assert_int_equal(o.seed, 2021);
    FAILS(linfdist_mlp_options_init(NULL, sizeof o), LINFDIST_ERROR_INVALID_ARGUMENT, "options");
    FAILS(linfdist_mlp_options_init(&o, 3), LINFDIST_ERROR_INVALID_ARGUMENT, "struct_size");
}

static void expect_layer(linfdist_model *model, int64_t index, int32_t kind, int64_t n_in, int64_t n_out,
                         const char *name) {
    linfdist_layer_info info = {.struct_size = sizeof info};
    OK(linfdist_model_get_layer(model, index, &info));
    assert_int_equal(info.kind, kind);
    assert_int_equal(info.n_in, n_in);
    assert_int_equal(info.n_out, n_out);
    assert_int_equal(info.groups, 1);
    assert_string_equal(info.name, name);
}

static void expect_tensor(linfdist_model *model, int64_t index, const char *name, int32_t role, int32_t dims,
                          int64_t rows, int64_t columns) {
    linfdist_tensor view = {.struct_size = sizeof view}, found = view;
    OK(linfdist_model_get_tensor(model, index, &view));
    assert_string_equal(view.name, name);
    assert_int_equal(view.dtype, LINFDIST_DTYPE_F32);
    assert_int_equal(view.role, role);
    assert_int_equal(view.dims, dims);
    assert_int_equal(view.shape[0], rows);
    assert_int_equal(view.shape[1], columns);
    assert_int_equal(view.shape[2] * view.shape[3], 1);
    OK(linfdist_model_find_tensor(model, name, &found));
    assert_ptr_equal(found.data, view.data);
}

static void test_structure(void **state) {
    linfdist_model *model = net_mlp(context, 3, 7, 6, 4, 1);
    linfdist_model_info info = {.struct_size = sizeof info};
    (void)state;
    OK(linfdist_model_get_info(model, &info));
    assert_int_equal(info.channels, 1);
    assert_int_equal(info.height, 1);
    assert_int_equal(info.width_px, 6);
    assert_int_equal(info.n_in, 6);
    assert_int_equal(info.classes, 4);
    assert_int_equal(info.layers, 6);
    assert_int_equal(info.tensors, 7);
    assert_int_equal(info.parameters, 7 * 6 + 7 * 7 + 4 * 7 + 4 + 1);
    assert_int_equal(info.learned_scalar, 1);
    assert_int_equal(info.has_statistics, 0);
    expect_layer(model, 0, LINFDIST_LAYER_DISTANCE, 6, 7, "fc_dist.0");
    expect_layer(model, 1, LINFDIST_LAYER_MEAN_SHIFT, 7, 7, "fc_dist.0");
    expect_layer(model, 2, LINFDIST_LAYER_DISTANCE, 7, 7, "fc_dist.1");
    expect_layer(model, 3, LINFDIST_LAYER_MEAN_SHIFT, 7, 7, "fc_dist.1");
    expect_layer(model, 4, LINFDIST_LAYER_DISTANCE, 7, 4, "fc_dist.2");
    expect_layer(model, 5, LINFDIST_LAYER_BIAS, 4, 4, "fc_dist.2");
    expect_tensor(model, 0, "fc_dist.0.weight", LINFDIST_ROLE_WEIGHT, 2, 7, 6);
    expect_tensor(model, 1, "fc_dist.0.mean_shift.running_mean", LINFDIST_ROLE_RUNNING_MEAN, 1, 7, 1);
    expect_tensor(model, 2, "fc_dist.1.weight", LINFDIST_ROLE_WEIGHT, 2, 7, 7);
    expect_tensor(model, 3, "fc_dist.1.mean_shift.running_mean", LINFDIST_ROLE_RUNNING_MEAN, 1, 7, 1);
    expect_tensor(model, 4, "fc_dist.2.weight", LINFDIST_ROLE_WEIGHT, 2, 4, 7);
    expect_tensor(model, 5, "fc_dist.2.bias", LINFDIST_ROLE_BIAS, 1, 4, 1);
    expect_tensor(model, 6, "scalar", LINFDIST_ROLE_SCALAR, 1, 1, 1);
    linfdist_model_destroy(model);
}

/* Identity where there are at least as many outputs as inputs; layers differ; means, bias 0 and scalar 1. */
static void test_initial_values(void **state) {
    linfdist_model *model = net_mlp(context, 3, 7, 7, 4, 5), *other = net_mlp(context, 3, 7, 7, 4, 6);
    linfdist_model *again = net_mlp(context, 3, 7, 7, 4, 5);
    float expected[49];
    (void)state;
    OK(linfdist_distance_weights_init(5, 7, 7, 1, 1, 1, 1.0f, 10.0f, expected));
    linfdist_tensor first = net_tensor(model, "fc_dist.0.weight"), second = net_tensor(model, "fc_dist.1.weight");
    linfdist_tensor last = net_tensor(model, "fc_dist.2.weight");
    assert_memory_equal(first.data, expected, sizeof expected);
    for (int i = 0; i < 49; ++i) {
        assert_int_equal(first.data[i] == -10.0f, i / 7 == i % 7);
        assert_int_equal(second.data[i] == -10.0f, i / 7 == i % 7);
        assert_true(i / 7 == i % 7 || first.data[i] != second.data[i]);
    }
    for (int i = 0; i < 28; ++i) assert_true(last.data[i] != -10.0f && last.data[i] != 0.0f);
    for (int i = 0; i < 4; ++i) assert_true(net_tensor(model, "fc_dist.2.bias").data[i] == 0.0f);
    for (int i = 0; i < 7; ++i) assert_true(net_tensor(model, "fc_dist.1.mean_shift.running_mean").data[i] == 0.0f);
    assert_true(net_tensor(model, "scalar").data[0] == 1.0f);
    assert_true(net_same(model, again));
    assert_false(net_same(model, other));
    linfdist_model_destroy(model);
    linfdist_model_destroy(again);
    linfdist_model_destroy(other);
}

static void test_fixed_scalar_and_depth_one(void **state) {
    linfdist_mlp_options o;
    linfdist_model *model;
    linfdist_model_info info = {.struct_size = sizeof info};
    linfdist_tensor tensor = {.struct_size = sizeof tensor};
    (void)state;
    OK(linfdist_mlp_options_init(&o, sizeof o));
    o.channels = 3;
    o.height = 2;
    o.width_px = 5;
    o.depth = 1;
    o.learned_scalar = 0;
    OK(linfdist_model_create_mlp(context, &o, &model));
    OK(linfdist_model_get_info(model, &info));
    assert_int_equal(info.n_in, 30);
    assert_int_equal(info.layers, 2);
    assert_int_equal(info.tensors, 2);
    assert_int_equal(info.parameters, 310);
    assert_int_equal(info.learned_scalar, 0);
    FAILS(linfdist_model_find_tensor(model, "scalar", &tensor), LINFDIST_ERROR_INVALID_ARGUMENT, "\"scalar\"");
    assert_true(lfd_model_scalar(model) == 1.0f);
    linfdist_model_destroy(model);
}

/* ---- errors ---- */

static void expect_refused(void (*spoil)(linfdist_mlp_options *), linfdist_status status, const char *text) {
    linfdist_mlp_options o;
    linfdist_model *model = (linfdist_model *)&o;
    OK(linfdist_mlp_options_init(&o, sizeof o));
    o.width = 3;
    spoil(&o);
    FAILS(linfdist_model_create_mlp(context, &o, &model), status, text);
    assert_ptr_equal(model, &o);
}

#define SPOIL(name, field, value)                                                                                      \
    static void name(linfdist_mlp_options *o) {                                                                        \
        o->field = value;                                                                                              \
    }
SPOIL(no_channels, channels, 0)
SPOIL(many_channels, channels, INT64_MAX)
SPOIL(negative_height, height, -1)
SPOIL(huge_height, height, INT64_MAX)
SPOIL(huge_width_px, width_px, INT64_C(1) << 40)
SPOIL(one_class, classes, 1)
SPOIL(no_depth, depth, 0)
SPOIL(huge_depth, depth, INT64_MAX)
SPOIL(no_width, width, 0)
SPOIL(huge_width, width, INT64_MAX)
SPOIL(nan_identity, identity_value, NAN)
SPOIL(infinite_identity, identity_value, -INFINITY)
SPOIL(odd_scalar, learned_scalar, 2)
SPOIL(small_struct, struct_size, 8)

static void test_bad_options(void **state) {
    linfdist_mlp_options o;
    linfdist_model *model;
    (void)state;
    expect_refused(no_channels, LINFDIST_ERROR_INVALID_ARGUMENT, "channels");
    expect_refused(many_channels, LINFDIST_ERROR_INVALID_ARGUMENT, "channels");
    expect_refused(negative_height, LINFDIST_ERROR_INVALID_ARGUMENT, "height");
    expect_refused(huge_height, LINFDIST_ERROR_INVALID_ARGUMENT, "height");
    expect_refused(huge_width_px, LINFDIST_ERROR_INVALID_ARGUMENT, "width_px");
    expect_refused(one_class, LINFDIST_ERROR_INVALID_ARGUMENT, "classes");
    expect_refused(no_depth, LINFDIST_ERROR_INVALID_ARGUMENT, "depth");
    expect_refused(huge_depth, LINFDIST_ERROR_INVALID_ARGUMENT, "depth");
    expect_refused(no_width, LINFDIST_ERROR_INVALID_ARGUMENT, "width");
    expect_refused(huge_width, LINFDIST_ERROR_INVALID_ARGUMENT, "width");
    expect_refused(nan_identity, LINFDIST_ERROR_INVALID_ARGUMENT, "identity_value is nan");
    expect_refused(infinite_identity, LINFDIST_ERROR_INVALID_ARGUMENT, "-inf");
    expect_refused(odd_scalar, LINFDIST_ERROR_INVALID_ARGUMENT, "learned_scalar");
    expect_refused(small_struct, LINFDIST_ERROR_INVALID_ARGUMENT, "struct_size");
    OK(linfdist_mlp_options_init(&o, sizeof o));
    FAILS(linfdist_model_create_mlp(NULL, &o, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "context");
    FAILS(linfdist_model_create_mlp(context, NULL, &model), LINFDIST_ERROR_INVALID_ARGUMENT, "options");
    FAILS(linfdist_model_create_mlp(context, &o, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "model");
}

/* Architectures as a hostile file might describe them. */
static void expect_no_model(lfd_layer_spec *layers, int64_t count, linfdist_status status, const char *text) {
    lfd_architecture a = {.channels = 1, .height = 2, .width_px = 3, .classes = 4, .layer_count = count};
    linfdist_model *model = NULL;
    a.layers = layers;
    FAILS(lfd_model_create(context, &a, &model), status, text);
    assert_null(model);
}

static void test_bad_architectures(void **state) {
    const lfd_layer_spec good[2] = {{.kind = LINFDIST_LAYER_DISTANCE, .n_in = 6, .n_out = 4, .groups = 1, .name = "a"},
                                    {.kind = LINFDIST_LAYER_BIAS, .n_in = 4, .n_out = 4, .groups = 1, .name = "a"}};
    const lfd_layer_spec twin = {.kind = LINFDIST_LAYER_DISTANCE, .n_in = 5, .n_out = 4, .groups = 1, .name = "a"};
    lfd_layer_spec bad[2];
    (void)state;
#define EXPECT_BAD(change, status, text)                                                                               \
    do {                                                                                                               \
        memcpy(bad, good, sizeof bad);                                                                                 \
        change;                                                                                                        \
        expect_no_model(bad, 2, status, text);                                                                         \
    } while (0)
    EXPECT_BAD(bad[0].kind = 77, LINFDIST_ERROR_INVALID_ARGUMENT, "kind 77");
    EXPECT_BAD(bad[0].n_in = 5, LINFDIST_ERROR_SHAPE, "n_in is 5");
    EXPECT_BAD(bad[0].n_out = 5, LINFDIST_ERROR_SHAPE, "n_in is 4, but 5");
    EXPECT_BAD(bad[0].n_out = 0, LINFDIST_ERROR_INVALID_ARGUMENT, "n_out");
    EXPECT_BAD(bad[0].n_out = INT64_MIN, LINFDIST_ERROR_INVALID_ARGUMENT, "n_out");
    EXPECT_BAD(bad[0].groups = 0, LINFDIST_ERROR_SHAPE, "groups 0");
    EXPECT_BAD(bad[0].groups = 3, LINFDIST_ERROR_SHAPE, "groups 3");
    EXPECT_BAD(bad[0].groups = -2, LINFDIST_ERROR_SHAPE, "groups -2");
    EXPECT_BAD(bad[1].n_out = 5, LINFDIST_ERROR_SHAPE, "n_out 5");
    EXPECT_BAD(bad[1].groups = 2, LINFDIST_ERROR_SHAPE, "groups 2");
    EXPECT_BAD(memset(bad[0].name, 'x', sizeof bad[0].name), LINFDIST_ERROR_INVALID_ARGUMENT, "name");
    EXPECT_BAD(bad[1].name[0] = '\0', LINFDIST_ERROR_INVALID_ARGUMENT, "name");
    EXPECT_BAD((bad[0].n_out = 5, bad[1] = twin), LINFDIST_ERROR_INVALID_ARGUMENT, "two tensors are named a.weight");
    memcpy(bad, good, sizeof bad);
    expect_no_model(bad, 0, LINFDIST_ERROR_INVALID_ARGUMENT, "layers");
    expect_no_model(bad, INT64_MAX, LINFDIST_ERROR_INVALID_ARGUMENT, "layers");
    expect_no_model(NULL, 2, LINFDIST_ERROR_INVALID_ARGUMENT, "layers");
    bad[0].n_out = 5;
    expect_no_model(bad, 1, LINFDIST_ERROR_SHAPE, "5 outputs");
}

static void test_introspection_errors(void **state) {
    linfdist_model *model = net_mlp(context, 2, 3, 3, 2, 1);
    linfdist_model_info info = {.struct_size = 1};
    linfdist_layer_info layer = {.struct_size = sizeof layer};
    linfdist_tensor tensor = {.struct_size = sizeof tensor};
    (void)state;
    FAILS(linfdist_model_get_info(model, &info), LINFDIST_ERROR_INVALID_ARGUMENT, "struct_size");
    FAILS(linfdist_model_get_info(NULL, &info), LINFDIST_ERROR_INVALID_ARGUMENT, "model");
    FAILS(linfdist_model_get_info(model, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "info");
    FAILS(linfdist_model_get_layer(model, 4, &layer), LINFDIST_ERROR_RANGE, "index is 4");
    FAILS(linfdist_model_get_layer(model, -1, &layer), LINFDIST_ERROR_RANGE, "index is -1");
    FAILS(linfdist_model_get_layer(model, 0, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "info");
    FAILS(linfdist_model_get_tensor(model, 5, &tensor), LINFDIST_ERROR_RANGE, "index is 5");
    FAILS(linfdist_model_get_tensor(model, INT64_MIN, &tensor), LINFDIST_ERROR_RANGE, "index");
    FAILS(linfdist_model_get_tensor(model, 0, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "tensor");
    FAILS(linfdist_model_find_tensor(model, "fc_dist.9.weight", &tensor), LINFDIST_ERROR_INVALID_ARGUMENT, "fc_dist.9");
    FAILS(linfdist_model_find_tensor(model, NULL, &tensor), LINFDIST_ERROR_INVALID_ARGUMENT, "name");
    assert_null(tensor.name);
    linfdist_model_destroy(model);
    linfdist_model_destroy(NULL);
}

/* ---- statistics ---- */

static linfdist_model *color_model(void) {
    linfdist_mlp_options o;
    linfdist_model *model;
    OK(linfdist_mlp_options_init(&o, sizeof o));
    o.channels = 3;
    o.height = o.width_px = 2;
    o.depth = 2;
    o.width = 5;
    OK(linfdist_model_create_mlp(context, &o, &model));
    return model;
}

static void test_statistics(void **state) {
    linfdist_model *model = color_model(), *copy = NULL;
    double mean[3] = {0.5, 0.25, 0.125};
    linfdist_statistics given = {sizeof given, 3, mean, 0.2, 0.0, 1.0}, got = {.struct_size = sizeof got};
    linfdist_model_info info = {.struct_size = sizeof info};
    (void)state;
    OK(linfdist_model_get_statistics(model, &got));
    assert_int_equal(got.channels, 0);
    OK(linfdist_model_set_statistics(model, &given));
    mean[1] = 99.0;
    OK(linfdist_model_copy(model, &copy));
    OK(linfdist_model_set_statistics(model, NULL));
    OK(linfdist_model_get_info(model, &info));
    assert_int_equal(info.has_statistics, 0);
    OK(linfdist_model_get_info(copy, &info));
    assert_int_equal(info.has_statistics, 1);
    OK(linfdist_model_get_statistics(copy, &got));
    assert_int_equal(got.channels, 3);
    assert_true(got.mean != mean && got.mean[0] == 0.5 && got.mean[1] == 0.25 && got.mean[2] == 0.125);
    assert_true(got.std == 0.2 && got.low == 0.0 && got.high == 1.0);
    OK(linfdist_model_set_statistics(copy, &got)); /* its own means */
    OK(linfdist_model_get_statistics(copy, &got));
    assert_true(got.mean[1] == 0.25);
    given.channels = 1;
    OK(linfdist_model_set_statistics(copy, &given));
    linfdist_model_destroy(model);
    linfdist_model_destroy(copy);
}

static void test_bad_statistics(void **state) {
    linfdist_model *model = color_model();
    double mean[3] = {0.5, 0.25, 0.125};
    const linfdist_statistics good = {sizeof good, 3, mean, 0.2, 0.0, 1.0};
    linfdist_statistics bad, got = {.struct_size = sizeof got};
    (void)state;
    OK(linfdist_model_set_statistics(model, &good));
#define EXPECT_BAD_STATISTICS(change, status, text)                                                                    \
    do {                                                                                                               \
        bad = good;                                                                                                    \
        change;                                                                                                        \
        FAILS(linfdist_model_set_statistics(model, &bad), status, text);                                               \
    } while (0)
    EXPECT_BAD_STATISTICS(bad.channels = 2, LINFDIST_ERROR_SHAPE, "2 channels");
    EXPECT_BAD_STATISTICS(bad.channels = 0, LINFDIST_ERROR_SHAPE, "0 channels");
    EXPECT_BAD_STATISTICS(bad.channels = INT64_MAX, LINFDIST_ERROR_SHAPE, "channels");
    EXPECT_BAD_STATISTICS(bad.mean = NULL, LINFDIST_ERROR_INVALID_ARGUMENT, "mean");
    EXPECT_BAD_STATISTICS(bad.std = 0.0, LINFDIST_ERROR_RANGE, "std 0");
    EXPECT_BAD_STATISTICS(bad.std = -1.0, LINFDIST_ERROR_RANGE, "std -1");
    EXPECT_BAD_STATISTICS(bad.std = 1e-40, LINFDIST_ERROR_RANGE, "std");
    EXPECT_BAD_STATISTICS(bad.std = NAN, LINFDIST_ERROR_NOT_FINITE, "std");
    EXPECT_BAD_STATISTICS(bad.low = 1.0, LINFDIST_ERROR_RANGE, "low");
    EXPECT_BAD_STATISTICS(bad.high = INFINITY, LINFDIST_ERROR_NOT_FINITE, "high");
    EXPECT_BAD_STATISTICS(bad.low = -1e60, LINFDIST_ERROR_NOT_FINITE, "low");
    EXPECT_BAD_STATISTICS(bad.struct_size = 0, LINFDIST_ERROR_INVALID_ARGUMENT, "struct_size");
    mean[2] = NAN;
    FAILS(linfdist_model_set_statistics(model, &good), LINFDIST_ERROR_NOT_FINITE, "mean");
    FAILS(linfdist_model_set_statistics(NULL, &good), LINFDIST_ERROR_INVALID_ARGUMENT, "model");
    FAILS(linfdist_model_get_statistics(model, NULL), LINFDIST_ERROR_INVALID_ARGUMENT, "statistics");
    OK(linfdist_model_get_statistics(model, &got));
    assert_true(got.channels == 3 && got.std == 0.2 && got.mean[2] == 0.125);
    mean[0] = mean[1] = mean[2] = 0.7;
    bad = good; /* pixels are floats, and those around such a range lie far apart */
    bad.low = 0.7;
    bad.high = nextafter(0.7, 1.0);
    bad.std = 0x1p-140;
    FAILS(linfdist_model_set_statistics(model, &bad), LINFDIST_ERROR_RANGE, "low is 0.7");
    linfdist_model_destroy(model);
}

/* ---- copies and lifetime ---- */

static void test_copy(void **state) {
    linfdist_model *model = net_mlp(context, 3, 8, 5, 3, 9), *copy = NULL;
    (void)state;
    net_disturb(model, 3);
    OK(linfdist_model_copy(model, &copy));
    assert_true(net_same(model, copy));
    linfdist_tensor ours = net_tensor(model, "fc_dist.1.weight");
    assert_true(net_tensor(copy, "fc_dist.1.weight").data != ours.data);
    ours.data[5] += 1.0f;
    assert_false(net_same(model, copy));
    linfdist_model_destroy(model);
    assert_true(net_tensor(copy, "scalar").data[0] == 1.0f);
    linfdist_model_destroy(copy);
    FAILS(linfdist_model_copy(NULL, &copy), LINFDIST_ERROR_INVALID_ARGUMENT, "model");
}

static linfdist_status create_and_copy(linfdist_context *from, linfdist_model **model, linfdist_model **copy) {
    linfdist_mlp_options o;
    const double mean = 0.5;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, 0.2, 0.0, 1.0};
    OK(linfdist_mlp_options_init(&o, sizeof o));
    o.height = o.width_px = 2;
    o.width = 3;
    linfdist_status status = linfdist_model_create_mlp(from, &o, model);
    if (status == LINFDIST_OK) status = linfdist_model_set_statistics(*model, &statistics);
    if (status == LINFDIST_OK) status = linfdist_model_copy(*model, copy);
    return status;
}

/* The context goes before its models. */
static linfdist_status create_and_copy_once(linfdist_context *scripted, scripted_memory *memory, long failing) {
    linfdist_model *model = NULL, *copy = NULL;
    memory->failing_call = memory->calls + failing;
    linfdist_status status = create_and_copy(scripted, &model, &copy);
    if (status != LINFDIST_OK) assert_null(copy);
    linfdist_context_destroy(scripted);
    linfdist_model_destroy(model);
    linfdist_model_destroy(copy);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    assert_true(fail_each_allocation(create_and_copy_once) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_fixed_scalar_and_depth_one),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_architectures),
        cmocka_unit_test(test_introspection_errors),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_bad_statistics),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("model", tests, setup, teardown);
}
