/* The matrices of a convolution, read where the arrays lie: a product of them is the convolution or its gradient. A
 * dense layer is the convolution of n_in channels of 1 x 1 with a kernel of 1 x 1. */
#ifndef LFD_CONV_FACTORS_H
#define LFD_CONV_FACTORS_H

#include "../product.h"
#include "layer.h"

/* Of a layer with a window, or a dense one. */
lfd_conv_dims lfd_affine_dims(const lfd_layer_spec *spec, size_t batch);

/* Entries of a patch, (c kernel_h + i) kernel_w + j with c within the group, and so the columns of the weight. */
size_t lfd_patch_size(const lfd_conv_dims *dims);

/* The matrices of one group, from whole arrays; other or NULL as in lfd_source. dims outlives the source.
 * y = patches by position x weight rows:                   batch positions x patch, and out_channels x patch
 * x gradient = outputs by input x weight by channel:       batch pixels x (out_channels, i, j), and c x the same
 * weight gradient = outputs by channel x patches by entry: out_channels x batch positions, and patch x the same */
lfd_source lfd_patches_by_position(const lfd_conv_dims *dims, size_t group, const float *x, const float *other);
lfd_source lfd_patches_by_entry(const lfd_conv_dims *dims, size_t group, const float *x, const float *other);
lfd_source lfd_outputs_by_input(const lfd_conv_dims *dims, size_t group, const float *y, const float *other);
lfd_source lfd_outputs_by_channel(const lfd_conv_dims *dims, size_t group, const float *y, const float *other);
lfd_source lfd_weight_rows(const lfd_conv_dims *dims, size_t group, const float *weight);
lfd_source lfd_weight_by_channel(const lfd_conv_dims *dims, size_t group, const float *weight);

#endif
