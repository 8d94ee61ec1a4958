/* Dense matrix products on the calling thread; gemm.c is the one place that includes blis.h. */
#ifndef LFD_GEMM_H
#define LFD_GEMM_H

#include <stddef.h>

/* How a factor is stored: as it stands in the product, or as its transpose. */
typedef enum lfd_gemm_order { LFD_GEMM_PLAIN, LFD_GEMM_TRANSPOSED } lfd_gemm_order;

/* c (m x n) = a (m x k) b (k x n), all row-major with row strides in floats. A TRANSPOSED factor is stored the other
 * way round: a as k x m, b as n x k. c overlaps neither factor; it is written, never read. Sizes may be 0. */
void lfd_gemm(size_t m, size_t n, size_t k, const float *a, size_t a_stride, lfd_gemm_order a_order, const float *b,
              size_t b_stride, lfd_gemm_order b_order, float *c, size_t c_stride);
/* "blis" or "plain". */
const char *lfd_gemm_name(void);

#endif
