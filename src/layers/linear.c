/* The linear layer: y = x W^T / sqrt(n_in) + b. As the last layer it merges the difference of classes into its bounds:
 * y_j - y_t is a linear function of its own, with the weights D_j = W_j - W_t, and its bound is tighter than the
 * difference of two bounds. */
#include "../units.h"
#include "affine.h"

#include <math.h>

static linfdist_status check(lfd_layer_spec *spec) {
    if (spec->groups != 1)
        return lfd_fail(LINFDIST_ERROR_SHAPE, "layer %s: groups is %lld, must be 1", spec->name,
                        (long long)spec->groups);
    return lfd_layer_check_dense(spec);
}

static void describe(const lfd_layer_spec *spec, lfd_tensor *tensors) {
    const int64_t shape[] = {spec->n_out, spec->n_in};
    lfd_layer_tensor(spec, ".weight", LINFDIST_ROLE_WEIGHT, 2, shape, &tensors[0]);
    lfd_layer_tensor(spec, ".bias", LINFDIST_ROLE_BIAS, 1, shape, &tensors[1]);
}

/* ---- margins ---- */

typedef struct merged {
    const lfd_layer_pass *pass;
    size_t n_in, n_out;
    const float *weight, *bias;
    double scale;
    const float *lower, *upper;
    const int32_t *labels;
    int sound;
    float *margins;
    const float *grad_margins;
    float *grad_lower, *grad_upper;
} merged;

static merged merge(const lfd_layer_pass *pass, const lfd_signal *x, const int32_t *labels) {
    return (merged){
        .pass = pass,
        .n_in = (size_t)pass->spec->n_in,
        .n_out = (size_t)pass->spec->n_out,
        .weight = pass->tensors[0].data,
        .bias = pass->tensors[1].data,
        .scale = lfd_affine_scale(pass->spec),
        .lower = x->lower,
        .upper = x->upper,
        .labels = labels,
    };
}

static const float *weights_of(const merged *m, size_t output) {
    return m->weight + output * m->n_in;
}

/* max over x in [l, u] of the sum of (w_i - v_i) x_i. */
static double largest_difference(const float *w, const float *v, const float *l, const float *u, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) {
        const double d = (double)w[i] - (double)v[i];
        sum += d * (double)(d > 0.0 ? u[i] : l[i]);
    }
    return sum;
}

/* How far the float outputs' difference may lie above the computed bound. R, scaled magnitudes of all terms and both
 * biases, bounds both outputs. Each passes at most n + 4 roundings in double, and so does the bound; then each output
 * is rounded to float, to within 2^-24 of itself or half a subnormal number. The hundredth more pays for the rounding
 * of this. */
static double allowance(const merged *m, const float *w, const float *v, const float *l, const float *u,
                        double biases) {
    double sum = 0.0;
    for (size_t i = 0; i < m->n_in; ++i) {
        const double most = fmax(fabs((double)l[i]), fabs((double)u[i]));
        sum += (fabs((double)w[i]) + fabs((double)v[i])) * most;
    }
    const double magnitude = m->scale * sum + biases;
    return (1.01 * 0x1p-24 + (double)(m->n_in + 8) * 0x1p-51) * magnitude + 0x1p-148;
}

static float margin(const merged *m, size_t sample, size_t j, size_t label) {
    const float *l = m->lower + sample * m->n_in, *u = m->upper + sample * m->n_in;
    const float *w = weights_of(m, j), *v = weights_of(m, label);
    const double b_j = (double)m->bias[j], b_t = (double)m->bias[label];
    const double bound = m->scale * largest_difference(w, v, l, u, m->n_in) + (b_j - b_t);
    if (!m->sound) return (float)bound;
    return lfd_float_above(bound + allowance(m, w, v, l, u, fabs(b_j) + fabs(b_t)));
}

static void sample_margins(void *data, size_t sample) {
    const merged *m = data;
    const size_t label = (size_t)m->labels[sample];
    float *margins = m->margins + sample * m->n_out;
    for (size_t j = 0; j < m->n_out; ++j) margins[j] = j == label ? 0.0f : margin(m, sample, j, label);
}

static void margins(const lfd_layer_pass *pass, const lfd_signal *x, const int32_t *labels, int sound, float *out) {
    merged m = merge(pass, x, labels);
    m.sound = sound;
    m.margins = out;
    lfd_parallel_for(pass->context, sample_margins, &m, pass->batch);
}

/* ---- their gradients, in blocks of inputs ---- */

enum { BLOCK = 128 };

static size_t block_end(const merged *m, size_t first) {
    return m->n_in - first < BLOCK ? m->n_in : first + BLOCK;
}

/* dL/du = s sum_j g_j max(D_j, 0), dL/dl = s sum_j g_j min(D_j, 0). */
static void add_to_inputs(const merged *m, size_t sample, size_t first) {
    double lower[BLOCK] = {0.0}, upper[BLOCK] = {0.0};
    const size_t label = (size_t)m->labels[sample], end = block_end(m, first);
    const float *v = weights_of(m, label), *grad = m->grad_margins + sample * m->n_out;
    for (size_t j = 0; j < m->n_out; ++j) {
        const float *w = weights_of(m, j);
        for (size_t i = first; j != label && i < end; ++i) {
            const double d = (double)w[i] - (double)v[i];
            upper[i - first] += d > 0.0 ? (double)grad[j] * d : 0.0;
            lower[i - first] += d < 0.0 ? (double)grad[j] * d : 0.0;
        }
    }
    for (size_t i = first; i < end; ++i) {
        float *to_lower = m->grad_lower + sample * m->n_in + i, *to_upper = m->grad_upper + sample * m->n_in + i;
        *to_lower = (float)((double)*to_lower + m->scale * lower[i - first]);
        *to_upper = (float)((double)*to_upper + m->scale * upper[i - first]);
    }
}

static void sample_gradient(void *data, size_t sample) {
    const merged *m = data;
    for (size_t first = 0; first < m->n_in; first += BLOCK) add_to_inputs(m, sample, first);
}

/* sums += factor dL/dD_j of one sample: the bound that the sign of D_j chose, the middle for 0. */
static void add_chosen(const merged *m, size_t sample, size_t j, double factor, size_t first, double *sums) {
    const float *l = m->lower + sample * m->n_in, *u = m->upper + sample * m->n_in;
    const float *w = weights_of(m, j), *v = weights_of(m, (size_t)m->labels[sample]);
    factor *= (double)m->grad_margins[sample * m->n_out + j];
    for (size_t i = first, end = block_end(m, first); i < end; ++i) {
        const double middle = ((double)l[i] + (double)u[i]) / 2.0;
        sums[i - first] += factor * (w[i] > v[i] ? (double)u[i] : w[i] < v[i] ? (double)l[i] : middle);
    }
}

/* One output's weights: D_j has them once as j, and in every other D of the samples that bear its label. */
static void weight_gradient(void *data, size_t task) {
    const merged *m = data;
    const size_t blocks = (m->n_in + BLOCK - 1) / BLOCK, output = task / blocks, first = task % blocks * BLOCK;
    float *gradient = m->pass->gradients[0] + output * m->n_in;
    double sums[BLOCK] = {0.0};
    for (size_t sample = 0; sample < m->pass->batch; ++sample) {
        if ((size_t)m->labels[sample] != output)
            add_chosen(m, sample, output, 1.0, first, sums);
        else
            for (size_t j = 0; j < m->n_out; ++j)
                if (j != output) add_chosen(m, sample, j, -1.0, first, sums);
    }
    for (size_t i = first, end = block_end(m, first); i < end; ++i)
        gradient[i] = (float)((double)gradient[i] + m->scale * sums[i - first]);
}

static void bias_gradient(void *data, size_t output) {
    const merged *m = data;
    float *gradient = m->pass->gradients[1] + output;
    double sum = 0.0;
    for (size_t sample = 0; sample < m->pass->batch; ++sample) {
        const float *grad = m->grad_margins + sample * m->n_out;
        const size_t label = (size_t)m->labels[sample];
        if (label != output) sum += (double)grad[output];
        for (size_t j = 0; label == output && j < m->n_out; ++j) sum -= j == output ? 0.0 : (double)grad[j];
    }
    *gradient = (float)((double)*gradient + sum);
}

static void margins_backward(const lfd_layer_pass *pass, const lfd_signal *x, const int32_t *labels,
                             const float *grad_margins, const lfd_signal *grad_x) {
    merged m = merge(pass, x, labels);
    m.grad_margins = grad_margins;
    m.grad_lower = grad_x->lower;
    m.grad_upper = grad_x->upper;
    if (grad_x->lower) lfd_parallel_for(pass->context, sample_gradient, &m, pass->batch);
    if (!pass->gradients) return;
    lfd_parallel_for(pass->context, weight_gradient, &m, m.n_out * ((m.n_in + BLOCK - 1) / BLOCK));
    lfd_parallel_for(pass->context, bias_gradient, &m, m.n_out);
}

const struct lfd_layer_ops lfd_layer_linear = {
    .kind = LINFDIST_LAYER_LINEAR,
    .label = "linear",
    .tensor_count = 2,
    .check = check,
    .describe = describe,
    .scratch = lfd_affine_scratch,
    .forward = lfd_affine_forward,
    .backward = lfd_affine_backward,
    .growth = lfd_affine_growth,
    .margins = margins,
    .margins_backward = margins_backward,
};
