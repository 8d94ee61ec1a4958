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

/* One operation, one line. */
/* clang-format off */

static inline vf vf_set(float a) { return a; }
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
/* x = 2^exponent mantissa with the mantissa in [1, 2), for normal positive x. */
static inline vf vf_exponent(vf x) { return (vf)((vi_from_bits(x) >> 23) - 127); }
static inline vf vf_mantissa(vf x) { return vf_from_bits((vi_from_bits(x) & 0x007fffff) | 0x3f800000); }
/* The entry that the top four bits of x's mantissa choose. */
static inline vf vf_lookup(const float table[16], vf x) { return table[(vi_from_bits(x) >> 19) & 15]; }
/* 2^(k/8) for shifted = k/8 + 1.5 2^20, whose low bits are the integer k, from power.h's table. */
static inline vf vf_from_eighths(const int32_t table[16], vf shifted) {
    uint32_t k = (uint32_t)vi_from_bits(shifted);
    return vf_from_bits((vi)((uint32_t)table[k & 7] + (k << 20)));
}
/* a 2^k for shifted = k + 1.5 2^23, whose low bits are the integer k. */
static inline vf vf_scale_by_power(vf a, vf shifted) {
    return vf_from_bits((vi)((uint32_t)vi_from_bits(a) + ((uint32_t)vi_from_bits(shifted) << 23)));
}

/* clang-format on */

#endif
