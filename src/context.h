/* Context internals: what the other objects need from it. */
#ifndef LFD_CONTEXT_H
#define LFD_CONTEXT_H

#include <stdatomic.h>

#include "../lib/kernels.h"
#include "linfdist/linfdist.h"
#include "status.h"

#define LFD_MAX_THREADS 1024

struct lfd_pool;

struct linfdist_context {
    atomic_int references; /* see lfd_context_retain */
    int32_t threads;
    const lfd_kernels *kernels;
    int isa;
    int64_t process; /* that made it: threads of the pool and of a host executor do not survive fork() */
    linfdist_alloc_fn alloc;
    linfdist_free_fn free;
    void *alloc_user;
    linfdist_log_fn log;
    void *log_user;
    linfdist_parallel_for_fn parallel_for; /* host executor or NULL */
    void *parallel_for_user;
    struct lfd_pool *pool; /* own pool or NULL */
};

linfdist_context *lfd_context_retain(linfdist_context *context);
void lfd_context_release(linfdist_context *context);

/* To the log, if there is one. */
void lfd_warn(const linfdist_context *context, const char *message);

/* alloc.c: the only file with malloc and free. Memory is 64-byte aligned. count * size is checked for overflow. */
linfdist_status lfd_alloc(const linfdist_context *context, size_t count, size_t size, const char *what, void **memory);
linfdist_status lfd_alloc_zero(const linfdist_context *context, size_t count, size_t size, const char *what,
                               void **memory);
void lfd_free(const linfdist_context *context, void *memory); /* NULL is fine */

/* parallel.c: the only file with pthreadpool. Runs task(data, i) for i in [0, count), each in the default
 * floating-point environment (round to nearest, no flush to zero), on the pool, the host's executor or the calling
 * thread. A NULL context means the calling thread. */
void lfd_parallel_for(linfdist_context *context, linfdist_task_fn task, void *data, size_t count);
/* The same on the calling thread, in order: for arithmetic whose bits must not depend on the caller's environment. */
void lfd_serial_for(linfdist_task_fn task, void *data, size_t count);
/* Fills process, and where threads > 1 and the host has no executor, pool. Without pthreadpool threads becomes 1. */
linfdist_status lfd_pool_create(linfdist_context *context);
void lfd_pool_destroy(linfdist_context *context);
/* CPUs this process may use, at least 1. */
int32_t lfd_cpu_count(void);

/* options.c: copies an options struct of an older or equal size over the defaults: out holds the defaults and is
 * full_size bytes; in begins with its own size_t struct_size. Sizes below min_size are refused, bytes of a newer,
 * larger struct beyond full_size must be zero. */
linfdist_status lfd_options_read(void *out, size_t full_size, size_t min_size, const void *in, const char *name);
/* The struct_size at the start of a caller's struct, refused below min_size or where no struct has it. */
linfdist_status lfd_options_size(const void *options, size_t min_size, const char *name, size_t *struct_size);
/* The other direction, for structs the library fills: writes at most the caller's struct_size bytes (those beyond
 * full_size become zero) and keeps it. */
linfdist_status lfd_options_write(void *out, const void *in, size_t full_size, size_t min_size, const char *name);
/* The same for the public init functions, where struct_size is an argument and out is not yet initialised. */
linfdist_status lfd_options_init(void *out, size_t struct_size, const void *in, size_t full_size, size_t min_size,
                                 const char *name);

#endif
