#include "gemm.h"

#ifdef LFD_HAVE_BLIS
#include <blis.h> /* before any system header: it asks for more of them than C11 has */
#endif

#include "../kernels.h"

/* ---- micro-kernels ---- */

/* c (rows x columns, row stride LFD_GEMM_COLUMNS) = keep c + a b: a holds `depth` columns of `rows` numbers, b `depth`
 * rows of `columns` numbers. keep is 1, or 0, which does not read c. */
typedef struct micro_kernel {
    size_t rows, columns;
    void (*multiply)(size_t depth, double *a, double *b, double keep, double *c);
} micro_kernel;

enum { PLAIN_ROWS = 4, PLAIN_COLUMNS = 8 };

static void multiply_plain(size_t depth, double *a, double *b, double keep, double *c) {
    double sums[PLAIN_ROWS][PLAIN_COLUMNS] = {{0.0}};
    for (size_t k = 0; k < depth; ++k)
        for (size_t i = 0; i < PLAIN_ROWS; ++i)
            for (size_t j = 0; j < PLAIN_COLUMNS; ++j) sums[i][j] += a[k * PLAIN_ROWS + i] * b[k * PLAIN_COLUMNS + j];
    for (size_t i = 0; i < PLAIN_ROWS; ++i) {
        double *row = c + i * LFD_GEMM_COLUMNS;
        for (size_t j = 0; j < PLAIN_COLUMNS; ++j) row[j] = keep > 0.0 ? row[j] + sums[i][j] : sums[i][j];
    }
}

#if defined(LFD_HAVE_BLIS) && defined(LFD_HAVE_X86_ISA)
/* BLIS's own kernels, called by name: unlike its interfaces they need no initialisation, no memory, no environment
 * variable, and bring nothing else of BLIS with them. Both add in ascending order. */
static void multiply_avx2(size_t depth, double *a, double *b, double keep, double *c) {
    double one = 1.0;
    auxinfo_t next = {0};
    bli_auxinfo_set_next_ab(a, b, &next);
    bli_dgemm_haswell_asm_6x8(6, 8, (dim_t)depth, &one, a, b, &keep, c, LFD_GEMM_COLUMNS, 1, &next, NULL);
}

/* This one stores columns: it computes the transpose. */
static void multiply_avx512(size_t depth, double *a, double *b, double keep, double *c) {
    double one = 1.0;
    auxinfo_t next = {0};
    bli_auxinfo_set_next_ab(b, a, &next);
    bli_dgemm_skx_asm_16x14(16, 14, (dim_t)depth, &one, b, a, &keep, c, 1, LFD_GEMM_COLUMNS, &next, NULL);
}
#endif

static const micro_kernel micro_kernels[LFD_ISA_COUNT] = {
    [LFD_ISA_REF] = {PLAIN_ROWS, PLAIN_COLUMNS, multiply_plain},
#if defined(LFD_HAVE_BLIS) && defined(LFD_HAVE_X86_ISA)
    [LFD_ISA_AVX2] = {6, 8, multiply_avx2},
    [LFD_ISA_AVX512] = {14, 16, multiply_avx512},
#else
    [LFD_ISA_AVX2] = {PLAIN_ROWS, PLAIN_COLUMNS, multiply_plain},
    [LFD_ISA_AVX512] = {PLAIN_ROWS, PLAIN_COLUMNS, multiply_plain},
#endif
};

/* ---- tiles ---- */

enum { PANEL_DEPTH = LFD_GEMM_DEPTH * LFD_GEMM_TERMS };

_Static_assert(LFD_GEMM_ROWS % PLAIN_ROWS == 0 && LFD_GEMM_ROWS % 6 == 0 && LFD_GEMM_ROWS % 14 == 0,
               "tiles are whole rows of micro-tiles");
_Static_assert(LFD_GEMM_COLUMNS % PLAIN_COLUMNS == 0 && LFD_GEMM_COLUMNS % 16 == 0,
               "tiles are whole columns of micro-tiles");

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t lfd_gemm_scratch(void) {
    return (size_t)LFD_GEMM_ROWS * PANEL_DEPTH + (size_t)LFD_GEMM_COLUMNS * PANEL_DEPTH +
           (size_t)LFD_GEMM_ROWS * LFD_GEMM_COLUMNS;
}

/* Panels of `width` outer indices, one after the other, zeros beyond the last: within one, all of an inner index stand
 * together. Returns the number of panels. */
static size_t pack(const lfd_gemm_factor *factor, size_t first_outer, size_t outers, size_t width, size_t first_k,
                   size_t count, size_t terms, double *panels) {
    float values[PANEL_DEPTH];
    const size_t depth = count * terms, padded = (outers + width - 1) / width * width;
    for (size_t i = 0; i < padded; ++i) {
        double *entry = panels + i / width * width * depth + i % width;
        if (i < outers) factor->read(factor->data, first_outer + i, first_k, count, values);
        for (size_t k = 0; k < depth; ++k) entry[k * width] = i < outers ? (double)values[k] : 0.0;
    }
    return padded / width;
}

const double *lfd_gemm_tile(int isa, const lfd_gemm_product *product, size_t first_row, size_t first_column,
                            double *scratch) {
    const micro_kernel *kernel = &micro_kernels[isa];
    const size_t rows = smaller(LFD_GEMM_ROWS, product->m - first_row);
    const size_t columns = smaller(LFD_GEMM_COLUMNS, product->n - first_column);
    double *a = scratch, *b = a + (size_t)LFD_GEMM_ROWS * PANEL_DEPTH, *c = b + (size_t)LFD_GEMM_COLUMNS * PANEL_DEPTH;
    size_t k = 0;
    do { /* also for an empty sum: it is 0 */
        const size_t count = smaller(LFD_GEMM_DEPTH, product->k - k), depth = count * product->terms;
        const size_t a_panels = pack(&product->a, first_row, rows, kernel->rows, k, count, product->terms, a);
        const size_t b_panels = pack(&product->b, first_column, columns, kernel->columns, k, count, product->terms, b);
        for (size_t j = 0; j < b_panels; ++j)
            for (size_t i = 0; i < a_panels; ++i)
                kernel->multiply(depth, a + i * kernel->rows * depth, b + j * kernel->columns * depth, k > 0,
                                 c + i * kernel->rows * LFD_GEMM_COLUMNS + j * kernel->columns);
        k += count;
    } while (k < product->k);
    return c;
}

/* ---- in float, for the bench ---- */

#ifdef LFD_HAVE_BLIS
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

const char *lfd_gemm_configuration(void) {
    return bli_arch_string(bli_arch_query_id());
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

const char *lfd_gemm_configuration(void) {
    return "none";
}

#endif
