/* The workers that train one model together, as seen by one of them. */
#ifndef LFD_WORKERS_H
#define LFD_WORKERS_H

#include <stddef.h>

#include "linfdist/linfdist.h"

typedef struct lfd_workers {
    linfdist_run_hooks hooks; /* sum_means NULL: there are no others */
    linfdist_status status;   /* of the sums of a pass: once one has failed, the hooks are left alone */
} lfd_workers;

/* values become their sums over all workers. workers or NULL for this one alone. Failure is left in the status. */
void lfd_workers_sum(lfd_workers *workers, double *values, size_t count);
/* OK for NULL. */
linfdist_status lfd_workers_status(const lfd_workers *workers);

#endif
