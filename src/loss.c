#include "loss.h"

#include "../lib/math.h"
#include "ops.h"

/* The losses, on logits and margins and on distances alike: a term of the margins plus a weight times the cross-entropy
 * of the logits. Everything is computed in double, one sample after the other; gradients are rounded to float once. */
typedef struct evaluation {
    const linfdist_loss *loss;
    const struct margin_term *term;
    const float *logits;  /* z_j = logit_scale * logits_j: also distances, with -scalar */
    const float *margins; /* m_j = margin_scale * margins_j, with 1 / (2 eps); or NULL: (d_y - d_j + 2 eps) / (2 eps) of
                             the distances */
    const int32_t *labels;
    int64_t batch, classes;
    double samples; /* that means are over */
    double logit_scale, margin_scale, two_eps, cross_weight;
    float *grad_logits;  /* by logits as given; or NULL */
    float *grad_margins; /* or NULL */
    float *grad_scalar;  /* or NULL */
    double value;
} evaluation;

/* One sample: what its loss and its gradients are made of. */
typedef struct sample {
    const float *logits, *margins;
    int64_t label;
    double largest_logit, exp_sum; /* p_j = exp(z_j - largest) / exp_sum */
    int64_t worst;                 /* lowest index of the largest margin; may be the label, whose margin is 0 */
    double worst_margin;
    double margin_exp_sum; /* the same for margins */
} sample;

/* What a kind of loss makes of one sample's margins, and the derivative by one that is not the label's. */
typedef struct margin_term {
    double (*value)(const evaluation *job, const sample *s);
    double (*gradient)(const evaluation *job, const sample *s, int64_t j);
} margin_term;

static double margin_of(const evaluation *job, const sample *s, int64_t j) {
    if (j == s->label) return 0;
    if (s->margins) return job->margin_scale * (double)s->margins[j];
    return ((double)s->logits[s->label] - (double)s->logits[j] + job->two_eps) / job->two_eps;
}

static double logit_of(const evaluation *job, const sample *s, int64_t j) {
    return job->logit_scale * (double)s->logits[j];
}

/* ---- the terms of the margins ------------------------------------------------------------------------------------ */

static double mixture_value(const evaluation *job, const sample *s) {
    return s->worst_margin < job->loss->clip ? s->worst_margin : job->loss->clip;
}

static double mixture_gradient(const evaluation *job, const sample *s, int64_t j) {
    return j == s->worst && s->worst_margin <= job->loss->clip ? 1 : 0;
}

static double hinge_value(const evaluation *job, const sample *s) {
    const double mix = job->loss->mix;
    double sum = 0;
    for (int64_t j = 0; j < job->classes; ++j) {
        const double margin = margin_of(job, s, j);
        if (margin > 0) sum += margin;
    }
    return (1 - mix) * s->worst_margin + mix * (sum / (double)job->classes);
}

static double hinge_gradient(const evaluation *job, const sample *s, int64_t j) {
    const double mix = job->loss->mix;
    const double of_all = margin_of(job, s, j) >= 0 ? mix / (double)job->classes : 0;
    return j == s->worst ? 1 - mix + of_all : of_all;
}

static double crossentropy_value(const evaluation *job, const sample *s) {
    return (1 - job->loss->mix) * (lfd_log(s->margin_exp_sum) + s->worst_margin);
}

static double crossentropy_gradient(const evaluation *job, const sample *s, int64_t j) {
    return (1 - job->loss->mix) * (lfd_exp(margin_of(job, s, j) - s->worst_margin) / s->margin_exp_sum);
}

/* By kind. */
static const margin_term margin_terms[] = {
    [LINFDIST_LOSS_MIXTURE] = {mixture_value, mixture_gradient},
    [LINFDIST_LOSS_HINGE] = {hinge_value, hinge_gradient},
    [LINFDIST_LOSS_CROSSENTROPY] = {crossentropy_value, crossentropy_gradient},
};

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

static sample look_at(const evaluation *job, int64_t b) {
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
    for (int64_t j = 0; j < job->classes; ++j) {
        s.exp_sum += lfd_exp(logit_of(job, &s, j) - s.largest_logit);
        s.margin_exp_sum += lfd_exp(margin_of(job, &s, j) - s.worst_margin);
    }
    return s;
}

static double loss_of(const evaluation *job, const sample *s) {
    const double cross_entropy = lfd_log(s->exp_sum) + s->largest_logit - logit_of(job, s, s->label);
    return job->term->value(job, s) + job->cross_weight * cross_entropy;
}

/* dL/dm_j; the label's own margin is the constant 0. */
static double margin_gradient(const evaluation *job, const sample *s, int64_t j) {
    return j == s->label ? 0 : job->term->gradient(job, s, j) / job->samples;
}

static double logit_gradient(const evaluation *job, const sample *s, int64_t j) {
    const double probability = lfd_exp(logit_of(job, s, j) - s->largest_logit) / s->exp_sum;
    return job->cross_weight * (probability - (j == s->label)) / job->samples;
}

static void write_logit_gradients(const evaluation *job, const sample *s, float *grad) {
    for (int64_t j = 0; j < job->classes; ++j) grad[j] = (float)(job->logit_scale * logit_gradient(job, s, j));
}

static void write_margin_gradients(const evaluation *job, const sample *s, float *grad) {
    for (int64_t j = 0; j < job->classes; ++j) grad[j] = (float)(job->margin_scale * margin_gradient(job, s, j));
}

/* m_j falls with d_j, and all of them grow with d_y. */
static void write_distance_gradients(const evaluation *job, const sample *s, float *grad) {
    double of_label = 0;
    for (int64_t j = 0; j < job->classes; ++j) {
        const double of_margin = margin_gradient(job, s, j);
        of_label += of_margin;
        grad[j] = (float)(job->logit_scale * logit_gradient(job, s, j) - of_margin / job->two_eps);
    }
    grad[s->label] = (float)(job->logit_scale * logit_gradient(job, s, s->label) + of_label / job->two_eps);
}

/* z_j = -scalar d_j, so dL/dscalar = -sum_j d_j dL/dz_j. */
static double scalar_gradient(const evaluation *job, const sample *s) {
    double sum = 0;
    for (int64_t j = 0; j < job->classes; ++j) sum -= (double)s->logits[j] * logit_gradient(job, s, j);
    return sum;
}

static void evaluate(void *data, size_t index) {
    (void)index;
    evaluation *job = data;
    double value = 0, grad_scalar = 0;
    job->margin_scale = 1 / job->two_eps;
    for (int64_t b = 0; b < job->batch; ++b) {
        const sample s = look_at(job, b);
        const int64_t row = b * job->classes;
        value += loss_of(job, &s);
        if (job->grad_scalar) grad_scalar += scalar_gradient(job, &s);
        if (job->grad_margins) write_margin_gradients(job, &s, job->grad_margins + row);
        if (!job->grad_logits) continue;
        if (job->margins)
            write_logit_gradients(job, &s, job->grad_logits + row);
        else
            write_distance_gradients(job, &s, job->grad_logits + row);
    }
    job->value = value / job->samples;
    if (job->grad_scalar) *job->grad_scalar = (float)grad_scalar;
}

/* ---- the public functions ---------------------------------------------------------------------------------------- */

static linfdist_status check_kind(int32_t kind) {
    if (kind >= LINFDIST_LOSS_MIXTURE && kind <= LINFDIST_LOSS_CROSSENTROPY) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "kind is %d, must be MIXTURE, HINGE or CROSSENTROPY", (int)kind);
}

linfdist_status linfdist_loss_init(linfdist_loss *loss, size_t struct_size, int32_t kind) {
    LFD_TRY(check_kind(kind));
    const linfdist_loss defaults = {.kind = kind, .mix = kind == LINFDIST_LOSS_HINGE ? 0.25 : 0, .clip = 1};
    return lfd_options_init(loss, struct_size, &defaults, sizeof defaults, sizeof defaults, "loss");
}

static linfdist_status read_loss(linfdist_loss *loss, const linfdist_loss *given, double lambda) {
    LFD_TRY(lfd_options_read(loss, sizeof *loss, sizeof *loss, given, "loss"));
    LFD_TRY(check_kind(loss->kind));
    LFD_TRY(lfd_check_number("mix", loss->mix, 0, 1));
    LFD_TRY(lfd_check_number("clip", loss->clip, 0, LFD_LIMIT));
    return lfd_check_number("lambda", lambda, 0, LFD_LIMIT);
}

linfdist_status lfd_check_loss(const linfdist_loss *loss, double lambda) {
    linfdist_loss read;
    return read_loss(&read, loss, lambda);
}

/* How much of the logits' cross-entropy a loss has. */
static double cross_weight_of(const linfdist_loss *loss, double lambda) {
    switch (loss->kind) {
    case LINFDIST_LOSS_MIXTURE: return lambda;
    case LINFDIST_LOSS_CROSSENTROPY: return loss->mix;
    default: return 0;
    }
}

linfdist_status lfd_check_eps(double eps_normalized) {
    if (eps_normalized == 0)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "eps_normalized is 0, and the margins divide by it");
    return lfd_check_number("eps_normalized", eps_normalized, LFD_EPS_LEAST, LFD_LIMIT);
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

static double run_job(evaluation *job, double lambda) {
    job->term = &margin_terms[job->loss->kind];
    job->cross_weight = cross_weight_of(job->loss, lambda);
    lfd_serial_for(evaluate, job, 1);
    return job->value;
}

linfdist_status lfd_loss_margins(const linfdist_loss *loss, const lfd_loss_input *input, double lambda, double *value,
                                 float *grad_outputs, float *grad_margins, float *grad_scalar) {
    linfdist_loss read;
    LFD_TRY(read_loss(&read, loss, lambda));
    evaluation job = {.loss = &read,
                      .logits = input->outputs,
                      .margins = input->margins,
                      .labels = input->labels,
                      .batch = input->batch,
                      .classes = input->classes,
                      .samples = input->samples,
                      .logit_scale = input->logit_factor,
                      .two_eps = input->two_eps,
                      .grad_logits = grad_outputs,
                      .grad_margins = grad_margins,
                      .grad_scalar = grad_scalar};
    *value = run_job(&job, lambda);
    return LINFDIST_OK;
}

linfdist_status linfdist_loss_logits(const linfdist_loss *loss, const float *logits, const float *margins,
                                     const int32_t *labels, int64_t batch, int64_t classes, double lambda,
                                     double *value, float *grad_logits, float *grad_margins) {
    LFD_REQUIRE(loss);
    LFD_REQUIRE(logits);
    LFD_REQUIRE(margins);
    LFD_REQUIRE(labels);
    LFD_REQUIRE(value);
    LFD_TRY(check_outputs(logits, batch, classes, "logits"));
    LFD_TRY(lfd_check_labels(labels, batch, classes));
    LFD_TRY(check_margins(margins, labels, batch, classes));
    const lfd_loss_input input = {.outputs = logits,
                                  .margins = margins,
                                  .labels = labels,
                                  .batch = batch,
                                  .classes = classes,
                                  .samples = (double)batch,
                                  .logit_factor = 1,
                                  .two_eps = 1};
    return lfd_loss_margins(loss, &input, lambda, value, grad_logits, grad_margins, NULL);
}

linfdist_status lfd_loss_distances(const linfdist_loss *loss, const float *distances, const int32_t *labels,
                                   int64_t batch, int64_t classes, double samples, float scalar, double eps_normalized,
                                   double lambda, double *value, float *grad_distances, float *grad_scalar) {
    linfdist_loss read;
    LFD_REQUIRE(loss);
    LFD_REQUIRE(distances);
    LFD_REQUIRE(labels);
    LFD_REQUIRE(value);
    LFD_TRY(lfd_check_number("scalar", (double)scalar, -LFD_LIMIT, LFD_LIMIT));
    LFD_TRY(lfd_check_eps(eps_normalized));
    LFD_TRY(read_loss(&read, loss, lambda));
    LFD_TRY(check_outputs(distances, batch, classes, "distances"));
    LFD_TRY(lfd_check_labels(labels, batch, classes));
    evaluation job = {.loss = &read,
                      .logits = distances,
                      .labels = labels,
                      .batch = batch,
                      .classes = classes,
                      .samples = samples,
                      .logit_scale = -(double)scalar,
                      .two_eps = 2 * eps_normalized,
                      .grad_logits = grad_distances,
                      .grad_scalar = grad_scalar};
    *value = run_job(&job, lambda);
    return LINFDIST_OK;
}

linfdist_status linfdist_loss_distances(const linfdist_loss *loss, const float *distances, const int32_t *labels,
                                        int64_t batch, int64_t classes, float scalar, double eps_normalized,
                                        double lambda, double *value, float *grad_distances, float *grad_scalar) {
    return lfd_loss_distances(loss, distances, labels, batch, classes, (double)batch, scalar, eps_normalized, lambda,
                              value, grad_distances, grad_scalar);
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
