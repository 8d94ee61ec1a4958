/* Matrix products on a context's threads, tile by tile, and the factors that layers multiply. */
#ifndef LFD_PRODUCT_H
#define LFD_PRODUCT_H

#include "../lib/gemm/gemm.h"
#include "context.h"

/* Takes one finished part of c: rows x columns of it, row-major with this stride. Called once for each entry, on any of
 * the threads. */
typedef void lfd_product_fn(void *user, size_t first_row, size_t first_column, size_t rows, size_t columns,
                            const double *tile, size_t stride);

/* Doubles of scratch that products on this many threads need, at most. Aligned to 64 bytes. */
size_t lfd_product_scratch(size_t threads);
/* All of c. The same bits for any number of threads and on every instruction set; a row depends on a row of a alone, a
 * column on one of b. */
void lfd_product(linfdist_context *context, const lfd_gemm_product *product, lfd_product_fn *finish, void *user,
                 double *scratch);

/* Where the entries of a factor stand. */
typedef struct lfd_source lfd_source;
struct lfd_source {
    /* Puts entries first .. first + count of a row (or column) `outer` at values[0], values[step] and so on. data is
     * source->data or source->other. */
    void (*entries)(const lfd_source *source, const float *data, size_t outer, size_t first, size_t count, size_t step,
                    float *values);
    const float *data, *other; /* other: of pairs alone, an array like data */
    size_t stride;             /* of a matrix's rows */
    const void *shape;         /* of other arrays */
};

/* Matrices: the sum runs along rows, or along columns. other may be NULL. */
lfd_source lfd_rows(const float *data, const float *other, size_t stride);
lfd_source lfd_columns(const float *data, const float *other, size_t stride);

/* Factors; the source outlives the product. Of one term: the entries. */
lfd_gemm_factor lfd_factor(const lfd_source *source);
/* Of two terms: an entry of data, then the same one of other. */
lfd_gemm_factor lfd_factor_pairs(const lfd_source *source);
/* Of two terms: an entry's positive part, then its negative part. With pairs of bounds as the other factor this makes
 * the extremes of a sum. */
lfd_gemm_factor lfd_factor_signs(const lfd_source *source);

#endif
