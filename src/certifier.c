/* Certifiers. A call cuts its samples into chunks and owns all it needs: many threads may use one certifier. Where a
 * radius is given, a screen decides first, and chunks are of the samples that it leaves.
 *
 * Nothing can fail once the pixels are checked and the scratch is there: when a certifier is made, check_growth finds
 * that no layer can leave the range of a float. So only calls that succeed write outputs. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "certifier.h"
#include "cut.h"
#include "ops.h"
#include "prepare.h"
#include "run.h"
#include "units.h"

/* Samples that pass the layers together: what they need stays in the caches, and leaves every thread something. */
enum { CHUNK_LEAST = 128, CHUNK_OF_THREAD = 64, CHUNK_MOST = 512 };
enum { FIRST_STEP = 16 };
#define GROWTH_MOST 0x1p126

/* The search for the largest float radius whose certificate through bounds holds, on bit patterns, which are ordered as
 * the floats >= 0 are. It holds at lower and not at upper, or upper is beyond the largest radius. */
typedef struct search {
    uint32_t lower, upper, probe;
    uint32_t step; /* of the gallop away from the margin's radius; 0: bisection */
    int rising;    /* direction of the gallop */
    int first;     /* the probe is the margin's radius itself */
} search;

typedef struct sample {
    size_t index; /* among the call's */
    const float *pixels;
    int32_t predicted;
    double margin;  /* normalized */
    double eps_raw; /* of the certificate that is asked for */
    int holds;      /* its answer */
    search search;
} sample;

/* One call. */
typedef struct certification {
    const linfdist_certifier *certifier;
    lfd_units units;
    int32_t method;
    const float *x;
    size_t x_stride, n, chunk;
    double eps_raw;        /* certify_at */
    lfd_verdict *verdicts; /* its results, LFD_UNDECIDED so far or not; NULL: radii are asked for */

    linfdist_run *run;
    sample *samples;    /* of the present chunk */
    size_t count, next; /* how many those are; the first sample after them */
    size_t *open;       /* those whose certificate through bounds is asked for */
    size_t open_count;
    int bounded; /* certificates lead bounds through layers: INTERVAL from the pixels, MARGIN from the model's split */

    /* The caller's, each or NULL. */
    int32_t *predicted;
    float *margin, *radius;
} certification;

/* ---- snapshot ---- */

static linfdist_status check_scalar(const linfdist_model *model) {
    char text[32];
    float scalar = lfd_model_scalar(model);
    if (scalar > 0.0f && scalar <= LFD_LIMIT) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_RANGE, "scalar is %s: certificates need a positive finite one",
                    lfd_format_double(text, (double)scalar));
}

/* Pixels of a valid range, or of the library's, and radii as large lead to floats in every layer. Margins lead values
 * from the model's split on that are widened by such a radius. */
static linfdist_status check_growth(const linfdist_model *model) {
    char text[32];
    double magnitude = lfd_units_magnitude(model);
    for (int64_t i = 0; i < model->layer_count; ++i) {
        const lfd_layer *layer = &model->layers[i];
        const lfd_layer_pass pass = lfd_layer_inference(model, i);
        if (i == model->split) magnitude += lfd_units_magnitude(model);
        magnitude = layer->ops->growth(&pass, magnitude);
        if (magnitude <= GROWTH_MOST) continue;
        return lfd_fail(LINFDIST_ERROR_RANGE, "layer %s (%s): its outputs may reach %s, certificates go up to 2^126",
                        layer->spec.name, layer->ops->label, lfd_format_double(text, magnitude));
    }
    return LINFDIST_OK;
}

static void prepare(linfdist_certifier *certifier) {
    const lfd_error_text kept = lfd_error_keep();
    certifier->prepared = lfd_prepare(certifier->snapshot);
    const linfdist_status status = lfd_screen_create(certifier->snapshot, &certifier->screen);
    if (certifier->prepared && status == LINFDIST_OK) return;
    lfd_error_restore(&kept);
    lfd_warn(certifier->context, "no memory to prepare a certifier: its certificates take longer");
}

linfdist_status lfd_certifier_create(const linfdist_model *model, int prepared, linfdist_certifier **certifier) {
    void *memory;
    LFD_REQUIRE(model);
    LFD_REQUIRE(certifier);
    LFD_TRY(check_scalar(model));
    LFD_TRY(lfd_model_check_finite(model));
    LFD_TRY(check_growth(model));
    LFD_TRY(lfd_alloc_zero(model->context, 1, sizeof(linfdist_certifier), "certifier", &memory));
    linfdist_certifier *made = memory;
    linfdist_status status = linfdist_model_copy(model, &made->snapshot);
    if (status != LINFDIST_OK) {
        lfd_free(model->context, made);
        return status;
    }
    made->context = made->snapshot->context;
    if (prepared) prepare(made);
    *certifier = made;
    return LINFDIST_OK;
}

linfdist_status linfdist_certifier_create(const linfdist_model *model, linfdist_certifier **certifier) {
    return lfd_certifier_create(model, 1, certifier);
}

void linfdist_certifier_destroy(linfdist_certifier *certifier) {
    if (!certifier) return;
    linfdist_model *snapshot = certifier->snapshot;
    lfd_forget(snapshot, certifier->prepared);
    lfd_screen_destroy(certifier->context, certifier->screen);
    lfd_free(certifier->context, certifier);
    lfd_model_release(snapshot);
}

/* ---- predictions ---- */

static void rank(sample *s, const linfdist_model *model, const float *outputs) {
    s->predicted = lfd_model_winner(model, outputs);
    s->margin = lfd_model_margin(model, outputs, s->predicted);
}

static void normalize_task(void *data, size_t index) {
    certification *c = data;
    lfd_units_normalize(&c->units, c->samples[index].pixels, c->run->signals[0].value + index * c->units.n_in);
}

/* Predictions and margins of the chunk. */
static void predict(certification *c) {
    const linfdist_model *model = c->certifier->snapshot;
    const float *outputs = c->run->signals[model->layer_count].value;
    lfd_parallel_for(c->certifier->context, normalize_task, c, c->count);
    (void)lfd_run_forward(c->run, c->count, LINFDIST_EVALUATE, INFINITY, 0, 0);
    for (size_t i = 0; i < c->count; ++i) rank(&c->samples[i], model, outputs + i * (size_t)model->classes);
}

/* ---- margin certificates ---- */

static int margin_holds(const certification *c, double margin, double eps_raw) {
    return margin > 2.0 * eps_raw / c->units.std;
}

/* The largest float r such that the certificate holds at every number below r. */
static float margin_radius(const certification *c, double margin) {
    double half = 0.5 * margin * c->units.std;
    if (half >= (double)c->units.radius_max) return c->units.radius_max;
    float radius = lfd_float_below(half);
    /* The product was rounded: the neighbours decide. */
    while (radius > 0.0f && !margin_holds(c, margin, lfd_previous_double((double)radius))) {
        radius = lfd_previous_float(radius);
    }
    float next = lfd_next_float(radius);
    return margin_holds(c, margin, lfd_previous_double((double)next)) ? next : radius;
}

/* ---- certificates through bounds ---- */

static void interval_task(void *data, size_t index) {
    certification *c = data;
    const sample *s = &c->samples[c->open[index]];
    const lfd_signal *to = &c->run->plain[0];
    size_t n = c->units.n_in;
    lfd_units_interval(&c->units, s->pixels, s->eps_raw, to->lower + index * n, to->upper + index * n);
}

/* Around the values that the prediction left where the net stops to be 1-Lipschitz. */
static void widen_task(void *data, size_t index) {
    certification *c = data;
    const linfdist_model *model = c->certifier->snapshot;
    const sample *s = &c->samples[c->open[index]];
    const lfd_signal *to = &c->run->plain[model->split];
    size_t n = (size_t)model->layers[model->split].spec.n_in;
    lfd_run_widen(c->run->signals[model->split].value + c->open[index] * n, n, s->eps_raw / c->units.std,
                  to->lower + index * n, to->upper + index * n);
}

static int all_negative(const float *margins, int32_t predicted, size_t classes) {
    for (size_t j = 0; j < classes; ++j) {
        if (j != (size_t)predicted && !(margins[j] < 0.0f)) return 0;
    }
    return 1;
}

/* Answers holds for the open samples at their eps_raw. */
static void ask_bounds(certification *c) {
    const linfdist_model *model = c->certifier->snapshot;
    const int from_pixels = c->method == LINFDIST_METHOD_INTERVAL;
    size_t classes = (size_t)model->classes;
    if (c->open_count == 0) return;
    lfd_parallel_for(c->certifier->context, from_pixels ? interval_task : widen_task, c, c->open_count);
    for (size_t i = 0; i < c->open_count; ++i) c->run->labels[i] = c->samples[c->open[i]].predicted;
    lfd_run_sound_margins(c->run, from_pixels ? 0 : model->split, c->open_count);
    for (size_t i = 0; i < c->open_count; ++i)
        c->samples[c->open[i]].holds = all_negative(c->run->margins + i * classes, c->run->labels[i], classes);
}

/* ---- radii of certificates through bounds ---- */

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Without the clamp the answer of a distance net is near the margin's radius, so the search starts there. */
static void search_begin(const certification *c, sample *s) {
    uint32_t guess = bits_of(margin_radius(c, s->margin));
    s->search = (search){.upper = bits_of(c->units.radius_max) + 1, .rising = 1, .first = 1};
    s->search.step = guess > 0 ? guess : 1;
}

static int search_over(const search *s) {
    return s->upper - s->lower == 1;
}

static void search_probe(sample *s) {
    search *at = &s->search;
    uint32_t gap = at->upper - at->lower;
    uint32_t step = at->step > 0 && at->step < gap ? at->step : gap / 2;
    at->probe = at->rising ? at->lower + step : at->upper - step;
    s->eps_raw = (double)float_of(at->probe);
}

static void search_narrow(sample *s) {
    search *at = &s->search;
    if (s->holds) {
        at->lower = at->probe;
    } else {
        at->upper = at->probe;
    }
    if (at->first) {
        at->first = 0;
        at->rising = s->holds;
        at->step = FIRST_STEP;
    } else {
        at->step = s->holds == at->rising && at->step <= UINT32_MAX / 4 ? 4 * at->step : 0;
    }
}

/* Drops samples whose search is over. */
static void close_searches(certification *c) {
    size_t kept = 0;
    for (size_t i = 0; i < c->open_count; ++i) {
        if (!search_over(&c->samples[c->open[i]].search)) c->open[kept++] = c->open[i];
    }
    c->open_count = kept;
}

static void search_radii(certification *c) {
    for (size_t i = 0; i < c->open_count; ++i) search_begin(c, &c->samples[c->open[i]]);
    for (close_searches(c); c->open_count > 0; close_searches(c)) {
        for (size_t i = 0; i < c->open_count; ++i) search_probe(&c->samples[c->open[i]]);
        ask_bounds(c);
        for (size_t i = 0; i < c->open_count; ++i) search_narrow(&c->samples[c->open[i]]);
    }
}

/* ---- chunks ---- */

/* Ties never have a certificate. */
static void open_samples(certification *c) {
    c->open_count = 0;
    for (size_t i = 0; i < c->count; ++i) {
        if (c->samples[i].margin > 0.0) c->open[c->open_count++] = i;
    }
}

/* The next samples that nothing has decided about. Returns 0 when there are none. */
static size_t take_chunk(certification *c) {
    for (c->count = 0; c->count < c->chunk && c->next < c->n; ++c->next) {
        if (c->verdicts && c->verdicts[c->next].certified != LFD_UNDECIDED) continue;
        c->samples[c->count++] = (sample){.index = c->next, .pixels = c->x + c->next * c->x_stride};
    }
    return c->count;
}

static void find_radii(certification *c) {
    if (c->radius && c->bounded) {
        open_samples(c);
        search_radii(c);
    }
    for (size_t i = 0; i < c->count; ++i) {
        const sample *s = &c->samples[i];
        if (c->predicted) c->predicted[s->index] = s->predicted;
        if (c->margin) c->margin[s->index] = (float)s->margin;
        if (c->radius) c->radius[s->index] = c->bounded ? float_of(s->search.lower) : margin_radius(c, s->margin);
    }
}

/* Inside a valid range larger radii add nothing; without one, the library computes no further than LFD_LIMIT. */
static void ask_at(certification *c) {
    double eps = c->eps_raw;
    if (eps > (double)c->units.radius_max) {
        if (!c->units.clamped) return;
        eps = (double)c->units.radius_max;
    }
    open_samples(c);
    for (size_t i = 0; i < c->open_count; ++i) c->samples[c->open[i]].eps_raw = eps;
    ask_bounds(c);
}

static void find_verdicts(certification *c) {
    if (c->bounded) ask_at(c);
    for (size_t i = 0; i < c->count; ++i) {
        const sample *s = &c->samples[i];
        c->verdicts[s->index] =
            (lfd_verdict){s->predicted, c->bounded ? s->holds : margin_holds(c, s->margin, c->eps_raw)};
    }
}

static void chunks_task(void *data, size_t unused) {
    certification *c = data;
    (void)unused;
    for (c->next = 0; take_chunk(c) > 0;) {
        predict(c);
        if (c->verdicts)
            find_verdicts(c);
        else
            find_radii(c);
    }
}

/* ---- calls ---- */

static size_t chunk_of(size_t threads) {
    const size_t chunk = CHUNK_OF_THREAD * threads;
    return chunk < CHUNK_LEAST ? CHUNK_LEAST : smaller(chunk, CHUNK_MOST);
}

static linfdist_status check(certification *c, int64_t x_stride, int64_t n) {
    if (c->method != LINFDIST_METHOD_MARGIN && c->method != LINFDIST_METHOD_INTERVAL) {
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "method is %d, which is no method", (int)c->method);
    }
    LFD_TRY(lfd_check_extent("x", n, c->certifier->snapshot->n_in, x_stride));
    c->bounded = c->method == LINFDIST_METHOD_INTERVAL || !lfd_model_lipschitz(c->certifier->snapshot);
    c->x_stride = (size_t)x_stride;
    c->n = (size_t)n;
    c->chunk = smaller(c->n, chunk_of((size_t)c->certifier->context->threads));
    lfd_units_init(&c->units, c->certifier->snapshot);
    return lfd_units_check(&c->units, c->certifier->context, c->x, c->x_stride, c->n);
}

static linfdist_status allocate(certification *c) {
    void *memory;
    LFD_TRY(lfd_alloc_zero(c->certifier->context, c->chunk, sizeof(sample), "samples", &memory));
    c->samples = memory;
    LFD_TRY(lfd_alloc_zero(c->certifier->context, c->chunk, sizeof(size_t), "samples", &memory));
    c->open = memory;
    return lfd_run_create(c->certifier->snapshot, LINFDIST_RUN_INFERENCE, c->chunk, c->certifier->prepared, &c->run);
}

/* By the exact passes, whatever is undecided. */
static linfdist_status certify(certification *c) {
    const linfdist_status status = allocate(c);
    if (status == LINFDIST_OK) lfd_serial_for(chunks_task, c, 1);
    linfdist_run_destroy(c->run);
    lfd_free(c->certifier->context, c->samples);
    lfd_free(c->certifier->context, c->open);
    return status;
}

linfdist_status linfdist_certify(const linfdist_certifier *certifier, int32_t method, const float *x, int64_t x_stride,
                                 int64_t n, int32_t *predicted, float *margin, float *radius) {
    LFD_REQUIRE(certifier);
    LFD_REQUIRE(x);
    certification c = {
        .certifier = certifier, .method = method, .x = x, .predicted = predicted, .margin = margin, .radius = radius};
    LFD_TRY(check(&c, x_stride, n));
    return certify(&c);
}

static size_t count_undecided(const certification *c) {
    size_t count = 0;
    for (size_t i = 0; i < c->n; ++i) count += c->verdicts[i].certified == LFD_UNDECIDED;
    return count;
}

/* Without memory for it, nothing is decided yet. */
static void screen(certification *c) {
    const lfd_error_text kept = lfd_error_keep();
    lfd_screening screening = {.units = &c->units,
                               .method = c->method,
                               .x = c->x,
                               .x_stride = c->x_stride,
                               .n = c->n,
                               .eps_raw = c->eps_raw,
                               .verdicts = c->verdicts};
    if (lfd_screen_run(c->certifier->screen, c->certifier->context, &screening) != LINFDIST_OK)
        lfd_error_restore(&kept);
}

static linfdist_status find_all_verdicts(certification *c) {
    screen(c);
    const size_t left = count_undecided(c);
    c->chunk = smaller(c->chunk, left);
    return left == 0 ? LINFDIST_OK : certify(c);
}

linfdist_status linfdist_certify_at(const linfdist_certifier *certifier, int32_t method, const float *x,
                                    int64_t x_stride, int64_t n, double eps_raw, int32_t *predicted,
                                    int32_t *certified) {
    void *memory;
    LFD_REQUIRE(certifier);
    LFD_REQUIRE(x);
    LFD_REQUIRE(certified);
    LFD_TRY(lfd_check_number("eps_raw", eps_raw, 0.0, DBL_MAX));
    certification c = {.certifier = certifier, .method = method, .x = x, .eps_raw = eps_raw};
    LFD_TRY(check(&c, x_stride, n));
    LFD_TRY(lfd_alloc(certifier->context, c.n, sizeof *c.verdicts, "verdicts", &memory));
    c.verdicts = memory;
    const linfdist_status status = find_all_verdicts(&c);
    for (size_t i = 0; i < c.n && status == LINFDIST_OK; ++i) {
        if (predicted) predicted[i] = c.verdicts[i].predicted;
        certified[i] = c.verdicts[i].certified;
    }
    lfd_free(certifier->context, memory);
    return status;
}
