/* The distance operators against plain loops in double, the loops against finite differences, and every refusal. */
#include "operator_support.h"

#include <float.h>

#include "ops.h"

static const float powers[] = {1, 1.5f, 2, 3, 8, 9.5f, 33.3f, 1000, INFINITY};
enum { POWERS = sizeof powers / sizeof powers[0] };

/* ---- plain loops ------------------------------------------------------------------------------------------------- */

/* Distance of row x to row w in double, stable at every p; argmax the lowest index of the largest difference. */
static double plain_distance(int64_t n, double p, const double *x, const double *w, int64_t *argmax) {
    double largest = 0, sum = 0;
    *argmax = 0;
    for (int64_t i = 0; i < n; ++i)
        if (fabs(x[i] - w[i]) > largest) {
            largest = fabs(x[i] - w[i]);
            *argmax = i;
        }
    if (largest == 0 || isinf(p)) return largest;
    for (int64_t i = 0; i < n; ++i) sum += pow(fabs(x[i] - w[i]) / largest, p);
    return largest * pow(sum, 1 / p);
}

/* dy/dx_i; minus that is dy/dw_i. */
static double plain_slope(double p, double difference, double y, int is_argmax) {
    if (y == 0 || difference == 0) return 0;
    const double sign = difference > 0 ? 1 : -1;
    return isinf(p) ? (is_argmax ? sign : 0) : sign * pow(fabs(difference) / y, p - 1);
}

static void test_plain_loops(void **state) {
    (void)state;
    enum { N = 6 };
    uint64_t seed = 3;
    for (int k = 0; k < POWERS; ++k) {
        const double p = (double)powers[k], h = 1e-6 / (isinf(p) ? 1 : p);
        double x[N], w[N];
        int64_t argmax, other;
        for (int i = 0; i < N; ++i) {
            x[i] = (double)test_number(&seed);
            w[i] = (double)test_number(&seed);
        }
        const double y = plain_distance(N, p, x, w, &argmax);
        for (int i = 0; i < N; ++i) {
            const double before = x[i], slope = plain_slope(p, x[i] - w[i], y, i == argmax);
            x[i] = before + h;
            const double up = plain_distance(N, p, x, w, &other);
            x[i] = before - h;
            const double down = plain_distance(N, p, x, w, &other);
            x[i] = before;
            assert_true(fabs((up - down) / (2 * h) - slope) < 1e-5);
        }
    }
}

/* ---- distances --------------------------------------------------------------------------------------------------- */

/* Arrays of one shape, with canaries between the rows. */
typedef struct arrays {
    shape_t s;
    float *x, *w, *y, *grad_y, *grad_x, *grad_w;
    int32_t *argmax;
} arrays;

static arrays make_arrays(shape_t s) {
    arrays a = {.s = s};
    a.x = random_array(x_size(&s), 1);
    a.w = random_array(w_size(&s), 2);
    a.grad_y = random_array(y_size(&s), 3);
    a.grad_x = random_array(x_size(&s), 4);
    a.grad_w = random_array(w_size(&s), 5);
    a.y = random_array(y_size(&s), 6);
    a.argmax = allocate(y_size(&s), sizeof(int32_t));
    for (size_t i = 0; i < y_size(&s); ++i) a.argmax[i] = -77;
    put_canaries(a.y, s.batch, s.n_out, s.y_stride);
    put_canaries(a.grad_x, s.batch, s.n_in, s.x_stride);
    put_canaries(a.grad_w, s.n_out, s.n_in / s.groups, s.w_stride);
    return a;
}

static void free_arrays(arrays *a) {
    free(a->x), free(a->w), free(a->y), free(a->grad_y), free(a->grad_x), free(a->grad_w), free(a->argmax);
}

static void run_distance(linfdist_context *context, arrays *a, float p) {
    int32_t *argmax = isinf(p) ? a->argmax : NULL;
    expect_ok(linfdist_distance_forward(context, &a->s, p, a->x, a->w, a->y, argmax));
    expect_ok(linfdist_distance_backward(context, &a->s, p, a->x, a->w, a->y, argmax, a->grad_y, a->grad_x, a->grad_w));
}

static void load_rows(const arrays *a, int64_t b, int64_t o, double *x, double *w) {
    const int64_t n = a->s.n_in / a->s.groups;
    for (int64_t i = 0; i < n; ++i) {
        x[i] = (double)a->x[b * a->s.x_stride + first_column(&a->s, o) + i];
        w[i] = (double)a->w[o * a->s.w_stride + i];
    }
}

/* Values, argmaxes and gradients of a run_distance on fresh arrays against the plain loops. Gradients may be off by p
 * rounding errors of a factor of at most 1, summed over the other direction. */
static void check_distance(const arrays *a, float p) {
    const shape_t *s = &a->s;
    const int64_t n = s->n_in / s->groups;
    arrays fresh = make_arrays(*s);
    double *grad_x = allocate(x_size(s), sizeof(double)), *grad_w = allocate(w_size(s), sizeof(double));
    double *x = allocate((size_t)n, sizeof(double)), *w = allocate((size_t)n, sizeof(double));
    for (int64_t b = 0; b < s->batch; ++b)
        for (int64_t o = 0; o < s->n_out; ++o) {
            int64_t argmax;
            const int64_t at = b * s->y_stride + o;
            load_rows(a, b, o, x, w);
            const double y = plain_distance(n, (double)p, x, w, &argmax);
            expect_near((double)a->y[at], y, 1e-6 * y);
            if (isinf(p)) assert_int_equal(a->argmax[at], argmax);
            for (int64_t i = 0; i < n; ++i) {
                const double g = (double)a->grad_y[at] * plain_slope((double)p, x[i] - w[i], y, i == argmax);
                grad_x[b * s->x_stride + first_column(s, o) + i] += g;
                grad_w[o * s->w_stride + i] -= g;
            }
        }
    const double per_term = 1e-6 + (isinf(p) ? 0 : 2e-7 * (double)p);
    for (int64_t b = 0; b < s->batch; ++b)
        for (int64_t i = 0; i < s->n_in; ++i) {
            const int64_t at = b * s->x_stride + i;
            expect_near((double)a->grad_x[at], grad_x[at] + (double)fresh.grad_x[at],
                        per_term * (double)(1 + s->n_out / s->groups));
        }
    for (int64_t o = 0; o < s->n_out; ++o)
        for (int64_t i = 0; i < n; ++i) {
            const int64_t at = o * s->w_stride + i;
            expect_near((double)a->grad_w[at], grad_w[at] + (double)fresh.grad_w[at],
                        per_term * (double)(1 + s->batch));
        }
    check_canaries(a->y, s->batch, s->n_out, s->y_stride);
    check_canaries(a->grad_x, s->batch, s->n_in, s->x_stride);
    check_canaries(a->grad_w, s->n_out, n, s->w_stride);
    free(grad_x), free(grad_w), free(x), free(w);
    free_arrays(&fresh);
}

static void test_distance(void **state) {
    (void)state;
    linfdist_context *context = make_context(2, NULL);
    for (int k = 0; k < POWERS; ++k) {
        const shape_t shapes[] = {make_shape(1, 1, 1, 1, 0), make_shape(5, 7, 3, 1, 3), make_shape(4, 12, 10, 2, 5),
                                  make_shape(50, 99, 66, 3, 1)};
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; ++i) {
            arrays a = make_arrays(shapes[i]);
            run_distance(context, &a, powers[k]);
            check_distance(&a, powers[k]);
            free_arrays(&a);
        }
    }
    linfdist_context_destroy(context);
}

static void test_any_gradient_may_be_left_out(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    for (int k = 0; k < POWERS; ++k) {
        arrays both = make_arrays(make_shape(5, 12, 6, 2, 1)), single = make_arrays(both.s);
        const int32_t *argmax = isinf(powers[k]) ? single.argmax : NULL;
        run_distance(context, &both, powers[k]);
        expect_ok(linfdist_distance_forward(context, &single.s, powers[k], single.x, single.w, single.y,
                                            isinf(powers[k]) ? single.argmax : NULL));
        expect_ok(linfdist_distance_backward(context, &single.s, powers[k], single.x, single.w, single.y, argmax,
                                             single.grad_y, single.grad_x, NULL));
        assert_memory_equal(single.grad_x, both.grad_x, x_size(&both.s) * sizeof(float));
        expect_ok(linfdist_distance_backward(context, &single.s, powers[k], single.x, single.w, single.y, argmax,
                                             single.grad_y, NULL, single.grad_w));
        assert_memory_equal(single.grad_w, both.grad_w, w_size(&both.s) * sizeof(float));
        expect_ok(linfdist_distance_backward(context, &single.s, powers[k], single.x, single.w, single.y, argmax,
                                             single.grad_y, NULL, NULL));
        free_arrays(&both), free_arrays(&single);
    }
    linfdist_context_destroy(context);
}

/* Equal rows have distance and gradient exactly 0; ties go to the lowest index; nothing over- or underflows. */
static void test_corners(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    const shape_t s = make_shape(1, 4, 2, 1, 0);
    const float scales[] = {0x1p-120f, 0x1p-70f, 1, 0x1p98f};
    for (int k = 0; k < POWERS; ++k)
        for (size_t i = 0; i < sizeof scales / sizeof scales[0]; ++i) {
            const float c = scales[i], p = powers[k];
            const float x[] = {c, -c, 2 * c, 0}, w[] = {c, -c, 2 * c, 0, 3 * c, -3 * c, 2 * c, c}, ones[] = {1, 1};
            float y[2], grad_x[4] = {0}, grad_w[8] = {0};
            int32_t argmax[2];
            expect_ok(linfdist_distance_forward(context, &s, p, x, w, y, isinf(p) ? argmax : NULL));
            assert_true(y[0] == 0);
            const double want = isinf(p) ? 2 : 2 * pow(2 + pow(0.5, (double)p), 1 / (double)p);
            expect_near((double)y[1] / (double)c, want, 1e-6 * want);
            if (isinf(p)) assert_int_equal(argmax[1], 0);
            expect_ok(
                linfdist_distance_backward(context, &s, p, x, w, y, isinf(p) ? argmax : NULL, ones, grad_x, grad_w));
            for (int j = 0; j < 4; ++j) assert_true(grad_w[j] == 0);
            assert_true(grad_w[6] == 0);
            for (int j = 0; j < 4; ++j) assert_true(isfinite(grad_x[j]) && grad_x[j] == -grad_w[4 + j]);
            assert_true(grad_x[0] < 0);
            if (isinf(p))
                assert_true(grad_x[0] == -1 && grad_x[1] == 0);
            else
                assert_true(grad_x[1] == -grad_x[0]);
        }
    linfdist_context_destroy(context);
}

/* With inputs so small that few columns can win a maximum, or not. */
static arrays make_scaled_arrays(shape_t s, int few_win) {
    arrays a = make_arrays(s);
    for (size_t i = 0; i < x_size(&s) && few_win; ++i) a.x[i] /= 16;
    return a;
}

static void test_same_bits_everywhere(void **state) {
    (void)state;
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    for (int k = 0; k < 2 * POWERS; ++k) {
        const shape_t s = make_shape(130, 200, 300, 2, 3);
        const float p = powers[k / 2];
        linfdist_context *plain = make_context(1, "ref");
        arrays want = make_scaled_arrays(s, k % 2);
        run_distance(plain, &want, p);
        linfdist_context_destroy(plain);
        for (int i = 0; i < 3; ++i)
            for (int32_t threads = 1; threads <= 3 && linfdist_isa_available(isas[i]); ++threads) {
                linfdist_context *context = make_context(threads, isas[i]);
                arrays got = make_scaled_arrays(s, k % 2);
                run_distance(context, &got, p);
                assert_memory_equal(got.y, want.y, y_size(&s) * sizeof(float));
                assert_memory_equal(got.argmax, want.argmax, y_size(&s) * sizeof(int32_t));
                expect_ok(linfdist_distance_forward(context, &got.s, p, got.x, got.w, got.y, NULL));
                assert_memory_equal(got.y, want.y, y_size(&s) * sizeof(float));
                assert_memory_equal(got.grad_x, want.grad_x, x_size(&s) * sizeof(float));
                assert_memory_equal(got.grad_w, want.grad_w, w_size(&s) * sizeof(float));
                free_arrays(&got);
                linfdist_context_destroy(context);
            }
        free_arrays(&want);
    }
}

static void test_distance_shapes(void **state) {
    (void)state;
    shape_t s;
    expect_invalid(linfdist_distance_shape_init(NULL, sizeof s, 1, 1, 1), "shape is NULL");
    expect_invalid(linfdist_distance_shape_init(&s, 8, 1, 1, 1), "struct_size 8");
    expect_invalid(linfdist_distance_shape_init(&s, sizeof s, 0, 1, 1), "x is 0 x 1");
    expect_invalid(linfdist_distance_shape_init(&s, sizeof s, 1, -4, 1), "x is 1 x -4");
    expect_invalid(linfdist_distance_shape_init(&s, sizeof s, 1, 1, 0), "w is 0 x 1");
    expect_invalid(linfdist_distance_shape_init(&s, sizeof s, INT64_MAX, INT64_MAX, 1), "more than memory can hold");
    expect_ok(linfdist_distance_shape_init(&s, sizeof s, 2, 3, 4));
    assert_true(s.groups == 1 && s.x_stride == 3 && s.w_stride == 3 && s.y_stride == 4);
}

/* Every refusal, by changing one argument of a good call. The output must stay as it was. */
static void test_distance_forward_errors(void **state) {
    (void)state;
    linfdist_context *context = make_context(2, NULL);
    float x[12], w[12], y[18];
    int32_t argmax[18];
    test_fill(x, 12, 1), test_fill(w, 12, 2);
    for (int i = 0; i < 18; ++i) y[i] = CANARY;
    const shape_t s = make_shape(3, 4, 6, 2, 0);
#define FORWARD(p) linfdist_distance_forward(context, &s, p, x, w, y, NULL)
    expect_invalid(linfdist_distance_forward(NULL, &s, 2, x, w, y, NULL), "context is NULL");
    expect_invalid(linfdist_distance_forward(context, NULL, 2, x, w, y, NULL), "shape is NULL");
    expect_invalid(linfdist_distance_forward(context, &s, 2, NULL, w, y, NULL), "x is NULL");
    expect_invalid(linfdist_distance_forward(context, &s, 2, x, NULL, y, NULL), "w is NULL");
    expect_invalid(linfdist_distance_forward(context, &s, 2, x, w, NULL, NULL), "y is NULL");
    expect_invalid(linfdist_distance_forward(context, &s, 2, x, w, y, argmax), "argmax must be NULL");
    expect_invalid(FORWARD(0.5f), "p is 0.5");
    expect_invalid(FORWARD(-INFINITY), "p is -inf");
    expect_invalid(FORWARD(NAN), "p is nan");
    expect_invalid(FORWARD(1001), "p is 1001");
    expect_invalid(FORWARD(FLT_MAX), "p is 3.40282347e+38");
    w[5] = NAN, expect_error(FORWARD(2), LINFDIST_ERROR_NOT_FINITE, "w is nan at row 2, column 1"), w[5] = 0;
    x[11] = INFINITY, expect_error(FORWARD(2), LINFDIST_ERROR_NOT_FINITE, "x is inf at row 2, column 3"), x[11] = 0;
    x[4] = -0x1.1p100f;
    expect_error(FORWARD(INFINITY), LINFDIST_ERROR_NOT_FINITE, "x is -1.34687876e+30 at row 1, column 0");
    x[4] = 0x1p100f;
    for (int i = 0; i < 18; ++i) assert_true(y[i] == CANARY);
    expect_ok(FORWARD(INFINITY));
    expect_ok(FORWARD(1));
    for (int i = 0; i < 18; ++i) assert_true(y[i] >= 0 && isfinite(y[i]));
#undef FORWARD
    linfdist_context_destroy(context);
}

/* The same for every field of the shape. */
static void test_shape_errors(void **state) {
    (void)state;
    linfdist_context *context = make_context(2, NULL);
    const shape_t good = make_shape(3, 4, 6, 2, 0);
    const float x[12] = {0}, w[12] = {0};
    float y[18];
    for (int i = 0; i < 18; ++i) y[i] = CANARY;
    shape_t s = good;
#define FORWARD(p) linfdist_distance_forward(context, &s, p, x, w, y, NULL)
    s.struct_size = 3, expect_invalid(FORWARD(2), "shape has struct_size 3"), s = good;
    s.batch = 0, expect_invalid(FORWARD(2), "x is 0 x 4"), s = good;
    s.n_in = -4, expect_invalid(FORWARD(2), "x is 3 x -4"), s = good;
    s.n_out = 0, expect_invalid(FORWARD(2), "y is 3 x 0"), s = good;
    s.groups = 0, expect_invalid(FORWARD(2), "groups is 0"), s = good;
    s.groups = 3, expect_invalid(FORWARD(2), "groups is 3, must divide n_in = 4"), s = good;
    s.groups = 4, expect_invalid(FORWARD(2), "groups is 4, must divide n_out = 6"), s = good;
    s.x_stride = 3, expect_invalid(FORWARD(2), "x has row stride 3"), s = good;
    s.w_stride = 1, expect_invalid(FORWARD(2), "w has row stride 1"), s = good;
    s.y_stride = 5, expect_invalid(FORWARD(2), "y has row stride 5"), s = good;
    s.batch = INT64_MAX, expect_invalid(FORWARD(2), "x has 9223372036854775807 rows"), s = good;
    s.n_in = s.x_stride = s.w_stride = INT64_MAX - 1, expect_invalid(FORWARD(2), "x has 3 rows"), s = good;
    s.batch = 1, s.n_in = s.x_stride = s.w_stride = (int64_t)1 << 33, s.n_out = s.y_stride = s.groups = 2;
    expect_invalid(FORWARD(2), "n_in / groups is 4294967296"), s = good;
    for (int i = 0; i < 18; ++i) assert_true(y[i] == CANARY);
#undef FORWARD
    linfdist_context_destroy(context);
}

static void test_unfit_numbers_are_named(void **state) {
    (void)state;
    linfdist_context *context = make_context(3, NULL);
    enum { ROWS = 4000, COLUMNS = 33, STRIDE = 35 };
    float *x = random_array((size_t)ROWS * STRIDE, 5);
    x[7] = 1, x[33] = NAN; /* between the rows: not a part of the matrix */
    expect_ok(lfd_check_matrix(context, x, ROWS, COLUMNS, STRIDE, "x"));
    x[3999 * STRIDE + 32] = INFINITY;
    expect_error(lfd_check_matrix(context, x, ROWS, COLUMNS, STRIDE, "x"), LINFDIST_ERROR_NOT_FINITE,
                 "x is inf at row 3999, column 32");
    x[2000 * STRIDE + 5] = x[2000 * STRIDE + 9] = NAN;
    expect_error(lfd_check_matrix(context, x, ROWS, COLUMNS, STRIDE, "x"), LINFDIST_ERROR_NOT_FINITE,
                 "x is nan at row 2000, column 5");
    expect_error(lfd_check_matrix(NULL, x, ROWS, COLUMNS, STRIDE, "x"), LINFDIST_ERROR_NOT_FINITE, "row 2000");
    free(x);
    linfdist_context_destroy(context);
}

static void test_distance_backward_errors(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    arrays a = make_arrays(make_shape(3, 4, 6, 2, 0));
    const float inf = INFINITY;
    float grad_x[12], grad_w[12];
    expect_ok(linfdist_distance_forward(context, &a.s, inf, a.x, a.w, a.y, a.argmax));
    memcpy(grad_x, a.grad_x, sizeof grad_x), memcpy(grad_w, a.grad_w, sizeof grad_w);
#define BACKWARD(p, argmax)                                                                                            \
    linfdist_distance_backward(context, &a.s, p, a.x, a.w, a.y, argmax, a.grad_y, a.grad_x, a.grad_w)
#define WITH(context, s, x, w, y, grad_y)                                                                              \
    linfdist_distance_backward(context, s, 2, x, w, y, NULL, grad_y, a.grad_x, a.grad_w)
    expect_invalid(WITH(NULL, &a.s, a.x, a.w, a.y, a.grad_y), "context is NULL");
    expect_invalid(WITH(context, NULL, a.x, a.w, a.y, a.grad_y), "shape is NULL");
    expect_invalid(WITH(context, &a.s, NULL, a.w, a.y, a.grad_y), "x is NULL");
    expect_invalid(WITH(context, &a.s, a.x, NULL, a.y, a.grad_y), "w is NULL");
    expect_invalid(WITH(context, &a.s, a.x, a.w, NULL, a.grad_y), "y is NULL");
    expect_invalid(WITH(context, &a.s, a.x, a.w, a.y, NULL), "grad_y is NULL");
#undef WITH
    expect_invalid(BACKWARD(inf, NULL), "argmax is NULL");
    expect_invalid(BACKWARD(0, NULL), "p is 0");
    a.argmax[8] = 2, expect_invalid(BACKWARD(inf, a.argmax), "argmax is 2 at row 1, column 2");
    a.argmax[8] = -1, expect_invalid(BACKWARD(inf, a.argmax), "argmax is -1 at row 1, column 2");
    a.argmax[8] = INT32_MIN, expect_invalid(BACKWARD(inf, a.argmax), "argmax is -2147483648"), a.argmax[8] = 0;
    a.x[0] = NAN, expect_error(BACKWARD(2, NULL), LINFDIST_ERROR_NOT_FINITE, "x is nan"), a.x[0] = 0;
    a.w[0] = NAN, expect_error(BACKWARD(2, NULL), LINFDIST_ERROR_NOT_FINITE, "w is nan"), a.w[0] = 0;
    a.y[7] = NAN, expect_error(BACKWARD(2, NULL), LINFDIST_ERROR_NOT_FINITE, "y is nan");
    a.y[7] = -1, expect_error(BACKWARD(2, NULL), LINFDIST_ERROR_RANGE, "y is -1 at row 1, column 1"), a.y[7] = 1;
    a.grad_y[0] = -INFINITY, expect_error(BACKWARD(2, NULL), LINFDIST_ERROR_NOT_FINITE, "grad_y is -inf");
    a.grad_y[0] = 0;
    assert_memory_equal(a.grad_x, grad_x, sizeof grad_x);
    assert_memory_equal(a.grad_w, grad_w, sizeof grad_w);
    a.grad_x[1] = NAN, expect_error(BACKWARD(2, NULL), LINFDIST_ERROR_NOT_FINITE, "grad_x is nan"), a.grad_x[1] = 0;
    a.grad_w[1] = NAN, expect_error(BACKWARD(2, NULL), LINFDIST_ERROR_NOT_FINITE, "grad_w is nan"), a.grad_w[1] = 0;
    expect_ok(BACKWARD(inf, a.argmax));
#undef BACKWARD
    free_arrays(&a);
    linfdist_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_loops),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_any_gradient_may_be_left_out),
        cmocka_unit_test(test_corners),
        cmocka_unit_test(test_same_bits_everywhere),
        cmocka_unit_test(test_distance_shapes),
        cmocka_unit_test(test_distance_forward_errors),
        cmocka_unit_test(test_shape_errors),
        cmocka_unit_test(test_unfit_numbers_are_named),
        cmocka_unit_test(test_distance_backward_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
