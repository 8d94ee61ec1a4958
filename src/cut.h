/* How operators cut the directions of their arrays into tiles. */
#ifndef LFD_CUT_H
#define LFD_CUT_H

#include <stddef.h>

/* A direction in count blocks of whole quanta, the last of which may be short. Blocks differ by a quantum at most,
 * large ones first. */
typedef struct cut {
    size_t length, quantum, count;
} cut;

static inline size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static inline size_t quanta_of(const cut *c) {
    return (c->length + c->quantum - 1) / c->quantum;
}

/* Where block i begins, for i = count where the last one ends. */
static inline size_t block_begin(const cut *c, size_t i) {
    const size_t quanta = quanta_of(c);
    return smaller((quanta / c->count * i + smaller(quanta % c->count, i)) * c->quantum, c->length);
}

static inline size_t block_length(const cut *c, size_t i) {
    return block_begin(c, i + 1) - block_begin(c, i);
}

static inline cut whole(size_t length) {
    return (cut){length, 1, 1};
}

/* Blocks of step, the last of what is left. */
static inline cut cut_into(size_t length, size_t step) {
    return (cut){length, step, (length + step - 1) / step};
}

/* Blocks of a multiple of quantum, none above most, that share the work evenly among the threads; groups: how many
 * independent tiles every block has anyway. */
static inline cut cut_evenly(size_t length, size_t groups, size_t threads, size_t quantum, size_t most) {
    size_t count = (length + most - 1) / most;
    while (groups * count % threads != 0 && length / (count + 1) >= 2 * quantum) ++count;
    return (cut){length, quantum, count};
}

#endif
