/* Run objects: memory, results, gradients, and the checks in front of the passes. */
#include "run.h"

#include <string.h>

#include "layers/layer.h"
#include "ops.h"

/* ---- creation ---- */

/* Features at the widest place of the model, its input included. */
static size_t widest(const linfdist_model *model) {
    int64_t width = model->n_in;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        if (model->layers[i].spec.n_out > width) width = model->layers[i].spec.n_out;
    }
    return (size_t)width;
}

static linfdist_status allocate_results(linfdist_run *run) {
    size_t width = widest(run->model), classes = (size_t)run->model->classes;
    for (int i = 0; i < 2; ++i) {
        LFD_TRY(lfd_alloc_floats(run->context, run->max_batch, width, "lower bounds", &run->lower[i]));
        LFD_TRY(lfd_alloc_floats(run->context, run->max_batch, width, "upper bounds", &run->upper[i]));
    }
    LFD_TRY(lfd_alloc_floats(run->context, run->max_batch, classes, "distances", &run->distances));
    LFD_TRY(lfd_alloc_floats(run->context, run->max_batch, classes, "lower bounds", &run->bound_lower));
    return lfd_alloc_floats(run->context, run->max_batch, classes, "upper bounds", &run->bound_upper);
}

static linfdist_status allocate_record(linfdist_run *run, const lfd_layer *layer, lfd_layer_record *record) {
    size_t rows, columns;
    float *workspace;
    LFD_TRY(lfd_alloc_floats(run->context, run->max_batch, (size_t)layer->spec.n_out, "activations", &record->output));
    if (!layer->ops->workspace) return LINFDIST_OK;
    layer->ops->workspace(&layer->spec, run->max_batch, &rows, &columns);
    LFD_TRY(lfd_alloc_floats(run->context, rows, columns, "workspace of a layer", &workspace));
    record->workspace = workspace;
    return LINFDIST_OK;
}

static linfdist_status allocate_gradients(linfdist_run *run) {
    const linfdist_model *model = run->model;
    void *memory;
    LFD_TRY(lfd_alloc_zero(run->context, (size_t)model->tensor_count, sizeof(float *), "gradients", &memory));
    run->gradients = memory;
    for (int64_t i = 0; i < model->tensor_count; ++i) {
        if (!lfd_tensor_trains(&model->tensors[i])) continue;
        LFD_TRY(lfd_alloc_floats(run->context, model->tensors[i].count, 1, "gradients", &run->gradients[i]));
    }
    return LINFDIST_OK;
}

static linfdist_status allocate_backward(linfdist_run *run) {
    const linfdist_model *model = run->model;
    void *memory;
    LFD_TRY(lfd_alloc_floats(run->context, run->max_batch, (size_t)model->n_in, "inputs", &run->input));
    LFD_TRY(lfd_alloc_floats(run->context, run->max_batch, (size_t)model->classes, "gradients of the distances",
                             &run->grad_distances));
    LFD_TRY(lfd_alloc_zero(run->context, (size_t)model->layer_count, sizeof(lfd_layer_record), "records", &memory));
    run->records = memory;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        LFD_TRY(allocate_record(run, &model->layers[i], &run->records[i]));
    }
    return run->kind == LINFDIST_RUN_TRAINING ? allocate_gradients(run) : LINFDIST_OK;
}

static linfdist_status allocate(linfdist_run *run) {
    LFD_TRY(allocate_results(run));
    if (run->kind != LINFDIST_RUN_INFERENCE) return allocate_backward(run);
    run->input = run->lower[0];
    return LINFDIST_OK;
}

linfdist_status lfd_run_create(linfdist_model *model, int32_t kind, size_t max_batch, linfdist_run **run) {
    void *memory;
    LFD_TRY(lfd_alloc_zero(model->context, 1, sizeof(linfdist_run), "run", &memory));
    linfdist_run *made = memory;
    made->context = model->context;
    made->model = lfd_model_retain(model);
    made->kind = kind;
    made->max_batch = max_batch;
    linfdist_status status = allocate(made);
    if (status != LINFDIST_OK) {
        linfdist_run_destroy(made);
        return status;
    }
    *run = made;
    return LINFDIST_OK;
}

linfdist_status linfdist_run_create(linfdist_model *model, int32_t kind, int64_t max_batch, linfdist_run **run) {
    LFD_REQUIRE(model);
    LFD_REQUIRE(run);
    if (kind != LINFDIST_RUN_INFERENCE && kind != LINFDIST_RUN_TRAINING) {
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "kind is %d, which is no kind of run", (int)kind);
    }
    LFD_TRY(lfd_check_count("max_batch", max_batch, 1, INT64_MAX));
    return lfd_run_create(model, kind, (size_t)max_batch, run);
}

static void free_backward(linfdist_run *run) {
    for (int64_t i = 0; run->records && i < run->model->layer_count; ++i) {
        lfd_free(run->context, run->records[i].output);
        lfd_free(run->context, run->records[i].workspace);
    }
    for (int64_t i = 0; run->gradients && i < run->model->tensor_count; ++i) {
        lfd_free(run->context, run->gradients[i]);
    }
    lfd_free(run->context, run->records);
    lfd_free(run->context, run->gradients);
    lfd_free(run->context, run->grad_distances);
    lfd_free(run->context, run->input);
}

void linfdist_run_destroy(linfdist_run *run) {
    if (!run) return;
    linfdist_model *model = run->model;
    if (run->kind != LINFDIST_RUN_INFERENCE) free_backward(run);
    for (int i = 0; i < 2; ++i) {
        lfd_free(run->context, run->lower[i]);
        lfd_free(run->context, run->upper[i]);
    }
    lfd_free(run->context, run->distances);
    lfd_free(run->context, run->bound_lower);
    lfd_free(run->context, run->bound_upper);
    lfd_free(run->context, run);
    lfd_model_release(model);
}

/* ---- passes ---- */

/* batch rows fit the run, x_stride the rows. */
static linfdist_status check_batch(const linfdist_run *run, int64_t x_stride, int64_t batch) {
    LFD_TRY(lfd_check_extent("x", batch, run->model->n_in, x_stride));
    if ((uint64_t)batch > run->max_batch) {
        return lfd_fail(LINFDIST_ERROR_RANGE, "batch is %lld, the run was made for at most %llu", (long long)batch,
                        (unsigned long long)run->max_batch);
    }
    return LINFDIST_OK;
}

static linfdist_status check_forward(const linfdist_run *run, int32_t mode, float p) {
    if (mode != LINFDIST_EVALUATE && mode != LINFDIST_TRAIN) {
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "mode is %d, must be EVALUATE or TRAIN", (int)mode);
    }
    if (mode == LINFDIST_TRAIN && run->kind != LINFDIST_RUN_TRAINING) {
        return lfd_fail(LINFDIST_ERROR_STATE, "mode is TRAIN, but the run was made for inference");
    }
    return lfd_check_p("p", p);
}

static void copy_rows(const linfdist_run *run, const float *x, int64_t x_stride, int64_t batch, float *to) {
    size_t n = (size_t)run->model->n_in;
    for (size_t b = 0; b < (size_t)batch; ++b) memcpy(to + b * n, x + b * (size_t)x_stride, n * sizeof *to);
}

linfdist_status linfdist_forward(linfdist_run *run, const float *x, int64_t x_stride, int64_t batch, int32_t mode,
                                 float p) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(x);
    LFD_TRY(check_forward(run, mode, p));
    LFD_TRY(check_batch(run, x_stride, batch));
    LFD_TRY(lfd_check_matrix(run->context, x, (size_t)batch, (size_t)run->model->n_in, (size_t)x_stride, "x"));
    LFD_TRY(lfd_model_check_finite(run->model));
    copy_rows(run, x, x_stride, batch, run->input);
    return lfd_run_forward(run, (size_t)batch, mode, p, 1);
}

linfdist_status linfdist_forward_bounds(linfdist_run *run, const float *x_lower, const float *x_upper, int64_t x_stride,
                                        int64_t batch) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(x_lower);
    LFD_REQUIRE(x_upper);
    LFD_TRY(check_batch(run, x_stride, batch));
    LFD_TRY(
        lfd_check_intervals(run->context, x_lower, x_upper, (size_t)batch, (size_t)run->model->n_in, (size_t)x_stride));
    LFD_TRY(lfd_model_check_finite(run->model));
    copy_rows(run, x_lower, x_stride, batch, run->lower[0]);
    copy_rows(run, x_upper, x_stride, batch, run->upper[0]);
    return lfd_run_bounds(run, (size_t)batch, 1);
}

linfdist_status linfdist_backward(linfdist_run *run, float *grad_x, int64_t grad_x_stride) {
    LFD_REQUIRE(run);
    if (!run->ready) {
        return lfd_fail(LINFDIST_ERROR_STATE, "backward needs a training run and a forward pass of its own");
    }
    size_t classes = (size_t)run->model->classes, n = (size_t)run->model->n_in;
    if (grad_x) LFD_TRY(lfd_check_extent("grad_x", (int64_t)run->batch, run->model->n_in, grad_x_stride));
    LFD_TRY(lfd_check_matrix(run->context, run->grad_distances, run->batch, classes, classes, "grad_distances"));
    LFD_TRY(lfd_check_matrix(run->context, &run->grad_scalar, 1, 1, 1, "grad_scalar"));
    const float *inner = lfd_run_backward(run, grad_x != NULL);
    for (size_t b = 0; grad_x && b < run->batch; ++b) {
        memcpy(grad_x + b * (size_t)grad_x_stride, inner + b * n, n * sizeof *grad_x);
    }
    return LINFDIST_OK;
}

/* ---- results ---- */

linfdist_status linfdist_run_distances(const linfdist_run *run, const float **distances, int64_t *batch,
                                       int64_t *classes) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(distances);
    if (run->batch == 0) return lfd_fail(LINFDIST_ERROR_STATE, "the run has no forward pass");
    *distances = run->distances;
    if (batch) *batch = (int64_t)run->batch;
    if (classes) *classes = run->model->classes;
    return LINFDIST_OK;
}

linfdist_status linfdist_run_bounds(const linfdist_run *run, const float **lower, const float **upper, int64_t *batch,
                                    int64_t *classes) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(lower);
    LFD_REQUIRE(upper);
    if (run->bounds_batch == 0) return lfd_fail(LINFDIST_ERROR_STATE, "the run has no pass of bounds");
    *lower = run->bound_lower;
    *upper = run->bound_upper;
    if (batch) *batch = (int64_t)run->bounds_batch;
    if (classes) *classes = run->model->classes;
    return LINFDIST_OK;
}

linfdist_status linfdist_run_output_gradients(linfdist_run *run, float **grad_distances, float **grad_scalar) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(grad_distances);
    LFD_REQUIRE(grad_scalar);
    if (!run->ready) return lfd_fail(LINFDIST_ERROR_STATE, "no forward pass of a training run waits for its gradients");
    *grad_distances = run->grad_distances;
    *grad_scalar = &run->grad_scalar;
    return LINFDIST_OK;
}

linfdist_status linfdist_run_loss(linfdist_run *run, const linfdist_loss *loss, const int32_t *labels,
                                  double eps_normalized, double lambda, double *value) {
    double got;
    LFD_REQUIRE(run);
    LFD_REQUIRE(loss);
    LFD_REQUIRE(labels);
    if (run->batch == 0) return lfd_fail(LINFDIST_ERROR_STATE, "the run has no forward pass");
    float *grad_scalar = run->ready ? &run->grad_scalar : NULL;
    LFD_TRY(linfdist_loss_distances(loss, run->distances, labels, (int64_t)run->batch, run->model->classes,
                                    lfd_model_scalar(run->model), eps_normalized, lambda, &got,
                                    run->ready ? run->grad_distances : NULL, grad_scalar));
    if (value) *value = got;
    return LINFDIST_OK;
}

/* ---- gradients ---- */

static linfdist_status check_training(const linfdist_run *run) {
    if (run->kind == LINFDIST_RUN_TRAINING) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_STATE, "a run made for inference has no gradients");
}

linfdist_status linfdist_run_get_gradient(linfdist_run *run, int64_t index, linfdist_tensor *gradient) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(gradient);
    LFD_TRY(check_training(run));
    LFD_TRY(lfd_model_check_tensor_index(run->model, index));
    return lfd_tensor_view(&run->model->tensors[index], run->gradients[index], gradient, "gradient");
}

linfdist_status linfdist_run_find_gradient(linfdist_run *run, const char *name, linfdist_tensor *gradient) {
    int64_t index;
    LFD_REQUIRE(run);
    LFD_REQUIRE(name);
    LFD_TRY(lfd_model_find_index(run->model, name, &index));
    return linfdist_run_get_gradient(run, index, gradient);
}

linfdist_status linfdist_run_zero_gradients(linfdist_run *run) {
    LFD_REQUIRE(run);
    LFD_TRY(check_training(run));
    for (int64_t i = 0; i < run->model->tensor_count; ++i) {
        if (run->gradients[i]) memset(run->gradients[i], 0, run->model->tensors[i].count * sizeof(float));
    }
    return LINFDIST_OK;
}
