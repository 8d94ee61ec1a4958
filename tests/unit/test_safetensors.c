/* The container alone: what it writes, what it reads, and everything it must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file_support.h"
#include "safetensors.h"

static scripted_memory memory;
static linfdist_context *context;

static int setup(void **state) {
    (void)state;
    memory = (scripted_memory){0};
    context = scripted_context(&memory);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    linfdist_context_destroy(context);
    return memory.live != 0;
}

static const float numbers[6] = {1, -2, 0.5f, 1e-30f, 3, 4};
static const unsigned char octets[3] = {7, 0, 255};
static const lfd_file_tensor table[] = {
    {.name = "b.weight", .dtype = LFD_FILE_F32, .dims = 2, .shape = {2, 3}, .size = 24, .data = numbers},
    {.name = "a", .dtype = LFD_FILE_U8, .dims = 1, .shape = {3}, .size = 3, .data = octets},
    {.name = "none", .dtype = LFD_FILE_F32, .dims = 1, .shape = {0}, .size = 0, .data = numbers},
};
#define TABLE_SIZE (sizeof table / sizeof table[0])
#define HEADER                                                                                                         \
    "{\"__metadata__\":{\"z\":\"1 \\\"\\u00e9\",\"a\":\"2\"},"                                                         \
    "\"b.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"                                        \
    "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[24,27]},"                                                 \
    "\"none\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[27,27]}}"

static linfdist_status write_table(bytes *out) {
    lfd_json *metadata = lfd_json_new_object();
    lfd_json_put(metadata, "z", lfd_json_new_string("1 \"\xc3\xa9"));
    lfd_json_put(metadata, "a", lfd_json_new_string("2"));
    linfdist_status status = lfd_safetensors_write(context, metadata, table, TABLE_SIZE, bytes_write, out);
    lfd_json_free(metadata);
    return status;
}

static void test_written_bytes(void **state) {
    (void)state;
    bytes out = {0};
    static const char expected[] = "{\"__metadata__\":{\"z\":\"1 \\\"\xc3\xa9\",\"a\":\"2\"},"
                                   "\"b.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                                   "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[24,27]},"
                                   "\"none\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[27,27]}}";
    assert_int_equal(write_table(&out), LINFDIST_OK);
    size_t header = bytes_header_size(&out);
    assert_int_equal((8 + header) % 64, 0);
    assert_int_equal(out.size, 8 + header + 27);
    assert_memory_equal(out.data + 8, expected, strlen(expected));
    for (size_t i = strlen(expected); i < header; ++i) assert_int_equal(out.data[8 + i], ' ');
    assert_memory_equal(out.data + 8 + header, numbers, 24);
    assert_memory_equal(out.data + 8 + header + 24, octets, 3);
    bytes_free(&out);
}

static void test_read_back(void **state) {
    (void)state;
    bytes out = {0};
    lfd_safetensors file;
    assert_int_equal(write_table(&out), LINFDIST_OK);
    assert_int_equal(lfd_safetensors_parse(context, out.data, out.size, &file), LINFDIST_OK);
    assert_int_equal(file.count, TABLE_SIZE);
    for (size_t i = 0; i < TABLE_SIZE; ++i) {
        const lfd_file_tensor *found = lfd_safetensors_find(&file, table[i].name);
        assert_non_null(found);
        assert_int_equal(found->dtype, table[i].dtype);
        assert_int_equal(found->dims, table[i].dims);
        assert_memory_equal(found->shape, table[i].shape, sizeof found->shape);
        assert_int_equal(found->size, table[i].size);
        if (found->size) assert_memory_equal(found->data, table[i].data, found->size);
    }
    assert_null(lfd_safetensors_find(&file, "b"));
    const char *text;
    assert_int_equal(lfd_json_read_string(lfd_json_member(file.metadata, "z"), "", "z", &text), LINFDIST_OK);
    assert_string_equal(text, "1 \"\xc3\xa9");
    lfd_safetensors_close(&file);
    bytes_free(&out);
}

/* Everything the format allows though we never write it. */
static void test_other_writers(void **state) {
    (void)state;
    static const char *const headers[] = {
        HEADER,
        HEADER " \t\n   ",
        "{}",
        "{\"a\":{\"shape\":[],\"data_offsets\":[0,8],\"dtype\":\"F64\"}}",
        ("{\"b\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[4,8]},"
         "\"a\":{\"dtype\":\"BF16\",\"shape\":[1,2,1],\"data_offsets\":[0,4]}}"),
    };
    static const size_t sizes[] = {27, 27, 0, 8, 8};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        bytes in = {0};
        unsigned char data[32] = {0};
        lfd_safetensors file;
        bytes_append_file(&in, headers[i], data, sizes[i]);
        assert_int_equal(lfd_safetensors_parse(context, in.data, in.size, &file), LINFDIST_OK);
        assert_true((file.metadata != NULL) == (i < 2));
        lfd_safetensors_close(&file);
        bytes_free(&in);
    }
}

#define F32_2 "\"dtype\":\"F32\",\"shape\":[2]"
#define TENSOR(fields) "{\"t\":{" fields "}}"

static const struct {
    const char *header;
    size_t data_size;
    linfdist_status status;
    const char *message; /* a part of it */
} refused[] = {
    {"", 8, LINFDIST_ERROR_FORMAT, "begin with"},
    {" {}", 0, LINFDIST_ERROR_FORMAT, "begin with"},
    {"[]", 0, LINFDIST_ERROR_FORMAT, "begin with"},
    {"{", 0, LINFDIST_ERROR_FORMAT, "JSON"},
    {"{} x", 0, LINFDIST_ERROR_FORMAT, "JSON"},
    {"{}{}", 0, LINFDIST_ERROR_FORMAT, "JSON"},
    {"{\"a\":{},\"a\":{}}", 0, LINFDIST_ERROR_FORMAT, "duplicate"},
    {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, LINFDIST_ERROR_FORMAT, "duplicate"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, LINFDIST_ERROR_FORMAT, "duplicate"},
    {"{\"__metadata__\":[]}", 0, LINFDIST_ERROR_FORMAT, "not an object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, LINFDIST_ERROR_FORMAT, "not a string"},
    {"{\"__metadata__\":{\"a\":{\"b\":[[1]]}}}", 0, LINFDIST_ERROR_FORMAT, "nested"},
    {"{\"t\":7}", 0, LINFDIST_ERROR_FORMAT, "t is not an object"},
    {TENSOR("\"shape\":[2],\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT, "dtype is missing"},
    {TENSOR("\"dtype\":\"F32\",\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT, "shape is missing"},
    {TENSOR(F32_2), 8, LINFDIST_ERROR_FORMAT, "data_offsets is missing"},
    {TENSOR(F32_2 ",\"data_offsets\":[0,8],\"stride\":[1]"), 8, LINFDIST_ERROR_FORMAT, "field beside"},
    {TENSOR("\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_UNSUPPORTED, "F31"},
    {TENSOR("\"dtype\":5,\"shape\":[2],\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT, "dtype is not"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT, "shape is not"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT, "shape is not"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT, "shape is not"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT, "shape is not"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":[1e0],\"data_offsets\":[0,4]"), 4, LINFDIST_ERROR_FORMAT, "shape is not"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":[18446744073709551618],\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT,
     "too big"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":[1e999],\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT, "overflow"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"), 0, LINFDIST_ERROR_FORMAT,
     "overflows"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]"), 0, LINFDIST_ERROR_FORMAT,
     "overflows"},
    {TENSOR("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]"), 1, LINFDIST_ERROR_FORMAT,
     "dimensions"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":[1099511627776],\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT, "needs"},
    {TENSOR("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]"), 8, LINFDIST_ERROR_FORMAT, "needs"},
    {TENSOR(F32_2 ",\"data_offsets\":[0,8,8]"), 8, LINFDIST_ERROR_FORMAT, "entries"},
    {TENSOR(F32_2 ",\"data_offsets\":{\"a\":0,\"b\":8}"), 8, LINFDIST_ERROR_FORMAT, "not an array"},
    {TENSOR(F32_2 ",\"data_offsets\":[8,0]"), 8, LINFDIST_ERROR_FORMAT, "outside"},
    {TENSOR(F32_2 ",\"data_offsets\":[-8,0]"), 8, LINFDIST_ERROR_FORMAT, "data_offsets is not"},
    {TENSOR(F32_2 ",\"data_offsets\":[0,9223372036854775807]"), 8, LINFDIST_ERROR_FORMAT, "outside"},
    {TENSOR(F32_2 ",\"data_offsets\":[0,8]"), 7, LINFDIST_ERROR_FORMAT, "outside"},
    {TENSOR(F32_2 ",\"data_offsets\":[0,8]"), 9, LINFDIST_ERROR_FORMAT, "after the last"},
    {TENSOR(F32_2 ",\"data_offsets\":[4,12]"), 12, LINFDIST_ERROR_FORMAT, "begins at"},
    {"{}", 1, LINFDIST_ERROR_FORMAT, "after the last"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8, LINFDIST_ERROR_FORMAT,
     "begins at"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2 ",\"data_offsets\":[4,12]}}", 12, LINFDIST_ERROR_FORMAT,
     "begins at"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2 ",\"data_offsets\":[9,17]}}", 17, LINFDIST_ERROR_FORMAT,
     "begins at"},
    {"{\"\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8, LINFDIST_ERROR_FORMAT, "name of 0 bytes"},
    {"{\"a\\u0000b\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8, LINFDIST_ERROR_FORMAT, "JSON"},
    {"{\"a\\nb\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8, LINFDIST_ERROR_FORMAT, "printable"},
    {"{\"\\u00e9\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8, LINFDIST_ERROR_FORMAT, "printable"},
    {"{\"\xff\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8, LINFDIST_ERROR_FORMAT, "decode byte 0xff"},
    {"{\"__metadata__\":{\"a\":\"\xc3(\"}}", 0, LINFDIST_ERROR_FORMAT, "decode"},
};

static void expect_refused(const bytes *in, linfdist_status status, const char *message) {
    lfd_safetensors file;
    linfdist_status got = lfd_safetensors_parse(context, in->data, in->size, &file);
    if (got != status || !strstr(linfdist_last_error(), message)) {
        fail_msg("%.*s: status %d, \"%s\"; expected %d, \"%s\"", (int)in->size - 8, (const char *)in->data + 8, got,
                 linfdist_last_error(), status, message);
    }
}

static void test_refused_headers(void **state) {
    (void)state;
    unsigned char data[32] = {0};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; ++i) {
        bytes in = {0};
        bytes_append_file(&in, refused[i].header, data, refused[i].data_size);
        expect_refused(&in, refused[i].status, refused[i].message);
        bytes_free(&in);
    }
}

static void test_refused_lengths(void **state) {
    (void)state;
    static const unsigned char lengths[][8] = {
        {3}, {0, 0, 0, 0, 0, 0, 0, 0x80}, {255, 255, 255, 255, 255, 255, 255, 255}, {0, 0, 0x41}, {0xf8, 255, 255, 255},
    };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; ++i) {
        bytes in = {0};
        bytes_append(&in, lengths[i], 8);
        bytes_append(&in, "{}", 2);
        expect_refused(&in, LINFDIST_ERROR_FORMAT, "header of");
        bytes_free(&in);
    }
}

/* A name one byte too long, and nesting that would overflow the stack of a parser without a bound. */
static void test_refused_long_texts(void **state) {
    (void)state;
    enum { LONG = 300000 };
    char *text = malloc(LONG + 100);
    assert_non_null(text);
    sprintf(text, "{\"%0256d\":{" F32_2 ",\"data_offsets\":[0,8]}}", 0);
    bytes in = {0};
    bytes_append_file(&in, text, numbers, 8);
    expect_refused(&in, LINFDIST_ERROR_FORMAT, "name of 256 bytes");
    bytes_free(&in);

    strcpy(text, "{\"a\":");
    memset(text + 5, '[', LONG);
    text[5 + LONG] = '\0';
    bytes_append_file(&in, text, NULL, 0);
    expect_refused(&in, LINFDIST_ERROR_FORMAT, "nested");
    bytes_free(&in);

    /* Brackets in strings are no nesting, whatever is escaped there. */
    lfd_safetensors file;
    bytes_append_file(&in, "{\"__metadata__\":{\"a\":\"[[[[[[\\\\\\\"[[[[[\"}}", NULL, 0);
    assert_int_equal(lfd_safetensors_parse(context, in.data, in.size, &file), LINFDIST_OK);
    lfd_safetensors_close(&file);
    bytes_free(&in);
    free(text);
}

static void test_every_truncation(void **state) {
    (void)state;
    bytes out = {0};
    lfd_safetensors file;
    assert_int_equal(write_table(&out), LINFDIST_OK);
    for (size_t size = 0; size < out.size; ++size) {
        unsigned char *exact = malloc(size + 1); /* so that a sanitizer sees any read beyond */
        assert_non_null(exact);
        memcpy(exact, out.data, size);
        assert_int_equal(lfd_safetensors_parse(context, exact, size, &file), LINFDIST_ERROR_FORMAT);
        free(exact);
    }
    bytes_free(&out);
}

static void test_every_flip(void **state) {
    (void)state;
    bytes out = {0};
    lfd_safetensors file;
    assert_int_equal(write_table(&out), LINFDIST_OK);
    size_t end = 8 + bytes_header_size(&out);
    for (size_t i = 0; i < end; ++i) {
        for (int flip = 1; flip < 256; ++flip) {
            out.data[i] ^= (unsigned char)flip;
            if (lfd_safetensors_parse(context, out.data, out.size, &file) == LINFDIST_OK) {
                /* Still a whole file: the same number of bytes, in as many tensors. */
                size_t bytes_held = 0;
                for (size_t t = 0; t < file.count; ++t) bytes_held += file.tensors[t].size;
                assert_int_equal(bytes_held, 27);
                lfd_safetensors_close(&file);
            }
            out.data[i] ^= (unsigned char)flip;
        }
    }
    assert_int_equal(lfd_safetensors_parse(context, out.data, out.size, &file), LINFDIST_OK);
    lfd_safetensors_close(&file);
    bytes_free(&out);
}

static void test_refused_writes(void **state) {
    (void)state;
    bytes whole = {0};
    assert_int_equal(write_table(&whole), LINFDIST_OK);
    for (long call = 1; call <= whole.calls; ++call) {
        bytes out = {.refused_call = call};
        assert_int_equal(write_table(&out), LINFDIST_ERROR_IO);
        assert_non_null(strstr(linfdist_last_error(), "-7"));
        assert_int_equal(out.calls, call);
        bytes_free(&out);
    }
    bytes_free(&whole);
}

static void test_name_twice(void **state) {
    (void)state;
    bytes out = {0};
    lfd_file_tensor twice[2] = {table[1], table[1]};
    lfd_json *metadata = lfd_json_new_object();
    assert_int_equal(lfd_safetensors_write(context, metadata, twice, 2, bytes_write, &out),
                     LINFDIST_ERROR_INVALID_ARGUMENT);
    assert_int_equal(out.calls, 0);
    lfd_json_free(metadata);
}

/* Fails one allocation after the other. */
static void check_every_failure(scripted_memory *source, linfdist_status (*action)(bytes *), bytes *argument) {
    linfdist_status status = LINFDIST_ERROR_OUT_OF_MEMORY;
    long failing = 0, live = memory.live, source_live = source->live;
    while (status != LINFDIST_OK) {
        source->calls = 0;
        source->failing_call = ++failing;
        status = action(argument);
        if (status != LINFDIST_OK) assert_int_equal(status, LINFDIST_ERROR_OUT_OF_MEMORY);
        assert_int_equal(memory.live, live);
        assert_int_equal(source->live, source_live);
    }
    assert_true(failing > 1); /* it did fail before it succeeded */
    source->failing_call = 0;
}

static linfdist_status read_once(bytes *in) {
    lfd_safetensors file;
    linfdist_status status = lfd_safetensors_parse(context, in->data, in->size, &file);
    if (status == LINFDIST_OK) lfd_safetensors_close(&file);
    return status;
}

/* Jansson's own allocations fail in turn only while writing: its reader does not survive that (see json.c). */
static void test_no_memory(void **state) {
    (void)state;
    bytes out = {0}, in = {0};
    scripted_memory json = {0};
    assert_int_equal(write_table(&in), LINFDIST_OK);
    check_every_failure(&memory, write_table, &out);
    check_every_failure(&memory, read_once, &in);
    scripted_json(&json);
    check_every_failure(&json, write_table, &out);
    scripted_json(NULL);
    bytes_free(&out);
    bytes_free(&in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_written_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_writers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_long_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_truncation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_flip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_name_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
