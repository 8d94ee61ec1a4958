/* Copies of this process that do the same piece of work at the same time, each on one thread. */
#ifndef PROCESSES_H
#define PROCESSES_H

#include "timing.h"

typedef struct processes processes;

/* Makes the pieces of work; called in the copy. */
typedef void make_works(void *user, work *works);

/* count copies, each with works_count pieces of work; no thread may run in this process. */
processes *processes_start(int count, make_works *make, void *user, int works_count);
void processes_stop(processes *p);
/* All do calls calls of one piece of work at once. Calls per second of all together. */
double processes_rate(processes *p, int which, int calls);

#endif
