#include "visited.h"

#include "bench_settings.h"
#include "timing.h"

#include "../../src/certifier.h"

#include <stdlib.h>

typedef struct counting {
    const linfdist_certifier *certifier;
    lfd_screening screening; /* of one call */
    visited found;
} counting;

static double terms_of(const linfdist_model *model) {
    double terms = 0.0;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        const lfd_layer_spec *spec = &model->layers[i].spec;
        if (spec->kind == LINFDIST_LAYER_DISTANCE)
            terms += (double)spec->n_out * (double)spec->n_in / (double)spec->groups;
    }
    return terms;
}

static void count_call(counting *c) {
    require(lfd_screen_run(c->certifier->screen, c->certifier->context, &c->screening));
    c->found.terms += (double)c->screening.terms;
    for (size_t i = 0; i < c->screening.n; ++i)
        if (c->screening.verdicts[i].certified == LFD_UNDECIDED) c->found.undecided += 1.0;
}

visited count_visited(const linfdist_certifier *certifier, int32_t method, const float *raw, int64_t images,
                      int64_t batch, double eps_raw) {
    const linfdist_model *model = certifier->snapshot;
    lfd_units units;
    lfd_units_init(&units, model);
    counting c = {.certifier = certifier,
                  .screening = {.units = &units,
                                .method = method,
                                .x_stride = (size_t)model->n_in,
                                .eps_raw = eps_raw,
                                .verdicts = bench_room(batch, sizeof(lfd_verdict))}};
    const double passes = method == LINFDIST_METHOD_INTERVAL ? 3.0 : 1.0;
    for (int64_t first = 0; first < images && certifier->screen; first += batch) {
        const int64_t count = images - first < batch ? images - first : batch;
        c.screening.x = raw + first * model->n_in;
        c.screening.n = (size_t)count;
        count_call(&c);
        c.found.all += (double)count * terms_of(model) * passes;
        c.found.images += (double)count;
    }
    free(c.screening.verdicts);
    return c.found;
}
