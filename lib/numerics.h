/* What every implementation of the kernels shares because it decides bits. */
#ifndef LFD_NUMERICS_H
#define LFD_NUMERICS_H

#include "kernels.h"

#include <math.h>

/* Distances below this are scaled by 2^100 before their reciprocal and their cut are formed. */
#define LFD_TINY 0x1p-40f
#define LFD_TINY_SCALE 0x1p100f
#define LFD_TINY_UNSCALE 0x1p-100f

/* A plain (not normalised) sum of integer powers counts when it lies in this range: nothing overflowed, and what
 * underflowed is below 2^-66 n of it. */
#define LFD_SUM_LOW 0x1p-60f
#define LFD_SUM_HIGH 0x1p100f

/* Gradients of small integer powers take the distance's power into the upstream gradient where the distance and that
 * product lie in these ranges: nothing overflows, and what underflows is below 2^-86 of the upstream gradient. */
#define LFD_PLAIN_LOW 0x1p-9f
#define LFD_PLAIN_HIGH 0x1p16f
#define LFD_PLAIN_FACTOR_LOW 0x1p-100f
#define LFD_PLAIN_FACTOR_HIGH 0x1p100f

/* The gradient through |difference|: with its sign, 0 where it is 0. Signs are as good as random, so they are not
 * branched on. */
static inline float lfd_signed_gradient(float difference, float gradient) {
    return difference == 0.0f ? 0.0f : copysignf(1.0f, difference) * gradient;
}

/* (top - x) scale - shift, rounded to the nearest code. */
static inline uint8_t lfd_code_of(float x, float top, float scale, float shift) {
    const float steps = (top - x) * scale - shift, most = (float)LFD_CODE_MOST;
    const float inside = steps > 0.0f ? steps < most ? steps : most : 0.0f;
    return (uint8_t)(inside + 0.5f);
}

#endif
