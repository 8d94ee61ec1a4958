/* Training batches: shuffled every epoch, in each the samples of a class together, augmented, normalized. Batch k of
 * epoch e is a function of (seed, e, k), and what is done to a sample one of (seed, e, sample): a resumed training gets
 * what it would have got. */
#ifndef BATCH_H
#define BATCH_H

#include "dataset.h"

typedef struct batches batches;

/* Batches of the data's training split, as its augmentation says. The data must outlive them and not change. */
int batches_create(const dataset *data, int64_t batch_size, uint64_t seed, batches **made, problem *what);
void batches_destroy(batches *b);
/* The last batch of an epoch may be smaller than the others. */
int64_t batches_per_epoch(const batches *b);
/* How many samples; x (count x n_in, normalized) and labels point into b and are valid until the next call. */
int64_t batches_get(batches *b, int64_t epoch, int64_t batch, const float **x, const int32_t **labels);
/* The ball of this radius around the batch of the last batches_get, as far as it is valid pixels: lower and upper ends,
 * count x n_in, as x. */
int batches_ball(batches *b, int64_t count, double eps_normalized, const float **lower, const float **upper,
                 problem *what);

#endif
