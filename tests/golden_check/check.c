#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void release_owned(check *c) {
    while (c->owned_count > 0) {
        check_owned *owned = &c->owned[--c->owned_count];
        owned->destroy(owned->object);
    }
}

int check_run(check *c, check_case run) {
    if (setjmp(c->leave) == 0) run(c);
    release_owned(c);
    if (c->failures > 0)
        printf("FAIL %s: %d failures\n", c->name, c->failures);
    else
        printf("ok   %s\n", c->name);
    return c->failures == 0;
}

static void record(check *c, const char *format, va_list arguments) {
    printf("     %s: ", c->name);
    vprintf(format, arguments);
    printf("\n");
    ++c->failures;
}

void check_fail(check *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    record(c, format, arguments);
    va_end(arguments);
}

_Noreturn void check_stop(check *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    record(c, format, arguments);
    va_end(arguments);
    longjmp(c->leave, 1);
}

void check_ok(check *c, linfdist_status status, const char *call) {
    if (status != LINFDIST_OK) check_stop(c, "%s: %s: %s", call, linfdist_status_string(status), linfdist_last_error());
}

void check_own(check *c, void *object, void (*destroy)(void *)) {
    if (c->owned_count == sizeof c->owned / sizeof *c->owned) {
        destroy(object);
        check_stop(c, "the case owns too many objects");
    }
    c->owned[c->owned_count++] = (check_owned){object, destroy};
}

void *check_array(check *c, size_t count, size_t size) {
    void *array = calloc(count > 0 ? count : 1, size);
    if (!array) check_stop(c, "out of memory");
    check_own(c, array, free);
    return array;
}

static const golden_tensor *need(check *c, const char *name, size_t count) {
    const golden_tensor *tensor = golden_find(c->file, name);
    if (!tensor) check_stop(c, "tensor %s is missing", name);
    if (tensor->count != count) check_stop(c, "tensor %s has %zu elements, not %zu", name, tensor->count, count);
    return tensor;
}

const float *check_f32(check *c, const char *name, size_t count) {
    const golden_tensor *tensor = need(c, name, count);
    if (tensor->dtype != GOLDEN_F32) check_stop(c, "tensor %s is not F32", name);
    return tensor->data;
}

const int32_t *check_i32(check *c, const char *name, size_t count) {
    const golden_tensor *tensor = need(c, name, count);
    if (tensor->dtype != GOLDEN_I32) check_stop(c, "tensor %s is not I32", name);
    return tensor->data;
}

const double *check_values(check *c, const char *name, size_t count) {
    const golden_tensor *tensor = need(c, name, count);
    if (tensor->dtype == GOLDEN_F64) return tensor->data;
    const float *narrow = check_f32(c, name, count);
    double *wide = check_array(c, count, sizeof *wide);
    for (size_t i = 0; i < count; ++i) wide[i] = (double)narrow[i];
    return wide;
}

double check_scalar(check *c, const char *name) {
    return check_values(c, name, 1)[0];
}

int check_has(const check *c, const char *name) {
    return golden_find(c->file, name) != NULL;
}

const char *check_metadata(check *c, const char *key) {
    const char *value = golden_metadata(c->file, key);
    if (!value) check_stop(c, "metadata %s is missing", key);
    return value;
}

double check_number(check *c, const char *key) {
    const char *text = check_metadata(c, key);
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0') check_stop(c, "metadata %s is \"%s\", not a number", key, text);
    return value;
}

int check_flag(check *c, const char *key) {
    const char *text = check_metadata(c, key);
    if (strcmp(text, "True") == 0) return 1;
    if (strcmp(text, "False") != 0) check_stop(c, "metadata %s is \"%s\", not True or False", key, text);
    return 0;
}

check_tolerance check_read_tolerance(check *c, const char *name) {
    char key[160];
    snprintf(key, sizeof key, "tol.%s", name);
    const char *text = check_metadata(c, key);
    const char *relative = strstr(text, "rtol="), *absolute = strstr(text, "atol=");
    if (!relative && !absolute) check_stop(c, "metadata %s is \"%s\", which is no tolerance", key, text);
    return (check_tolerance){relative ? strtod(relative + 5, NULL) : 0.0, absolute ? strtod(absolute + 5, NULL) : 0.0};
}

static int within(double got, double want, check_tolerance tolerance) {
    return got == want || fabs(got - want) <= tolerance.relative * fabs(want) + tolerance.absolute;
}

size_t check_mismatch(const float *got, const double *want, size_t count, check_tolerance tolerance) {
    for (size_t i = 0; i < count; ++i)
        if (!within((double)got[i], want[i], tolerance)) return i;
    return count;
}

void check_close_within(check *c, const char *name, const float *got, const double *want, size_t count,
                        check_tolerance tolerance) {
    size_t i = check_mismatch(got, want, count, tolerance);
    if (i < count)
        check_fail(c, "%s[%zu]: got %.9g, want %.9g, tolerance %.3g relative + %.3g", name, i, (double)got[i], want[i],
                   tolerance.relative, tolerance.absolute);
}

void check_close(check *c, const char *name, const float *got, size_t count) {
    check_close_within(c, name, got, check_values(c, name, count), count, check_read_tolerance(c, name));
}

void check_number_close(check *c, const char *name, double got, double want, check_tolerance tolerance) {
    if (!within(got, want, tolerance))
        check_fail(c, "%s: got %.17g, want %.17g, tolerance %.3g relative + %.3g", name, got, want, tolerance.relative,
                   tolerance.absolute);
}

double check_largest(const double *values, size_t count) {
    double largest = 0.0;
    for (size_t i = 0; i < count; ++i) largest = fmax(largest, fabs(values[i]));
    return largest;
}
