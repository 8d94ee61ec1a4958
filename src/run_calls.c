/* What callers do with a run: the checks in front of the passes, results, gradients. */
#include <math.h>
#include <string.h>

#include "loss.h"
#include "ops.h"
#include "run.h"

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

static linfdist_status check_mode(const linfdist_run *run, int32_t mode) {
    if (mode != LINFDIST_EVALUATE && mode != LINFDIST_TRAIN) {
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "mode is %d, must be EVALUATE or TRAIN", (int)mode);
    }
    if (mode == LINFDIST_TRAIN && run->kind == LINFDIST_RUN_INFERENCE) {
        return lfd_fail(LINFDIST_ERROR_STATE, "mode is TRAIN, but the run was made for inference");
    }
    return LINFDIST_OK;
}

static void copy_rows(const linfdist_run *run, const float *x, int64_t x_stride, int64_t batch, float *to) {
    size_t n = (size_t)run->model->n_in;
    for (size_t b = 0; b < (size_t)batch; ++b) memcpy(to + b * n, x + b * (size_t)x_stride, n * sizeof *to);
}

static linfdist_status check_values(const linfdist_run *run, const float *x, int64_t x_stride, int64_t batch) {
    return lfd_check_matrix(run->context, x, (size_t)batch, (size_t)run->model->n_in, (size_t)x_stride, "x");
}

static linfdist_status check_intervals(const linfdist_run *run, const float *x_lower, const float *x_upper,
                                       int64_t x_stride, int64_t batch) {
    return lfd_check_intervals(run->context, x_lower, x_upper, (size_t)batch, (size_t)run->model->n_in,
                               (size_t)x_stride);
}

linfdist_status linfdist_forward(linfdist_run *run, const float *x, int64_t x_stride, int64_t batch, int32_t mode,
                                 float p) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(x);
    LFD_TRY(check_mode(run, mode));
    LFD_TRY(lfd_check_p("p", p));
    LFD_TRY(check_batch(run, x_stride, batch));
    LFD_TRY(check_values(run, x, x_stride, batch));
    LFD_TRY(lfd_model_check_finite(run->model));
    copy_rows(run, x, x_stride, batch, run->signals[0].value);
    return lfd_run_forward(run, (size_t)batch, mode, p, 0, 1);
}

linfdist_status linfdist_forward_bounds(linfdist_run *run, const float *x_lower, const float *x_upper, int64_t x_stride,
                                        int64_t batch) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(x_lower);
    LFD_REQUIRE(x_upper);
    LFD_TRY(check_batch(run, x_stride, batch));
    LFD_TRY(check_intervals(run, x_lower, x_upper, x_stride, batch));
    LFD_TRY(lfd_model_check_finite(run->model));
    copy_rows(run, x_lower, x_stride, batch, run->plain[0].lower);
    copy_rows(run, x_upper, x_stride, batch, run->plain[0].upper);
    return lfd_run_bounds(run, 0, (size_t)batch, 1);
}

linfdist_status linfdist_forward_intervals(linfdist_run *run, const float *x, const float *x_lower,
                                           const float *x_upper, int64_t x_stride, int64_t batch, int32_t mode) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(x);
    LFD_REQUIRE(x_lower);
    LFD_REQUIRE(x_upper);
    if (run->kind != LINFDIST_RUN_INTERVAL_TRAINING)
        return lfd_fail(LINFDIST_ERROR_STATE, "the run was not made for interval training");
    LFD_TRY(check_mode(run, mode));
    LFD_TRY(check_batch(run, x_stride, batch));
    LFD_TRY(check_values(run, x, x_stride, batch));
    LFD_TRY(check_intervals(run, x_lower, x_upper, x_stride, batch));
    LFD_TRY(lfd_model_check_finite(run->model));
    copy_rows(run, x, x_stride, batch, run->signals[0].value);
    copy_rows(run, x_lower, x_stride, batch, run->signals[0].lower);
    copy_rows(run, x_upper, x_stride, batch, run->signals[0].upper);
    return lfd_run_forward(run, (size_t)batch, mode, INFINITY, 1, 1);
}

/* ---- backward ---- */

static linfdist_status check_output_gradients(const linfdist_run *run) {
    const size_t rows = run->batch, classes = (size_t)run->model->classes;
    linfdist_context *context = run->context;
    LFD_TRY(lfd_check_matrix(context, run->grad_outputs, rows, classes, classes, "grad_outputs"));
    LFD_TRY(lfd_check_matrix(context, &run->grad_scalar, 1, 1, 1, "grad_scalar"));
    if (run->margins_on) LFD_TRY(lfd_check_matrix(context, run->grad_margins, rows, classes, classes, "grad_margins"));
    if (!run->intervals) return LINFDIST_OK;
    LFD_TRY(lfd_check_matrix(context, run->grad_lower, rows, classes, classes, "grad_lower"));
    return lfd_check_matrix(context, run->grad_upper, rows, classes, classes, "grad_upper");
}

static void return_rows(const linfdist_run *run, const float *inner, float *grad_x, int64_t stride) {
    const size_t n = (size_t)run->model->n_in;
    for (size_t b = 0; grad_x && b < run->batch; ++b)
        memcpy(grad_x + b * (size_t)stride, inner + b * n, n * sizeof *grad_x);
}

static linfdist_status backward(linfdist_run *run, float *grad_x, float *grad_x_lower, float *grad_x_upper,
                                int64_t stride) {
    const int bounds = grad_x_lower || grad_x_upper;
    LFD_REQUIRE(run);
    if (!run->ready) {
        return lfd_fail(LINFDIST_ERROR_STATE, "backward needs a training run and a forward pass of its own");
    }
    if (bounds && !run->intervals)
        return lfd_fail(LINFDIST_ERROR_STATE, "the forward pass had no intervals, so their gradients do not exist");
    if (grad_x || bounds) LFD_TRY(lfd_check_extent("grad_x", (int64_t)run->batch, run->model->n_in, stride));
    LFD_TRY(check_output_gradients(run));
    if (run->workers.hooks.sum_means && run->gradient_state == LFD_GRADIENTS_REDUCED)
        return lfd_fail(LINFDIST_ERROR_STATE, "the gradients are sums over all workers; zero them first");
    lfd_signal inner;
    LFD_TRY(lfd_run_backward(run, grad_x != NULL, bounds, &inner));
    return_rows(run, inner.value, grad_x, stride);
    return_rows(run, inner.lower, grad_x_lower, stride);
    return_rows(run, inner.upper, grad_x_upper, stride);
    return LINFDIST_OK;
}

linfdist_status linfdist_backward(linfdist_run *run, float *grad_x, int64_t grad_x_stride) {
    return backward(run, grad_x, NULL, NULL, grad_x_stride);
}

linfdist_status linfdist_backward_intervals(linfdist_run *run, float *grad_x, float *grad_x_lower, float *grad_x_upper,
                                            int64_t grad_x_stride) {
    LFD_REQUIRE(run);
    if (!run->intervals) return lfd_fail(LINFDIST_ERROR_STATE, "the forward pass had no intervals");
    return backward(run, grad_x, grad_x_lower, grad_x_upper, grad_x_stride);
}

/* ---- results ---- */

static linfdist_status check_forward_done(const linfdist_run *run) {
    if (run->batch > 0) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_STATE, "the run has no forward pass");
}

linfdist_status linfdist_run_outputs(const linfdist_run *run, const float **outputs, int64_t *batch, int64_t *classes) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(outputs);
    LFD_TRY(check_forward_done(run));
    *outputs = run->signals[run->model->layer_count].value;
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
    *lower = run->bounds->lower;
    *upper = run->bounds->upper;
    if (batch) *batch = (int64_t)run->bounds_batch;
    if (classes) *classes = run->model->classes;
    return LINFDIST_OK;
}

typedef struct prediction {
    const linfdist_run *run;
    int32_t *predicted;
} prediction;

static void predict(void *data, size_t b) {
    const prediction *job = data;
    const linfdist_model *model = job->run->model;
    const float *outputs = job->run->signals[model->layer_count].value;
    job->predicted[b] = lfd_model_winner(model, outputs + b * (size_t)model->classes);
}

linfdist_status linfdist_run_predictions(const linfdist_run *run, int32_t *predicted) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(predicted);
    LFD_TRY(check_forward_done(run));
    prediction job = {run, predicted};
    lfd_serial_for(predict, &job, run->batch);
    return LINFDIST_OK;
}

linfdist_status linfdist_run_margins(linfdist_run *run, const int32_t *labels, double eps_normalized,
                                     const float **margins) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(labels);
    LFD_REQUIRE(margins);
    LFD_TRY(check_forward_done(run));
    LFD_TRY(lfd_check_number("eps_normalized", eps_normalized, 0.0, LFD_LIMIT));
    LFD_TRY(lfd_check_labels(labels, (int64_t)run->batch, run->model->classes));
    LFD_TRY(lfd_run_margins(run, labels, eps_normalized));
    *margins = run->margins;
    return LINFDIST_OK;
}

static linfdist_status check_ready(const linfdist_run *run) {
    if (run->ready) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_STATE, "no forward pass of a training run waits for its gradients");
}

linfdist_status linfdist_run_output_gradients(linfdist_run *run, float **grad_outputs, float **grad_scalar) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(grad_outputs);
    LFD_REQUIRE(grad_scalar);
    LFD_TRY(check_ready(run));
    *grad_outputs = run->grad_outputs;
    *grad_scalar = &run->grad_scalar;
    return LINFDIST_OK;
}

linfdist_status linfdist_run_margin_gradients(linfdist_run *run, float **grad_margins) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(grad_margins);
    LFD_TRY(check_ready(run));
    if (!run->margins_on) return lfd_fail(LINFDIST_ERROR_STATE, "no margins were made of the last forward pass");
    *grad_margins = run->grad_margins;
    return LINFDIST_OK;
}

linfdist_status linfdist_run_bound_gradients(linfdist_run *run, float **grad_lower, float **grad_upper) {
    LFD_REQUIRE(run);
    LFD_REQUIRE(grad_lower);
    LFD_REQUIRE(grad_upper);
    LFD_TRY(check_ready(run));
    if (!run->intervals) return lfd_fail(LINFDIST_ERROR_STATE, "the forward pass had no intervals");
    *grad_lower = run->grad_lower;
    *grad_upper = run->grad_upper;
    return LINFDIST_OK;
}

/* ---- loss ---- */

/* Distances whose bounds are values -+ eps: the margins are made of them inside the loss. */
static linfdist_status loss_of_distances(linfdist_run *run, const linfdist_loss *loss, const int32_t *labels,
                                         double eps_normalized, double lambda, double *value) {
    return lfd_loss_distances(loss, run->signals[run->model->layer_count].value, labels, (int64_t)run->batch,
                              run->model->classes, run->samples, lfd_model_scalar(run->model), eps_normalized, lambda,
                              value, run->ready ? run->grad_outputs : NULL, run->ready ? &run->grad_scalar : NULL);
}

static linfdist_status loss_of_margins(linfdist_run *run, const linfdist_loss *loss, const int32_t *labels,
                                       double eps_normalized, double lambda, double *value) {
    const int distances = run->model->outputs == LINFDIST_OUTPUTS_DISTANCES;
    const float *margins;
    LFD_TRY(lfd_check_loss(loss, lambda)); /* before margins are made */
    if (distances) LFD_TRY(lfd_check_eps(eps_normalized));
    LFD_TRY(linfdist_run_margins(run, labels, eps_normalized, &margins));
    const lfd_loss_input input = {.outputs = run->signals[run->model->layer_count].value,
                                  .margins = margins,
                                  .labels = labels,
                                  .batch = (int64_t)run->batch,
                                  .classes = run->model->classes,
                                  .samples = run->samples,
                                  .logit_factor = lfd_model_logit_factor(run->model),
                                  .two_eps = distances ? 2.0 * eps_normalized : 1.0};
    return lfd_loss_margins(loss, &input, lambda, value, run->ready ? run->grad_outputs : NULL,
                            run->ready ? run->grad_margins : NULL, run->ready && distances ? &run->grad_scalar : NULL);
}

linfdist_status linfdist_run_loss(linfdist_run *run, const linfdist_loss *loss, const int32_t *labels,
                                  double eps_normalized, double lambda, double *value) {
    double got;
    LFD_REQUIRE(run);
    LFD_REQUIRE(loss);
    LFD_REQUIRE(labels);
    LFD_TRY(check_forward_done(run));
    const int from_values = !run->intervals && lfd_model_lipschitz(run->model) && lfd_model_sign(run->model) > 0;
    LFD_TRY((from_values ? loss_of_distances : loss_of_margins)(run, loss, labels, eps_normalized, lambda, &got));
    if (value) *value = got;
    return LINFDIST_OK;
}

/* ---- gradients ---- */

static linfdist_status check_training(const linfdist_run *run) {
    if (run->gradients) return LINFDIST_OK;
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
    lfd_run_clear_gradients(run);
    return LINFDIST_OK;
}
