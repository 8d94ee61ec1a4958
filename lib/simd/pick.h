/* Eight numbers from anywhere in one vector. */
#ifndef LFD_PICK_H
#define LFD_PICK_H

#include <immintrin.h>
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

#endif
