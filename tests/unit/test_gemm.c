/* Matrix products against sums in double, in every storage order, with strides and any size. */
#include "expect.h"

#include <math.h>
#include <stdlib.h>

#include "gemm/gemm.h"

enum { PAD = 3 };

static float *random_matrix(size_t rows, size_t stride, uint64_t *state) {
    float *matrix = malloc((rows * stride + 1) * sizeof *matrix);
    assert_non_null(matrix);
    for (size_t i = 0; i < rows * stride; ++i) matrix[i] = test_number(state);
    return matrix;
}

static double element(const float *matrix, size_t stride, lfd_gemm_order order, size_t i, size_t j) {
    return (double)(order == LFD_GEMM_PLAIN ? matrix[i * stride + j] : matrix[j * stride + i]);
}

static void check_product(size_t m, size_t n, size_t k, lfd_gemm_order a_order, lfd_gemm_order b_order) {
    uint64_t state = m * 10007 + n * 101 + k;
    const size_t a_stride = (a_order == LFD_GEMM_PLAIN ? k : m) + PAD,
                 b_stride = (b_order == LFD_GEMM_PLAIN ? n : k) + PAD;
    const size_t c_stride = n + PAD;
    float *a = random_matrix(a_order == LFD_GEMM_PLAIN ? m : k, a_stride, &state);
    float *b = random_matrix(b_order == LFD_GEMM_PLAIN ? k : n, b_stride, &state);
    float *c = random_matrix(m, c_stride, &state);
    for (size_t i = 0; i < m; ++i) {
        for (size_t j = 0; j < n; ++j) c[i * c_stride + j] = NAN; /* written, never read */
        for (size_t j = n; j < c_stride; ++j) c[i * c_stride + j] = -77.0f;
    }
    lfd_gemm(m, n, k, a, a_stride, a_order, b, b_stride, b_order, c, c_stride);
    for (size_t i = 0; i < m; ++i) {
        for (size_t j = 0; j < n; ++j) {
            double want = 0.0;
            for (size_t l = 0; l < k; ++l)
                want += element(a, a_stride, a_order, i, l) * element(b, b_stride, b_order, l, j);
            /* k products of numbers below 1, each rounded with what came before it. */
            const double off = fabs((double)c[i * c_stride + j] - want);
            if (!(off <= (double)k * (double)k * 0x1p-23)) fail_msg("%zu x %zu x %zu: off by %g", m, n, k, off);
        }
        for (size_t j = n; j < c_stride; ++j) assert_true(c[i * c_stride + j] == -77.0f);
    }
    free(a);
    free(b);
    free(c);
}

static void products_are_right(void **state) {
    static const size_t sizes[][3] = {{0, 3, 4}, {3, 0, 4}, {3, 4, 0},  {1, 1, 1},    {2, 3, 5},
                                      {7, 1, 9}, {1, 8, 6}, {6, 16, 8}, {33, 17, 40}, {65, 70, 129}};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i)
        for (int a = LFD_GEMM_PLAIN; a <= LFD_GEMM_TRANSPOSED; ++a)
            for (int b = LFD_GEMM_PLAIN; b <= LFD_GEMM_TRANSPOSED; ++b)
                check_product(sizes[i][0], sizes[i][1], sizes[i][2], (lfd_gemm_order)a, (lfd_gemm_order)b);
}

/* The bench compares with any but these two words. */
static void the_configuration_has_a_name(void **state) {
    (void)state;
#ifdef LFD_HAVE_BLIS
    assert_string_not_equal(lfd_gemm_configuration(), "none");
    assert_true(strlen(lfd_gemm_configuration()) > 0);
#endif
    assert_ptr_equal(lfd_gemm_configuration(), lfd_gemm_configuration());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(the_configuration_has_a_name),
    };
    return cmocka_run_group_tests_name("gemm", tests, NULL, NULL);
}
