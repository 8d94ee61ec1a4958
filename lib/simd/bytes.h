/* Sixteen bytes, and square blocks of them. */
#ifndef LFD_BYTES_H
#define LFD_BYTES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOCK_BYTES = 16 };

typedef __m128i vb16;

/* One operation, one line, as the vocabularies have them for their own vectors of bytes. */
/* clang-format off */

static inline vb16 vb16_load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
static inline void vb16_store(uint8_t *p, vb16 a) { _mm_storeu_si128((__m128i *)(void *)p, a); }
static inline vb16 vb16_set(uint8_t a) { return _mm_set1_epi8((char)a); }
static inline vb16 vb16_add_up_to_255(vb16 a, vb16 b) { return _mm_adds_epu8(a, b); }
static inline vb16 vb16_min(vb16 a, vb16 b) { return _mm_min_epu8(a, b); }
static inline vb16 vb16_xor(vb16 a, vb16 b) { return _mm_xor_si128(a, b); }
static inline vb16 vb16_complement(vb16 a) { return _mm_xor_si128(a, _mm_set1_epi8(-1)); }
static inline int vb16_any_above(vb16 a, uint8_t most) {
    const vb16 over = _mm_subs_epu8(a, vb16_set(most));
    return !_mm_testz_si128(over, over);
}

/* clang-format on */

/* One of four steps to a transposed block: pairs of rows, half a block apart, are interleaved. */
static inline void interleave_16(const vb16 from[BLOCK_BYTES], vb16 to[BLOCK_BYTES]) {
    for (size_t i = 0; i < BLOCK_BYTES / 2; ++i) {
        to[2 * i] = _mm_unpacklo_epi8(from[i], from[i + BLOCK_BYTES / 2]);
        to[2 * i + 1] = _mm_unpackhi_epi8(from[i], from[i + BLOCK_BYTES / 2]);
    }
}

/* to[i] byte k = rows[k stride + i] for i < count <= BLOCK_BYTES; whole rows of a block are read. */
static inline void transpose_16(const uint8_t *rows, size_t stride, size_t count, uint8_t *to, size_t to_stride) {
    vb16 a[BLOCK_BYTES], b[BLOCK_BYTES];
    for (size_t k = 0; k < BLOCK_BYTES; ++k) a[k] = vb16_load(rows + k * stride);
    interleave_16(a, b);
    interleave_16(b, a);
    interleave_16(a, b);
    interleave_16(b, a);
    for (size_t i = 0; i < count; ++i) vb16_store(to + i * to_stride, a[i]);
}

#endif
