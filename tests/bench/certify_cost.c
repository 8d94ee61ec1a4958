#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#endif

#include "certify_cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lib/gemm/gemm.h"
#include "../../src/certifier.h"
#include "../../src/prune.h"
#include "../../src/run.h"
#include "../../src/units.h"

typedef struct measurement {
    const float *pixels;
    int64_t n, batch;
    int32_t method;
    double eps;
    linfdist_certifier *dense, *pruned;
    int32_t *answers[2]; /* predicted and certified, n each */
} measurement;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

/* Seconds for images [first, first + count). */
static double time_call(const measurement *m, const linfdist_certifier *certifier, int32_t *answers, int64_t first,
                        int64_t count) {
    const int64_t n_in = certifier->snapshot->n_in;
    const double start = seconds();
    (void)linfdist_certify_at(certifier, m->method, m->pixels + first * n_in, n_in, count, m->eps, answers + first,
                              answers + m->n + first);
    return seconds() - start;
}

/* ---- terms ---- */

static void load(const measurement *m, const lfd_units *units, int64_t first, size_t count, const lfd_signal *to) {
    for (size_t i = 0; i < count; ++i) {
        const float *pixels = m->pixels + ((size_t)first + i) * units->n_in;
        const size_t at = i * units->n_in;
        if (to->upper)
            lfd_units_interval(units, pixels, m->eps, to->lower + at, to->upper + at);
        else
            lfd_units_normalize(units, pixels, to->value + at);
    }
}

/* One layer's terms: those visited, and all. */
static void pass_layer(const linfdist_run *run, int64_t i, size_t count, const lfd_signal *x, const lfd_signal *y,
                       double terms[2]) {
    const lfd_layer *layer = &run->model->layers[i];
    const lfd_tensor *tensors = run->model->tensors + layer->first_tensor;
    const size_t n_in = (size_t)layer->spec.n_in, n_out = (size_t)layer->spec.n_out;
    const lfd_dims dims = {count, n_in, n_out, (size_t)layer->spec.groups, n_in, n_in / (size_t)layer->spec.groups,
                           n_out};
    const lfd_layer_pass pass = {.context = run->context,
                                 .spec = &layer->spec,
                                 .tensors = tensors,
                                 .scratch = run->scratch,
                                 .batch = count,
                                 .mode = LINFDIST_EVALUATE,
                                 .p = INFINITY};
    const double all = (double)count * (double)n_out * (double)dims.w_stride;
    if (layer->spec.kind != LINFDIST_LAYER_DISTANCE) {
        layer->ops->forward(&pass, x, y);
        return;
    }
    terms[1] += all;
    if (!run->prepared || !run->prepared[i]) {
        terms[0] += all;
        layer->ops->forward(&pass, x, y);
    } else if (x->value) {
        terms[0] += (double)lfd_pruned_forward(run->context, run->prepared[i], &dims, x->value, tensors[0].data,
                                               y->value, run->scratch);
    } else {
        terms[0] += (double)lfd_pruned_bounds(run->context, run->prepared[i], &dims, x->lower, x->upper,
                                              tensors[0].data, y->lower, y->upper, run->scratch);
    }
}

static void count_pass(const measurement *m, linfdist_run *run, int64_t first, size_t count, int bounds,
                       double terms[2]) {
    lfd_units units;
    lfd_units_init(&units, run->model);
    for (int64_t i = 0; i < run->model->layer_count; ++i) {
        lfd_signal x = run->plain[i], y = run->plain[i + 1];
        if (i + 1 == run->model->layer_count) y.value = run->signals[i + 1].value;
        if (bounds)
            x.value = y.value = NULL;
        else
            x.lower = x.upper = y.lower = y.upper = NULL;
        if (i == 0) load(m, &units, first, count, &x);
        pass_layer(run, i, count, &x, &y, terms);
    }
}

/* Of a call for every batch: values, and for INTERVAL bounds of all images. */
static linfdist_status count_terms(const measurement *m, double terms[2]) {
    linfdist_run *run;
    const int64_t chunk = m->batch < 256 ? m->batch : 256;
    LFD_TRY(lfd_run_create(m->pruned->snapshot, LINFDIST_RUN_INFERENCE, (size_t)chunk, m->pruned->prepared, &run));
    terms[0] = terms[1] = 0.0;
    for (int64_t i = 0; i < m->n; i += chunk) {
        const size_t count = (size_t)(m->n - i < chunk ? m->n - i : chunk);
        count_pass(m, run, i, count, 0, terms);
        if (m->method == LINFDIST_METHOD_INTERVAL) count_pass(m, run, i, count, 1, terms);
    }
    linfdist_run_destroy(run);
    return LINFDIST_OK;
}

/* ---- products ---- */

/* Microseconds per image of the products of a plain net of the same shape, on numbers that do not matter. */
static double time_gemm(const linfdist_model *model, int64_t batch) {
    size_t widest = (size_t)model->n_in, largest = 1;
    double total = 0.0;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        const lfd_layer_spec *spec = &model->layers[i].spec;
        if (spec->kind != LINFDIST_LAYER_DISTANCE) continue;
        if ((size_t)spec->n_out > widest) widest = (size_t)spec->n_out;
        if ((size_t)(spec->n_in * spec->n_out) > largest) largest = (size_t)(spec->n_in * spec->n_out);
    }
    float *x = calloc(widest * (size_t)batch, sizeof *x), *y = calloc(widest * (size_t)batch, sizeof *y);
    float *w = calloc(largest, sizeof *w);
    for (int64_t i = 0; x && y && w && i < model->layer_count; ++i) {
        const lfd_layer_spec *spec = &model->layers[i].spec;
        const size_t n_in = (size_t)spec->n_in, n_out = (size_t)spec->n_out;
        if (spec->kind != LINFDIST_LAYER_DISTANCE) continue;
        const double start = seconds();
        lfd_gemm((size_t)batch, n_out, n_in, x, n_in, LFD_GEMM_PLAIN, w, n_in, LFD_GEMM_TRANSPOSED, y, n_out);
        total += seconds() - start;
    }
    free(x);
    free(y);
    free(w);
    return 1e6 * total / (double)batch;
}

/* ---- the measurement ---- */

static void measure(const measurement *m, int repeats, certify_cost *cost) {
    double dense[CERTIFY_MOST_REPEATS], pruned[CERTIFY_MOST_REPEATS], ratio[CERTIFY_MOST_REPEATS];
    double gemm[CERTIFY_MOST_REPEATS];
    for (int r = 0; r < repeats; ++r) {
        dense[r] = pruned[r] = 0.0;
        gemm[r] = time_gemm(m->dense->snapshot, m->batch < 256 ? m->batch : 256);
        for (int64_t i = 0; i < m->n; i += m->batch) {
            const int64_t count = m->n - i < m->batch ? m->n - i : m->batch;
            dense[r] += time_call(m, m->dense, m->answers[0], i, count);
            pruned[r] += time_call(m, m->pruned, m->answers[1], i, count);
        }
        ratio[r] = dense[r] / pruned[r];
    }
    cost->dense = 1e6 * median(dense, repeats) / (double)m->n;
    cost->pruned = 1e6 * median(pruned, repeats) / (double)m->n;
    cost->ratio = median(ratio, repeats);
    cost->ratio_low = ratio[0];
    cost->ratio_high = ratio[repeats - 1];
    cost->gemm = median(gemm, repeats);
}

static int run(measurement *m, const linfdist_model *model, int repeats, certify_cost *cost) {
    double terms[2];
    if (lfd_certifier_create(model, 0, &m->dense) != LINFDIST_OK) return -1;
    if (lfd_certifier_create(model, 1, &m->pruned) != LINFDIST_OK) return -1;
    if (count_terms(m, terms) != LINFDIST_OK) return -1;
    for (int i = 0; i < 2; ++i) {
        m->answers[i] = calloc(2 * (size_t)m->n, sizeof *m->answers[i]);
        if (!m->answers[i]) return -1;
    }
    measure(m, repeats, cost);
    cost->share = terms[0] / terms[1];
    cost->per_term = 1e3 * cost->pruned * (double)m->n / terms[0];
    return memcmp(m->answers[0], m->answers[1], 2 * (size_t)m->n * sizeof *m->answers[0]) != 0;
}

int certify_cost_measure(const linfdist_model *model, int32_t method, const float *pixels, int64_t n, int64_t batch,
                         double eps, int repeats, certify_cost *cost) {
    measurement m = {.pixels = pixels, .n = n, .batch = batch, .method = method, .eps = eps};
    const int result = run(&m, model, repeats < CERTIFY_MOST_REPEATS ? repeats : CERTIFY_MOST_REPEATS, cost);
    linfdist_certifier_destroy(m.dense);
    linfdist_certifier_destroy(m.pruned);
    free(m.answers[0]);
    free(m.answers[1]);
    return result;
}
