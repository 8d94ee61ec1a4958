/* Threads: the pool, host executors, the floating-point environment and fork(). */
#define _POSIX_C_SOURCE 200809L
#include "expect.h"

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context.h"
#include "cut.h"
#include "net_support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED
#endif
#endif

enum { TASKS = 1000 };

typedef struct tally {
    linfdist_context *context;
    atomic_int runs[TASKS];
    atomic_int nested;
} tally;

static void count_run(void *data, size_t index) {
    tally *t = data;
    assert_true(index < TASKS);
    atomic_fetch_add(&t->runs[index], 1);
}

static void count_nested(void *data, size_t index) {
    (void)index;
    atomic_fetch_add(&((tally *)data)->nested, 1);
}

static void call_again(void *data, size_t index) {
    tally *t = data;
    count_run(data, index);
    lfd_parallel_for(t->context, count_nested, t, 3);
}

static void check_runs(tally *t, int each) {
    for (int i = 0; i < TASKS; ++i) assert_int_equal(atomic_load(&t->runs[i]), each);
}

static void test_every_task_runs_once(void **state) {
    (void)state;
    for (int32_t threads = 1; threads <= 3; ++threads) {
        tally t = {.context = make_context(threads, NULL)};
        lfd_parallel_for(t.context, count_run, &t, 0);
        check_runs(&t, 0);
        lfd_parallel_for(t.context, count_run, &t, TASKS);
        check_runs(&t, 1);
        lfd_parallel_for(NULL, count_run, &t, TASKS);
        lfd_serial_for(count_run, &t, TASKS);
        check_runs(&t, 3);
        linfdist_context_destroy(t.context);
    }
}

static void test_nested_calls_run_inline(void **state) {
    (void)state;
    tally t = {.context = make_context(3, NULL)};
    lfd_parallel_for(t.context, call_again, &t, TASKS);
    check_runs(&t, 1);
    assert_int_equal(atomic_load(&t.nested), 3 * TASKS);
    linfdist_context_destroy(t.context);
}

static void *call_many_times(void *data) {
    tally *t = data;
    for (int i = 0; i < 50; ++i) lfd_parallel_for(t->context, count_run, t, TASKS);
    return NULL;
}

static void test_threads_share_a_context(void **state) {
    (void)state;
    tally t = {.context = make_context(2, NULL)};
    pthread_t threads[3];
    for (int i = 0; i < 3; ++i) assert_int_equal(pthread_create(&threads[i], NULL, call_many_times, &t), 0);
    for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
    check_runs(&t, 150);
    linfdist_context_destroy(t.context);
}

static void backwards_executor(void *user, linfdist_task_fn task, void *data, size_t count) {
    ++*(int *)user;
    while (count > 0) task(data, --count);
}

static void test_host_executor(void **state) {
    (void)state;
    linfdist_context_options options;
    tally t = {0};
    int calls = 0;
    expect_ok(linfdist_context_options_init(&options, sizeof options));
    options.threads = 4;
    options.parallel_for = backwards_executor;
    options.parallel_for_user = &calls;
    expect_ok(linfdist_context_create(&options, &t.context));
    assert_int_equal(linfdist_context_threads(t.context), 4);
    assert_null(t.context->pool);
    lfd_parallel_for(t.context, count_run, &t, TASKS);
    assert_int_equal(calls, 1);
    check_runs(&t, 1);
    linfdist_context_destroy(t.context);
}

/* Real threads that the sanitizers understand: three per call, each takes the next task until none is left. */
typedef struct crew {
    linfdist_task_fn task;
    void *data;
    size_t count;
    atomic_size_t next;
} crew;

static void *take_tasks(void *data) {
    crew *c = data;
    for (size_t i; (i = atomic_fetch_add(&c->next, 1)) < c->count;) c->task(c->data, i);
    return NULL;
}

static void crew_executor(void *user, linfdist_task_fn task, void *data, size_t count) {
    (void)user;
    crew c = {task, data, count, 0};
    pthread_t threads[3];
    for (int i = 0; i < 3; ++i) assert_int_equal(pthread_create(&threads[i], NULL, take_tasks, &c), 0);
    for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
}

enum { CREW_INPUTS = 70, CREW_BATCH = 100 };

/* Three training steps from p = 8 to infinity, then the certified radii. */
static linfdist_model *train_and_certify(linfdist_context *context, float radii[CREW_BATCH]) {
    static const float powers[] = {8.0f, 33.3f, INFINITY};
    float x[CREW_BATCH * CREW_INPUTS];
    int32_t labels[CREW_BATCH];
    linfdist_model *model = net_mlp(context, 3, 80, CREW_INPUTS, 5, 11);
    linfdist_run *run;
    linfdist_optimizer *optimizer;
    linfdist_certifier *certifier;
    net_uniform(x, CREW_BATCH * CREW_INPUTS, 0.0f, 1.0f, 3);
    for (int i = 0; i < CREW_BATCH; ++i) labels[i] = i % 5;
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, CREW_BATCH, &run));
    OK(linfdist_optimizer_create_adam(model, NULL, &optimizer));
    for (int step = 0; step < 3; ++step) {
        OK(linfdist_forward(run, x, CREW_INPUTS, CREW_BATCH, LINFDIST_TRAIN, powers[step]));
        OK(net_mixture(run, labels, 0.5, 0.1, NULL));
        OK(linfdist_run_zero_gradients(run));
        OK(linfdist_backward(run, NULL, 0));
        OK(linfdist_optimizer_step(optimizer, run, 0.03, 0.006));
    }
    OK(linfdist_certifier_create(model, &certifier));
    OK(linfdist_certify(certifier, LINFDIST_METHOD_INTERVAL, x, CREW_INPUTS, CREW_BATCH, NULL, NULL, radii));
    linfdist_certifier_destroy(certifier);
    linfdist_optimizer_destroy(optimizer);
    linfdist_run_destroy(run);
    return model;
}

static void test_host_threads_give_the_same_bits(void **state) {
    (void)state;
    linfdist_context_options options;
    linfdist_context *threaded, *single = make_context(1, NULL);
    float radii[2][CREW_BATCH];
    expect_ok(linfdist_context_options_init(&options, sizeof options));
    options.threads = 3;
    options.parallel_for = crew_executor;
    expect_ok(linfdist_context_create(&options, &threaded));
    linfdist_model *a = train_and_certify(threaded, radii[0]), *b = train_and_certify(single, radii[1]);
    assert_true(net_same(a, b));
    assert_memory_equal(radii[0], radii[1], sizeof radii[0]);
    linfdist_model_destroy(a);
    linfdist_model_destroy(b);
    linfdist_context_destroy(threaded);
    linfdist_context_destroy(single);
}

/* 1 + 2^-60 tells the rounding mode, a subnormal product whether it is flushed. A division by zero must not trap. */
static void probe_environment(void *data, size_t index) {
    volatile double one = 1, little = 0x1p-60, small = 0x1p-1000, zero = 0;
    volatile float single = 1, least = 0x1p-126f;
    int *fine = data;
    fine[index] = one + little == 1 && one - little == 1 && small * 0x1p-50 != 0 && single + 0x1p-30f == 1 &&
                  single - 0x1p-30f == 1 && least * 0.5f != 0 && isinf(one / zero);
}

/* Rounding up, flushing to zero, trapping. Returns what must be found again; flags of exceptions are clear. */
static unsigned set_environment(void) {
    assert_int_equal(fesetround(FE_UPWARD), 0);
    feclearexcept(FE_ALL_EXCEPT);
#ifdef __SSE__
    __builtin_ia32_ldmxcsr((__builtin_ia32_stmxcsr() | 0x8040) & ~0x200u); /* division by zero */
    return __builtin_ia32_stmxcsr();
#else
    return 0;
#endif
}

static void test_floating_point_environment(void **state) {
    (void)state;
    for (int32_t threads = 1; threads <= 2; ++threads) {
        linfdist_context *context = make_context(threads, NULL);
        int fine[64] = {0};
        const unsigned host = set_environment();
        lfd_parallel_for(context, probe_environment, fine, 64);
#ifdef __SSE__
        const unsigned found = __builtin_ia32_stmxcsr();
#else
        const unsigned found = host;
#endif
        const int flags = fetestexcept(FE_ALL_EXCEPT), rounding = fegetround();
        fesetenv(FE_DFL_ENV);
        assert_int_equal(found, host);
        assert_int_equal(flags, 0);
        assert_int_equal(rounding, FE_UPWARD);
        for (int i = 0; i < 64; ++i) assert_int_equal(fine[i], 1);
        linfdist_context_destroy(context);
    }
}

/* Neither do intervals of subnormal numbers look like points to a host that takes those for 0. */
static void test_subnormal_intervals(void **state) {
    const float lower[2] = {0, 2e-40f}, upper[2] = {1e-40f, 1e-40f}, w[2] = {0, 0};
    float y_lower = 0, y_upper = 0;
    linfdist_context *context = make_context(1, NULL);
    linfdist_distance_shape shape;
    (void)state;
    expect_ok(linfdist_distance_shape_init(&shape, sizeof shape, 1, 2, 1));
    set_environment();
    const linfdist_status status =
        linfdist_bounds_forward(context, &shape, lower, upper, w, &y_lower, &y_upper, NULL, NULL);
    fesetenv(FE_DFL_ENV);
    expect_error(status, LINFDIST_ERROR_INVERTED_INTERVAL, "row 0, column 1");
    linfdist_context_destroy(context);
}

/* Blocks follow each other, none is empty or above most, and they differ by a quantum at most, a short last one aside.
 */
static void test_even_cuts(void **state) {
    (void)state;
    enum { QUANTUM = 16, MOST = 256 };
    for (size_t length = 1; length < 1200; length += 7)
        for (size_t threads = 1; threads <= 16; ++threads) {
            const cut c = cut_evenly(length, 1, threads, QUANTUM, MOST);
            size_t end = 0, least = MOST, largest = 0;
            for (size_t i = 0; i < c.count; ++i) {
                const size_t count = block_length(&c, i);
                assert_int_equal(block_begin(&c, i), end);
                assert_in_range(count, 1, MOST);
                end += count;
                if (i + 1 < c.count) assert_int_equal(count % QUANTUM, 0);
                const size_t whole_quanta = (count + QUANTUM - 1) / QUANTUM;
                least = smaller(least, whole_quanta);
                largest = whole_quanta > largest ? whole_quanta : largest;
            }
            assert_int_equal(end, length);
            assert_true(largest - least <= 1);
        }
}

/* Waits for a child that must end by itself with exit status 0; its alarm kills it if it hangs. */
static void expect_child_to_finish(pid_t child) {
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int all_ran(const tally *t, int each) {
    for (int i = 0; i < TASKS; ++i)
        if (atomic_load(&t->runs[i]) != each) return 0;
    return 1;
}

static void test_fork(void **state) {
    (void)state;
    tally t = {.context = make_context(3, NULL)};
    lfd_parallel_for(t.context, count_run, &t, TASKS);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        lfd_parallel_for(t.context, count_run, &t, TASKS);
        linfdist_context_destroy(t.context);
        _exit(!all_ran(&t, 2));
    }
    expect_child_to_finish(child);
    lfd_parallel_for(t.context, count_run, &t, TASKS);
    check_runs(&t, 2);
    linfdist_context_destroy(t.context);
}

static void *keep_forking(void *data) {
    tally *t = data;
    for (int i = 0; i < 10; ++i) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            lfd_parallel_for(t->context, count_nested, t, TASKS);
            _exit(0);
        }
        int status = -1;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return data;
    }
    return NULL;
}

static void test_fork_while_the_pool_works(void **state) {
    (void)state;
    tally t = {.context = make_context(2, NULL)};
    pthread_t forker;
    void *failure;
    assert_int_equal(pthread_create(&forker, NULL, keep_forking, &t), 0);
    for (int i = 0; i < 300; ++i) lfd_parallel_for(t.context, count_run, &t, TASKS);
    pthread_join(forker, &failure);
    assert_null(failure);
    check_runs(&t, 300);
    linfdist_context_destroy(t.context);
}

static void test_threads_that_cannot_start(void **state) {
    (void)state;
#ifdef TEST_SANITIZED
    print_message("needs an address space limit, which sanitizers do not allow: skipped\n");
#else
    linfdist_context *probe = make_context(2, NULL);
    const int have_pool = probe->pool != NULL;
    linfdist_context_destroy(probe);
    if (!have_pool) {
        print_message("built without a thread pool: skipped\n");
        return;
    }
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {512u << 20, 512u << 20};
        linfdist_context_options options;
        linfdist_context *context = NULL;
        alarm(20);
        if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
        if (linfdist_context_options_init(&options, sizeof options) != LINFDIST_OK) _exit(3);
        options.threads = 1024;
        if (linfdist_context_create(&options, &context) != LINFDIST_ERROR_OUT_OF_MEMORY) _exit(4);
        _exit(strstr(linfdist_last_error(), "threads") == NULL);
    }
    expect_child_to_finish(child);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_runs_once),
        cmocka_unit_test(test_nested_calls_run_inline),
        cmocka_unit_test(test_threads_share_a_context),
        cmocka_unit_test(test_host_executor),
        cmocka_unit_test(test_host_threads_give_the_same_bits),
        cmocka_unit_test(test_floating_point_environment),
        cmocka_unit_test(test_subnormal_intervals),
        cmocka_unit_test(test_even_cuts),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_fork_while_the_pool_works),
        cmocka_unit_test(test_threads_that_cannot_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
