/* The prepared form of one distance layer, as the passes of prune.c read it. */
#ifndef LFD_RANKING_H
#define LFD_RANKING_H

#include "prune.h"

/* Single samples pass through rows that are at least so long; shorter ones stay dense for them. */
enum { LFD_SINGLE_SHORTEST = 192 };

struct lfd_pruned {
    float *low, *high;  /* n_in */
    size_t count;       /* slices of a row */
    lfd_slice *slices;  /* count x n_out, the first in order */
    size_t group_heads; /* of the rows of a group */
    lfd_heads *heads;   /* groups x group_heads, where single samples do not stay dense; or NULL */
};

#endif
