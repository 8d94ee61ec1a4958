/* Model internals. The model is a sequence of layers; nothing outside src/layers/ but nets.c knows a layer by name: the
 * run, the optimizer, the certifier and the model files walk the layers through struct lfd_layer_ops and the tensors
 * through the model's list. */
#ifndef LFD_MODEL_H
#define LFD_MODEL_H

#include "context.h"

struct lfd_layer_ops;

#define LFD_LAYERS_MAX 4096

/* A parameter or a buffer. Trainable tensors have gradients; running means do not. */
typedef struct lfd_tensor {
    char name[72]; /* a layer's and the longest suffix, ".mean_shift.running_mean" */
    int32_t role;  /* LINFDIST_ROLE_* */
    int lp_rows;   /* weights whose rows are points of an l_p space: they have a weight decay of their own */
    int32_t dims;
    int64_t shape[LINFDIST_MAX_DIMS];
    size_t count;
    float *data; /* owned by the model */
} lfd_tensor;

/* The shape of a sample between layers, channel-major. */
typedef struct lfd_extent {
    int64_t channels, height, width;
} lfd_extent;

/* Of a convolution; all zero elsewhere. */
typedef struct lfd_window {
    int64_t out_channels, kernel_h, kernel_w, stride, padding, dilation;
} lfd_window;

/* What makes a layer, and all that a model file stores of its architecture. */
typedef struct lfd_layer_spec {
    int32_t kind;                /* LINFDIST_LAYER_* */
    int64_t n_in, n_out, groups; /* features; 0 where they follow from the layers before and the window */
    lfd_window window;
    char name[48];      /* "fc_dist.0": layers of one block share it, tensors are name + ".weight" and so on */
    lfd_extent in, out; /* filled by lfd_architecture_resolve */
} lfd_layer_spec;

typedef struct lfd_layer {
    lfd_layer_spec spec;
    const struct lfd_layer_ops *ops;
    int64_t first_tensor, tensor_count; /* into the model's list */
} lfd_layer;

typedef struct lfd_statistics {
    int64_t channels; /* 0: none */
    double *mean;
    double std, low, high;
} lfd_statistics;

struct linfdist_model {
    atomic_int references; /* runs and optimizers share the model */
    linfdist_context *context;
    int64_t channels, height, width_px, n_in, classes;
    int32_t outputs; /* LINFDIST_OUTPUTS_* */
    int32_t learned_scalar;
    int64_t layer_count;
    int64_t split; /* the layers before it are 1-Lipschitz: for them bounds are values -+ eps */
    lfd_layer *layers;
    int64_t tensor_count;
    lfd_tensor *tensors; /* layers' tensors in layer order, then "scalar" if learned */
    lfd_statistics statistics;
};

/* The shape of a model without its numbers: what the create functions build and a model file's header holds. */
typedef struct lfd_architecture {
    int64_t channels, height, width_px, classes;
    int32_t outputs, learned_scalar;
    int64_t layer_count;
    lfd_layer_spec *layers; /* borrowed and completed by lfd_architecture_resolve */
} lfd_architecture;

/* n_in = channels height width_px, at least 1 and below 2^31. */
linfdist_status lfd_architecture_features(const lfd_architecture *architecture, int64_t *n_in);
/* Checks that the layers fit together (SHAPE, INVALID_ARGUMENT otherwise, never a crash on hostile numbers) and fills
 * in what follows from the layers before. */
linfdist_status lfd_architecture_resolve(const lfd_architecture *architecture);
/* Resolves the architecture and makes a model whose tensors are all zero, the scalar 1. */
linfdist_status lfd_model_create(linfdist_context *context, const lfd_architecture *architecture,
                                 linfdist_model **model);
linfdist_model *lfd_model_retain(linfdist_model *model);
void lfd_model_release(linfdist_model *model);
/* Fills view from a tensor of the model, its data replaced; writes what the caller's struct_size holds. */
linfdist_status lfd_tensor_view(const lfd_tensor *tensor, float *data, linfdist_tensor *view, const char *name);
/* 1 for parameters, 0 for buffers. */
int lfd_tensor_trains(const lfd_tensor *tensor);
/* index in [0, tensor_count), RANGE otherwise. */
linfdist_status lfd_model_check_tensor_index(const linfdist_model *model, int64_t index);
/* NOT_FINITE, naming the tensor, unless every number of every tensor is finite and at most LFD_LIMIT. */
linfdist_status lfd_model_check_finite(const linfdist_model *model);
/* Zeroed rows x columns of 4-byte numbers, the product checked. */
linfdist_status lfd_alloc_floats(const linfdist_context *context, size_t rows, size_t columns, const char *what,
                                 float **floats);
void lfd_statistics_clear(const linfdist_context *context, lfd_statistics *statistics);
/* Initial parameters: weights of distances as by linfdist_distance_weights_init with std 1, other weights normal
 * deviates, every layer's from a sequence of its own; everything else as lfd_model_create leaves it. */
linfdist_status lfd_model_init_weights(linfdist_model *model, uint64_t seed, float identity_value);
/* 1 where the smallest output wins (distances), -1 where the largest does (logits). */
int lfd_model_sign(const linfdist_model *model);
/* 1 where all layers are 1-Lipschitz: half the margin is a certified radius. */
int lfd_model_lipschitz(const linfdist_model *model);
/* The class that wins: the lowest index of the smallest distance or largest logit. */
int32_t lfd_model_winner(const linfdist_model *model, const float *outputs);
/* By how much every other class is behind label at least; negative where one is ahead. */
double lfd_model_margin(const linfdist_model *model, const float *outputs, int32_t label);
/* z_j = factor * output_j: -scalar for distances, 1 for logits. */
double lfd_model_logit_factor(const linfdist_model *model);
/* The scalar's value: 1 when it is not learned. */
float lfd_model_scalar(const linfdist_model *model);
/* Index of a tensor, -1 when there is none. */
int64_t lfd_model_tensor_index(const linfdist_model *model, const char *name);
/* The same, INVALID_ARGUMENT when there is none. */
linfdist_status lfd_model_find_index(const linfdist_model *model, const char *name, int64_t *index);

#endif
