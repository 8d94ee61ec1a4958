/* train_*: what the parts of a training golden share, and the parts in order. */
#include "train.h"

#include <stdio.h>
#include <string.h>

static void destroy_run(void *run) {
    linfdist_run_destroy(run);
}

static void destroy_optimizer(void *optimizer) {
    linfdist_optimizer_destroy(optimizer);
}

train_name train_join(const char *prefix, const char *name) {
    train_name joined;
    snprintf(joined.text, sizeof joined.text, "%s.%s", prefix, name);
    return joined;
}

size_t train_elements(const linfdist_tensor *tensor) {
    size_t count = 1;
    for (int32_t i = 0; i < tensor->dims; ++i) count *= (size_t)tensor->shape[i];
    return count;
}

linfdist_tensor train_tensor(check *c, const train_case *t, int64_t index) {
    linfdist_tensor tensor = {.struct_size = sizeof tensor};
    CHECK(c, linfdist_model_get_tensor(t->model, index, &tensor));
    return tensor;
}

void train_write(check *c, const train_case *t, const char *prefix) {
    for (int64_t i = 0; i < t->tensors; ++i) {
        const linfdist_tensor tensor = train_tensor(c, t, i);
        const size_t count = train_elements(&tensor);
        memcpy(tensor.data, check_f32(c, train_join(prefix, tensor.name).text, count), count * sizeof(float));
    }
}

const float *train_outputs(check *c, const train_case *t, const linfdist_run *run, size_t batch) {
    const float *outputs = NULL;
    int64_t rows = 0, columns = 0;
    CHECK(c, linfdist_run_outputs(run, &outputs, &rows, &columns));
    if (rows != (int64_t)batch || columns != (int64_t)t->classes) check_stop(c, "the run has outputs of another shape");
    return outputs;
}

float *train_logits(check *c, const train_case *t, const float *outputs, size_t batch) {
    linfdist_tensor scalar = {.struct_size = sizeof scalar};
    const int learned = linfdist_model_find_tensor(t->model, "scalar", &scalar) == LINFDIST_OK;
    const float sign = t->outputs == LINFDIST_OUTPUTS_DISTANCES ? -1.0f : 1.0f;
    const float factor = learned ? sign * scalar.data[0] : sign;
    float *logits = CHECK_FLOATS(c, batch * t->classes);
    for (size_t i = 0; i < batch * t->classes; ++i) logits[i] = factor * outputs[i];
    return logits;
}

float *train_worst(check *c, const train_case *t, linfdist_run *run, const int32_t *labels, size_t batch, double eps) {
    const double unit = t->outputs == LINFDIST_OUTPUTS_DISTANCES ? 2.0 * eps : 1.0;
    const float *margins = NULL;
    float *worst = CHECK_FLOATS(c, batch * t->classes);
    CHECK(c, linfdist_run_margins(run, labels, eps, &margins));
    for (size_t i = 0; i < batch * t->classes; ++i) worst[i] = (float)((double)margins[i] / unit);
    return worst;
}

double train_gradients(check *c, const train_case *t, size_t k, const train_numbers *now) {
    const float *x = check_f32(c, "x", t->steps * t->batch * t->n_in) + k * t->batch * t->n_in;
    const int32_t *labels = check_i32(c, "y", t->steps * t->batch) + k * t->batch;
    double loss = 0.0;
    CHECK(c, linfdist_run_zero_gradients(t->run));
    CHECK(c, linfdist_forward(t->run, x, (int64_t)t->n_in, (int64_t)t->batch, LINFDIST_TRAIN, (float)now->p));
    CHECK(c, linfdist_run_loss(t->run, &t->loss, labels, now->eps, now->lambda, &loss));
    CHECK(c, linfdist_backward(t->run, NULL, 0));
    return loss;
}

void train_update(check *c, const train_case *t, const train_numbers *now) {
    CHECK(c, linfdist_optimizer_step(t->optimizer, t->run, now->lr, now->scalar_lr));
}

/* "mixture(lam0=0.1,lam_end=0.001)", "hinge", "crossentropy(mix=0.2)": what is not said is the default. */
static void read_loss(check *c, train_case *t) {
    const char *text = check_metadata(c, "loss"), *parameters = strchr(text, '(');
    linfdist_schedule *s = &t->schedule;
    t->loss = check_loss_kind(c, text);
    if (t->loss.kind != LINFDIST_LOSS_MIXTURE) s->lambda_start = s->lambda_end = 0.0;
    if (!parameters) return;
    if (sscanf(parameters, "(lam0=%lf,lam_end=%lf)", &s->lambda_start, &s->lambda_end) == 2) return;
    if (sscanf(parameters, "(mix=%lf)", &t->loss.mix) != 1) check_stop(c, "loss is %s", text);
}

static void read_schedule(check *c, const train_case *t, linfdist_schedule *s) {
    const char *epochs = check_metadata(c, "epochs");
    long long e[5];
    CHECK(c, linfdist_schedule_init(s, sizeof *s));
    if (sscanf(epochs, "%lld,%lld,%lld,%lld,%lld", &e[0], &e[1], &e[2], &e[3], &e[4]) != 5)
        check_stop(c, "epochs are %s", epochs);
    if (strcmp(check_metadata(c, "decays"), "None") != 0) check_stop(c, "decays are not None");
    s->eps_begin = e[0];
    s->eps_finish = e[1];
    s->p_begin = e[2];
    s->p_finish = e[3];
    s->epochs = e[4];
    s->batches_per_epoch = (int64_t)check_number(c, "batches_per_epoch");
    s->p_start = check_number(c, "p_start");
    s->p_end = check_number(c, "p_end");
    s->eps_train_normalized = check_number(c, "eps_train");
    s->eps_smooth = check_number(c, "eps_smooth");
    s->lr = check_number(c, "lr");
    s->scalar_lr = check_number(c, "scalar_lr");
    s->positive_eps = t->outputs == LINFDIST_OUTPUTS_DISTANCES; /* whose margins divide by eps */
}

static linfdist_run *create_run(check *c, linfdist_model *model, int32_t kind, size_t max_batch) {
    linfdist_run *run = NULL;
    CHECK(c, linfdist_run_create(model, kind, (int64_t)max_batch, &run));
    check_own(c, run, destroy_run);
    return run;
}

static void create_training(check *c, train_case *t) {
    linfdist_adam_options adam;
    t->steps = (size_t)check_number(c, "steps");
    t->batch = (size_t)check_number(c, "batch");
    const size_t most = t->batch > t->eval_count ? t->batch : t->eval_count;
    t->run = create_run(c, t->model, LINFDIST_RUN_TRAINING, most);
    t->intervals = create_run(c, t->model, LINFDIST_RUN_INTERVAL_TRAINING, t->eval_count);
    t->part_run = create_run(c, t->part, LINFDIST_RUN_INFERENCE, t->eval_count);
    CHECK(c, linfdist_adam_options_init(&adam, sizeof adam));
    adam.beta1 = check_number(c, "beta1");
    adam.beta2 = check_number(c, "beta2");
    adam.epsilon = check_number(c, "epsilon");
    CHECK(c, linfdist_optimizer_create_adam(t->model, &adam, &t->optimizer));
    check_own(c, t->optimizer, destroy_optimizer);
}

void check_train(check *c) {
    train_case t = {0};
    train_create_models(c, &t);
    create_training(c, &t);
    read_schedule(c, &t, &t.schedule);
    read_loss(c, &t);
    train_check_snapshots(c, &t);
    train_check_evaluation(c, &t);
    if (check_has(c, "pgd.x_p8")) train_check_attack(c, &t);
    train_check_trajectory(c, &t);
    train_check_end_to_end(c, &t);
}
