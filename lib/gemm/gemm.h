/* Dense matrix products on the calling thread; gemm.c is the one place that includes blis.h.
 *
 * lfd_gemm_tile multiplies float factors in double. A product of two floats is exact there, so only additions round,
 * and they come in one fixed order: ascending within blocks of LFD_GEMM_DEPTH, then block by block. Every instruction
 * set therefore gives the same bits, fused or not, wherever in a matrix the tile lies. */
#ifndef LFD_GEMM_H
#define LFD_GEMM_H

#include <stddef.h>

/* The largest tile: whole multiples of what each micro-kernel computes at once. */
enum {
    LFD_GEMM_ROWS = 168,
    LFD_GEMM_COLUMNS = 192,
    LFD_GEMM_DEPTH = 128, /* indices of the sum that are added up before they are added to the result; decides bits */
    LFD_GEMM_TERMS = 2    /* most terms per index */
};

/* One factor, read piece by piece, so that it may be a matrix, its transpose, a part of its entries, or the patches of
 * a convolution without a copy. `outer` is a row of a or a column of b; for the indices first .. first + count of the
 * sum it puts out `terms` values each, side by side. */
typedef struct lfd_gemm_factor {
    void (*read)(const void *data, size_t outer, size_t first, size_t count, float *values);
    const void *data;
} lfd_gemm_factor;

/* c = a b: c_ij = sum over k, in ascending order, of the terms a_ik0 b_jk0 (+ a_ik1 b_jk1). A term of zero leaves the
 * sum as it is, so that a sum with two terms per index, one of them zero, has the bits of the sum of the others. */
typedef struct lfd_gemm_product {
    size_t m, n, k;
    size_t terms; /* 1 .. LFD_GEMM_TERMS */
    lfd_gemm_factor a, b;
} lfd_gemm_product;

/* Doubles of scratch for one tile, a multiple of 64 bytes. */
size_t lfd_gemm_scratch(void);
/* The part of c from first_row and first_column on: at most LFD_GEMM_ROWS x LFD_GEMM_COLUMNS of it, fewer at its end.
 * Returns it, row-major with a stride of LFD_GEMM_COLUMNS, inside the scratch, which is aligned to 64 bytes. isa as in
 * kernels.h, one the machine has. */
const double *lfd_gemm_tile(int isa, const lfd_gemm_product *product, size_t first_row, size_t first_column,
                            double *scratch);

/* The measure that the bench compares with. How a factor is stored: as it stands in the product, or transposed. */
typedef enum lfd_gemm_order { LFD_GEMM_PLAIN, LFD_GEMM_TRANSPOSED } lfd_gemm_order;

/* c (m x n) = a (m x k) b (k x n) in float, all row-major with row strides in floats. A TRANSPOSED factor is stored the
 * other way round: a as k x m, b as n x k. c overlaps neither factor; it is written, never read. Sizes may be 0. BLIS
 * takes memory of its own for it and ends the process without: for the bench and tests, not for the library. */
void lfd_gemm(size_t m, size_t n, size_t k, const float *a, size_t a_stride, lfd_gemm_order a_order, const float *b,
              size_t b_stride, lfd_gemm_order b_order, float *c, size_t c_stride);
/* The configuration whose kernels lfd_gemm runs, in BLIS's words: "zen3", "skx", "haswell", "generic" (no kernels for
 * this processor). "none" without BLIS. Static text. */
const char *lfd_gemm_configuration(void);

#endif
