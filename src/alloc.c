#include "context.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT ((size_t)64)

static void *obtain(const linfdist_context *context, size_t bytes) {
    if (context->alloc) return context->alloc(context->alloc_user, bytes, ALIGNMENT);
    return aligned_alloc(ALIGNMENT, bytes);
}

linfdist_status lfd_alloc(const linfdist_context *context, size_t count, size_t size, const char *what, void **memory) {
    void *obtained = NULL;
    if (size == 0 || count <= (PTRDIFF_MAX - ALIGNMENT) / size) {
        /* Whole cache lines, at least one: never a size of zero, and what aligned_alloc asks for. */
        size_t bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        obtained = obtain(context, bytes ? bytes : ALIGNMENT);
    }
    if (!obtained)
        return lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "no memory for %s: %llu x %llu bytes", what,
                        (unsigned long long)count, (unsigned long long)size);
    *memory = obtained;
    return LINFDIST_OK;
}

linfdist_status lfd_alloc_zero(const linfdist_context *context, size_t count, size_t size, const char *what,
                               void **memory) {
    LFD_TRY(lfd_alloc(context, count, size, what, memory));
    memset(*memory, 0, count * size);
    return LINFDIST_OK;
}

void lfd_free(const linfdist_context *context, void *memory) {
    if (!memory) return;
    if (context->free)
        context->free(context->alloc_user, memory);
    else
        free(memory);
}
