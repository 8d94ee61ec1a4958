/* How operators cut the directions of their arrays into tiles. */
#ifndef LFD_CUT_H
#define LFD_CUT_H

#include <stddef.h>

/* The part of a direction that one tile covers, and how many of them there are. */
typedef struct cut {
    size_t length, step, count;
} cut;

static inline size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static inline cut cut_into(size_t length, size_t step) {
    return (cut){length, step, (length + step - 1) / step};
}

static inline cut whole(size_t length) {
    return (cut){length, length, 1};
}

/* Blocks of a multiple of quantum, none above most, that share the work evenly among the threads; groups: how many
 * independent tiles every block has anyway. */
static inline cut cut_evenly(size_t length, size_t groups, size_t threads, size_t quantum, size_t most) {
    size_t count = (length + most - 1) / most;
    while (groups * count % threads != 0 && length / (count + 1) >= 2 * quantum) ++count;
    const size_t step = (length + count - 1) / count;
    return cut_into(length, (step + quantum - 1) / quantum * quantum);
}

#endif
