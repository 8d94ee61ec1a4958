/* Model files: what is saved loads with the same bits, and equal models are equal files. */
#include <jansson.h>
#include <locale.h>
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "saved_model.h"

static void test_round_trips(void **state) {
    (void)state;
    char folder[64], path[96];
    linfdist_model *loaded = NULL;
    make_folder(folder);
    sprintf(path, "%s/m.safetensors", folder);
    assert_int_equal(load(&saved, &loaded), LINFDIST_OK);
    assert_same_model(loaded);
    linfdist_model_destroy(loaded);

    bytes on_disk = {0};
    assert_int_equal(linfdist_model_save(model, path), LINFDIST_OK);
    read_path(path, &on_disk);
    assert_int_equal(on_disk.size, saved.size);
    assert_memory_equal(on_disk.data, saved.data, saved.size);
    assert_int_equal(linfdist_model_load(context, path, &loaded), LINFDIST_OK);
    assert_same_model(loaded);
    linfdist_model_destroy(loaded);

    static const size_t at_once[] = {0, 1, 7, 4096};
    for (size_t i = 0; i < 4; ++i) {
        on_disk.read_at = 0;
        on_disk.read_most = at_once[i];
        assert_int_equal(linfdist_model_load_from(context, bytes_read, &on_disk, &loaded), LINFDIST_OK);
        assert_same_model(loaded);
        linfdist_model_destroy(loaded);
    }
    bytes_free(&on_disk);
    remove_folder(folder);
}

/* A model far larger than the first buffer of a callback load. */
static void test_large_model(void **state) {
    (void)state;
    bytes file = {.read_most = 100000};
    linfdist_mlp_options options;
    linfdist_model *large, *loaded;
    assert_int_equal(linfdist_mlp_options_init(&options, sizeof options), LINFDIST_OK);
    options.width = 300;
    assert_int_equal(linfdist_model_create_mlp(context, &options, &large), LINFDIST_OK);
    save_bytes(large, &file);
    assert_true(file.size > 2000000);
    assert_int_equal(linfdist_model_load_from(context, bytes_read, &file, &loaded), LINFDIST_OK);
    assert_same_tensors(large, loaded);
    linfdist_model_destroy(loaded);
    linfdist_model_destroy(large);
    bytes_free(&file);
}

/* Nothing but the model is in the file: not the context, the allocator, an instruction set or a thread count. */
static void test_equal_models_equal_bytes(void **state) {
    (void)state;
    linfdist_context_options options;
    linfdist_context *other;
    linfdist_model *copy = NULL;
    bytes again = {0};
    assert_int_equal(linfdist_context_options_init(&options, sizeof options), LINFDIST_OK);
    options.threads = 3;
    options.isa = "ref";
    assert_int_equal(linfdist_context_create(&options, &other), LINFDIST_OK);
    linfdist_model *twin = small_model(other, 1);
    assert_int_equal(linfdist_model_copy(twin, &copy), LINFDIST_OK);
    linfdist_model_destroy(twin);
    save_bytes(copy, &again);
    assert_int_equal(again.size, saved.size);
    assert_memory_equal(again.data, saved.data, saved.size);
    bytes_free(&again);
    linfdist_model_destroy(copy);
    linfdist_context_destroy(other);

    linfdist_model *different = small_model(context, 2);
    save_bytes(different, &again);
    assert_memory_not_equal(again.data, saved.data, saved.size);
    linfdist_model_destroy(different);
    bytes_free(&again);
}

/* ---- an independent reader ---- */

static const char *metadata_text(json_t *header, const char *key) {
    return json_string_value(json_object_get(json_object_get(header, "__metadata__"), key));
}

static void check_metadata(json_t *header) {
    assert_string_equal(metadata_text(header, "format"), "linfdist-model");
    assert_string_equal(metadata_text(header, "format_version"), "1");
    assert_string_equal(metadata_text(header, "library_version"), LINFDIST_VERSION_STRING);
    assert_string_equal(metadata_text(header, "architecture"),
                        "{\"channels\":2,\"height\":3,\"width_px\":1,\"classes\":4,\"learned_scalar\":true,\"layers\":["
                        "{\"kind\":\"distance\",\"name\":\"fc_dist.0\",\"n_in\":6,\"n_out\":5,\"groups\":1},"
                        "{\"kind\":\"mean_shift\",\"name\":\"fc_dist.0\",\"n_in\":5,\"n_out\":5,\"groups\":1},"
                        "{\"kind\":\"distance\",\"name\":\"fc_dist.1\",\"n_in\":5,\"n_out\":5,\"groups\":1},"
                        "{\"kind\":\"mean_shift\",\"name\":\"fc_dist.1\",\"n_in\":5,\"n_out\":5,\"groups\":1},"
                        "{\"kind\":\"distance\",\"name\":\"fc_dist.2\",\"n_in\":5,\"n_out\":4,\"groups\":1},"
                        "{\"kind\":\"bias\",\"name\":\"fc_dist.2\",\"n_in\":4,\"n_out\":4,\"groups\":1}]}");
    json_t *statistics = json_loads(metadata_text(header, "statistics"), 0, NULL);
    assert_true(json_real_value(json_array_get(json_object_get(statistics, "mean"), 0)) == 0.1307);
    assert_true(json_real_value(json_array_get(json_object_get(statistics, "mean"), 1)) == -1.0 / 3.0);
    assert_true(json_real_value(json_object_get(statistics, "std")) == 0.3081);
    assert_true(json_real_value(json_object_get(statistics, "low")) == -0.1);
    assert_true(json_real_value(json_object_get(statistics, "high")) == 1e22);
    json_decref(statistics);
}

static void test_independent_reader(void **state) {
    (void)state;
    size_t header_size = bytes_header_size(&saved);
    const unsigned char *data = saved.data + 8 + header_size;
    json_t *header = json_loadb((const char *)saved.data + 8, header_size, 0, NULL);
    assert_non_null(header);
    check_metadata(header);
    static const char *const names[] = {"fc_dist.0.weight",
                                        "fc_dist.0.mean_shift.running_mean",
                                        "fc_dist.1.weight",
                                        "fc_dist.1.mean_shift.running_mean",
                                        "fc_dist.2.weight",
                                        "fc_dist.2.bias",
                                        "scalar"};
    static const size_t counts[] = {30, 5, 25, 5, 20, 4, 1};
    assert_int_equal(json_object_size(header), 1 + 7);
    for (size_t i = 0; i < 7; ++i) {
        linfdist_tensor tensor = {.struct_size = sizeof tensor};
        json_t *entry = json_object_get(header, names[i]), *offsets = json_object_get(entry, "data_offsets");
        long long begin = json_integer_value(json_array_get(offsets, 0));
        assert_string_equal(json_string_value(json_object_get(entry, "dtype")), "F32");
        assert_int_equal(json_integer_value(json_array_get(offsets, 1)) - begin, counts[i] * 4);
        assert_int_equal(linfdist_model_find_tensor(model, names[i], &tensor), LINFDIST_OK);
        assert_memory_equal(data + begin, tensor.data, counts[i] * 4);
    }
    json_decref(header);
}

/* Every kind of layer, as files say it. */
static void test_layers_in_words(void **state) {
    static const struct {
        int32_t kind;
        const char *name;
    } kinds[] = {{LINFDIST_LAYER_DISTANCE_CONV, "a"}, {LINFDIST_LAYER_MEAN_SHIFT, "a"}, {LINFDIST_LAYER_CONV, "b"},
                 {LINFDIST_LAYER_RELU, "b"},          {LINFDIST_LAYER_DISTANCE, "c"},   {LINFDIST_LAYER_BIAS, "c"},
                 {LINFDIST_LAYER_TANH, "c"},          {LINFDIST_LAYER_LINEAR, "d"}};
    enum { COUNT = sizeof kinds / sizeof kinds[0] };
    linfdist_model_options o;
    linfdist_layer list[COUNT];
    linfdist_model *every = NULL;
    bytes file = {0};
    (void)state;
    assert_int_equal(linfdist_model_options_init(&o, sizeof o), LINFDIST_OK);
    o.height = o.width_px = 6;
    o.classes = 3;
    o.outputs = LINFDIST_OUTPUTS_LOGITS;
    for (size_t i = 0; i < COUNT; ++i)
        assert_int_equal(linfdist_layer_init(&list[i], sizeof list[i], kinds[i].kind, kinds[i].name), LINFDIST_OK);
    list[0].out_channels = 4;
    list[0].padding = 1;
    list[2].out_channels = 2;
    list[2].groups = 2;
    list[2].kernel_w = 2;
    list[2].stride = 3;
    list[2].dilation = 2;
    list[4].n_out = 5;
    list[7].n_out = 3;
    assert_int_equal(linfdist_model_create(context, &o, list, COUNT, &every), LINFDIST_OK);
    save_bytes(every, &file);
    json_t *header = json_loadb((const char *)file.data + 8, bytes_header_size(&file), 0, NULL);
    assert_string_equal(
        metadata_text(header, "architecture"),
        "{\"channels\":1,\"height\":6,\"width_px\":6,\"classes\":3,\"learned_scalar\":false,\"layers\":["
        "{\"kind\":\"distance_conv\",\"name\":\"a\",\"n_in\":36,\"n_out\":144,\"groups\":1,\"kernel_h\":3,"
        "\"kernel_w\":3,\"stride\":1,\"padding\":1,\"dilation\":1,\"out_channels\":4},"
        "{\"kind\":\"mean_shift\",\"name\":\"a\",\"n_in\":144,\"n_out\":144,\"groups\":1},"
        "{\"kind\":\"conv\",\"name\":\"b\",\"n_in\":144,\"n_out\":4,\"groups\":2,\"kernel_h\":3,"
        "\"kernel_w\":2,\"stride\":3,\"padding\":0,\"dilation\":2,\"out_channels\":2},"
        "{\"kind\":\"relu\",\"name\":\"b\",\"n_in\":4,\"n_out\":4,\"groups\":1},"
        "{\"kind\":\"distance\",\"name\":\"c\",\"n_in\":4,\"n_out\":5,\"groups\":1},"
        "{\"kind\":\"bias\",\"name\":\"c\",\"n_in\":5,\"n_out\":5,\"groups\":1},"
        "{\"kind\":\"tanh\",\"name\":\"c\",\"n_in\":5,\"n_out\":5,\"groups\":1},"
        "{\"kind\":\"linear\",\"name\":\"d\",\"n_in\":5,\"n_out\":3,\"groups\":1}],\"outputs\":\"logits\"}");
    json_decref(header);
    bytes_free(&file);
    linfdist_model_destroy(every);
}

static void test_statistics_keep_their_bits(void **state) {
    (void)state;
    linfdist_model *loaded = NULL;
    linfdist_statistics got = {.struct_size = sizeof got};
    bytes file = {0};
    double mean = nextafter(0.1, 1.0);
    linfdist_statistics given = {sizeof given, 1, &mean, 0x1.fffffffffffffp-3, 0x1p-60, 1.0 / 7.0};
    assert_int_equal(linfdist_model_set_statistics(model, &given), LINFDIST_OK);
    save_bytes(model, &file);
    assert_int_equal(load(&file, &loaded), LINFDIST_OK);
    assert_int_equal(linfdist_model_get_statistics(loaded, &got), LINFDIST_OK);
    assert_int_equal(got.channels, 1);
    assert_memory_equal(got.mean, &mean, sizeof mean);
    assert_memory_equal(&got.std, &given.std, sizeof(double));
    assert_memory_equal(&got.low, &given.low, sizeof(double));
    assert_memory_equal(&got.high, &given.high, sizeof(double));
    linfdist_model_destroy(loaded);
    bytes_free(&file);

    assert_int_equal(linfdist_model_set_statistics(model, NULL), LINFDIST_OK);
    save_bytes(model, &file);
    assert_int_equal(load(&file, &loaded), LINFDIST_OK);
    assert_int_equal(linfdist_model_get_statistics(loaded, &got), LINFDIST_OK);
    assert_int_equal(got.channels, 0);
    linfdist_model_destroy(loaded);
    bytes_free(&file);
}

/* Numbers are text in the header: neither reading nor writing them may follow the host's rounding mode. */
static void test_rounding_modes(void **state) {
    static const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    const double mean = 0.1307;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, 0.3081, 0.1, 0.9};
    (void)state;
    bytes want = {0};
    assert_int_equal(linfdist_model_set_statistics(model, &statistics), LINFDIST_OK);
    save_bytes(model, &want);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; ++i) {
        bytes file = {0}, again = {0};
        linfdist_model *loaded = NULL;
        assert_int_equal(fesetround(modes[i]), 0);
        save_bytes(model, &file);
        const linfdist_status status = load(&want, &loaded);
        assert_int_equal(fegetround(), modes[i]);
        fesetround(FE_TONEAREST);
        assert_int_equal(status, LINFDIST_OK);
        assert_int_equal(file.size, want.size);
        assert_memory_equal(file.data, want.data, want.size);
        save_bytes(loaded, &again);
        assert_int_equal(again.size, want.size);
        assert_memory_equal(again.data, want.data, want.size);
        linfdist_model_destroy(loaded);
        bytes_free(&file);
        bytes_free(&again);
    }
    bytes_free(&want);
}

/* The decimal separators of these are one byte that is not '.', and two bytes. */
static void test_locales(void **state) {
    (void)state;
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ps_AF.UTF-8", "ps_AF.utf8"};
    int found = 0;
    for (size_t i = 0; i < sizeof locales / sizeof locales[0]; ++i) {
        if (!setlocale(LC_ALL, locales[i])) continue;
        bytes file = {0};
        linfdist_model *loaded = NULL;
        ++found;
        save_bytes(model, &file);
        assert_int_equal(load(&file, &loaded), LINFDIST_OK);
        assert_same_model(loaded);
        assert_string_equal(setlocale(LC_ALL, NULL), locales[i]);
        linfdist_model_destroy(loaded);
        bytes_free(&file);
    }
    setlocale(LC_ALL, "C");
    if (!found) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
}

/* ---- failures ---- */

static void test_refused_writes(void **state) {
    (void)state;
    for (long call = 1; call <= saved.calls; ++call) {
        bytes out = {.refused_call = call};
        assert_int_equal(linfdist_model_save_to(model, bytes_write, &out), LINFDIST_ERROR_IO);
        assert_int_equal(out.calls, call);
        bytes_free(&out);
    }
}

static int64_t read_failing(void *user, void *buffer, size_t size) {
    (void)buffer;
    int64_t *result = user;
    return *result == INT64_MAX ? (int64_t)size + 1 : *result;
}

static void test_refused_reads(void **state) {
    (void)state;
    static const int64_t results[] = {-1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < 3; ++i) {
        linfdist_model *loaded = NULL;
        int64_t result = results[i];
        assert_int_equal(linfdist_model_load_from(context, read_failing, &result, &loaded), LINFDIST_ERROR_IO);
        assert_null(loaded);
    }
}

static linfdist_status save_once(void) {
    bytes out = {0};
    linfdist_status status = linfdist_model_save_to(model, bytes_write, &out);
    bytes_free(&out);
    return status;
}

static linfdist_status load_once(void) {
    bytes in = saved;
    linfdist_model *loaded = NULL;
    in.read_at = 0;
    linfdist_status status = linfdist_model_load_from(context, bytes_read, &in, &loaded);
    linfdist_model_destroy(loaded);
    return status;
}

static void check_every_failure(scripted_memory *source, linfdist_status (*action)(void)) {
    linfdist_status status;
    long failing = 0, live = memory.live, source_live = source->live;
    do {
        source->calls = 0;
        source->failing_call = ++failing;
        status = action();
        if (status != LINFDIST_OK) assert_int_equal(status, LINFDIST_ERROR_OUT_OF_MEMORY);
        assert_int_equal(memory.live, live);
        assert_int_equal(source->live, source_live);
    } while (status != LINFDIST_OK);
    assert_true(failing > 3);
    source->failing_call = 0;
}

/* Jansson's own allocations fail in turn only while saving: its reader does not survive that (see json.c). */
static void test_no_memory(void **state) {
    (void)state;
    scripted_memory json = {0};
    check_every_failure(&memory, save_once);
    check_every_failure(&memory, load_once);
    scripted_json(&json);
    check_every_failure(&json, save_once);
    scripted_json(NULL);
}

static void test_null_arguments(void **state) {
    (void)state;
    linfdist_model *loaded = NULL;
    linfdist_status bad = LINFDIST_ERROR_INVALID_ARGUMENT;
    assert_int_equal(linfdist_model_save(NULL, "x"), bad);
    assert_int_equal(linfdist_model_save(model, NULL), bad);
    assert_int_equal(linfdist_model_save_to(NULL, bytes_write, &saved), bad);
    assert_int_equal(linfdist_model_save_to(model, NULL, NULL), bad);
    assert_int_equal(linfdist_model_load(NULL, "x", &loaded), bad);
    assert_int_equal(linfdist_model_load(context, NULL, &loaded), bad);
    assert_int_equal(linfdist_model_load(context, "x", NULL), bad);
    assert_int_equal(linfdist_model_load_memory(NULL, saved.data, saved.size, &loaded), bad);
    assert_int_equal(linfdist_model_load_memory(context, NULL, saved.size, &loaded), bad);
    assert_int_equal(linfdist_model_load_memory(context, saved.data, saved.size, NULL), bad);
    assert_int_equal(linfdist_model_load_from(NULL, bytes_read, &saved, &loaded), bad);
    assert_int_equal(linfdist_model_load_from(context, NULL, NULL, &loaded), bad);
    assert_int_equal(linfdist_model_load_from(context, bytes_read, &saved, NULL), bad);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_round_trips),        TEST(test_large_model),     TEST(test_equal_models_equal_bytes),
        TEST(test_independent_reader), TEST(test_layers_in_words), TEST(test_statistics_keep_their_bits),
        TEST(test_rounding_modes),     TEST(test_locales),         TEST(test_refused_writes),
        TEST(test_refused_reads),      TEST(test_no_memory),       TEST(test_null_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
