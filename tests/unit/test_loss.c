/* The mixture loss against its formula and finite differences, its ties and ends, margins, and every refusal. */
#include "expect.h"

#include <fenv.h>
#include <math.h>

enum { BATCH = 5, CLASSES = 4, N = BATCH * CLASSES };

static const int32_t labels[BATCH] = {0, 3, 1, 1, 2};
/* Inputs are multiples of 2^-10 and steps smaller powers of two, so that x + h is exact in float. */
static const float STEP = 0x1p-12f;

static void fill(float *x, uint64_t seed, float scale) {
    for (int i = 0; i < N; ++i) x[i] = scale * roundf(1024 * test_number(&seed)) / 1024;
}

static void expect_near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) fail_msg("got %.12g, wanted %.12g within %.3g", got, want, tolerance);
}

/* ---- the formulas, written once more ----------------------------------------------------------------------------- */

static double cross_entropy(const double *z, int label) {
    double sum = 0;
    for (int j = 0; j < CLASSES; ++j) sum += exp(z[j] - z[label]);
    return log(sum);
}

static double plain_loss(const float *logits, const float *margins, double lambda, double clip) {
    double total = 0;
    for (int b = 0; b < BATCH; ++b) {
        double z[CLASSES], worst = 0;
        for (int j = 0; j < CLASSES; ++j) {
            z[j] = (double)logits[b * CLASSES + j];
            if (j != labels[b]) worst = fmax(worst, (double)margins[b * CLASSES + j]);
        }
        total += fmin(worst, clip) + lambda * cross_entropy(z, labels[b]);
    }
    return total / BATCH;
}

static double plain_loss_distances(const float *d, float scalar, double eps, double lambda, double clip) {
    double total = 0;
    for (int b = 0; b < BATCH; ++b) {
        double z[CLASSES], worst = 0;
        for (int j = 0; j < CLASSES; ++j) {
            z[j] = -(double)scalar * (double)d[b * CLASSES + j];
            const double gap = (double)d[b * CLASSES + labels[b]] - (double)d[b * CLASSES + j];
            if (j != labels[b]) worst = fmax(worst, (gap + 2 * eps) / (2 * eps));
        }
        total += fmin(worst, clip) + lambda * cross_entropy(z, labels[b]);
    }
    return total / BATCH;
}

/* ---- values and gradients ---------------------------------------------------------------------------------------- */

static double loss_of(const float *logits, const float *margins, double lambda, double clip) {
    double loss = NAN;
    expect_ok(linfdist_mixture_loss(logits, margins, labels, BATCH, CLASSES, lambda, clip, &loss, NULL, NULL));
    return loss;
}

static double loss_of_distances(const float *d, float scalar, double eps, double lambda, double clip) {
    double loss = NAN;
    expect_ok(linfdist_mixture_loss_distances(d, labels, BATCH, CLASSES, scalar, eps, lambda, clip, &loss, NULL, NULL));
    return loss;
}

static void test_mixture(void **state) {
    (void)state;
    const double lambda = 0.3, clip = 0.7;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        float z[N], m[N], grad_z[N], grad_m[N];
        double loss;
        fill(z, seed, 2), fill(m, seed + 100, 1);
        expect_ok(linfdist_mixture_loss(z, m, labels, BATCH, CLASSES, lambda, clip, &loss, grad_z, grad_m));
        expect_near(loss, plain_loss(z, m, lambda, clip), 1e-14);
        assert_true(loss == loss_of(z, m, lambda, clip));
        for (int i = 0; i < N; ++i) {
            const float z_i = z[i], m_i = m[i];
            z[i] = z_i + STEP;
            double up = loss_of(z, m, lambda, clip);
            z[i] = z_i - STEP;
            expect_near((double)grad_z[i], (up - loss_of(z, m, lambda, clip)) / (2 * (double)STEP), 1e-7);
            z[i] = z_i, m[i] = m_i + STEP;
            up = loss_of(z, m, lambda, clip);
            m[i] = m_i - STEP;
            const double slope = (up - loss_of(z, m, lambda, clip)) / (2 * (double)STEP);
            m[i] = m_i;
            /* A margin within a step of a kink has no slope to compare with. */
            if (fabs(slope) < 1e-6 || fabs(slope - 1.0 / BATCH) < 1e-6) expect_near((double)grad_m[i], slope, 1e-7);
        }
    }
}

static void test_mixture_distances(void **state) {
    (void)state;
    const double eps = 0.4, lambda = 0.2, clip = 1;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        float d[N], grad_d[N], grad_scalar;
        const float scalar = 1.5f;
        double loss;
        fill(d, seed, 1);
        expect_ok(linfdist_mixture_loss_distances(d, labels, BATCH, CLASSES, scalar, eps, lambda, clip, &loss, grad_d,
                                                  &grad_scalar));
        expect_near(loss, plain_loss_distances(d, scalar, eps, lambda, clip), 1e-14);
        for (int i = 0; i < N; ++i) {
            const float d_i = d[i];
            const double h = (double)STEP;
            const double middle = loss_of_distances(d, scalar, eps, lambda, clip);
            d[i] = d_i + STEP;
            const double up = loss_of_distances(d, scalar, eps, lambda, clip);
            d[i] = d_i - STEP;
            const double down = loss_of_distances(d, scalar, eps, lambda, clip);
            d[i] = d_i;
            const int kink = fabs((up - middle) - (middle - down)) > h * 1e-3;
            if (!kink) expect_near((double)grad_d[i], (up - down) / (2 * h), 1e-6);
        }
        const double up = loss_of_distances(d, scalar + STEP, eps, lambda, clip);
        const double down = loss_of_distances(d, scalar - STEP, eps, lambda, clip);
        expect_near((double)grad_scalar, (up - down) / (2 * (double)STEP), 1e-7);
    }
}

/* The same loss through both doors: logits -s d and margins (d_y - d_j + 2 eps) / (2 eps), exact in float here. */
static void test_both_forms_agree(void **state) {
    (void)state;
    float d[N], z[N], m[N], grad_d[N], grad_z[N], grad_m[N];
    double loss, other;
    fill(d, 7, 1);
    for (int b = 0; b < BATCH; ++b)
        for (int j = 0; j < CLASSES; ++j) {
            z[b * CLASSES + j] = -2 * d[b * CLASSES + j];
            m[b * CLASSES + j] = d[b * CLASSES + labels[b]] - d[b * CLASSES + j] + 1;
        }
    expect_ok(linfdist_mixture_loss(z, m, labels, BATCH, CLASSES, 0.1, 1, &loss, grad_z, grad_m));
    expect_ok(linfdist_mixture_loss_distances(d, labels, BATCH, CLASSES, 2, 0.5, 0.1, 1, &other, grad_d, NULL));
    assert_true(loss == other);
    for (int b = 0; b < BATCH; ++b) {
        float sum = 0;
        for (int j = 0; j < CLASSES; ++j) sum += grad_m[b * CLASSES + j];
        for (int j = 0; j < CLASSES; ++j) {
            const int i = b * CLASSES + j;
            const float from_margins = (j == labels[b] ? sum : 0) - grad_m[i];
            expect_near((double)grad_d[i], (double)(-2 * grad_z[i] + from_margins), 1e-7);
        }
    }
}

/* Which margins of one sample with label 1 receive the gradient. */
static void expect_margin_gradient(float m0, float m1, float m2, double clip, float g0, float g2) {
    const float z[3] = {0}, m[3] = {m0, m1, m2};
    const int32_t label = 1;
    float grad[3];
    double loss;
    expect_ok(linfdist_mixture_loss(z, m, &label, 1, 3, 0, clip, &loss, NULL, grad));
    expect_near(loss, fmin(fmax(fmax((double)m0, (double)m2), 0), clip), 0);
    assert_true(grad[0] == g0 && grad[1] == 0 && grad[2] == g2);
}

static void test_ties_and_ends(void **state) {
    (void)state;
    expect_margin_gradient(0.5f, 9, 0.25f, 1, 1, 0);
    expect_margin_gradient(0.25f, NAN, 0.5f, 1, 0, 1);
    expect_margin_gradient(0.5f, INFINITY, 0.5f, 1, 1, 0); /* the lowest index */
    expect_margin_gradient(1, 0, 0, 1, 1, 0);              /* the upper end passes */
    expect_margin_gradient(1.0001f, 0, 0, 1, 0, 0);        /* beyond it nothing does */
    expect_margin_gradient(0, 5, -1, 1, 1, 0);             /* the lower end passes, before the label's own 0 */
    expect_margin_gradient(-1, 5, 0, 1, 0, 0);             /* behind it the label is the maximum */
    expect_margin_gradient(-1, 5, -2, 1, 0, 0);
    expect_margin_gradient(0, 0, 0, 0, 1, 0);
}

static void test_large_numbers(void **state) {
    (void)state;
    const float z[4] = {0x1p100f, -0x1p100f, 0, 0x1p100f};
    const int32_t two[2] = {1, 1};
    float grad[4], grad_scalar;
    double loss;
    expect_ok(linfdist_mixture_loss(z, z, two, 2, 2, 1, 1, &loss, grad, NULL));
    assert_true(loss == (1 + 0x1p101 + 1) / 2 || fabs(loss / 0x1p100 - 1) < 1e-12);
    for (int i = 0; i < 4; ++i) assert_true(isfinite(grad[i]));
    expect_ok(linfdist_mixture_loss_distances(z, two, 2, 2, 0x1p100f, 0x1p-100, 1, 1, &loss, grad, &grad_scalar));
    assert_true(isfinite(loss));
}

static void test_same_bits_in_any_environment(void **state) {
    (void)state;
    float d[N], grad[N], grad_up[N], grad_scalar, grad_scalar_up;
    double loss, loss_up;
    fill(d, 3, 1);
    expect_ok(linfdist_mixture_loss_distances(d, labels, BATCH, CLASSES, 1.1f, 0.3, 0.1, 1, &loss, grad, &grad_scalar));
    fesetround(FE_UPWARD);
    linfdist_status status = linfdist_mixture_loss_distances(d, labels, BATCH, CLASSES, 1.1f, 0.3, 0.1, 1, &loss_up,
                                                             grad_up, &grad_scalar_up);
    fesetround(FE_TONEAREST);
    expect_ok(status);
    assert_memory_equal(&loss, &loss_up, sizeof loss);
    assert_memory_equal(grad, grad_up, sizeof grad);
    assert_memory_equal(&grad_scalar, &grad_scalar_up, sizeof grad_scalar);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void test_mixture_errors(void **state) {
    (void)state;
    float z[N], m[N], grad[N];
    double loss = -5;
    int32_t wrong[BATCH] = {0, 3, 1, 1, 2};
    fill(z, 1, 1), fill(m, 2, 1);
    for (int i = 0; i < N; ++i) grad[i] = -5;
#define LOSS(z, m, labels, batch, classes, lambda, clip)                                                               \
    linfdist_mixture_loss(z, m, labels, batch, classes, lambda, clip, &loss, grad, grad)
    expect_invalid(LOSS(NULL, m, labels, BATCH, CLASSES, 1, 1), "logits is NULL");
    expect_invalid(LOSS(z, NULL, labels, BATCH, CLASSES, 1, 1), "margins is NULL");
    expect_invalid(LOSS(z, m, NULL, BATCH, CLASSES, 1, 1), "labels is NULL");
    expect_invalid(linfdist_mixture_loss(z, m, labels, BATCH, CLASSES, 1, 1, NULL, grad, grad), "loss is NULL");
    expect_invalid(LOSS(z, m, labels, 0, CLASSES, 1, 1), "logits is 0 x 4");
    expect_invalid(LOSS(z, m, labels, BATCH, -1, 1, 1), "logits is 5 x -1");
    expect_invalid(LOSS(z, m, labels, INT64_MAX, CLASSES, 1, 1), "more than memory can hold");
    expect_invalid(LOSS(z, m, labels, BATCH, CLASSES, NAN, 1), "lambda is nan");
    expect_invalid(LOSS(z, m, labels, BATCH, CLASSES, -0.5, 1), "lambda is -0.5");
    expect_invalid(LOSS(z, m, labels, BATCH, CLASSES, INFINITY, 1), "lambda is inf");
    expect_invalid(LOSS(z, m, labels, BATCH, CLASSES, 1, -1), "clip is -1");
    expect_invalid(LOSS(z, m, labels, BATCH, CLASSES, 1, NAN), "clip is nan");
    wrong[3] = CLASSES;
    expect_invalid(LOSS(z, m, wrong, BATCH, CLASSES, 1, 1), "labels[3] is 4, must be in [0, 4)");
    wrong[3] = -1;
    expect_invalid(LOSS(z, m, wrong, BATCH, CLASSES, 1, 1), "labels[3] is -1");
    z[6] = NAN;
    expect_error(LOSS(z, m, labels, BATCH, CLASSES, 1, 1), LINFDIST_ERROR_NOT_FINITE,
                 "logits is nan at row 1, column 2");
    z[6] = 0, m[19] = -INFINITY;
    expect_error(LOSS(z, m, labels, BATCH, CLASSES, 1, 1), LINFDIST_ERROR_NOT_FINITE,
                 "margins is -inf at row 4, column 3");
#undef LOSS
    assert_true(loss == -5);
    for (int i = 0; i < N; ++i) assert_true(grad[i] == -5);
}

static void test_mixture_distances_errors(void **state) {
    (void)state;
    float d[N], grad[N] = {0}, grad_scalar = 0;
    double loss = -5;
    const int32_t wrong[BATCH] = {9, 0, 0, 0, 0};
    fill(d, 1, 1);
#define LOSS(d, labels, scalar, eps, lambda, clip)                                                                     \
    linfdist_mixture_loss_distances(d, labels, BATCH, CLASSES, scalar, eps, lambda, clip, &loss, grad, &grad_scalar)
    expect_invalid(LOSS(NULL, labels, 1, 1, 1, 1), "distances is NULL");
    expect_invalid(LOSS(d, NULL, 1, 1, 1, 1), "labels is NULL");
    expect_invalid(LOSS(d, wrong, 1, 1, 1, 1), "labels[0] is 9");
    expect_invalid(LOSS(d, labels, NAN, 1, 1, 1), "scalar is nan");
    expect_invalid(LOSS(d, labels, -INFINITY, 1, 1, 1), "scalar is -inf");
    expect_invalid(LOSS(d, labels, 1, 0, 1, 1), "eps_normalized is 0");
    expect_invalid(LOSS(d, labels, 1, -0.1, 1, 1), "eps_normalized is -0.1");
    expect_invalid(LOSS(d, labels, 1, NAN, 1, 1), "eps_normalized is nan");
    expect_invalid(LOSS(d, labels, 1, 1, -1, 1), "lambda is -1");
    expect_invalid(LOSS(d, labels, 1, 1, 1, INFINITY), "clip is inf");
    expect_invalid(linfdist_mixture_loss_distances(d, labels, BATCH, CLASSES, 1, 1, 1, 1, NULL, grad, NULL), "loss is");
    d[0] = INFINITY;
    expect_error(LOSS(d, labels, 1, 1, 1, 1), LINFDIST_ERROR_NOT_FINITE, "distances is inf at row 0, column 0");
#undef LOSS
    assert_true(loss == -5 && grad_scalar == 0);
    for (int i = 0; i < N; ++i) assert_true(grad[i] == 0);
}

/* ---- margins ----------------------------------------------------------------------------------------------------- */

static void test_margins(void **state) {
    (void)state;
    const float d[] = {3, 1, 2, 5, 5, 5, 2, 7, 2, 0.5f, 9, 0.25f};
    const int32_t truth[4] = {1, 2, 1, 0};
    const int32_t want_predicted[4] = {1, 0, 0, 2};
    const float want_margin[4] = {1, 0, 0, 0.25f}, want_labelled[4] = {1, 0, -5, -0.25f};
    int32_t predicted[4];
    float margin[4];
    expect_ok(linfdist_margins(d, NULL, 4, 3, predicted, margin));
    assert_memory_equal(predicted, want_predicted, sizeof predicted);
    for (int b = 0; b < 4; ++b) assert_true(margin[b] == want_margin[b]);
    memset(predicted, 0x55, sizeof predicted);
    expect_ok(linfdist_margins(d, truth, 4, 3, predicted, NULL));
    assert_memory_equal(predicted, want_predicted, sizeof predicted);
    expect_ok(linfdist_margins(d, truth, 4, 3, NULL, margin));
    for (int b = 0; b < 4; ++b) assert_true(margin[b] == want_labelled[b]);
    expect_ok(linfdist_margins(d, truth, 4, 3, NULL, NULL));
}

static void test_margins_errors(void **state) {
    (void)state;
    float d[4] = {1, 2, 3, 4}, margin[2] = {-5, -5};
    const int32_t wrong[2] = {0, 2};
    expect_invalid(linfdist_margins(NULL, NULL, 2, 2, NULL, margin), "distances is NULL");
    expect_invalid(linfdist_margins(d, NULL, 2, 1, NULL, margin), "classes is 1");
    expect_invalid(linfdist_margins(d, NULL, 0, 2, NULL, margin), "distances is 0 x 2");
    expect_invalid(linfdist_margins(d, NULL, 2, (int64_t)1 << 40, NULL, margin), "classes is 1099511627776");
    expect_invalid(linfdist_margins(d, wrong, 2, 2, NULL, margin), "labels[1] is 2");
    d[3] = NAN;
    expect_error(linfdist_margins(d, NULL, 2, 2, NULL, margin), LINFDIST_ERROR_NOT_FINITE, "row 1, column 1");
    assert_true(margin[0] == -5 && margin[1] == -5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixture),
        cmocka_unit_test(test_mixture_distances),
        cmocka_unit_test(test_both_forms_agree),
        cmocka_unit_test(test_ties_and_ends),
        cmocka_unit_test(test_large_numbers),
        cmocka_unit_test(test_same_bits_in_any_environment),
        cmocka_unit_test(test_mixture_errors),
        cmocka_unit_test(test_mixture_distances_errors),
        cmocka_unit_test(test_margins),
        cmocka_unit_test(test_margins_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
