/* Certificates of test images by both methods, for many images at once and one by one, against the sgemms of the
 * forward pass of a plain MLP of the same shape: what an answer without a certificate costs. */
#include "operators.h"
#include "report.h"
#include "rows.h"
#include "sgemm.h"
#include "visited.h"

#include "../../src/certifier.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double eps_raw = 0.3;

enum { DENSE, PRUNED, KINDS };
static const char *const op_names[KINDS] = {"certify_dense", "certify_pruned"};

/* The same images for both kinds. */
typedef struct images {
    const layer_sizes *sizes;
    int64_t n_in, count;
    float *raw;
} images;

typedef struct certifying {
    const linfdist_certifier *certifier;
    const images *of;
    int32_t method;
    int64_t batch, next;
    int32_t *predicted, *certified;
} certifying;

/* The next batch of the test images, so that single images are not one image. */
static void certify(void *user) {
    certifying *c = user;
    if (c->next + c->batch > c->of->count) c->next = 0;
    require(linfdist_certify_at(c->certifier, c->method, c->of->raw + c->next * c->of->n_in, c->of->n_in, c->batch,
                                eps_raw, c->predicted + c->next, c->certified + c->next));
    c->next += c->batch;
}

static void certify_all(certifying *c) {
    c->next = 0;
    for (int64_t first = 0; first + c->batch <= c->of->count; first += c->batch) certify(c);
}

/* Single images of one kind in a row: a service that does nothing else, whose caches the other kind does not fill. So
 * many that what the other left there hardly counts: of 64 it was a fifth. */
enum { IN_A_ROW = 512 };
static void certify_row(void *user) {
    for (int i = 0; i < IN_A_ROW; ++i) certify(user);
}

static void describe(const certifying *c, row *r) {
    row_text(r, "method", c->method == LINFDIST_METHOD_MARGIN ? "margin" : "interval");
    row_number(r, "depth", c->of->sizes->count);
    row_number(r, "us_per_image", 1e6 * r->time.seconds / (double)c->batch);
    if (sgemm_comparable()) row_number(r, "sgemm_us_per_image", 1e6 * r->time.other_seconds / (double)c->batch);
}

/* Times over dense passes, and where they come from. The time of a term has everything else in it. */
static void describe_pruned(const bench_settings *s, certifying *dense, certifying *pruned, row *r) {
    const timed both = time_pairs((work){certify, pruned, NULL}, (work){certify, dense, NULL}, (int)s->repeats);
    const visited found =
        count_visited(pruned->certifier, pruned->method, pruned->of->raw, pruned->of->count, pruned->batch, eps_raw);
    row_number(r, "faster_than_dense", both.ratio);
    if (found.terms > 0.0) {
        row_number(r, "visited", found.terms / found.all);
        row_number(r, "ns_per_visited", 1e9 * r->time.seconds / (double)pruned->batch / (found.terms / found.images));
        row_number(r, "undecided", found.undecided / found.images);
    }
    if (pruned->batch > 1) return;
    const timed rows = time_pairs((work){certify_row, pruned, NULL}, (work){certify_row, dense, NULL}, (int)s->repeats);
    row_number(r, "us_in_a_row", 1e6 * rows.seconds / IN_A_ROW);
    row_number(r, "faster_in_a_row", rows.ratio);
}

static void same_answers(certifying *dense, certifying *pruned) {
    const size_t size = (size_t)dense->of->count * sizeof(int32_t);
    certify_all(dense);
    certify_all(pruned);
    if (memcmp(dense->predicted, pruned->predicted, size) != 0 ||
        memcmp(dense->certified, pruned->certified, size) != 0)
        bench_fail("certifiers with and without skipping answer differently");
}

static void measure(const bench_settings *s, certifying kinds[KINDS], const char *isa) {
    const images *of = kinds[DENSE].of;
    sgemms *products = sgemms_create();
    sgemms_add_net(products, of->sizes, kinds[DENSE].batch);
    same_answers(&kinds[DENSE], &kinds[PRUNED]);
    for (int kind = 0; kind < KINDS; ++kind) {
        if (!listed(s->ops, op_names[kind])) continue;
        row r = {.op = op_names[kind],
                 .isa = isa,
                 .data = "trained",
                 .threads = 1,
                 .batch = kinds[kind].batch,
                 .n_out = of->sizes->n_out[0],
                 .n_in = of->sizes->n_in[0],
                 .p = INFINITY,
                 .elements = sgemms_elements(products)};
        r.time = time_pairs((work){certify, &kinds[kind], NULL}, sgemms_work(products), (int)s->repeats);
        describe(&kinds[kind], &r);
        if (kind == PRUNED) describe_pruned(s, &kinds[DENSE], &kinds[PRUNED], &r);
        report_row(&r);
    }
    sgemms_destroy(products);
}

static void measure_all(const bench_settings *s, linfdist_certifier *const certifiers[KINDS], const images *of,
                        const char *isa) {
    const int64_t sizes[] = {of->count, 16, 1};
    certifying kinds[KINDS];
    for (int kind = 0; kind < KINDS; ++kind)
        kinds[kind] = (certifying){.certifier = certifiers[kind],
                                   .of = of,
                                   .predicted = bench_room(of->count, sizeof(int32_t)),
                                   .certified = bench_room(of->count, sizeof(int32_t))};
    for (int32_t method = LINFDIST_METHOD_MARGIN; method <= LINFDIST_METHOD_INTERVAL; ++method)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
            for (int kind = 0; kind < KINDS; ++kind) {
                kinds[kind].method = method;
                kinds[kind].batch = sizes[i] < of->count ? sizes[i] : of->count;
            }
            measure(s, kinds, isa);
        }
    for (int kind = 0; kind < KINDS; ++kind) {
        free(kinds[kind].predicted);
        free(kinds[kind].certified);
    }
}

static images first_images(const bench_settings *s, const layer_sizes *sizes) {
    const dataset *data = &nets_get(s)->data;
    const int64_t most = s->quick ? 32 : 512;
    images of = {.sizes = sizes, .n_in = data->n_in, .count = data->test.count < most ? data->test.count : most};
    of.raw = bench_room(of.count * of.n_in, sizeof *of.raw);
    dataset_raw(data, &data->test, 0, of.count, of.raw);
    return of;
}

static size_t never(const lfd_shape *s, const float *x, const float *w) {
    (void)s, (void)x, (void)w;
    return 0;
}

void bench_certifying(const bench_settings *s) {
    const char *isas[4];
    linfdist_certifier *certifiers[KINDS];
    linfdist_model *models[KINDS];
    linfdist_context *contexts[KINDS];
    if (!listed(s->ops, op_names[DENSE]) && !listed(s->ops, op_names[PRUNED])) return;
    isas_wanted(s, isas);
    for (int kind = 0; kind < KINDS; ++kind) contexts[kind] = context_of(isas[0], 1);
    lfd_kernels dense = *contexts[DENSE]->kernels; /* that look at every term */
    dense.linf_is_sparse = never;
    contexts[DENSE]->kernels = &dense;
    for (int kind = 0; kind < KINDS; ++kind) {
        models[kind] = nets_model(nets_get(s), INFINITY, contexts[kind]);
        require(lfd_certifier_create(models[kind], kind == PRUNED, &certifiers[kind]));
    }
    const layer_sizes sizes = nets_sizes(models[DENSE]);
    images of = first_images(s, &sizes);
    report_heading("Certificates of test images at eps = 0.3, one thread, against the sgemms of an MLP's forward pass");
    measure_all(s, certifiers, &of, linfdist_context_isa(contexts[DENSE]));
    for (int kind = 0; kind < KINDS; ++kind) {
        linfdist_certifier_destroy(certifiers[kind]);
        linfdist_model_destroy(models[kind]);
        linfdist_context_destroy(contexts[kind]);
    }
    free(of.raw);
}
