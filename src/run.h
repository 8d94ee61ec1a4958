/* Run internals: the scratch of one thread's passes over one model, and the passes without the public checks. */
#ifndef LFD_RUN_H
#define LFD_RUN_H

#include "layers/layer.h"
#include "model.h"

/* Beside the public kinds: forward in EVALUATE and backward to the inputs alone, without gradients of parameters. */
enum { LFD_RUN_ASCENT = 3 };

/* Whose gradients stand in a run: nobody's, those of its own samples, or all workers'. */
enum { LFD_GRADIENTS_ZERO, LFD_GRADIENTS_OWN, LFD_GRADIENTS_REDUCED };

struct linfdist_run {
    linfdist_context *context; /* the model's */
    linfdist_model *model;     /* retained */
    int32_t kind;
    size_t max_batch;

    /* What enters layer i, and last the outputs. Runs with a backward keep all values, and the bounds from layer
     * kept_bounds on. Elsewhere values and bounds stand in two pairs of buffers that the layers use in turn: a value
     * where the pair has its lower bound, so that passes are of values or of bounds; but the values before layer
     * model->split, where Lipschitz bounds begin, are always kept. */
    lfd_signal *signals;
    lfd_signal *plain; /* bounds in the pairs alone: passes of linfdist_forward_bounds, which disturb no backward */
    int64_t kept_bounds;
    void **workspaces;     /* of the layers; NULL in inference runs */
    float *scratch;        /* of one call of a layer */
    void *const *prepared; /* of the layers (lfd_prepare), borrowed; NULL for none */

    lfd_workers workers; /* that share the batches of TRAIN passes */

    size_t batch, bounds_batch; /* of the last pass; 0: no result */
    double samples;             /* batch, with the other workers' */
    const lfd_signal *bounds;   /* of the outputs, of the last pass that had any */
    float *margins;             /* max_batch x classes, of the last call of lfd_run_margins */
    int32_t *labels;            /* theirs */
    int32_t mode;
    float p;
    int intervals; /* the last forward pass carried bounds */

    /* Runs with a backward. */
    int ready;                                                    /* a forward pass waits for its backward */
    int margins_on;                                               /* margins were made of it, and may have gradients */
    float *grad_outputs, *grad_margins, *grad_lower, *grad_upper; /* max_batch x classes */
    float grad_scalar;
    lfd_signal grads[2]; /* of what enters the layers, in turn */
    float **gradients;   /* per tensor of the model; NULL for buffers. NULL in an ascent run */
    int gradient_state;  /* LFD_GRADIENTS_* */
    float gradient_p;    /* p of the last backward pass; 0 before the first */

    void **owned; /* all memory of the run */
    size_t owned_count;
};

/* linfdist_run_create for any kind, its arguments checked. prepared: one pointer per layer (lfd_prepare), or NULL. */
linfdist_status lfd_run_create(linfdist_model *model, int32_t kind, size_t max_batch, void *const *prepared,
                               linfdist_run **run);

/* Outputs of the batch rows in signals[0].value; intervals: and bounds of those in lower and upper. checked: layer
 * outputs above LFD_LIMIT are NOT_FINITE; otherwise it cannot fail. On failure the run has no result and the model has
 * not changed. */
linfdist_status lfd_run_forward(linfdist_run *run, size_t batch, int32_t mode, float p, int intervals, int checked);
/* Bounds of the outputs from those that stand in plain[first], which are overwritten, at p = infinity in EVALUATE. */
linfdist_status lfd_run_bounds(linfdist_run *run, int64_t first, size_t batch, int checked);
/* One layer of lfd_run_bounds, for one sample: bounds in plain[index] to those in plain[index + 1]. */
void lfd_run_bounds_step(linfdist_run *run, int64_t index);
/* Margins (linfdist_run_margins) against run->labels of what stands in plain[first], with the rounding of the outputs
 * (lfd_layer_ops.margins). It cannot fail. */
void lfd_run_sound_margins(linfdist_run *run, int64_t first, size_t batch);
/* Margins against run->labels of the last forward pass. */
linfdist_status lfd_run_margins(linfdist_run *run, const int32_t *labels, double eps_normalized);
/* Rounds the interval value -+ eps outwards. */
void lfd_run_widen(const float *value, size_t count, double eps, float *lower, float *upper);
/* Runs with a backward: gradients of the last forward pass. grad_x: dL/d of what entered, as far as wanted; members
 * that were not are NULL. It fails with the workers' hooks alone, and then leaves zero gradients. */
linfdist_status lfd_run_backward(linfdist_run *run, int want_value, int want_bounds, lfd_signal *grad_x);
void lfd_run_clear_gradients(linfdist_run *run);

#endif
