/* Distance layers at p = infinity that visit only the inputs that can win: the prepared form of one layer.
 *
 * For a range of each input the largest |x_i - w_i| is known beforehand. Each row of w keeps its inputs in the order of
 * that bound, and a pass goes through them, slice by slice, until the maximum so far reaches the bound of all that
 * follow. An input may leave its range: by how much any does at most is added to the bounds, so that the range decides
 * about speed alone and the results are those of the dense kernels, bit for bit. */
#ifndef LFD_PRUNE_H
#define LFD_PRUNE_H

#include "ops.h"

typedef struct lfd_pruned lfd_pruned;

/* For weights w and inputs that usually lie in [low, high] (n_in each); w must stay as it is, low and high are copied.
 * It takes about half of the weights' memory, and of rows that single samples pass through a little more. *pruned is
 * NULL where rows are too short to gain, or longer than LFD_SLICED_COLUMNS. */
linfdist_status lfd_pruned_create(linfdist_context *context, const lfd_dims *dims, const float *w, const float *low,
                                  const float *high, lfd_pruned **pruned);
void lfd_pruned_destroy(const linfdist_context *context, lfd_pruned *pruned);

/* Floats of scratch for a pass of at most batch rows of n_in numbers. */
size_t lfd_pruned_scratch(size_t batch, size_t n_in, size_t groups);
/* lfd_distance_forward at p = infinity. Returns the terms visited, of batch n_out n_in / groups; the samples of a
 * block, and the rows that are in a vector for a single sample, all visit what one of them needs. */
size_t lfd_pruned_forward(linfdist_context *context, const lfd_pruned *pruned, const lfd_dims *dims, const float *x,
                          const float *w, float *y, float *scratch);
/* lfd_bounds_forward; returns the same. */
size_t lfd_pruned_bounds(linfdist_context *context, const lfd_pruned *pruned, const lfd_dims *dims, const float *xl,
                         const float *xu, const float *w, float *yl, float *yu, float *scratch);

#endif
