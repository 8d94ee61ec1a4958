/* Numbers from anywhere in one vector of eight. */
#ifndef LFD_PICK_H
#define LFD_PICK_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* x[columns[i]] in lane i. A gather would take 0.8 times as long, but many times as long on processors whose microcode
 * guards it against data sampling. */
static inline __m256 pick_8(const float *x, const uint16_t *columns) {
    __m256 picked = _mm256_broadcast_ss(x + columns[0]);
    picked = _mm256_blend_ps(picked, _mm256_broadcast_ss(x + columns[1]), 0x02);
    picked = _mm256_blend_ps(picked, _mm256_broadcast_ss(x + columns[2]), 0x04);
    picked = _mm256_blend_ps(picked, _mm256_broadcast_ss(x + columns[3]), 0x08);
    picked = _mm256_blend_ps(picked, _mm256_broadcast_ss(x + columns[4]), 0x10);
    picked = _mm256_blend_ps(picked, _mm256_broadcast_ss(x + columns[5]), 0x20);
    picked = _mm256_blend_ps(picked, _mm256_broadcast_ss(x + columns[6]), 0x40);
    return _mm256_blend_ps(picked, _mm256_broadcast_ss(x + columns[7]), 0x80);
}

/* The largest |x - w| of eight columns. */
static inline float largest_of_8(const float *x, const uint16_t *columns, const float *w) {
    const __m256 t = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_sub_ps(pick_8(x, columns), _mm256_loadu_ps(w)));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

static inline __m256i pair_at(const float *pairs, size_t column) {
    return _mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)(const void *)(pairs + 2 * column)));
}

/* The pairs of columns a, b, c and d. */
static inline __m256 pick_pairs(const float *pairs, size_t a, size_t b, size_t c, size_t d) {
    __m256i picked = _mm256_blend_epi32(pair_at(pairs, a), pair_at(pairs, b), 0x0c);
    picked = _mm256_blend_epi32(picked, pair_at(pairs, c), 0x30);
    return _mm256_castsi256_ps(_mm256_blend_epi32(picked, pair_at(pairs, d), 0xc0));
}

/* Of pairs l - w, u - w: w - l, u - w. */
static inline __m256 flip_lower(__m256 a) {
    return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi64x(0x80000000)));
}

/* Of eight columns and their pairs l, u: the largest of all w - l and u - w, and the largest of all l - w and w - u. */
static inline void pair_extremes(const float *pairs, const uint16_t *columns, const float *w, float *most,
                                 float *least) {
    const __m256 ws = _mm256_loadu_ps(w);
    const __m256 a = pick_pairs(pairs, columns[0], columns[1], columns[4], columns[5]);
    const __m256 b = pick_pairs(pairs, columns[2], columns[3], columns[6], columns[7]);
    const __m256 s = flip_lower(_mm256_sub_ps(a, _mm256_unpacklo_ps(ws, ws)));
    const __m256 t = flip_lower(_mm256_sub_ps(b, _mm256_unpackhi_ps(ws, ws)));
    const __m256 high = _mm256_max_ps(s, t), low = _mm256_sub_ps(_mm256_setzero_ps(), _mm256_min_ps(s, t));
    const __m256 both = _mm256_max_ps(_mm256_unpacklo_ps(high, low), _mm256_unpackhi_ps(high, low));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    *most = _mm_cvtss_f32(four);
    *least = _mm_cvtss_f32(_mm_movehdup_ps(four));
}

#endif
