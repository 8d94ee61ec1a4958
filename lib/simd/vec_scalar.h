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

static inline vf vf_load(const float *p) { return *p; }
static inline vf vf_abs(vf a) { return fabsf(a); }
/* max(a, |b|) for a >= +0. */
static inline vf vf_max_magnitude(vf a, vf b) { return fabsf(b) > a ? fabsf(b) : a; }
static inline vf vf_copysign(vf magnitude, vf sign) { return copysignf(magnitude, sign); }
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
/* a b + c, rounded once. Without such an instruction: the product is exact in double; if the sum is not, an odd last bit
 * keeps the second rounding from seeing a tie. */
static inline vf vf_multiply_add(vf a, vf b, vf c) {
#ifdef __FMA__
    return __builtin_fmaf(a, b, c);
#else
    double product = (double)a * b, sum = product + c, rest = sum - product;
    double error = (product - (sum - rest)) + (c - rest);
    int64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (error != 0.0 && !(bits & 1)) bits += (error > 0.0) == (sum > 0.0) ? 1 : -1;
    memcpy(&sum, &bits, sizeof sum);
    return (float)sum;
#endif
}
static inline vf vf_multiply_subtract(vf a, vf b, vf c) { return vf_multiply_add(a, b, -c); }
/* The entry whose number, modulo LFD_PIECES, the low bits of x are. */
static inline vf vf_lookup(const vf *table, vf x) { return table[vi_from_bits(x) & (LFD_PIECES - 1)]; }
/* density / c, which is in the table, for the piece c = x - 2^23, and density for c = 0. */
static inline vf vf_over_piece(const vf *table, vf density, vf x) {
    (void)density;
    return vf_lookup(table, x);
}
/* The entry that the top four bits of x's mantissa choose. */
static inline vf vf_lookup_16(const float table[16], vf x) { return table[(vi_from_bits(x) >> 19) & 15]; }
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
