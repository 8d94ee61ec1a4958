/* The matrices of a convolution, read where the arrays lie: a product of them is the convolution or its gradient. A
 * dense layer is the convolution of n_in channels of 1 x 1 with a kernel of 1 x 1. */
#ifndef LFD_PATCHES_H
#define LFD_PATCHES_H

#include "../product.h"
#include "layer.h"

/* x: batch x channels x height x width; y: batch x out_channels x out_height x out_width; weight: out_channels x
 * channels / groups x kernel_h x kernel_w. */
typedef struct lfd_geometry {
    size_t batch, groups;
    size_t channels, height, width;
    size_t out_channels, out_height, out_width;
    size_t kernel_h, kernel_w, stride, padding, dilation;
    size_t group; /* the one that the sources below read */
} lfd_geometry;

/* Of a layer with a window, or a dense one. */
lfd_geometry lfd_geometry_of(const lfd_layer_spec *spec, size_t batch);

/* Entries of a patch, (c kernel_h + i) kernel_w + j with c within the group, and so the columns of the weight. */
size_t lfd_patch_size(const lfd_geometry *geometry);

/* The group's matrices; other or NULL as in lfd_source. The geometry outlives the source.
 * y = patches by position x weight rows:                 batch positions x patch, and out_channels x patch
 * x gradient = outputs by input x weight by channel:     batch pixels x (out_channels, i, j), and c x the same
 * weight gradient = outputs by channel x patches by entry: out_channels x batch positions, and patch x the same */
lfd_source lfd_patches_by_position(const lfd_geometry *geometry, const float *x, const float *other);
lfd_source lfd_patches_by_entry(const lfd_geometry *geometry, const float *x, const float *other);
lfd_source lfd_outputs_by_input(const lfd_geometry *geometry, const float *y, const float *other);
lfd_source lfd_outputs_by_channel(const lfd_geometry *geometry, const float *y, const float *other);
lfd_source lfd_weight_rows(const lfd_geometry *geometry, const float *weight);
lfd_source lfd_weight_by_channel(const lfd_geometry *geometry, const float *weight);

#endif
