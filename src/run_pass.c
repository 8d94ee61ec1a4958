/* The passes: walks over the model's layers. Each runs in the default floating-point environment. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "layers/layer.h"
#include "ops.h"
#include "run.h"

static lfd_layer_pass pass_of(const linfdist_run *run, int64_t index, size_t batch, int32_t mode, float p) {
    const lfd_layer *layer = &run->model->layers[index];
    lfd_layer_pass pass = {
        .context = run->context,
        .spec = &layer->spec,
        .tensors = run->model->tensors + layer->first_tensor,
        .gradients = run->gradients ? run->gradients + layer->first_tensor : NULL,
        .workspace = run->records ? run->records[index].workspace : NULL,
        .batch = batch,
        .mode = mode,
        .p = p,
    };
    return pass;
}

static linfdist_status check_output(const linfdist_run *run, const lfd_layer_pass *pass, int64_t index,
                                    const char *what, const float *y) {
    char name[128];
    size_t n = (size_t)pass->spec->n_out;
    (void)snprintf(name, sizeof name, "%s of layer %s (%s)", what, pass->spec->name,
                   run->model->layers[index].ops->label);
    return lfd_check_matrix(run->context, y, pass->batch, n, n, name);
}

/* ---- forward ---- */

typedef struct forward_job {
    linfdist_run *run;
    size_t batch;
    int32_t mode;
    float p;
    int checked;
    linfdist_status status;
} forward_job;

/* Where layer index leaves its output. */
static float *output_of(const linfdist_run *run, int64_t index) {
    if (index == run->model->layer_count - 1) return run->distances;
    return run->records ? run->records[index].output : run->lower[(index + 1) % 2];
}

static linfdist_status forward(const forward_job *job) {
    linfdist_run *run = job->run;
    const linfdist_model *model = run->model;
    const float *x = run->input;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        lfd_layer_pass pass = pass_of(run, i, job->batch, job->mode, job->p);
        float *y = output_of(run, i);
        model->layers[i].ops->forward(&pass, x, y);
        if (job->checked) LFD_TRY(check_output(run, &pass, i, "output", y));
        x = y;
    }
    for (int64_t i = 0; job->mode == LINFDIST_TRAIN && i < model->layer_count; ++i) {
        lfd_layer_pass pass = pass_of(run, i, job->batch, job->mode, job->p);
        if (model->layers[i].ops->commit) model->layers[i].ops->commit(&pass);
    }
    return LINFDIST_OK;
}

static void forward_task(void *data, size_t index) {
    forward_job *job = data;
    (void)index;
    job->status = forward(job);
}

linfdist_status lfd_run_forward(linfdist_run *run, size_t batch, int32_t mode, float p, int checked) {
    forward_job job = {.run = run, .batch = batch, .mode = mode, .p = p, .checked = checked};
    run->batch = 0;
    run->ready = 0;
    lfd_serial_for(forward_task, &job, 1);
    LFD_TRY(job.status);
    run->batch = batch;
    if (run->kind == LINFDIST_RUN_INFERENCE) return LINFDIST_OK;
    run->mode = mode;
    run->p = p;
    run->ready = 1;
    memset(run->grad_distances, 0, batch * (size_t)run->model->classes * sizeof(float));
    run->grad_scalar = 0.0f;
    return LINFDIST_OK;
}

/* ---- bounds ---- */

static linfdist_status bounds(const forward_job *job) {
    linfdist_run *run = job->run;
    const linfdist_model *model = run->model;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        int last = i == model->layer_count - 1;
        float *lower = last ? run->bound_lower : run->lower[(i + 1) % 2];
        float *upper = last ? run->bound_upper : run->upper[(i + 1) % 2];
        lfd_layer_pass pass = pass_of(run, i, job->batch, job->mode, job->p);
        model->layers[i].ops->forward_bounds(&pass, run->lower[i % 2], run->upper[i % 2], lower, upper);
        if (!job->checked) continue;
        LFD_TRY(check_output(run, &pass, i, "lower bound", lower));
        LFD_TRY(check_output(run, &pass, i, "upper bound", upper));
    }
    return LINFDIST_OK;
}

static void bounds_task(void *data, size_t index) {
    forward_job *job = data;
    (void)index;
    job->status = bounds(job);
}

linfdist_status lfd_run_bounds(linfdist_run *run, size_t batch, int checked) {
    forward_job job = {.run = run, .batch = batch, .mode = LINFDIST_EVALUATE, .p = INFINITY, .checked = checked};
    run->bounds_batch = 0;
    lfd_serial_for(bounds_task, &job, 1);
    LFD_TRY(job.status);
    run->bounds_batch = batch;
    return LINFDIST_OK;
}

/* ---- backward ---- */

typedef struct backward_job {
    linfdist_run *run;
    int want_grad_x;
    const float *grad_x;
} backward_job;

static void backward_task(void *data, size_t unused) {
    backward_job *job = data;
    linfdist_run *run = job->run;
    const linfdist_model *model = run->model;
    const float *grad_y = run->grad_distances;
    (void)unused;
    for (int64_t i = model->layer_count - 1; i >= 0; --i) {
        lfd_layer_pass pass = pass_of(run, i, run->batch, run->mode, run->p);
        const float *x = i > 0 ? output_of(run, i - 1) : run->input;
        float *grad_x = i > 0 || job->want_grad_x ? run->lower[i % 2] : NULL;
        model->layers[i].ops->backward(&pass, x, output_of(run, i), grad_y, grad_x);
        grad_y = grad_x;
    }
    job->grad_x = grad_y;
    if (model->learned_scalar && run->gradients) run->gradients[model->tensor_count - 1][0] += run->grad_scalar;
}

const float *lfd_run_backward(linfdist_run *run, int want_grad_x) {
    backward_job job = {.run = run, .want_grad_x = want_grad_x};
    run->ready = 0;
    run->gradient_p = run->p;
    lfd_serial_for(backward_task, &job, 1);
    return job.grad_x;
}
