/* The vector vocabulary on AVX-512 (F, DQ, BW, VL): 16 floats. */
#ifndef LFD_VEC_AVX512_H
#define LFD_VEC_AVX512_H

#include "bytes.h"
#include "pick.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LANES = 16,
    BYTES = 64,
    LINF_ROWS_X = 6, /* register tile of a few rows: 24 accumulators of 32 registers */
    LINF_ROWS_W = 4,
    LINF_TALL = 16, /* register tiles of packed rows, by one vector of outputs: the usual one and that of the rest */
    LINF_WIDE = 1,
    LINF_SHORT = 8,
    BOUNDS_ROWS_X = 3, /* two accumulators each */
    BOUNDS_ROWS_W = 4,
    BOUNDS_TALL = 8,
    BOUNDS_SHORT = 4,
    PANEL_ROWS_X = 6,   /* register tile of the l_p forward: rows of x by two vectors of outputs */
    GENERAL_ROWS_X = 2, /* the same for any p */
    GRADIENT_ROWS_X = 3,
    GRADIENT_ROWS_W = 4
};

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;
typedef __m512i vb; /* of bytes */

/* One operation, one line. */
/* clang-format off */

static inline __mmask16 lane_mask(size_t count) { return (__mmask16)((1u << count) - 1u); }

static inline vf vf_set(float a) { return _mm512_set1_ps(a); }
static inline vi vi_set(int32_t a) { return _mm512_set1_epi32(a); }
static inline vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
/* The first count < LANES lanes; the others are 0 and their memory is not touched. */
static inline vf vf_load_part(const float *p, size_t count) { return _mm512_maskz_loadu_ps(lane_mask(count), p); }
static inline void vf_store_part(float *p, vf a, size_t count) { _mm512_mask_storeu_ps(p, lane_mask(count), a); }

static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
/* a b + c and a b - c, rounded once. */
static inline vf vf_multiply_add(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_multiply_subtract(vf a, vf b, vf c) { return _mm512_fmsub_ps(a, b, c); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm512_abs_ps(a); }
/* 1. Clang must not know: it would make of a * 1 - b a subtraction, which competes with vf_max_magnitude for ports. */
static inline vf vf_one(void) {
    vf one = _mm512_set1_ps(1.0f);
#if defined(__clang__)
    __asm__("" : "+v"(one));
#endif
    return one;
}
/* a - b as the fused a * 1 - b: the same rounding, on the multipliers' ports. */
static inline vf vf_difference(vf a, vf b) { return _mm512_fmsub_ps(a, vf_one(), b); }
/* The same with one number for all lanes of one side, straight from memory. Clang must be told: it would load the number
 * into a register, and on Zen 4 a fused step that reads three registers takes half as long again. */
static inline vf vf_number_minus(const float *a, vf b) {
#if defined(__clang__)
    __asm__("vfmsub231ps %1%{1to16%}, %2, %0" : "+v"(b) : "m"(*a), "v"(vf_one()));
    return b;
#else
    return vf_difference(_mm512_set1_ps(*a), b);
#endif
}
static inline vf vf_minus_number(vf a, const float *b) {
#if defined(__clang__)
    __asm__("vfmsub213ps %1%{1to16%}, %2, %0" : "+v"(a) : "m"(*b), "v"(vf_one()));
    return a;
#else
    return vf_difference(a, _mm512_set1_ps(*b));
#endif
}
/* max(a, |b|) for a >= +0, in one instruction. */
static inline vf vf_max_magnitude(vf a, vf b) { return _mm512_range_ps(a, b, 0x0b); }
/* max(a, t1, t2) for a >= +0, and min(a, t1, t2) for a <= -0. Integers compare such numbers on any port, floats on the
 * adders': three of these four belong there, since the multipliers' ports have the two differences. Of two zeros the
 * second operand is taken. */
static inline vf vf_highest(vf a, vf t1, vf t2) { return _mm512_max_ps(t2, _mm512_max_ps(t1, a)); }
static inline vf vf_lowest(vf a, vf t1, vf t2) {
    __m512i lower = _mm512_max_epu32(_mm512_castps_si512(a), _mm512_castps_si512(t1));
    return _mm512_min_ps(t2, _mm512_castsi512_ps(lower));
}
static inline vf vf_copysign(vf magnitude, vf sign) {
    __m512i bits = _mm512_ternarylogic_epi32(_mm512_castps_si512(magnitude), _mm512_castps_si512(sign),
                                             _mm512_set1_epi32(INT32_MIN), 0xd8); /* third ? second : first */
    return _mm512_castsi512_ps(bits);
}

static inline vm vf_at_least(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
static inline vm vf_less(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline vm vf_equal(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
/* Not by conversion: where registers are short, GCC 12 stores the mask as 16 bits and loads 32. */
static inline uint32_t vm_bits(vm m) {
    uint32_t bits;
    __asm__("kmovw %1, %0" : "=r"(bits) : "k"(m));
    return bits;
}
static inline vm vm_either(vm a, vm b) { return a | b; }
/* a where the mask is set, b elsewhere. */
static inline vf vf_select(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
/* a where the mask is set, 0 elsewhere. */
static inline vf vf_keep(vm m, vf a) { return _mm512_maskz_mov_ps(m, a); }
static inline vf vf_sign(vf a) {
    vf one = vf_copysign(_mm512_set1_ps(1.0f), a);
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_NEQ_OQ), one);
}

/* Sets the lanes that the mask chooses. */
static inline void mark_lanes(uint16_t *p, vm m, int32_t a) {
    __m256i all = _mm256_loadu_si256((const __m256i *)(const void *)p);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_mask_mov_epi16(all, m, _mm256_set1_epi16((int16_t)a)));
}
/* Integers as they are, in lanes of floats. */
static inline vf vf_bits(vi a) { return _mm512_castsi512_ps(a); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
/* x = 2^exponent mantissa with the mantissa in [1, 2), for normal positive x. */
static inline vf vf_exponent(vf x) { return _mm512_getexp_ps(x); }
static inline vf vf_mantissa(vf x) { return _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src); }
/* The entry whose number, modulo LFD_PIECES, the low bits of x are. */
static inline vf vf_lookup(const vf *table, vf x) {
    return _mm512_permutex2var_ps(table[0], _mm512_castps_si512(x), table[1]);
}
/* density / c, which is in the table, for the piece c = x - 2^23, and density for c = 0. */
static inline vf vf_over_piece(const vf *table, vf density, vf x) {
    (void)density;
    return vf_lookup(table, x);
}
/* The entry that the top four bits of x's mantissa choose. */
static inline vf vf_lookup_16(const float table[16], vf x) {
    return _mm512_permutexvar_ps(_mm512_srli_epi32(_mm512_castps_si512(x), 19), _mm512_loadu_ps(table));
}
/* 2^(k/8) for shifted = k/8 + 1.5 2^20, whose low bits are the integer k, from power.h's table. */
static inline vf vf_from_eighths(const int32_t table[16], vf shifted) {
    __m512i k = _mm512_castps_si512(shifted);
    __m512i bits = _mm512_permutexvar_epi32(k, _mm512_loadu_si512(table));
    return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_slli_epi32(k, 20)));
}
/* a 2^k for shifted = k + 1.5 2^23, whose low bits are the integer k. */
static inline vf vf_scale_by_power(vf a, vf shifted) {
    __m512i power = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), power));
}

/* Writes the lanes of a that the mask chooses, in order; what follows them up to LANES is overwritten too (faster than
 * a compressing store). */
static inline void vi_compress_store(int32_t *p, vi a, vm m) {
    _mm512_storeu_si512(p, _mm512_maskz_compress_epi32(m, a));
}
static inline vi vi_lane_numbers(void) {
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

static inline vf four_rows(const float *const *rows, size_t i) {
    vf four = _mm512_castps128_ps512(_mm_loadu_ps(rows[0] + i));
    four = _mm512_mask_broadcast_f32x4(four, 0x00f0, _mm_loadu_ps(rows[4] + i));
    four = _mm512_mask_broadcast_f32x4(four, 0x0f00, _mm_loadu_ps(rows[8] + i));
    return _mm512_mask_broadcast_f32x4(four, 0xf000, _mm_loadu_ps(rows[12] + i));
}
/* out[c] = column i + c of LANES rows. */
static inline void vf_columns_4(vf out[4], const float *const *rows, size_t i) {
    vf a = four_rows(rows, i), b = four_rows(rows + 1, i), c = four_rows(rows + 2, i), d = four_rows(rows + 3, i);
    __m512d ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b)), cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
    out[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
    out[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd));
    ab = _mm512_castps_pd(_mm512_unpackhi_ps(a, b)), cd = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
    out[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
    out[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd));
}
/* Lane i of vector j <-> lane j of vector i. */
static inline void vf_transpose(vf v[16]) {
    vf t[16];
    for (int i = 0; i < 16; i += 4) { /* within the quarters: 4 x 4 blocks */
        vf a = _mm512_unpacklo_ps(v[i], v[i + 1]), b = _mm512_unpackhi_ps(v[i], v[i + 1]);
        vf c = _mm512_unpacklo_ps(v[i + 2], v[i + 3]), d = _mm512_unpackhi_ps(v[i + 2], v[i + 3]);
        t[i] = _mm512_shuffle_ps(a, c, 0x44), t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm512_shuffle_ps(b, d, 0x44), t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; ++i) { /* then the blocks */
        vf a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88), b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
        vf c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88), d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
        v[i] = _mm512_shuffle_f32x4(a, c, 0x88), v[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        v[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88), v[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}
/* x[columns[i]] in lane i. */
static inline vf vf_pick(const float *x, const uint16_t *columns) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(pick_8(x, columns)), pick_8(x, columns + 8), 1);
}
/* In each quarter the pairs of two of its four columns: the first two, or second. */
static inline vf vf_pick_pairs(const float *pairs, const uint16_t *columns, int second) {
    const uint16_t *c = columns + 2 * second;
    return _mm512_insertf32x8(_mm512_castps256_ps512(pick_pairs(pairs, c[0], c[1], c[4], c[5])),
                              pick_pairs(pairs, c[8], c[9], c[12], c[13]), 1);
}
/* The numbers that go with such pairs, and one number of each of both halves' pairs. */
static inline vf vf_double(vf a, int second) { return second ? _mm512_unpackhi_ps(a, a) : _mm512_unpacklo_ps(a, a); }
static inline vf vf_of_pairs(vf first, vf second) { return _mm512_shuffle_ps(first, second, 0x88); }
static inline vf vf_swap_pairs(vf a) { return _mm512_permute_ps(a, 0xb1); }
static inline vf vf_flip_lower(vf a) { return _mm512_xor_ps(a, _mm512_castsi512_ps(_mm512_set1_epi64(0x80000000))); }
/* One number from each of LANES places. */
static inline vf vf_gather(float *const p[16]) {
    return _mm512_setr_ps(*p[0], *p[1], *p[2], *p[3], *p[4], *p[5], *p[6], *p[7], *p[8], *p[9], *p[10], *p[11], *p[12],
                          *p[13], *p[14], *p[15]);
}

/* Bytes. */
static inline vb vb_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline void vb_store(uint8_t *p, vb a) { _mm512_storeu_si512(p, a); }
static inline vb vb_set(uint8_t a) { return _mm512_set1_epi8((char)a); }
static inline vb vb_add_up_to_255(vb a, vb b) { return _mm512_adds_epu8(a, b); }
static inline vb vb_min(vb a, vb b) { return _mm512_min_epu8(a, b); }
static inline vb vb_max(vb a, vb b) { return _mm512_max_epu8(a, b); }
static inline vb vb_complement(vb a) { return _mm512_xor_si512(a, _mm512_set1_epi8(-1)); }
/* Of each 16 lanes' table, the entries that the lower four bits name; 0 where an index is negative. */
static inline vb vb_pick_16(vb table, vb index) { return _mm512_shuffle_epi8(table, index); }
/* One bit per lane. */
static inline uint64_t vb_bits_below(vb a, vb b) { return _mm512_cmplt_epu8_mask(a, b); }
static inline vb vb_repeat_16(const uint8_t *p) { return _mm512_broadcast_i32x4(vb16_load(p)); }
static inline vb vb_xor(vb a, vb b) { return _mm512_xor_si512(a, b); }
static inline vb vb_subtract(vb a, vb b) { return _mm512_sub_epi8(a, b); }
/* Numbers of 0 to 255, rounded towards 0. */
static inline void vf_store_bytes(uint8_t *p, vf a) { _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(a))); }
static inline int vb_any_above(vb a, uint8_t most) { return _mm512_cmpgt_epu8_mask(a, vb_set(most)) != 0; }

/* out[i] = the largest lane of the i-th vector. */
static inline void vf_max_lanes_4(float out[4], vf a, vf b, vf c, vf d) {
    vf ab = vf_max(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
    vf cd = vf_max(_mm512_shuffle_f32x4(c, d, 0x88), _mm512_shuffle_f32x4(c, d, 0xdd));
    vf all = vf_max(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    all = vf_max(all, _mm512_permute_ps(all, 0x4e));
    all = vf_max(all, _mm512_permute_ps(all, 0xb1));
    __m512i firsts = _mm512_castsi128_si512(_mm_setr_epi32(0, 4, 8, 12));
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, all)));
}

/* clang-format on */

#endif
