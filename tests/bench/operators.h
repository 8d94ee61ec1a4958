/* The distance operators on the caller's arrays. */
#ifndef OPERATORS_H
#define OPERATORS_H

#include "nets.h"
#include "timing.h"

enum { OPERATOR_LINF, OPERATOR_LINF_ARGMAX, OPERATOR_BOUNDS, OPERATOR_LP, OPERATOR_LP_BACKWARD, OPERATORS };

extern const char *const operator_names[OPERATORS];

/* Arrays of one shape and what a call needs. */
typedef struct operands {
    linfdist_context *context;
    linfdist_distance_shape shape;
    float p;
    float *x, *x_upper, *w, *y, *y_upper, *grad_y, *grad_x, *grad_w;
    int32_t *argmax;
} operands;

/* Inputs in [-2, 2) and normal weights of standard deviation 1, as a new net has them. */
void operands_random(operands *o, int64_t batch, int64_t n_out, int64_t n_in);
/* A layer's; takes over its arrays. */
void operands_trained(operands *o, layer_data *data);
void operands_free(operands *o);
/* One call at this p, or at infinity, whatever the operator is made for. What the backward pass reads is computed
 * here. The context stays the caller's. */
work operator_work(operands *o, int which, linfdist_context *context, double p);

/* A context of so many threads, 0: of all CPUs. */
linfdist_context *context_of(const char *isa, int threads);

#endif
