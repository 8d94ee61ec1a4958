/* Attacks a model file on a test set: how many right predictions survive gradients of each p, and all of them together,
 * beside how many are certified. */
#include <linfdist/linfdist.h>

#include "args.h"
#include "bracket.h"
#include "progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

typedef struct options {
    const char *model, *data, *eps, *p, *method;
    int64_t limit, threads;
    uint64_t data_seed;
    number_list radii;
    attack_settings attack;
} options;

/* 0; 1 after --help; -1. */
static int parse(options *o, int argc, char **argv, problem *what) {
    arg flags[] = {
        {"model", ARG_TEXT, &o->model, 0, 0, "FILE", "the model, as train --out wrote it", 0, 0},
        {"data", ARG_TEXT, &o->data, 0, 0, "SET", DATASET_SPECS " (default: digits)", 0, 0},
        {"eps", ARG_TEXT, &o->eps, 0, 0, "LIST", "radii in raw pixels in [0,1], such as 0.1,8/255", 0, 0},
        {"p", ARG_TEXT, &o->p, 0, 0, "LIST", "whose gradients to follow (inf,40,100,300)", 0, 0},
        {"steps", ARG_COUNT, &o->attack.steps, 1, 1e9, "N", "of each start (100)", 0, 0},
        {"step", ARG_REAL, &o->attack.step_fraction, 0, 1000, "R", "step size, of eps (1/4)", 0, 0},
        {"restarts", ARG_COUNT, &o->attack.restarts, 1, 1e9, "N", "random starts with each p (1)", 0, 0},
        {"start-seed", ARG_SEED, &o->attack.seed, 0, 0, "N", "of the random starts (2021)", 0, 0},
        {"method", ARG_TEXT, &o->method, 0, 0, "NAME", "of the certificates: interval (default) or margin", 0, 0},
        {"limit", ARG_COUNT, &o->limit, 1, 1e15, "N", "only the first N test images", 0, 0},
        {"threads", ARG_COUNT, &o->threads, 0, 1024, "N", "0 (default): one per CPU; more than CPUs is allowed", 0, 0},
        {"seed", ARG_SEED, &o->data_seed, 0, 0, "N", "of the generated digits (2021)", 0, 0},
    };
    size_t count = sizeof flags / sizeof *flags;
    int status = args_parse(flags, count, argc, argv, what);
    if (status == 1) {
        printf("usage: attack --model FILE --eps LIST [--flag value]...\n\n");
        args_print_help(stdout, flags, count);
    }
    if (status != 0) return status;
    if (!o->model || !o->eps)
        return problem_set(what, "--%s is needed; --help lists all flags", o->model ? "eps" : "model");
    if (parse_method(o->method, &o->attack.method, what) != 0) return -1;
    if (parse_list("eps", o->eps, 0, 1000, &o->radii, what) != 0) return -1;
    return parse_norms("p", o->p, &o->attack.p, what);
}

static void print_row(const char *name, const bracket *b, int64_t count) {
    printf("    %-12s %.4f\n", name, bracket_fraction(b, count));
}

static void print_radius(const options *o, const bracket *b, const int64_t *with_p, double eps) {
    printf("eps %.6g\n", eps);
    print_row("clean", b, b->clean);
    for (int i = 0; i < o->attack.p.count; ++i) {
        char name[32];
        snprintf(name, sizeof name, "p = %.6g", o->attack.p.values[i]);
        print_row(name, b, with_p[i]);
    }
    print_row("robust", b, b->robust);
    print_row("certified", b, b->certified);
}

static int work(const options *o, problem *what) {
    double started = seconds_now();
    bracket results[LIST_MOST];
    int64_t with_p[LIST_MOST];
    dataset data;
    linfdist_certifier *certifier = NULL;
    if (open_test_images("attack", o->data, o->data_seed, &data, what) != 0) return -1;
    int64_t count = o->limit > 0 && o->limit < data.test.count ? o->limit : data.test.count;
    int status = load_certifier(o->model, o->threads, &data, &certifier, what);
    if (status == 0) printf("accuracy under attack (%s, %" PRId64 " images, %s)\n", data.name, count, o->method);
    for (int i = 0; status == 0 && i < o->radii.count; ++i) {
        double eps = o->radii.values[i];
        status = bracket_measure(certifier, &o->attack, &data, count, eps, &results[i], with_p, what);
        if (status == 0) print_radius(o, &results[i], with_p, eps);
    }
    for (int i = 0; status == 0 && i < o->radii.count; ++i)
        bracket_print(stdout, &results[i], &o->attack, o->radii.values[i], seconds_now() - started);
    if (status == 0 && fflush(stdout) != 0) status = problem_set(what, "standard output cannot be written");
    linfdist_certifier_destroy(certifier);
    dataset_close(&data);
    return status;
}

int main(int argc, char **argv) {
    options o = {.data = "digits",
                 .p = "inf,40,100,300",
                 .method = "interval",
                 .data_seed = 2021,
                 .attack = {.steps = 100, .restarts = 1, .step_fraction = 0.25, .seed = 2021}};
    problem what;
    int status = parse(&o, argc, argv, &what);
    if (status == 1) return EXIT_SUCCESS;
    int exit_status = status != 0 ? EXIT_USAGE : work(&o, &what) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (exit_status != EXIT_SUCCESS) fprintf(stderr, "attack: %s\n", what.text);
    return exit_status;
}
