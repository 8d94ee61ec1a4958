#include "codes.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct coding {
    const lfd_dims *dims;
    const float *w;
    double step, per_step; /* 1 / step */
    const double *tops;
    double *output_tops;
    lfd_code_rows *coded;
    atomic_size_t most_terms; /* of a row */
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

static double top_of_row(const coding *c, size_t row) {
    const float *w = c->w + row * c->dims->w_stride;
    const double *tops = c->tops + first_input(c, row);
    double most = -INFINITY;
    for (size_t i = 0, n = inputs_of(c); i < n; ++i) {
        const double rise = rise_of(tops[i], w[i]), fall = fall_of(tops[i], w[i], c->step);
        const double larger = rise > fall ? rise : fall;
        most = larger > most ? larger : most;
    }
    return most;
}

/* LFD_CODE_MOST and more are the same: no sample is that far below the top. */
static uint8_t gap_of(const coding *c, double output_top, double top) {
    const double gap = (output_top - top) * c->per_step;
    return gap < LFD_CODE_MOST ? (uint8_t)(gap + 0.5) : LFD_CODE_MOST;
}

/* One row, whose gaps are needed input by input. */
typedef struct coded_row {
    const float *w;
    const double *tops; /* of its inputs */
    double output_top;
} coded_row;

static coded_row row_of(const coding *c, size_t row) {
    return (coded_row){c->w + row * c->dims->w_stride, c->tops + first_input(c, row), c->output_tops[row]};
}

/* The gaps of an input's columns: as they are, and complements. */
static void gaps_of(const coding *c, const coded_row *row, size_t input, uint8_t gaps[2]) {
    gaps[0] = gap_of(c, row->output_top, rise_of(row->tops[input], row->w[input]));
    gaps[1] = gap_of(c, row->output_top, fall_of(row->tops[input], row->w[input], c->step));
}

/* How many terms have each gap. Returns how many can count at all. */
static size_t count_gaps(const coding *c, const coded_row *row, size_t counts[LFD_CODE_MOST + 1]) {
    const size_t inputs = inputs_of(c);
    uint8_t gaps[2];
    for (size_t k = 0; k <= LFD_CODE_MOST; ++k) counts[k] = 0;
    for (size_t i = 0; i < inputs; ++i) {
        gaps_of(c, row, i, gaps);
        ++counts[gaps[0]];
        ++counts[gaps[1]];
    }
    return 2 * inputs - counts[LFD_CODE_MOST];
}

static void measure_row(void *data, size_t row) {
    coding *c = data;
    size_t counts[LFD_CODE_MOST + 1];
    c->output_tops[row] = top_of_row(c, row);
    const coded_row of = row_of(c, row);
    const size_t terms = count_gaps(c, &of, counts);
    size_t most = atomic_load_explicit(&c->most_terms, memory_order_relaxed);
    while (terms > most && !atomic_compare_exchange_weak(&c->most_terms, &most, terms)) continue;
}

static void put_term(const coding *c, size_t row, size_t place, size_t column, uint8_t gap) {
    lfd_code_slice *slice = &c->coded->slices[place / LFD_CODE_RANKS * c->dims->n_out + row];
    slice->column[place % LFD_CODE_RANKS] = (uint16_t)column;
    slice->gap[place % LFD_CODE_RANKS] = gap;
}

/* Places after the last term count for nothing. 0 is a term that needs no input. */
static void code_row(void *data, size_t row) {
    const coding *c = data;
    const size_t stride = c->dims->n_out, last = c->coded->count - 1, first = first_input(c, row);
    const coded_row of = row_of(c, row);
    lfd_code_slice *slices = c->coded->slices + row;
    size_t next[LFD_CODE_MOST + 1], place = 0;
    uint8_t gaps[2];
    (void)count_gaps(c, &of, next);
    for (size_t k = 0; k <= LFD_CODE_MOST; ++k) {
        const size_t count = next[k];
        next[k] = place;
        place += count;
    }
    for (place = next[LFD_CODE_MOST]; place < (last + 1) * LFD_CODE_RANKS; ++place)
        put_term(c, row, place, 0, LFD_CODE_MOST);
    for (size_t i = 0, n = inputs_of(c); i < n; ++i) {
        gaps_of(c, &of, i, gaps);
        for (size_t side = 0; side < 2; ++side)
            if (gaps[side] < LFD_CODE_MOST)
                put_term(c, row, next[gaps[side]]++, side * c->dims->n_in + first + i, gaps[side]);
    }
    slices->floor = gap_of(c, of.output_top, 0.0);
    for (size_t k = 0; k < last; ++k) slices[k * stride].rest = slices[(k + 1) * stride].gap[0];
    slices[last * stride].rest = LFD_CODE_MOST;
}

static linfdist_status code_rows(linfdist_context *context, coding *c) {
    const lfd_dims *d = c->dims;
    lfd_code_rows *rows = c->coded;
    void *memory;
    lfd_parallel_for(context, measure_row, c, d->n_out);
    const size_t most = atomic_load(&c->most_terms); /* the top itself is one */
    *rows = (lfd_code_rows){.n_in = d->n_in, .n_out = d->n_out, .count = (most + LFD_CODE_RANKS - 1) / LFD_CODE_RANKS};
    LFD_TRY(lfd_alloc_zero(context, d->n_out * rows->count, sizeof(lfd_code_slice), "codes of weights", &memory));
    rows->slices = memory;
    lfd_parallel_for(context, code_row, c, d->n_out);
    return LINFDIST_OK;
}

linfdist_status lfd_codes_create(linfdist_context *context, const lfd_dims *dims, const float *w, double step,
                                 const double *tops, double *output_tops, lfd_code_rows **coded) {
    void *memory;
    coding c = {.dims = dims, .w = w, .step = step, .per_step = 1.0 / step, .tops = tops, .output_tops = output_tops};
    atomic_init(&c.most_terms, 0);
    LFD_TRY(lfd_alloc_zero(context, 1, sizeof(lfd_code_rows), "codes of weights", &memory));
    c.coded = memory;
    const linfdist_status status = code_rows(context, &c);
    if (status == LINFDIST_OK)
        *coded = c.coded;
    else
        lfd_codes_destroy(context, c.coded);
    return status;
}

/* ---- in the order of their terms ---- */

typedef struct ranked_row {
    size_t row, terms;
} ranked_row;

static int fewer_terms(const void *a, const void *b) {
    const ranked_row *left = a, *right = b;
    if (left->terms != right->terms) return left->terms < right->terms ? -1 : 1;
    return left->row < right->row ? -1 : left->row > right->row;
}

static size_t terms_of_row(const lfd_code_rows *rows, size_t row) {
    size_t terms = 0;
    for (size_t k = 0; k < rows->count; ++k)
        for (size_t i = 0; i < LFD_CODE_RANKS; ++i) terms += rows->slices[k * rows->n_out + row].gap[i] < LFD_CODE_MOST;
    return terms;
}

static void move_rows(lfd_code_rows *rows, const ranked_row *order, lfd_code_slice *scratch) {
    for (size_t k = 0; k < rows->count; ++k) {
        lfd_code_slice *slices = rows->slices + k * rows->n_out;
        for (size_t i = 0; i < rows->n_out; ++i) scratch[i] = slices[order[i].row];
        memcpy(slices, scratch, rows->n_out * sizeof *slices);
    }
}

static void move_columns(lfd_code_rows *rows, const uint16_t *place_of) {
    const size_t n = rows->n_in;
    for (size_t k = 0; k < rows->count * rows->n_out; ++k)
        for (size_t i = 0; i < LFD_CODE_RANKS; ++i) {
            uint16_t *column = &rows->slices[k].column[i];
            *column = (uint16_t)(*column < n ? place_of[*column] : n + place_of[*column - n]);
        }
}

linfdist_status lfd_codes_sort(const linfdist_context *context, lfd_code_rows *rows, lfd_code_rows *next) {
    const size_t n = rows->n_out, size = sizeof(lfd_code_slice) + sizeof(ranked_row) + sizeof(uint16_t);
    void *memory;
    LFD_TRY(lfd_alloc(context, n, size, "order of codes", &memory));
    lfd_code_slice *scratch = memory;
    ranked_row *order = (ranked_row *)(void *)(scratch + n);
    uint16_t *place_of = (uint16_t *)(void *)(order + n);
    for (size_t i = 0; i < n; ++i) order[i] = (ranked_row){i, terms_of_row(rows, i)};
    qsort(order, n, sizeof *order, fewer_terms);
    for (size_t i = 0; i < n; ++i) place_of[order[i].row] = (uint16_t)i;
    move_rows(rows, order, scratch);
    move_columns(next, place_of);
    lfd_free(context, memory);
    return LINFDIST_OK;
}

void lfd_codes_destroy(const linfdist_context *context, lfd_code_rows *coded) {
    if (!coded) return;
    lfd_free(context, coded->slices);
    lfd_free(context, coded);
}
