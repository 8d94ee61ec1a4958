/* What certificates cost with and without the inputs that cannot win: for the bench programs. */
#ifndef CERTIFY_COST_H
#define CERTIFY_COST_H

#include "linfdist/linfdist.h"

enum { CERTIFY_MOST_REPEATS = 101 };

/* Microseconds of processor time per image, medians; dense and pruned alternate call by call. */
typedef struct certify_cost {
    double dense, pruned;
    double ratio, ratio_low, ratio_high; /* dense over pruned of each pair: median, smallest, largest */
    double gemm;                         /* lfd_gemm of the shape of every distance layer */
    double share;                        /* terms visited, of all */
    double per_term;                     /* nanoseconds of the whole call per visited term */
} certify_cost;

/* linfdist_certify_at of n images (raw pixels, contiguous), batch images per call, at eps. The two answer the same, or
 * 1 is returned. Otherwise 0, or -1 with linfdist_last_error. */
int certify_cost_measure(const linfdist_model *model, int32_t method, const float *pixels, int64_t n, int64_t batch,
                         double eps, int repeats, certify_cost *cost);

#endif
