/* How training images are varied: what the programs of the two papers do to each data set. */
#ifndef AUGMENT_H
#define AUGMENT_H

#include <stdint.h>

typedef struct augmentation {
    const char *set;    /* "cifar10" */
    int64_t year;       /* of the paper whose recipes do so */
    int64_t padding_px; /* a random crop after this much padding on each side */
    int zero_padding;   /* the padding is raw 0; otherwise the edge is repeated */
    int flips;          /* mirrored left to right, one time in two */
    int64_t crop_px;    /* side of the crop; 0: that of the image */
} augmentation;

#define AUGMENT_FIRST_YEAR 2021
#define AUGMENT_LAST_YEAR 2022

/* NULL when there is none. */
const augmentation *augment_find(const char *set, int64_t year);

#endif
