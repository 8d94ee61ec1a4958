#include "codes.h"

#include <math.h>
#include <string.h>

typedef struct coding {
    const lfd_dims *dims;
    const float *w;
    double step;
    const double *tops;
    double *output_tops;
    lfd_coded *coded;
} coding;

static size_t inputs_of(const coding *c) {
    return c->dims->n_in / c->dims->groups;
}

/* The first of a row's inputs. */
static size_t first_input(const coding *c, size_t row) {
    return row / (c->dims->n_out / c->dims->groups) * inputs_of(c);
}

/* The top of x - w where x has this one, and that of w - x. */
static double rise_of(double top, float w) {
    return top - (double)w;
}
static double fall_of(double top, float w, double step) {
    return (double)w - (top - LFD_CODE_MOST * step);
}

static void top_of_row(void *data, size_t row) {
    const coding *c = data;
    const float *w = c->w + row * c->dims->w_stride;
    const double *tops = c->tops + first_input(c, row);
    double most = -INFINITY;
    for (size_t i = 0; i < inputs_of(c); ++i)
        most = fmax(most, fmax(rise_of(tops[i], w[i]), fall_of(tops[i], w[i], c->step)));
    c->output_tops[row] = most;
}

/* LFD_CODE_MOST and more are the same: no sample is that far below the top. */
static uint8_t gap_of(const coding *c, size_t row, double top) {
    const double gap = (c->output_tops[row] - top) / c->step;
    return gap < LFD_CODE_MOST ? (uint8_t)(gap + 0.5) : LFD_CODE_MOST;
}

/* The gaps of a row's columns: as they are, and complements. */
static void gaps_of(const coding *c, size_t row, size_t input, uint8_t gaps[2]) {
    const float w = c->w[row * c->dims->w_stride + input];
    const double top = c->tops[first_input(c, row) + input];
    gaps[0] = gap_of(c, row, rise_of(top, w));
    gaps[1] = gap_of(c, row, fall_of(top, w, c->step));
}

/* How many terms have each gap. Returns how many can count at all. */
static size_t count_gaps(const coding *c, size_t row, size_t counts[LFD_CODE_MOST + 1]) {
    uint8_t gaps[2];
    for (size_t k = 0; k <= LFD_CODE_MOST; ++k) counts[k] = 0;
    for (size_t i = 0; i < inputs_of(c); ++i) {
        gaps_of(c, row, i, gaps);
        ++counts[gaps[0]];
        ++counts[gaps[1]];
    }
    return 2 * inputs_of(c) - counts[LFD_CODE_MOST];
}

static void code_row(void *data, size_t row) {
    const coding *c = data;
    const size_t first = first_input(c, row), stride = c->dims->n_out, room = c->coded->rows.count * LFD_CODE_RANKS;
    lfd_code_slice *slices = c->coded->slices + row;
    size_t next[LFD_CODE_MOST + 1], place = 0;
    uint8_t gaps[2];
    (void)count_gaps(c, row, next);
    for (size_t k = 0; k <= LFD_CODE_MOST; ++k) {
        const size_t count = next[k];
        next[k] = place;
        place += count;
    }
    for (size_t i = 0; i < room; ++i) slices[i / LFD_CODE_RANKS * stride].gap[i % LFD_CODE_RANKS] = LFD_CODE_MOST;
    for (size_t i = 0; i < inputs_of(c); ++i) {
        gaps_of(c, row, i, gaps);
        for (size_t side = 0; side < 2; ++side) {
            const size_t column = side * lfd_code_columns(c->dims->n_in) + first + i;
            c->coded->gaps[column * lfd_code_columns(stride) + row] = gaps[side];
            if (gaps[side] == LFD_CODE_MOST) continue;
            const size_t at = next[gaps[side]]++;
            slices[at / LFD_CODE_RANKS * stride].gap[at % LFD_CODE_RANKS] = gaps[side];
            slices[at / LFD_CODE_RANKS * stride].column[at % LFD_CODE_RANKS] = (uint16_t)column;
        }
    }
    const size_t last = c->coded->rows.count - 1;
    for (size_t k = 0; k < last; ++k) slices[k * stride].rest = slices[(k + 1) * stride].gap[0];
    slices[last * stride].rest = LFD_CODE_MOST;
}

/* Slices that the longest row needs, at least one. */
static size_t slices_of(const coding *c) {
    size_t counts[LFD_CODE_MOST + 1], most = 1;
    for (size_t row = 0; row < c->dims->n_out; ++row) {
        const size_t terms = count_gaps(c, row, counts);
        if (terms > most) most = terms;
    }
    return (most + LFD_CODE_RANKS - 1) / LFD_CODE_RANKS;
}

static linfdist_status code_rows(linfdist_context *context, coding *c) {
    const lfd_dims *d = c->dims;
    lfd_coded *coded = c->coded;
    void *memory;
    lfd_parallel_for(context, top_of_row, c, d->n_out);
    lfd_code_rows *rows = &coded->rows;
    *rows = (lfd_code_rows){.n_in = d->n_in, .n_out = d->n_out, .count = slices_of(c)};
    const size_t gaps = 2 * lfd_code_columns(d->n_in) * lfd_code_columns(d->n_out);
    LFD_TRY(lfd_alloc_zero(context, d->n_out * rows->count, sizeof(lfd_code_slice), "codes of weights", &memory));
    rows->slices = coded->slices = memory;
    LFD_TRY(lfd_alloc(context, gaps, 1, "codes of weights", &memory));
    rows->gaps = coded->gaps = memory;
    memset(coded->gaps, LFD_CODE_MOST, gaps); /* where a row lacks a column: padding, and other groups */
    lfd_parallel_for(context, code_row, c, d->n_out);
    return LINFDIST_OK;
}

linfdist_status lfd_coded_create(linfdist_context *context, const lfd_dims *dims, const float *w, double step,
                                 const double *tops, double *output_tops, lfd_coded **coded) {
    void *memory;
    coding c = {.dims = dims, .w = w, .step = step, .tops = tops, .output_tops = output_tops};
    LFD_TRY(lfd_alloc_zero(context, 1, sizeof(lfd_coded), "codes of weights", &memory));
    c.coded = memory;
    const linfdist_status status = code_rows(context, &c);
    if (status == LINFDIST_OK)
        *coded = c.coded;
    else
        lfd_coded_destroy(context, c.coded);
    return status;
}

void lfd_coded_destroy(const linfdist_context *context, lfd_coded *coded) {
    if (!coded) return;
    lfd_free(context, coded->slices);
    lfd_free(context, coded->gaps);
    lfd_free(context, coded);
}
