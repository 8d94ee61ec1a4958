/* Local Lipschitz estimates: how far a small step can move each output. A row of the ascent is one output of one
 * sample; its path climbs |d_k(x') - d_k(x)| in normalized units. */
#include <math.h>

#include "ascent.h"
#include "certifier.h"
#include "ops.h"

enum { CHUNK = 256 };

/* One call. */
typedef struct estimation {
    linfdist_model *snapshot;
    linfdist_lipschitz_options options;
    lfd_units raw;   /* of the caller's pixels */
    lfd_units plain; /* of the ascent: normalized numbers as they are, no range */
    const float *x;
    size_t x_stride, n, classes, pairs; /* n classes */
    float p;
    lfd_ascent ascent;
    float *centre;   /* normalized, chunk x n_in */
    float *at;       /* d_k(x), chunk */
    double *most;    /* pairs: the largest |d_k(x') - d_k(x)| */
    float *estimate; /* the caller's */
    linfdist_status status;
} estimation;

linfdist_status linfdist_lipschitz_options_init(linfdist_lipschitz_options *options, size_t struct_size) {
    const linfdist_lipschitz_options defaults = {
        .eps_normalized = 1.0 / 255.0, .steps = 20, .step_fraction = 0.25, .restarts = 5, .seed = 2021};
    return lfd_options_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "options");
}

static linfdist_status read_options(linfdist_lipschitz_options *o, const linfdist_lipschitz_options *given) {
    LFD_TRY(linfdist_lipschitz_options_init(o, sizeof *o));
    if (given) LFD_TRY(lfd_options_read(o, sizeof *o, sizeof *o, given, "options"));
    LFD_TRY(lfd_check_number("eps_normalized", o->eps_normalized, LFD_EPS_LEAST, LFD_LIMIT));
    LFD_TRY(lfd_check_count("steps", o->steps, 1, INT64_MAX));
    LFD_TRY(lfd_check_number("step_fraction", o->step_fraction, 0, LFD_LIMIT));
    return lfd_check_count("restarts", o->restarts, 1, INT64_MAX);
}

/* ---- one chunk of pairs ---- */

static void begin(estimation *e, size_t first, size_t count) {
    const size_t n_in = e->raw.n_in;
    for (size_t row = 0; row < count; ++row) {
        float *centre = e->centre + row * n_in;
        lfd_units_normalize(&e->raw, e->x + (first + row) / e->classes * e->x_stride, centre);
        lfd_ascent_box(&e->ascent, row, centre);
        lfd_ascent_start(&e->ascent, row, centre, NULL);
    }
    lfd_ascent_open(&e->ascent, count);
}

/* The random numbers of a start depend on the seed, the sample, the output and the restart. */
static void start(estimation *e, size_t first, size_t count, int64_t restart) {
    const size_t n_in = e->raw.n_in;
    for (size_t row = 0; row < count; ++row) {
        const float *centre = e->centre + row * n_in;
        lfd_random random;
        uint64_t stream = lfd_hash_floats(0, centre, n_in);
        stream = lfd_hash_word(lfd_hash_word(stream, (first + row) % e->classes), (uint64_t)restart);
        lfd_random_seed(&random, e->options.seed, stream);
        lfd_ascent_start(&e->ascent, row, centre, &random);
    }
}

/* Each row's own output at its centre. */
static void read_centres(estimation *e, size_t first, size_t count) {
    for (size_t row = 0; row < count; ++row)
        e->at[row] = lfd_ascent_outputs(&e->ascent)[row * e->classes + (first + row) % e->classes];
}

/* Keeps the best, and writes the gradient of |d_k(x') - d_k(x)|; where that is 0, of d_k. */
static void compare(estimation *e, size_t first, size_t count) {
    const float *outputs = lfd_ascent_outputs(&e->ascent);
    float *gradients = e->ascent.run->grad_outputs;
    for (size_t row = 0; row < count; ++row) {
        const size_t own = row * e->classes + (first + row) % e->classes;
        const double moved = (double)outputs[own] - (double)e->at[row];
        if (fabs(moved) > e->most[first + row]) e->most[first + row] = fabs(moved);
        gradients[own] = moved < 0.0 ? -1.0f : 1.0f;
    }
}

static linfdist_status estimate_chunk(estimation *e, size_t first, size_t count) {
    begin(e, first, count);
    LFD_TRY(lfd_ascent_forward(&e->ascent, e->p, 1));
    read_centres(e, first, count);
    for (int64_t restart = 0; restart < e->options.restarts; ++restart) {
        start(e, first, count, restart);
        for (int64_t step = 0; step <= e->options.steps; ++step) {
            LFD_TRY(lfd_ascent_forward(&e->ascent, e->p, 1));
            compare(e, first, count);
            if (step < e->options.steps) lfd_ascent_move(&e->ascent);
        }
    }
    return LINFDIST_OK;
}

static void chunk_task(void *data, size_t index) {
    estimation *e = data;
    if (e->status != LINFDIST_OK) return;
    const size_t first = index * e->ascent.rows, left = e->pairs - first;
    e->status = estimate_chunk(e, first, left < e->ascent.rows ? left : e->ascent.rows);
}

/* ---- calls ---- */

static linfdist_status check(estimation *e, const linfdist_certifier *certifier, int64_t x_stride, int64_t n) {
    e->snapshot = certifier->snapshot;
    LFD_TRY(lfd_check_p("p", e->p));
    LFD_TRY(lfd_check_extent("x", n, e->snapshot->n_in, x_stride));
    LFD_TRY(lfd_check_extent("estimate", n, e->snapshot->classes, e->snapshot->classes));
    e->x_stride = (size_t)x_stride;
    e->n = (size_t)n;
    e->classes = (size_t)e->snapshot->classes;
    e->pairs = e->n * e->classes;
    lfd_units_init(&e->raw, e->snapshot);
    lfd_units_init_plain(&e->plain, e->snapshot);
    return lfd_units_check(&e->raw, certifier->context, e->x, e->x_stride, e->n);
}

static linfdist_status allocate(estimation *e) {
    void *memory;
    const linfdist_context *context = e->snapshot->context;
    const size_t rows = e->pairs < CHUNK ? e->pairs : CHUNK;
    LFD_TRY(lfd_ascent_alloc(&e->ascent, e->snapshot, &e->plain, rows));
    e->ascent.eps = e->options.eps_normalized;
    e->ascent.step_fraction = e->options.step_fraction;
    LFD_TRY(lfd_alloc_floats(context, rows, e->raw.n_in, "normalized pixels", &e->centre));
    LFD_TRY(lfd_alloc_floats(context, rows, 1, "outputs", &e->at));
    LFD_TRY(lfd_alloc_zero(context, e->pairs, sizeof(double), "estimates", &memory));
    e->most = memory;
    return LINFDIST_OK;
}

static void write_task(void *data, size_t index) {
    const estimation *e = data;
    e->estimate[index] = (float)(e->most[index] / e->options.eps_normalized);
}

linfdist_status linfdist_lipschitz(const linfdist_certifier *certifier, const linfdist_lipschitz_options *options,
                                   const float *x, int64_t x_stride, int64_t n, float p, float *estimate) {
    LFD_REQUIRE(certifier);
    LFD_REQUIRE(x);
    LFD_REQUIRE(estimate);
    estimation e = {.x = x, .p = p, .estimate = estimate};
    LFD_TRY(read_options(&e.options, options));
    LFD_TRY(check(&e, certifier, x_stride, n));
    linfdist_status status = allocate(&e);
    if (status == LINFDIST_OK) {
        lfd_serial_for(chunk_task, &e, (e.pairs + e.ascent.rows - 1) / e.ascent.rows);
        status = e.status;
    }
    if (status == LINFDIST_OK) lfd_serial_for(write_task, &e, e.pairs);
    lfd_ascent_free(&e.ascent);
    lfd_free(e.snapshot->context, e.centre);
    lfd_free(e.snapshot->context, e.at);
    lfd_free(e.snapshot->context, e.most);
    return status;
}
