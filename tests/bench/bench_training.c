#include "operators.h"
#include "report.h"
#include "rows.h"
#include "sgemm.h"
#include "training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double usual_p[] = {8, 30, 100, 300, INFINITY};

/* ---- mean shift, which the run does inside its passes ---- */

typedef struct shifts {
    linfdist_context *context;
    const layer_sizes *sizes;
    int64_t batch;
    float *y, *running;
} shifts;

/* Forward and backward of every hidden layer. */
static void shift(void *user) {
    shifts *s = user;
    for (int i = 0; i + 1 < s->sizes->count; ++i) {
        const int64_t width = s->sizes->n_out[i];
        require(linfdist_mean_shift_forward(s->context, s->batch, width, 1, LINFDIST_TRAIN, 0.1f, s->running, s->y,
                                            NULL, NULL, s->y, NULL, NULL));
        require(linfdist_mean_shift_backward(s->context, s->batch, width, 1, LINFDIST_TRAIN, s->y, NULL, NULL, s->y));
    }
}

static double seconds_of_shifts(const bench_settings *s, linfdist_context *context, const layer_sizes *sizes,
                                int64_t batch) {
    int64_t widest = 1;
    for (int i = 0; i < sizes->count; ++i)
        if (sizes->n_out[i] > widest) widest = sizes->n_out[i];
    shifts all = {context, sizes, batch, bench_room(batch * widest, sizeof(float)), bench_room(widest, sizeof(float))};
    const timed time = time_pairs((work){shift, &all, NULL}, (work){NULL, NULL, NULL}, (int)s->repeats);
    free(all.y);
    free(all.running);
    return time.seconds;
}

/* ---- rows ---- */

static void measure(const bench_settings *s, linfdist_context *context, double p, const memory_use *memory) {
    const nets *n = nets_get(s);
    linfdist_model *model = nets_model(n, p, context);
    const layer_sizes sizes = nets_sizes(model);
    training_step t;
    training_step_create(&t, model, nets_batch(n), p);
    t.source = n;
    sgemms *products = sgemms_create();
    sgemms_add_training(products, &sizes, t.batch);
    row r = {.op = "training_step",
             .isa = linfdist_context_isa(context),
             .data = "trained",
             .threads = 1,
             .batch = t.batch,
             .n_out = sizes.n_out[0],
             .n_in = sizes.n_in[0],
             .p = p,
             .elements = sgemms_elements(products)};
    r.time = time_pairs((work){training_step_take, &t, NULL}, sgemms_work(products), (int)s->repeats);
    const double outside = t.outside / t.whole + seconds_of_shifts(s, context, &sizes, t.batch) / r.time.seconds;
    row_number(&r, "depth", sizes.count);
    row_number(&r, "step_ms", 1e3 * r.time.seconds);
    if (sgemm_comparable()) row_number(&r, "step_over_sgemms", 1.0 / r.time.ratio);
    row_number(&r, "outside_kernels", outside);
    row_number(&r, "peak_mb", memory->peak_mb);
    row_number(&r, "peak_limit_mb", memory->limit_mb);
    report_row(&r);
    sgemms_destroy(products);
    training_step_destroy(&t);
}

void bench_training(const bench_settings *s, const memory_use *memory) {
    const char *isas[4];
    if (!listed(s->ops, "training_step")) return;
    isas_wanted(s, isas);
    nets_get(s);
    linfdist_context *context = context_of(isas[0], 1);
    report_heading("A step of training, one thread, against three sgemms of every layer's shape");
    const double *p = s->p_list.count ? s->p_list.values : usual_p;
    const size_t count = s->p_list.count ? (size_t)s->p_list.count : sizeof usual_p / sizeof *usual_p;
    for (size_t i = 0; i < count; ++i) measure(s, context, p[i], memory);
    linfdist_context_destroy(context);
}
