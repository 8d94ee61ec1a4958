/* Certifies a model file on a test set: how many predictions are right, and provably so within a radius. */
#include <linfdist/linfdist.h>

#include "args.h"
#include "evaluate.h"
#include "progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, MAX_RADII = 64, CHUNK = 512 };

typedef struct options {
    const char *model, *data, *eps, *method, *csv;
    int64_t limit, threads;
    uint64_t seed;
    int32_t method_id;
    double radii[MAX_RADII];
    int radius_count;
} options;

static int parse_radii(options *o, problem *what) {
    const char *text = o->eps;
    for (;;) {
        char one[64];
        size_t length = strcspn(text, ",");
        snprintf(one, sizeof one, "%.*s", length < sizeof one ? (int)length : 0, text);
        if (o->radius_count == MAX_RADII) return problem_set(what, "--eps '%s': more than %d radii", o->eps, MAX_RADII);
        double *radius = &o->radii[o->radius_count++];
        if (parse_real(one, radius) != 0 || !(*radius >= 0.0 && *radius <= 1000.0))
            return problem_set(what, "--eps '%s': '%.*s' is no number or fraction from 0 to 1000", o->eps, (int)length,
                               text);
        if (text[length] == '\0') return 0;
        text += length + 1;
    }
}

static const char methods_help[] =
    "\nmargin    half the gap between the two smallest distances, from one pass. It is the bound of real\n"
    "          arithmetic: in the floating-point net it holds up to rounding, of the order of 2^-22 times the\n"
    "          largest activation for each layer.\n"
    "interval  bounds of the ball clamped to valid pixels: exact for the floating-point net, and slower.\n";

/* 0; 1 after --help; -1. */
static int parse(options *o, int argc, char **argv, problem *what) {
    arg flags[] = {
        {"model", ARG_TEXT, &o->model, 0, 0, "FILE", "the model, as train --out wrote it", 0, 0},
        {"data", ARG_TEXT, &o->data, 0, 0, "SET", DATASET_SPECS " (default: digits)", 0, 0},
        {"eps", ARG_TEXT, &o->eps, 0, 0, "LIST", "radii in raw pixels in [0,1], such as 0.1,8/255", 0, 0},
        {"method", ARG_TEXT, &o->method, 0, 0, "NAME", "margin (default) or interval", 0, 0},
        {"limit", ARG_COUNT, &o->limit, 1, 1e15, "N", "only the first N test images", 0, 0},
        {"csv", ARG_TEXT, &o->csv, 0, 0, "FILE",
         "index, label, predicted, margin (normalized), radius (raw) of each image", 0, 0},
        {"threads", ARG_COUNT, &o->threads, 0, 1024, "N", "0 (default): one per CPU; more than CPUs is allowed", 0, 0},
        {"seed", ARG_SEED, &o->seed, 0, 0, "N", "of the generated digits (2021)", 0, 0},
    };
    size_t count = sizeof flags / sizeof *flags;
    int status = args_parse(flags, count, argc, argv, what);
    if (status == 1) {
        printf("usage: certify --model FILE --eps LIST [--flag value]...\n\n");
        args_print_help(stdout, flags, count);
        printf("%s", methods_help);
    }
    if (status != 0) return status;
    if (!o->model || !o->eps)
        return problem_set(what, "--%s is needed; --help lists all flags", o->model ? "eps" : "model");
    if (strcmp(o->method, "margin") != 0 && strcmp(o->method, "interval") != 0)
        return problem_set(what, "--method '%s': expected margin or interval", o->method);
    o->method_id = strcmp(o->method, "interval") == 0 ? LINFDIST_METHOD_INTERVAL : LINFDIST_METHOD_MARGIN;
    return parse_radii(o, what);
}

static int load_certifier(const options *o, dataset *data, linfdist_certifier **certifier, problem *what) {
    linfdist_context_options settings;
    linfdist_context *context = NULL;
    linfdist_model *model = NULL;
    linfdist_model_info info = {.struct_size = sizeof info};
    int status = problem_check(what, linfdist_context_options_init(&settings, sizeof settings));
    settings.threads = (int32_t)o->threads;
    if (status == 0) status = problem_check(what, linfdist_context_create(&settings, &context));
    if (status == 0) status = problem_check(what, linfdist_model_load(context, o->model, &model));
    if (status == 0) status = problem_check(what, linfdist_model_get_info(model, &info));
    if (status == 0)
        (void)dataset_fit(data, info.height, info.width_px); /* crops of the images, where it has seen such */
    if (status == 0 && (info.n_in != data->n_in || info.classes != data->classes))
        status =
            problem_set(what, "%s takes %" PRId64 " inputs to %" PRId64 " classes; %s has %" PRId64 " and %" PRId64,
                        o->model, info.n_in, info.classes, data->name, data->n_in, data->classes);
    if (status == 0 && !info.has_statistics)
        status = problem_set(what, "%s has no data statistics: raw radii have no meaning for it", o->model);
    if (status == 0) status = problem_check(what, linfdist_certifier_create(model, certifier));
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
    return status;
}

static int write_rows(const options *o, const linfdist_certifier *certifier, const dataset *data, int64_t count,
                      FILE *out, float *raw, problem *what) {
    int32_t predicted[CHUNK];
    float margin[CHUNK], radius[CHUNK];
    fprintf(out, "index,label,predicted,margin,radius\n");
    for (int64_t first = 0; first < count; first += CHUNK) {
        int64_t n = count - first < CHUNK ? count - first : CHUNK;
        dataset_raw(data, &data->test, first, n, raw);
        if (problem_check(
                what, linfdist_certify(certifier, o->method_id, raw, data->n_in, n, predicted, margin, radius)) != 0)
            return -1;
        for (int64_t i = 0; i < n; ++i)
            fprintf(out, "%" PRId64 ",%d,%d,%.9g,%.9g\n", first + i, (int)data->test.labels[first + i],
                    (int)predicted[i], (double)margin[i], (double)radius[i]);
    }
    return 0;
}

static int write_csv(const options *o, const linfdist_certifier *certifier, const dataset *data, int64_t count,
                     problem *what) {
    float *raw = malloc(sizeof *raw * CHUNK * (size_t)data->n_in);
    FILE *out = raw ? fopen(o->csv, "w") : NULL;
    if (!out) {
        free(raw);
        return problem_set(what, "--csv %s: %s", o->csv, strerror(errno));
    }
    int status = write_rows(o, certifier, data, count, out, raw, what);
    int failed = ferror(out);
    if (fclose(out) != 0 || failed) status = problem_set(what, "--csv %s: cannot be written", o->csv);
    free(raw);
    return status;
}

static int work(const options *o, problem *what) {
    double started = seconds_now();
    accuracy results[MAX_RADII];
    dataset data;
    linfdist_certifier *certifier = NULL;
    if (dataset_open(&data, o->data, o->seed, DATASET_TEST, what) != 0) return -1;
    if (data.note[0]) fprintf(stderr, "certify: %s\n", data.note);
    int64_t count = o->limit > 0 && o->limit < data.test.count ? o->limit : data.test.count;
    int status = load_certifier(o, &data, &certifier, what);
    if (status == 0 && o->csv) status = write_csv(o, certifier, &data, count, what);
    if (status == 0)
        printf("%-12s %-10s %-10s  (%s, %" PRId64 " images, %s)\n", "eps", "clean", "certified", data.name, count,
               o->method);
    for (int i = 0; status == 0 && i < o->radius_count; ++i) {
        status = evaluate(certifier, o->method_id, &data, &data.test, count, o->radii[i], &results[i], what);
        if (status == 0)
            printf("%-12.6g %-10.4f %-10.4f\n", o->radii[i], accuracy_clean(&results[i]),
                   accuracy_certified(&results[i]));
    }
    for (int i = 0; status == 0 && i < o->radius_count; ++i)
        print_result(stdout, &results[i], o->method_id, o->radii[i], -1, seconds_now() - started);
    if (status == 0 && fflush(stdout) != 0) status = problem_set(what, "standard output cannot be written");
    linfdist_certifier_destroy(certifier);
    dataset_close(&data);
    return status;
}

int main(int argc, char **argv) {
    options o = {.data = "digits", .method = "margin", .seed = 2021};
    problem what;
    int status = parse(&o, argc, argv, &what);
    if (status == 1) return EXIT_SUCCESS;
    int exit_status = status != 0 ? EXIT_USAGE : work(&o, &what) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (exit_status != EXIT_SUCCESS) fprintf(stderr, "certify: %s\n", what.text);
    return exit_status;
}
