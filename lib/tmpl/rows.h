/* Register tiles over rows of x and rows of w, lanes over columns. */
#ifndef LFD_ROWS_H
#define LFD_ROWS_H

#include <stddef.h>

#if defined(__clang__)
#define LFD_UNROLL _Pragma("clang loop unroll(full)")
#define LFD_UNROLL_PARTLY _Pragma("clang loop unroll_count(8)") /* where the count is no constant everywhere */
#else
#define LFD_UNROLL _Pragma("GCC unroll 32")
#define LFD_UNROLL_PARTLY LFD_UNROLL
#endif
#define LFD_INLINE static inline __attribute__((always_inline))
/* Its arrays take stack only while it runs, and never beside those of its neighbours. */
#define LFD_APART static __attribute__((noinline))

static inline size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Pointers to count rows, of which only the first valid exist; the others repeat the last one, so that a register tile
 * always has full size. */
static inline void row_pointers(const float **rows, size_t count, size_t valid, const float *first, size_t stride) {
    for (size_t i = 0; i < count; ++i) rows[i] = first + smaller(i, valid - 1) * stride;
}

#endif
