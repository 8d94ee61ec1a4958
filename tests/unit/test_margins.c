/* Class differences merged into the bounds of a last linear layer: the formula and its gradients in double, and what
 * sound margins prove of the float net. */
#include "layer_support.h"

#include <float.h>

enum { N_IN = 150, CLASSES = 7, BATCH = 9 };

static layer_fixture make_head(linfdist_context *context) {
    return make_layer(context, dense_spec(LINFDIST_LAYER_LINEAR, N_IN, CLASSES), BATCH);
}

static const int32_t labels[BATCH] = {0, 1, 2, 3, 6, 6, 0, 4, 6};

static double difference(const layer_fixture *f, size_t j, size_t t, size_t i) {
    return (double)f->tensors[0].data[j * N_IN + i] - (double)f->tensors[0].data[t * N_IN + i];
}

static void margins_follow_the_formula(void **state) {
    (void)state;
    linfdist_context *context = make_context(2, NULL);
    layer_fixture f = make_head(context);
    float margins[BATCH * CLASSES], sound[BATCH * CLASSES];
    f.ops->margins(layer_pass(&f), &f.x, labels, 0, margins);
    f.ops->margins(layer_pass(&f), &f.x, labels, 1, sound);
    for (size_t b = 0; b < BATCH; ++b) {
        const size_t t = (size_t)labels[b];
        for (size_t j = 0; j < CLASSES; ++j) {
            double want = 0.0;
            for (size_t i = 0; i < N_IN; ++i) {
                const double l = (double)f.x.lower[b * N_IN + i], u = (double)f.x.upper[b * N_IN + i];
                want += difference(&f, j, t, i) * (l + u) / 2 + fabs(difference(&f, j, t, i)) * (u - l) / 2;
            }
            want = want / sqrt(N_IN) + (double)f.tensors[1].data[j] - (double)f.tensors[1].data[t];
            if (j == t) {
                assert_true(margins[b * CLASSES + j] == 0.0f && sound[b * CLASSES + j] == 0.0f);
                continue;
            }
            assert_near(margins[b * CLASSES + j], want, 1e-13);
            /* At most what rounding two outputs of a few units takes. */
            assert_true((double)sound[b * CLASSES + j] > want && (double)sound[b * CLASSES + j] < want + 1e-5);
        }
    }
    free_layer(&f);
    linfdist_context_destroy(context);
}

static void gradients_follow_the_formula(void **state) {
    (void)state;
    linfdist_context *context = make_context(2, NULL);
    layer_fixture f = make_head(context);
    float *grad = layer_floats(BATCH * CLASSES, 5);
    double lower[BATCH * N_IN], upper[BATCH * N_IN], weight[CLASSES * N_IN], bias[CLASSES];
    /* Weights that are equal in some places: D = 0. */
    for (size_t i = 0; i < N_IN; i += 4) f.tensors[0].data[i] = f.tensors[0].data[N_IN + i];
    for (size_t i = 0; i < BATCH * N_IN; ++i) {
        lower[i] = (double)f.grad_x.lower[i];
        upper[i] = (double)f.grad_x.upper[i];
    }
    for (size_t i = 0; i < CLASSES * N_IN; ++i) weight[i] = (double)f.gradients[0][i];
    for (size_t i = 0; i < CLASSES; ++i) bias[i] = (double)f.gradients[1][i];
    for (size_t b = 0; b < BATCH; ++b) {
        for (size_t j = 0; j < CLASSES; ++j) {
            const size_t t = (size_t)labels[b];
            const double g = (double)grad[b * CLASSES + j], s = 1.0 / sqrt(N_IN);
            for (size_t i = 0; i < N_IN; ++i) {
                const double l = (double)f.x.lower[b * N_IN + i], u = (double)f.x.upper[b * N_IN + i];
                const double d = difference(&f, j, t, i), sign = d > 0 ? 1 : d < 0 ? -1 : 0;
                if (j == t) continue;
                upper[b * N_IN + i] += s * g * (d + fabs(d)) / 2;
                lower[b * N_IN + i] += s * g * (d - fabs(d)) / 2;
                weight[j * N_IN + i] += s * g * ((l + u) / 2 + sign * (u - l) / 2);
                weight[t * N_IN + i] -= s * g * ((l + u) / 2 + sign * (u - l) / 2);
            }
            bias[j] += j == t ? 0.0 : g;
            bias[t] -= j == t ? 0.0 : g;
        }
    }
    f.ops->margins_backward(layer_pass(&f), &f.x, labels, grad, &f.grad_x);
    for (size_t i = 0; i < BATCH * N_IN; ++i) {
        assert_near(f.grad_x.lower[i], lower[i], 1e-13);
        assert_near(f.grad_x.upper[i], upper[i], 1e-13);
    }
    for (size_t i = 0; i < CLASSES * N_IN; ++i) assert_near(f.gradients[0][i], weight[i], 1e-13);
    for (size_t i = 0; i < CLASSES; ++i) assert_near(f.gradients[1][i], bias[i], 1e-13);
    free(grad);
    free_layer(&f);
    linfdist_context_destroy(context);
}

static void bits_do_not_depend_on_threads(void **state) {
    (void)state;
    float want[BATCH * CLASSES], want_weight[CLASSES * N_IN], want_lower[BATCH * N_IN];
    for (int32_t threads = 1; threads <= 7; ++threads) {
        linfdist_context *context = make_context(threads, NULL);
        layer_fixture f = make_head(context);
        float margins[BATCH * CLASSES];
        f.ops->margins(layer_pass(&f), &f.x, labels, 1, margins);
        f.ops->margins_backward(layer_pass(&f), &f.x, labels, margins, &f.grad_x);
        if (threads == 1) {
            memcpy(want, margins, sizeof want);
            memcpy(want_weight, f.gradients[0], sizeof want_weight);
            memcpy(want_lower, f.grad_x.lower, sizeof want_lower);
        }
        assert_memory_equal(margins, want, sizeof want);
        assert_memory_equal(f.gradients[0], want_weight, sizeof want_weight);
        assert_memory_equal(f.grad_x.lower, want_lower, sizeof want_lower);
        free_layer(&f);
        linfdist_context_destroy(context);
    }
}

/* The corner of the intervals at which y_j - y_t is largest, with a bias at which it is hardly negative there: whenever
 * the sound margin is negative, the float outputs are in that order. The plain margin is wrong at times. */
static void sound_margins_hold_for_the_float_net(void **state) {
    enum { TRIES = 3000 };
    (void)state;
    linfdist_context *context = make_context(1, NULL);
    layer_fixture f = make_head(context);
    const lfd_signal values = {f.x.value, NULL, NULL}, y = {f.y.value, NULL, NULL};
    int proven = 0, plain_wrong = 0;
    for (int attempt = 0; attempt < TRIES; ++attempt) {
        const size_t b = (size_t)attempt % BATCH, t = (size_t)labels[b],
                     j = (t + 1 + (size_t)attempt / BATCH % 6) % CLASSES;
        float plain[BATCH * CLASSES], sound[BATCH * CLASSES];
        f.ops->margins(layer_pass(&f), &f.x, labels, 0, plain);
        /* Towards zero, from below or above by a few units in the last place. */
        f.tensors[1].data[j] -= plain[b * CLASSES + j] * (1.0f + (float)(attempt % 13 - 6) * 0x1p-22f);
        f.ops->margins(layer_pass(&f), &f.x, labels, 0, plain);
        f.ops->margins(layer_pass(&f), &f.x, labels, 1, sound);
        for (size_t i = 0; i < N_IN; ++i) {
            const size_t at = b * N_IN + i;
            f.x.value[at] = difference(&f, j, t, i) > 0.0 ? f.x.upper[at] : f.x.lower[at];
        }
        f.ops->forward(layer_pass(&f), &values, &y);
        const float y_j = f.y.value[b * CLASSES + j], y_t = f.y.value[b * CLASSES + t];
        assert_true((double)y_j - (double)y_t <= (double)sound[b * CLASSES + j]);
        if (sound[b * CLASSES + j] < 0.0f) assert_true(y_j < y_t);
        proven += sound[b * CLASSES + j] < 0.0f;
        plain_wrong += plain[b * CLASSES + j] < 0.0f && !(y_j < y_t);
        /* Until it can be proven. */
        f.tensors[1].data[j] -= (float)(attempt % 7) * 1e-6f;
        f.ops->margins(layer_pass(&f), &f.x, labels, 1, sound);
        f.ops->forward(layer_pass(&f), &values, &y);
        if (sound[b * CLASSES + j] < 0.0f) assert_true(f.y.value[b * CLASSES + j] < f.y.value[b * CLASSES + t]);
        proven += sound[b * CLASSES + j] < 0.0f;
    }
    assert_true(proven > 0 && plain_wrong > 0);
    free_layer(&f);
    linfdist_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(margins_follow_the_formula),
        cmocka_unit_test(gradients_follow_the_formula),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(sound_margins_hold_for_the_float_net),
    };
    return cmocka_run_group_tests_name("margins", tests, NULL, NULL);
}
