/* Interval bounds against plain loops, their gradients against finite differences, and every refusal. */
#include "operator_support.h"

typedef struct intervals {
    shape_t s;
    float *xl, *xu, *w, *yl, *yu, *grad_yl, *grad_yu, *grad_xl, *grad_xu, *grad_w;
    int32_t *arg_l, *arg_u;
} intervals;

static intervals make_intervals(shape_t s) {
    intervals a = {.s = s};
    uint64_t seed = 9;
    a.xl = random_array(x_size(&s), 1), a.xu = random_array(x_size(&s), 1), a.w = random_array(w_size(&s), 2);
    for (size_t i = 0; i < x_size(&s); ++i) a.xu[i] += 0.3f * fabsf(test_number(&seed));
    a.yl = random_array(y_size(&s), 3), a.yu = random_array(y_size(&s), 3);
    a.grad_yl = random_array(y_size(&s), 4), a.grad_yu = random_array(y_size(&s), 5);
    a.grad_xl = random_array(x_size(&s), 6), a.grad_xu = random_array(x_size(&s), 7);
    a.grad_w = random_array(w_size(&s), 8);
    a.arg_l = allocate(y_size(&s), sizeof(int32_t)), a.arg_u = allocate(y_size(&s), sizeof(int32_t));
    put_canaries(a.yl, s.batch, s.n_out, s.y_stride), put_canaries(a.yu, s.batch, s.n_out, s.y_stride);
    return a;
}

static void free_intervals(intervals *a) {
    free(a->xl), free(a->xu), free(a->w), free(a->yl), free(a->yu), free(a->grad_yl), free(a->grad_yu);
    free(a->grad_xl), free(a->grad_xu), free(a->grad_w), free(a->arg_l), free(a->arg_u);
}

static void run_bounds(linfdist_context *context, intervals *a) {
    expect_ok(linfdist_bounds_forward(context, &a->s, a->xl, a->xu, a->w, a->yl, a->yu, a->arg_l, a->arg_u));
    expect_ok(linfdist_bounds_backward(context, &a->s, a->xl, a->xu, a->w, a->arg_l, a->arg_u, a->grad_yl, a->grad_yu,
                                       a->grad_xl, a->grad_xu, a->grad_w));
}

/* Both bounds of one output as the header defines them. */
static void plain_bounds(const intervals *a, int64_t b, int64_t o, float *lower, float *upper) {
    const shape_t *s = &a->s;
    const float *l = a->xl + b * s->x_stride + first_column(s, o), *u = a->xu + b * s->x_stride + first_column(s, o);
    const float *w = a->w + o * s->w_stride;
    *lower = *upper = 0;
    for (int64_t i = 0; i < s->n_in / s->groups; ++i) {
        *lower = fmaxf(*lower, fmaxf(l[i] - w[i], w[i] - u[i]));
        *upper = fmaxf(*upper, fmaxf(w[i] - l[i], u[i] - w[i]));
    }
}

/* sum grad_yl yl + grad_yu yu in double: what the gradients are the slopes of. */
static double plain_objective(const intervals *a) {
    double sum = 0;
    for (int64_t b = 0; b < a->s.batch; ++b)
        for (int64_t o = 0; o < a->s.n_out; ++o) {
            float lower, upper;
            plain_bounds(a, b, o, &lower, &upper);
            sum += (double)a->grad_yl[b * a->s.y_stride + o] * (double)lower;
            sum += (double)a->grad_yu[b * a->s.y_stride + o] * (double)upper;
        }
    return sum;
}

/* The objective is piecewise linear, so a step that leaves every maximum in place is exact up to rounding. */
static void check_slope(intervals *a, float *input, double gradient) {
    const float before = *input, h = 0x1p-12f;
    *input = before + h;
    const double up = plain_objective(a), high = (double)*input;
    *input = before - h;
    const double down = plain_objective(a), low = (double)*input;
    *input = before;
    expect_near((up - down) / (high - low), gradient, 5e-3);
}

static void test_bounds(void **state) {
    (void)state;
    linfdist_context *context = make_context(2, NULL);
    const shape_t shapes[] = {make_shape(1, 1, 1, 1, 0), make_shape(4, 10, 6, 2, 3), make_shape(3, 7, 5, 1, 0)};
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; ++k) {
        const shape_t *s = &shapes[k];
        intervals a = make_intervals(*s), fresh = make_intervals(*s);
        run_bounds(context, &a);
        for (int64_t b = 0; b < s->batch; ++b)
            for (int64_t o = 0; o < s->n_out; ++o) {
                float lower, upper;
                plain_bounds(&a, b, o, &lower, &upper);
                assert_true(a.yl[b * s->y_stride + o] == lower && a.yu[b * s->y_stride + o] == upper);
                assert_int_equal(a.arg_l[b * s->y_stride + o] < 0, lower == 0);
            }
        check_canaries(a.yl, s->batch, s->n_out, s->y_stride);
        check_canaries(a.yu, s->batch, s->n_out, s->y_stride);
        for (int64_t b = 0; b < s->batch; ++b)
            for (int64_t i = b * s->x_stride; i < b * s->x_stride + s->n_in; ++i) {
                check_slope(&a, &a.xl[i], (double)a.grad_xl[i] - (double)fresh.grad_xl[i]);
                check_slope(&a, &a.xu[i], (double)a.grad_xu[i] - (double)fresh.grad_xu[i]);
            }
        for (int64_t o = 0; o < s->n_out; ++o)
            for (int64_t i = o * s->w_stride; i < o * s->w_stride + s->n_in / s->groups; ++i)
                check_slope(&a, &a.w[i], (double)a.grad_w[i] - (double)fresh.grad_w[i]);
        free_intervals(&a), free_intervals(&fresh);
    }
    linfdist_context_destroy(context);
}

/* No point of the box leaves the bounds, in floats and without a margin. */
static void test_bounds_hold_for_the_float_function(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    intervals a = make_intervals(make_shape(20, 30, 40, 1, 0));
    float *x = allocate(x_size(&a.s), sizeof(float)), *y = allocate(y_size(&a.s), sizeof(float));
    uint64_t seed = 4;
    run_bounds(context, &a);
    for (int k = 0; k < 20; ++k) {
        for (size_t i = 0; i < x_size(&a.s); ++i) {
            const float t = 0.5f + 0.5f * test_number(&seed);
            x[i] = k == 0 ? a.xl[i] : k == 1 ? a.xu[i] : fminf(a.xl[i] + t * (a.xu[i] - a.xl[i]), a.xu[i]);
        }
        expect_ok(linfdist_distance_forward(context, &a.s, INFINITY, x, a.w, y, NULL));
        for (size_t i = 0; i < y_size(&a.s); ++i) assert_true(a.yl[i] <= y[i] && y[i] <= a.yu[i]);
    }
    free(x), free(y);
    free_intervals(&a);
    linfdist_context_destroy(context);
}

static void test_bounds_without_parts(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    intervals whole = make_intervals(make_shape(6, 12, 9, 3, 2)), part = make_intervals(whole.s);
    const shape_t *s = &whole.s;
    run_bounds(context, &whole);
    expect_ok(linfdist_bounds_forward(context, s, part.xl, part.xu, part.w, part.yl, part.yu, NULL, NULL));
    assert_memory_equal(part.yl, whole.yl, y_size(s) * sizeof(float));
    assert_memory_equal(part.yu, whole.yu, y_size(s) * sizeof(float));
#define BACKWARD(grad_xl, grad_xu, grad_w)                                                                             \
    linfdist_bounds_backward(context, s, whole.xl, whole.xu, whole.w, whole.arg_l, whole.arg_u, whole.grad_yl,         \
                             whole.grad_yu, grad_xl, grad_xu, grad_w)
    expect_ok(BACKWARD(NULL, NULL, NULL));
    expect_ok(BACKWARD(part.grad_xl, NULL, NULL));
    expect_ok(BACKWARD(NULL, part.grad_xu, NULL));
    expect_ok(BACKWARD(NULL, NULL, part.grad_w));
#undef BACKWARD
    assert_memory_equal(part.grad_xl, whole.grad_xl, x_size(s) * sizeof(float));
    assert_memory_equal(part.grad_xu, whole.grad_xu, x_size(s) * sizeof(float));
    assert_memory_equal(part.grad_w, whole.grad_w, w_size(s) * sizeof(float));
    free_intervals(&whole), free_intervals(&part);
    linfdist_context_destroy(context);
}

static void test_bounds_same_bits(void **state) {
    (void)state;
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    const shape_t s = make_shape(100, 150, 130, 2, 1);
    linfdist_context *plain = make_context(1, "ref");
    intervals want = make_intervals(s);
    run_bounds(plain, &want);
    linfdist_context_destroy(plain);
    for (int i = 0; i < 3; ++i)
        for (int32_t threads = 1; threads <= 3 && linfdist_isa_available(isas[i]); ++threads) {
            linfdist_context *context = make_context(threads, isas[i]);
            intervals got = make_intervals(s);
            run_bounds(context, &got);
            assert_memory_equal(got.yl, want.yl, y_size(&s) * sizeof(float));
            assert_memory_equal(got.yu, want.yu, y_size(&s) * sizeof(float));
            assert_memory_equal(got.grad_xl, want.grad_xl, x_size(&s) * sizeof(float));
            assert_memory_equal(got.grad_xu, want.grad_xu, x_size(&s) * sizeof(float));
            assert_memory_equal(got.grad_w, want.grad_w, w_size(&s) * sizeof(float));
            free_intervals(&got);
            linfdist_context_destroy(context);
        }
    free_intervals(&want);
}

static void test_bounds_errors(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    intervals a = make_intervals(make_shape(3, 4, 6, 2, 0));
    const float before = a.yl[0];
#define FORWARD(arg_l, arg_u) linfdist_bounds_forward(context, &a.s, a.xl, a.xu, a.w, a.yl, a.yu, arg_l, arg_u)
    expect_invalid(linfdist_bounds_forward(NULL, &a.s, a.xl, a.xu, a.w, a.yl, a.yu, NULL, NULL), "context is NULL");
    expect_invalid(linfdist_bounds_forward(context, NULL, a.xl, a.xu, a.w, a.yl, a.yu, NULL, NULL), "shape is NULL");
    expect_invalid(linfdist_bounds_forward(context, &a.s, NULL, a.xu, a.w, a.yl, a.yu, NULL, NULL), "x_lower is NULL");
    expect_invalid(linfdist_bounds_forward(context, &a.s, a.xl, NULL, a.w, a.yl, a.yu, NULL, NULL), "x_upper is NULL");
    expect_invalid(linfdist_bounds_forward(context, &a.s, a.xl, a.xu, NULL, a.yl, a.yu, NULL, NULL), "w is NULL");
    expect_invalid(linfdist_bounds_forward(context, &a.s, a.xl, a.xu, a.w, NULL, a.yu, NULL, NULL), "y_lower is NULL");
    expect_invalid(linfdist_bounds_forward(context, &a.s, a.xl, a.xu, a.w, a.yl, NULL, NULL, NULL), "y_upper is NULL");
    expect_invalid(FORWARD(a.arg_l, NULL), "argmax_upper is NULL");
    expect_invalid(FORWARD(NULL, a.arg_u), "argmax_lower is NULL");
    const float low = a.xl[6];
    a.xl[6] = a.xu[6] + 1;
    expect_error(FORWARD(NULL, NULL), LINFDIST_ERROR_INVERTED_INTERVAL, "at row 1, column 2");
    a.xl[6] = NAN, expect_error(FORWARD(NULL, NULL), LINFDIST_ERROR_NOT_FINITE, "x_lower is nan"), a.xl[6] = low;
    a.w[0] = NAN, expect_error(FORWARD(NULL, NULL), LINFDIST_ERROR_NOT_FINITE, "w is nan"), a.w[0] = 0;
    assert_true(a.yl[0] == before);
    expect_ok(FORWARD(a.arg_l, a.arg_u));
#undef FORWARD
#define BACKWARD(arg_l, arg_u)                                                                                         \
    linfdist_bounds_backward(context, &a.s, a.xl, a.xu, a.w, arg_l, arg_u, a.grad_yl, a.grad_yu, a.grad_xl, a.grad_xu, \
                             a.grad_w)
    expect_invalid(BACKWARD(NULL, a.arg_u), "argmax_lower is NULL");
    expect_invalid(BACKWARD(a.arg_l, NULL), "argmax_upper is NULL");
    a.arg_u[17] = 2, expect_invalid(BACKWARD(a.arg_l, a.arg_u), "argmax_upper is 2 at row 2, column 5");
    a.arg_u[17] = -2, expect_invalid(BACKWARD(a.arg_l, a.arg_u), "argmax_upper is -2"), a.arg_u[17] = -1;
    a.xu[0] = a.xl[0] - 1;
    expect_error(BACKWARD(a.arg_l, a.arg_u), LINFDIST_ERROR_INVERTED_INTERVAL, "at row 0, column 0");
    a.xu[0] = a.xl[0];
    a.grad_yu[3] = NAN;
    expect_error(BACKWARD(a.arg_l, a.arg_u), LINFDIST_ERROR_NOT_FINITE, "grad_y_upper is nan"), a.grad_yu[3] = 0;
    expect_ok(BACKWARD(a.arg_l, a.arg_u));
#undef BACKWARD
    free_intervals(&a);
    linfdist_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_bounds_hold_for_the_float_function),
        cmocka_unit_test(test_bounds_without_parts),
        cmocka_unit_test(test_bounds_same_bits),
        cmocka_unit_test(test_bounds_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
