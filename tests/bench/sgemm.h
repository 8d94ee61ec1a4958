/* What everything is compared with: BLIS's single-precision product on one thread. */
#ifndef SGEMM_H
#define SGEMM_H

#include "nets.h"
#include "timing.h"

/* "zen3", "generic", "none": see lib/gemm/gemm.h. */
const char *sgemm_configuration(void);
/* Whether BLIS has kernels for this processor: no ratio to anything else is printed. */
int sgemm_comparable(void);

/* Products that run one after the other, on arrays of random numbers of their own. */
typedef struct sgemms sgemms;

sgemms *sgemms_create(void);
void sgemms_destroy(sgemms *s);
/* y = x w^T, with x batch x n_in and w n_out x n_in. */
void sgemms_add_forward(sgemms *s, int64_t batch, int64_t n_out, int64_t n_in);
/* The same of every layer: the forward pass of an MLP. */
void sgemms_add_net(sgemms *s, const layer_sizes *sizes, int64_t batch);
/* And grad_x = grad_y w and grad_w = grad_y^T x of every layer. */
void sgemms_add_training(sgemms *s, const layer_sizes *sizes, int64_t batch);
/* As a piece of work; none where sgemm_comparable() is 0. */
work sgemms_work(sgemms *s);
/* Multiply-adds of all of them. */
double sgemms_elements(const sgemms *s);

#endif
