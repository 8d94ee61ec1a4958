/* Several threads of one context against as many independent processes of one thread, by the time that passes: threads
 * must share the work and wait for each other, processes only share the machine. */
#include "operators.h"
#include "processes.h"
#include "report.h"
#include "rows.h"
#include "sgemm.h"
#include "training.h"

#include <math.h>
#include <stddef.h>

enum { WORK_SGEMM, WORK_OPERATOR, WORKS };
enum { MOST_CALLS = 64 };

/* One line of the table: an operator, or the training step where which is OPERATORS. */
typedef struct line {
    int which;
    double p;
} line;

static const line lines[] = {
    {OPERATOR_LINF, INFINITY}, {OPERATOR_LP, 8}, {OPERATOR_LP_BACKWARD, 8}, {OPERATORS, 8}, {OPERATORS, INFINITY}};

typedef struct job {
    const bench_settings *s;
    line what;
    const char *isa;
    linfdist_context *context;
    operands arrays;
    training_step step;
    sgemms *products;
    layer_sizes sizes;
    int64_t batch;
} job;

static const char *name_of(const line *what) {
    return what->which < OPERATORS ? operator_names[what->which] : "training_step";
}

/* Arrays and products, without a context. */
static void prepare(job *j) {
    const int quick = j->s->quick;
    j->batch = quick ? 16 : 512;
    j->sizes = (layer_sizes){1, {quick ? 48 : 1024}, {quick ? 32 : 1024}};
    j->products = sgemms_create();
    if (j->what.which < OPERATORS) {
        operands_random(&j->arrays, j->batch, j->sizes.n_out[0], j->sizes.n_in[0]);
        sgemms_add_forward(j->products, j->batch, j->sizes.n_out[0], j->sizes.n_in[0]);
        return;
    }
    linfdist_context *context = context_of(j->isa, 1);
    linfdist_model *model = nets_model(nets_get(j->s), j->what.p, context);
    j->sizes = nets_sizes(model);
    j->batch = nets_batch(nets_get(j->s));
    sgemms_add_training(j->products, &j->sizes, j->batch);
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
}

static work work_of(job *j, int threads) {
    j->context = context_of(j->isa, threads);
    if (j->what.which < OPERATORS) return operator_work(&j->arrays, j->what.which, j->context, j->what.p);
    const nets *n = nets_get(j->s);
    training_step_create(&j->step, nets_model(n, j->what.p, j->context), j->batch, j->what.p);
    j->step.source = n;
    return (work){training_step_take, &j->step, NULL};
}

static void release(job *j) {
    if (j->what.which == OPERATORS) training_step_destroy(&j->step);
    if (j->what.which < OPERATORS) operands_free(&j->arrays);
    linfdist_context_destroy(j->context);
    sgemms_destroy(j->products);
}

static void works_of_process(void *user, work *works) {
    job *j = user;
    works[WORK_SGEMM] = sgemms_work(j->products);
    works[WORK_OPERATOR] = work_of(j, 1);
    if (!works[WORK_SGEMM].call) works[WORK_SGEMM] = works[WORK_OPERATOR];
}

static double rate_of_threads(work w, int calls) {
    const double start = time_passed();
    for (int i = 0; i < calls; ++i) w.call(w.user);
    return calls / (time_passed() - start);
}

/* Samples of sgemm in the processes, the work in the processes and the work on threads, one after the other. A sample
 * is several calls, as in a program at work: the first finds the threads asleep and the caches full of the others'
 * arrays. */
static void measure(job *j, processes *others, work w, int threads, row *r) {
    double of_threads[TIMING_MOST], of_processes[TIMING_MOST], efficiency[TIMING_MOST], sgemm[TIMING_MOST],
        ratios[TIMING_MOST];
    const int samples = (int)j->s->repeats;
    const double seconds = j->s->quick ? 0.0 : 0.2;
    const int calls = (int)fmax(1.0, fmin(MOST_CALLS, ceil(seconds * rate_of_threads(w, 1))));
    for (int i = 0; i < samples; ++i) {
        sgemm[i] = 1.0 / processes_rate(others, WORK_SGEMM, calls);
        of_processes[i] = 1.0 / processes_rate(others, WORK_OPERATOR, calls);
        of_threads[i] = 1.0 / rate_of_threads(w, calls);
        efficiency[i] = of_processes[i] / of_threads[i];
        ratios[i] = sgemm[i] / of_threads[i];
    }
    r->threads = threads;
    r->time = (timed){.seconds = median(of_threads, samples), .ratio = median(ratios, samples)};
    r->time.lowest = ratios[0];
    r->time.highest = ratios[samples - 1];
    if (sgemm_comparable()) r->time.other_seconds = median(sgemm, samples);
    row_number(r, "processes_gelem_per_s", r->elements / median(of_processes, samples) * 1e-9);
    row_number(r, "efficiency", median(efficiency, samples));
}

static void bench_line(const bench_settings *s, const line *what, const char *isa, int threads) {
    job j = {.s = s, .what = *what, .isa = isa};
    prepare(&j);
    processes *others = processes_start(threads, works_of_process, &j, WORKS);
    const work w = work_of(&j, threads);
    w.call(w.user);
    row r = {.op = name_of(what),
             .isa = linfdist_context_isa(j.context),
             .data = what->which < OPERATORS ? "random" : "trained",
             .batch = j.batch,
             .n_out = j.sizes.n_out[0],
             .n_in = j.sizes.n_in[0],
             .p = what->p,
             .elements = sgemms_elements(j.products)};
    measure(&j, others, w, threads, &r);
    processes_stop(others);
    report_row(&r);
    release(&j);
}

static int processors(void) {
    linfdist_context *context = context_of(NULL, 0);
    const int count = linfdist_context_threads(context);
    linfdist_context_destroy(context);
    return count > 16 ? 16 : count;
}

void bench_threads(const bench_settings *s) {
    const char *isas[4];
    const int most = processors();
    if (most < 2 || s->batch > 0) return;
    isas_wanted(s, isas);
    report_heading("Threads, by the time that passes; sgemm and efficiency: of as many processes with one thread each");
    for (size_t i = 0; i < (s->quick ? 1 : sizeof lines / sizeof *lines); ++i) {
        if (!listed(s->ops, name_of(&lines[i])) || !p_wanted(s, lines[i].p)) continue;
        for (int threads = 2; threads < most; threads *= 2) bench_line(s, &lines[i], isas[0], threads);
        bench_line(s, &lines[i], isas[0], most);
    }
}
