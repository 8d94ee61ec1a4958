/* Layers of a golden as one model of the library, run forward and backward. */
#ifndef GOLDEN_CHECK_NET_H
#define GOLDEN_CHECK_NET_H

#include "check.h"

/* x alone, or x with its interval: the tensors of one stage. Bounds are NULL when the case has none. */
typedef struct net_triple {
    float *x, *lower, *upper;
} net_triple;

net_triple net_new_triple(check *c, size_t count, int bounds);
net_triple net_read_triple(check *c, const char *x, const char *lower, const char *upper, size_t count, int bounds);
void net_compare_triple(check *c, const char *x, const char *lower, const char *upper, const net_triple *got,
                        size_t count);

typedef struct net_case {
    int64_t batch, channels, height, width_px; /* of x */
    int64_t n_out;
    linfdist_layer layers[3];
    int64_t layer_count;
    int32_t outputs;         /* LINFDIST_OUTPUTS_* */
    int bias;                /* the file has one */
    int bounds;              /* x has an interval */
    int margins;             /* the file has "worst" against "targets" in place of the outputs' bounds */
    int32_t mode;            /* LINFDIST_EVALUATE or LINFDIST_TRAIN */
    float p;                 /* infinity with bounds */
    double w_scale, b_scale; /* factors of weight and bias that the library's layers do not have: they go into the
                                tensors, and by the chain rule into the tensors' gradients. 1 elsewhere */
} net_case;

/* Evaluation at p = infinity with scales 1 of batch samples of that shape. */
net_case net_begin(int64_t batch, int64_t channels, int64_t height, int64_t width_px);
void net_add(check *c, net_case *n, int32_t kind);
/* A case from the tensor "dims" = (batch, channels, height, width, outputs, kernel height, kernel width, stride,
 * padding, dilation, groups, output height, output width), with one convolution of that kind. */
net_case net_begin_window(check *c, int32_t kind);
/* Outputs, gradients and running mean against the file. */
void net_check(check *c, const net_case *n);

#endif
