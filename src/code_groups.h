/* Distance layers in codes, by groups of columns (lib/kernels.h): the prepared form for single samples. */
#ifndef LFD_CODE_GROUPS_H
#define LFD_CODE_GROUPS_H

#include "context.h"
#include "../lib/kernels.h"

/* Of at most LFD_CODE_GROUP_INPUTS inputs. Rows with about as many terms should be neighbours (lfd_codes_sort): each
 * takes 2.1 bytes for each turn of its block. rows is not needed any more. */
linfdist_status lfd_code_groups_create(const linfdist_context *context, const lfd_code_rows *rows,
                                       lfd_code_groups **groups);
void lfd_code_groups_destroy(const linfdist_context *context, lfd_code_groups *groups);

#endif
