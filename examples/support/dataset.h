/* Labelled images in memory, one byte per pixel as the sets are published. */
#ifndef DATASET_H
#define DATASET_H

#include "problem.h"

#include <stdint.h>

#define DATASET_MAX_CHANNELS 3

typedef struct dataset_split {
    int64_t count;
    uint8_t *pixels; /* count x channels x height x width_px; raw value = byte / 255 */
    int32_t *labels;
} dataset_split;

typedef struct dataset {
    char name[64]; /* "mnist", "digits:10000,2000" */
    int64_t channels, height, width_px, n_in, classes;
    double mean[DATASET_MAX_CHANNELS], std; /* of the raw training images */
    int64_t crop_px;                        /* augmentation: random crop after this much edge padding */
    dataset_split train, test;              /* a split that was not asked for is empty */
} dataset;

enum { DATASET_TRAIN = 1, DATASET_TEST = 2 };

/* spec: "digits", "digits:TRAIN,TEST" (how many images) or "mnist:DIR". seed: of the generated sets. splits: which to
 * read. 0, or -1 with the problem told; data then owns nothing. */
int dataset_open(dataset *data, const char *spec, uint64_t seed, int splits, problem *what);
void dataset_close(dataset *data);
/* Room for count images; 0 or -1. */
int dataset_split_alloc(dataset_split *split, int64_t count, int64_t n_in, problem *what);
void dataset_split_free(dataset_split *split);
/* A number that changes with any pixel or label. */
uint64_t dataset_fingerprint(const dataset *data, const dataset_split *split);
/* Raw pixels of count images from first on, count x n_in. */
void dataset_raw(const dataset *data, const dataset_split *split, int64_t first, int64_t count, float *raw);

#endif
