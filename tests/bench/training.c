#include "training.h"

#include "timing.h"

#include <string.h>

void training_step_create(training_step *t, linfdist_model *model, int64_t batch, double p) {
    linfdist_model_info info = {.struct_size = sizeof info};
    require(linfdist_model_get_info(model, &info));
    *t = (training_step){.model = model, .batch = batch, .n_in = info.n_in, .p = p};
    require(linfdist_run_create(model, LINFDIST_RUN_TRAINING, batch, &t->run));
    require(linfdist_optimizer_create_adam(model, NULL, &t->optimizer));
}

void training_step_destroy(training_step *t) {
    linfdist_optimizer_destroy(t->optimizer);
    linfdist_run_destroy(t->run);
    linfdist_model_destroy(t->model);
}

/* The next whole batch. */
static void load(training_step *t) {
    if (!t->source) return;
    const int64_t per_epoch = batches_per_epoch(t->source->source);
    int64_t count;
    do {
        count = batches_get(t->source->source, t->taken / per_epoch, t->taken % per_epoch, &t->x, &t->labels);
        ++t->taken;
    } while (count < t->batch && per_epoch > 1);
    t->batch = count;
}

void training_step_take(void *user) {
    training_step *t = user;
    linfdist_loss loss;
    const double start = time_of_thread();
    load(t);
    require(linfdist_run_zero_gradients(t->run));
    const double loaded = time_of_thread();
    require(linfdist_forward(t->run, t->x, t->n_in, t->batch, LINFDIST_TRAIN, (float)t->p));
    const double passed = time_of_thread();
    require(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_MIXTURE));
    require(linfdist_run_loss(t->run, &loss, t->labels, 1.0, 0.05, NULL));
    const double judged = time_of_thread();
    require(linfdist_backward(t->run, NULL, 0));
    const double returned = time_of_thread();
    require(linfdist_optimizer_step(t->optimizer, t->run, 0.0, 0.0));
    const double end = time_of_thread();
    t->whole += end - start;
    t->outside += (loaded - start) + (judged - passed) + (end - returned);
}
