#include "visited.h"

#include "timing.h"

#include "../../src/certifier.h"
#include "../../src/prune.h"
#include "../../src/run.h"
#include "../../src/units.h"

#include <math.h>

enum { CHUNK = 128 }; /* images of a pass at most: a multiple of what kernels take together, so any does */

typedef struct counting {
    linfdist_run *run;
    lfd_units units;
    double eps_raw;
    size_t count; /* images of this pass */
    visited found;
} counting;

static void load(const counting *c, const float *raw, const lfd_signal *to) {
    for (size_t i = 0; i < c->count; ++i) {
        const float *pixels = raw + i * c->units.n_in;
        const size_t at = i * c->units.n_in;
        if (to->upper)
            lfd_units_interval(&c->units, pixels, c->eps_raw, to->lower + at, to->upper + at);
        else
            lfd_units_normalize(&c->units, pixels, to->value + at);
    }
}

static size_t pass_pruned(const counting *c, int64_t index, const lfd_layer_pass *pass, const lfd_signal *x,
                          const lfd_signal *y) {
    const size_t n_in = (size_t)pass->spec->n_in, n_out = (size_t)pass->spec->n_out;
    const size_t groups = (size_t)pass->spec->groups;
    const lfd_dims dims = {c->count, n_in, n_out, groups, n_in, n_in / groups, n_out};
    const lfd_pruned *pruned = c->run->prepared[index];
    const float *w = pass->tensors[0].data;
    if (x->value) return lfd_pruned_forward(pass->context, pruned, &dims, x->value, w, y->value, pass->scratch);
    return lfd_pruned_bounds(pass->context, pruned, &dims, x->lower, x->upper, w, y->lower, y->upper, pass->scratch);
}

static void pass_layer(counting *c, int64_t index, const lfd_signal *x, const lfd_signal *y) {
    const linfdist_run *run = c->run;
    const lfd_layer *layer = &run->model->layers[index];
    const lfd_layer_pass pass = {.context = run->context,
                                 .spec = &layer->spec,
                                 .tensors = run->model->tensors + layer->first_tensor,
                                 .scratch = run->scratch,
                                 .batch = c->count,
                                 .mode = LINFDIST_EVALUATE,
                                 .p = INFINITY};
    const int pruned = layer->spec.kind == LINFDIST_LAYER_DISTANCE && run->prepared && run->prepared[index];
    const double all = (double)c->count * (double)layer->spec.n_out * (double)layer->spec.n_in;
    const double terms = pruned ? (double)pass_pruned(c, index, &pass, x, y) : all;
    if (!pruned) layer->ops->forward(&pass, x, y);
    if (layer->spec.kind != LINFDIST_LAYER_DISTANCE) return;
    c->found.terms += terms;
    c->found.all += all;
}

/* One pass of values or of bounds. */
static void pass_net(counting *c, const float *raw, int bounds) {
    const linfdist_model *model = c->run->model;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        lfd_signal x = c->run->plain[i], y = c->run->plain[i + 1];
        if (i + 1 == model->layer_count) y.value = c->run->signals[i + 1].value;
        if (bounds)
            x.value = y.value = NULL;
        else
            x.lower = x.upper = y.lower = y.upper = NULL;
        if (i == 0) load(c, raw, &x);
        pass_layer(c, i, &x, &y);
    }
}

visited count_visited(const linfdist_certifier *certifier, int32_t method, const float *raw, int64_t images,
                      int64_t batch, double eps_raw) {
    const int64_t chunk = batch < CHUNK ? batch : CHUNK;
    counting c = {.eps_raw = eps_raw};
    lfd_units_init(&c.units, certifier->snapshot);
    require(lfd_run_create(certifier->snapshot, LINFDIST_RUN_INFERENCE, (size_t)chunk, certifier->prepared, &c.run));
    for (int64_t first = 0; first < images; first += chunk) {
        c.count = (size_t)(images - first < chunk ? images - first : chunk);
        pass_net(&c, raw + first * certifier->snapshot->n_in, 0);
        if (method == LINFDIST_METHOD_INTERVAL) pass_net(&c, raw + first * certifier->snapshot->n_in, 1);
    }
    linfdist_run_destroy(c.run);
    return c.found;
}
