#include "pixel_support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net_support.h"

enum { SAMPLES = 40 };

const double pixel_means[3] = {0.4914, 0.4822, 0.4465};
const double pixel_std = 0.2009;

void pixel_values(float *x, size_t count, uint32_t seed) {
    net_uniform(x, count, -0.2f, 1.2f, seed);
    for (size_t i = 0; i < count; ++i) x[i] = fminf(fmaxf(x[i], 0.0f), 1.0f);
}

void pixel_normalize(const float *x, float *normalized, int64_t samples) {
    for (int64_t i = 0; i < samples * PIXEL_N_IN; ++i)
        normalized[i] = (float)(((double)x[i] - pixel_means[i % PIXEL_N_IN / 4]) / pixel_std);
}

/* Biases with which every class wins some samples. */
static void balance(linfdist_model *model) {
    linfdist_run *run = NULL;
    float x[SAMPLES * PIXEL_N_IN], normalized[SAMPLES * PIXEL_N_IN], *bias = net_tensor(model, "fc_dist.2.bias").data;
    const float *distances;
    int64_t batch, classes;
    pixel_values(x, sizeof x / sizeof *x, 555);
    pixel_normalize(x, normalized, SAMPLES);
    OK(linfdist_run_create(model, LINFDIST_RUN_INFERENCE, SAMPLES, &run));
    OK(linfdist_forward(run, normalized, PIXEL_N_IN, SAMPLES, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_run_outputs(run, &distances, &batch, &classes));
    for (int k = 0; k < SAMPLES * PIXEL_CLASSES; ++k) bias[k % PIXEL_CLASSES] -= distances[k] / SAMPLES;
    linfdist_run_destroy(run);
}

linfdist_model *pixel_model(linfdist_context *from, uint64_t seed) {
    linfdist_mlp_options o;
    linfdist_model *model = NULL;
    const linfdist_statistics statistics = {sizeof statistics, 3, pixel_means, pixel_std, 0.0, 1.0};
    OK(linfdist_mlp_options_init(&o, sizeof o));
    o.channels = 3;
    o.height = o.width_px = 2;
    o.classes = PIXEL_CLASSES;
    o.depth = 3;
    o.width = 20;
    o.identity_value = 0.0f;
    o.seed = seed;
    OK(linfdist_model_create_mlp(from, &o, &model));
    net_disturb(model, (uint32_t)seed);
    balance(model);
    OK(linfdist_model_set_statistics(model, &statistics));
    return model;
}

void pixel_predict(linfdist_run *run, const float *x, int64_t samples, int32_t *predicted, float *margin) {
    float *normalized = malloc((size_t)samples * PIXEL_N_IN * sizeof *normalized);
    const float *distances;
    int64_t batch, classes;
    pixel_normalize(x, normalized, samples);
    OK(linfdist_forward(run, normalized, PIXEL_N_IN, samples, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_run_outputs(run, &distances, &batch, &classes));
    OK(linfdist_margins(distances, NULL, batch, classes, predicted, margin));
    free(normalized);
}
