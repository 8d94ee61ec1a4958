/* The vector vocabulary with one lane: what the reference uses for elementwise functions that it shares, operation for
 * operation, with the vector kernels. */
#ifndef LFD_VEC_SCALAR_H
#define LFD_VEC_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 1 };
typedef float vf;
typedef int32_t vi;

static inline vf vf_set(float a) { return a; }
static inline vi vi_set(int32_t a) { return a; }
static inline vf vf_add(vf a, vf b) { return a + b; }
static inline vf vf_sub(vf a, vf b) { return a - b; }
static inline vf vf_mul(vf a, vf b) { return a * b; }

static inline vf vf_abs(vf a) { return fabsf(a); }
static inline vf vf_sign(vf a) { return a > 0.0f ? 1.0f : a < 0.0f ? -1.0f : 0.0f; }
static inline vf vf_sqrt(vf a) { return sqrtf(a); }

static inline vi vi_from_bits(vf a) {
    vi bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
static inline vf vf_from_bits(vi a) {
    vf bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
/* Wrapping, as vector instructions do. */
static inline vi vi_add(vi a, vi b) { return (vi)((uint32_t)a + (uint32_t)b); }
static inline vi vi_sub(vi a, vi b) { return (vi)((uint32_t)a - (uint32_t)b); }
static inline vi vi_shift_left_23(vi a) { return (vi)((uint32_t)a << 23); }
static inline vi vi_shift_right_23(vi a) { return a >> 23; } /* arithmetic, as every compiler we support does */
static inline vf vf_from_int(vi a) { return (vf)a; }

#endif
