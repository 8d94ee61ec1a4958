/* Times of two pieces of work that alternate call by call, so that both meet the same state of the machine. */
#ifndef TIMING_H
#define TIMING_H

#include <linfdist/linfdist.h>

#include <stdint.h>

/* One call, which ends the program when it fails, and what must happen before it, untimed, or NULL. */
typedef struct work {
    void (*call)(void *user);
    void *user;
    void (*before)(void *user);
} work;

enum { TIMING_FEWEST = 7, TIMING_MOST = 101 };

typedef struct timed {
    double seconds, other_seconds; /* of one call: medians */
    double ratio, lowest, highest; /* other / seconds: median of the samples and their range */
} timed;

/* Processor time of the calling thread: what other processes take away is not in it. */
double time_of_thread(void);
/* Time that passes: the only measure of work on several threads. */
double time_passed(void);
double median(double *values, int count);

/* samples pairs, each of as many alternating calls as fill some milliseconds, on the calling thread's clock.
 * other.call may be NULL: then the other times are 0. */
timed time_pairs(work measured, work other, int samples);

/* Ends the program with the message. */
_Noreturn void bench_fail(const char *message);
/* Ends it with the library's message. */
void require(linfdist_status status);
/* Memory on a cache line, zeroed; ends the program without. Given back by free. */
void *bench_room(int64_t count, size_t size);

#endif
