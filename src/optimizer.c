/* Adam on a model's parameters. */
#include <stdio.h>

#include "ops.h"
#include "optimizer.h"
#include "run.h"

static linfdist_status allocate_moments(linfdist_optimizer *optimizer) {
    const linfdist_model *model = optimizer->model;
    void *memory;
    LFD_TRY(lfd_alloc_zero(optimizer->context, (size_t)model->tensor_count, sizeof(float *), "moments", &memory));
    optimizer->m = memory;
    LFD_TRY(lfd_alloc_zero(optimizer->context, (size_t)model->tensor_count, sizeof(float *), "moments", &memory));
    optimizer->v = memory;
    for (int64_t i = 0; i < model->tensor_count; ++i) {
        if (!lfd_tensor_trains(&model->tensors[i])) continue;
        LFD_TRY(lfd_alloc_floats(optimizer->context, model->tensors[i].count, 1, "moments", &optimizer->m[i]));
        LFD_TRY(lfd_alloc_floats(optimizer->context, model->tensors[i].count, 1, "moments", &optimizer->v[i]));
    }
    return LINFDIST_OK;
}

linfdist_status linfdist_optimizer_create_adam(linfdist_model *model, const linfdist_adam_options *options,
                                               linfdist_optimizer **optimizer) {
    linfdist_adam_options o;
    void *memory;
    LFD_REQUIRE(model);
    LFD_REQUIRE(optimizer);
    LFD_TRY(lfd_adam_options_read(&o, options));
    LFD_TRY(lfd_alloc_zero(model->context, 1, sizeof(linfdist_optimizer), "optimizer", &memory));
    linfdist_optimizer *made = memory;
    made->context = model->context;
    made->model = lfd_model_retain(model);
    made->options = o;
    linfdist_status status = allocate_moments(made);
    if (status != LINFDIST_OK) {
        linfdist_optimizer_destroy(made);
        return status;
    }
    *optimizer = made;
    return LINFDIST_OK;
}

void linfdist_optimizer_destroy(linfdist_optimizer *optimizer) {
    if (!optimizer) return;
    linfdist_model *model = optimizer->model;
    for (int64_t i = 0; i < model->tensor_count; ++i) {
        if (optimizer->m) lfd_free(optimizer->context, optimizer->m[i]);
        if (optimizer->v) lfd_free(optimizer->context, optimizer->v[i]);
    }
    lfd_free(optimizer->context, optimizer->m);
    lfd_free(optimizer->context, optimizer->v);
    lfd_free(optimizer->context, optimizer);
    lfd_model_release(model);
}

static linfdist_status check_decay(const linfdist_adam_options *options, const linfdist_run *run, double lr) {
    LFD_TRY(lfd_check_decay_rate(lr, options->weight_decay));
    if (options->weight_decay > 0.0 && options->decay == LINFDIST_DECAY_LP && run->gradient_p == 0.0f) {
        return lfd_fail(LINFDIST_ERROR_STATE, "decay is LP, and the run has no backward pass whose p it could take");
    }
    return LINFDIST_OK;
}

static linfdist_status check_gradients(const linfdist_optimizer *optimizer, const linfdist_run *run) {
    for (int64_t i = 0; i < run->model->tensor_count; ++i) {
        const lfd_tensor *tensor = &run->model->tensors[i];
        const size_t rows = (size_t)tensor->shape[0];
        char name[sizeof tensor->name + sizeof "gradient of "];
        if (!run->gradients[i]) continue;
        (void)snprintf(name, sizeof name, "gradient of %s", tensor->name);
        LFD_TRY(lfd_check_gradient(optimizer->context, run->gradients[i], rows, tensor->count / rows, name));
    }
    return LINFDIST_OK;
}

static linfdist_status check_step(const linfdist_optimizer *optimizer, const linfdist_run *run, double lr,
                                  double scalar_lr) {
    const linfdist_model *model = optimizer->model;
    if (run->model != model) {
        return lfd_fail(LINFDIST_ERROR_SHAPE, "run belongs to another model than the optimizer");
    }
    if (run->kind == LINFDIST_RUN_INFERENCE) {
        return lfd_fail(LINFDIST_ERROR_STATE, "run was made for inference and has no gradients");
    }
    if (run->workers.hooks.sum_gradients && run->gradient_state == LFD_GRADIENTS_OWN) {
        return lfd_fail(LINFDIST_ERROR_STATE,
                        "the gradients are this worker's own: linfdist_run_reduce_gradients comes first");
    }
    LFD_TRY(lfd_check_number("lr", lr, 0.0, (double)LFD_LIMIT));
    LFD_TRY(lfd_check_number("scalar_lr", scalar_lr, 0.0, (double)LFD_LIMIT));
    LFD_TRY(check_decay(&optimizer->options, run, lr));
    if (optimizer->step == INT64_MAX) return lfd_fail(LINFDIST_ERROR_STATE, "the optimizer's steps are used up");
    return check_gradients(optimizer, run);
}

static void decay(const linfdist_optimizer *optimizer, const lfd_tensor *tensor, float p, double lr) {
    const int lp = optimizer->options.decay == LINFDIST_DECAY_LP && tensor->lp_rows;
    const size_t rows = (size_t)tensor->shape[0];
    if (tensor->role == LINFDIST_ROLE_SCALAR) return;
    lfd_lp_decay(optimizer->context, rows, tensor->count / rows, lp ? p : 2.0f, lr, optimizer->options.weight_decay,
                 tensor->data);
}

linfdist_status linfdist_optimizer_step(linfdist_optimizer *optimizer, const linfdist_run *run, double lr,
                                        double scalar_lr) {
    LFD_REQUIRE(optimizer);
    LFD_REQUIRE(run);
    LFD_TRY(check_step(optimizer, run, lr, scalar_lr));
    const linfdist_adam_options *options = &optimizer->options;
    int64_t step = ++optimizer->step;
    for (int64_t i = 0; i < optimizer->model->tensor_count; ++i) {
        const lfd_tensor *tensor = &optimizer->model->tensors[i];
        lfd_adam adam;
        if (!run->gradients[i]) continue;
        decay(optimizer, tensor, run->gradient_p, lr);
        lfd_adam_prepare(&adam, options->beta1, options->beta2, options->epsilon, step,
                         tensor->role == LINFDIST_ROLE_SCALAR ? scalar_lr : lr);
        lfd_adam_apply(optimizer->context, &adam, tensor->count, run->gradients[i], tensor->data, optimizer->m[i],
                       optimizer->v[i]);
    }
    return LINFDIST_OK;
}

linfdist_status linfdist_optimizer_get_moments(linfdist_optimizer *optimizer, int64_t index, linfdist_tensor *first,
                                               linfdist_tensor *second) {
    LFD_REQUIRE(optimizer);
    LFD_REQUIRE(first);
    LFD_REQUIRE(second);
    LFD_TRY(lfd_model_check_tensor_index(optimizer->model, index));
    const lfd_tensor *tensor = &optimizer->model->tensors[index];
    size_t second_size = 0;
    LFD_TRY(lfd_options_size(second, sizeof *second, "second", &second_size)); /* before first is written */
    LFD_TRY(lfd_tensor_view(tensor, optimizer->m[index], first, "first"));
    return lfd_tensor_view(tensor, optimizer->v[index], second, "second");
}

linfdist_status linfdist_optimizer_get_step(const linfdist_optimizer *optimizer, int64_t *step) {
    LFD_REQUIRE(optimizer);
    LFD_REQUIRE(step);
    *step = optimizer->step;
    return LINFDIST_OK;
}

linfdist_status linfdist_optimizer_set_step(linfdist_optimizer *optimizer, int64_t step) {
    LFD_REQUIRE(optimizer);
    LFD_TRY(lfd_check_count("step", step, 0, INT64_MAX));
    optimizer->step = step;
    return LINFDIST_OK;
}
