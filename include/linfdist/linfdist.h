/* liblinfdist: train, run and certify l_inf-distance nets.
 *
 * A neuron is d_j(x) = max_i |x_i - W_ji|; every such layer is 1-Lipschitz in the max norm, so the distances of one
 * forward pass bound every perturbation of size eps (up to rounding: see linfdist_certify). "Paper" below is Zhang,
 * Jiang, He, Wang: Boosting the Certified Robustness of L-infinity Distance Nets (ICLR 2022, arXiv 2110.06850), and
 * "2021 paper" Zhang, Cai, Lu, He, Wang: Towards Certifying L-infinity Robustness using Neural Networks with
 * L-inf-dist Neurons (ICML 2021, arXiv 2102.05363).
 *
 * Rules that hold for every function unless its comment says otherwise
 *   status    Functions that can fail return linfdist_status. On failure nothing the caller owns was changed, and
 *             linfdist_last_error() names the argument and the value. Nothing is printed, nothing aborts.
 *   NULL      A NULL pointer is LINFDIST_ERROR_INVALID_ARGUMENT. Pointers marked "or NULL" may be left out.
 *             Every destroy function accepts NULL.
 *   sizes     Sizes, counts and strides are int64_t >= 1. Matrices are row-major; a stride is the distance between the
 *             starts of two rows, in elements, at least the row's length. Natural alignment is enough; nothing is
 *             read or written past the last element of a row.
 *   values    NaN, infinity and magnitudes above 2^100 in the numbers of an array are LINFDIST_ERROR_NOT_FINITE. A
 *             single number outside its range, NaN included, is LINFDIST_ERROR_INVALID_ARGUMENT; without a stated range
 *             it is at most 2^100 in magnitude.
 *   structs   struct_size is sizeof the struct as the caller was compiled, set by the caller or by an init function. A
 *             size below that of the struct's first version, or above 4096, is INVALID_ARGUMENT; a larger struct than
 *             this library knows is accepted where the rest is zero, and is UNSUPPORTED otherwise.
 *             Structs that the library fills are filled up to struct_size.
 *   units     "raw" is the unit of the data set's pixels (usually [0, 1]); "normalized" is (raw - mean) / std. Models,
 *             schedules and losses work in normalized units; certifiers take and return raw ones.
 *   ownership The caller owns the arrays it passes; the library keeps none of them after the call. Arrays that are
 *             written overlap no other array of the call, unless said. Views point into the object they came from and
 *             live as long as it does.
 *   lifetime  Handles may be destroyed in any order: a child keeps what it needs alive.
 *   threads   Calls on different handles may run at the same time. One handle that is only read (parameters named
 *             const, a certifier) may be used by many threads at once; a run, an optimizer, and a model that is being
 *             changed belong to one thread at a time. A context may be shared by all threads. A calling thread needs
 *             256 KiB of stack, as a task does (linfdist_parallel_for_fn).
 *   bits      Results have the same bits on every instruction set, compiler and thread count, in training too.
 *   since     Version 0.1.0.
 */
#ifndef LINFDIST_LINFDIST_H
#define LINFDIST_LINFDIST_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LINFDIST_API __attribute__((visibility("default")))
#else
#define LINFDIST_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- version ------------------------------------------------------------------------------------------------- */

#define LINFDIST_VERSION_MAJOR 0
#define LINFDIST_VERSION_MINOR 1
#define LINFDIST_VERSION_PATCH 0
#define LINFDIST_VERSION_STRING "0.1.0"
/* Changes only when a program built against an older header would break. */
#define LINFDIST_ABI_VERSION 0

/* The library's own numbers, for programs that load it at run time. The string is static. */
LINFDIST_API const char *linfdist_version_string(void);
LINFDIST_API int32_t linfdist_version_major(void);
LINFDIST_API int32_t linfdist_version_minor(void);
LINFDIST_API int32_t linfdist_version_patch(void);
LINFDIST_API int32_t linfdist_abi_version(void);

/* ---- status and constants ------------------------------------------------------------------------------------ */

typedef int32_t linfdist_status;
enum {
    LINFDIST_OK = 0,
    LINFDIST_ERROR_INVALID_ARGUMENT = 1, /* NULL, zero or overflowed size, p < 1, label out of range, unknown enum */
    LINFDIST_ERROR_NOT_FINITE = 2,       /* NaN, infinity or a magnitude above 2^100 */
    LINFDIST_ERROR_OUT_OF_MEMORY = 3,
    LINFDIST_ERROR_UNSUPPORTED = 4,       /* an instruction set or file version this build or machine lacks */
    LINFDIST_ERROR_IO = 5,                /* open, read, write, sync or rename failed; a callback refused */
    LINFDIST_ERROR_FORMAT = 6,            /* truncated or hostile file */
    LINFDIST_ERROR_SHAPE = 7,             /* arrays, models or files that do not fit together */
    LINFDIST_ERROR_STATE = 8,             /* calls out of order, such as backward before forward */
    LINFDIST_ERROR_INVERTED_INTERVAL = 9, /* lower > upper somewhere */
    LINFDIST_ERROR_RANGE = 10             /* outside what the data or the handle allow, such as an invalid pixel */
};

/* Static text for a status; unknown values give "unknown status". */
LINFDIST_API const char *linfdist_status_string(linfdist_status status);
/* What went wrong in the calling thread's last failed call, in one line; "" when none failed yet. Valid until the
 * thread's next call into the library. */
LINFDIST_API const char *linfdist_last_error(void);

/* Largest finite p; beyond it only p = infinity is accepted. */
#define LINFDIST_P_MAX 1000.0
#define LINFDIST_MAX_DIMS 4
LINFDIST_API double linfdist_p_max(void);
LINFDIST_API int32_t linfdist_max_dims(void);

/* ---- context ------------------------------------------------------------------------------------------------- */

/* Threads, memory, log and instruction set for everything made from it. Reference counted: objects keep it alive. */
typedef struct linfdist_context linfdist_context;

/* size bytes aligned to alignment (a power of two), or NULL. Must be callable from any thread. */
typedef void *(*linfdist_alloc_fn)(void *user, size_t size, size_t alignment);
typedef void (*linfdist_free_fn)(void *user, void *memory);
/* level: 0 information, 1 warning. The message is finished text without a newline, valid during the call. */
typedef void (*linfdist_log_fn)(void *user, int32_t level, const char *message);
/* A host executor: call task(data, i) once for every i in [0, count), on any threads, and return when all are done.
 * It may be called from several threads at once, and in the default floating-point environment instead of the host's.
 * Tasks use about 180 KiB of stack: give their threads, or fibers, 256. */
typedef void (*linfdist_task_fn)(void *data, size_t index);
typedef void (*linfdist_parallel_for_fn)(void *user, linfdist_task_fn task, void *data, size_t count);

typedef struct linfdist_context_options {
    size_t struct_size;
    int32_t threads; /* default 1: the library starts no thread unless asked; 0: one per CPU this process may use; more
                        than there are CPUs is allowed (at most 1024). With a host executor: how many it runs */
    const char *isa; /* NULL: the best this machine has. "ref", "avx2", "avx512": no better than that; an error when the
                        machine lacks it. The environment variable LINFDIST_ISA caps it in the same way */
    linfdist_alloc_fn alloc; /* or NULL for malloc; alloc and free come together */
    linfdist_free_fn free;
    void *alloc_user;
    linfdist_log_fn log; /* or NULL for silence */
    void *log_user;
    linfdist_parallel_for_fn parallel_for; /* or NULL for the library's own pool */
    void *parallel_for_user;
} linfdist_context_options;

/* Fills the defaults. struct_size: sizeof(linfdist_context_options) as the caller was compiled. */
LINFDIST_API linfdist_status linfdist_context_options_init(linfdist_context_options *options, size_t struct_size);
/* options or NULL for the defaults. Errors: INVALID_ARGUMENT, UNSUPPORTED (isa), OUT_OF_MEMORY. After fork() the child
 * may go on using a context; it then works on the calling thread alone. A call that finds the pool busy with
 * another thread's call also works on its own thread. */
LINFDIST_API linfdist_status linfdist_context_create(const linfdist_context_options *options,
                                                     linfdist_context **context);
LINFDIST_API void linfdist_context_destroy(linfdist_context *context);
/* "ref", "avx2" or "avx512"; static text. NULL gives "". */
LINFDIST_API const char *linfdist_context_isa(const linfdist_context *context);
/* NULL gives 0. */
LINFDIST_API int32_t linfdist_context_threads(const linfdist_context *context);
/* 1 when this machine can run the named instruction set, 0 when not or when the name is unknown or NULL. */
LINFDIST_API int32_t linfdist_isa_available(const char *isa);

/* ---- operators: stateless functions on the caller's arrays ---------------------------------------------------- */

/* Shapes shared by the distance and bounds operators: x is batch x n_in, w is n_out x (n_in / groups), y is
 * batch x n_out. Output j is in group j / (n_out / groups) and sees that group's slice of the inputs. groups divides
 * n_in and n_out. Strides in floats. */
typedef struct linfdist_distance_shape {
    size_t struct_size;
    int64_t batch, n_in, n_out, groups;
    int64_t x_stride, w_stride, y_stride; /* also of the gradients and argmaxes of the same shape */
} linfdist_distance_shape;

/* Contiguous rows: strides n_in, n_in / groups, n_out; groups 1. */
LINFDIST_API linfdist_status linfdist_distance_shape_init(linfdist_distance_shape *shape, size_t struct_size,
                                                          int64_t batch, int64_t n_in, int64_t n_out);

/* y_bj = ||x_b - w_j||_p, p in [1, 1000] or infinity (paper, eq. 3 and 5). Exactly 0 where x_b == w_j. At p = infinity
 * argmax (batch x n_out with y's stride, or NULL) receives the lowest column of w that attains the maximum; at finite p
 * it must be NULL (INVALID_ARGUMENT). Every p is normalised: no scale of the inputs overflows or underflows. */
LINFDIST_API linfdist_status linfdist_distance_forward(linfdist_context *context, const linfdist_distance_shape *shape,
                                                       float p, const float *x, const float *w, float *y,
                                                       int32_t *argmax);
/* Adds dL/dx to grad_x (or NULL) and dL/dw to grad_w (or NULL), from y (and argmax at p = infinity) as the forward pass
 * wrote them and grad_y = dL/dy: dy_j/dx_i = sign(x_i - w_ji) (|x_i - w_ji| / y_j)^(p-1), minus that for w; 0 where
 * y = 0. At p = infinity all of it goes to the argmax, and for grad_w memory is set aside for one y; at finite p argmax
 * is not read and may be NULL. Errors: RANGE for a negative y, INVALID_ARGUMENT for an argmax that is no column,
 * OUT_OF_MEMORY; then nothing has been added. */
LINFDIST_API linfdist_status linfdist_distance_backward(linfdist_context *context, const linfdist_distance_shape *shape,
                                                        float p, const float *x, const float *w, const float *y,
                                                        const int32_t *argmax, const float *grad_y, float *grad_x,
                                                        float *grad_w);
/* Interval bounds of the l_inf distance for inputs in [x_lower, x_upper], exact for the floating-point function:
 * upper_j = max_i max(w_ji - l_i, u_i - w_ji), lower_j = max(0, max_i max(l_i - w_ji, w_ji - u_i)). The argmaxes (both
 * or neither, or NULL) are what the backward needs; -1 marks a lower bound that is 0 by the floor or an upper one that
 * is 0, which pass no gradient. Errors: INVERTED_INTERVAL. */
LINFDIST_API linfdist_status linfdist_bounds_forward(linfdist_context *context, const linfdist_distance_shape *shape,
                                                     const float *x_lower, const float *x_upper, const float *w,
                                                     float *y_lower, float *y_upper, int32_t *argmax_lower,
                                                     int32_t *argmax_upper);
/* Adds the gradients of both bounds to grad_x_lower, grad_x_upper and grad_w (each or NULL). Errors: INVERTED_INTERVAL,
 * INVALID_ARGUMENT for an argmax that is neither a column nor -1. */
LINFDIST_API linfdist_status linfdist_bounds_backward(linfdist_context *context, const linfdist_distance_shape *shape,
                                                      const float *x_lower, const float *x_upper, const float *w,
                                                      const int32_t *argmax_lower, const int32_t *argmax_upper,
                                                      const float *grad_y_lower, const float *grad_y_upper,
                                                      float *grad_x_lower, float *grad_x_upper, float *grad_w);

/* How a layer treats statistics of the batch. */
enum { LINFDIST_EVALUATE = 0, LINFDIST_TRAIN = 1 };

/* Mean shift over contiguous arrays batch x channels x positions: subtracts the mean of x per channel (over batch and
 * positions; TRAIN, which also moves running_mean by momentum towards it) or running_mean (EVALUATE). running_mean:
 * channels floats; momentum in [0, 1]. x_lower, x_upper and their outputs (all four or NULL) are shifted by the same
 * mean. y may be x. */
LINFDIST_API linfdist_status linfdist_mean_shift_forward(linfdist_context *context, int64_t batch, int64_t channels,
                                                         int64_t positions, int32_t mode, float momentum,
                                                         float *running_mean, const float *x, const float *x_lower,
                                                         const float *x_upper, float *y, float *y_lower,
                                                         float *y_upper);
/* grad_x = grad_y - S / (batch positions) in TRAIN, with S the channel sum of all given output gradients; grad_y in
 * EVALUATE. The gradients of the bounds pass unchanged and are not copied. grad_y_lower and grad_y_upper: both or NULL.
 * grad_x may be grad_y. */
LINFDIST_API linfdist_status linfdist_mean_shift_backward(linfdist_context *context, int64_t batch, int64_t channels,
                                                          int64_t positions, int32_t mode, const float *grad_y,
                                                          const float *grad_y_lower, const float *grad_y_upper,
                                                          float *grad_x);

/* Initial weights of a distance layer, n_out x (channels_per_group kernel_h kernel_w) contiguous: normal deviates of
 * standard deviation std in [0, 2^96] from the seed, then, if identity_value != 0 and the layer has at least as many
 * outputs as input channels in all groups together, -identity_value at channel (j mod channels_per_group), kernel
 * centre, of every row j. A dense layer has kernel 1 x 1. */
LINFDIST_API linfdist_status linfdist_distance_weights_init(uint64_t seed, int64_t n_out, int64_t channels_per_group,
                                                            int64_t groups, int64_t kernel_h, int64_t kernel_w,
                                                            float std, float identity_value, float *w);

/* ---- data statistics ------------------------------------------------------------------------------------------ */

/* normalized = (raw - mean[channel]) / std. One std for all channels, so that a raw radius is one normalized radius. */
typedef struct linfdist_statistics {
    size_t struct_size;
    int64_t channels;
    const double *mean; /* channels values */
    double std;         /* > 0 */
    double low, high;   /* valid raw range, low < high; interval certificates clamp to it */
} linfdist_statistics;

/* ---- model ---------------------------------------------------------------------------------------------------- */

/* A sequence of layers with their parameters. What comes out, batch x classes, are distances (the smallest wins; logits
 * are -scalar d) or logits (the largest wins). */
typedef struct linfdist_model linfdist_model;

enum { LINFDIST_OUTPUTS_DISTANCES = 0, LINFDIST_OUTPUTS_LOGITS = 1 };

/* Layers. A sample between two layers has channels x height x width_px features, channel-major. n_in and n_out count
 * all features; dense layers flatten what reaches them.
 *   DISTANCE       y_j = ||x - w_j||_p, dense, with groups (linfdist_distance_forward)
 *   MEAN_SHIFT     subtracts each channel's mean over batch and positions (linfdist_mean_shift_forward, momentum 0.1)
 *   BIAS           adds a number to each channel
 *   DISTANCE_CONV  the distance on every kernel_h x kernel_w window of the image; zeros around it are data
 *   LINEAR         y = x W^T / sqrt(n_in) + b; dense
 *   CONV           the same on windows, / sqrt(channels kernel_h kernel_w)
 *   TANH, RELU     of every feature
 * The bounds of all of them contain every value of the floating-point net, and results have the same bits everywhere
 * (docs/numerics.md). Distances, MEAN_SHIFT, BIAS, TANH and RELU are 1-Lipschitz in the max norm at p = infinity. */
enum {
    LINFDIST_LAYER_DISTANCE = 1,
    LINFDIST_LAYER_MEAN_SHIFT = 2,
    LINFDIST_LAYER_BIAS = 3,
    LINFDIST_LAYER_DISTANCE_CONV = 4,
    LINFDIST_LAYER_LINEAR = 5,
    LINFDIST_LAYER_CONV = 6,
    LINFDIST_LAYER_TANH = 7,
    LINFDIST_LAYER_RELU = 8
};

/* One layer of a sequence. Fields that a kind does not have keep their defaults. */
typedef struct linfdist_layer {
    size_t struct_size;
    int32_t kind;
    const char *name;     /* 1 to 47 printable ASCII characters; tensors are name + ".weight" ..., which must differ */
    int64_t n_out;        /* dense layers; 0 elsewhere */
    int64_t groups;       /* DISTANCE and convolutions: divides inputs (channels) and outputs; 1 */
    int64_t out_channels; /* convolutions; 0 elsewhere */
    int64_t kernel_h, kernel_w; /* 3 */
    int64_t stride, dilation;   /* 1 */
    int64_t padding;            /* 0: zeros on each side */
} linfdist_layer;

/* The defaults above for a kind. name is not copied here. */
LINFDIST_API linfdist_status linfdist_layer_init(linfdist_layer *layer, size_t struct_size, int32_t kind,
                                                 const char *name);

typedef struct linfdist_model_options {
    size_t struct_size;
    int64_t channels, height, width_px; /* input shape */
    int64_t classes;                    /* >= 2; features that the last layer puts out */
    int32_t outputs;                    /* LINFDIST_OUTPUTS_* */
    int32_t learned_scalar;             /* 1: of distances, a parameter that starts at 1; 0: fixed at 1; ignored with
                                           logits */
    float identity_value;               /* of distance layers; 0: none */
    uint64_t seed;                      /* of the weights: equal seeds give equal bits */
} linfdist_model_options;

/* Defaults: 1 x 28 x 28, 10 classes, distances, learned_scalar 1, identity_value 10, seed 2021. */
LINFDIST_API linfdist_status linfdist_model_options_init(linfdist_model_options *options, size_t struct_size);
/* Any sequence of 1 to 4096 layers. Weights of distances are drawn as by linfdist_distance_weights_init with std 1,
 * those of LINEAR and CONV are normal deviates, each layer's from a sequence of its own; running means and biases are
 * 0. layers are read during the call only, each up to its struct_size, which must be the same in all. Errors:
 * INVALID_ARGUMENT, SHAPE (layers that do not fit together), OUT_OF_MEMORY. */
LINFDIST_API linfdist_status linfdist_model_create(linfdist_context *context, const linfdist_model_options *options,
                                                   const linfdist_layer *layers, int64_t layer_count,
                                                   linfdist_model **model);

typedef struct linfdist_mlp_options {
    size_t struct_size;
    int64_t channels, height, width_px; /* input shape */
    int64_t classes;                    /* >= 2 */
    int64_t depth;                      /* distance layers in all, 1 to 2048 */
    int64_t width;                      /* neurons of each hidden layer */
    float identity_value;               /* 10 in the recipes; 0: none */
    int32_t learned_scalar;
    uint64_t seed;
} linfdist_mlp_options;

/* Defaults: 1 x 28 x 28, 10 classes, depth 5, width 5120, identity_value 10, learned_scalar 1, seed 2021. */
LINFDIST_API linfdist_status linfdist_mlp_options_init(linfdist_mlp_options *options, size_t struct_size);
/* The MLP of the paper: depth distance layers, mean shift after all but the last, bias on the last. Weights as by
 * linfdist_model_create. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
LINFDIST_API linfdist_status linfdist_model_create_mlp(linfdist_context *context, const linfdist_mlp_options *options,
                                                       linfdist_model **model);

typedef struct linfdist_hybrid_options {
    size_t struct_size;
    int64_t channels, height, width_px; /* input shape */
    int64_t classes;                    /* >= 2 */
    int64_t depth;                      /* layers with weights in all, 3 to 2048 */
    int64_t width;                      /* neurons of each distance layer */
    int64_t hidden;                     /* neurons of the first linear layer */
    float identity_value;
    uint64_t seed;
} linfdist_hybrid_options;

/* Defaults: 1 x 28 x 28, 10 classes, depth 6, width 5120, hidden 256, identity_value 10, seed 2020. */
LINFDIST_API linfdist_status linfdist_hybrid_options_init(linfdist_hybrid_options *options, size_t struct_size);
/* The hybrid net of the 2021 paper: depth - 2 distance layers with mean shift, then LINEAR to hidden, TANH, LINEAR to
 * the classes; logits. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
LINFDIST_API linfdist_status linfdist_model_create_hybrid(linfdist_context *context,
                                                          const linfdist_hybrid_options *options,
                                                          linfdist_model **model);

typedef struct linfdist_conv_options {
    size_t struct_size;
    int64_t channels, height, width_px; /* input shape */
    int64_t classes;                    /* >= 2 */
    int64_t width_factor;               /* w = 32 width_factor */
    int64_t features;                   /* neurons of the dense distance layer */
    int64_t hidden;                     /* 0: distances; > 0: a linear head with so many hidden neurons, logits */
    float identity_value;
    int32_t learned_scalar; /* ignored with a linear head */
    uint64_t seed;
} linfdist_conv_options;

/* Defaults: 3 x 32 x 32, 10 classes, width_factor 1, features 512, hidden 0, identity_value 10, learned_scalar 1, seed
 * 2021. */
LINFDIST_API linfdist_status linfdist_conv_options_init(linfdist_conv_options *options, size_t struct_size);
/* The convolutional nets of the 2021 paper: five 3 x 3 DISTANCE_CONV with padding 1 to w, w, 2w (stride 2), 2w, 2w
 * channels and a DISTANCE to features, each with mean shift; then DISTANCE to the classes with bias, or the hybrid
 * net's head. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
LINFDIST_API linfdist_status linfdist_model_create_conv(linfdist_context *context, const linfdist_conv_options *options,
                                                        linfdist_model **model);
/* A deep copy with the same bits. */
LINFDIST_API linfdist_status linfdist_model_copy(const linfdist_model *model, linfdist_model **copy);
LINFDIST_API void linfdist_model_destroy(linfdist_model *model);

/* statistics or NULL to remove them. channels must be 1 (used for every channel) or the model's (SHAPE otherwise).
 * Copied. Errors: RANGE where std <= 0, low >= high or normalized pixels of the range, rounded outwards to floats,
 * exceed 2^100; NOT_FINITE. */
LINFDIST_API linfdist_status linfdist_model_set_statistics(linfdist_model *model,
                                                           const linfdist_statistics *statistics);
/* Fills statistics; mean points into the model, until other statistics are set. channels = 0 when the model has none.
 * Set struct_size first. */
LINFDIST_API linfdist_status linfdist_model_get_statistics(const linfdist_model *model,
                                                           linfdist_statistics *statistics);

typedef struct linfdist_model_info {
    size_t struct_size;
    int64_t channels, height, width_px; /* input shape */
    int64_t n_in;                       /* channels height width_px */
    int64_t classes;
    int64_t layers;
    int64_t tensors;        /* weights, biases, running means, scalar */
    int64_t parameters;     /* trainable numbers */
    int32_t learned_scalar; /* 1 when the model has a tensor "scalar" */
    int32_t has_statistics;
    int32_t outputs; /* LINFDIST_OUTPUTS_* */
} linfdist_model_info;

/* Set struct_size first. */
LINFDIST_API linfdist_status linfdist_model_get_info(const linfdist_model *model, linfdist_model_info *info);

typedef struct linfdist_layer_info {
    size_t struct_size;
    int32_t kind;
    int64_t n_in, n_out, groups;
    const char *name; /* static for the life of the model, such as "fc_dist.0" */
    int64_t in_channels, in_height, in_width;
    int64_t out_channels, out_height, out_width;
    int64_t kernel_h, kernel_w, stride, dilation, padding; /* convolutions; 0 elsewhere */
} linfdist_layer_info;

/* index in [0, layers), RANGE otherwise. Set struct_size first. */
LINFDIST_API linfdist_status linfdist_model_get_layer(const linfdist_model *model, int64_t index,
                                                      linfdist_layer_info *info);

enum { LINFDIST_DTYPE_F32 = 1 };
enum {
    LINFDIST_ROLE_WEIGHT = 1,
    LINFDIST_ROLE_BIAS = 2,
    LINFDIST_ROLE_SCALAR = 3,
    LINFDIST_ROLE_RUNNING_MEAN = 4 /* a buffer: has no gradient */
};

/* A view: contiguous, row-major, owned by the object it came from. */
typedef struct linfdist_tensor {
    size_t struct_size;
    const char *name; /* "fc_dist.0.weight", "fc_dist.0.mean_shift.running_mean", "fc_dist.4.bias", "scalar" */
    float *data;
    int32_t dtype;
    int32_t role;
    int32_t dims;
    int64_t shape[LINFDIST_MAX_DIMS]; /* unused entries are 1 */
} linfdist_tensor;

/* By index in [0, tensors), RANGE otherwise, the same order in every model of this architecture; or by name,
 * INVALID_ARGUMENT where there is none. The data may be written: the model is then being changed (see threads). Set
 * struct_size first. */
LINFDIST_API linfdist_status linfdist_model_get_tensor(linfdist_model *model, int64_t index, linfdist_tensor *tensor);
LINFDIST_API linfdist_status linfdist_model_find_tensor(linfdist_model *model, const char *name,
                                                        linfdist_tensor *tensor);

/* ---- run: one thread's scratch for one model ------------------------------------------------------------------- */

/* Activations, gradients and everything else a pass needs, allocated when it is made and never after. */
typedef struct linfdist_run linfdist_run;

enum { LINFDIST_RUN_INFERENCE = 0, LINFDIST_RUN_TRAINING = 1, LINFDIST_RUN_INTERVAL_TRAINING = 2 };

/* kind INFERENCE: forward (EVALUATE) and bounds; TRAINING: also backward; INTERVAL_TRAINING: also backward through the
 * interval bounds of every layer. max_batch: largest batch it will see. Many threads may use one model at once, each
 * through a run of its own, as long as none of them trains it. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
LINFDIST_API linfdist_status linfdist_run_create(linfdist_model *model, int32_t kind, int64_t max_batch,
                                                 linfdist_run **run);
LINFDIST_API void linfdist_run_destroy(linfdist_run *run);

/* Outputs (distances or logits) of the batch x n_in normalized inputs x at this p, in [1, 1000] or infinity. TRAIN
 * moves the model's running means: then only this thread may use the model. In EVALUATE the model is only read. The
 * weights must stay as they are until backward. At p from about 20 to 300 passes take less time, up to a quarter, where
 * similar samples, of one class say, stand together. Errors: STATE (TRAIN on an inference run), RANGE (batch above
 * max_batch), NOT_FINITE (x, the weights or a layer's output; a pass that fails there leaves the run without results).
 */
LINFDIST_API linfdist_status linfdist_forward(linfdist_run *run, const float *x, int64_t x_stride, int64_t batch,
                                              int32_t mode, float p);
/* Interval bounds of the outputs at p = infinity in evaluation mode for normalized inputs in [x_lower, x_upper], both
 * with x_stride; they contain every value of the floating-point net, and for distance nets are attained. The model is
 * only read. Errors: INVERTED_INTERVAL, RANGE and NOT_FINITE as linfdist_forward. */
LINFDIST_API linfdist_status linfdist_forward_bounds(linfdist_run *run, const float *x_lower, const float *x_upper,
                                                     int64_t x_stride, int64_t batch);
/* Values and interval bounds in one pass at p = infinity, for training through the bounds of every layer: margins then
 * come from the bounds of [x_lower, x_upper] instead of outputs -+ eps. All three with x_stride. Mean shift subtracts
 * the mean of the values from all. Errors: STATE (a run of another kind than INTERVAL_TRAINING), and as above. */
LINFDIST_API linfdist_status linfdist_forward_intervals(linfdist_run *run, const float *x, const float *x_lower,
                                                        const float *x_upper, int64_t x_stride, int64_t batch,
                                                        int32_t mode);
/* Views of the last results, contiguous batch x classes, valid until the next pass; those of linfdist_forward_bounds
 * only until linfdist_run_margins or linfdist_run_loss of a net that is not 1-Lipschitz, which leads bounds of its own.
 * batch, classes: each or NULL. Errors: STATE (no such results). */
LINFDIST_API linfdist_status linfdist_run_outputs(const linfdist_run *run, const float **outputs, int64_t *batch,
                                                  int64_t *classes);
LINFDIST_API linfdist_status linfdist_run_bounds(const linfdist_run *run, const float **lower, const float **upper,
                                                 int64_t *batch, int64_t *classes);
/* Per sample of the last forward pass the class that wins: the lowest index of the smallest distance or the largest
 * logit. */
LINFDIST_API linfdist_status linfdist_run_predictions(const linfdist_run *run, int32_t *predicted);
/* Margins of the last forward pass against labels (batch int32), batch x classes contiguous: margins[j] bounds from
 * above by how much class j can come ahead of the label, in the outputs' unit, when the normalized inputs move by at
 * most eps_normalized >= 0, and is 0 for the label itself: a sample is robustly right where all others are < 0, up to
 * rounding (the certifier is exact). Distances: d_y - d_j + 2 eps. Otherwise bounds of values -+ eps where the first
 * layer stands that is not 1-Lipschitz, led through the rest, whose last LINEAR layer is merged with the class
 * difference (2021 paper). After linfdist_forward_intervals the bounds of that pass decide and eps_normalized is not
 * used. The view lasts until the next pass or call of this; a backward that follows goes through the bounds of the last
 * call. Errors: STATE (no forward pass), INVALID_ARGUMENT (labels, eps; a pass at finite p of a net that has distances
 * behind a layer that is not 1-Lipschitz), NOT_FINITE (a bound or margin; a backward that waited no longer can). */
LINFDIST_API linfdist_status linfdist_run_margins(linfdist_run *run, const int32_t *labels, double eps_normalized,
                                                  const float **margins);

/* Where the loss puts dL/doutputs (batch x classes, contiguous) and dL/dscalar (one float) for linfdist_backward; write
 * your own loss's gradients there. Zero after forward. Errors: STATE (no forward pass of a training run waits). */
LINFDIST_API linfdist_status linfdist_run_output_gradients(linfdist_run *run, float **grad_outputs,
                                                           float **grad_scalar);
/* The same for dL/dmargins of the last linfdist_run_margins (batch x classes; the label's must be finite, and are not
 * used). */
LINFDIST_API linfdist_status linfdist_run_margin_gradients(linfdist_run *run, float **grad_margins);
/* Where dL/dlower and dL/dupper of the outputs go after linfdist_forward_intervals, for losses that read
 * linfdist_run_bounds. Zero after the pass. */
LINFDIST_API linfdist_status linfdist_run_bound_gradients(linfdist_run *run, float **grad_lower, float **grad_upper);
/* Adds the gradients of all parameters to the run's own, and writes dL/dx to grad_x (batch x n_in, or NULL). Once per
 * forward. Errors: STATE (no forward pass waits), NOT_FINITE (a gradient of the outputs, margins, bounds or scalar). */
LINFDIST_API linfdist_status linfdist_backward(linfdist_run *run, float *grad_x, int64_t grad_x_stride);
/* The same after linfdist_forward_intervals, with the gradients of the intervals' ends; each array or NULL. */
LINFDIST_API linfdist_status linfdist_backward_intervals(linfdist_run *run, float *grad_x, float *grad_x_lower,
                                                         float *grad_x_upper, int64_t grad_x_stride);
/* Gradients as views with the names, order and shapes of the model's tensors; data is NULL for running means. The data
 * may be written. Set struct_size first. Errors: STATE (inference run), RANGE and INVALID_ARGUMENT as for the model's
 * tensors. */
LINFDIST_API linfdist_status linfdist_run_get_gradient(linfdist_run *run, int64_t index, linfdist_tensor *gradient);
LINFDIST_API linfdist_status linfdist_run_find_gradient(linfdist_run *run, const char *name, linfdist_tensor *gradient);
/* Gradients accumulate over backward calls until this. Errors: STATE (inference run). */
LINFDIST_API linfdist_status linfdist_run_zero_gradients(linfdist_run *run);

/* ---- several workers --------------------------------------------------------------------------------------------- */

/* Processes or threads that train one model together. Each has a model of its own, all with the same bits, and a run on
 * its part of every batch, of at least one sample. Hooks join them, so that all take the step that one worker would
 * take on the whole batch, up to the rounding of the sums (docs/threading.md):
 *   linfdist_forward (TRAIN)       sum_means once with the number of samples, then once per MEAN_SHIFT layer
 *   linfdist_run_loss              none: its value and gradients are this worker's part of the mean over all samples;
 *                                  the parts of all workers add up to it. A loss of your own must do the same
 *   linfdist_backward              sum_means once per MEAN_SHIFT layer whose input's gradient is needed
 *   linfdist_run_reduce_gradients  sum_gradients once per tensor that is trained, in the order of the tensors
 * Passes in EVALUATE call no hook and are the worker's own. */

/* Replaces values by their sums over all workers, each element on its own, the same bits on every worker; every worker
 * makes the same calls in the same order. 0 for success. Called by the thread that called the library, in the default
 * floating-point environment (on x86-64, MXCSR). It must return, and not use this run or its model. */
typedef int32_t (*linfdist_sum_means_fn)(void *user, double *values, size_t count);
typedef int32_t (*linfdist_sum_gradients_fn)(void *user, float *values, size_t count);

typedef struct linfdist_run_hooks {
    size_t struct_size;
    linfdist_sum_means_fn sum_means; /* both are needed */
    linfdist_sum_gradients_fn sum_gradients;
    void *user; /* or NULL; the caller's, alive as long as the hooks are set */
} linfdist_run_hooks;

/* hooks, which are copied, or NULL to remove them. A forward pass that waits for its backward no longer does. A hook
 * that fails makes its call LINFDIST_ERROR_IO: a forward pass then leaves the run without results and the model as it
 * was, a backward pass or a reduction leaves zero gradients. A worker whose call fails for a reason of its own leaves
 * the others waiting in theirs: ending them is up to the program. Errors: INVALID_ARGUMENT (a hook that is NULL), STATE
 * (an inference run). */
LINFDIST_API linfdist_status linfdist_run_set_hooks(linfdist_run *run, const linfdist_run_hooks *hooks);
/* Makes the run's gradients the sums over all workers: after the last linfdist_backward, before the optimizer's step,
 * which refuses gradients of one worker alone (STATE). From then on a backward is refused (STATE) until
 * linfdist_run_zero_gradients. Without hooks it does nothing. Errors: IO (a hook), STATE (an inference run; no backward
 * pass since the last reduction or zeroing). */
LINFDIST_API linfdist_status linfdist_run_reduce_gradients(linfdist_run *run);

/* ---- losses ---------------------------------------------------------------------------------------------------- */

/* All on logits z and margins m, where m of the label's column is 0 by definition. A loss is a term of the margins plus
 * a weight times the cross-entropy CE(z, y); C classes, means over the batch:
 *   MIXTURE       mean_b clip(max_j m_bj, 0, clip) + lambda CE(z, y)                            (paper, section 4)
 *   HINGE         (1 - mix) mean_b max_j max(m_bj, 0) + mix mean_bj max(m_bj, 0), over all C columns
 *   CROSSENTROPY  (1 - mix) CE(m, y) + mix CE(z, y)
 * Clips pass gradient at both of their ends; a maximum sends it to its lowest index. */
enum { LINFDIST_LOSS_MIXTURE = 1, LINFDIST_LOSS_HINGE = 2, LINFDIST_LOSS_CROSSENTROPY = 3 };

typedef struct linfdist_loss {
    size_t struct_size;
    int32_t kind;
    double mix;  /* in [0, 1]; MIXTURE has none */
    double clip; /* in [0, 2^100]; of MIXTURE */
} linfdist_loss;

/* The published constants of a kind: clip 1; mix 0.25 for HINGE, 0 for CROSSENTROPY. */
LINFDIST_API linfdist_status linfdist_loss_init(linfdist_loss *loss, size_t struct_size, int32_t kind);

/* labels: batch int32 in [0, classes). All other arrays contiguous batch x classes; values of margins in the label's
 * column are ignored. lambda, in [0, 2^100], is the mixture's; the other kinds ignore it. grad_logits and grad_margins
 * (each or NULL) are overwritten; the label's margin gets 0. */
LINFDIST_API linfdist_status linfdist_loss_logits(const linfdist_loss *loss, const float *logits, const float *margins,
                                                  const int32_t *labels, int64_t batch, int64_t classes, double lambda,
                                                  double *value, float *grad_logits, float *grad_margins);
/* The same on distances and scalar: z = -scalar d, m_j = (d_y - d_j + 2 eps) / (2 eps). eps_normalized is at least
 * 2^-100: the margins divide by it. grad_distances and grad_scalar (each or NULL) are overwritten. */
LINFDIST_API linfdist_status linfdist_loss_distances(const linfdist_loss *loss, const float *distances,
                                                     const int32_t *labels, int64_t batch, int64_t classes,
                                                     float scalar, double eps_normalized, double lambda, double *value,
                                                     float *grad_distances, float *grad_scalar);
/* The same on the run's last outputs; leaves the gradients where linfdist_backward wants them, if a backward may
 * follow. Distances: z = -scalar d, and margins are linfdist_run_margins / (2 eps), eps_normalized >= 2^-100. Logits:
 * the margins as they are, eps_normalized >= 0. value or NULL. Errors: STATE (no forward pass yet), and as
 * linfdist_run_margins. */
LINFDIST_API linfdist_status linfdist_run_loss(linfdist_run *run, const linfdist_loss *loss, const int32_t *labels,
                                               double eps_normalized, double lambda, double *value);
/* Per sample: predicted (or NULL) is the lowest index of the smallest distance; margin (or NULL) is
 * min_{j != y} d_j - d_y with y the label, or the prediction where labels is NULL. classes >= 2. At p = infinity a
 * sample is right and certified at normalized eps by the 1-Lipschitz bound, up to rounding (LINFDIST_METHOD_MARGIN),
 * when its margin against the label is > 2 eps. */
LINFDIST_API linfdist_status linfdist_margins(const float *distances, const int32_t *labels, int64_t batch,
                                              int64_t classes, int32_t *predicted, float *margin);

/* ---- schedule ---------------------------------------------------------------------------------------------------- */

/* The published schedule as plain numbers (paper, section 5 and appendix). With k = epoch n + batch the step,
 * n = batches_per_epoch and t(a, b) = clamp((k - a n) / ((b - a) n), 0, 1), or 1 where b <= a:
 *   p      p_start (p_end / p_start)^t(p_begin, p_finish); infinity once t = 1, provided p_end >= 100
 *   lambda lambda_start (lambda_end / lambda_start)^t(p_begin, p_finish); 0 where lambda_start is 0
 *   eps    eps_train_normalized times t(eps_begin, eps_finish), linear, or with 0 < eps_smooth < 1 quartic up to
 *          t = eps_smooth and then linear, joined smoothly
 *   lr     constant up to lr_begin, then half-cosine to 0 over [lr_begin, epochs]; or divided by 5 at each epoch in
 *          decay_epochs
 * The programs of 2021 read "a,b,c,d,T" otherwise: eps grows over a .. a + c, p over b .. d, and lr_begin is b. */
typedef struct linfdist_schedule {
    size_t struct_size;
    int64_t batches_per_epoch;
    int64_t eps_begin, eps_finish, p_begin, p_finish, epochs; /* "a,b,c,d,T" */
    double p_start, p_end;
    double eps_train_normalized;
    double eps_smooth; /* 0: linear */
    double lambda_start, lambda_end;
    double lr, scalar_lr;
    int64_t decay_count;         /* 0: half-cosine */
    const int64_t *decay_epochs; /* decay_count values, read during the call only */
    int64_t lr_begin;            /* in [0, epochs) */
    int32_t positive_eps;        /* 1: a schedule that reaches eps = 0 is refused, as the losses on distances divide by
                                    eps. 0: for margins that do not */
} linfdist_schedule;

typedef struct linfdist_schedule_point {
    size_t struct_size;
    double p; /* may be infinity */
    double eps_normalized;
    double lambda;
    double lr, scalar_lr;
} linfdist_schedule_point;

/* The MNIST 0.3 recipe: epochs 0,0,25,400,450, p 8 to 1000, eps 0.45 / 0.3081, lambda .05 to .0002, lr .03, scalar_lr
 * .006, lr_begin 0, positive_eps 1, 118 batches an epoch. */
LINFDIST_API linfdist_status linfdist_schedule_init(linfdist_schedule *schedule, size_t struct_size);
/* A pure function. step in [0, batches_per_epoch epochs]. Set point->struct_size first. Errors: INVALID_ARGUMENT for
 * any field that makes no schedule, RANGE for the step. Every call checks the whole schedule, so that the first one
 * refuses what would go wrong later. */
LINFDIST_API linfdist_status linfdist_schedule_at(const linfdist_schedule *schedule, int64_t step,
                                                  linfdist_schedule_point *point);

/* ---- optimizer --------------------------------------------------------------------------------------------------- */

/* Adam on a model's parameters, in two groups: the scalar, and all others. */
typedef struct linfdist_optimizer linfdist_optimizer;

/* Decoupled weight decay, before the Adam step, of weights and biases; the scalar has none.
 *   PLAIN  w -= lr weight_decay w
 *   LP     the same, but the weights of distance layers by linfdist_lp_decay with rate lr weight_decay, at the p of the
 *          run's last backward pass (2021 paper) */
enum { LINFDIST_DECAY_PLAIN = 0, LINFDIST_DECAY_LP = 1 };

typedef struct linfdist_adam_options {
    size_t struct_size;
    double beta1, beta2;
    double epsilon;      /* added after the square root */
    double weight_decay; /* in [0, 1]; 0: none */
    int32_t decay;       /* LINFDIST_DECAY_* */
} linfdist_adam_options;

/* Defaults: 0.9, 0.99, 1e-10, no weight decay. Betas in [0, 0.999999], epsilon in [2^-126, 1]. */
LINFDIST_API linfdist_status linfdist_adam_options_init(linfdist_adam_options *options, size_t struct_size);
/* One Adam update of n plain numbers, step >= 1 (the first is 1): m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2,
 * w -= lr (m / (1 - b1^step)) / (sqrt(v / (1 - b2^step)) + epsilon), after the PLAIN decay for either kind. options or
 * NULL. lr in [0, 2^100], lr weight_decay <= 1. Errors: RANGE for a negative v; NOT_FINITE, also for a gradient above
 * 2^49 in magnitude, whose square v could not keep. */
LINFDIST_API linfdist_status linfdist_adam_update(linfdist_context *context, const linfdist_adam_options *options,
                                                  int64_t n, int64_t step, double lr, const float *gradient, float *w,
                                                  float *m, float *v);
/* The l_p weight decay on each row w of the contiguous rows x columns weights, p in [1, 1000] or infinity, rate in
 * [0, 1]: w_i -= rate (|w_i| / ||w||_p)^(p-2) w_i. At p = infinity only the largest entry, the lowest index on ties. At
 * p = 2 it is the plain decay. */
LINFDIST_API linfdist_status linfdist_lp_decay(linfdist_context *context, int64_t rows, int64_t columns, float p,
                                               double rate, float *weights);
/* options or NULL. Moments start at zero, steps at 0. Keeps the model alive. */
LINFDIST_API linfdist_status linfdist_optimizer_create_adam(linfdist_model *model, const linfdist_adam_options *options,
                                                            linfdist_optimizer **optimizer);
LINFDIST_API void linfdist_optimizer_destroy(linfdist_optimizer *optimizer);
/* One linfdist_adam_update of every parameter, with the weight decay that the options ask for, from the run's
 * gradients, which must belong to the same model (SHAPE otherwise, STATE for an inference run), be finite and at most
 * 2^49 in magnitude (NOT_FINITE otherwise, nothing changed). lr for weights and biases, scalar_lr for the scalar, both
 * in [0, 2^100], and lr weight_decay <= 1. STATE: the l_p decay before the run's first backward pass; gradients of one
 * worker alone. */
LINFDIST_API linfdist_status linfdist_optimizer_step(linfdist_optimizer *optimizer, const linfdist_run *run, double lr,
                                                     double scalar_lr);
/* First and second moments of the model's tensor index (RANGE for others), as views; data is NULL for running means.
 * The data may be written; second moments must not become negative. Set struct_size of both first. */
LINFDIST_API linfdist_status linfdist_optimizer_get_moments(linfdist_optimizer *optimizer, int64_t index,
                                                            linfdist_tensor *first, linfdist_tensor *second);
/* Steps taken so far, >= 0; the next update's step is one more. */
LINFDIST_API linfdist_status linfdist_optimizer_get_step(const linfdist_optimizer *optimizer, int64_t *step);
LINFDIST_API linfdist_status linfdist_optimizer_set_step(linfdist_optimizer *optimizer, int64_t step);

/* ---- certifier --------------------------------------------------------------------------------------------------- */

/* An immutable snapshot of a model, taken when it is made: later changes of the model are not seen. Any number of
 * threads may use one certifier at once. */
typedef struct linfdist_certifier linfdist_certifier;

enum {
    /* Half the margin: the 1-Lipschitz bound, no pixel clamp. It is the bound of real arithmetic. For the
     * floating-point net it holds up to rounding: a perturbation that is closer to the radius than some 2^-22 times the
     * largest activation for each distance layer (normalized units) may still change the prediction. Where a net has
     * layers that are not 1-Lipschitz, values -+ eps before the first of them are led through the rest as interval
     * bounds, and the class differences they leave decide (2021 paper). */
    LINFDIST_METHOD_MARGIN = 1,
    /* Interval bounds of the ball, clamped to the valid range: exact for the floating-point net, every float input. */
    LINFDIST_METHOD_INTERVAL = 2
};

/* Besides the copy of the model it prepares, on the context's threads, what lets certificates skip the inputs of
 * distance layers that cannot win, and for nets of distances, mean shifts and biases with statistics what lets
 * linfdist_certify_at decide most samples by bytes. That takes 0.9 to 2 times the memory of the weights of trained
 * nets, and less than six times of any whose rows have 64 inputs or more. Results do not depend on it: where there is
 * no memory for it, certificates take longer, and a warning goes to the log.
 * Errors: NOT_FINITE for weights, RANGE for a scalar that is not positive and finite and for weights with which outputs
 * of a layer could leave the range of a float, OUT_OF_MEMORY. */
LINFDIST_API linfdist_status linfdist_certifier_create(const linfdist_model *model, linfdist_certifier **certifier);
LINFDIST_API void linfdist_certifier_destroy(linfdist_certifier *certifier);

/* Raw pixels x (n x n_in) at p = infinity. Each output has n entries or is NULL:
 *   predicted  lowest index of the smallest distance (from d, not from rounded logits) or of the largest logit
 *   margin     min_{j != predicted} d_j - d_predicted, or z_predicted - z_j, in the outputs' unit (distances:
 *              normalized), rounded to the nearest float; 0 on a tie
 *   radius     certified radius in raw units; 0 on a tie
 *
 * Radii by MARGIN are half the margin times std, rounded down: in real arithmetic no perturbation of l_inf norm <
 * radius changes the prediction, and in the floating-point net none does up to rounding (see LINFDIST_METHOD_MARGIN).
 * Radii by INTERVAL are the largest float whose certificate holds, found by bisection: no float pixels in the valid
 * range within that distance, the radius itself included, change what this library predicts. A radius that covers the
 * whole valid range is reported as high - low. Nets that are not 1-Lipschitz: bisection by either method, for a radius
 * whose certificate holds. Without statistics raw equals normalized, nothing is clamped and radii end at 2^100. Errors:
 * INVALID_ARGUMENT (method, x_stride, n), RANGE for a pixel outside the valid range, NOT_FINITE, OUT_OF_MEMORY. (paper,
 * section 3; interval bounds: linfdist_bounds_forward) */
LINFDIST_API linfdist_status linfdist_certify(const linfdist_certifier *certifier, int32_t method, const float *x,
                                              int64_t x_stride, int64_t n, int32_t *predicted, float *margin,
                                              float *radius);
/* certified[i] = 1 when the method certifies the prediction of sample i for every perturbation of raw l_inf norm <=
 * eps_raw (finite, >= 0), else 0. MARGIN: margin > 2 eps_raw / std, with the margin before its rounding to float; holds
 * in real arithmetic, for the floating-point net up to rounding (see LINFDIST_METHOD_MARGIN). INTERVAL: upper_predicted
 * < lower_j for all other j (logits: the bound of z_j - z_predicted, roundings included, < 0); holds exactly for the
 * floating-point net. A tie is not certified. predicted or NULL. x and
 * errors as linfdist_certify. */
LINFDIST_API linfdist_status linfdist_certify_at(const linfdist_certifier *certifier, int32_t method, const float *x,
                                                 int64_t x_stride, int64_t n, double eps_raw, int32_t *predicted,
                                                 int32_t *certified);

/* ---- attack ------------------------------------------------------------------------------------------------------ */

typedef struct linfdist_attack_options {
    size_t struct_size;
    int64_t steps;        /* of each start: 100, at least 1 */
    double step_fraction; /* step size / eps_raw, >= 0: 1/4 */
    int64_t restarts;     /* starts with each p: 1; more than one needs random_start */
    int32_t random_start; /* 1: beside x by N(0, (eps/4)^2) clipped to -+eps/2; 0: at x */
    int32_t clamp;        /* 1: pixels stay in the valid range of the model's statistics; 0: in the ball only */
    int32_t last_iterate; /* 0: every iterate is judged, x first, and the first success ends the attack; 1: the last
                             one of each start alone, as in the published programs */
    int64_t p_count;      /* at most 1024; 0: gradients of the net itself, at p = infinity */
    const float *p;       /* p_count values in [1, 1000] or infinity, read during the call only: gradients of the net
                             with the same weights at each of them in turn */
    uint64_t seed;        /* 2021 */
} linfdist_attack_options;

LINFDIST_API linfdist_status linfdist_attack_options_init(linfdist_attack_options *options, size_t struct_size);
/* Projected gradient descent against the snapshot, on raw pixels x (n x n_in) with their labels: steps along the sign
 * (sign(0) = 0) of the gradient of the cross-entropy of the logits, kept within eps_raw (finite, >= 0) of x. Success
 * is judged by the floating-point net at p = infinity: the class that wins is not the label. The worst of all starts
 * and all p is reported: a success, or else the smallest margin min_{j != y} d_j - d_y (z_y - z_j). A sample that is
 * wrong without any attack is a success with itself (last_iterate: with what the attack makes of it). Outputs, each or
 * NULL: adversarial (n x n_in, may be x), pixels that really lie in the ball, in exact arithmetic, and in the valid
 * range; predicted, n; success, n values 1 or 0. A sample's result depends on the options and its own pixels, not on
 * the batch it comes in. options or NULL for the defaults. Errors: INVALID_ARGUMENT (labels, options), RANGE for a
 * pixel outside the valid range, NOT_FINITE (a pixel; or a surrogate's values above 2^100), OUT_OF_MEMORY. */
LINFDIST_API linfdist_status linfdist_attack(const linfdist_certifier *certifier,
                                             const linfdist_attack_options *options, const float *x, int64_t x_stride,
                                             const int32_t *labels, int64_t n, double eps_raw, float *adversarial,
                                             int64_t adversarial_stride, int32_t *predicted, int32_t *success);

typedef struct linfdist_lipschitz_options {
    size_t struct_size;
    double eps_normalized; /* 1/255, at least 2^-100 */
    int64_t steps;         /* 20 */
    double step_fraction;  /* step size / eps, >= 0: 1/4 */
    int64_t restarts;      /* 5 random starts, as those of an attack */
    uint64_t seed;         /* 2021 */
} linfdist_lipschitz_options;

LINFDIST_API linfdist_status linfdist_lipschitz_options_init(linfdist_lipschitz_options *options, size_t struct_size);
/* Local Lipschitz constants of the outputs at p in the max norm, from below: estimate (n x classes, contiguous)
 * receives the largest |d_k(x') - d_k(x)| / eps (d: distances or logits) that sign-gradient ascent finds for each
 * output k on its own, over all iterates x' within eps of the normalized x; pixels are not clamped. At p = infinity it
 * is at most 1 for distance nets, up to rounding. x: raw pixels n x n_in; p in [1, 1000] or infinity. options or NULL
 * for the defaults. Errors: as linfdist_attack. */
LINFDIST_API linfdist_status linfdist_lipschitz(const linfdist_certifier *certifier,
                                                const linfdist_lipschitz_options *options, const float *x,
                                                int64_t x_stride, int64_t n, float p, float *estimate);

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Models are safetensors files that any language can open. Equal models give equal bytes. Files are written beside
 * their final name, synced and renamed, so that a kill at any moment leaves the previous one whole.
 * write: 0 for success, anything else stops with LINFDIST_ERROR_IO; size >= 1. read: how many of at most size bytes
 * were put into buffer (0 at the end of the data, negative for failure). Callbacks run on the calling thread. */
typedef int32_t (*linfdist_write_fn)(void *user, const void *data, size_t size);
typedef int64_t (*linfdist_read_fn)(void *user, void *buffer, size_t size);

/* Errors: IO, NOT_FINITE (a model that could not be loaded again is not saved), OUT_OF_MEMORY. After a failure the file
 * at path is still the previous one, except where only the folder could not be synced: then it is the new one, and IO
 * says that a power cut may undo it. What save_to has written before a failure is the callback's to drop. */
LINFDIST_API linfdist_status linfdist_model_save(const linfdist_model *model, const char *path);
LINFDIST_API linfdist_status linfdist_model_save_to(const linfdist_model *model, linfdist_write_fn write, void *user);
/* A checkpoint loads as its model. Errors: IO, FORMAT (with the offending field), UNSUPPORTED (a newer format version,
 * an unknown kind of layer), SHAPE, NOT_FINITE, OUT_OF_MEMORY. */
LINFDIST_API linfdist_status linfdist_model_load(linfdist_context *context, const char *path, linfdist_model **model);
LINFDIST_API linfdist_status linfdist_model_load_memory(linfdist_context *context, const void *data, size_t size,
                                                        linfdist_model **model);
LINFDIST_API linfdist_status linfdist_model_load_from(linfdist_context *context, linfdist_read_fn read, void *user,
                                                      linfdist_model **model);

/* A training checkpoint: model, optimizer with its options, moments and step count, and state_size bytes of the
 * caller's own (random state, settings; state may be NULL when state_size is 0). A training that goes on from it
 * continues bit for bit. Errors: as linfdist_model_save; SHAPE (an optimizer of another model), NOT_FINITE or RANGE
 * (its moments). */
LINFDIST_API linfdist_status linfdist_checkpoint_save(const linfdist_model *model, const linfdist_optimizer *optimizer,
                                                      const void *state, size_t state_size, const char *path);
/* Makes a new model and optimizer. state (or NULL) receives at most state_capacity bytes; state_size (or NULL) the
 * size that was saved. Errors: as linfdist_model_load; RANGE when state is given and state_capacity is too small. */
LINFDIST_API linfdist_status linfdist_checkpoint_load(linfdist_context *context, const char *path,
                                                      linfdist_model **model, linfdist_optimizer **optimizer,
                                                      void *state, size_t state_capacity, size_t *state_size);

#ifdef __cplusplus
}
#endif

#endif
