#include "trained.h"

#include "dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *what) {
    fprintf(stderr, "bench: %s\n", what);
    return -1;
}

static float *room(int64_t count) {
    float *memory = malloc((size_t)count * sizeof(float));
    if (!memory) complain("out of memory");
    return memory;
}

/* The first images, normalized as nets take them. */
static int first_images(const char *spec, trained_layer *made) {
    dataset data;
    problem what;
    if (dataset_open(&data, spec, 2021, DATASET_TRAIN, &what)) return complain(what.text);
    made->n_in = data.n_in;
    made->x = data.train.count >= made->batch ? room(made->batch * data.n_in) : NULL;
    if (made->x) {
        const int64_t positions = data.n_in / data.channels;
        dataset_raw(&data, &data.train, 0, made->batch, made->x);
        for (int64_t i = 0; i < made->batch * data.n_in; ++i)
            made->x[i] = dataset_normalized(&data, i % data.n_in / positions, made->x[i]);
    }
    dataset_close(&data);
    return made->x ? 0 : complain("--data: fewer training images than --batch");
}

static int find_weights(linfdist_model *model, int layer, int64_t n_in, linfdist_tensor *w) {
    char name[64];
    snprintf(name, sizeof name, "fc_dist.%d.weight", layer);
    w->struct_size = sizeof *w;
    if (linfdist_model_find_tensor(model, name, w) != LINFDIST_OK) return complain(linfdist_last_error());
    return w->shape[1] == n_in ? 0 : complain("--model does not take the images of --data");
}

/* made->x <- the distances to w, shifted by their batch means. */
static int through_layer(linfdist_context *context, const linfdist_tensor *w, float p, trained_layer *made) {
    linfdist_distance_shape shape;
    const int64_t n_out = w->shape[0];
    float *y = room(made->batch * n_out), *running = calloc((size_t)n_out, sizeof(float));
    linfdist_status status = y && running ? LINFDIST_OK : LINFDIST_ERROR_OUT_OF_MEMORY;
    linfdist_distance_shape_init(&shape, sizeof shape, made->batch, made->n_in, n_out);
    if (!status) status = linfdist_distance_forward(context, &shape, p, made->x, w->data, y, NULL);
    if (!status)
        status = linfdist_mean_shift_forward(context, made->batch, n_out, 1, LINFDIST_TRAIN, 0.1f, running, y, NULL,
                                             NULL, y, NULL, NULL);
    free(made->x);
    free(running);
    made->x = y;
    made->n_in = n_out;
    return status ? complain(linfdist_last_error()) : 0;
}

static int make(linfdist_context *context, linfdist_model *model, int layer, float p, trained_layer *made) {
    linfdist_tensor w = {0};
    for (int i = 0; i <= layer; ++i) {
        if (find_weights(model, i, made->n_in, &w)) return -1;
        if (i < layer && through_layer(context, &w, p, made)) return -1;
    }
    made->n_out = w.shape[0];
    made->w = room(made->n_out * made->n_in);
    if (!made->w) return -1;
    memcpy(made->w, w.data, (size_t)(made->n_out * made->n_in) * sizeof(float));
    return 0;
}

int trained_layer_make(linfdist_context *context, const char *model_file, const char *data, int layer, float p,
                       int64_t batch, trained_layer *made) {
    linfdist_model *model = NULL;
    *made = (trained_layer){.batch = batch};
    if (linfdist_model_load(context, model_file, &model) != LINFDIST_OK) return complain(linfdist_last_error());
    int failed = first_images(data, made) || make(context, model, layer, p, made);
    linfdist_model_destroy(model);
    return failed ? -1 : 0;
}
