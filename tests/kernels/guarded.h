/* Arrays that end (or begin) right at a page nobody may touch, so that a kernel that reads or writes one element too
 * many dies on the spot. Their addresses are as unaligned as their sizes are odd. */
#ifndef LINFDIST_TESTS_GUARDED_H
#define LINFDIST_TESTS_GUARDED_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct guarded {
    void *mapping;
    size_t mapping_size;
    float *data;
    size_t count; /* floats (or int32) */
} guarded;

/* at_end: the array touches the page behind it, else the page before it. */
static inline guarded guarded_make(size_t count, int at_end) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = count * sizeof(float);
    size_t inside = (bytes + page - 1) / page * page + page;
    guarded array = {NULL, inside + 2 * page, NULL, count};
    array.mapping = mmap(NULL, array.mapping_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (array.mapping == MAP_FAILED) abort();
    char *first = (char *)array.mapping + page;
    if (mprotect(first, inside, PROT_READ | PROT_WRITE) != 0) abort();
    array.data = (float *)(void *)(at_end ? first + inside - bytes : first);
    return array;
}

static inline void guarded_free(guarded *array) {
    if (array->mapping) munmap(array->mapping, array->mapping_size);
    array->mapping = NULL;
}

#endif
