/* A small net on raw pixels, for the tests of certifiers, attacks and estimates. */
#ifndef PIXEL_SUPPORT_H
#define PIXEL_SUPPORT_H

#include "linfdist/linfdist.h"

enum { PIXEL_N_IN = 12, PIXEL_CLASSES = 4 };
extern const double pixel_means[3];
extern const double pixel_std;

/* Three channels of 2 x 2 pixels in [0, 1]; every class wins some of the pixels that pixel_values makes. */
linfdist_model *pixel_model(linfdist_context *from, uint64_t seed);
/* Pixels, some at the ends of the valid range. */
void pixel_values(float *x, size_t count, uint32_t seed);
void pixel_normalize(const float *x, float *normalized, int64_t samples);
/* Predictions of the floating-point net. */
void pixel_predict(linfdist_run *run, const float *x, int64_t samples, int32_t *predicted, float *margin);

#endif
