/* The kernels of lib/ on whole arrays: tiled over the context's threads, arguments already checked. operators.c puts
 * the public checks in front of these; the layers call them directly. groups as in linfdist_distance_shape. */
#ifndef LFD_OPS_H
#define LFD_OPS_H

#include "context.h"

/* Least eps that something is divided by. */
#define LFD_EPS_LEAST (1 / (double)LFD_LIMIT)

/* Shape of a whole grouped operator; strides of rows in floats. */
typedef struct lfd_dims {
    size_t batch, n_in, n_out, groups;
    size_t x_stride, w_stride, y_stride;
} lfd_dims;

/* What the kernels of a pass need of a finite p, whatever floating-point environment the caller has. */
void lfd_forward_power(lfd_power *power, float p, size_t n_in);
void lfd_backward_power(lfd_power *power, float p);

/* p = infinity selects the l_inf kernels. argmax or NULL. */
void lfd_distance_forward(linfdist_context *context, const lfd_dims *dims, float p, const float *x, const float *w,
                          float *y, int32_t *argmax);
/* grad_x or grad_w may be NULL; both are added to. grad_d: room for as much as grad_y, for p = infinity and grad_w. */
void lfd_distance_backward(linfdist_context *context, const lfd_dims *dims, float p, const float *x, const float *w,
                           const float *y, const int32_t *argmax, const float *grad_y, float *grad_d, float *grad_x,
                           float *grad_w);
/* arg_l and arg_u: both or neither. */
void lfd_bounds_forward(linfdist_context *context, const lfd_dims *dims, const float *xl, const float *xu,
                        const float *w, float *yl, float *yu, int32_t *arg_l, int32_t *arg_u);
/* grad_xl, grad_xu, grad_w: each or NULL; all are added to. */
void lfd_bounds_backward(linfdist_context *context, const lfd_dims *dims, const float *xl, const float *xu,
                         const float *w, const int32_t *arg_l, const int32_t *arg_u, const float *grad_yl,
                         const float *grad_yu, float *grad_xl, float *grad_xu, float *grad_w);

/* Arrays batch x channels x positions, contiguous. sums: channels numbers, what x, lower and upper (each or NULL) add
 * up to, in this order. */
void lfd_channel_sums(linfdist_context *context, size_t batch, size_t channels, size_t positions, const float *x,
                      const float *lower, const float *upper, double *sums);
/* means = sums / terms. */
void lfd_channel_means(size_t channels, const double *sums, double terms, float *means);
/* y = x - shift[channel]; y may be x. */
void lfd_channel_shift(linfdist_context *context, size_t batch, size_t channels, size_t positions, const float *x,
                       const float *shift, float *y);
/* running = (1 - momentum) running + momentum mean. */
void lfd_running_mean(size_t channels, float momentum, const float *mean, float *running);
void lfd_zero(linfdist_context *context, size_t n, float *x);
void lfd_adam_apply(linfdist_context *context, const lfd_adam *adam, size_t n, const float *grad, float *w, float *m,
                    float *v);
/* Constants of step t >= 1. */
void lfd_adam_prepare(lfd_adam *adam, double beta1, double beta2, double epsilon, int64_t t, double lr);
/* given or NULL for the defaults; checks every field. */
linfdist_status lfd_adam_options_read(linfdist_adam_options *options, const linfdist_adam_options *given);

/* linfdist_lp_decay with rate lr weight_decay, arguments already checked; p = 2 is the plain decay. */
void lfd_lp_decay(linfdist_context *context, size_t rows, size_t columns, float p, double lr, double weight_decay,
                  float *w);
/* The rate lr weight_decay is in [0, 1]. */
linfdist_status lfd_check_decay_rate(double lr, double weight_decay);

/* Offset of the first number that is NaN, below low or above high, SIZE_MAX for none. context or NULL for the calling
 * thread alone. */
size_t lfd_first_outside(linfdist_context *context, const float *x, size_t rows, size_t columns, size_t stride,
                         float low, float high);

/* Offset of the first lower end above its upper one, SIZE_MAX for none. */
size_t lfd_first_inverted(linfdist_context *context, const float *x_lower, const float *x_upper, size_t rows,
                          size_t columns, size_t stride);

/* Every number finite and at most LFD_LIMIT in magnitude; the message names the array, row and column. context
 * as above. */
linfdist_status lfd_check_matrix(linfdist_context *context, const float *x, size_t rows, size_t columns, size_t stride,
                                 const char *name);

/* The same for gradients that Adam takes, of at most 2^LFD_GRADIENT_EXPONENT: it keeps their squares. */
enum { LFD_GRADIENT_EXPONENT = 49 };
linfdist_status lfd_check_gradient(linfdist_context *context, const float *x, size_t rows, size_t columns,
                                   const char *name);

/* Finite, and not negative (RANGE): they are sums of squares. */
linfdist_status lfd_check_second_moments(linfdist_context *context, const float *v, size_t n, const char *name);

/* x_lower and x_upper, fit numbers and nowhere inverted. */
linfdist_status lfd_check_intervals(linfdist_context *context, const float *x_lower, const float *x_upper, size_t rows,
                                    size_t columns, size_t stride);

/* linfdist_distance_weights_init from one of the seed's independent sequences; the public function's is stream 0. */
linfdist_status lfd_distance_weights_init(uint64_t seed, uint64_t stream, int64_t n_out, int64_t channels_per_group,
                                          int64_t groups, int64_t kernel_h, int64_t kernel_w, float std,
                                          float identity_value, float *w);

#endif
