/* train_*: what the parts of a training golden share, and the parts in order. */
#include "train.h"

#include <stdio.h>
#include <string.h>

static void destroy_model(void *model) {
    linfdist_model_destroy(model);
}

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

const float *train_distances(check *c, const train_case *t, size_t batch) {
    const float *distances = NULL;
    int64_t rows = 0, columns = 0;
    CHECK(c, linfdist_run_outputs(t->run, &distances, &rows, &columns));
    if (rows != (int64_t)batch || columns != (int64_t)t->classes)
        check_stop(c, "the run has distances of another shape");
    return distances;
}

float *train_logits(check *c, const train_case *t, const float *distances, size_t batch) {
    linfdist_tensor scalar = {.struct_size = sizeof scalar};
    const int learned = linfdist_model_find_tensor(t->model, "scalar", &scalar) == LINFDIST_OK;
    const float factor = learned ? scalar.data[0] : 1.0f;
    float *logits = CHECK_FLOATS(c, batch * t->classes);
    for (size_t i = 0; i < batch * t->classes; ++i) logits[i] = -factor * distances[i];
    return logits;
}

float *train_worst(check *c, const train_case *t, const float *lower, const float *upper, const int32_t *labels,
                   size_t batch, double eps) {
    float *worst = CHECK_FLOATS(c, batch * t->classes);
    for (size_t b = 0; b < batch; ++b) {
        const size_t row = b * t->classes, label = (size_t)labels[b];
        if (label >= t->classes) check_stop(c, "label %zu is out of range", label);
        for (size_t j = 0; j < t->classes; ++j)
            if (j != label)
                worst[row + j] = (float)(((double)upper[row + label] - (double)lower[row + j]) / (2.0 * eps));
    }
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

static void read_schedule(check *c, linfdist_schedule *s) {
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
}

static void create_model(check *c, train_case *t) {
    const char *model = check_metadata(c, "model"), *input = check_metadata(c, "input_dim");
    const golden_tensor *logits = golden_find(c->file, "eval.logits"), *scalar = golden_find(c->file, "init.scalar");
    long long depth, width, channels, height, width_px;
    linfdist_mlp_options options;
    CHECK(c, linfdist_mlp_options_init(&options, sizeof options));
    if (sscanf(model, "MLPModel(depth=%lld,width=%lld", &depth, &width) != 2) check_stop(c, "model is %s", model);
    if (sscanf(input, "(%lld, %lld, %lld)", &channels, &height, &width_px) != 3) check_stop(c, "input is %s", input);
    if (!logits || logits->dims != 2) check_stop(c, "tensor eval.logits is missing or not two-dimensional");
    options.channels = channels;
    options.height = height;
    options.width_px = width_px;
    options.depth = depth;
    options.width = width;
    options.classes = (int64_t)logits->shape[1];
    options.learned_scalar = scalar != NULL;
    CHECK(c, linfdist_model_create_mlp(c->context, &options, &t->model));
    check_own(c, t->model, destroy_model);
    t->classes = logits->shape[1];
    t->eval_count = logits->shape[0];
}

static void create_training(check *c, train_case *t) {
    linfdist_model_info info = {.struct_size = sizeof info};
    linfdist_adam_options adam;
    CHECK(c, linfdist_model_get_info(t->model, &info));
    t->tensors = info.tensors;
    t->n_in = (size_t)info.n_in;
    t->steps = (size_t)check_number(c, "steps");
    t->batch = (size_t)check_number(c, "batch");
    CHECK(c, linfdist_run_create(t->model, LINFDIST_RUN_TRAINING,
                                 (int64_t)(t->batch > t->eval_count ? t->batch : t->eval_count), &t->run));
    check_own(c, t->run, destroy_run);
    CHECK(c, linfdist_adam_options_init(&adam, sizeof adam));
    adam.beta1 = check_number(c, "beta1");
    adam.beta2 = check_number(c, "beta2");
    adam.epsilon = check_number(c, "epsilon");
    CHECK(c, linfdist_optimizer_create_adam(t->model, &adam, &t->optimizer));
    check_own(c, t->optimizer, destroy_optimizer);
}

static int starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Leaves the case where its model is of a later version, or unknown. */
static void check_supported(check *c) {
    const char *model = check_metadata(c, "model");
    if (starts_with(model, "HybridModel(") || starts_with(model, "('conv'"))
        check_skip(c, "hybrid and convolutional models are not in this version");
    if (!starts_with(model, "MLPModel(")) check_stop(c, "unknown model %s", model);
}

void check_train(check *c) {
    train_case t = {0};
    check_supported(c);
    create_model(c, &t);
    create_training(c, &t);
    read_schedule(c, &t.schedule);
    read_loss(c, &t);
    train_check_snapshots(c, &t);
    train_check_evaluation(c, &t);
    if (check_has(c, "pgd.x_p8")) train_check_attack(c, &t);
    train_check_trajectory(c, &t);
    train_check_end_to_end(c, &t);
}
