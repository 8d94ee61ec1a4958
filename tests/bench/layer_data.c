#include "nets.h"
#include "timing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static linfdist_tensor weights(linfdist_model *model, int64_t layer) {
    char name[64];
    linfdist_tensor w = {.struct_size = sizeof w};
    snprintf(name, sizeof name, "fc_dist.%lld.weight", (long long)layer);
    require(linfdist_model_find_tensor(model, name, &w));
    return w;
}

static float *copied(const float *values, int64_t count) {
    float *copy = bench_room(count, sizeof *copy);
    memcpy(copy, values, (size_t)count * sizeof *copy);
    return copy;
}

/* What the next layer sees in training: the distances, less their means over the batch. */
static void pass(layer_data *d, const linfdist_tensor *w, double p, linfdist_context *context) {
    linfdist_distance_shape shape;
    const int64_t n_out = w->shape[0];
    float *y = bench_room(d->batch * n_out, sizeof *y), *running = bench_room(n_out, sizeof *running);
    require(linfdist_distance_shape_init(&shape, sizeof shape, d->batch, d->n_in, n_out));
    require(linfdist_distance_forward(context, &shape, (float)p, d->x, w->data, y, NULL));
    require(linfdist_mean_shift_forward(context, d->batch, n_out, 1, LINFDIST_TRAIN, 0.1f, running, y, NULL, NULL, y,
                                        NULL, NULL));
    free(running);
    free(d->x);
    d->x = y;
    d->n_in = n_out;
}

layer_data nets_layer(const nets *n, double p, int64_t layer, linfdist_context *context) {
    const float *x;
    const int32_t *labels;
    linfdist_model *model = nets_model(n, p, context);
    layer_data made = {.batch = batches_get(n->source, 0, 0, &x, &labels), .n_in = n->data.n_in};
    const layer_sizes sizes = nets_sizes(model);
    if (layer >= sizes.count) bench_fail("--layer: the net has fewer layers");
    made.x = copied(x, made.batch * made.n_in);
    for (int64_t i = 0; i < layer; ++i) {
        const linfdist_tensor w = weights(model, i);
        pass(&made, &w, p, context);
    }
    const linfdist_tensor w = weights(model, layer);
    made.n_out = w.shape[0];
    made.w = copied(w.data, made.n_out * made.n_in);
    linfdist_model_destroy(model);
    return made;
}
