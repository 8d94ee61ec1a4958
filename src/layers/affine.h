/* What linear layers and convolutions share: y = s W x + b with s = 1 / sqrt(fan in), tensors weight and bias. */
#ifndef LFD_AFFINE_H
#define LFD_AFFINE_H

#include "layer.h"

/* 1 / sqrt of the inputs of one output, those of all groups together. */
double lfd_affine_scale(const lfd_layer_spec *spec);
size_t lfd_affine_scratch(const lfd_layer_spec *spec, size_t max_batch, size_t threads);
void lfd_affine_forward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y);
void lfd_affine_backward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y, const lfd_signal *grad_y,
                         const lfd_signal *grad_x);
double lfd_affine_growth(const lfd_layer_pass *pass, double magnitude);

#endif
