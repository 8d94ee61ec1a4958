#include "product.h"

/* ---- tiles over threads ---- */

/* Tiles are dealt to slots in turn, since each slot has scratch of its own. */
typedef struct slots {
    const lfd_gemm_product *product;
    lfd_product_fn *finish;
    void *user;
    double *scratch;
    size_t count, tiles, tile_columns;
    int isa;
} slots;

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static void run_slot(void *data, size_t slot) {
    const slots *s = data;
    const lfd_gemm_product *p = s->product;
    for (size_t tile = slot; tile < s->tiles; tile += s->count) {
        const size_t row = tile / s->tile_columns * LFD_GEMM_ROWS;
        const size_t column = tile % s->tile_columns * LFD_GEMM_COLUMNS;
        const double *c = lfd_gemm_tile(s->isa, p, row, column, s->scratch + slot * lfd_gemm_scratch());
        s->finish(s->user, row, column, smaller(LFD_GEMM_ROWS, p->m - row), smaller(LFD_GEMM_COLUMNS, p->n - column), c,
                  LFD_GEMM_COLUMNS);
    }
}

size_t lfd_product_scratch(size_t threads) {
    return threads * lfd_gemm_scratch();
}

void lfd_product(linfdist_context *context, const lfd_gemm_product *product, lfd_product_fn *finish, void *user,
                 double *scratch) {
    const size_t tile_rows = (product->m + LFD_GEMM_ROWS - 1) / LFD_GEMM_ROWS;
    const size_t tile_columns = (product->n + LFD_GEMM_COLUMNS - 1) / LFD_GEMM_COLUMNS;
    const size_t tiles = tile_rows * tile_columns;
    slots s = {product, finish,       user,        scratch, smaller(tiles, (size_t)context->threads),
               tiles,   tile_columns, context->isa};
    lfd_parallel_for(context, run_slot, &s, s.count);
}

/* ---- factors ---- */

static void read_rows(const void *data, size_t outer, size_t first, size_t count, float *values) {
    const lfd_matrix *m = data;
    const float *row = m->data + outer * m->stride + first;
    for (size_t k = 0; k < count; ++k) values[k] = row[k];
}

static void read_columns(const void *data, size_t outer, size_t first, size_t count, float *values) {
    const lfd_matrix *m = data;
    const float *column = m->data + first * m->stride + outer;
    for (size_t k = 0; k < count; ++k) values[k] = column[k * m->stride];
}

static void read_row_pairs(const void *data, size_t outer, size_t first, size_t count, float *values) {
    const lfd_matrix *m = data;
    const size_t start = outer * m->stride + first;
    for (size_t k = 0; k < count; ++k) {
        values[2 * k] = m->data[start + k];
        values[2 * k + 1] = m->other[start + k];
    }
}

static void read_column_pairs(const void *data, size_t outer, size_t first, size_t count, float *values) {
    const lfd_matrix *m = data;
    const size_t start = first * m->stride + outer;
    for (size_t k = 0; k < count; ++k) {
        values[2 * k] = m->data[start + k * m->stride];
        values[2 * k + 1] = m->other[start + k * m->stride];
    }
}

/* Replaces count numbers by pairs of their positive and negative parts, from the last to the first. */
static void split_signs(float *values, size_t count) {
    for (size_t k = count; k-- > 0;) {
        const float value = values[k];
        values[2 * k] = value > 0.0f ? value : 0.0f;
        values[2 * k + 1] = value < 0.0f ? value : 0.0f;
    }
}

static void read_row_signs(const void *data, size_t outer, size_t first, size_t count, float *values) {
    read_rows(data, outer, first, count, values);
    split_signs(values, count);
}

static void read_column_signs(const void *data, size_t outer, size_t first, size_t count, float *values) {
    read_columns(data, outer, first, count, values);
    split_signs(values, count);
}

lfd_gemm_factor lfd_factor_rows(const lfd_matrix *matrix) {
    return (lfd_gemm_factor){read_rows, matrix};
}

lfd_gemm_factor lfd_factor_columns(const lfd_matrix *matrix) {
    return (lfd_gemm_factor){read_columns, matrix};
}

lfd_gemm_factor lfd_factor_row_pairs(const lfd_matrix *matrix) {
    return (lfd_gemm_factor){read_row_pairs, matrix};
}

lfd_gemm_factor lfd_factor_column_pairs(const lfd_matrix *matrix) {
    return (lfd_gemm_factor){read_column_pairs, matrix};
}

lfd_gemm_factor lfd_factor_row_signs(const lfd_matrix *matrix) {
    return (lfd_gemm_factor){read_row_signs, matrix};
}

lfd_gemm_factor lfd_factor_column_signs(const lfd_matrix *matrix) {
    return (lfd_gemm_factor){read_column_signs, matrix};
}
