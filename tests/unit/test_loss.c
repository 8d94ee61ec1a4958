/* The losses against their formulas and finite differences, their ties and ends, margins, and every refusal. */
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

static linfdist_loss make_loss(int32_t kind, double mix, double clip) {
    linfdist_loss loss;
    expect_ok(linfdist_loss_init(&loss, sizeof loss, kind));
    loss.mix = mix;
    loss.clip = clip;
    return loss;
}

static linfdist_status mixture_loss(const float *logits, const float *margins, const int32_t *truth, int64_t batch,
                                    int64_t classes, double lambda, double clip, double *value, float *grad_logits,
                                    float *grad_margins) {
    const linfdist_loss loss = make_loss(LINFDIST_LOSS_MIXTURE, 0, clip);
    return linfdist_loss_logits(&loss, logits, margins, truth, batch, classes, lambda, value, grad_logits,
                                grad_margins);
}

static linfdist_status mixture_loss_distances(const float *distances, const int32_t *truth, int64_t batch,
                                              int64_t classes, float scalar, double eps, double lambda, double clip,
                                              double *value, float *grad_distances, float *grad_scalar) {
    const linfdist_loss loss = make_loss(LINFDIST_LOSS_MIXTURE, 0, clip);
    return linfdist_loss_distances(&loss, distances, truth, batch, classes, scalar, eps, lambda, value, grad_distances,
                                   grad_scalar);
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
    expect_ok(mixture_loss(logits, margins, labels, BATCH, CLASSES, lambda, clip, &loss, NULL, NULL));
    return loss;
}

static double loss_of_distances(const float *d, float scalar, double eps, double lambda, double clip) {
    double loss = NAN;
    expect_ok(mixture_loss_distances(d, labels, BATCH, CLASSES, scalar, eps, lambda, clip, &loss, NULL, NULL));
    return loss;
}

static void test_mixture(void **state) {
    (void)state;
    const double lambda = 0.3, clip = 0.7;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        float z[N], m[N], grad_z[N], grad_m[N];
        double loss;
        fill(z, seed, 2), fill(m, seed + 100, 1);
        expect_ok(mixture_loss(z, m, labels, BATCH, CLASSES, lambda, clip, &loss, grad_z, grad_m));
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
        expect_ok(
            mixture_loss_distances(d, labels, BATCH, CLASSES, scalar, eps, lambda, clip, &loss, grad_d, &grad_scalar));
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
    expect_ok(mixture_loss(z, m, labels, BATCH, CLASSES, 0.1, 1, &loss, grad_z, grad_m));
    expect_ok(mixture_loss_distances(d, labels, BATCH, CLASSES, 2, 0.5, 0.1, 1, &other, grad_d, NULL));
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
    expect_ok(mixture_loss(z, m, &label, 1, 3, 0, clip, &loss, NULL, grad));
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
    expect_ok(mixture_loss(z, z, two, 2, 2, 1, 1, &loss, grad, NULL));
    assert_true(loss == (1 + 0x1p101 + 1) / 2 || fabs(loss / 0x1p100 - 1) < 1e-12);
    for (int i = 0; i < 4; ++i) assert_true(isfinite(grad[i]));
    expect_ok(mixture_loss_distances(z, two, 2, 2, 0x1p100f, 0x1p-100, 1, 1, &loss, grad, &grad_scalar));
    assert_true(isfinite(loss));
}

static void test_same_bits_in_any_environment(void **state) {
    (void)state;
    float d[N], grad[N], grad_up[N], grad_scalar, grad_scalar_up;
    double loss, loss_up;
    fill(d, 3, 1);
    for (int32_t kind = LINFDIST_LOSS_MIXTURE; kind <= LINFDIST_LOSS_CROSSENTROPY; ++kind) {
        const linfdist_loss of = make_loss(kind, 0.3, 1);
        expect_ok(linfdist_loss_distances(&of, d, labels, BATCH, CLASSES, 1.1f, 0.3, 0.1, &loss, grad, &grad_scalar));
        fesetround(FE_UPWARD);
        const linfdist_status status =
            linfdist_loss_distances(&of, d, labels, BATCH, CLASSES, 1.1f, 0.3, 0.1, &loss_up, grad_up, &grad_scalar_up);
        fesetround(FE_TONEAREST);
        expect_ok(status);
        assert_memory_equal(&loss, &loss_up, sizeof loss);
        assert_memory_equal(grad, grad_up, sizeof grad);
        assert_memory_equal(&grad_scalar, &grad_scalar_up, sizeof grad_scalar);
    }
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
    mixture_loss(z, m, labels, batch, classes, lambda, clip, &loss, grad, grad)
    expect_invalid(LOSS(NULL, m, labels, BATCH, CLASSES, 1, 1), "logits is NULL");
    expect_invalid(LOSS(z, NULL, labels, BATCH, CLASSES, 1, 1), "margins is NULL");
    expect_invalid(LOSS(z, m, NULL, BATCH, CLASSES, 1, 1), "labels is NULL");
    expect_invalid(mixture_loss(z, m, labels, BATCH, CLASSES, 1, 1, NULL, grad, grad), "value is NULL");
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
    mixture_loss_distances(d, labels, BATCH, CLASSES, scalar, eps, lambda, clip, &loss, grad, &grad_scalar)
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
    expect_invalid(mixture_loss_distances(d, labels, BATCH, CLASSES, 1, 1, 1, 1, NULL, grad, NULL), "value is");
    d[0] = INFINITY;
    expect_error(LOSS(d, labels, 1, 1, 1, 1), LINFDIST_ERROR_NOT_FINITE, "distances is inf at row 0, column 0");
#undef LOSS
    assert_true(loss == -5 && grad_scalar == 0);
    for (int i = 0; i < N; ++i) assert_true(grad[i] == 0);
}

/* ---- hinge and cross-entropy ------------------------------------------------------------------------------------ */

/* In plain doubles; m of the label's column is 0. */
static double plain_margin_loss(int32_t kind, double mix, const double *z, const double *m, int label) {
    double largest = 0, sum = 0;
    for (int j = 0; j < CLASSES; ++j) {
        largest = fmax(largest, m[j]);
        sum += fmax(m[j], 0);
    }
    if (kind == LINFDIST_LOSS_HINGE) return (1 - mix) * largest + mix * sum / CLASSES;
    return (1 - mix) * cross_entropy(m, label) + mix * cross_entropy(z, label);
}

static double plain_margin_losses(int32_t kind, double mix, const float *logits, const float *margins) {
    double total = 0;
    for (int b = 0; b < BATCH; ++b) {
        double z[CLASSES], m[CLASSES];
        for (int j = 0; j < CLASSES; ++j) {
            z[j] = (double)logits[b * CLASSES + j];
            m[j] = j == labels[b] ? 0 : (double)margins[b * CLASSES + j];
        }
        total += plain_margin_loss(kind, mix, z, m, labels[b]);
    }
    return total / BATCH;
}

static double plain_margin_losses_distances(int32_t kind, double mix, const float *d, float scalar, double eps) {
    double total = 0;
    for (int b = 0; b < BATCH; ++b) {
        double z[CLASSES], m[CLASSES];
        for (int j = 0; j < CLASSES; ++j) {
            const double own = (double)d[b * CLASSES + labels[b]], other = (double)d[b * CLASSES + j];
            z[j] = -(double)scalar * other;
            m[j] = j == labels[b] ? 0 : (own + eps - (other - eps)) / (2 * eps);
        }
        total += plain_margin_loss(kind, mix, z, m, labels[b]);
    }
    return total / BATCH;
}

static const struct {
    int32_t kind;
    double mix;
} margin_losses[] = {{LINFDIST_LOSS_HINGE, 0},          {LINFDIST_LOSS_HINGE, 0.25},
                     {LINFDIST_LOSS_HINGE, 1},          {LINFDIST_LOSS_CROSSENTROPY, 0},
                     {LINFDIST_LOSS_CROSSENTROPY, 0.3}, {LINFDIST_LOSS_CROSSENTROPY, 1}};

/* Slopes of the plain loss by entry i of x, from the left and from the right; they differ at a kink. */
#define SLOPES(plain, x, i, left, right)                                                                               \
    do {                                                                                                               \
        const float kept_ = (x)[i];                                                                                    \
        const double middle_ = (plain), h_ = (double)STEP;                                                             \
        (x)[i] = kept_ + STEP;                                                                                         \
        (right) = ((plain)-middle_) / h_;                                                                              \
        (x)[i] = kept_ - STEP;                                                                                         \
        (left) = (middle_ - (plain)) / h_;                                                                             \
        (x)[i] = kept_;                                                                                                \
    } while (0)

static void expect_slope(double got, double left, double right) {
    if (fabs(right - left) < 1e-3) expect_near(got, (left + right) / 2, 1e-6);
}

static void test_margin_losses(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof margin_losses / sizeof margin_losses[0]; ++k)
        for (uint64_t seed = 0; seed < 10; ++seed) {
            const int32_t kind = margin_losses[k].kind;
            const double mix = margin_losses[k].mix;
            const linfdist_loss loss = make_loss(kind, mix, 1);
            float z[N], m[N], grad_z[N], grad_m[N];
            double value, left, right;
            fill(z, seed, 2), fill(m, seed + 100, 2);
            expect_ok(linfdist_loss_logits(&loss, z, m, labels, BATCH, CLASSES, 5, &value, grad_z, grad_m));
            expect_near(value, plain_margin_losses(kind, mix, z, m), 1e-14);
            for (int i = 0; i < N; ++i) {
                SLOPES(plain_margin_losses(kind, mix, z, m), z, i, left, right);
                expect_slope((double)grad_z[i], left, right);
                SLOPES(plain_margin_losses(kind, mix, z, m), m, i, left, right);
                expect_slope((double)grad_m[i], left, right);
            }
        }
}

static void test_margin_losses_distances(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof margin_losses / sizeof margin_losses[0]; ++k)
        for (uint64_t seed = 0; seed < 10; ++seed) {
            const int32_t kind = margin_losses[k].kind;
            const double mix = margin_losses[k].mix, eps = 0.4;
            const linfdist_loss loss = make_loss(kind, mix, 1);
            float d[N], grad_d[N], scalar = 1.5f, grad_scalar;
            double value, left, right;
            fill(d, seed, 1);
            expect_ok(linfdist_loss_distances(&loss, d, labels, BATCH, CLASSES, scalar, eps, 5, &value, grad_d,
                                              &grad_scalar));
            expect_near(value, plain_margin_losses_distances(kind, mix, d, scalar, eps), 1e-14);
            for (int i = 0; i < N; ++i) {
                SLOPES(plain_margin_losses_distances(kind, mix, d, scalar, eps), d, i, left, right);
                expect_slope((double)grad_d[i], left, right);
            }
            SLOPES(plain_margin_losses_distances(kind, mix, d, scalar, eps), &scalar, 0, left, right);
            expect_near((double)grad_scalar, (left + right) / 2, 1e-7);
        }
}

/* One sample of three classes with label 1 and margins m: the gradient of the hinge. */
static void expect_hinge_gradient(double mix, float m0, float m2, double g0, double g2) {
    const linfdist_loss loss = make_loss(LINFDIST_LOSS_HINGE, mix, 1);
    const float z[3] = {0}, m[3] = {m0, NAN, m2};
    const int32_t label = 1;
    float grad[3], grad_z[3];
    double value;
    expect_ok(linfdist_loss_logits(&loss, z, m, &label, 1, 3, 0, &value, grad_z, grad));
    assert_true(grad[0] == (float)g0 && grad[1] == 0 && grad[2] == (float)g2);
    assert_true(grad_z[0] == 0 && grad_z[1] == 0 && grad_z[2] == 0);
}

static void test_hinge_ties_and_ends(void **state) {
    (void)state;
    expect_hinge_gradient(0, 2, 1, 1, 0);
    expect_hinge_gradient(0, 2, 2, 1, 0); /* the lowest index */
    expect_hinge_gradient(0, 0, -1, 1, 0);
    expect_hinge_gradient(0, -1, 0, 0, 0); /* behind the label, which is the maximum */
    expect_hinge_gradient(1, 2, 1, 1.0 / 3, 1.0 / 3);
    expect_hinge_gradient(1, 0, -1, 1.0 / 3, 0);
    expect_hinge_gradient(0.25, 2, 0, 0.75 + 0.25 / 3, 0.25 / 3);
    expect_hinge_gradient(0.25, -2, -1, 0, 0);
}

static void test_margin_losses_of_large_numbers(void **state) {
    (void)state;
    const float z[4] = {0x1p100f, -0x1p100f, 0, 0x1p100f};
    const int32_t two[2] = {1, 1};
    float grad[4], grad_scalar;
    double value;
    for (size_t k = 0; k < sizeof margin_losses / sizeof margin_losses[0]; ++k) {
        const linfdist_loss loss = make_loss(margin_losses[k].kind, margin_losses[k].mix, 1);
        expect_ok(linfdist_loss_logits(&loss, z, z, two, 2, 2, 0, &value, grad, grad));
        assert_true(isfinite(value));
        for (int i = 0; i < 4; ++i) assert_true(isfinite(grad[i]));
        expect_ok(linfdist_loss_distances(&loss, z, two, 2, 2, 0x1p100f, 0x1p-100, 0, &value, grad, &grad_scalar));
        assert_true(isfinite(value));
        for (int i = 0; i < 4; ++i) assert_true(isfinite(grad[i]));
    }
}

static void test_loss_structs(void **state) {
    (void)state;
    linfdist_loss loss = make_loss(LINFDIST_LOSS_HINGE, 0, 1);
    float d[N], grad[N] = {0};
    double value = -5;
    fill(d, 1, 1);
    expect_ok(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_HINGE));
    assert_true(loss.struct_size == sizeof loss && loss.kind == 2 && loss.mix == 0.25);
    expect_ok(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_CROSSENTROPY));
    assert_true(loss.kind == 3 && loss.mix == 0);
    expect_ok(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_MIXTURE));
    assert_true(loss.kind == 1 && loss.clip == 1);
    expect_invalid(linfdist_loss_init(NULL, sizeof loss, LINFDIST_LOSS_MIXTURE), "loss is NULL");
    expect_invalid(linfdist_loss_init(&loss, 4, LINFDIST_LOSS_MIXTURE), "struct_size 4");
    expect_invalid(linfdist_loss_init(&loss, sizeof loss, 0), "kind is 0");
    expect_invalid(linfdist_loss_init(&loss, sizeof loss, 4), "kind is 4");
#define LOSS(given) linfdist_loss_distances(given, d, labels, BATCH, CLASSES, 1, 1, 1, &value, grad, NULL)
#define REFUSE(field, nonsense, text)                                                                                  \
    loss = make_loss(LINFDIST_LOSS_HINGE, 0, 1);                                                                       \
    loss.field = nonsense;                                                                                             \
    expect_invalid(LOSS(&loss), text);                                                                                 \
    expect_invalid(linfdist_loss_logits(&loss, d, d, labels, BATCH, CLASSES, 1, &value, grad, NULL), text)
    expect_invalid(LOSS(NULL), "loss is NULL");
    REFUSE(struct_size, 0, "loss has struct_size 0");
    REFUSE(kind, 4, "kind is 4");
    REFUSE(kind, -1, "kind is -1");
    REFUSE(mix, -0.1, "mix is -0.1");
    REFUSE(mix, 1.5, "mix is 1.5");
    REFUSE(mix, NAN, "mix is nan");
    REFUSE(clip, -1, "clip is -1");
#undef REFUSE
#undef LOSS
    assert_true(value == -5);
    for (int i = 0; i < N; ++i) assert_true(grad[i] == 0);
}

/* Every kind divides by eps. */
static void test_eps_zero_is_refused(void **state) {
    (void)state;
    float d[N];
    double value;
    fill(d, 1, 1);
    for (int32_t kind = LINFDIST_LOSS_MIXTURE; kind <= LINFDIST_LOSS_CROSSENTROPY; ++kind) {
        const linfdist_loss loss = make_loss(kind, 0.5, 1);
        expect_invalid(linfdist_loss_distances(&loss, d, labels, BATCH, CLASSES, 1, 0, 1, &value, NULL, NULL),
                       "eps_normalized is 0, and the margins divide by it");
    }
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
        cmocka_unit_test(test_margin_losses),
        cmocka_unit_test(test_margin_losses_distances),
        cmocka_unit_test(test_hinge_ties_and_ends),
        cmocka_unit_test(test_margin_losses_of_large_numbers),
        cmocka_unit_test(test_loss_structs),
        cmocka_unit_test(test_eps_zero_is_refused),
        cmocka_unit_test(test_margins),
        cmocka_unit_test(test_margins_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
