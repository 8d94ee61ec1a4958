#include "certifying.h"

#include "args.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a list may hold; infinity only where it says so. */
typedef struct number_range {
    double low, high;
    int infinity;
} number_range;

static int parse_member(const char *text, const number_range *range, double *value) {
    if (range->infinity && strcmp(text, "inf") == 0) {
        *value = INFINITY;
        return 0;
    }
    return parse_real(text, value) == 0 && *value >= range->low && *value <= range->high ? 0 : -1;
}

static int parse_numbers(const char *flag, const char *text, const number_range *range, number_list *list,
                         problem *what) {
    list->count = 0;
    for (const char *at = text;; ++at) {
        char one[64];
        const size_t length = strcspn(at, ",");
        snprintf(one, sizeof one, "%.*s", length < sizeof one ? (int)length : 0, at);
        if (list->count == LIST_MOST)
            return problem_set(what, "--%s '%s': more than %d numbers", flag, text, LIST_MOST);
        if (parse_member(one, range, &list->values[list->count++]) != 0)
            return problem_set(what, "--%s '%s': '%.*s' is no number or fraction from %.15g to %.15g%s", flag, text,
                               (int)length, at, range->low, range->high, range->infinity ? ", nor inf" : "");
        at += length;
        if (*at == '\0') return 0;
    }
}

int parse_list(const char *flag, const char *text, double low, double high, number_list *list, problem *what) {
    const number_range range = {low, high, 0};
    return parse_numbers(flag, text, &range, list, what);
}

int parse_norms(const char *flag, const char *text, number_list *list, problem *what) {
    const number_range range = {1, LINFDIST_P_MAX, 1};
    return parse_numbers(flag, text, &range, list, what);
}

int parse_method(const char *text, int32_t *method, problem *what) {
    *method = strcmp(text, "interval") == 0 ? LINFDIST_METHOD_INTERVAL : LINFDIST_METHOD_MARGIN;
    if (*method == LINFDIST_METHOD_INTERVAL || strcmp(text, "margin") == 0) return 0;
    return problem_set(what, "--method '%s': expected margin or interval", text);
}

int open_test_images(const char *program, const char *spec, uint64_t seed, dataset *data, problem *what) {
    if (dataset_open(data, spec, seed, DATASET_TEST, what) != 0) return -1;
    if (data->note[0]) fprintf(stderr, "%s: %s\n", program, data->note);
    return 0;
}

static int fit(const char *path, const linfdist_model *model, dataset *data, problem *what) {
    linfdist_model_info info = {.struct_size = sizeof info};
    if (problem_check(what, linfdist_model_get_info(model, &info)) != 0) return -1;
    (void)dataset_fit(data, info.height, info.width_px); /* crops of the images, where it has seen such */
    if (info.n_in != data->n_in || info.classes != data->classes)
        return problem_set(what, "%s takes %" PRId64 " inputs to %" PRId64 " classes; %s has %" PRId64 " and %" PRId64,
                           path, info.n_in, info.classes, data->name, data->n_in, data->classes);
    if (!info.has_statistics)
        return problem_set(what, "%s has no data statistics: raw radii have no meaning for it", path);
    return 0;
}

int load_certifier(const char *path, int64_t threads, dataset *data, linfdist_certifier **certifier, problem *what) {
    linfdist_context_options settings;
    linfdist_context *context = NULL;
    linfdist_model *model = NULL;
    int status = problem_check(what, linfdist_context_options_init(&settings, sizeof settings));
    settings.threads = (int32_t)threads;
    if (status == 0) status = problem_check(what, linfdist_context_create(&settings, &context));
    if (status == 0) status = problem_check(what, linfdist_model_load(context, path, &model));
    if (status == 0) status = fit(path, model, data, what);
    if (status == 0) status = problem_check(what, linfdist_certifier_create(model, certifier));
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
    return status;
}

int for_chunks(const dataset *data, int64_t count, int64_t chunk, chunk_fn f, void *user, problem *what) {
    float *raw = malloc(sizeof *raw * (size_t)(chunk * data->n_in));
    int status = raw ? 0 : problem_set(what, "out of memory");
    for (int64_t first = 0; status == 0 && first < count; first += chunk) {
        const int64_t n = count - first < chunk ? count - first : chunk;
        dataset_raw(data, &data->test, first, n, raw);
        status = f(user, first, n, raw, what);
    }
    free(raw);
    return status;
}
