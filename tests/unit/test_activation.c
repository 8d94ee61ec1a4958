/* Tanh and ReLU: values, bounds and gradients. */
#include "layer_support.h"

enum { FEATURES = 60, SAMPLES = 4, COUNT = FEATURES * SAMPLES };

static lfd_layer_spec elementwise_spec(int32_t kind) {
    return (lfd_layer_spec){.kind = kind, .n_in = FEATURES, .groups = 1, .in = {3, 4, 5}};
}

static double value_of(int32_t kind, float x) {
    return kind == LINFDIST_LAYER_TANH ? tanh((double)x) : fmax((double)x, 0.0);
}

static double slope_of(int32_t kind, float x) {
    const double y = value_of(kind, x);
    return kind == LINFDIST_LAYER_TANH ? 1.0 - y * y : x > 0.0f;
}

static void check_member(int32_t kind, const float *x, const float *y, const float *grad_y, const float *grad_x) {
    for (size_t i = 0; i < COUNT; ++i) {
        assert_near(y[i], value_of(kind, x[i]), 0.0);
        /* 1 - y^2 has the rounding of y. */
        assert_near(grad_x[i], (double)grad_y[i] * slope_of(kind, x[i]), kind == LINFDIST_LAYER_TANH ? 0x1p-22 : 0.0);
    }
}

static void check_kind(int32_t kind, int32_t threads) {
    linfdist_context *context = make_context(threads, NULL);
    layer_fixture f = make_layer(context, elementwise_spec(kind), SAMPLES);
    assert_int_equal(f.spec.n_out, FEATURES);
    assert_true(f.spec.out.channels == 3 && f.spec.out.height == 4 && f.spec.out.width == 5);
    for (size_t i = 0; i < COUNT; ++i) {
        f.x.value[i] *= 4.0f;
        f.x.lower[i] = i % 9 == 0 ? 0.0f : f.x.value[i] - 0.25f;
        f.x.upper[i] = i % 11 == 0 ? -0.0f : f.x.value[i] + 1e-30f;
    }
    f.ops->forward(layer_pass(&f), &f.x, &f.y);
    f.ops->backward(layer_pass(&f), &f.x, &f.y, &f.grad_y, &f.grad_x);
    check_member(kind, f.x.value, f.y.value, f.grad_y.value, f.grad_x.value);
    check_member(kind, f.x.lower, f.y.lower, f.grad_y.lower, f.grad_x.lower);
    check_member(kind, f.x.upper, f.y.upper, f.grad_y.upper, f.grad_x.upper);

    /* Members come and go: no values, then no gradients of bounds. */
    const lfd_signal bounds = {NULL, f.x.lower, f.x.upper}, only_values = {f.grad_y.value, NULL, NULL}, none = {0};
    memset(f.y.lower, -1, COUNT * sizeof(float));
    f.ops->forward(layer_pass(&f), &bounds, &f.y);
    for (size_t i = 0; i < COUNT; ++i) assert_near(f.y.lower[i], value_of(kind, f.x.lower[i]), 0.0);
    f.ops->backward(layer_pass(&f), &f.x, &f.y, &only_values, &f.grad_x);
    for (size_t i = 0; i < COUNT; ++i) assert_true(f.grad_x.lower[i] == 0.0f && f.grad_x.upper[i] == 0.0f);
    f.ops->backward(layer_pass(&f), &f.x, &f.y, &f.grad_y, &none);
    free_layer(&f);
    linfdist_context_destroy(context);
}

static void formulas_hold(void **state) {
    (void)state;
    check_kind(LINFDIST_LAYER_TANH, 1);
    check_kind(LINFDIST_LAYER_RELU, 1);
    check_kind(LINFDIST_LAYER_TANH, 3);
    check_kind(LINFDIST_LAYER_RELU, 3);
}

static void the_slope_of_relu_at_zero_is_zero(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    layer_fixture f = make_layer(context, elementwise_spec(LINFDIST_LAYER_RELU), SAMPLES);
    f.x.value[0] = 0.0f;
    f.x.value[1] = -0.0f;
    f.x.value[2] = 0x1p-149f;
    f.ops->forward(layer_pass(&f), &f.x, &f.y);
    f.ops->backward(layer_pass(&f), &f.x, &f.y, &f.grad_y, &f.grad_x);
    assert_true(f.grad_x.value[0] == 0.0f && f.grad_x.value[1] == 0.0f);
    assert_true(f.grad_x.value[2] == f.grad_y.value[2] && f.grad_y.value[2] != 0.0f);
    free_layer(&f);
    linfdist_context_destroy(context);
}

static void bounds_contain_every_float_value(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    uint64_t seed = 3;
    for (int32_t kind = LINFDIST_LAYER_TANH; kind <= LINFDIST_LAYER_RELU; ++kind) {
        layer_fixture f = make_layer(context, elementwise_spec(kind), SAMPLES);
        const lfd_signal bounds = {NULL, f.x.lower, f.x.upper}, values = {f.x.value, NULL, NULL};
        for (size_t i = 0; i < COUNT; i += 2) f.x.upper[i] = nextafterf(f.x.lower[i], 1e30f);
        f.ops->forward(layer_pass(&f), &bounds, &f.y);
        for (int point = 0; point < 1000; ++point) {
            draw_inside(&f, point % 2, &seed);
            f.ops->forward(layer_pass(&f), &values, &f.y);
            for (size_t i = 0; i < COUNT; ++i)
                assert_true(f.y.value[i] >= f.y.lower[i] && f.y.value[i] <= f.y.upper[i]);
        }
        free_layer(&f);
    }
    linfdist_context_destroy(context);
}

static void growth_bounds_the_outputs(void **state) {
    (void)state;
    const struct lfd_layer_ops *tanh_layer = lfd_layer_find(LINFDIST_LAYER_TANH);
    const struct lfd_layer_ops *relu_layer = lfd_layer_find(LINFDIST_LAYER_RELU);
    const lfd_layer_pass pass = {0};
    assert_true(tanh_layer->growth(&pass, 1e30) == 1.0 && tanh_layer->growth(&pass, 0.25) == 0.25);
    assert_true(relu_layer->growth(&pass, 1e30) == 1e30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas_hold),
        cmocka_unit_test(the_slope_of_relu_at_zero_is_zero),
        cmocka_unit_test(bounds_contain_every_float_value),
        cmocka_unit_test(growth_bounds_the_outputs),
    };
    return cmocka_run_group_tests_name("activation", tests, NULL, NULL);
}
