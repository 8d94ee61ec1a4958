/* Speed of the distance operators against BLIS sgemm of the same shape in the same run, as ratios of processor time on
 * one thread: 1.00 means that one |x - w| costs as much as one multiply-add. Every measurement is a pair (sgemm, then
 * the operator); the median and the range of the pairs' ratios are printed.
 *
 * bench [--batch N] [--inputs N] [--outputs N] [--repeat N] [--isa NAME] [--p P] [--model FILE --data SET [--layer N]]
 *
 * --p: only the l_p operators, at this p. --model: the weights of layer N (default 1; 0 is the first) of a trained net and
 * what that layer sees of the first training images of SET. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#endif

#include "../../lib/gemm/gemm.h"
#include "linfdist/linfdist.h"

#ifdef HAVE_TRAINED
#include "trained.h"
#endif

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_REPEATS = 101 };

typedef struct bench {
    linfdist_context *context;
    linfdist_distance_shape shape;
    float *x, *x_upper, *w, *y, *y_upper, *grad_y, *grad_x, *grad_w;
    int32_t *argmax, *argmax_upper;
    float p;
} bench;

typedef linfdist_status operation(bench *b);

static linfdist_status forward(bench *b) {
    return linfdist_distance_forward(b->context, &b->shape, b->p, b->x, b->w, b->y, NULL);
}

static linfdist_status forward_argmax(bench *b) {
    return linfdist_distance_forward(b->context, &b->shape, INFINITY, b->x, b->w, b->y, b->argmax);
}

static linfdist_status backward(bench *b) {
    return linfdist_distance_backward(b->context, &b->shape, b->p, b->x, b->w, b->y, isinf(b->p) ? b->argmax : NULL,
                                      b->grad_y, b->grad_x, b->grad_w);
}

static linfdist_status bounds(bench *b) {
    return linfdist_bounds_forward(b->context, &b->shape, b->x, b->x_upper, b->w, b->y, b->y_upper, NULL, NULL);
}

static linfdist_status bounds_argmax(bench *b) {
    return linfdist_bounds_forward(b->context, &b->shape, b->x, b->x_upper, b->w, b->y, b->y_upper, b->argmax,
                                   b->argmax_upper);
}

static const struct {
    const char *name;
    operation *prepare, *run; /* prepare or NULL */
    float p;
} rows[] = {
    {"linf forward", NULL, forward, INFINITY},
    {"linf forward, argmax", NULL, forward_argmax, INFINITY},
    {"linf backward", forward_argmax, backward, INFINITY},
    {"bounds forward", NULL, bounds, INFINITY},
    {"bounds forward, argmax", NULL, bounds_argmax, INFINITY},
    {"lp forward, p = 2", NULL, forward, 2.0f},
    {"lp forward, p = 8", NULL, forward, 8.0f},
    {"lp forward, p = 8.5", NULL, forward, 8.5f},
    {"lp forward, p = 16", NULL, forward, 16.0f},
    {"lp forward, p = 32", NULL, forward, 32.0f},
    {"lp forward, p = 64", NULL, forward, 64.0f},
    {"lp forward, p = 256", NULL, forward, 256.0f},
    {"lp forward, p = 1000", NULL, forward, 1000.0f},
    {"lp backward, p = 2", forward, backward, 2.0f},
    {"lp backward, p = 8", forward, backward, 8.0f},
    {"lp backward, p = 8.5", forward, backward, 8.5f},
    {"lp backward, p = 16", forward, backward, 16.0f},
    {"lp backward, p = 32", forward, backward, 32.0f},
    {"lp backward, p = 64", forward, backward, 64.0f},
    {"lp backward, p = 256", forward, backward, 256.0f},
    {"lp backward, p = 1000", forward, backward, 1000.0f},
};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double time_gemm(bench *b) {
    const linfdist_distance_shape *s = &b->shape;
    double start = seconds();
    lfd_gemm((size_t)s->batch, (size_t)s->n_out, (size_t)s->n_in, b->x, (size_t)s->x_stride, LFD_GEMM_PLAIN, b->w,
             (size_t)s->w_stride, LFD_GEMM_TRANSPOSED, b->y_upper, (size_t)s->y_stride);
    return seconds() - start;
}

static double time_operation(bench *b, operation *run) {
    double start = seconds();
    if (run(b) != LINFDIST_OK) {
        fprintf(stderr, "bench: %s\n", linfdist_last_error());
        exit(1);
    }
    return seconds() - start;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(bench *b, const char *name, operation *prepare, operation *run, int repeats) {
    double ratios[MOST_REPEATS];
    if (prepare) time_operation(b, prepare);
    time_operation(b, run);
    for (int i = 0; i < repeats; ++i) {
        double gemm = time_gemm(b);
        ratios[i] = gemm / time_operation(b, run);
    }
    qsort(ratios, (size_t)repeats, sizeof *ratios, by_value);
    printf("%-8s %-24s %8.3f  (%.3f to %.3f)\n", linfdist_context_isa(b->context), name, ratios[repeats / 2], ratios[0],
           ratios[repeats - 1]);
    fflush(stdout);
}

/* Twelve uniform numbers make a normal one well enough for timing. */
static float normal(void) {
    float sum = -6.0f;
    for (int i = 0; i < 12; ++i) sum += (float)rand() / (float)RAND_MAX;
    return sum;
}

static void *room(int64_t count) {
    void *memory = calloc((size_t)count, sizeof(float));
    if (!memory) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return memory;
}

/* Inputs uniform as pixels are, weights normal as a new net's, until trained ones replace them. */
static void fill(bench *b, int64_t batch, int64_t n_in, int64_t n_out) {
    linfdist_distance_shape_init(&b->shape, sizeof b->shape, batch, n_in, n_out);
    b->x = room(batch * n_in);
    b->x_upper = room(batch * n_in);
    b->w = room(n_out * n_in);
    b->y = room(batch * n_out);
    b->y_upper = room(batch * n_out);
    b->grad_y = room(batch * n_out);
    b->grad_x = room(batch * n_in);
    b->grad_w = room(n_out * n_in);
    b->argmax = room(batch * n_out);
    b->argmax_upper = room(batch * n_out);
    for (int64_t i = 0; i < batch * n_in; ++i) {
        b->x[i] = (float)rand() / (float)RAND_MAX * 4.0f - 2.0f;
        b->x_upper[i] = b->x[i] + 0.5f;
    }
    for (int64_t i = 0; i < n_out * n_in; ++i) b->w[i] = normal();
    for (int64_t i = 0; i < batch * n_out; ++i) b->grad_y[i] = normal() / 512.0f;
}

/* Takes shape, inputs and weights from a trained net; the context is only of this call. */
static int fill_trained(bench *b, const char *model, const char *data, int layer, float p, int64_t batch) {
#ifdef HAVE_TRAINED
    trained_layer made;
    if (linfdist_context_create(NULL, &b->context) != LINFDIST_OK) return -1;
    int failed = trained_layer_make(b->context, model, data, layer, p, batch, &made);
    linfdist_context_destroy(b->context);
    if (failed) return -1;
    fill(b, batch, made.n_in, made.n_out);
    memcpy(b->x, made.x, (size_t)(batch * made.n_in) * sizeof(float));
    memcpy(b->w, made.w, (size_t)(made.n_out * made.n_in) * sizeof(float));
    free(made.x);
    free(made.w);
    return 0;
#else
    (void)b, (void)model, (void)data, (void)layer, (void)p, (void)batch;
    fprintf(stderr, "bench: built without the examples, which --model needs\n");
    return -1;
#endif
}

static void release(bench *b) {
    void *all[] = {b->x,      b->x_upper, b->w,      b->y,      b->y_upper,
                   b->grad_y, b->grad_x,  b->grad_w, b->argmax, b->argmax_upper};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) free(all[i]);
}

/* one: only the l_p operators at this p, unless 0. */
static void bench_isa(bench *b, const char *isa, float one, int repeats) {
    linfdist_context_options options;
    linfdist_context_options_init(&options, sizeof options);
    options.isa = isa;
    if (linfdist_context_create(&options, &b->context) != LINFDIST_OK) {
        fprintf(stderr, "bench: %s\n", linfdist_last_error());
        exit(1);
    }
    for (size_t row = 0; row < sizeof rows / sizeof *rows && one == 0.0f; ++row) {
        b->p = rows[row].p;
        measure(b, rows[row].name, rows[row].prepare, rows[row].run, repeats);
    }
    if (one > 0.0f) {
        b->p = one;
        measure(b, "lp forward", NULL, forward, repeats);
        measure(b, "lp backward", forward, backward, repeats);
    }
    linfdist_context_destroy(b->context);
}

static int64_t number_after(int argc, char **argv, const char *flag, int64_t otherwise) {
    for (int i = 1; i + 1 < argc; ++i)
        if (strcmp(argv[i], flag) == 0) return strtoll(argv[i + 1], NULL, 10);
    return otherwise;
}

static const char *text_after(int argc, char **argv, const char *flag, const char *otherwise) {
    for (int i = 1; i + 1 < argc; ++i)
        if (strcmp(argv[i], flag) == 0) return argv[i + 1];
    return otherwise;
}

int main(int argc, char **argv) {
    static const char *const sets[] = {"avx2", "avx512"};
    bench b = {0};
    const char *only = text_after(argc, argv, "--isa", NULL), *model = text_after(argc, argv, "--model", NULL);
    float p = strtof(text_after(argc, argv, "--p", "0"), NULL);
    int repeats = (int)number_after(argc, argv, "--repeat", 7);
    int64_t batch = number_after(argc, argv, "--batch", 512), n_in = number_after(argc, argv, "--inputs", 1024);
    int64_t n_out = number_after(argc, argv, "--outputs", 512);
    if (repeats < 1 || repeats > MOST_REPEATS || batch < 1 || n_in < 1 || n_out < 1) {
        fprintf(stderr, "bench: sizes must be positive, --repeat in [1, %d]\n", MOST_REPEATS);
        return 2;
    }
    if (!model)
        fill(&b, batch, n_in, n_out);
    else if (fill_trained(&b, model, text_after(argc, argv, "--data", "digits"),
                          (int)number_after(argc, argv, "--layer", 1), p > 0.0f ? p : 8.0f, batch))
        return 1;
    printf("batch %lld, inputs %lld, outputs %lld; speed relative to %s sgemm, median of %d pairs (range)\n",
           (long long)batch, (long long)b.shape.n_in, (long long)b.shape.n_out, lfd_gemm_name(), repeats);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; ++i)
        if ((!only && linfdist_isa_available(sets[i])) || (only && strcmp(only, sets[i]) == 0))
            bench_isa(&b, sets[i], p, repeats);
    if (only && strcmp(only, "ref") == 0) bench_isa(&b, only, p, repeats);
    release(&b);
    return 0;
}
