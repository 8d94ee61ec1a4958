#define _GNU_SOURCE /* sched_getaffinity */
#include "context.h"
#include "environment.h"

#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif
#ifdef LFD_HAVE_PTHREADPOOL
#include <pthread.h>
#include <pthreadpool.h>
#endif

/* Same bits whatever rounding mode or flush-to-zero the host has set. Tasks are called through pointers, so that the
 * compiler cannot move their arithmetic across the change. */
typedef struct guarded {
    linfdist_task_fn task;
    void *data;
} guarded;

static void run_guarded(void *data, size_t index) {
    const guarded *job = data;
    const lfd_environment host = lfd_environment_enter();
    job->task(job->data, index);
    lfd_environment_leave(&host);
}

void lfd_serial_for(linfdist_task_fn task, void *data, size_t count) {
    const lfd_environment host = lfd_environment_enter();
    for (size_t i = 0; i < count; ++i) task(data, i);
    lfd_environment_leave(&host);
}

int32_t lfd_cpu_count(void) {
    long count = 0;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
    if (count < 1) count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > LFD_MAX_THREADS ? LFD_MAX_THREADS : (int32_t)count;
}

#ifdef LFD_HAVE_PTHREADPOOL

struct lfd_pool {
    pthreadpool_t workers;
    uint32_t flags;
    atomic_flag busy;
};

static void *pass_gate(void *gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* pthreadpool_create waits for ever for threads that could not be started, so this many are tried out first, all alive
 * at once. */
static linfdist_status try_threads(int32_t count) {
    pthread_t ids[LFD_MAX_THREADS];
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&gate);
    int32_t started = 0;
    while (started < count && pthread_create(&ids[started], NULL, pass_gate, &gate) == 0) ++started;
    pthread_mutex_unlock(&gate);
    for (int32_t i = 0; i < started; ++i) pthread_join(ids[i], NULL);
    pthread_mutex_destroy(&gate);
    if (started == count) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "threads: only %lld of %lld could be started", (long long)started + 1,
                    (long long)count + 1);
}

static linfdist_status start_workers(linfdist_context *context) {
    void *memory;
    LFD_TRY(try_threads(context->threads - 1));
    LFD_TRY(lfd_alloc_zero(context, 1, sizeof(struct lfd_pool), "thread pool", &memory));
    struct lfd_pool *pool = memory;
    pool->workers = pthreadpool_create((size_t)context->threads);
    if (!pool->workers) {
        lfd_free(context, pool);
        return lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "no memory for a pool of %lld threads",
                        (long long)context->threads);
    }
    /* Workers that spin for the next call are fast as long as each has a CPU, and in everybody's way otherwise. */
    pool->flags = context->threads > lfd_cpu_count() ? PTHREADPOOL_FLAG_YIELD_WORKERS : 0;
    atomic_flag_clear(&pool->busy);
    context->pool = pool;
    return LINFDIST_OK;
}

static void stop_workers(linfdist_context *context) {
    if (!context->pool) return;
    /* In a child process the workers do not exist; joining them would hang, so they are left behind. */
    if (context->process == (int64_t)getpid()) pthreadpool_destroy(context->pool->workers);
    lfd_free(context, context->pool);
    context->pool = NULL;
}

/* False when the pool is at work, for another thread or for a caller of this very call. */
static int run_on_pool(struct lfd_pool *pool, guarded *job, size_t count) {
    if (!pool || atomic_flag_test_and_set_explicit(&pool->busy, memory_order_acquire)) return 0;
    pthreadpool_parallelize_1d(pool->workers, run_guarded, job, count, pool->flags);
    atomic_flag_clear_explicit(&pool->busy, memory_order_release);
    return 1;
}

#else

static linfdist_status start_workers(linfdist_context *context) {
    context->threads = 1;
    return LINFDIST_OK;
}

static void stop_workers(linfdist_context *context) {
    (void)context;
}

static int run_on_pool(struct lfd_pool *pool, guarded *job, size_t count) {
    (void)pool, (void)job, (void)count;
    return 0;
}

#endif

linfdist_status lfd_pool_create(linfdist_context *context) {
    context->process = (int64_t)getpid();
    if (context->threads == 1 || context->parallel_for) return LINFDIST_OK;
    return start_workers(context);
}

void lfd_pool_destroy(linfdist_context *context) {
    stop_workers(context);
}

void lfd_parallel_for(linfdist_context *context, linfdist_task_fn task, void *data, size_t count) {
    guarded job = {task, data};
    int alone = count < 2 || !context || (!context->pool && !context->parallel_for);
    if (alone || context->process != (int64_t)getpid())
        lfd_serial_for(task, data, count);
    else if (context->parallel_for)
        context->parallel_for(context->parallel_for_user, run_guarded, &job, count);
    else if (!run_on_pool(context->pool, &job, count))
        lfd_serial_for(task, data, count);
}
