#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "timing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A sample lasts at least this long, and has at most so many calls. */
static const double sample_seconds = 4e-3;
enum { MOST_CALLS = 256 };

static double read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double time_of_thread(void) {
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

double time_passed(void) {
    return read_clock(CLOCK_MONOTONIC);
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static double time_call(work w) {
    if (!w.call) return 0.0;
    if (w.before) w.before(w.user);
    const double start = time_of_thread();
    w.call(w.user);
    return time_of_thread() - start;
}

/* Both once untimed, for the caches and the memory that BLIS takes at first, then once to see how long they take. */
static int calls_of_sample(work measured, work other) {
    time_call(measured);
    time_call(other);
    const double seconds = time_call(measured) + time_call(other);
    const double calls = ceil(sample_seconds / fmax(seconds, 1e-9));
    return (int)fmin(calls, MOST_CALLS);
}

timed time_pairs(work measured, work other, int samples) {
    double seconds[TIMING_MOST], others[TIMING_MOST], ratios[TIMING_MOST];
    const int calls = calls_of_sample(measured, other);
    for (int i = 0; i < samples; ++i) {
        seconds[i] = others[i] = 0.0;
        for (int call = 0; call < calls; ++call) {
            others[i] += time_call(other) / calls;
            seconds[i] += time_call(measured) / calls;
        }
        ratios[i] = others[i] / seconds[i];
    }
    timed result = {.seconds = median(seconds, samples), .other_seconds = median(others, samples)};
    result.ratio = median(ratios, samples);
    result.lowest = ratios[0];
    result.highest = ratios[samples - 1];
    return result;
}

void bench_fail(const char *message) {
    fprintf(stderr, "bench: %s\n", message);
    exit(EXIT_FAILURE);
}

void require(linfdist_status status) {
    if (status != LINFDIST_OK) bench_fail(linfdist_last_error());
}

void *bench_room(int64_t count, size_t size) {
    const size_t bytes = ((size_t)count * size + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    if (!memory) bench_fail("out of memory");
    memset(memory, 0, bytes);
    return memory;
}
