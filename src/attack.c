/* Attacks: projected gradient descent on the floating-point net that a certifier holds. A call cuts its samples into
 * chunks and owns all it needs; results reach the caller's arrays when nothing can fail any more. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "../lib/math.h"
#include "ascent.h"
#include "certifier.h"
#include "loss.h"
#include "ops.h"

enum { CHUNK = 256, P_MOST = 1024 };

/* The worst that was found for one sample. */
typedef struct sample {
    double margin; /* min_{j != y} d_j - d_y at p = infinity */
    int32_t predicted;
} sample;

/* One call. */
typedef struct attack {
    const linfdist_certifier *certifier;
    linfdist_attack_options options;
    lfd_units units; /* of what the pixels may become */
    const float *x;
    const int32_t *labels;
    size_t x_stride, n;
    lfd_ascent ascent;
    sample *samples; /* n */
    float *worst;    /* n x n_in */
    size_t first;    /* of the present chunk */
    linfdist_status status;
} attack;

/* ---- options ---- */

linfdist_status linfdist_attack_options_init(linfdist_attack_options *options, size_t struct_size) {
    const linfdist_attack_options defaults = {
        .steps = 100, .step_fraction = 0.25, .restarts = 1, .random_start = 1, .clamp = 1, .seed = 2021};
    return lfd_options_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "options");
}

static linfdist_status check_surrogates(const linfdist_attack_options *o) {
    LFD_TRY(lfd_check_count("p_count", o->p_count, 0, P_MOST));
    if (o->p_count > 0 && !o->p) return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "p is NULL");
    char name[LFD_INDEXED];
    for (int64_t i = 0; i < o->p_count; ++i) LFD_TRY(lfd_check_p(lfd_indexed(name, "p", i), o->p[i]));
    return LINFDIST_OK;
}

static linfdist_status read_options(linfdist_attack_options *o, const linfdist_attack_options *given) {
    static const float own = INFINITY;
    LFD_TRY(linfdist_attack_options_init(o, sizeof *o));
    if (given) LFD_TRY(lfd_options_read(o, sizeof *o, sizeof *o, given, "options"));
    LFD_TRY(lfd_check_count("steps", o->steps, 1, INT64_MAX));
    LFD_TRY(lfd_check_number("step_fraction", o->step_fraction, 0, LFD_LIMIT));
    LFD_TRY(lfd_check_count("restarts", o->restarts, 1, INT64_MAX));
    LFD_TRY(lfd_check_count("random_start", o->random_start, 0, 1));
    LFD_TRY(lfd_check_count("clamp", o->clamp, 0, 1));
    LFD_TRY(lfd_check_count("last_iterate", o->last_iterate, 0, 1));
    LFD_TRY(check_surrogates(o));
    if (o->restarts > 1 && !o->random_start)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "restarts is %lld, but without random_start all are the same",
                        (long long)o->restarts);
    if (o->p_count == 0) {
        o->p_count = 1;
        o->p = &own;
    }
    return LINFDIST_OK;
}

/* ---- judging ---- */

static int broken(const attack *a, size_t index) {
    return a->samples[index].predicted != a->labels[index];
}

static sample look_at(const linfdist_model *model, const float *outputs, int32_t label) {
    return (sample){.margin = lfd_model_margin(model, outputs, label), .predicted = lfd_model_winner(model, outputs)};
}

/* Keeps those iterates of the open rows, whose outputs at p = infinity are at hand, that are worse than all before.
 */
static void judge(attack *a) {
    const linfdist_model *model = a->certifier->snapshot;
    const size_t classes = (size_t)model->classes, n = a->units.n_in;
    for (size_t k = 0; k < a->ascent.open_count; ++k) {
        const size_t row = a->ascent.open[k], index = a->first + row;
        const sample now = look_at(model, lfd_ascent_outputs(&a->ascent) + k * classes, a->labels[index]);
        const int breaks = now.predicted != a->labels[index], was = broken(a, index);
        if (breaks == was ? now.margin >= a->samples[index].margin : was) continue;
        a->samples[index] = now;
        memcpy(a->worst + index * n, a->ascent.x + row * n, n * sizeof(float));
    }
}

/* A broken sample needs no further step, unless its last iterate is asked for. */
static void drop_broken(attack *a) {
    size_t kept = 0;
    for (size_t k = 0; k < a->ascent.open_count; ++k) {
        const size_t row = a->ascent.open[k];
        if (a->options.last_iterate || !broken(a, a->first + row)) a->ascent.open[kept++] = row;
    }
    a->ascent.open_count = kept;
}

/* ---- gradients ---- */

/* The cross-entropy of z = f outputs has the gradient f (p_y - 1) at the label and f p_j elsewhere. Divided by their
 * |f| (1 - p_y), which leaves every sign, it never vanishes, however sure the net is. */
static void write_gradient(const float *outputs, size_t label, size_t classes, double factor, float *gradient) {
    double largest = -INFINITY, sum = 0.0;
    const float sign = factor < 0.0 ? -1.0f : 1.0f;
    for (size_t j = 0; j < classes; ++j)
        if (j != label && factor * (double)outputs[j] > largest) largest = factor * (double)outputs[j];
    for (size_t j = 0; j < classes; ++j)
        if (j != label) sum += lfd_exp(factor * (double)outputs[j] - largest);
    for (size_t j = 0; j < classes; ++j)
        gradient[j] = sign * (j == label ? -1.0f : (float)(lfd_exp(factor * (double)outputs[j] - largest) / sum));
}

static void write_gradients(attack *a) {
    const linfdist_model *model = a->certifier->snapshot;
    const size_t classes = (size_t)model->classes;
    const double factor = lfd_model_logit_factor(model);
    for (size_t k = 0; k < a->ascent.open_count; ++k)
        write_gradient(lfd_ascent_outputs(&a->ascent) + k * classes, (size_t)a->labels[a->first + a->ascent.open[k]],
                       classes, factor, a->ascent.run->grad_outputs + k * classes);
}

/* ---- climbing ---- */

/* The random numbers of a start depend on the seed, p, the restart and the sample's own pixels: not on where in which
 * batch it stands. */
static void start(attack *a, float p, int64_t restart) {
    for (size_t k = 0; k < a->ascent.open_count; ++k) {
        const size_t row = a->ascent.open[k];
        const float *pixels = a->x + (a->first + row) * a->x_stride;
        lfd_random random;
        uint64_t stream = lfd_hash_floats(0, pixels, a->units.n_in);
        stream = lfd_hash_word(lfd_hash_floats(stream, &p, 1), (uint64_t)restart);
        lfd_random_seed(&random, a->options.seed, stream);
        lfd_ascent_start(&a->ascent, row, pixels, a->options.random_start ? &random : NULL);
    }
}

/* One start's way with gradients at p. */
static linfdist_status climb(attack *a, size_t count, float p, int64_t restart) {
    lfd_ascent_open(&a->ascent, count);
    drop_broken(a);
    start(a, p, restart);
    for (int64_t step = 0; a->ascent.open_count > 0; ++step) {
        const int last = step == a->options.steps, judged = last || !a->options.last_iterate;
        if (judged) {
            LFD_TRY(lfd_ascent_forward(&a->ascent, INFINITY, 1));
            judge(a);
        }
        if (last) break;
        if (!judged || isfinite(p)) LFD_TRY(lfd_ascent_forward(&a->ascent, p, !judged));
        write_gradients(a);
        lfd_ascent_move(&a->ascent);
        drop_broken(a);
    }
    return LINFDIST_OK;
}

/* Without an attack the sample itself is the worst. */
static linfdist_status begin(attack *a, size_t count) {
    for (size_t row = 0; row < count; ++row) {
        const float *pixels = a->x + (a->first + row) * a->x_stride;
        a->samples[a->first + row] = (sample){INFINITY, a->labels[a->first + row]};
        lfd_ascent_box(&a->ascent, row, pixels);
        lfd_ascent_start(&a->ascent, row, pixels, NULL);
    }
    if (a->options.last_iterate) return LINFDIST_OK;
    lfd_ascent_open(&a->ascent, count);
    LFD_TRY(lfd_ascent_forward(&a->ascent, INFINITY, 1));
    judge(a);
    return LINFDIST_OK;
}

static linfdist_status attack_chunk(attack *a, size_t count) {
    LFD_TRY(begin(a, count));
    for (int64_t i = 0; i < a->options.p_count; ++i)
        for (int64_t restart = 0; restart < a->options.restarts; ++restart)
            LFD_TRY(climb(a, count, a->options.p[i], restart));
    return LINFDIST_OK;
}

static void chunk_task(void *data, size_t index) {
    attack *a = data;
    if (a->status != LINFDIST_OK) return;
    a->first = index * a->ascent.rows;
    const size_t left = a->n - a->first;
    a->status = attack_chunk(a, left < a->ascent.rows ? left : a->ascent.rows);
}

/* ---- calls ---- */

static linfdist_status check(attack *a, int64_t x_stride, int64_t n) {
    const linfdist_model *model = a->certifier->snapshot;
    LFD_TRY(lfd_check_extent("x", n, model->n_in, x_stride));
    a->x_stride = (size_t)x_stride;
    a->n = (size_t)n;
    LFD_TRY(lfd_check_labels(a->labels, n, model->classes));
    lfd_units_init(&a->units, model);
    LFD_TRY(lfd_units_check(&a->units, a->certifier->context, a->x, a->x_stride, a->n));
    if (!a->options.clamp) lfd_units_unclamp(&a->units);
    return LINFDIST_OK;
}

static linfdist_status allocate(attack *a, double eps_raw) {
    void *memory;
    const size_t rows = a->n < CHUNK ? a->n : CHUNK;
    const double most = 2 * (double)LFD_LIMIT; /* further than any two pixels */
    LFD_TRY(lfd_ascent_alloc(&a->ascent, a->certifier->snapshot, &a->units, rows));
    a->ascent.eps = eps_raw < most ? eps_raw : most;
    a->ascent.step_fraction = a->options.step_fraction;
    LFD_TRY(lfd_alloc_floats(a->certifier->context, a->n, a->units.n_in, "adversarial pixels", &a->worst));
    LFD_TRY(lfd_alloc_zero(a->certifier->context, a->n, sizeof(sample), "samples", &memory));
    a->samples = memory;
    return LINFDIST_OK;
}

static void write_results(const attack *a, float *adversarial, size_t stride, int32_t *predicted, int32_t *success) {
    const size_t n_in = a->units.n_in;
    for (size_t i = 0; i < a->n; ++i) {
        const int breaks = broken(a, i);
        if (adversarial) memcpy(adversarial + i * stride, a->worst + i * n_in, n_in * sizeof(float));
        if (predicted) predicted[i] = a->samples[i].predicted;
        if (success) success[i] = breaks;
    }
}

linfdist_status linfdist_attack(const linfdist_certifier *certifier, const linfdist_attack_options *options,
                                const float *x, int64_t x_stride, const int32_t *labels, int64_t n, double eps_raw,
                                float *adversarial, int64_t adversarial_stride, int32_t *predicted, int32_t *success) {
    LFD_REQUIRE(certifier);
    LFD_REQUIRE(x);
    LFD_REQUIRE(labels);
    attack a = {.certifier = certifier, .x = x, .labels = labels};
    LFD_TRY(read_options(&a.options, options));
    LFD_TRY(lfd_check_number("eps_raw", eps_raw, 0.0, DBL_MAX));
    LFD_TRY(check(&a, x_stride, n));
    if (adversarial) LFD_TRY(lfd_check_extent("adversarial", n, certifier->snapshot->n_in, adversarial_stride));
    linfdist_status status = allocate(&a, eps_raw);
    if (status == LINFDIST_OK) {
        lfd_serial_for(chunk_task, &a, (a.n + a.ascent.rows - 1) / a.ascent.rows);
        status = a.status;
    }
    if (status == LINFDIST_OK) write_results(&a, adversarial, (size_t)adversarial_stride, predicted, success);
    lfd_ascent_free(&a.ascent);
    lfd_free(certifier->context, a.worst);
    lfd_free(certifier->context, a.samples);
    return status;
}
