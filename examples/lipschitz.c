/* Local Lipschitz constants of a model file's outputs along p: how strongly small p lets the net react to a small
 * change, and that p = infinity allows distances no more than the change itself. */
#include <linfdist/linfdist.h>

#include "args.h"
#include "certifying.h"
#include "progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { EXIT_USAGE = 2, CHUNK = 64 };

typedef struct options {
    const char *model, *data, *p;
    int64_t limit, threads;
    uint64_t data_seed;
    number_list list;
    linfdist_lipschitz_options estimate;
} options;

/* 0; 1 after --help; -1. */
static int parse(options *o, int argc, char **argv, problem *what) {
    arg flags[] = {
        {"model", ARG_TEXT, &o->model, 0, 0, "FILE", "the model, as train --out wrote it", 0, 0},
        {"data", ARG_TEXT, &o->data, 0, 0, "SET", DATASET_SPECS " (default: digits)", 0, 0},
        {"p", ARG_TEXT, &o->p, 0, 0, "LIST", "of the net (8,16,32,64,128,256,512,1000,inf)", 0, 0},
        {"eps", ARG_REAL, &o->estimate.eps_normalized, 1e-9, 1000, "R", "size of the change, normalized (1/255)", 0, 0},
        {"steps", ARG_COUNT, &o->estimate.steps, 1, 1e9, "N", "of each start (20)", 0, 0},
        {"restarts", ARG_COUNT, &o->estimate.restarts, 1, 1e9, "N", "random starts (5)", 0, 0},
        {"start-seed", ARG_SEED, &o->estimate.seed, 0, 0, "N", "of the random starts (2021)", 0, 0},
        {"limit", ARG_COUNT, &o->limit, 1, 1e15, "N", "only the first N test images (100)", 0, 0},
        {"threads", ARG_COUNT, &o->threads, 0, 1024, "N", "0 (default): one per CPU; more than CPUs is allowed", 0, 0},
        {"seed", ARG_SEED, &o->data_seed, 0, 0, "N", "of the generated digits (2021)", 0, 0},
    };
    size_t count = sizeof flags / sizeof *flags;
    int status = args_parse(flags, count, argc, argv, what);
    if (status == 1) {
        printf("usage: lipschitz --model FILE [--flag value]...\n\n");
        args_print_help(stdout, flags, count);
    }
    if (status != 0) return status;
    if (!o->model) return problem_set(what, "--model is needed; --help lists all flags");
    return parse_norms("p", o->p, &o->list, what);
}

/* The estimates at one p. */
typedef struct survey {
    const linfdist_certifier *certifier;
    const options *o;
    const dataset *data;
    float p;
    double sum, worst_sum, largest; /* over all outputs; over the largest of each image; of all */
} survey;

static int survey_chunk(void *user, int64_t first, int64_t n, const float *raw, problem *what) {
    survey *s = user;
    const int64_t classes = s->data->classes;
    float *estimate = malloc(sizeof *estimate * (size_t)(n * classes));
    (void)first;
    if (!estimate) return problem_set(what, "out of memory");
    int status =
        problem_check(what, linfdist_lipschitz(s->certifier, &s->o->estimate, raw, s->data->n_in, n, s->p, estimate));
    for (int64_t i = 0; status == 0 && i < n; ++i) {
        double worst = 0;
        for (int64_t k = 0; k < classes; ++k) {
            const double one = (double)estimate[i * classes + k];
            s->sum += one;
            worst = fmax(worst, one);
        }
        s->worst_sum += worst;
        s->largest = fmax(s->largest, worst);
    }
    free(estimate);
    return status;
}

static int work(const options *o, problem *what) {
    dataset data;
    linfdist_certifier *certifier = NULL;
    if (open_test_images("lipschitz", o->data, o->data_seed, &data, what) != 0) return -1;
    int64_t count = o->limit < data.test.count ? o->limit : data.test.count;
    int status = load_certifier(o->model, o->threads, &data, &certifier, what);
    if (status == 0) {
        printf("local Lipschitz constants of the outputs (%s, %" PRId64 " images, eps %.6g normalized)\n", data.name,
               count, o->estimate.eps_normalized);
        printf("%-8s %-12s %-12s %-12s\n", "p", "mean", "mean worst", "largest");
    }
    for (int i = 0; status == 0 && i < o->list.count; ++i) {
        survey s = {.certifier = certifier, .o = o, .data = &data, .p = (float)o->list.values[i]};
        status = for_chunks(&data, count, CHUNK, survey_chunk, &s, what);
        if (status == 0)
            printf("%-8g %-12.6f %-12.6f %-12.6f\n", (double)s.p, s.sum / (double)(count * data.classes),
                   s.worst_sum / (double)count, s.largest);
    }
    if (status == 0 && fflush(stdout) != 0) status = problem_set(what, "standard output cannot be written");
    linfdist_certifier_destroy(certifier);
    dataset_close(&data);
    return status;
}

int main(int argc, char **argv) {
    options o = {.data = "digits", .p = "8,16,32,64,128,256,512,1000,inf", .limit = 100, .data_seed = 2021};
    problem what;
    int status = problem_check(&what, linfdist_lipschitz_options_init(&o.estimate, sizeof o.estimate));
    if (status == 0) status = parse(&o, argc, argv, &what);
    if (status == 1) return EXIT_SUCCESS;
    int exit_status = status != 0 ? EXIT_USAGE : work(&o, &what) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (exit_status != EXIT_SUCCESS) fprintf(stderr, "lipschitz: %s\n", what.text);
    return exit_status;
}
