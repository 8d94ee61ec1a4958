/* What a layer is to everything outside src/layers/. A new kind of layer is one file here and one line in layer.c. */
#ifndef LFD_LAYER_H
#define LFD_LAYER_H

#include "../model.h"

/* One layer in one pass over one batch. Inputs and outputs are contiguous, batch x n_in and batch x n_out. */
typedef struct lfd_layer_pass {
    linfdist_context *context;
    const lfd_layer_spec *spec;
    const lfd_tensor *tensors; /* this layer's, as describe() ordered them */
    float *const *gradients;   /* of the tensors, NULL for buffers; backward only. NULL: none are wanted */
    void *workspace;           /* lasts from forward to backward; NULL in inference runs */
    size_t batch;
    int32_t mode; /* LINFDIST_EVALUATE or LINFDIST_TRAIN */
    float p;
} lfd_layer_pass;

struct lfd_layer_ops {
    int32_t kind;
    const char *label; /* for messages, and the kind in model files */
    int64_t tensor_count;
    /* Whether the spec's numbers make a layer; they may be hostile. Everything below may rely on it. */
    linfdist_status (*check)(const lfd_layer_spec *spec);
    /* Name, role and shape of each tensor. */
    void (*describe)(const lfd_layer_spec *spec, lfd_tensor *tensors);
    /* What a training run sets aside: rows x columns 4-byte words. Or NULL for nothing. */
    void (*workspace)(const lfd_layer_spec *spec, size_t max_batch, size_t *rows, size_t *columns);
    /* Changes nothing of the model: what TRAIN moves waits in the workspace for commit. */
    void (*forward)(const lfd_layer_pass *pass, const float *x, float *y);
    /* At p = infinity, EVALUATE, without a workspace. */
    void (*forward_bounds)(const lfd_layer_pass *pass, const float *x_lower, const float *x_upper, float *y_lower,
                           float *y_upper);
    /* Adds to the gradients and overwrites grad_x (or NULL). x and y as the forward pass left them. */
    void (*backward)(const lfd_layer_pass *pass, const float *x, const float *y, const float *grad_y, float *grad_x);
    /* After a whole TRAIN pass has succeeded: moves the buffers. Or NULL. */
    void (*commit)(const lfd_layer_pass *pass);
};

extern const struct lfd_layer_ops lfd_layer_distance;
extern const struct lfd_layer_ops lfd_layer_mean_shift;
extern const struct lfd_layer_ops lfd_layer_bias;

/* NULL for an unknown kind. */
const struct lfd_layer_ops *lfd_layer_find(int32_t kind);

/* For describe(): name is the layer's plus suffix; columns 0 makes a vector. */
void lfd_layer_tensor(const lfd_layer_spec *spec, const char *suffix, int32_t role, int64_t rows, int64_t columns,
                      lfd_tensor *tensor);
/* For check(): layers that treat every feature on its own. */
linfdist_status lfd_layer_check_elementwise(const lfd_layer_spec *spec);

#endif
