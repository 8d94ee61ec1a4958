#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local lfd_error_text last_error;

/* Messages quote names and paths of the caller; one line must stay one line. */
static void keep_to_one_line(char *text) {
    for (; *text; ++text) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) *text = '?';
    }
}

linfdist_status lfd_fail(linfdist_status status, const char *format, ...) {
    /* The arguments may quote the previous message, so it must not be overwritten while it is read. */
    char text[sizeof last_error.text];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0) text[0] = '\0';
    keep_to_one_line(text);
    memcpy(last_error.text, text, sizeof text);
    return status;
}

lfd_error_text lfd_error_keep(void) {
    return last_error;
}

void lfd_error_restore(const lfd_error_text *kept) {
    last_error = *kept;
}

const char *linfdist_last_error(void) {
    return last_error.text;
}

const char *linfdist_status_string(linfdist_status status) {
    switch (status) {
    case LINFDIST_OK: return "ok";
    case LINFDIST_ERROR_INVALID_ARGUMENT: return "invalid argument";
    case LINFDIST_ERROR_NOT_FINITE: return "not finite";
    case LINFDIST_ERROR_OUT_OF_MEMORY: return "out of memory";
    case LINFDIST_ERROR_UNSUPPORTED: return "unsupported";
    case LINFDIST_ERROR_IO: return "input or output failed";
    case LINFDIST_ERROR_FORMAT: return "bad file format";
    case LINFDIST_ERROR_SHAPE: return "shapes do not fit";
    case LINFDIST_ERROR_STATE: return "call out of order";
    case LINFDIST_ERROR_INVERTED_INTERVAL: return "inverted interval";
    case LINFDIST_ERROR_RANGE: return "out of range";
    default: return "unknown status";
    }
}

/* The decimal separator of a locale may have several bytes: whatever no number in C consists of becomes one '.'. */
static void use_plain_separator(char *text) {
    char *end = text;
    int in_separator = 0;
    for (; *text; ++text) {
        int plain = strchr("0123456789+-e", *text) != NULL;
        if (plain)
            *end++ = *text;
        else if (!in_separator)
            *end++ = '.';
        in_separator = !plain;
    }
    *end = '\0';
}

const char *lfd_format_double(char buffer[32], double value) {
    if (value != value) return strcpy(buffer, "nan");
    if (value - value != 0) return strcpy(buffer, value > 0 ? "inf" : "-inf");
    snprintf(buffer, 32, "%.9g", value);
    use_plain_separator(buffer);
    return buffer;
}

const char *lfd_indexed(char buffer[LFD_INDEXED], const char *name, int64_t index) {
    (void)snprintf(buffer, LFD_INDEXED, "%s[%lld]", name, (long long)index);
    return buffer;
}

linfdist_status lfd_check_count(const char *name, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return LINFDIST_OK;
    if (value < low)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is %lld, must be at least %lld", name, (long long)value,
                        (long long)low);
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is %lld, must be at most %lld", name, (long long)value,
                    (long long)high);
}

linfdist_status lfd_check_number(const char *name, double value, double low, double high) {
    if (value >= low && value <= high) return LINFDIST_OK;
    char value_text[32], low_text[32], high_text[32];
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is %s, must be in [%s, %s]", name,
                    lfd_format_double(value_text, value), lfd_format_double(low_text, low),
                    lfd_format_double(high_text, high));
}

linfdist_status lfd_check_p(const char *name, float p) {
    char text[32];
    int infinite = p > (float)LINFDIST_P_MAX && p - p != 0;
    if ((p >= 1 && p <= (float)LINFDIST_P_MAX) || infinite) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is %s, must be in [1, 1000] or infinity", name,
                    lfd_format_double(text, (double)p));
}

linfdist_status lfd_check_extent(const char *name, int64_t rows, int64_t columns, int64_t stride) {
    const int64_t most = PTRDIFF_MAX / 8;
    if (rows < 1 || columns < 1)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is %lld x %lld, both must be at least 1", name,
                        (long long)rows, (long long)columns);
    if (stride < columns)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s has row stride %lld, less than its %lld columns", name,
                        (long long)stride, (long long)columns);
    if (stride > most || rows > most / stride)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s has %lld rows of stride %lld, more than memory can hold",
                        name, (long long)rows, (long long)stride);
    return LINFDIST_OK;
}
