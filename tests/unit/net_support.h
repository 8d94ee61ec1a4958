/* Helpers of the tests of models, runs, optimizers and certifiers. */
#ifndef NET_SUPPORT_H
#define NET_SUPPORT_H

#include "expect.h"

#define OK(call) expect_ok(call)
#define FAILS(call, status, text) expect_error(call, status, text)

/* Inputs 1 x 1 x n_in, identity 10, learned scalar. */
linfdist_model *net_mlp(linfdist_context *context, int64_t depth, int64_t width, int64_t n_in, int64_t classes,
                        uint64_t seed);
/* The same numbers for the same seed, evenly spread over [low, high). */
void net_uniform(float *x, size_t count, float low, float high, uint32_t seed);
/* Seeded running means and biases, which start at zero otherwise. */
void net_disturb(linfdist_model *model, uint32_t seed);
linfdist_tensor net_tensor(linfdist_model *model, const char *name);
/* linfdist_run_loss of the paper's mixture. */
linfdist_status net_mixture(linfdist_run *run, const int32_t *labels, double eps, double lambda, double *value);
/* All tensors of both models have the same bits. */
int net_same(linfdist_model *a, linfdist_model *b);

/* A second implementation, in plain double loops. Holds its own copy of the parameters. */
typedef struct reference {
    int64_t depth, n_in, classes;
    int64_t width[16];   /* outputs of distance layer i */
    double *weight[16];  /* width[i] x inputs */
    double *running[16]; /* width[i]; all but the last */
    double *bias;        /* classes */
} reference;

void reference_create(reference *net, linfdist_model *model);
void reference_destroy(reference *net);
/* distances: batch x classes. TRAIN uses the batch's means; batch_means (or NULL): those of layer 0. */
void reference_forward(const reference *net, const double *x, int64_t batch, int32_t mode, double p, double *distances,
                       double *batch_means);

#endif
