/* A generator of hand-drawn-like digits: 28 x 28 pixels, our own pen strokes under random pens, slants and noise. No
 * file needed, the same bytes on every machine. */
#ifndef DIGITS_H
#define DIGITS_H

#include "dataset.h"
#include "rng.h"

#define DIGITS_TRAIN_COUNT 10000
#define DIGITS_TEST_COUNT 2000
/* Of the training images, measured and rounded. */
#define DIGITS_MEAN 0.1472
#define DIGITS_STD 0.2929

/* Fills an empty split with count images. Image i depends on (seed, split, i) alone; split: RNG_DIGITS_TRAIN or
 * RNG_DIGITS_TEST. */
int digits_generate(dataset_split *images, int64_t count, uint64_t seed, enum rng_purpose split, problem *what);

#endif
