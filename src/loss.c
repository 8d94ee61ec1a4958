#include "ops.h"

#include "../lib/math.h"

/* The mixture loss of the paper, for logits and margins and for distances alike. Everything is computed in double, one
 * sample after the other; gradients are rounded to float once. */
typedef struct mixture {
    const float *logits;  /* z_j = logit_scale * logits_j: also distances, with -scalar */
    const float *margins; /* or NULL: m_j = (d_y - d_j + 2 eps) / (2 eps) of the distances */
    const int32_t *labels;
    int64_t batch, classes;
    double logit_scale, two_eps, lambda, clip;
    float *grad_logits;  /* dL/dz, or of distances dL/dd; or NULL */
    float *grad_margins; /* or NULL */
    float *grad_scalar;  /* or NULL */
    double loss;
} mixture;

/* One sample: what its loss and its gradients are made of. */
typedef struct sample {
    const float *logits, *margins;
    int64_t label;
    double largest_logit, exp_sum; /* p_j = exp(z_j - largest) / exp_sum */
    int64_t worst;                 /* lowest index of the largest margin; may be the label, whose margin is 0 */
    double worst_margin;
} sample;

static double margin_of(const mixture *job, const sample *s, int64_t j) {
    if (j == s->label) return 0;
    if (s->margins) return (double)s->margins[j];
    return ((double)s->logits[s->label] - (double)s->logits[j] + job->two_eps) / job->two_eps;
}

static double logit_of(const mixture *job, const sample *s, int64_t j) {
    return job->logit_scale * (double)s->logits[j];
}

static sample look_at(const mixture *job, int64_t b) {
    sample s = {.logits = job->logits + b * job->classes, .label = job->labels[b]};
    s.margins = job->margins ? job->margins + b * job->classes : NULL;
    s.largest_logit = logit_of(job, &s, 0);
    s.worst_margin = margin_of(job, &s, 0);
    for (int64_t j = 1; j < job->classes; ++j) {
        const double logit = logit_of(job, &s, j), margin = margin_of(job, &s, j);
        if (logit > s.largest_logit) s.largest_logit = logit;
        if (margin > s.worst_margin) {
            s.worst_margin = margin;
            s.worst = j;
        }
    }
    for (int64_t j = 0; j < job->classes; ++j) s.exp_sum += lfd_exp(logit_of(job, &s, j) - s.largest_logit);
    return s;
}

static double loss_of(const mixture *job, const sample *s) {
    const double clipped = s->worst_margin < job->clip ? s->worst_margin : job->clip;
    const double cross_entropy = lfd_log(s->exp_sum) + s->largest_logit - logit_of(job, s, s->label);
    return clipped + job->lambda * cross_entropy;
}

/* dL/dm of the worst margin; the label's own is the constant 0. */
static double worst_gradient(const mixture *job, const sample *s) {
    const int passes = s->worst != s->label && s->worst_margin <= job->clip;
    return passes ? 1 / (double)job->batch : 0;
}

static double logit_gradient(const mixture *job, const sample *s, int64_t j) {
    const double probability = lfd_exp(logit_of(job, s, j) - s->largest_logit) / s->exp_sum;
    return job->lambda * (probability - (j == s->label)) / (double)job->batch;
}

static void write_logit_gradients(const mixture *job, const sample *s, int64_t b) {
    float *grad = job->grad_logits + b * job->classes;
    const double worst = job->margins ? 0 : worst_gradient(job, s) / job->two_eps;
    for (int64_t j = 0; j < job->classes; ++j) {
        double gradient = job->logit_scale * logit_gradient(job, s, j);
        if (j == s->worst) gradient -= worst;
        if (j == s->label) gradient += worst;
        grad[j] = (float)gradient;
    }
}

static void write_margin_gradients(const mixture *job, const sample *s, int64_t b) {
    float *grad = job->grad_margins + b * job->classes;
    for (int64_t j = 0; j < job->classes; ++j) grad[j] = 0;
    grad[s->worst] = (float)worst_gradient(job, s);
}

/* z_j = -scalar d_j, so dL/dscalar = -sum_j d_j dL/dz_j. */
static double scalar_gradient(const mixture *job, const sample *s) {
    double sum = 0;
    for (int64_t j = 0; j < job->classes; ++j) sum -= (double)s->logits[j] * logit_gradient(job, s, j);
    return sum;
}

static void evaluate(void *data, size_t index) {
    (void)index;
    mixture *job = data;
    double loss = 0, grad_scalar = 0;
    for (int64_t b = 0; b < job->batch; ++b) {
        const sample s = look_at(job, b);
        loss += loss_of(job, &s);
        if (job->grad_scalar) grad_scalar += scalar_gradient(job, &s);
        if (job->grad_logits) write_logit_gradients(job, &s, b);
        if (job->grad_margins) write_margin_gradients(job, &s, b);
    }
    job->loss = loss / (double)job->batch;
    if (job->grad_scalar) *job->grad_scalar = (float)grad_scalar;
}

linfdist_status lfd_check_labels(const int32_t *labels, int64_t batch, int64_t classes) {
    for (int64_t b = 0; b < batch; ++b)
        if (labels[b] < 0 || labels[b] >= classes)
            return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "labels[%lld] is %lld, must be in [0, %lld)", (long long)b,
                            (long long)labels[b], (long long)classes);
    return LINFDIST_OK;
}

static linfdist_status check_outputs(const float *outputs, int64_t batch, int64_t classes, const char *name) {
    LFD_TRY(lfd_check_extent(name, batch, classes, classes));
    return lfd_check_matrix(NULL, outputs, (size_t)batch, (size_t)classes, (size_t)classes, name);
}

/* The label's own margin is ignored, whatever it is. */
static linfdist_status check_margins(const float *margins, const int32_t *labels, int64_t batch, int64_t classes) {
    char text[32];
    for (int64_t b = 0; b < batch; ++b)
        for (int64_t j = 0; j < classes; ++j) {
            const float value = margins[b * classes + j];
            if (j == labels[b] || (value >= -LFD_LIMIT && value <= LFD_LIMIT)) continue;
            return lfd_fail(LINFDIST_ERROR_NOT_FINITE,
                            "margins is %s at row %lld, column %lld, must be finite and at most 2^100",
                            lfd_format_double(text, (double)value), (long long)b, (long long)j);
        }
    return LINFDIST_OK;
}

static linfdist_status check_weights(double lambda, double clip) {
    LFD_TRY(lfd_check_number("lambda", lambda, 0, LFD_LIMIT));
    return lfd_check_number("clip", clip, 0, LFD_LIMIT);
}

linfdist_status linfdist_mixture_loss(const float *logits, const float *margins, const int32_t *labels, int64_t batch,
                                      int64_t classes, double lambda, double clip, double *loss, float *grad_logits,
                                      float *grad_margins) {
    LFD_REQUIRE(logits);
    LFD_REQUIRE(margins);
    LFD_REQUIRE(labels);
    LFD_REQUIRE(loss);
    LFD_TRY(check_weights(lambda, clip));
    LFD_TRY(check_outputs(logits, batch, classes, "logits"));
    LFD_TRY(lfd_check_labels(labels, batch, classes));
    LFD_TRY(check_margins(margins, labels, batch, classes));
    mixture job = {.logits = logits, .margins = margins, .labels = labels, .batch = batch, .classes = classes,
                   .logit_scale = 1, .lambda = lambda, .clip = clip, .grad_logits = grad_logits,
                   .grad_margins = grad_margins};
    lfd_serial_for(evaluate, &job, 1);
    *loss = job.loss;
    return LINFDIST_OK;
}

linfdist_status linfdist_mixture_loss_distances(const float *distances, const int32_t *labels, int64_t batch,
                                                int64_t classes, float scalar, double eps_normalized, double lambda,
                                                double clip, double *loss, float *grad_distances, float *grad_scalar) {
    LFD_REQUIRE(distances);
    LFD_REQUIRE(labels);
    LFD_REQUIRE(loss);
    LFD_TRY(lfd_check_number("scalar", (double)scalar, -LFD_LIMIT, LFD_LIMIT));
    LFD_TRY(lfd_check_number("eps_normalized", eps_normalized, 1 / (double)LFD_LIMIT, LFD_LIMIT));
    LFD_TRY(check_weights(lambda, clip));
    LFD_TRY(check_outputs(distances, batch, classes, "distances"));
    LFD_TRY(lfd_check_labels(labels, batch, classes));
    mixture job = {.logits = distances, .labels = labels, .batch = batch, .classes = classes,
                   .logit_scale = -(double)scalar, .two_eps = 2 * eps_normalized, .lambda = lambda, .clip = clip,
                   .grad_logits = grad_distances, .grad_scalar = grad_scalar};
    lfd_serial_for(evaluate, &job, 1);
    *loss = job.loss;
    return LINFDIST_OK;
}

typedef struct margin_job {
    const float *distances;
    const int32_t *labels;
    int64_t batch, classes;
    int32_t *predicted;
    float *margin;
} margin_job;

static void find_margins(void *data, size_t index) {
    (void)index;
    const margin_job *job = data;
    for (int64_t b = 0; b < job->batch; ++b) {
        const float *d = job->distances + b * job->classes;
        int64_t nearest = 0;
        for (int64_t j = 1; j < job->classes; ++j)
            if (d[j] < d[nearest]) nearest = j;
        const int64_t reference = job->labels ? job->labels[b] : nearest;
        int64_t other = reference == 0 ? 1 : 0;
        for (int64_t j = other + 1; j < job->classes; ++j)
            if (j != reference && d[j] < d[other]) other = j;
        if (job->predicted) job->predicted[b] = (int32_t)nearest;
        if (job->margin) job->margin[b] = d[other] - d[reference];
    }
}

linfdist_status linfdist_margins(const float *distances, const int32_t *labels, int64_t batch, int64_t classes,
                                 int32_t *predicted, float *margin) {
    LFD_REQUIRE(distances);
    LFD_TRY(lfd_check_count("classes", classes, 2, INT32_MAX));
    LFD_TRY(check_outputs(distances, batch, classes, "distances"));
    if (labels) LFD_TRY(lfd_check_labels(labels, batch, classes));
    margin_job job = {distances, labels, batch, classes, predicted, margin};
    lfd_serial_for(find_margins, &job, 1);
    return LINFDIST_OK;
}
