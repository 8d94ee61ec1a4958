#include "gemm.h"

#ifdef LFD_HAVE_BLIS
#include <blis.h>

/* BLIS takes factors as pointers to non-const and does not write to them. */
static float *unqualified(const float *p) {
    union {
        const float *in;
        float *out;
    } u = {p};
    return u.out;
}

void lfd_gemm(size_t m, size_t n, size_t k, const float *a, size_t a_stride, lfd_gemm_order a_order, const float *b,
              size_t b_stride, lfd_gemm_order b_order, float *c, size_t c_stride) {
    /* A run-time object on the stack: the process-wide thread count and its environment variables have no say. */
    rntm_t runtime = BLIS_RNTM_INITIALIZER;
    bli_rntm_set_num_threads(1, &runtime);
    float one = 1.0f, zero = 0.0f;
    bli_sgemm_ex(a_order == LFD_GEMM_TRANSPOSED ? BLIS_TRANSPOSE : BLIS_NO_TRANSPOSE,
                 b_order == LFD_GEMM_TRANSPOSED ? BLIS_TRANSPOSE : BLIS_NO_TRANSPOSE, (dim_t)m, (dim_t)n, (dim_t)k,
                 &one, unqualified(a), (inc_t)a_stride, 1, unqualified(b), (inc_t)b_stride, 1, &zero, c,
                 (inc_t)c_stride, 1, NULL, &runtime);
}

const char *lfd_gemm_name(void) {
    return "blis";
}

#else

void lfd_gemm(size_t m, size_t n, size_t k, const float *a, size_t a_stride, lfd_gemm_order a_order, const float *b,
              size_t b_stride, lfd_gemm_order b_order, float *c, size_t c_stride) {
    const size_t a_row = a_order == LFD_GEMM_TRANSPOSED ? 1 : a_stride;
    const size_t a_column = a_order == LFD_GEMM_TRANSPOSED ? a_stride : 1;
    const size_t b_row = b_order == LFD_GEMM_TRANSPOSED ? 1 : b_stride;
    const size_t b_column = b_order == LFD_GEMM_TRANSPOSED ? b_stride : 1;
    for (size_t i = 0; i < m; ++i) {
        float *row = c + i * c_stride;
        for (size_t j = 0; j < n; ++j) row[j] = 0.0f;
        for (size_t l = 0; l < k; ++l) {
            const float factor = a[i * a_row + l * a_column];
            for (size_t j = 0; j < n; ++j) row[j] += factor * b[l * b_row + j * b_column];
        }
    }
}

const char *lfd_gemm_name(void) {
    return "plain";
}

#endif
