/* The passes: walks over the model's layers. Each runs in the default floating-point environment. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "layers/layer.h"
#include "ops.h"
#include "run.h"
#include "units.h"

/* Passes in EVALUATE are this worker's own. */
static lfd_workers *workers_of(linfdist_run *run, int32_t mode) {
    return mode == LINFDIST_TRAIN && run->workers.hooks.sum_means ? &run->workers : NULL;
}

static lfd_layer_pass pass_of(linfdist_run *run, int64_t index, size_t batch, int32_t mode, float p) {
    const lfd_layer *layer = &run->model->layers[index];
    lfd_layer_pass pass = {
        .context = run->context,
        .spec = &layer->spec,
        .tensors = run->model->tensors + layer->first_tensor,
        .gradients = run->gradients ? run->gradients + layer->first_tensor : NULL,
        .workspace = run->workspaces ? run->workspaces[index] : NULL,
        .scratch = run->scratch,
        .prepared = run->prepared ? run->prepared[index] : NULL,
        .batch = batch,
        .samples = run->samples,
        .workers = workers_of(run, mode),
        .mode = mode,
        .p = p,
    };
    return pass;
}

static const struct lfd_layer_ops *last_layer(const linfdist_run *run) {
    return run->model->layers[run->model->layer_count - 1].ops;
}

static linfdist_status check_part(const linfdist_run *run, const lfd_layer_pass *pass, int64_t index, const char *what,
                                  const float *y) {
    char name[128];
    size_t n = (size_t)pass->spec->n_out;
    if (!y) return LINFDIST_OK;
    (void)snprintf(name, sizeof name, "%s of layer %s (%s)", what, pass->spec->name,
                   run->model->layers[index].ops->label);
    return lfd_check_matrix(run->context, y, pass->batch, n, n, name);
}

static linfdist_status check_signal(const linfdist_run *run, const lfd_layer_pass *pass, int64_t index,
                                    const lfd_signal *y) {
    LFD_TRY(check_part(run, pass, index, "output", y->value));
    LFD_TRY(check_part(run, pass, index, "lower bound", y->lower));
    return check_part(run, pass, index, "upper bound", y->upper);
}

/* ---- forward ---- */

/* One pass over some of the layers. */
typedef struct forward_job {
    linfdist_run *run;
    const lfd_signal *signals;
    int64_t first, end; /* layers */
    int values, bounds; /* what it carries */
    int kept;           /* for a backward: workspaces are used */
    size_t batch;
    int32_t mode;
    float p;
    int checked;
    linfdist_status status;
} forward_job;

static lfd_signal carried(const forward_job *job, int64_t index) {
    lfd_signal signal = job->signals[index];
    if (!job->values) signal.value = NULL;
    if (!job->bounds) signal.lower = signal.upper = NULL;
    return signal;
}

static linfdist_status walk(const forward_job *job) {
    const linfdist_model *model = job->run->model;
    for (int64_t i = job->first; i < job->end; ++i) {
        lfd_layer_pass pass = pass_of(job->run, i, job->batch, job->mode, job->p);
        const lfd_signal x = carried(job, i), y = carried(job, i + 1);
        if (!job->kept) pass.workspace = NULL;
        model->layers[i].ops->forward(&pass, &x, &y);
        LFD_TRY(lfd_workers_status(pass.workers));
        if (job->checked) LFD_TRY(check_signal(job->run, &pass, i, &y));
    }
    return LINFDIST_OK;
}

static void commit(const forward_job *job) {
    const linfdist_model *model = job->run->model;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        const lfd_layer_pass pass = pass_of(job->run, i, job->batch, job->mode, job->p);
        if (model->layers[i].ops->commit) model->layers[i].ops->commit(&pass);
    }
}

/* Means are over the samples of all workers. */
static linfdist_status count_samples(forward_job *job) {
    lfd_workers *workers = workers_of(job->run, job->mode);
    const double own = (double)job->batch;
    double all = own;
    char text[32];
    if (workers) workers->status = LINFDIST_OK;
    lfd_workers_sum(workers, &all, 1);
    LFD_TRY(lfd_workers_status(workers));
    job->run->samples = all;
    if (all >= own && all <= 0x1p53) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_IO, "sum_means made %s of the batch of %llu samples, which is no sum",
                    lfd_format_double(text, all), (unsigned long long)job->batch);
}

static void forward_task(void *data, size_t index) {
    forward_job *job = data;
    (void)index;
    job->status = job->values ? count_samples(job) : LINFDIST_OK;
    if (job->status == LINFDIST_OK) job->status = walk(job);
    if (job->status == LINFDIST_OK && job->values && job->mode == LINFDIST_TRAIN) commit(job);
}

/* A backward may follow. */
static void await_backward(linfdist_run *run) {
    const size_t bytes = run->batch * (size_t)run->model->classes * sizeof(float);
    run->ready = 1;
    run->margins_on = 0;
    run->grad_scalar = 0.0f;
    memset(run->grad_outputs, 0, bytes);
    memset(run->grad_lower, 0, bytes);
    memset(run->grad_upper, 0, bytes);
}

linfdist_status lfd_run_forward(linfdist_run *run, size_t batch, int32_t mode, float p, int intervals, int checked) {
    forward_job job = {.run = run,
                       .signals = run->signals,
                       .end = run->model->layer_count,
                       .values = 1,
                       .bounds = intervals,
                       .kept = 1,
                       .batch = batch,
                       .mode = mode,
                       .p = p,
                       .checked = checked};
    run->batch = 0;
    run->ready = 0;
    if (intervals) run->bounds_batch = 0;
    lfd_serial_for(forward_task, &job, 1);
    LFD_TRY(job.status);
    run->batch = batch;
    run->mode = mode;
    run->p = p;
    run->intervals = intervals;
    if (intervals) {
        run->bounds = &run->signals[run->model->layer_count];
        run->bounds_batch = batch;
    }
    if (run->kind != LINFDIST_RUN_INFERENCE) await_backward(run);
    return LINFDIST_OK;
}

linfdist_status lfd_run_bounds(linfdist_run *run, int64_t first, size_t batch, int checked) {
    forward_job job = {.run = run,
                       .signals = run->plain,
                       .first = first,
                       .end = run->model->layer_count,
                       .bounds = 1,
                       .batch = batch,
                       .mode = LINFDIST_EVALUATE,
                       .p = INFINITY,
                       .checked = checked};
    run->bounds_batch = 0;
    lfd_serial_for(forward_task, &job, 1);
    LFD_TRY(job.status);
    run->bounds = &run->plain[run->model->layer_count];
    run->bounds_batch = batch;
    return LINFDIST_OK;
}

void lfd_run_bounds_step(linfdist_run *run, int64_t index) {
    forward_job job = {.run = run,
                       .signals = run->plain,
                       .first = index,
                       .end = index + 1,
                       .bounds = 1,
                       .batch = 1,
                       .mode = LINFDIST_EVALUATE,
                       .p = INFINITY};
    lfd_serial_for(forward_task, &job, 1);
}

/* ---- margins ---- */

typedef struct margin_job {
    linfdist_run *run;
    const lfd_signal *signals;
    size_t batch;
    double slack; /* added where values stand for their bounds */
    int from_values, sound;
} margin_job;

/* The larger bound of the class ahead minus the smaller one of the label, in the outputs' direction. */
static void difference_row(const margin_job *job, size_t row) {
    const linfdist_run *run = job->run;
    const size_t classes = (size_t)run->model->classes, label = (size_t)run->labels[row], first = row * classes;
    const lfd_signal *out = &job->signals[run->model->layer_count];
    const float *lower = job->from_values ? out->value : out->lower;
    const float *upper = job->from_values ? out->value : out->upper;
    const int distances = run->model->outputs == LINFDIST_OUTPUTS_DISTANCES;
    for (size_t j = 0; j < classes; ++j) {
        const double most = (double)upper[first + (distances ? label : j)];
        const double least = (double)lower[first + (distances ? j : label)];
        run->margins[first + j] = j == label ? 0.0f : (float)(most - least + job->slack);
    }
}

static void margins_task(void *data, size_t index) {
    const margin_job *job = data;
    linfdist_run *run = job->run;
    const int64_t last = run->model->layer_count - 1;
    (void)index;
    if (!job->from_values && last_layer(run)->margins) {
        const lfd_layer_pass pass = pass_of(run, last, job->batch, LINFDIST_EVALUATE, INFINITY);
        last_layer(run)->margins(&pass, &job->signals[last], run->labels, job->sound, run->margins);
        return;
    }
    for (size_t row = 0; row < job->batch; ++row) difference_row(job, row);
}

/* The last layer's own bounds are not needed where it makes margins itself. */
static int64_t margin_end(const linfdist_run *run) {
    return run->model->layer_count - (last_layer(run)->margins != NULL);
}

void lfd_run_sound_margins(linfdist_run *run, int64_t first, size_t batch) {
    forward_job job = {.run = run,
                       .signals = run->plain,
                       .first = first,
                       .end = margin_end(run),
                       .bounds = 1,
                       .batch = batch,
                       .mode = LINFDIST_EVALUATE,
                       .p = INFINITY};
    margin_job margins = {.run = run, .signals = run->plain, .batch = batch, .sound = 1};
    run->bounds_batch = 0;
    lfd_serial_for(forward_task, &job, 1);
    lfd_serial_for(margins_task, &margins, 1);
}

void lfd_run_widen(const float *value, size_t count, double eps, float *lower, float *upper) {
    for (size_t i = 0; i < count; ++i) {
        lower[i] = lfd_float_below((double)value[i] - eps);
        upper[i] = lfd_float_above((double)value[i] + eps);
    }
}

typedef struct widen_job {
    const lfd_signal *signal;
    size_t columns;
    double eps;
} widen_job;

static void widen_row(void *data, size_t row) {
    const widen_job *job = data;
    const size_t first = row * job->columns;
    lfd_run_widen(job->signal->value + first, job->columns, job->eps, job->signal->lower + first,
                  job->signal->upper + first);
}

static linfdist_status check_exact(const linfdist_run *run) {
    char text[32];
    for (int64_t i = run->model->split; i < margin_end(run) && isfinite(run->p); ++i) {
        const lfd_layer *layer = &run->model->layers[i];
        if (layer->ops->exact_at_p)
            return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT,
                            "p is %s, but margins need bounds of layer %s (%s), which exist at infinity alone",
                            lfd_format_double(text, (double)run->p), layer->spec.name, layer->ops->label);
    }
    return LINFDIST_OK;
}

/* Bounds around the values before the first layer that is not 1-Lipschitz, led through the rest. */
static linfdist_status lipschitz_bounds(linfdist_run *run, double eps) {
    const int64_t split = run->model->split;
    const lfd_signal *from = &run->signals[split];
    widen_job widen = {from, (size_t)run->model->layers[split].spec.n_in, eps};
    forward_job job = {.run = run,
                       .signals = run->signals,
                       .first = split,
                       .end = margin_end(run),
                       .bounds = 1,
                       .kept = 1,
                       .batch = run->batch,
                       .mode = run->mode,
                       .p = run->p,
                       .checked = 1};
    run->bounds_batch = 0; /* these may stand where those of linfdist_forward_bounds do */
    lfd_parallel_for(run->context, widen_row, &widen, run->batch);
    lfd_serial_for(forward_task, &job, 1);
    return job.status;
}

/* What a backward needs has been overwritten. */
static linfdist_status give_up(linfdist_run *run, linfdist_status status) {
    if (status != LINFDIST_OK) run->ready = 0;
    return status;
}

linfdist_status lfd_run_margins(linfdist_run *run, const int32_t *labels, double eps_normalized) {
    const size_t classes = (size_t)run->model->classes;
    margin_job job = {.run = run, .signals = run->signals, .batch = run->batch};
    if (!run->intervals && lfd_model_lipschitz(run->model)) {
        job.from_values = 1;
        job.slack = 2.0 * eps_normalized;
    } else if (!run->intervals) {
        LFD_TRY(check_exact(run));
        LFD_TRY(give_up(run, lipschitz_bounds(run, eps_normalized)));
    }
    memcpy(run->labels, labels, run->batch * sizeof *labels);
    lfd_serial_for(margins_task, &job, 1);
    LFD_TRY(give_up(run, lfd_check_matrix(run->context, run->margins, run->batch, classes, classes, "margins")));
    if (run->ready && !run->margins_on) {
        memset(run->grad_margins, 0, run->batch * classes * sizeof(float));
        run->margins_on = 1;
    }
    return LINFDIST_OK;
}

/* ---- backward ---- */

typedef struct backward_job {
    linfdist_run *run;
    int want_value, want_bounds;
    lfd_signal grad_x;
    linfdist_status status;
} backward_job;

/* Gradients of margins that are differences of the outputs' bounds become gradients of those. */
static void spread_margins(linfdist_run *run) {
    const size_t classes = (size_t)run->model->classes;
    const int distances = run->model->outputs == LINFDIST_OUTPUTS_DISTANCES;
    for (size_t row = 0; row < run->batch; ++row) {
        const size_t first = row * classes, label = (size_t)run->labels[row];
        float *most = run->grad_upper + first, *least = run->grad_lower + first;
        double of_label = 0.0;
        for (size_t j = 0; j < classes; ++j) {
            if (j == label) continue;
            of_label += (double)run->grad_margins[first + j];
            if (distances)
                least[j] -= run->grad_margins[first + j];
            else
                most[j] += run->grad_margins[first + j];
        }
        if (distances)
            most[label] += (float)of_label;
        else
            least[label] -= (float)of_label;
    }
}

/* Where bounds were values -+ eps, their gradients are the values'. */
static void merge(const linfdist_run *run, int64_t index, lfd_signal *grad) {
    const linfdist_model *model = run->model;
    const int64_t columns = index < model->layer_count ? model->layers[index].spec.n_in : model->classes;
    const size_t count = run->batch * (size_t)columns;
    for (size_t i = 0; grad->value && i < count; ++i) grad->value[i] += grad->lower[i] + grad->upper[i];
    grad->lower = grad->upper = NULL;
}

/* Through the last layer, where it makes the margins. */
static void backward_head(const linfdist_run *run, const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y,
                          const lfd_signal *grad_y, const lfd_signal *grad_x) {
    const size_t bytes = run->batch * (size_t)pass->spec->n_in * sizeof(float);
    if (run->intervals) {
        last_layer(run)->backward(pass, x, y, grad_y, grad_x);
    } else {
        const lfd_signal values = {.value = grad_y->value}, to = {.value = grad_x->value};
        last_layer(run)->backward(pass, x, y, &values, &to);
        memset(grad_x->lower, 0, bytes);
        memset(grad_x->upper, 0, bytes);
    }
    last_layer(run)->margins_backward(pass, x, run->labels, run->grad_margins, grad_x);
}

static void backward_task(void *data, size_t unused) {
    backward_job *job = data;
    linfdist_run *run = job->run;
    const linfdist_model *model = run->model;
    const int64_t last = model->layer_count - 1, bottom = run->intervals ? 0 : model->split;
    const int bounded = run->intervals || run->margins_on;
    const int head = run->margins_on && last_layer(run)->margins && bottom <= last;
    lfd_signal grad = {run->grad_outputs, NULL, NULL};
    (void)unused;
    if (run->margins_on && !head) spread_margins(run);
    if (bounded) grad.lower = run->grad_lower, grad.upper = run->grad_upper;
    for (int64_t i = last; i >= 0; --i) {
        const int with_bounds = bounded && i >= bottom;
        lfd_layer_pass pass = pass_of(run, i, run->batch, run->mode, run->p);
        lfd_signal x = run->signals[i], y = run->signals[i + 1], grad_x = run->grads[i % 2];
        if (bounded && i + 1 == bottom) merge(run, bottom, &grad);
        if (i == 0 && !job->want_value) grad_x.value = NULL;
        if (i == 0 && run->intervals && !job->want_bounds) grad_x.lower = grad_x.upper = NULL;
        if (!with_bounds) x.lower = x.upper = y.lower = y.upper = grad_x.lower = grad_x.upper = NULL;
        if (head && i == last)
            backward_head(run, &pass, &x, &y, &grad, &grad_x);
        else
            model->layers[i].ops->backward(&pass, &x, &y, &grad, &grad_x);
        job->status = lfd_workers_status(pass.workers);
        if (job->status != LINFDIST_OK) return;
        grad = grad_x;
    }
    if (bounded && bottom == 0 && !run->intervals) merge(run, 0, &grad);
    job->grad_x = grad;
    if (model->learned_scalar && run->gradients) run->gradients[model->tensor_count - 1][0] += run->grad_scalar;
}

void lfd_run_clear_gradients(linfdist_run *run) {
    for (int64_t i = 0; run->gradients && i < run->model->tensor_count; ++i)
        if (run->gradients[i]) lfd_zero(run->context, run->model->tensors[i].count, run->gradients[i]);
    run->gradient_state = LFD_GRADIENTS_ZERO;
}

linfdist_status lfd_run_backward(linfdist_run *run, int want_value, int want_bounds, lfd_signal *grad_x) {
    backward_job job = {.run = run, .want_value = want_value, .want_bounds = want_bounds};
    run->ready = 0;
    lfd_serial_for(backward_task, &job, 1);
    if (job.status != LINFDIST_OK) {
        lfd_run_clear_gradients(run);
        run->workers.status = LINFDIST_OK;
        return job.status;
    }
    run->gradient_p = run->p;
    run->gradient_state = LFD_GRADIENTS_OWN;
    *grad_x = job.grad_x;
    return LINFDIST_OK;
}
