/* Labelled images in memory, one byte per pixel as the sets are published. */
#ifndef DATASET_H
#define DATASET_H

#include "augment.h"
#include "problem.h"

#include <stdint.h>

#define DATASET_MAX_CHANNELS 3
#define DATASET_SPECS "digits, digits:TRAIN,TEST, mnist:DIR, fashion-mnist:DIR, cifar10:DIR or tiny-imagenet:DIR"

typedef struct dataset_split {
    int64_t count;
    uint8_t *pixels; /* count x channels x side x side; raw value = byte / 255 */
    int32_t *labels;
} dataset_split;

typedef struct dataset {
    char name[64];                          /* "mnist", "digits:10000,2000" */
    char note[512];                         /* what a user must know about these data, or "" */
    int64_t channels, side, classes;        /* of the images in memory */
    int64_t height, width_px, n_in;         /* of what a net takes: the whole image, or a crop of it */
    double mean[DATASET_MAX_CHANNELS], std; /* of the raw training images */
    const augmentation *augment;            /* of the training images */
    dataset_split train, test;              /* a split that was not asked for is empty */
} dataset;

enum { DATASET_TRAIN = 1, DATASET_TEST = 2 };

/* spec: one of DATASET_SPECS; TRAIN and TEST say how many images. seed: of the generated sets. splits: which to read.
 * Nets take whole images, augmented as in 2022. 0, or -1 with the problem told; data then owns nothing. */
int dataset_open(dataset *data, const char *spec, uint64_t seed, int splits, problem *what);
void dataset_close(dataset *data);
/* Augments as the recipes of that year (AUGMENT_FIRST_YEAR to AUGMENT_LAST_YEAR), and takes the crops that go with it:
 * random ones of training images, the centre of test images. */
void dataset_augment(dataset *data, int64_t year);
/* Takes the crops that a net of this input size was trained on. -1 when no recipe has such crops. */
int dataset_fit(dataset *data, int64_t height, int64_t width_px);
/* Room for count images of image_size bytes; 0 or -1. */
int dataset_split_alloc(dataset_split *split, int64_t count, int64_t image_size, problem *what);
void dataset_split_free(dataset_split *split);
/* Bytes of an image in memory. */
int64_t dataset_image_size(const dataset *data);
/* A number that changes with any pixel or label. */
uint64_t dataset_fingerprint(const dataset *data, const dataset_split *split);
/* A raw pixel of a channel as nets take it: what the library computes, rounded once. */
float dataset_normalized(const dataset *data, int64_t channel, float raw);
/* Raw pixels of count images from first on, or of their centres: count x n_in. */
void dataset_raw(const dataset *data, const dataset_split *split, int64_t first, int64_t count, float *raw);

#endif
