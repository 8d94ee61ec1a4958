/* Evaluation of a state: logits, margins, accuracies, and the distances with their interval bounds. */
#include <math.h>
#include <string.h>

#include "net.h"
#include "train.h"

/* Of the interval run. */
typedef struct evaluation {
    float *logits, *worst;
} evaluation;

static float *logits_at(check *c, const train_case *t, float p) {
    const float *x = check_f32(c, "eval.x", t->eval_count * t->n_in);
    CHECK(c, linfdist_forward(t->run, x, (int64_t)t->n_in, (int64_t)t->eval_count, LINFDIST_EVALUATE, p));
    return train_logits(c, t, train_outputs(c, t, t->run, t->eval_count), t->eval_count);
}

/* [max(x - eps, down), min(x + eps, up)]; down and up have one entry per channel. */
static net_triple make_intervals(check *c, const train_case *t) {
    const size_t count = t->eval_count * t->n_in;
    const double eps = check_scalar(c, "eval.eps");
    net_triple x = net_read_triple(c, "eval.x", "eval.x", "eval.x", count, 1);
    const golden_tensor *down_tensor = golden_find(c->file, "down");
    const size_t channels = down_tensor ? down_tensor->count : 1, positions = t->n_in / channels;
    if (t->n_in % channels != 0) check_stop(c, "tensor down has %zu channels", channels);
    const float *down = check_f32(c, "down", channels), *up = check_f32(c, "up", channels);
    for (size_t i = 0; i < count; ++i) {
        const size_t channel = i % t->n_in / positions % channels;
        x.lower[i] = (float)fmax((double)x.x[i] - eps, (double)down[channel]);
        x.upper[i] = (float)fmin((double)x.x[i] + eps, (double)up[channel]);
    }
    return x;
}

static evaluation evaluate(check *c, const train_case *t) {
    const net_triple x = make_intervals(c, t);
    const int32_t *labels = check_i32(c, "eval.y", t->eval_count);
    CHECK(c, linfdist_forward_intervals(t->intervals, x.x, x.lower, x.upper, (int64_t)t->n_in, (int64_t)t->eval_count,
                                        LINFDIST_EVALUATE));
    return (evaluation){
        .logits = train_logits(c, t, train_outputs(c, t, t->intervals, t->eval_count), t->eval_count),
        .worst = train_worst(c, t, t->intervals, labels, t->eval_count, check_scalar(c, "eval.eps")),
    };
}

/* Fractions of right samples, and of samples all of whose other margins are negative. */
static void compare_accuracies(check *c, const train_case *t, const evaluation *e) {
    const int32_t *labels = check_i32(c, "eval.y", t->eval_count);
    int32_t *predicted = check_array(c, t->eval_count, sizeof *predicted);
    size_t right = 0, certified = 0;
    CHECK(c, linfdist_run_predictions(t->intervals, predicted));
    for (size_t b = 0; b < t->eval_count; ++b) {
        int holds = 1;
        for (size_t j = 0; j < t->classes; ++j) holds &= j == (size_t)labels[b] || e->worst[b * t->classes + j] < 0.0f;
        right += predicted[b] == labels[b];
        certified += (size_t)holds;
    }
    const check_tolerance rounding = {1e-12, 0.0};
    check_number_close(c, "eval.acc", (double)right / (double)t->eval_count, check_scalar(c, "eval.acc"), rounding);
    check_number_close(c, "eval.cert_acc", (double)certified / (double)t->eval_count, check_scalar(c, "eval.cert_acc"),
                       rounding);
}

/* What the layers in front of the linear ones put out. */
static void compare_part(check *c, const train_case *t) {
    const size_t count = t->eval_count * t->features;
    const int64_t n = (int64_t)t->n_in, batch = (int64_t)t->eval_count;
    const net_triple x = make_intervals(c, t);
    const float *distances = NULL, *lower = NULL, *upper = NULL;
    linfdist_model_info info = {.struct_size = sizeof info};
    CHECK(c, linfdist_model_get_info(t->part, &info));
    for (int64_t i = 0; i < info.tensors; ++i) {
        linfdist_tensor from = {.struct_size = sizeof from}, to = {.struct_size = sizeof to};
        CHECK(c, linfdist_model_get_tensor(t->part, i, &to));
        CHECK(c, linfdist_model_find_tensor(t->model, to.name, &from));
        memcpy(to.data, from.data, train_elements(&to) * sizeof(float));
    }
    CHECK(c, linfdist_forward(t->part_run, x.x, n, batch, LINFDIST_EVALUATE, INFINITY));
    CHECK(c, linfdist_run_outputs(t->part_run, &distances, NULL, NULL));
    CHECK(c, linfdist_forward_bounds(t->part_run, x.lower, x.upper, n, batch));
    CHECK(c, linfdist_run_bounds(t->part_run, &lower, &upper, NULL, NULL));
    check_close(c, "eval.dist", distances, count);
    check_close(c, "eval.dist_lower", lower, count);
    check_close(c, "eval.dist_upper", upper, count);
}

void train_check_evaluation(check *c, const train_case *t) {
    const size_t count = t->eval_count * t->classes;
    train_write(c, t, "final");
    const evaluation e = evaluate(c, t);
    check_close(c, "eval.logits", e.logits, count);
    check_close(c, "eval.worst", e.worst, count);
    compare_accuracies(c, t, &e);
    compare_part(c, t);
    check_close(c, "eval.logits_plain", logits_at(c, t, INFINITY), count);
    check_close(c, "eval.logits_p8", logits_at(c, t, 8.0f), count);
    check_close(c, "eval.logits_p123.4", logits_at(c, t, 123.4f), count);
}

void train_check_end_to_end(check *c, const train_case *t) {
    const size_t count = t->eval_count * t->classes;
    const evaluation e = evaluate(c, t);
    check_close_within(c, "eval.logits of our own final state", e.logits, check_values(c, "eval.logits", count), count,
                       check_read_tolerance(c, "end_to_end.eval.logits"));
    check_close_within(c, "eval.worst of our own final state", e.worst, check_values(c, "eval.worst", count), count,
                       check_read_tolerance(c, "end_to_end.eval.worst"));
}
