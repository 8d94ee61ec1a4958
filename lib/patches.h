/* Patches of images, the pure array part of convolutions: what each output position sees, written as a row, so that a
 * convolution becomes the dense operation on rows. Padding is data: pixels outside the image are 0. */
#ifndef LFD_PATCHES_H
#define LFD_PATCHES_H

#include <stddef.h>
#include <stdint.h>

/* x: batch x channels x height x width, w: out_channels x (channels/groups kernel_h kernel_w), y: batch x out_channels
 * x out_height x out_width, all contiguous. Column (c kernel_h + i) kernel_w + j of w belongs to channel c of the group
 * and kernel position (i, j). out_height = (height + 2 padding - dilation (kernel_h - 1) - 1) / stride + 1. */
typedef struct lfd_conv_dims {
    size_t batch, channels, height, width;
    size_t out_channels, groups;
    size_t kernel_h, kernel_w, stride, padding, dilation;
    size_t out_height, out_width;
} lfd_conv_dims;

/* Some rows and columns of the batch's patches: row b out_height out_width + h out_width + w is what output (h, w) of
 * sample b sees, the columns are those of channels channels from channel on. */
typedef struct lfd_patch_range {
    size_t row, rows;
    size_t channel, channels;
} lfd_patch_range;

/* patches: range->rows rows, stride floats apart. */
void lfd_patches_unfold(const lfd_conv_dims *dims, const lfd_patch_range *range, const float *x, float *patches,
                        size_t stride);
/* The other way: every pixel of grad_x += what its patches have for it, rows in ascending order. */
void lfd_patches_fold(const lfd_conv_dims *dims, const lfd_patch_range *range, const float *patches, size_t stride,
                      float *grad_x);

/* Gradients at p = infinity of one output channel of one sample, through the argmaxes of its positions in ascending
 * order. x (xl, xu, and their gradients) is the sample's first channel of the group, w the row of the output channel.
 * Each gradient or NULL; all are added to. Nothing where x == w, and for bounds where the argmax is -1. */
void lfd_patches_scatter(const lfd_conv_dims *dims, const float *x, const float *w, const int32_t *argmax,
                         const float *grad_y, float *grad_x, float *grad_w);
/* Of one bound. */
void lfd_patches_scatter_bound(const lfd_conv_dims *dims, int upper, const float *xl, const float *xu, const float *w,
                               const int32_t *argmax, const float *grad_y, float *grad_xl, float *grad_xu,
                               float *grad_w);

#endif
