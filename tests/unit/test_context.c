/* Version, status, options, instruction sets and memory. */
#define _POSIX_C_SOURCE 200809L
#include "expect.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "context.h"

/* Whether the library was built with one. */
static int have_pool(void) {
    linfdist_context *context = make_context(2, NULL);
    int have = context->pool != NULL;
    linfdist_context_destroy(context);
    return have;
}

/* ---- version and status ------------------------------------------------------------------------------------------ */

static void test_version(void **state) {
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", linfdist_version_major(), linfdist_version_minor(),
             linfdist_version_patch());
    assert_string_equal(linfdist_version_string(), text);
    assert_string_equal(linfdist_version_string(), LINFDIST_VERSION_STRING);
    assert_int_equal(linfdist_abi_version(), LINFDIST_ABI_VERSION);
    assert_int_equal(linfdist_max_dims(), LINFDIST_MAX_DIMS);
    assert_true(linfdist_p_max() == LINFDIST_P_MAX);
}

static void test_status_strings(void **state) {
    (void)state;
    for (linfdist_status a = LINFDIST_OK; a <= LINFDIST_ERROR_RANGE; ++a) {
        assert_string_not_equal(linfdist_status_string(a), "unknown status");
        for (linfdist_status b = LINFDIST_OK; b < a; ++b)
            assert_string_not_equal(linfdist_status_string(a), linfdist_status_string(b));
    }
    assert_string_equal(linfdist_status_string(-1), "unknown status");
    assert_string_equal(linfdist_status_string(LINFDIST_ERROR_RANGE + 1), "unknown status");
}

static void *read_last_error(void *out) {
    strcpy(out, linfdist_last_error());
    return NULL;
}

static void test_last_error_is_per_thread(void **state) {
    (void)state;
    char seen[512] = "unset";
    pthread_t thread;
    expect_invalid(linfdist_context_create(NULL, NULL), "context is NULL");
    assert_int_equal(pthread_create(&thread, NULL, read_last_error, seen), 0);
    pthread_join(thread, NULL);
    assert_string_equal(seen, "");
    assert_string_equal(linfdist_last_error(), "context is NULL");
}

static void test_messages_stay_in_one_line(void **state) {
    (void)state;
    char text[2000];
    memset(text, 'a', sizeof text);
    text[3] = '\n';
    text[sizeof text - 1] = '\0';
    lfd_fail(LINFDIST_ERROR_IO, "%s", text);
    assert_int_equal(strlen(linfdist_last_error()), 511);
    assert_null(strchr(linfdist_last_error(), '\n'));
    lfd_fail(LINFDIST_ERROR_IO, "before");
    lfd_fail(LINFDIST_ERROR_IO, "(%s)", linfdist_last_error());
    assert_string_equal(linfdist_last_error(), "(before)");
}

static void check_formats(void) {
    char text[32];
    assert_string_equal(lfd_format_double(text, 0.3), "0.3");
    assert_string_equal(lfd_format_double(text, -1234.5), "-1234.5");
    assert_string_equal(lfd_format_double(text, 1e-10), "1e-10");
    assert_string_equal(lfd_format_double(text, 1000), "1000");
    assert_string_equal(lfd_format_double(text, HUGE_VAL), "inf");
    assert_string_equal(lfd_format_double(text, -HUGE_VAL), "-inf");
    assert_string_equal(lfd_format_double(text, -(HUGE_VAL - HUGE_VAL)), "nan");
}

static void test_numbers_ignore_the_locale(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE", "fr_FR", "ps_AF.UTF-8"};
    check_formats();
    size_t i = 0;
    while (i < sizeof names / sizeof names[0] && !setlocale(LC_ALL, names[i])) ++i;
    if (i == sizeof names / sizeof names[0]) {
        print_message("no locale with a decimal comma is installed: only the C locale was tested\n");
        return;
    }
    check_formats();
    setlocale(LC_ALL, "C");
}

static void test_checks(void **state) {
    (void)state;
    expect_ok(lfd_check_count("n", 3, 1, 3));
    expect_invalid(lfd_check_count("n", 0, 1, 3), "n is 0, must be at least 1");
    expect_invalid(lfd_check_count("n", 4, 1, 3), "n is 4, must be at most 3");
    expect_invalid(lfd_check_number("lr", HUGE_VAL - HUGE_VAL, 0, 1), "lr is nan, must be in [0, 1]");
    expect_ok(lfd_check_extent("x", 5, 7, 7));
    expect_invalid(lfd_check_extent("x", 0, 7, 7), "x is 0 x 7");
    expect_invalid(lfd_check_extent("x", 5, -1, 7), "x is 5 x -1");
    expect_invalid(lfd_check_extent("x", 5, 7, 6), "row stride 6");
    expect_invalid(lfd_check_extent("x", INT64_MAX, 7, 7), "more than memory can hold");
    expect_invalid(lfd_check_extent("x", 1, 1, INT64_MAX), "more than memory can hold");
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static void test_options_of_other_sizes(void **state) {
    (void)state;
    struct {
        linfdist_context_options known;
        char later[24];
    } options;
    linfdist_context *context = NULL;
    memset(&options, 1, sizeof options);
    expect_ok(linfdist_context_options_init(&options.known, sizeof options));
    assert_int_equal(options.known.struct_size, sizeof options);
    assert_int_equal(options.known.threads, 1);
    for (size_t i = 0; i < sizeof options.later; ++i) assert_int_equal(options.later[i], 0);
    expect_ok(linfdist_context_create(&options.known, &context));
    linfdist_context_destroy(context);
    context = NULL;
    options.later[5] = 1;
    expect_error(linfdist_context_create(&options.known, &context), LINFDIST_ERROR_UNSUPPORTED, "options");
    options.known.struct_size = 8;
    expect_invalid(linfdist_context_create(&options.known, &context), "struct_size 8");
    options.known.struct_size = SIZE_MAX;
    expect_invalid(linfdist_context_create(&options.known, &context), "struct_size");
    assert_null(context);

    linfdist_context_options untouched;
    memset(&untouched, 7, sizeof untouched);
    expect_invalid(linfdist_context_options_init(&untouched, 4), "struct_size 4");
    for (size_t i = 0; i < sizeof untouched; ++i) assert_int_equal(((unsigned char *)&untouched)[i], 7);
    expect_invalid(linfdist_context_options_init(NULL, sizeof untouched), "options is NULL");
}

static void test_thread_counts(void **state) {
    (void)state;
    linfdist_context_options options;
    linfdist_context *context = NULL;
    expect_ok(linfdist_context_options_init(&options, sizeof options));
    options.threads = -1;
    expect_invalid(linfdist_context_create(&options, &context), "threads is -1");
    options.threads = 1025;
    expect_invalid(linfdist_context_create(&options, &context), "threads is 1025");
    assert_null(context);
    expect_ok(linfdist_context_create(NULL, &context));
    assert_int_equal(linfdist_context_threads(context), 1);
    linfdist_context_destroy(context);
    context = make_context(0, NULL);
    assert_int_equal(linfdist_context_threads(context), have_pool() ? lfd_cpu_count() : 1);
    linfdist_context_destroy(context);
    context = make_context(3, NULL);
    assert_int_equal(linfdist_context_threads(context), have_pool() ? 3 : 1);
    linfdist_context_destroy(context);
}

static void test_null_context(void **state) {
    (void)state;
    linfdist_context_destroy(NULL);
    assert_string_equal(linfdist_context_isa(NULL), "");
    assert_int_equal(linfdist_context_threads(NULL), 0);
}

static linfdist_status create_with_isa(const char *option, const char *variable, char isa[16]) {
    linfdist_context_options options;
    linfdist_context *context = NULL;
    if (variable)
        setenv("LINFDIST_ISA", variable, 1);
    else
        unsetenv("LINFDIST_ISA");
    expect_ok(linfdist_context_options_init(&options, sizeof options));
    options.isa = option;
    linfdist_status status = linfdist_context_create(&options, &context);
    strcpy(isa, linfdist_context_isa(context));
    assert_int_equal(context == NULL, status != LINFDIST_OK);
    linfdist_context_destroy(context);
    return status;
}

static void test_isa(void **state) {
    (void)state;
    static const char *const names[] = {"ref", "avx2", "avx512"};
    const char *set = getenv("LINFDIST_ISA");
    char before[32] = "", best[16], isa[16];
    if (set) snprintf(before, sizeof before, "%s", set);
    expect_ok(create_with_isa(NULL, NULL, best));
    expect_ok(create_with_isa(NULL, "", isa));
    assert_string_equal(isa, best);
    assert_int_equal(linfdist_isa_available("ref"), 1);
#if defined(__x86_64__) && defined(__GNUC__)
    /* The compiler's own word: a library built without its kernels must not pass for one on an older processor. */
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt");
    const int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    assert_int_equal(linfdist_isa_available("avx2"), avx2);
    assert_int_equal(linfdist_isa_available("avx512"), avx512);
#endif
    assert_int_equal(linfdist_isa_available("mmx"), 0);
    assert_int_equal(linfdist_isa_available(NULL), 0);
    for (size_t i = 0; i < 3; ++i) {
        if (!linfdist_isa_available(names[i])) {
            expect_error(create_with_isa(names[i], NULL, isa), LINFDIST_ERROR_UNSUPPORTED, names[i]);
            expect_error(create_with_isa(NULL, names[i], isa), LINFDIST_ERROR_UNSUPPORTED, "LINFDIST_ISA");
            continue;
        }
        expect_ok(create_with_isa(names[i], NULL, isa));
        assert_string_equal(isa, names[i]);
        expect_ok(create_with_isa(NULL, names[i], isa));
        assert_string_equal(isa, names[i]);
        expect_ok(create_with_isa(names[i], "ref", isa));
        assert_string_equal(isa, "ref");
        expect_ok(create_with_isa("ref", names[i], isa));
        assert_string_equal(isa, "ref");
    }
    expect_invalid(create_with_isa("AVX2", NULL, isa), "isa is \"AVX2\"");
    expect_invalid(create_with_isa("", NULL, isa), "isa is \"\"");
    expect_invalid(create_with_isa("ref", "sse9", isa), "LINFDIST_ISA is \"sse9\"");
    if (set)
        setenv("LINFDIST_ISA", before, 1);
    else
        unsetenv("LINFDIST_ISA");
}

static void keep_message(void *user, int32_t level, const char *message) {
    snprintf(user, 128, "%d %s", level, message);
}

static void test_log(void **state) {
    (void)state;
    linfdist_context_options options;
    linfdist_context *context;
    char message[128] = "";
    expect_ok(linfdist_context_options_init(&options, sizeof options));
    options.log = keep_message;
    options.log_user = message;
    expect_ok(linfdist_context_create(&options, &context));
    assert_memory_equal(message, "0 instruction set ", 18);
    assert_non_null(strstr(message, linfdist_context_isa(context)));
    linfdist_context_destroy(context);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* An allocator that counts, and refuses one scripted allocation. */
typedef struct meter {
    int made, live, refuse;
} meter;

static void *meter_alloc(void *user, size_t size, size_t alignment) {
    meter *m = user;
    assert_true(alignment >= sizeof(void *) && (alignment & (alignment - 1)) == 0);
    if (m->made++ == m->refuse) return NULL;
    void *memory = aligned_alloc(alignment, size);
    if (memory) {
        memset(memory, 0xa5, size);
        ++m->live;
    }
    return memory;
}

static void meter_free(void *user, void *memory) {
    assert_non_null(memory);
    --((meter *)user)->live;
    free(memory);
}

static linfdist_status create_metered(meter *m, int32_t threads, linfdist_context **context) {
    linfdist_context_options options;
    expect_ok(linfdist_context_options_init(&options, sizeof options));
    options.threads = threads;
    options.alloc = meter_alloc;
    options.free = meter_free;
    options.alloc_user = m;
    return linfdist_context_create(&options, context);
}

static void test_allocator_comes_in_pairs(void **state) {
    (void)state;
    linfdist_context_options options;
    linfdist_context *context = NULL;
    expect_ok(linfdist_context_options_init(&options, sizeof options));
    options.alloc = meter_alloc;
    expect_invalid(linfdist_context_create(&options, &context), "free is NULL");
    options.alloc = NULL;
    options.free = meter_free;
    expect_invalid(linfdist_context_create(&options, &context), "alloc is NULL");
    assert_null(context);
}

/* Two samples, two rows of weights. */
static linfdist_status add_gradients(linfdist_context *context) {
    const float x[4] = {1, 2, 3, 4}, w[4] = {0, 5, -1, 0}, grad_y[4] = {1, 10, 100, 1000};
    float y[4], grad_x[4] = {0}, grad_w[4] = {0};
    int32_t argmax[4];
    linfdist_distance_shape shape;
    expect_ok(linfdist_distance_shape_init(&shape, sizeof shape, 2, 2, 2));
    expect_ok(linfdist_distance_forward(context, &shape, INFINITY, x, w, y, argmax));
    const linfdist_status status =
        linfdist_distance_backward(context, &shape, INFINITY, x, w, y, argmax, grad_y, grad_x, grad_w);
    /* Maxima are 3 at the second column and 2 at the first, 3 at the first and 4 at the first. */
    const float of_x[4] = {10, -1, 1100, 0}, of_w[4] = {-100, 1, -1010, 0}, none[4] = {0};
    assert_memory_equal(grad_x, status == LINFDIST_OK ? of_x : none, sizeof none);
    assert_memory_equal(grad_w, status == LINFDIST_OK ? of_w : none, sizeof none);
    return status;
}

/* Creates a context with threads and works with it; every outcome must leave no allocation behind. */
static linfdist_status work(meter *m) {
    linfdist_context *context = NULL;
    float running[2] = {1, 2}, x[4] = {1, 2, 3, 4}, y[4] = {9, 9, 9, 9};
    linfdist_status status = create_metered(m, 2, &context);
    if (status != LINFDIST_OK) {
        assert_null(context);
        return status;
    }
    status = linfdist_mean_shift_forward(context, 2, 2, 1, LINFDIST_TRAIN, 0.5f, running, x, NULL, NULL, y, NULL, NULL);
    if (status != LINFDIST_OK) {
        assert_true(running[0] == 1 && running[1] == 2);
        for (int i = 0; i < 4; ++i) assert_true(y[i] == 9);
    } else {
        status = linfdist_mean_shift_backward(context, 2, 2, 1, LINFDIST_TRAIN, x, NULL, NULL, y);
        if (status != LINFDIST_OK) assert_true(y[0] == -1);
    }
    if (status == LINFDIST_OK) status = add_gradients(context);
    linfdist_context_destroy(context);
    return status;
}

static void test_every_allocation_may_fail(void **state) {
    (void)state;
    meter m = {0, 0, -1};
    expect_ok(work(&m));
    assert_int_equal(m.live, 0);
    const int allocations = m.made;
    assert_true(allocations >= 4);
    for (int refuse = 0; refuse < allocations; ++refuse) {
        m = (meter){0, 0, refuse};
        expect_error(work(&m), LINFDIST_ERROR_OUT_OF_MEMORY, "no memory for");
        assert_int_equal(m.live, 0);
    }
}

static void test_alloc_sizes(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    void *memory = NULL;
    expect_error(lfd_alloc(context, SIZE_MAX / 2, 4, "thing", &memory), LINFDIST_ERROR_OUT_OF_MEMORY, "thing");
    expect_error(lfd_alloc(context, SIZE_MAX - 5, 1, "thing", &memory), LINFDIST_ERROR_OUT_OF_MEMORY, "thing");
    assert_null(memory);
    expect_ok(lfd_alloc(context, 0, 4, "nothing", &memory));
    lfd_free(context, memory);
    expect_ok(lfd_alloc_zero(context, 33, 3, "bytes", &memory));
    assert_int_equal((uintptr_t)memory % 64, 0);
    for (int i = 0; i < 99; ++i) assert_int_equal(((char *)memory)[i], 0);
    lfd_free(context, memory);
    lfd_free(context, NULL);
    linfdist_context_destroy(context);
}

static void test_references(void **state) {
    (void)state;
    meter m = {0, 0, -1};
    linfdist_context *context = NULL;
    expect_ok(create_metered(&m, 1, &context));
    assert_ptr_equal(lfd_context_retain(context), context);
    linfdist_context_destroy(context);
    assert_int_equal(m.live, 1);
    lfd_context_release(context);
    assert_int_equal(m.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_status_strings),
        cmocka_unit_test(test_last_error_is_per_thread),
        cmocka_unit_test(test_messages_stay_in_one_line),
        cmocka_unit_test(test_numbers_ignore_the_locale),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_options_of_other_sizes),
        cmocka_unit_test(test_thread_counts),
        cmocka_unit_test(test_null_context),
        cmocka_unit_test(test_isa),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_allocator_comes_in_pairs),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_alloc_sizes),
        cmocka_unit_test(test_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
