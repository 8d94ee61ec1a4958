/* The vector vocabulary on AVX2 and FMA: 8 floats. */
#ifndef LFD_VEC_AVX2_H
#define LFD_VEC_AVX2_H

#include "bytes.h"
#include "compress_table.h"
#include "pick.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LANES = 8,
    BYTES = 32,
    LINF_ROWS_X = 2, /* register tiles of 16 registers in all */
    LINF_ROWS_W = 4,
    LINF_TALL = 4, /* packed rows, by two vectors of outputs */
    LINF_WIDE = 2,
    LINF_SHORT = 4,
    BOUNDS_ROWS_X = 1,
    BOUNDS_ROWS_W = 4,
    BOUNDS_TALL = 4,
    BOUNDS_SHORT = 4,
    PANEL_ROWS_X = 4,
    GENERAL_ROWS_X = 2,
    GRADIENT_ROWS_X = 4,
    GRADIENT_ROWS_W = 2
};

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;  /* all ones or all zeros per lane */
typedef __m256i vb; /* of bytes */

/* One operation, one line. */
/* clang-format off */

static inline __m256i lane_mask(size_t count) {
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - count));
}

static inline vf vf_set(float a) { return _mm256_set1_ps(a); }
static inline vi vi_set(int32_t a) { return _mm256_set1_epi32(a); }
static inline vi vi_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
/* The first count < LANES lanes; the others are 0 and their memory is not touched. */
static inline vf vf_load_part(const float *p, size_t count) { return _mm256_maskload_ps(p, lane_mask(count)); }
static inline void vf_store_part(float *p, vf a, size_t count) { _mm256_maskstore_ps(p, lane_mask(count), a); }

static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
/* a b + c and a b - c, rounded once. */
static inline vf vf_multiply_add(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf vf_multiply_subtract(vf a, vf b, vf c) { return _mm256_fmsub_ps(a, b, c); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
/* a - b as the fused a * 1 - b: the same rounding, on the multipliers' ports. */
static inline vf vf_difference(vf a, vf b) { return _mm256_fmsub_ps(a, _mm256_set1_ps(1.0f), b); }
/* With one number for all lanes of one side: a plain subtraction, since all ports are busy alike. */
static inline vf vf_number_minus(const float *a, vf b) { return _mm256_sub_ps(_mm256_set1_ps(*a), b); }
static inline vf vf_minus_number(vf a, const float *b) { return _mm256_sub_ps(a, _mm256_set1_ps(*b)); }
/* max(a, b) for a >= +0, and min(a, b) for a <= -0: as integers, which every port compares. */
static inline vf vf_max_above_zero(vf a, vf b) {
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
static inline vf vf_min_below_zero(vf a, vf b) {
    return _mm256_castsi256_ps(_mm256_max_epu32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
/* max(a, t1, t2) for a >= +0, and min(a, t1, t2) for a <= -0. */
static inline vf vf_highest(vf a, vf t1, vf t2) { return vf_max_above_zero(vf_max_above_zero(a, t1), t2); }
static inline vf vf_lowest(vf a, vf t1, vf t2) { return vf_min_below_zero(vf_min_below_zero(a, t1), t2); }
/* max(a, |b|) for a >= +0. */
static inline vf vf_max_magnitude(vf a, vf b) { return vf_max_above_zero(a, vf_abs(b)); }
static inline vf vf_copysign(vf magnitude, vf sign) {
    vf sign_bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign_bit, magnitude), _mm256_and_ps(sign_bit, sign));
}

static inline vm vf_at_least(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
static inline vm vf_less(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline vm vf_equal(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
static inline uint32_t vm_bits(vm m) { return (uint32_t)_mm256_movemask_ps(m); }
static inline vm vm_either(vm a, vm b) { return _mm256_or_ps(a, b); }
/* a where the mask is set, b elsewhere. */
static inline vf vf_select(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
/* a where the mask is set, 0 elsewhere. */
static inline vf vf_keep(vm m, vf a) { return _mm256_and_ps(m, a); }
static inline vf vf_sign(vf a) {
    vf one = vf_copysign(_mm256_set1_ps(1.0f), a);
    return _mm256_and_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_NEQ_OQ), one);
}

/* Sets the lanes that the mask chooses. */
static inline void mark_lanes(uint16_t *p, vm m, int32_t a) {
    __m128i all = _mm_loadu_si128((const __m128i *)(const void *)p), half = _mm_castps_si128(_mm256_castps256_ps128(m));
    __m128i where = _mm_packs_epi32(half, _mm_castps_si128(_mm256_extractf128_ps(m, 1)));
    _mm_storeu_si128((__m128i *)(void *)p, _mm_blendv_epi8(all, _mm_set1_epi16((int16_t)a), where));
}
/* Integers as they are, in lanes of floats. */
static inline vf vf_bits(vi a) { return _mm256_castsi256_ps(a); }
static inline vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
/* x = 2^exponent mantissa with the mantissa in [1, 2), for normal positive x. */
static inline vf vf_exponent(vf x) {
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(_mm256_castps_si256(x), 23), _mm256_set1_epi32(127)));
}
static inline vf vf_mantissa(vf x) {
    vf bits = _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x007fffff)));
    return _mm256_or_ps(bits, _mm256_set1_ps(1.0f));
}
/* The entry whose number, modulo LFD_PIECES, the low bits of x are. */
static inline vf vf_lookup(const vf *table, vf x) {
    __m256i number = _mm256_castps_si256(x);
    __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(number, 28));
    __m256 bit4 = _mm256_castsi256_ps(_mm256_slli_epi32(number, 27));
    __m256 a = _mm256_permutevar8x32_ps(table[0], number), b = _mm256_permutevar8x32_ps(table[1], number);
    __m256 c = _mm256_permutevar8x32_ps(table[2], number), d = _mm256_permutevar8x32_ps(table[3], number);
    return _mm256_blendv_ps(_mm256_blendv_ps(a, b, bit3), _mm256_blendv_ps(c, d, bit3), bit4);
}
/* density / c for the piece c = x - 2^23, and density for c = 0: a table of 32 is slower. */
static inline vf vf_over_piece(const vf *table, vf density, vf x) {
    (void)table;
    vf one = _mm256_set1_ps(1.0f);
    return _mm256_div_ps(density, _mm256_max_ps(_mm256_sub_ps(x, _mm256_set1_ps(0x1p23f)), one));
}
/* The entry that the top four bits of x's mantissa choose. */
static inline vf vf_lookup_16(const float table[16], vf x) {
    __m256i index = _mm256_srli_epi32(_mm256_castps_si256(x), 19);
    vf low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), index);
    vf high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), index);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}
/* 2^(k/8) for shifted = k/8 + 1.5 2^20, whose low bits are the integer k, from power.h's table. */
static inline vf vf_from_eighths(const int32_t table[16], vf shifted) {
    __m256i k = _mm256_castps_si256(shifted);
    __m256i bits = _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const __m256i *)(const void *)table), k);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_slli_epi32(k, 20)));
}
/* a 2^k for shifted = k + 1.5 2^23, whose low bits are the integer k. */
static inline vf vf_scale_by_power(vf a, vf shifted) {
    __m256i power = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), power));
}

static inline __m256i compress_lanes(vm m) {
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)compress_table[vm_bits(m)]));
}
/* Writes the lanes of a that the mask chooses, in order; what follows them up to LANES is overwritten too. */
static inline void vi_compress_store(int32_t *p, vi a, vm m) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permutevar8x32_epi32(a, compress_lanes(m)));
}
static inline vi vi_lane_numbers(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }

static inline vf two_rows(const float *const *rows, size_t i) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows[0] + i)), _mm_loadu_ps(rows[4] + i), 1);
}
/* out[c] = column i + c of LANES rows. */
static inline void vf_columns_4(vf out[4], const float *const *rows, size_t i) {
    vf a = two_rows(rows, i), b = two_rows(rows + 1, i), c = two_rows(rows + 2, i), d = two_rows(rows + 3, i);
    __m256d ab = _mm256_castps_pd(_mm256_unpacklo_ps(a, b)), cd = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
    out[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd));
    out[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd));
    ab = _mm256_castps_pd(_mm256_unpackhi_ps(a, b)), cd = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
    out[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd));
    out[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd));
}
/* Lane i of vector j <-> lane j of vector i. */
static inline void vf_transpose(vf v[8]) {
    vf t[8];
    for (int i = 0; i < 8; i += 4) { /* within the halves: 4 x 4 blocks */
        vf a = _mm256_unpacklo_ps(v[i], v[i + 1]), b = _mm256_unpackhi_ps(v[i], v[i + 1]);
        vf c = _mm256_unpacklo_ps(v[i + 2], v[i + 3]), d = _mm256_unpackhi_ps(v[i + 2], v[i + 3]);
        t[i] = _mm256_shuffle_ps(a, c, 0x44), t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm256_shuffle_ps(b, d, 0x44), t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; ++i) { /* then the blocks */
        v[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
}
/* x[columns[i]] in lane i. */
static inline vf vf_pick(const float *x, const uint16_t *columns) { return pick_8(x, columns); }
/* In each quarter the pairs of two of its four columns: the first two, or second. */
static inline vf vf_pick_pairs(const float *pairs, const uint16_t *columns, int second) {
    const uint16_t *c = columns + 2 * second;
    return pick_pairs(pairs, c[0], c[1], c[4], c[5]);
}
/* The numbers that go with such pairs, and one number of each of both halves' pairs. */
static inline vf vf_double(vf a, int second) { return second ? _mm256_unpackhi_ps(a, a) : _mm256_unpacklo_ps(a, a); }
static inline vf vf_of_pairs(vf first, vf second) { return _mm256_shuffle_ps(first, second, 0x88); }
static inline vf vf_swap_pairs(vf a) { return _mm256_permute_ps(a, 0xb1); }
static inline vf vf_flip_lower(vf a) { return flip_lower(a); }
/* One number from each of LANES places. */
static inline vf vf_gather(float *const p[8]) {
    return _mm256_setr_ps(*p[0], *p[1], *p[2], *p[3], *p[4], *p[5], *p[6], *p[7]);
}

static inline __m128 half_max(vf a) {
    return _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
}

/* Bytes. */
static inline vb vb_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
static inline void vb_store(uint8_t *p, vb a) { _mm256_storeu_si256((__m256i *)(void *)p, a); }
static inline vb vb_set(uint8_t a) { return _mm256_set1_epi8((char)a); }
static inline vb vb_add_up_to_255(vb a, vb b) { return _mm256_adds_epu8(a, b); }
static inline vb vb_min(vb a, vb b) { return _mm256_min_epu8(a, b); }
static inline vb vb_max(vb a, vb b) { return _mm256_max_epu8(a, b); }
static inline vb vb_complement(vb a) { return _mm256_xor_si256(a, _mm256_set1_epi8(-1)); }
/* Of each 16 lanes' table, the entries that the lower four bits name; 0 where an index is negative. */
static inline vb vb_pick_16(vb table, vb index) { return _mm256_shuffle_epi8(table, index); }
/* One bit per lane. */
static inline uint64_t vb_bits_below(vb a, vb b) { return (uint32_t)~_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(a, b), b)); }
static inline vb vb_repeat_16(const uint8_t *p) { return _mm256_broadcastsi128_si256(vb16_load(p)); }
static inline vb vb_xor(vb a, vb b) { return _mm256_xor_si256(a, b); }
static inline vb vb_subtract(vb a, vb b) { return _mm256_sub_epi8(a, b); }
/* Numbers of 0 to 255, rounded towards 0. */
static inline void vf_store_bytes(uint8_t *p, vf a) {
    const __m256i whole = _mm256_cvttps_epi32(a);
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(words, words));
}
static inline int vb_any_above(vb a, uint8_t most) {
    const vb over = _mm256_subs_epu8(a, vb_set(most));
    return !_mm256_testz_si256(over, over);
}

/* out[i] = the largest lane of the i-th vector. */
static inline void vf_max_lanes_4(float out[4], vf a, vf b, vf c, vf d) {
    __m128 r0 = half_max(a), r1 = half_max(b), r2 = half_max(c), r3 = half_max(d);
    _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
    _mm_storeu_ps(out, _mm_max_ps(_mm_max_ps(r0, r1), _mm_max_ps(r2, r3)));
}

/* clang-format on */

#endif
