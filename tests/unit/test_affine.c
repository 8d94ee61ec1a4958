/* Linear layers and convolutions against their formulas in double, by the middle and the radius of the intervals;
 * bounds against values, number by number; the same bits for any number of threads and every instruction set. */
#include "layer_support.h"

static lfd_layer_spec conv_spec(lfd_extent in, lfd_window window, int64_t groups) {
    return (lfd_layer_spec){.kind = LINFDIST_LAYER_CONV,
                            .n_in = in.channels * in.height * in.width,
                            .groups = groups,
                            .window = window,
                            .in = in};
}

typedef struct shape {
    lfd_layer_spec spec;
    size_t batch;
} sample_shape;

enum { SHAPES = 12 };

static sample_shape shape_at(size_t i) {
    const sample_shape all[SHAPES] = {
        {dense_spec(LINFDIST_LAYER_LINEAR, 1, 1), 1},
        {dense_spec(LINFDIST_LAYER_LINEAR, 7, 4), 5},
        {dense_spec(LINFDIST_LAYER_LINEAR, 300, 210), 13},
        {{.kind = LINFDIST_LAYER_LINEAR, .n_in = 24, .n_out = 5, .groups = 1, .in = {2, 3, 4}}, 4},
        {conv_spec((lfd_extent){1, 5, 5}, (lfd_window){1, 3, 3, 1, 0, 1}, 1), 2},
        {conv_spec((lfd_extent){3, 7, 6}, (lfd_window){4, 3, 2, 1, 1, 1}, 1), 3},
        {conv_spec((lfd_extent){4, 9, 8}, (lfd_window){6, 3, 3, 2, 1, 1}, 2), 2},
        {conv_spec((lfd_extent){6, 10, 10}, (lfd_window){3, 3, 3, 3, 2, 2}, 3), 2},
        {conv_spec((lfd_extent){5, 4, 4}, (lfd_window){7, 1, 1, 1, 0, 1}, 1), 3},
        {conv_spec((lfd_extent){4, 1, 1}, (lfd_window){8, 1, 1, 1, 0, 1}, 4), 3},
        {conv_spec((lfd_extent){2, 2, 2}, (lfd_window){3, 1, 1, 2, 3, 1}, 1), 2},
        {conv_spec((lfd_extent){16, 8, 8}, (lfd_window){20, 3, 3, 1, 1, 1}, 1), 5},
    };
    return all[i];
}

/* ---- the formulas ---- */

/* Index triples of one product each, w x in y. */
typedef void term_fn(void *user, size_t x, size_t w, size_t y);

static void for_each_term(const layer_fixture *f, term_fn *term, void *user) {
    const lfd_layer_spec *s = &f->spec;
    lfd_window window = s->window;
    lfd_extent in = s->in, out = s->out;
    if (window.out_channels == 0) {
        window = (lfd_window){s->n_out, 1, 1, 1, 0, 1};
        in = (lfd_extent){s->n_in, 1, 1};
    }
    const int64_t ins = in.channels / s->groups, outs = out.channels / s->groups;
    for (int64_t b = 0; b < (int64_t)f->batch; ++b)
        for (int64_t o = 0; o < out.channels; ++o)
            for (int64_t place = 0; place < out.height * out.width; ++place)
                for (int64_t entry = 0; entry < ins * window.kernel_h * window.kernel_w; ++entry) {
                    const int64_t j = entry % window.kernel_w, i = entry / window.kernel_w % window.kernel_h;
                    const int64_t c = o / outs * ins + entry / window.kernel_w / window.kernel_h;
                    const int64_t h = place / out.width * window.stride - window.padding + i * window.dilation;
                    const int64_t w = place % out.width * window.stride - window.padding + j * window.dilation;
                    if (h < 0 || w < 0 || h >= in.height || w >= in.width) continue;
                    term(user, (size_t)(((b * in.channels + c) * in.height + h) * in.width + w),
                         (size_t)(o * ins * window.kernel_h * window.kernel_w + entry),
                         (size_t)((b * out.channels + o) * out.height * out.width + place));
                }
}

static double scale_of(const layer_fixture *f) {
    const lfd_window *window = &f->spec.window;
    const int64_t fan_in =
        window->out_channels ? f->spec.in.channels * window->kernel_h * window->kernel_w : f->spec.n_in;
    return 1.0 / sqrt((double)fan_in);
}

static size_t channel_of(const layer_fixture *f, size_t y) {
    return y % (size_t)f->spec.n_out / (size_t)(f->spec.out.height * f->spec.out.width);
}

typedef struct formulas {
    const layer_fixture *f;
    double *value, *lower, *upper;                /* of y */
    double *grad_value, *grad_lower, *grad_upper; /* of x */
    double *grad_weight, *grad_bias;
    int values, bounds; /* which gradients count */
} formulas;

static double *doubles(size_t count) {
    double *zeros = calloc(count + 1, sizeof *zeros);
    assert_non_null(zeros);
    return zeros;
}

static void add_term(void *user, size_t x, size_t w, size_t y) {
    formulas *r = user;
    const layer_fixture *f = r->f;
    const double weight = (double)f->tensors[0].data[w], s = scale_of(f);
    const double l = (double)f->x.lower[x], u = (double)f->x.upper[x], mid = (l + u) / 2, rad = (u - l) / 2;
    const double g = r->values ? (double)f->grad_y.value[y] : 0.0;
    const double gl = r->bounds ? (double)f->grad_y.lower[y] : 0.0, gu = r->bounds ? (double)f->grad_y.upper[y] : 0.0;
    const double sign = weight > 0 ? 1 : weight < 0 ? -1 : 0;
    r->value[y] += s * weight * (double)f->x.value[x];
    r->lower[y] += s * (weight * mid - fabs(weight) * rad);
    r->upper[y] += s * (weight * mid + fabs(weight) * rad);
    r->grad_value[x] += s * weight * g;
    r->grad_lower[x] += s * ((gl + gu) * weight - (gu - gl) * fabs(weight)) / 2;
    r->grad_upper[x] += s * ((gl + gu) * weight + (gu - gl) * fabs(weight)) / 2;
    r->grad_weight[w] += s * (g * (double)f->x.value[x] + (gl + gu) * mid + (gu - gl) * rad * sign);
}

static formulas formulas_of(const layer_fixture *f, int values, int bounds) {
    const size_t ins = f->batch * (size_t)f->spec.n_in, outs = f->batch * (size_t)f->spec.n_out;
    formulas r = {f,
                  doubles(outs),
                  doubles(outs),
                  doubles(outs),
                  doubles(ins),
                  doubles(ins),
                  doubles(ins),
                  doubles(f->tensors[0].count),
                  doubles(f->tensors[1].count),
                  values,
                  bounds};
    for (size_t i = 0; i < f->tensors[0].count; ++i) r.grad_weight[i] = (double)f->gradients[0][i];
    for (size_t i = 0; i < f->tensors[1].count; ++i) r.grad_bias[i] = (double)f->gradients[1][i];
    for (size_t y = 0; y < outs; ++y) {
        const size_t channel = channel_of(f, y);
        const double bias = (double)f->tensors[1].data[channel];
        r.value[y] = r.lower[y] = r.upper[y] = bias;
        if (values) r.grad_bias[channel] += (double)f->grad_y.value[y];
        if (bounds) r.grad_bias[channel] += (double)f->grad_y.lower[y] + (double)f->grad_y.upper[y];
    }
    for_each_term(f, add_term, &r);
    return r;
}

static void free_formulas(formulas *r) {
    free(r->value);
    free(r->lower);
    free(r->upper);
    free(r->grad_value);
    free(r->grad_lower);
    free(r->grad_upper);
    free(r->grad_weight);
    free(r->grad_bias);
}

/* ---- tests ---- */

static void assert_all_near(const float *got, const double *want, size_t count, double extra) {
    for (size_t i = 0; i < count; ++i) assert_near(got[i], want[i], extra);
}

static void check_against_formulas(linfdist_context *context, sample_shape shape, int values, int bounds) {
    const lfd_signal none = {0};
    layer_fixture f = make_layer(context, shape.spec, shape.batch);
    const size_t ins = f.batch * (size_t)f.spec.n_in, outs = f.batch * (size_t)f.spec.n_out;
    formulas r = formulas_of(&f, values, bounds);
    const lfd_signal x = {values ? f.x.value : NULL, bounds ? f.x.lower : NULL, bounds ? f.x.upper : NULL};
    const lfd_signal y = {values ? f.y.value : NULL, bounds ? f.y.lower : NULL, bounds ? f.y.upper : NULL};
    lfd_signal grad_y = {values ? f.grad_y.value : NULL, bounds ? f.grad_y.lower : NULL,
                         bounds ? f.grad_y.upper : NULL};
    f.ops->forward(layer_pass(&f), &x, &y);
    f.ops->backward(layer_pass(&f), &x, &y, &grad_y, &f.grad_x);
    /* One rounding to float each, beside those of sums in double, which are below 1e-12 here. */
    if (values) assert_all_near(f.y.value, r.value, outs, 1e-12);
    if (bounds) assert_all_near(f.y.lower, r.lower, outs, 1e-12);
    if (bounds) assert_all_near(f.y.upper, r.upper, outs, 1e-12);
    assert_all_near(f.grad_x.value, r.grad_value, ins, 1e-12);
    assert_all_near(f.grad_x.lower, r.grad_lower, ins, 1e-12);
    assert_all_near(f.grad_x.upper, r.grad_upper, ins, 1e-12);
    /* Up to three roundings of partial sums, whose magnitude is that of the terms. */
    double most = 1.0;
    for (size_t i = 0; i < f.tensors[0].count; ++i) most = fmax(most, fabs(r.grad_weight[i]));
    assert_all_near(f.gradients[0], r.grad_weight, f.tensors[0].count, 8 * 0x1p-24 * most);
    assert_all_near(f.gradients[1], r.grad_bias, f.tensors[1].count, 1e-12);

    /* Nothing of x wanted, and no gradients: nothing happens. */
    f.pass = *layer_pass(&f);
    f.pass.gradients = NULL;
    f.ops->backward(&f.pass, &x, &y, &grad_y, &none);
    free_formulas(&r);
    free_layer(&f);
}

static void formulas_hold(void **state) {
    (void)state;
    linfdist_context *context = make_context(2, NULL);
    for (size_t i = 0; i < SHAPES; ++i) {
        check_against_formulas(context, shape_at(i), 1, 0);
        check_against_formulas(context, shape_at(i), 0, 1);
        check_against_formulas(context, shape_at(i), 1, 1);
    }
    linfdist_context_destroy(context);
}

static void bounds_contain_every_float_value(void **state) {
    enum { POINTS = 2000 };
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    uint64_t seed = 5;
    for (size_t i = 0; i < SHAPES; ++i) {
        layer_fixture f = make_layer(context, shape_at(i).spec, shape_at(i).batch);
        const size_t outs = f.batch * (size_t)f.spec.n_out;
        const lfd_signal bounds = {NULL, f.x.lower, f.x.upper}, values = {f.x.value, NULL, NULL};
        f.ops->forward(layer_pass(&f), &bounds, &f.y);
        const lfd_signal y = {f.y.value, NULL, NULL};
        for (int point = 0; point < (outs > 1000 ? POINTS / 20 : POINTS); ++point) {
            draw_inside(&f, point % 2, &seed);
            f.ops->forward(layer_pass(&f), &values, &y);
            for (size_t j = 0; j < outs; ++j) assert_true(f.y.value[j] >= f.y.lower[j] && f.y.value[j] <= f.y.upper[j]);
        }
        free_layer(&f);
    }
    linfdist_context_destroy(context);
}

/* The corner that makes one output largest, or smallest: its value is the bound itself. */
static void bounds_are_reached(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    layer_fixture f = make_layer(context, dense_spec(LINFDIST_LAYER_LINEAR, 300, 40), 1);
    const lfd_signal bounds = {NULL, f.x.lower, f.x.upper}, values = {f.x.value, NULL, NULL};
    f.ops->forward(layer_pass(&f), &bounds, &f.y);
    for (size_t j = 0; j < 40; ++j) {
        for (int side = 0; side < 2; ++side) {
            const lfd_signal y = {f.y.value, NULL, NULL};
            for (size_t i = 0; i < 300; ++i)
                f.x.value[i] = (f.tensors[0].data[j * 300 + i] > 0.0f) == side ? f.x.upper[i] : f.x.lower[i];
            f.ops->forward(layer_pass(&f), &values, &y);
            assert_memory_equal(&f.y.value[j], side ? &f.y.upper[j] : &f.y.lower[j], sizeof(float));
        }
    }
    free_layer(&f);
    linfdist_context_destroy(context);
}

/* Every result of a forward and a backward pass. */
static uint64_t digest(linfdist_context *context, sample_shape shape) {
    layer_fixture f = make_layer(context, shape.spec, shape.batch);
    const size_t ins = f.batch * (size_t)f.spec.n_in, outs = f.batch * (size_t)f.spec.n_out;
    f.ops->forward(layer_pass(&f), &f.x, &f.y);
    f.ops->backward(layer_pass(&f), &f.x, &f.y, &f.grad_y, &f.grad_x);
    const float *arrays[] = {f.y.value,      f.y.lower,      f.y.upper,      f.grad_x.value,
                             f.grad_x.lower, f.grad_x.upper, f.gradients[0], f.gradients[1]};
    const size_t counts[] = {outs, outs, outs, ins, ins, ins, f.tensors[0].count, f.tensors[1].count};
    uint64_t sum = 14695981039346656037u;
    for (size_t a = 0; a < sizeof arrays / sizeof *arrays; ++a) {
        for (size_t i = 0; i < counts[a]; ++i) {
            uint32_t bits;
            memcpy(&bits, &arrays[a][i], sizeof bits);
            sum = (sum ^ bits) * 1099511628211u;
        }
    }
    free_layer(&f);
    return sum;
}

static void bits_are_the_same_everywhere(void **state) {
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    static const int32_t threads[] = {1, 2, 3, 7};
    (void)state;
    for (size_t s = 0; s < SHAPES; ++s) {
        linfdist_context *first = make_context(1, "ref");
        const uint64_t want = digest(first, shape_at(s));
        linfdist_context_destroy(first);
        for (size_t i = 0; i < 3; ++i) {
            for (size_t t = 0; linfdist_isa_available(isas[i]) && t < 4; ++t) {
                linfdist_context *context = make_context(threads[t], isas[i]);
                assert_true(digest(context, shape_at(s)) == want);
                linfdist_context_destroy(context);
            }
        }
    }
}

static void growth_bounds_the_outputs(void **state) {
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    for (size_t i = 0; i < SHAPES; ++i) {
        layer_fixture f = make_layer(context, shape_at(i).spec, shape_at(i).batch);
        const size_t ins = f.batch * (size_t)f.spec.n_in, outs = f.batch * (size_t)f.spec.n_out;
        const float magnitude = 1e20f;
        const lfd_signal bounds = {NULL, f.x.lower, f.x.upper};
        const double growth = f.ops->growth(layer_pass(&f), (double)magnitude);
        double most = 0.0;
        for (size_t j = 0; j < ins; ++j) {
            f.x.lower[j] = -magnitude;
            f.x.upper[j] = magnitude;
        }
        f.ops->forward(layer_pass(&f), &bounds, &f.y);
        for (size_t j = 0; j < outs; ++j) {
            most = fmax(most, fabs((double)f.y.lower[j]));
            most = fmax(most, fabs((double)f.y.upper[j]));
        }
        assert_true(most <= growth && growth <= 1.5 * most + 1.0 + 1e20 * (f.spec.window.padding > 1));
        free_layer(&f);
    }
    linfdist_context_destroy(context);
}

static void wrong_specs_are_refused(void **state) {
    (void)state;
    lfd_layer_spec spec = dense_spec(LINFDIST_LAYER_LINEAR, 8, 4);
    strcpy(spec.name, "fc_final");
    spec.groups = 2;
    expect_error(lfd_layer_find(spec.kind)->check(&spec), LINFDIST_ERROR_SHAPE, "fc_final: groups is 2, must be 1");
    spec = conv_spec((lfd_extent){4, 3, 3}, (lfd_window){4, 5, 5, 1, 0, 1}, 1);
    expect_error(lfd_layer_find(spec.kind)->check(&spec), LINFDIST_ERROR_SHAPE, "5 x 5");
    spec = conv_spec((lfd_extent){4, 3, 3}, (lfd_window){4, 3, 3, 1, 0, 1}, 3);
    expect_error(lfd_layer_find(spec.kind)->check(&spec), LINFDIST_ERROR_SHAPE, "groups 3");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas_hold),
        cmocka_unit_test(bounds_contain_every_float_value),
        cmocka_unit_test(bounds_are_reached),
        cmocka_unit_test(bits_are_the_same_everywhere),
        cmocka_unit_test(growth_bounds_the_outputs),
        cmocka_unit_test(wrong_specs_are_refused),
    };
    return cmocka_run_group_tests_name("affine", tests, NULL, NULL);
}
