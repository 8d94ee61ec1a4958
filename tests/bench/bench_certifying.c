/* Certificates of test images by both methods, for many images at once and one by one, against the sgemms of the
 * forward pass of a plain MLP of the same shape: what an answer without a certificate costs. */
#include "operators.h"
#include "report.h"
#include "rows.h"
#include "sgemm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double eps_raw = 0.3;

typedef struct certifying {
    const linfdist_certifier *certifier;
    int32_t method;
    const float *raw;
    int64_t n_in, images, batch, next;
    int32_t *certified;
} certifying;

/* The next batch of the test images, so that single images are not one image. */
static void certify(void *user) {
    certifying *c = user;
    if (c->next + c->batch > c->images) c->next = 0;
    require(linfdist_certify_at(c->certifier, c->method, c->raw + c->next * c->n_in, c->n_in, c->batch, eps_raw, NULL,
                                c->certified));
    c->next += c->batch;
}

static void measure(const bench_settings *s, certifying *c, const layer_sizes *sizes, const char *op, const char *isa) {
    sgemms *products = sgemms_create();
    sgemms_add_net(products, sizes, c->batch);
    row r = {.op = op,
             .isa = isa,
             .data = "trained",
             .threads = 1,
             .batch = c->batch,
             .n_out = sizes->n_out[0],
             .n_in = sizes->n_in[0],
             .p = INFINITY,
             .elements = sgemms_elements(products)};
    r.time = time_pairs((work){certify, c, NULL}, sgemms_work(products), (int)s->repeats);
    row_text(&r, "method", c->method == LINFDIST_METHOD_MARGIN ? "margin" : "interval");
    row_number(&r, "depth", sizes->count);
    row_number(&r, "us_per_image", 1e6 * r.time.seconds / (double)c->batch);
    if (sgemm_comparable()) row_number(&r, "sgemm_us_per_image", 1e6 * r.time.other_seconds / (double)c->batch);
    report_row(&r);
    sgemms_destroy(products);
}

static void measure_all(const bench_settings *s, const char *op, const linfdist_certifier *certifier,
                        const layer_sizes *sizes, const char *isa) {
    const dataset *data = &nets_get(s)->data;
    const int64_t most = s->quick ? 32 : 512;
    certifying c = {.certifier = certifier, .n_in = data->n_in};
    c.images = data->test.count < most ? data->test.count : most;
    float *raw = bench_room(c.images * c.n_in, sizeof *raw);
    dataset_raw(data, &data->test, 0, c.images, raw);
    c.raw = raw;
    c.certified = bench_room(c.images, sizeof *c.certified);
    for (c.method = LINFDIST_METHOD_MARGIN; c.method <= LINFDIST_METHOD_INTERVAL; ++c.method) {
        c.batch = c.images;
        measure(s, &c, sizes, op, isa);
        c.batch = 1;
        measure(s, &c, sizes, op, isa);
    }
    free(raw);
    free(c.certified);
}

void bench_certifying(const bench_settings *s) {
    const char *isas[4];
    linfdist_certifier *certifier;
    if (!listed(s->ops, "certify_dense")) return;
    isas_wanted(s, isas);
    linfdist_context *context = context_of(isas[0], 1);
    linfdist_model *model = nets_model(nets_get(s), INFINITY, context);
    const layer_sizes sizes = nets_sizes(model);
    report_heading("Certificates of test images at eps = 0.3, one thread, against the sgemms of an MLP's forward pass");
    require(linfdist_certifier_create(model, &certifier));
    measure_all(s, "certify_dense", certifier, &sizes, linfdist_context_isa(context));
    linfdist_certifier_destroy(certifier);
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
}
