/* A theorem made runnable: data whose classes are more than 2 r apart have an l_inf-distance net of one hidden unit per
 * point that certifies every one of them at r (support/separation.h: the net, and why). On random points of the plane,
 * or on the training images of a data set; there the test images show that such a net has learned nothing. */
#include <linfdist/linfdist.h>

#include "args.h"
#include "evaluate.h"
#include "points.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

typedef struct options {
    const char *data, *picture;
    int64_t points, classes, count, threads;
    double radius; /* NAN: not given */
    uint64_t seed;
} options;

/* What is certified: random points, or the first training images of data. */
typedef struct subject {
    const char *what;
    point_set set;
    dataset data;
    double std; /* raw units of a normalized one */
} subject;

static int check(const options *o, const arg *points, const arg *count, const arg *picture, problem *what) {
    if (o->data && points[0].origin == ARG_GIVEN) return problem_set(what, "--points does not go with --data");
    if (o->data && points[1].origin == ARG_GIVEN) return problem_set(what, "--classes does not go with --data");
    if (o->data && picture->origin == ARG_GIVEN)
        return problem_set(what, "--picture does not go with --data: it shows points of the plane");
    if (!o->data && count->origin == ARG_GIVEN) return problem_set(what, "--count goes with --data alone");
    if (!o->data && o->points < o->classes)
        return problem_set(what, "--points %" PRId64 ": fewer than the %" PRId64 " classes", o->points, o->classes);
    return 0;
}

/* 0; 1 after --help; -1. */
static int parse(options *o, int argc, char **argv, problem *what) {
    arg flags[] = {
        {"points", ARG_COUNT, &o->points, 2, 20000, "N", "random points in the unit square (60)", 0, 0},
        {"classes", ARG_COUNT, &o->classes, 2, POINTS_MOST_CLASSES, "N", "of the points (4)", 0, 0},
        {"picture", ARG_TEXT, &o->picture, 0, 0, "FILE", "an SVG of the points and what the net makes of the plane", 0,
         0},
        {"data", ARG_TEXT, &o->data, 0, 0, "SET", "training images instead: " DATASET_SPECS, 0, 0},
        {"count", ARG_COUNT, &o->count, 1, 1e7, "N", "only the first N training images (5000)", 0, 0},
        {"radius", ARG_REAL, &o->radius, 1e-4, 1, "R", "raw; of points 0.04, of images the largest that is possible", 0,
         0},
        {"seed", ARG_SEED, &o->seed, 0, 0, "N", "of the points or the generated digits (2021)", 0, 0},
        {"threads", ARG_COUNT, &o->threads, 0, 1024, "N", "0 (default): one per CPU; more than CPUs is allowed", 0, 0},
    };
    size_t count = sizeof flags / sizeof *flags;
    int status = args_parse(flags, count, argc, argv, what);
    if (status == 1) {
        printf("usage: well_separated [--flag value]...\n\n");
        args_print_help(stdout, flags, count);
    }
    return status != 0 ? status : check(o, &flags[0], &flags[4], &flags[2], what);
}

/* ---- the points ---- */

/* As the certifier does it, so that each image is at distance 0 of its own unit. */
static void normalize(const dataset *data, point_set *set) {
    const int64_t plane = data->height * data->width_px;
    for (int64_t i = 0; i < set->count * set->n_in; ++i) {
        const double mean = data->mean[i / plane % data->channels];
        set->x[i] = (float)(((double)set->x[i] - mean) / data->std);
    }
}

static int open_images(subject *s, const options *o, problem *what) {
    dataset *data = &s->data;
    if (dataset_open(data, o->data, o->seed, DATASET_TRAIN | DATASET_TEST, what) != 0) return -1;
    if (data->note[0]) fprintf(stderr, "well_separated: %s\n", data->note);
    s->what = "images";
    s->std = data->std;
    s->set = (point_set){.channels = data->channels,
                         .height = data->height,
                         .width_px = data->width_px,
                         .n_in = data->n_in,
                         .classes = data->classes};
    if (point_set_alloc(&s->set, o->count < data->train.count ? o->count : data->train.count, what) != 0) return -1;
    memcpy(s->set.labels, data->train.labels, sizeof *s->set.labels * (size_t)s->set.count);
    dataset_raw(data, &data->train, 0, s->set.count, s->set.x);
    normalize(data, &s->set);
    return 0;
}

static int open_points(subject *s, const options *o, problem *what) {
    s->what = "points";
    s->std = 1.0;
    return points_draw(&s->set, o->points, o->classes, o->radius, o->seed, what);
}

/* ---- the radius ---- */

/* The largest radius with a certificate, down to a millionth, so that it can be printed and typed; or the one that is
 * asked for. */
static int choose_radius(const subject *s, const separation *found, double asked, double *radius, problem *what) {
    const int64_t i = found->first, j = found->second;
    char flag[48] = "";
    if (i < 0) return problem_set(what, "all %" PRId64 " %s are of one class", s->set.count, s->what);
    const double most = floor(separation_radius(found) * s->std * 1e6) / 1e6;
    *radius = isnan(asked) ? most : asked;
    if (most > 0.0 && *radius <= most) return 0;
    if (!isnan(asked)) snprintf(flag, sizeof flag, "--radius %g: ", asked);
    return problem_set(what,
                       "%s%s %" PRId64 " (class %d) and %" PRId64 " (class %d) are only %g apart, "
                       "so the largest radius is %g",
                       flag, s->what, i, (int)s->set.labels[i], j, (int)s->set.labels[j], found->smallest * s->std,
                       fmax(most, 0.0));
}

/* ---- the net, and what is certified ---- */

static int build(const subject *s, linfdist_context *context, double c, linfdist_certifier **certifier, problem *what) {
    const dataset *data = &s->data;
    linfdist_statistics statistics = {sizeof statistics, data->channels, data->mean, data->std, 0.0, 1.0};
    linfdist_model *model = NULL;
    int status = separation_net(context, &s->set, c, &model, what);
    if (status == 0 && data->channels > 0)
        status = problem_check(what, linfdist_model_set_statistics(model, &statistics));
    if (status == 0) status = problem_check(what, linfdist_certifier_create(model, certifier));
    linfdist_model_destroy(model);
    return status;
}

static int certify_points(const point_set *set, const linfdist_certifier *certifier, int32_t method, double radius,
                          accuracy *result, problem *what) {
    int32_t *predicted = malloc(sizeof *predicted * 2 * (size_t)set->count);
    *result = (accuracy){.samples = set->count};
    if (!predicted) return problem_set(what, "out of memory");
    int32_t *certified = predicted + set->count;
    int status = problem_check(
        what, linfdist_certify_at(certifier, method, set->x, set->n_in, set->count, radius, predicted, certified));
    for (int64_t i = 0; status == 0 && i < set->count; ++i) {
        const int right = predicted[i] == set->labels[i];
        result->clean += right;
        result->certified += right && certified[i];
    }
    free(predicted);
    return status;
}

static void print_row(const char *name, const char *samples, const accuracy *a) {
    printf("%-10s %-16s %-10.4f %-10.4f\n", name, samples, accuracy_clean(a), accuracy_certified(a));
}

static int certify(const subject *s, const linfdist_certifier *certifier, int32_t method, double radius,
                   problem *what) {
    accuracy a;
    const int images = s->data.channels > 0;
    if (images ? evaluate(certifier, method, &s->data, &s->data.train, s->set.count, radius, &a, what) != 0
               : certify_points(&s->set, certifier, method, radius, &a, what) != 0)
        return -1;
    print_row(method_name(method), images ? "training images" : s->what, &a);
    if (a.certified == a.samples) return 0;
    return problem_set(what, "%s: only %" PRId64 " of %" PRId64 " %s are certified at %g", method_name(method),
                       a.certified, a.samples, s->what, radius);
}

/* The theorem says nothing about other points. */
static int contrast(const subject *s, const linfdist_certifier *certifier, double radius, problem *what) {
    accuracy a;
    const dataset *data = &s->data;
    if (evaluate(certifier, LINFDIST_METHOD_MARGIN, data, &data->test, data->test.count, radius, &a, what) != 0)
        return -1;
    print_row(method_name(LINFDIST_METHOD_MARGIN), "test images", &a);
    return 0;
}

static int show(const subject *s, const options *o, linfdist_context *context, problem *what) {
    separation found;
    double radius = 0;
    linfdist_certifier *certifier = NULL;
    if (separation_measure(context, &s->set, &found, what) != 0 ||
        choose_radius(s, &found, o->radius, &radius, what) != 0)
        return -1;
    const double c = separation_weight(&found);
    printf("%" PRId64 " %s of %" PRId64 " classes, %s\n", s->set.count, s->what, s->set.classes,
           o->data ? s->data.name : "in the unit square");
    printf("different classes are at least %g apart, any two at most %g; r = %g, C = %g\n\n", found.smallest * s->std,
           found.largest * s->std, radius, c);
    printf("%-10s %-16s %-10s %-10s\n", "method", "", "clean", "certified at r");
    int status = build(s, context, c, &certifier, what);
    if (status == 0) status = certify(s, certifier, LINFDIST_METHOD_MARGIN, radius, what);
    if (status == 0) status = certify(s, certifier, LINFDIST_METHOD_INTERVAL, radius, what);
    if (status == 0 && o->data) status = contrast(s, certifier, radius, what);
    if (status == 0 && o->picture) status = points_picture(o->picture, &s->set, certifier, radius, what);
    if (status == 0 && fflush(stdout) != 0) status = problem_set(what, "standard output cannot be written");
    linfdist_certifier_destroy(certifier);
    return status;
}

static int work(const options *o, problem *what) {
    subject s = {.std = 1.0};
    linfdist_context_options settings;
    linfdist_context *context = NULL;
    int status = o->data ? open_images(&s, o, what) : open_points(&s, o, what);
    if (status == 0) status = problem_check(what, linfdist_context_options_init(&settings, sizeof settings));
    if (status == 0) {
        settings.threads = (int32_t)o->threads;
        status = problem_check(what, linfdist_context_create(&settings, &context));
    }
    if (status == 0) status = show(&s, o, context, what);
    linfdist_context_destroy(context);
    point_set_free(&s.set);
    dataset_close(&s.data);
    return status;
}

int main(int argc, char **argv) {
    options o = {.points = 60, .classes = 4, .count = 5000, .radius = NAN, .seed = 2021};
    problem what;
    int status = parse(&o, argc, argv, &what);
    if (status == 1) return EXIT_SUCCESS;
    if (!o.data && isnan(o.radius)) o.radius = 0.04;
    int exit_status = status != 0 ? EXIT_USAGE : work(&o, &what) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (exit_status != EXIT_SUCCESS) fprintf(stderr, "well_separated: %s\n", what.text);
    return exit_status;
}
