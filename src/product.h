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

/* A matrix in memory, or two of one shape whose entries alternate in sums with two terms. */
typedef struct lfd_matrix {
    const float *data, *other; /* other: of the pairs alone */
    size_t stride;
} lfd_matrix;

/* Factors of matrices that outlive the product. Rows: the sum runs along rows; columns: along columns. */
lfd_gemm_factor lfd_factor_rows(const lfd_matrix *matrix);
lfd_gemm_factor lfd_factor_columns(const lfd_matrix *matrix);
/* Two terms: an entry of data, then the same of other. */
lfd_gemm_factor lfd_factor_row_pairs(const lfd_matrix *matrix);
lfd_gemm_factor lfd_factor_column_pairs(const lfd_matrix *matrix);
/* Two terms: an entry's positive part, then its negative part; with pairs of bounds on the other side this gives the
 * extreme of the sum. */
lfd_gemm_factor lfd_factor_row_signs(const lfd_matrix *matrix);
lfd_gemm_factor lfd_factor_column_signs(const lfd_matrix *matrix);

#endif
