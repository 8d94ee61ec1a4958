/* A shared library with the matrix products inside, linked as the real one is. */
#include "gemm.h"
#include "linfdist/linfdist.h"

LINFDIST_API float linfdist_probe_gemm(void);

/* 3 4 + 5 6 */
LINFDIST_API float linfdist_probe_gemm(void) {
    const float a[] = {3.0f, 5.0f}, b[] = {4.0f, 6.0f};
    float c = 0.0f;
    lfd_gemm(1, 1, 2, a, 2, LFD_GEMM_PLAIN, b, 1, LFD_GEMM_PLAIN, &c, 1);
    return c;
}
