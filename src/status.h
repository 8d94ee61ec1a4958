/* Status codes with a detail message per thread. */
#ifndef LFD_STATUS_H
#define LFD_STATUS_H

#include "linfdist/linfdist.h"

/* Records the message for linfdist_last_error() and returns status, so that errors read
 *     return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "depth is %lld, must be at least 1", (long long)depth);
 * Only integers and strings are formatted with printf; use lfd_format_double for numbers, whose text must not
 * depend on the locale. */
linfdist_status lfd_fail(linfdist_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* The text of linfdist_last_error, to put back after a failure that is none for the caller. */
typedef struct lfd_error_text {
    char text[512];
} lfd_error_text;
lfd_error_text lfd_error_keep(void);
void lfd_error_restore(const lfd_error_text *kept);

/* "0.3", "inf", "nan": shortest of 9 significant digits, '.' in every locale. Returns buffer. */
const char *lfd_format_double(char buffer[32], double value);

/* "p[3]": an entry of an array, for messages. Returns buffer. */
enum { LFD_INDEXED = 64 };
const char *lfd_indexed(char buffer[LFD_INDEXED], const char *name, int64_t index);

/* A number outside [low, high], or NaN, is INVALID_ARGUMENT with its name and value. */
linfdist_status lfd_check_count(const char *name, int64_t value, int64_t low, int64_t high);
linfdist_status lfd_check_number(const char *name, double value, double low, double high);
/* p in [1, 1000] or infinity, INVALID_ARGUMENT otherwise. */
linfdist_status lfd_check_p(const char *name, float p);
/* rows, columns >= 1, stride >= columns, and an array of that extent can exist in memory (8-byte elements). */
linfdist_status lfd_check_extent(const char *name, int64_t rows, int64_t columns, int64_t stride);

/* Propagates a failure: LFD_TRY(f(...)); */
#define LFD_TRY(call)                                                                                                  \
    do {                                                                                                               \
        linfdist_status lfd_try_status_ = (call);                                                                      \
        if (lfd_try_status_ != LINFDIST_OK) return lfd_try_status_;                                                    \
    } while (0)

/* The argument must not be NULL. */
#define LFD_REQUIRE(pointer)                                                                                           \
    do {                                                                                                               \
        if (!(pointer)) return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is NULL", #pointer);                      \
    } while (0)

#endif
