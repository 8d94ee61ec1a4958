/* Distance layers in codes, by groups of columns (lib/kernels.h): the prepared form for single samples. */
#ifndef LFD_CODE_GROUPS_H
#define LFD_CODE_GROUPS_H

#include "context.h"
#include "../lib/kernels.h"

/* *groups stays NULL for rows that are too long. It takes 1 byte for each row and column that counts anywhere; rows is
 * not needed any more. */
linfdist_status lfd_code_groups_create(linfdist_context *context, const lfd_code_rows *rows, lfd_code_groups **groups);
void lfd_code_groups_destroy(const linfdist_context *context, lfd_code_groups *groups);

#endif
