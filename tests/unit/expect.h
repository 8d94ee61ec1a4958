/* What every unit test needs: statuses with their messages, contexts, small deterministic numbers. */
#ifndef TEST_EXPECT_H
#define TEST_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "linfdist/linfdist.h"

#define expect_ok(call) expect_status(call, LINFDIST_OK, "", #call, __FILE__, __LINE__)
/* The call must fail with this status and a message that contains text. */
#define expect_error(call, status, text) expect_status(call, status, text, #call, __FILE__, __LINE__)
#define expect_invalid(call, text) expect_error(call, LINFDIST_ERROR_INVALID_ARGUMENT, text)

static inline void expect_status(linfdist_status got, linfdist_status want, const char *text, const char *call,
                                 const char *file, int line) {
    if (got == want && strstr(linfdist_last_error(), text)) return;
    print_error("%s: got %s (%s), wanted %s (%s)\n", call, linfdist_status_string(got), linfdist_last_error(),
                linfdist_status_string(want), text);
    _fail(file, line);
}

static inline linfdist_status try_context(int32_t threads, const char *isa, linfdist_context **context) {
    linfdist_context_options options;
    expect_ok(linfdist_context_options_init(&options, sizeof options));
    options.threads = threads;
    options.isa = isa;
    return linfdist_context_create(&options, context);
}

/* isa or NULL for the best. */
static inline linfdist_context *make_context(int32_t threads, const char *isa) {
    linfdist_context *context = NULL;
    expect_ok(try_context(threads, isa, &context));
    return context;
}

/* NULL where this machine or build lacks the instruction set. */
static inline linfdist_context *context_of(const char *isa, int32_t threads) {
    linfdist_context *context = NULL;
    return try_context(threads, isa, &context) == LINFDIST_OK ? context : NULL;
}

/* Zeros, never NULL. */
static inline void *room(size_t count, size_t size) {
    void *made = calloc(count + 1, size);
    assert_non_null(made);
    return made;
}

/* A congruential generator of the tests' own: numbers in [-1, 1). */
static inline float test_number(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(*state >> 11) * 0x1p-52 - 1.0);
}

static inline void test_fill(float *x, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; ++i) x[i] = test_number(&seed);
}

#endif
