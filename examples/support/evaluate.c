#include "evaluate.h"

#include "args.h"

#include <inttypes.h>
#include <stdlib.h>

#define CHUNK 512 /* samples of one call */

int evaluate(const linfdist_certifier *certifier, int32_t method, const dataset *data, const dataset_split *split,
             int64_t count, double eps_raw, accuracy *result, problem *what) {
    float *raw = malloc(sizeof *raw * CHUNK * (size_t)data->n_in);
    int32_t predicted[CHUNK], certified[CHUNK];
    int status = raw ? 0 : problem_set(what, "out of memory");
    *result = (accuracy){.samples = count};
    for (int64_t first = 0; status == 0 && first < count; first += CHUNK) {
        int64_t n = count - first < CHUNK ? count - first : CHUNK;
        dataset_raw(data, split, first, n, raw);
        status = problem_check(
            what, linfdist_certify_at(certifier, method, raw, data->n_in, n, eps_raw, predicted, certified));
        for (int64_t i = 0; status == 0 && i < n; ++i) {
            int right = predicted[i] == split->labels[first + i];
            result->clean += right;
            result->certified += right && certified[i];
        }
    }
    free(raw);
    return status;
}

/* Raw pixels of n images become those the net takes. */
static void normalize(const dataset *data, int64_t n, float *x) {
    int64_t positions = data->height * data->width_px;
    for (int64_t plane = 0; plane < n * data->channels; ++plane)
        for (int64_t i = 0; i < positions; ++i, ++x) *x = dataset_normalized(data, plane % data->channels, *x);
}

/* How many of the n images from first on are right; -1 for a problem. */
static int64_t count_right(linfdist_run *run, double p, const dataset *data, const dataset_split *split, int64_t first,
                           int64_t n, float *x, problem *what) {
    int32_t predicted[CHUNK];
    int64_t right = 0;
    dataset_raw(data, split, first, n, x);
    normalize(data, n, x);
    if (problem_check(what, linfdist_forward(run, x, data->n_in, n, LINFDIST_EVALUATE, (float)p)) != 0 ||
        problem_check(what, linfdist_run_predictions(run, predicted)) != 0)
        return -1;
    for (int64_t i = 0; i < n; ++i) right += predicted[i] == split->labels[first + i];
    return right;
}

int evaluate_at(linfdist_model *model, double p, const dataset *data, const dataset_split *split, double *right,
                problem *what) {
    linfdist_run *run = NULL;
    float *x = malloc(sizeof *x * CHUNK * (size_t)data->n_in);
    int64_t sum = 0;
    int status = x ? problem_check(what, linfdist_run_create(model, LINFDIST_RUN_INFERENCE, CHUNK, &run))
                   : problem_set(what, "out of memory");
    for (int64_t first = 0; status == 0 && first < split->count; first += CHUNK) {
        int64_t n = split->count - first < CHUNK ? split->count - first : CHUNK;
        int64_t found = count_right(run, p, data, split, first, n, x, what);
        if (found < 0) status = -1;
        sum += found;
    }
    *right = (double)sum / (double)split->count;
    linfdist_run_destroy(run);
    free(x);
    return status;
}

double accuracy_clean(const accuracy *a) {
    return (double)a->clean / (double)a->samples;
}

double accuracy_certified(const accuracy *a) {
    return (double)a->certified / (double)a->samples;
}

const char *method_name(int32_t method) {
    return method == LINFDIST_METHOD_INTERVAL ? "interval" : "margin";
}

void print_result(FILE *out, const accuracy *a, int32_t method, double eps_raw, int64_t epochs, double seconds) {
    char clean[FORMAT_REAL_SIZE], certified[FORMAT_REAL_SIZE], eps[FORMAT_REAL_SIZE], done[24] = "null";
    format_real(accuracy_clean(a), clean, sizeof clean);
    format_real(accuracy_certified(a), certified, sizeof certified);
    format_real(eps_raw, eps, sizeof eps);
    if (epochs >= 0) snprintf(done, sizeof done, "%" PRId64, epochs);
    fprintf(out,
            "{\"clean_accuracy\": %s, \"certified_accuracy\": %s, \"method\": \"%s\", \"eps\": %s, \"epochs\": %s, "
            "\"seconds\": %.3f, \"samples\": %" PRId64 "}\n",
            clean, certified, method_name(method), eps, done, seconds, a->samples);
}
