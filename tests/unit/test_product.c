/* Matrix products in double: against plain sums, and the same bits on every instruction set, for any number of threads
 * and wherever a row stands; sums of extremes against the sums they bound. */
#define _POSIX_C_SOURCE 200809L
#include "expect.h"

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "product.h"

enum { PAD = 3, MOST_THREADS = 7 };

static const char *const isas[] = {"ref", "avx2", "avx512"};

/* Sizes around the tiles, their micro-tiles and the blocks of the sum. */
static const size_t sizes[][3] = {{1, 1, 0},    {0, 3, 4},      {3, 0, 4},     {1, 1, 1},     {2, 3, 5},
                                  {14, 16, 64}, {15, 17, 127},  {6, 8, 128},   {168, 192, 3}, {169, 193, 129},
                                  {40, 400, 2}, {350, 21, 257}, {5, 9, 20000}, {33, 47, 1000}};

/* A product with everything it needs. */
typedef struct sample {
    size_t m, n, k;
    float *a, *other_a, *b; /* m x k, m x k, n x k with PAD more columns */
    double *c;              /* m x n, written by the product */
    double *scratch;
} sample;

static void *obtain(size_t count, size_t size) {
    void *memory = aligned_alloc(64, (count * size + 64) / 64 * 64);
    assert_non_null(memory);
    return memory;
}

static float *random_matrix(size_t rows, size_t stride, uint64_t seed) {
    float *matrix = obtain(rows * stride, sizeof *matrix);
    test_fill(matrix, rows * stride, seed);
    return matrix;
}

static sample make_sample(size_t m, size_t n, size_t k) {
    sample s = {.m = m, .n = n, .k = k};
    s.a = random_matrix(m, k + PAD, 1 + k);
    s.other_a = random_matrix(m, k + PAD, 2 + k);
    s.b = random_matrix(n, k + PAD, 3 + k);
    /* Magnitudes that differ, so that the order of additions decides bits, and weights that are zero. */
    for (size_t i = 0; i < m * (k + PAD); ++i) s.a[i] *= ldexpf(1.0f, (int)(i % 40) - 20);
    for (size_t i = 0; i < n * (k + PAD); ++i) s.b[i] = i % 11 == 0 ? 0.0f : s.b[i];
    s.c = obtain(m * n, sizeof *s.c);
    s.scratch = obtain(lfd_product_scratch(MOST_THREADS), sizeof *s.scratch);
    return s;
}

static void free_sample(sample *s) {
    free(s->a);
    free(s->other_a);
    free(s->b);
    free(s->c);
    free(s->scratch);
}

static void keep_tile(void *user, size_t first_row, size_t first_column, size_t rows, size_t columns,
                      const double *tile, size_t stride) {
    sample *s = user;
    for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < columns; ++j) s->c[(first_row + i) * s->n + first_column + j] = tile[i * stride + j];
}

static void multiply(linfdist_context *context, sample *s, size_t terms, lfd_gemm_factor a, lfd_gemm_factor b) {
    const lfd_gemm_product product = {s->m, s->n, s->k, terms, a, b};
    for (size_t i = 0; i < s->m * s->n; ++i) s->c[i] = NAN; /* written, never read */
    lfd_product(context, &product, keep_tile, s, s->scratch);
}

static void multiply_rows(linfdist_context *context, sample *s) {
    const lfd_source a = lfd_rows(s->a, NULL, s->k + PAD), b = lfd_rows(s->b, NULL, s->k + PAD);
    multiply(context, s, 1, lfd_factor(&a), lfd_factor(&b));
}

static double *copy_of_result(const sample *s) {
    double *copy = obtain(s->m * s->n, sizeof *copy);
    memcpy(copy, s->c, s->m * s->n * sizeof *copy);
    return copy;
}

static void assert_same_bits(const sample *s, const double *want) {
    if (memcmp(s->c, want, s->m * s->n * sizeof *want) != 0) fail_msg("%zu x %zu x %zu: other bits", s->m, s->n, s->k);
}

/* The sum as the header promises it: blocks of LFD_GEMM_DEPTH, ascending, in double. */
static void products_have_the_promised_bits(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    for (size_t size = 0; size < sizeof sizes / sizeof *sizes; ++size) {
        sample s = make_sample(sizes[size][0], sizes[size][1], sizes[size][2]);
        double *want = obtain(s.m * s.n, sizeof *want);
        for (size_t i = 0; i < s.m; ++i) {
            for (size_t j = 0; j < s.n; ++j) {
                const float *a = s.a + i * (s.k + PAD), *b = s.b + j * (s.k + PAD);
                double sum = 0.0, magnitude = 0.0, block;
                long double exact = 0.0L;
                for (size_t k = 0; k < s.k; sum += block) {
                    block = 0.0;
                    for (const size_t end = k + LFD_GEMM_DEPTH; k < end && k < s.k; ++k) {
                        block += (double)a[k] * (double)b[k];
                        exact += (long double)a[k] * (long double)b[k];
                        magnitude += fabs((double)a[k] * (double)b[k]);
                    }
                }
                want[i * s.n + j] = sum;
                assert_true(fabsl((long double)sum - exact) <= (long double)((double)s.k * 0x1p-53 * magnitude));
            }
        }
        multiply_rows(context, &s);
        assert_same_bits(&s, want);
        free(want);
        free_sample(&s);
    }
    linfdist_context_destroy(context);
}

static void threads_and_instruction_sets_decide_no_bit(void **state) {
    static const int32_t threads[] = {1, 2, 3, MOST_THREADS};
    (void)state;
    for (size_t size = 0; size < sizeof sizes / sizeof *sizes; ++size) {
        sample s = make_sample(sizes[size][0], sizes[size][1], sizes[size][2]);
        double *want = NULL;
        for (size_t i = 0; i < sizeof isas / sizeof *isas; ++i) {
            for (size_t t = 0; linfdist_isa_available(isas[i]) && t < sizeof threads / sizeof *threads; ++t) {
                linfdist_context *context = make_context(threads[t], isas[i]);
                multiply_rows(context, &s);
                if (!want) want = copy_of_result(&s);
                assert_same_bits(&s, want);
                linfdist_context_destroy(context);
            }
        }
        free(want);
        free_sample(&s);
    }
}

static void a_row_does_not_depend_on_the_others(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    sample s = make_sample(175, 200, 300);
    multiply_rows(context, &s);
    double *want = copy_of_result(&s);
    for (size_t row = 0; row < s.m; row += 29) {
        sample part = s;
        part.a += row * (s.k + PAD);
        part.m = s.m - row < 3 ? s.m - row : 3;
        multiply_rows(context, &part);
        assert_same_bits(&part, want + row * s.n);
    }
    free(want);
    free_sample(&s);
    linfdist_context_destroy(context);
}

static void factors_read_what_they_say(void **state) {
    (void)state;
    linfdist_context *context = make_context(2, NULL);
    sample s = make_sample(60, 70, 300);
    multiply_rows(context, &s);
    double *want = copy_of_result(&s);

    float *a = obtain(s.m * s.k, sizeof *a), *b = obtain(s.n * s.k, sizeof *b);
    float *zeros = obtain(s.m * (s.k + PAD), sizeof *zeros);
    memset(zeros, 0, s.m * (s.k + PAD) * sizeof *zeros);
    for (size_t k = 0; k < s.k; ++k) {
        for (size_t i = 0; i < s.m; ++i) a[k * s.m + i] = s.a[i * (s.k + PAD) + k];
        for (size_t j = 0; j < s.n; ++j) b[k * s.n + j] = s.b[j * (s.k + PAD) + k];
    }
    const lfd_source a_columns = lfd_columns(a, zeros, s.m), b_columns = lfd_columns(b, NULL, s.n);
    const lfd_source a_rows = lfd_rows(s.a, s.a, s.k + PAD), b_rows = lfd_rows(s.b, s.b, s.k + PAD);
    multiply(context, &s, 1, lfd_factor(&a_columns), lfd_factor(&b_columns));
    assert_same_bits(&s, want);
    /* a b+ + a b- is a b, bit for bit, since one of each two terms is zero. */
    multiply(context, &s, 2, lfd_factor_pairs(&a_rows), lfd_factor_signs(&b_rows));
    assert_same_bits(&s, want);
    const lfd_source both = lfd_columns(a, a, s.m);
    multiply(context, &s, 2, lfd_factor_pairs(&both), lfd_factor_signs(&b_columns));
    assert_same_bits(&s, want);
    /* a b + 0 b is a b, and so is 0 b + a b. */
    multiply(context, &s, 2, lfd_factor_pairs(&a_columns), lfd_factor_pairs(&b_rows));
    assert_same_bits(&s, want);
    const lfd_source second = lfd_rows(zeros, s.a, s.k + PAD);
    multiply(context, &s, 2, lfd_factor_pairs(&second), lfd_factor_pairs(&b_rows));
    assert_same_bits(&s, want);
    free(a);
    free(b);
    free(zeros);
    free(want);
    free_sample(&s);
    linfdist_context_destroy(context);
}

/* u b+ + l b- is at least every x b with l <= x <= u, as numbers of the machine, without any allowance. */
static void sums_of_extremes_bound_every_sum(void **state) {
    enum { POINTS = 200 };
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    sample s = make_sample(4, 50, 700);
    const size_t stride = s.k + PAD, entries = s.m * stride;
    float *lower = obtain(entries, sizeof *lower), *upper = obtain(entries, sizeof *upper);
    for (size_t i = 0; i < entries; ++i) {
        const float radius = i % 5 == 0 ? 0.0f : fabsf(s.other_a[i]) * (i % 3 == 0 ? 1e-7f : 0.3f);
        lower[i] = s.a[i] - radius;
        upper[i] = s.a[i] + radius;
    }
    const lfd_source up = lfd_rows(upper, lower, stride), down = lfd_rows(lower, upper, stride);
    const lfd_source b = lfd_rows(s.b, NULL, stride);
    multiply(context, &s, 2, lfd_factor_pairs(&up), lfd_factor_signs(&b));
    double *most = copy_of_result(&s);
    multiply(context, &s, 2, lfd_factor_pairs(&down), lfd_factor_signs(&b));
    double *least = copy_of_result(&s);
    uint64_t seed = 77;
    for (int point = 0; point < POINTS; ++point) {
        /* Random points and corners; among the corners those that are the extremes of one output each. */
        const float *weights = s.b + (size_t)point % s.n * stride;
        for (size_t i = 0; i < entries; ++i) {
            const float draw = test_number(&seed), toward = point % 3 == 0 ? draw : weights[i % stride];
            if (point % 3 == 1)
                s.a[i] = lower[i] + (upper[i] - lower[i]) * (0.5f + 0.5f * draw);
            else
                s.a[i] = (toward > 0.0f) == (point % 2 == 0) ? upper[i] : lower[i];
            assert_true(s.a[i] >= lower[i] && s.a[i] <= upper[i]);
        }
        multiply_rows(context, &s);
        for (size_t i = 0; i < s.m * s.n; ++i) assert_true(s.c[i] >= least[i] && s.c[i] <= most[i]);
        if (point % 3 != 2) continue;
        const double *reached = point % 2 == 0 ? most : least;
        assert_true(s.c[(size_t)point % s.n] <= reached[(size_t)point % s.n] &&
                    s.c[(size_t)point % s.n] >= reached[(size_t)point % s.n]);
    }
    free(lower);
    free(upper);
    free(most);
    free(least);
    free_sample(&s);
    linfdist_context_destroy(context);
}

static void the_rounding_mode_of_the_host_has_no_say(void **state) {
    (void)state;
    linfdist_context *context = make_context(2, NULL);
    sample s = make_sample(200, 200, 300);
    multiply_rows(context, &s);
    double *want = copy_of_result(&s);
    const int mode = fegetround();
    fesetround(FE_UPWARD);
    multiply_rows(context, &s);
    assert_int_equal(fegetround(), FE_UPWARD);
    fesetround(mode);
    assert_same_bits(&s, want);
    free(want);
    free_sample(&s);
    linfdist_context_destroy(context);
}

typedef struct worker {
    linfdist_context *context;
    const double *want;
    int right;
} worker;

static void *work(void *data) {
    worker *w = data;
    sample s = make_sample(180, 200, 150);
    for (int i = 0; i < 10; ++i) {
        multiply_rows(w->context, &s);
        w->right += memcmp(s.c, w->want, s.m * s.n * sizeof *s.c) == 0;
    }
    free_sample(&s);
    return NULL;
}

static void threads_multiply_at_once(void **state) {
    enum { WORKERS = 6 };
    (void)state;
    linfdist_context *contexts[] = {make_context(1, NULL), make_context(3, NULL)};
    sample s = make_sample(180, 200, 150);
    multiply_rows(contexts[0], &s);
    worker workers[WORKERS];
    pthread_t ids[WORKERS];
    for (int i = 0; i < WORKERS; ++i) {
        workers[i] = (worker){contexts[i % 2], s.c, 0};
        assert_int_equal(pthread_create(&ids[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; ++i) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
        assert_int_equal(workers[i].right, 10);
    }
    free_sample(&s);
    for (int i = 0; i < 2; ++i) linfdist_context_destroy(contexts[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_have_the_promised_bits),
        cmocka_unit_test(threads_and_instruction_sets_decide_no_bit),
        cmocka_unit_test(a_row_does_not_depend_on_the_others),
        cmocka_unit_test(factors_read_what_they_say),
        cmocka_unit_test(sums_of_extremes_bound_every_sum),
        cmocka_unit_test(the_rounding_mode_of_the_host_has_no_say),
        cmocka_unit_test(threads_multiply_at_once),
    };
    return cmocka_run_group_tests_name("product", tests, NULL, NULL);
}
