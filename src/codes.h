/* One distance layer in codes (lib/kernels.h): the prepared form that screens (screen.h) lead codes through. */
#ifndef LFD_CODES_H
#define LFD_CODES_H

#include "ops.h"

/* For weights w and inputs in [top - 255 step, top], tops n_in of them; fills those of the outputs. Each gap is rounded
 * by half a step at most. w is not needed any more. It takes 3.2 bytes for each term that can count, of which an input
 * has two at most, and as many in all rows as in the longest. */
linfdist_status lfd_codes_create(linfdist_context *context, const lfd_dims *dims, const float *w, double step,
                                 const double *tops, double *output_tops, lfd_code_rows **coded);
/* Orders rows by how many terms they have, the fewest first, and renumbers the columns of next, the layer whose inputs
 * are their outputs. If it fails, nothing has changed. */
linfdist_status lfd_codes_sort(const linfdist_context *context, lfd_code_rows *rows, lfd_code_rows *next);
void lfd_codes_destroy(const linfdist_context *context, lfd_code_rows *coded);

#endif
