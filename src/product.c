#include "product.h"

#include "cut.h"

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

static void row_entries(const lfd_source *source, const float *data, size_t outer, size_t first, size_t count,
                        size_t step, float *values) {
    const float *row = data + outer * source->stride + first;
    for (size_t k = 0; k < count; ++k) values[k * step] = row[k];
}

static void column_entries(const lfd_source *source, const float *data, size_t outer, size_t first, size_t count,
                           size_t step, float *values) {
    const float *column = data + first * source->stride + outer;
    for (size_t k = 0; k < count; ++k) values[k * step] = column[k * source->stride];
}

lfd_source lfd_rows(const float *data, const float *other, size_t stride) {
    return (lfd_source){row_entries, data, other, stride, NULL};
}

lfd_source lfd_columns(const float *data, const float *other, size_t stride) {
    return (lfd_source){column_entries, data, other, stride, NULL};
}

static void read_entries(const void *data, size_t outer, size_t first, size_t count, float *values) {
    const lfd_source *source = data;
    source->entries(source, source->data, outer, first, count, 1, values);
}

static void read_pairs(const void *data, size_t outer, size_t first, size_t count, float *values) {
    const lfd_source *source = data;
    source->entries(source, source->data, outer, first, count, 2, values);
    source->entries(source, source->other, outer, first, count, 2, values + 1);
}

static void read_signs(const void *data, size_t outer, size_t first, size_t count, float *values) {
    const lfd_source *source = data;
    source->entries(source, source->data, outer, first, count, 2, values);
    for (size_t k = 0; k < count; ++k) {
        const float value = values[2 * k];
        values[2 * k] = value > 0.0f ? value : 0.0f;
        values[2 * k + 1] = value < 0.0f ? value : 0.0f;
    }
}

lfd_gemm_factor lfd_factor(const lfd_source *source) {
    return (lfd_gemm_factor){read_entries, source};
}

lfd_gemm_factor lfd_factor_pairs(const lfd_source *source) {
    return (lfd_gemm_factor){read_pairs, source};
}

lfd_gemm_factor lfd_factor_signs(const lfd_source *source) {
    return (lfd_gemm_factor){read_signs, source};
}
