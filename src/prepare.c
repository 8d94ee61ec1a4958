#include "prepare.h"

#include "run.h"
#include "units.h"

/* Without statistics nothing is known of the pixels; [0, 1] is usual. */
static void valid_range(const linfdist_model *model, float *lower, float *upper) {
    lfd_units units;
    lfd_units_init(&units, model);
    for (size_t i = 0; i < units.n_in; ++i) lower[i] = units.clamped ? units.low : 0.5f;
    lfd_units_interval(&units, lower, units.clamped ? (double)units.radius_max : 0.5, lower, upper);
}

static linfdist_status prepare_layer(linfdist_run *run, int64_t index, void **prepared) {
    const lfd_layer *layer = &run->model->layers[index];
    const lfd_layer_pass pass = lfd_layer_inference(run->model, index);
    return layer->ops->prepare ? layer->ops->prepare(&pass, &run->plain[index], prepared) : LINFDIST_OK;
}

typedef struct walk {
    linfdist_run *run;
    void **prepared;
    linfdist_status status;
} walk;

static void walk_task(void *data, size_t unused) {
    walk *w = data;
    const int64_t layers = w->run->model->layer_count;
    (void)unused;
    valid_range(w->run->model, w->run->plain[0].lower, w->run->plain[0].upper);
    for (int64_t i = 0; i < layers && w->status == LINFDIST_OK; ++i) {
        w->status = prepare_layer(w->run, i, &w->prepared[i]);
        lfd_run_bounds_step(w->run, i);
    }
}

void **lfd_prepare(linfdist_model *model) {
    walk w = {0};
    void *memory;
    if (lfd_run_create(model, LINFDIST_RUN_INFERENCE, 1, NULL, &w.run) != LINFDIST_OK) return NULL;
    w.status = lfd_alloc_zero(model->context, (size_t)model->layer_count, sizeof(void *), "prepared layers", &memory);
    if (w.status == LINFDIST_OK) {
        w.prepared = memory;
        lfd_serial_for(walk_task, &w, 1);
    }
    linfdist_run_destroy(w.run);
    if (w.status == LINFDIST_OK) return w.prepared;
    lfd_forget(model, w.prepared);
    return NULL;
}

void lfd_forget(const linfdist_model *model, void **prepared) {
    for (int64_t i = 0; prepared && i < model->layer_count; ++i)
        if (prepared[i]) model->layers[i].ops->forget(model->context, prepared[i]);
    lfd_free(model->context, prepared);
}
