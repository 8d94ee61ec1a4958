/* Distance convolutions on whole arrays: the kernels of lib/ over tiles of patches, with the context's threads.
 * Arguments are already checked; lib/patches.h has the layout of the arrays. */
#ifndef LFD_CONV_OPS_H
#define LFD_CONV_OPS_H

#include "../lib/patches.h"
#include "context.h"

/* Floats of scratch that each function below needs with at most so many threads; for any batch. */
size_t lfd_conv_scratch(const lfd_conv_dims *dims, size_t threads);

/* p = infinity selects the l_inf kernels. argmax (columns of w) or NULL. */
void lfd_conv_distance_forward(linfdist_context *context, const lfd_conv_dims *dims, float p, const float *x,
                               const float *w, float *y, int32_t *argmax, float *scratch);
/* grad_x or grad_w may be NULL; both are added to. */
void lfd_conv_distance_backward(linfdist_context *context, const lfd_conv_dims *dims, float p, const float *x,
                                const float *w, const float *y, const int32_t *argmax, const float *grad_y,
                                float *grad_x, float *grad_w, float *scratch);
/* arg_l and arg_u: both or neither. */
void lfd_conv_bounds_forward(linfdist_context *context, const lfd_conv_dims *dims, const float *xl, const float *xu,
                             const float *w, float *yl, float *yu, int32_t *arg_l, int32_t *arg_u, float *scratch);
/* grad_xl, grad_xu, grad_w: each or NULL; all are added to. */
void lfd_conv_bounds_backward(linfdist_context *context, const lfd_conv_dims *dims, const float *xl, const float *xu,
                              const float *w, const int32_t *arg_l, const int32_t *arg_u, const float *grad_yl,
                              const float *grad_yu, float *grad_xl, float *grad_xu, float *grad_w, float *scratch);

#endif
