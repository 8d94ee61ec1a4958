/* A distance convolution of one layer as a net has it: 64 to 64 channels, 3 x 3. Its elements are those of the matrix
 * product that a convolution is: positions of all images x 64 x 576. */
#include "operators.h"
#include "report.h"
#include "rows.h"
#include "sgemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct convolution {
    linfdist_model *model;
    linfdist_run *run;
    int64_t images, channels, side, features;
    float p;
    float *x, *grad_y, *grad_x;
} convolution;

static float *random_values(int64_t count, float scale) {
    float *values = bench_room(count, sizeof *values);
    for (int64_t i = 0; i < count; ++i) values[i] = scale * ((float)rand() / (float)RAND_MAX - 0.5f);
    return values;
}

static void create(convolution *c, linfdist_context *context, int quick) {
    linfdist_model_options options;
    linfdist_layer layer;
    *c = (convolution){.images = quick ? 2 : 16, .channels = quick ? 8 : 64, .side = quick ? 6 : 32};
    c->features = c->channels * c->side * c->side;
    require(linfdist_model_options_init(&options, sizeof options));
    options.channels = c->channels;
    options.height = options.width_px = c->side;
    options.classes = c->features;
    options.learned_scalar = 0;
    require(linfdist_layer_init(&layer, sizeof layer, LINFDIST_LAYER_DISTANCE_CONV, "conv"));
    layer.out_channels = c->channels;
    layer.padding = 1;
    require(linfdist_model_create(context, &options, &layer, 1, &c->model));
    require(linfdist_run_create(c->model, LINFDIST_RUN_TRAINING, c->images, &c->run));
    c->x = random_values(c->images * c->features, 4.0f);
    c->grad_y = random_values(c->images * c->features, 0.01f);
    c->grad_x = random_values(c->images * c->features, 0.0f);
}

static void destroy(convolution *c) {
    linfdist_run_destroy(c->run);
    linfdist_model_destroy(c->model);
    free(c->x);
    free(c->grad_y);
    free(c->grad_x);
}

static void forward(void *user) {
    convolution *c = user;
    require(linfdist_forward(c->run, c->x, c->features, c->images, LINFDIST_TRAIN, c->p));
}

static void before_backward(void *user) {
    convolution *c = user;
    float *grad_y, *grad_scalar;
    forward(c);
    require(linfdist_run_zero_gradients(c->run));
    require(linfdist_run_output_gradients(c->run, &grad_y, &grad_scalar));
    memcpy(grad_y, c->grad_y, (size_t)(c->images * c->features) * sizeof *grad_y);
}

static void backward(void *user) {
    convolution *c = user;
    require(linfdist_backward(c->run, c->grad_x, c->features));
}

static void measure(const bench_settings *s, convolution *c, sgemms *products, const char *isa, const char *pass,
                    work w) {
    row r = {.op = "conv3x3",
             .isa = isa,
             .data = "random",
             .threads = 1,
             .batch = c->images * c->side * c->side,
             .n_out = c->channels,
             .n_in = 9 * c->channels,
             .p = (double)c->p,
             .elements = sgemms_elements(products)};
    row_text(&r, "pass", pass);
    r.time = time_pairs(w, sgemms_work(products), (int)s->repeats);
    report_row(&r);
}

static void measure_all(const bench_settings *s, convolution *c, const char *isa) {
    static const double all_p[] = {INFINITY, 8};
    sgemms *products = sgemms_create();
    sgemms_add_forward(products, c->images * c->side * c->side, c->channels, 9 * c->channels);
    for (int i = 0; i < 2; ++i) {
        if (!p_wanted(s, all_p[i])) continue;
        c->p = (float)all_p[i];
        measure(s, c, products, isa, "forward", (work){forward, c, NULL});
        measure(s, c, products, isa, "backward", (work){backward, c, before_backward});
    }
    sgemms_destroy(products);
}

void bench_convolutions(const bench_settings *s) {
    const char *isas[4];
    convolution c;
    if (!listed(s->ops, "conv3x3")) return;
    isas_wanted(s, isas);
    linfdist_context *context = context_of(isas[0], 1);
    report_heading("Distance convolutions in a training run, one thread (forward at infinity: with the argmax)");
    create(&c, context, s->quick);
    measure_all(s, &c, linfdist_context_isa(context));
    destroy(&c);
    linfdist_context_destroy(context);
}
