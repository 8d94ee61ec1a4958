#include "screen.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "code_groups.h"
#include "codes.h"
#include "cut.h"
#include "layers/layer.h"

/* Codes are off by half a step for the pixels and for each distance, and beyond that, in steps, by what float
 * arithmetic does to a pixel's code and by the floats next to the ends of its interval: see has_plain_range. */
static const double code_slack = 1.0 / 64;
/* The float net rounds each layer's outputs once: by 2^-24 of the largest. */
static const double float_slack = 0x1p-22;

typedef struct coded_layer {
    lfd_code_rows *rows;     /* NULL for layers that shift */
    lfd_code_groups *groups; /* for single samples, unless there are few rows */
} coded_layer;

struct lfd_screen {
    int64_t layer_count;
    coded_layer *layers;
    int has_singles; /* single samples can pass */
    size_t n_in, classes, widest;
    float high, scale;  /* of raw pixels: the code is (high - pixel) scale */
    double step, *tops; /* of the outputs, normalized */
    double error;       /* of an output */
};

/* ---- making one ---- */

typedef struct making {
    const linfdist_model *model;
    lfd_screen *screen;
    double *tops, *next_tops; /* of what enters the layer, and of its outputs */
    double magnitudes;        /* of all layers' outputs, the largest of each */
    int64_t distances;        /* so far */
    int useful;
    linfdist_status status;
} making;

/* Neither so narrow nor so far from 0 that floats tell few of its numbers apart. */
static int has_plain_range(const lfd_statistics *s) {
    const double width = s->high - s->low, least = 0x1p-64, most = (double)LFD_LIMIT;
    return width >= least && width <= most && width / s->std >= least && width / s->std <= most &&
           fmax(fabs(s->low), fabs(s->high)) <= 64 * width;
}

static int fits(const linfdist_model *model) {
    if (model->statistics.channels == 0 || lfd_model_sign(model) != 1) return 0;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        const lfd_layer *layer = &model->layers[i];
        if (!layer->ops->code || layer->spec.n_in > LFD_CODE_INPUTS) return 0;
    }
    return 1;
}

static size_t widest_of(const linfdist_model *model) {
    size_t widest = (size_t)model->n_in;
    for (int64_t i = 0; i < model->layer_count; ++i)
        if ((size_t)model->layers[i].spec.n_out > widest) widest = (size_t)model->layers[i].spec.n_out;
    return widest;
}

static double largest(const making *m, const double *tops, size_t count) {
    double most = 0.0;
    for (size_t i = 0; i < count; ++i)
        most = fmax(most, fmax(fabs(tops[i]), fabs(tops[i] - LFD_CODE_MOST * m->screen->step)));
    return most;
}

static void begin(const making *m) {
    const linfdist_model *model = m->model;
    lfd_screen *screen = m->screen;
    lfd_units units;
    lfd_units_init(&units, model);
    const double width = (double)units.high - (double)units.low;
    screen->high = units.high;
    screen->scale = (float)(LFD_CODE_MOST / width);
    screen->step = width / units.std / LFD_CODE_MOST;
    for (size_t i = 0; i < units.n_in; ++i)
        m->tops[i] = ((double)units.high - units.mean[i / units.pixels_per_channel * units.mean_step]) / units.std;
}

static void code_layer(making *m, int64_t index) {
    const lfd_layer *layer = &m->model->layers[index];
    const lfd_layer_pass pass = lfd_layer_inference(m->model, index);
    double *swap = m->next_tops;
    m->status = layer->ops->code(&pass, m->screen->step, m->tops, m->next_tops, &m->screen->layers[index].rows);
    m->next_tops = m->tops;
    m->tops = swap;
    m->distances += m->screen->layers[index].rows != NULL;
}

static void make_task(void *data, size_t unused) {
    making *m = data;
    lfd_screen *screen = m->screen;
    (void)unused;
    if (!has_plain_range(&m->model->statistics)) return;
    begin(m);
    m->magnitudes = largest(m, m->tops, screen->n_in);
    for (int64_t i = 0; i < m->model->layer_count; ++i) {
        code_layer(m, i);
        if (m->status != LINFDIST_OK) return;
        m->magnitudes += largest(m, m->tops, (size_t)m->model->layers[i].spec.n_out);
    }
    for (size_t j = 0; j < screen->classes; ++j) screen->tops[j] = m->tops[j];
    screen->error = (0.5 * (double)(m->distances + 1) + code_slack) * screen->step + float_slack * m->magnitudes;
    m->useful = 2 * screen->error < LFD_CODE_MOST * screen->step;
}

enum { FEW_ROWS = LFD_CODE_ROWS / 2 }; /* in whose blocks most lanes would be empty */

static int needs_groups(const coded_layer *layer) {
    return layer->rows && layer->rows->n_out >= FEW_ROWS;
}

/* In the time of about a thousand samples; so not for a screen that is of no use. */
static linfdist_status group_layers(const linfdist_model *model, lfd_screen *screen) {
    for (int64_t i = 0; i < screen->layer_count; ++i)
        if (needs_groups(&screen->layers[i]) && screen->layers[i].rows->n_in > LFD_CODE_GROUP_INPUTS)
            return LINFDIST_OK;
    for (int64_t i = 0; i < screen->layer_count; ++i) {
        coded_layer *layer = &screen->layers[i];
        if (needs_groups(layer)) LFD_TRY(lfd_code_groups_create(model->context, layer->rows, &layer->groups));
    }
    screen->has_singles = 1;
    return LINFDIST_OK;
}

/* Rows of all layers but the last, whose outputs are classes. Tops of features are not needed any more. */
static linfdist_status sort_layers(const linfdist_model *model, lfd_screen *screen) {
    lfd_code_rows *before = NULL;
    for (int64_t i = 0; i < screen->layer_count; ++i) {
        lfd_code_rows *rows = screen->layers[i].rows;
        if (before && rows) LFD_TRY(lfd_codes_sort(model->context, before, rows));
        before = rows ? rows : before;
    }
    return LINFDIST_OK;
}

static linfdist_status make(const linfdist_model *model, making *m) {
    void *memory;
    lfd_screen *screen = m->screen;
    LFD_TRY(lfd_alloc_zero(model->context, (size_t)model->layer_count, sizeof(coded_layer), "screen", &memory));
    screen->layers = memory;
    LFD_TRY(lfd_alloc(model->context, screen->classes, sizeof(double), "screen", &memory));
    screen->tops = memory;
    LFD_TRY(lfd_alloc(model->context, 2 * screen->widest, sizeof(double), "screen", &memory));
    m->tops = memory;
    m->next_tops = m->tops + screen->widest;
    lfd_serial_for(make_task, m, 1);
    lfd_free(model->context, memory);
    if (m->status != LINFDIST_OK || !m->useful) return m->status;
    LFD_TRY(sort_layers(model, screen));
    return group_layers(model, screen);
}

linfdist_status lfd_screen_create(const linfdist_model *model, lfd_screen **screen) {
    void *memory;
    *screen = NULL;
    if (!fits(model)) return LINFDIST_OK;
    LFD_TRY(lfd_alloc_zero(model->context, 1, sizeof(lfd_screen), "screen", &memory));
    making m = {.model = model, .screen = memory};
    *m.screen = (lfd_screen){.layer_count = model->layer_count,
                             .n_in = (size_t)model->n_in,
                             .classes = (size_t)model->classes,
                             .widest = widest_of(model)};
    const linfdist_status status = make(model, &m);
    if (status == LINFDIST_OK && m.useful)
        *screen = m.screen;
    else
        lfd_screen_destroy(model->context, m.screen);
    return status;
}

void lfd_screen_destroy(const linfdist_context *context, lfd_screen *screen) {
    if (!screen) return;
    for (int64_t i = 0; screen->layers && i < screen->layer_count; ++i) {
        lfd_codes_destroy(context, screen->layers[i].rows);
        lfd_code_groups_destroy(context, screen->layers[i].groups);
    }
    lfd_free(context, screen->layers);
    lfd_free(context, screen->tops);
    lfd_free(context, screen);
}

/* ---- blocks of samples ---- */

/* Codes, columns and then complements: of the values or of the upper ends, and of the lower ends. */
typedef struct ends {
    uint8_t *upper, *lower;
} ends;

typedef struct screening {
    const lfd_screen *screen;
    const lfd_kernels *kernels;
    lfd_screening *of;
    size_t lanes;      /* of a block */
    cut blocks, parts; /* of samples; of blocks */
    uint8_t *scratch;
    size_t scratch_of_part;
    atomic_size_t terms;
} screening;

typedef struct block {
    const screening *s;
    const size_t *samples; /* their indices */
    size_t count;          /* at most lanes */
    ends x, y;             /* what enters a layer and what leaves it */
    uint8_t *rows;         /* codes of the samples' pixels before they are columns */
    size_t terms;
} block;

static size_t array_size(const screening *s) {
    return 2 * s->screen->widest * s->lanes;
}

/* Of a sample's codes, which are read in whole vectors. */
static size_t row_size(const lfd_screen *screen) {
    return (screen->n_in + 15) / 16 * 16;
}

static void load_single(const block *b, float shift, uint8_t *codes, uint8_t *complements) {
    const screening *s = b->s;
    const lfd_screen *screen = s->screen;
    const size_t n = screen->n_in;
    s->kernels->codes_of(n, s->of->x + b->samples[0] * s->of->x_stride, screen->high, screen->scale, shift, codes);
    for (size_t i = 0; i < n; ++i) complements[n + i] = (uint8_t)(LFD_CODE_MOST - codes[i]);
}

/* The samples' codes into columns, the last one's into the lanes that are left, and complements. */
static void load(const block *b, float shift, uint8_t *codes, uint8_t *complements) {
    const screening *s = b->s;
    const lfd_screen *screen = s->screen;
    const size_t n = screen->n_in, size = row_size(screen);
    if (s->lanes == 1) {
        load_single(b, shift, codes, complements);
        return;
    }
    for (size_t lane = 0; lane < s->lanes; ++lane) {
        uint8_t *row = b->rows + lane * size;
        if (lane < b->count)
            s->kernels->codes_of(n, s->of->x + b->samples[lane] * s->of->x_stride, screen->high, screen->scale, shift,
                                 row);
        else
            memcpy(row, row - size, n);
    }
    s->kernels->codes_pack(n, s->lanes, b->rows, size, codes, complements + n * s->lanes);
}

static void forward_layer(block *b, const coded_layer *layer, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    const screening *s = b->s;
    uint8_t *after = complements + layer->rows->n_out * s->lanes;
    if (s->lanes == 1 && layer->groups)
        b->terms += s->kernels->codes_single(layer->groups, x, y, after);
    else
        b->terms += s->kernels->codes_forward(layer->rows, s->lanes, x, y, after) * LFD_CODE_RANKS * b->count;
}

/* An upper bound comes from upper ends and complements of lower ones, and the other way round; values are both. */
static void forward(block *b, int bounds) {
    const lfd_screen *screen = b->s->screen;
    for (int64_t i = 0; i < screen->layer_count; ++i) {
        const coded_layer *layer = &screen->layers[i];
        if (!layer->rows) continue;
        const ends x = b->x, y = b->y;
        forward_layer(b, layer, x.upper, y.upper, bounds ? y.lower : y.upper);
        if (bounds) forward_layer(b, layer, x.lower, y.lower, y.upper);
        b->x = y;
        b->y = x;
    }
}

/* ---- verdicts ---- */

static double output(const block *b, const uint8_t *codes, size_t class, size_t lane) {
    const lfd_screen *screen = b->s->screen;
    return screen->tops[class] - screen->step * codes[class * b->s->lanes + lane];
}

/* The class with the least number of first, and by how much that is below all others' of second. */
static int32_t winner_of(const block *b, const uint8_t *first, const uint8_t *second, size_t lane, double *gap) {
    const size_t classes = b->s->screen->classes;
    size_t winner = 0;
    double least = INFINITY;
    for (size_t j = 1; j < classes; ++j)
        if (output(b, first, j, lane) < output(b, first, winner, lane)) winner = j;
    for (size_t j = 0; j < classes; ++j)
        if (j != winner) least = fmin(least, output(b, second, j, lane));
    *gap = least - output(b, first, winner, lane);
    return (int32_t)winner;
}

/* Whether a margin that is known up to error is above threshold. */
static int32_t decide(double margin, double error, double threshold) {
    return margin - error > threshold ? 1 : margin + error <= threshold ? 0 : LFD_UNDECIDED;
}

static lfd_verdict *verdict_of(const block *b, size_t lane) {
    return &b->s->of->verdicts[b->samples[lane]];
}

static void decide_by_margins(block *b) {
    const screening *s = b->s;
    const double threshold = 2.0 * s->of->eps_raw / s->of->units->std, error = 2 * s->screen->error;
    load(b, 0.0f, b->x.upper, b->x.upper);
    forward(b, 0);
    for (size_t lane = 0; lane < b->count; ++lane) {
        double margin;
        const int32_t winner = winner_of(b, b->x.upper, b->x.upper, lane, &margin);
        *verdict_of(b, lane) = (lfd_verdict){winner, margin > error ? decide(margin, error, threshold) : LFD_UNDECIDED};
    }
}

/* A class that bounds certify is the prediction. */
static void decide_by_bounds(block *b) {
    const screening *s = b->s;
    /* A radius that covers the valid range is as good as any larger one. */
    const float shift = (float)fmin(s->of->eps_raw, (double)s->of->units->radius_max) * s->screen->scale;
    load(b, shift, b->x.upper, b->x.lower);
    load(b, -shift, b->x.lower, b->x.upper);
    forward(b, 1);
    for (size_t lane = 0; lane < b->count; ++lane) {
        double gap;
        const int32_t winner = winner_of(b, b->x.upper, b->x.lower, lane, &gap);
        *verdict_of(b, lane) = (lfd_verdict){winner, decide(gap, 2 * s->screen->error, 0.0)};
    }
}

/* Of samples whose least upper bound does not certify its class. Another class might be certified where it is the one
 * that wins. */
static void predict(block *b) {
    load(b, 0.0f, b->x.upper, b->x.upper);
    forward(b, 0);
    for (size_t lane = 0; lane < b->count; ++lane) {
        lfd_verdict *verdict = verdict_of(b, lane);
        double margin;
        const int32_t winner = winner_of(b, b->x.upper, b->x.upper, lane, &margin);
        if (winner != verdict->predicted || margin <= 2 * b->s->screen->error) verdict->certified = LFD_UNDECIDED;
    }
}

/* ---- parts, one for each thread ---- */

typedef void block_fn(block *b);

/* Of samples [begin, end), all or those that are not certified. */
static size_t screen_samples(const screening *s, size_t part, size_t begin, size_t end, int all, block_fn *screen) {
    const size_t size = array_size(s);
    uint8_t *at = s->scratch + part * s->scratch_of_part;
    size_t samples[LFD_CODE_LANES];
    block b = {.s = s, .samples = samples, .x = {at, at + size}, .y = {at + 2 * size, at + 3 * size}};
    b.rows = at + 4 * size;
    for (size_t i = begin; i < end; ++i) {
        if (all || s->of->verdicts[i].certified == 0) samples[b.count++] = i;
        if (b.count == 0 || (b.count < s->lanes && i + 1 < end)) continue;
        screen(&b);
        b.count = 0;
    }
    return b.terms;
}

static void part_task(void *data, size_t part) {
    screening *s = data;
    const size_t begin = block_begin(&s->blocks, block_begin(&s->parts, part));
    const size_t end = block_begin(&s->blocks, block_begin(&s->parts, part + 1));
    const int bounds = s->of->method == LINFDIST_METHOD_INTERVAL;
    size_t terms = screen_samples(s, part, begin, end, 1, bounds ? decide_by_bounds : decide_by_margins);
    if (bounds) terms += screen_samples(s, part, begin, end, 0, predict);
    atomic_fetch_add_explicit(&s->terms, terms, memory_order_relaxed);
}

enum { SINGLES = 6 };        /* so many samples for each thread pass one by one */
enum { LEAST_OF_BLOCK = 3 }; /* so many are worth a block */

enum { CLEAR_OF_ERROR = 8 }; /* a margin's threshold is so many times an output's error before single samples pass */

/* Near 0 too many samples remain undecided for what floats take for one value. Bounds cost them more. */
static int singles_pay(const lfd_screen *screen, const lfd_screening *of) {
    const double threshold = 2.0 * of->eps_raw / of->units->std;
    return screen->has_singles &&
           (of->method == LINFDIST_METHOD_INTERVAL || threshold >= CLEAR_OF_ERROR * screen->error);
}

/* Of a block; 0: none. */
static size_t lanes_for(const lfd_screen *screen, const lfd_screening *of, size_t threads) {
    if (of->n <= SINGLES * threads && singles_pay(screen, of)) return 1;
    if (of->n < LEAST_OF_BLOCK) return 0;
    return of->n <= LFD_CODE_FEW_LANES * threads ? LFD_CODE_FEW_LANES : LFD_CODE_LANES;
}

linfdist_status lfd_screen_run(const lfd_screen *screen, linfdist_context *context, lfd_screening *of) {
    screening s = {.screen = screen, .kernels = context->kernels, .of = of};
    void *memory;
    const size_t threads = (size_t)context->threads;
    of->terms = 0;
    for (size_t i = 0; i < of->n; ++i) of->verdicts[i].certified = LFD_UNDECIDED;
    s.lanes = screen ? lanes_for(screen, of, threads) : 0;
    if (s.lanes == 0) return LINFDIST_OK;
    s.blocks = cut_into(of->n, s.lanes);
    s.parts = (cut){s.blocks.count, 1, smaller(s.blocks.count, threads)};
    s.scratch_of_part = 4 * array_size(&s) + (s.lanes > 1 ? s.lanes * row_size(screen) : 0);
    LFD_TRY(lfd_alloc(context, s.parts.count, s.scratch_of_part, "codes", &memory));
    s.scratch = memory;
    atomic_init(&s.terms, 0);
    lfd_parallel_for(context, part_task, &s, s.parts.count);
    lfd_free(context, memory);
    of->terms = atomic_load(&s.terms);
    return LINFDIST_OK;
}
