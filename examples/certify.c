/* Certifies a model file on a test set: how many predictions are right, and provably so within a radius; and, with an
 * attack, how many survive it: certified <= robust <= clean. */
#include <linfdist/linfdist.h>

#include "args.h"
#include "bracket.h"
#include "evaluate.h"
#include "progress.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, CHUNK = 512 };

typedef struct options {
    const char *model, *data, *eps, *method, *csv, *gradients;
    int64_t limit, threads;
    uint64_t seed;
    number_list radii;
    attack_settings attack; /* its list of p is empty without --attack */
} options;

static const char methods_help[] =
    "\nmargin    half the gap between the two smallest distances, from one pass; under a linear head, bounds of the\n"
    "          last distances -+ eps, led through it. It is the bound of real arithmetic: in the floating-point net\n"
    "          it holds up to rounding, of the order of 2^-22 times the largest activation for each layer.\n"
    "interval  bounds of the ball clamped to valid pixels: exact for the floating-point net, and slower.\n";

/* Without --attack they would do nothing. */
static int refuse_attack_flags(arg *flags, size_t count, problem *what) {
    static const char *const names[] = {"steps", "restarts", "start-seed"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (args_find(flags, count, names[i], strlen(names[i]))->origin == ARG_GIVEN)
            return problem_set(what, "--%s needs --attack", names[i]);
    return 0;
}

/* 0; 1 after --help; -1. */
static int parse(options *o, int argc, char **argv, problem *what) {
    arg flags[] = {
        {"model", ARG_TEXT, &o->model, 0, 0, "FILE", "the model, as train --out wrote it", 0, 0},
        {"data", ARG_TEXT, &o->data, 0, 0, "SET", DATASET_SPECS " (default: digits)", 0, 0},
        {"eps", ARG_TEXT, &o->eps, 0, 0, "LIST", "radii in raw pixels in [0,1], such as 0.1,8/255", 0, 0},
        {"method", ARG_TEXT, &o->method, 0, 0, "NAME", "margin (default) or interval", 0, 0},
        {"attack", ARG_TEXT, &o->gradients, 0, 0, "LIST", "also attack, with the gradients at these p: inf,40,100,300",
         0, 0},
        {"steps", ARG_COUNT, &o->attack.steps, 1, 1e9, "N", "of the attack's starts (100)", 0, 0},
        {"restarts", ARG_COUNT, &o->attack.restarts, 1, 1e9, "N", "random starts of the attack with each p (1)", 0, 0},
        {"start-seed", ARG_SEED, &o->attack.seed, 0, 0, "N", "of the random starts (2021)", 0, 0},
        {"limit", ARG_COUNT, &o->limit, 1, 1e15, "N", "only the first N test images", 0, 0},
        {"csv", ARG_TEXT, &o->csv, 0, 0, "FILE",
         "index, label, predicted, margin (of the outputs), radius (raw) of each image", 0, 0},
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
    if (parse_method(o->method, &o->attack.method, what) != 0) return -1;
    if (parse_list("eps", o->eps, 0, 1000, &o->radii, what) != 0) return -1;
    return o->gradients ? parse_norms("attack", o->gradients, &o->attack.p, what)
                        : refuse_attack_flags(flags, count, what);
}

static int write_rows(const options *o, const linfdist_certifier *certifier, const dataset *data, int64_t count,
                      FILE *out, float *raw, problem *what) {
    int32_t predicted[CHUNK];
    float margin[CHUNK], radius[CHUNK];
    fprintf(out, "index,label,predicted,margin,radius\n");
    for (int64_t first = 0; first < count; first += CHUNK) {
        int64_t n = count - first < CHUNK ? count - first : CHUNK;
        dataset_raw(data, &data->test, first, n, raw);
        if (problem_check(what, linfdist_certify(certifier, o->attack.method, raw, data->n_in, n, predicted, margin,
                                                 radius)) != 0)
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

static int certify(const options *o, const linfdist_certifier *certifier, const dataset *data, int64_t count,
                   problem *what) {
    double started = seconds_now();
    accuracy results[LIST_MOST];
    printf("%-12s %-10s %-10s  (%s, %" PRId64 " images, %s)\n", "eps", "clean", "certified", data->name, count,
           o->method);
    for (int i = 0; i < o->radii.count; ++i) {
        double eps = o->radii.values[i];
        if (evaluate(certifier, o->attack.method, data, &data->test, count, eps, &results[i], what) != 0) return -1;
        printf("%-12.6g %-10.4f %-10.4f\n", eps, accuracy_clean(&results[i]), accuracy_certified(&results[i]));
    }
    for (int i = 0; i < o->radii.count; ++i)
        print_result(stdout, &results[i], o->attack.method, o->radii.values[i], -1, seconds_now() - started);
    return 0;
}

/* The same with the attack: certified <= robust <= clean, and the width of what is left open. */
static int certify_and_attack(const options *o, const linfdist_certifier *certifier, const dataset *data, int64_t count,
                              problem *what) {
    double started = seconds_now();
    bracket results[LIST_MOST];
    printf("%-12s %-10s %-10s %-10s %-10s  (%s, %" PRId64 " images, %s)\n", "eps", "certified", "<= robust", "<= clean",
           "width", data->name, count, o->method);
    for (int i = 0; i < o->radii.count; ++i) {
        double eps = o->radii.values[i];
        bracket *b = &results[i];
        if (bracket_measure(certifier, &o->attack, data, count, eps, b, NULL, what) != 0) return -1;
        printf("%-12.6g %-10.4f %-10.4f %-10.4f %-10.4f\n", eps, bracket_fraction(b, b->certified),
               bracket_fraction(b, b->robust), bracket_fraction(b, b->clean),
               bracket_fraction(b, b->robust - b->certified));
    }
    for (int i = 0; i < o->radii.count; ++i)
        bracket_print(stdout, &results[i], &o->attack, o->radii.values[i], seconds_now() - started);
    return 0;
}

static int work(const options *o, problem *what) {
    dataset data;
    linfdist_certifier *certifier = NULL;
    if (open_test_images("certify", o->data, o->seed, &data, what) != 0) return -1;
    int64_t count = o->limit > 0 && o->limit < data.test.count ? o->limit : data.test.count;
    int status = load_certifier(o->model, o->threads, &data, &certifier, what);
    if (status == 0 && o->csv) status = write_csv(o, certifier, &data, count, what);
    if (status == 0)
        status = o->gradients ? certify_and_attack(o, certifier, &data, count, what)
                              : certify(o, certifier, &data, count, what);
    if (status == 0 && fflush(stdout) != 0) status = problem_set(what, "standard output cannot be written");
    linfdist_certifier_destroy(certifier);
    dataset_close(&data);
    return status;
}

int main(int argc, char **argv) {
    options o = {.data = "digits",
                 .method = "margin",
                 .seed = 2021,
                 .attack = {.steps = 100, .restarts = 1, .step_fraction = 0.25, .seed = 2021}};
    problem what;
    int status = parse(&o, argc, argv, &what);
    if (status == 1) return EXIT_SUCCESS;
    int exit_status = status != 0 ? EXIT_USAGE : work(&o, &what) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (exit_status != EXIT_SUCCESS) fprintf(stderr, "certify: %s\n", what.text);
    return exit_status;
}
