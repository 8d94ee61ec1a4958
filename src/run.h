/* Run internals: the scratch of one thread's passes over one model, and the passes without the public checks. */
#ifndef LFD_RUN_H
#define LFD_RUN_H

#include "model.h"

/* What a training run keeps of a layer from forward to backward. */
typedef struct lfd_layer_record {
    float *output;   /* max_batch x n_out; the last layer's is run->distances */
    void *workspace; /* as the layer asked for */
} lfd_layer_record;

/* Beside the public kinds: forward in EVALUATE and backward to the inputs alone, without gradients of parameters. */
enum { LFD_RUN_ASCENT = 2 };

struct linfdist_run {
    linfdist_context *context; /* the model's */
    linfdist_model *model;     /* retained */
    int32_t kind;
    size_t max_batch;

    /* Inputs of a pass, contiguous: input for forward, lower[0] and upper[0] for bounds. The pairs hold the layers'
     * values in turn; a training run's backward uses lower for its gradients, an inference run's forward for its
     * values (its input is lower[0]). */
    float *input;
    float *lower[2], *upper[2];
    lfd_layer_record *records; /* runs with a backward; NULL otherwise */

    float *distances, *bound_lower, *bound_upper; /* max_batch x classes */
    size_t batch, bounds_batch;                   /* of the last pass; 0: no result */

    /* Runs with a backward. */
    int32_t mode;
    float p;
    int ready; /* a forward pass waits for its backward */
    float *grad_distances;
    float grad_scalar;
    float **gradients; /* per tensor of the model; NULL for buffers. NULL in an ascent run */
    float gradient_p;  /* p of the last backward pass; 0 before the first */
};

/* linfdist_run_create for any kind, its arguments checked. */
linfdist_status lfd_run_create(linfdist_model *model, int32_t kind, size_t max_batch, linfdist_run **run);

/* Distances of the batch rows in run->input. checked: layer outputs above LFD_LIMIT are NOT_FINITE; otherwise it cannot
 * fail. On failure the run has no result and the model has not changed. */
linfdist_status lfd_run_forward(linfdist_run *run, size_t batch, int32_t mode, float p, int checked);
/* Bounds of the batch rows in run->lower[0] and run->upper[0], which are overwritten. */
linfdist_status lfd_run_bounds(linfdist_run *run, size_t batch, int checked);
/* Runs with a backward: gradients of the last forward pass, from grad_distances and grad_scalar. Returns dL/dx,
 * contiguous, when wanted, else NULL. */
const float *lfd_run_backward(linfdist_run *run, int want_grad_x);

#endif
