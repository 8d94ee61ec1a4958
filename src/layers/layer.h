/* What a layer is to everything outside src/layers/. A new kind of layer is one file here and one line in layer.c. */
#ifndef LFD_LAYER_H
#define LFD_LAYER_H

#include "../../lib/patches.h"
#include "../codes.h"
#include "../model.h"
#include "../workers.h"

/* What travels through the layers: values, and in some passes their interval bounds. Contiguous, batch x features.
 * value is NULL in passes of bounds alone, lower and upper in passes of values alone. */
typedef struct lfd_signal {
    float *value, *lower, *upper;
} lfd_signal;

/* One layer in one pass over one batch. */
typedef struct lfd_layer_pass {
    linfdist_context *context;
    const lfd_layer_spec *spec;
    const lfd_tensor *tensors; /* this layer's, as describe() ordered them */
    float *const *gradients;   /* of the tensors, NULL for buffers; backward only. NULL: none are wanted */
    void *workspace;           /* lasts from forward to backward; NULL in inference runs */
    float *scratch;            /* lasts for one call: as many floats as scratch() asked for */
    const void *prepared;      /* what prepare() made, or NULL */
    size_t batch;
    double samples;       /* that means of the batch are over: those of all workers */
    lfd_workers *workers; /* whose sums those means need; NULL: there are no others */
    int32_t mode;         /* LINFDIST_EVALUATE or LINFDIST_TRAIN */
    float p;
} lfd_layer_pass;

struct lfd_layer_ops {
    int32_t kind;
    const char *label; /* for messages, and the kind in model files */
    int64_t tensor_count;
    int lipschitz;   /* at p = infinity no output moves by more than the largest move of an input, so that the outputs
                        -+ eps bound what inputs within eps can do */
    int window;      /* a convolution: the spec has kernel, stride, padding, dilation and output channels */
    int elementwise; /* as many outputs as inputs: n_out is not asked for */
    int exact_at_p;  /* bounds exist at p = infinity alone */
    /* Fills spec->out and spec->n_out from spec->in and the parameters, which may be hostile: SHAPE or INVALID_ARGUMENT
     * unless they make a layer. Everything below may rely on it. spec->n_out is 0 where it follows from the rest. */
    linfdist_status (*check)(lfd_layer_spec *spec);
    /* Name, role and shape of each tensor. NULL without tensors. */
    void (*describe)(const lfd_layer_spec *spec, lfd_tensor *tensors);
    /* What a run with a backward sets aside: rows x columns 4-byte words; bounded: also for the bounds' backward. Or
     * NULL for nothing. */
    void (*workspace)(const lfd_layer_spec *spec, size_t max_batch, int bounded, size_t *rows, size_t *columns);
    /* Floats of scratch that one call of forward, backward or margins needs. Or NULL for none. */
    size_t (*scratch)(const lfd_layer_spec *spec, size_t max_batch, size_t threads);
    /* What makes inference at p = infinity faster: from the layer's tensors, which must stay as they are, and a range
     * (bounds alone, batch 1) in which its inputs usually lie. It never changes results. *prepared stays NULL where
     * there is nothing to gain. forget() frees it; prepared_scratch() is what forward needs with it in place of
     * scratch(). All three or none. */
    linfdist_status (*prepare)(const lfd_layer_pass *pass, const lfd_signal *range, void **prepared);
    void (*forget)(const linfdist_context *context, void *prepared);
    size_t (*prepared_scratch)(const lfd_layer_spec *spec, size_t max_batch);
    /* For screens (screen.h), at p = infinity: with inputs in [top - 255 step, top], the tops of the outputs. A
     * distance is made ready for codes; a layer that shifts its features leaves *coded NULL. Or NULL for other layers.
     */
    linfdist_status (*code)(const lfd_layer_pass *pass, double step, const double *tops, double *output_tops,
                            lfd_code_rows **coded);
    /* Values from values and bounds from bounds, whichever x has; y has the same. Bounds contain every value that the
     * values' arithmetic makes of float inputs between x's bounds. Changes nothing of the model: what TRAIN moves waits
     * in the workspace for commit. In a pass of bounds alone after one of values, TRAIN finds there what the values
     * left. */
    void (*forward)(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y);
    /* Adds to the gradients and overwrites the members of grad_x that are not NULL. x and y as the forward pass left
     * them; members of grad_y that are NULL count as zero, lower and upper come together. */
    void (*backward)(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y, const lfd_signal *grad_y,
                     const lfd_signal *grad_x);
    /* After a whole TRAIN pass has succeeded: moves the buffers. Or NULL. */
    void (*commit)(const lfd_layer_pass *pass);
    /* A bound of the outputs' magnitude for inputs of at most that magnitude. */
    double (*growth)(const lfd_layer_pass *pass, double magnitude);
    /* A last layer that merges the class difference into its bounds: margins (batch x n_out) receives bounds from above
     * of y_j - y_label for inputs in [x->lower, x->upper], 0 for the label itself. sound: the bound also covers what
     * rounding does to the float outputs, so that margins[j] < 0 proves y_j < y_label for the float net; otherwise it
     * is the plain formula of the paper. Or NULL. */
    void (*margins)(const lfd_layer_pass *pass, const lfd_signal *x, const int32_t *labels, int sound, float *margins);
    /* Adds to the gradients, to grad_x->lower and to grad_x->upper. With margins, or NULL. */
    void (*margins_backward)(const lfd_layer_pass *pass, const lfd_signal *x, const int32_t *labels,
                             const float *grad_margins, const lfd_signal *grad_x);
};

extern const struct lfd_layer_ops lfd_layer_distance;
extern const struct lfd_layer_ops lfd_layer_mean_shift;
extern const struct lfd_layer_ops lfd_layer_bias;
extern const struct lfd_layer_ops lfd_layer_distance_conv;
extern const struct lfd_layer_ops lfd_layer_linear;
extern const struct lfd_layer_ops lfd_layer_conv;
extern const struct lfd_layer_ops lfd_layer_tanh;
extern const struct lfd_layer_ops lfd_layer_relu;

/* NULL for an unknown kind. */
const struct lfd_layer_ops *lfd_layer_find(int32_t kind);

/* One sample through a layer of a model as it is: EVALUATE at p = infinity, without scratch. */
lfd_layer_pass lfd_layer_inference(const linfdist_model *model, int64_t index);
/* For describe(): name is the layer's plus suffix; dims entries of shape. */
void lfd_layer_tensor(const lfd_layer_spec *spec, const char *suffix, int32_t role, int32_t dims, const int64_t *shape,
                      lfd_tensor *tensor);
/* A layer's name, 1 to room - 1 printable ASCII characters as files can keep them, and its kind. index: of the layer,
 * for messages. */
linfdist_status lfd_layer_look_up(const char *name, size_t room, int32_t kind, int64_t index,
                                  const struct lfd_layer_ops **ops);
/* For check(): layers that treat every feature on its own. */
linfdist_status lfd_layer_check_elementwise(lfd_layer_spec *spec);
/* For check(): layers from all features to n_out. */
linfdist_status lfd_layer_check_dense(lfd_layer_spec *spec);
/* For check(): convolutions. */
linfdist_status lfd_layer_check_window(lfd_layer_spec *spec);
/* For backward() of sums: zeroes the members of grad_x that are not NULL. */
void lfd_layer_clear(const lfd_layer_pass *pass, const lfd_signal *grad_x);
/* For backward(): a gradient that passes through, zero where grad_y is NULL; nothing where grad_x is NULL. */
void lfd_layer_pass_on(const lfd_layer_pass *pass, const float *grad_y, float *grad_x);
/* The arrays of a convolution. */
lfd_conv_dims lfd_layer_conv_dims(const lfd_layer_spec *spec, size_t batch);
/* For describe() of convolutions: out_channels x channels / groups x kernel_h x kernel_w. */
void lfd_layer_kernel_tensor(const lfd_layer_spec *spec, lfd_tensor *tensor);
/* The workspace() of distances: room for the argmaxes of an l_inf pass, of the values and of both bounds. */
void lfd_layer_argmax_room(const lfd_layer_spec *spec, size_t max_batch, int bounded, size_t *rows, size_t *columns);
/* Where distances keep the argmaxes of an l_inf pass: in the workspace, values' first; NULL where nothing is kept.
 * bounded: the pass has bounds, whose argmaxes the workspace has room for. */
typedef struct lfd_argmaxes {
    int32_t *value, *lower, *upper;
} lfd_argmaxes;
lfd_argmaxes lfd_layer_argmaxes(const lfd_layer_pass *pass, int bounded);
/* For growth(): the largest magnitude of a tensor's numbers. */
double lfd_layer_largest(const lfd_tensor *tensor);
/* The growth() of layers whose only tensor is subtracted or added. Padding is no larger than any input. */
double lfd_layer_growth(const lfd_layer_pass *pass, double magnitude);

#endif
