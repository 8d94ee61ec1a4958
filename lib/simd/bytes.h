/* Square blocks of bytes. */
#ifndef LFD_BYTES_H
#define LFD_BYTES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOCK_BYTES = 16 };

/* One of four steps to a transposed block: pairs of rows, half a block apart, are interleaved. */
static inline void interleave_16(const __m128i from[BLOCK_BYTES], __m128i to[BLOCK_BYTES]) {
    for (size_t i = 0; i < BLOCK_BYTES / 2; ++i) {
        to[2 * i] = _mm_unpacklo_epi8(from[i], from[i + BLOCK_BYTES / 2]);
        to[2 * i + 1] = _mm_unpackhi_epi8(from[i], from[i + BLOCK_BYTES / 2]);
    }
}

/* to[i] byte k = rows[k stride + i] for i < count <= BLOCK_BYTES; whole rows of a block are read. */
static inline void transpose_16(const uint8_t *rows, size_t stride, size_t count, uint8_t *to, size_t to_stride) {
    __m128i a[BLOCK_BYTES], b[BLOCK_BYTES];
    for (size_t k = 0; k < BLOCK_BYTES; ++k) a[k] = _mm_loadu_si128((const __m128i *)(const void *)(rows + k * stride));
    interleave_16(a, b);
    interleave_16(b, a);
    interleave_16(a, b);
    interleave_16(b, a);
    for (size_t i = 0; i < count; ++i) _mm_storeu_si128((__m128i *)(void *)(to + i * to_stride), a[i]);
}

#endif
