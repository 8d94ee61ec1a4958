/* Evaluation of a state: distances, interval bounds, logits and accuracies. */
#include <math.h>
#include <string.h>

#include "train.h"

typedef struct evaluation {
    float *distances, *lower, *upper, *logits, *worst;
} evaluation;

static float *copy_floats(check *c, const float *values, size_t count) {
    float *copy = CHECK_FLOATS(c, count);
    memcpy(copy, values, count * sizeof *copy);
    return copy;
}

static const float *distances_at(check *c, const train_case *t, float p) {
    const float *x = check_f32(c, "eval.x", t->eval_count * t->n_in);
    CHECK(c, linfdist_forward(t->run, x, (int64_t)t->n_in, (int64_t)t->eval_count, LINFDIST_EVALUATE, p));
    return train_distances(c, t, t->eval_count);
}

/* [max(x - eps, down), min(x + eps, up)]; down and up have one entry per channel. */
static void make_intervals(check *c, const train_case *t, double eps, float *lower, float *upper) {
    const size_t count = t->eval_count * t->n_in;
    const golden_tensor *down_tensor = golden_find(c->file, "down");
    const size_t channels = down_tensor ? down_tensor->count : 1, positions = t->n_in / channels;
    if (t->n_in % channels != 0) check_stop(c, "tensor down has %zu channels", channels);
    const float *x = check_f32(c, "eval.x", count);
    const float *down = check_f32(c, "down", channels), *up = check_f32(c, "up", channels);
    for (size_t i = 0; i < count; ++i) {
        const size_t channel = i % t->n_in / positions % channels;
        lower[i] = (float)fmax((double)x[i] - eps, (double)down[channel]);
        upper[i] = (float)fmin((double)x[i] + eps, (double)up[channel]);
    }
}

static evaluation evaluate(check *c, const train_case *t) {
    const size_t count = t->eval_count * t->classes;
    const double eps = check_scalar(c, "eval.eps");
    float *x_lower = CHECK_FLOATS(c, t->eval_count * t->n_in), *x_upper = CHECK_FLOATS(c, t->eval_count * t->n_in);
    const float *lower = NULL, *upper = NULL;
    int64_t rows = 0, columns = 0;
    evaluation e = {.distances = copy_floats(c, distances_at(c, t, INFINITY), count)};
    make_intervals(c, t, eps, x_lower, x_upper);
    CHECK(c, linfdist_forward_bounds(t->run, x_lower, x_upper, (int64_t)t->n_in, (int64_t)t->eval_count));
    CHECK(c, linfdist_run_bounds(t->run, &lower, &upper, &rows, &columns));
    if (rows != (int64_t)t->eval_count || columns != (int64_t)t->classes) check_stop(c, "bounds of another shape");
    e.lower = copy_floats(c, lower, count);
    e.upper = copy_floats(c, upper, count);
    e.logits = train_logits(c, t, e.distances, t->eval_count);
    e.worst = train_worst(c, t, e.lower, e.upper, check_i32(c, "eval.y", t->eval_count), t->eval_count, eps);
    return e;
}

/* Fractions of right samples, and of samples all of whose other margins are negative. */
static void compare_accuracies(check *c, const train_case *t, const evaluation *e) {
    const int32_t *labels = check_i32(c, "eval.y", t->eval_count);
    int32_t *predicted = check_array(c, t->eval_count, sizeof *predicted);
    size_t right = 0, certified = 0;
    CHECK(c, linfdist_margins(e->distances, labels, (int64_t)t->eval_count, (int64_t)t->classes, predicted, NULL));
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

void train_check_evaluation(check *c, const train_case *t) {
    const size_t count = t->eval_count * t->classes;
    train_write(c, t, "final");
    const evaluation e = evaluate(c, t);
    check_close(c, "eval.dist", e.distances, count);
    check_close(c, "eval.dist_lower", e.lower, count);
    check_close(c, "eval.dist_upper", e.upper, count);
    check_close(c, "eval.logits", e.logits, count);
    check_close(c, "eval.logits_plain", e.logits, count);
    check_close(c, "eval.worst", e.worst, count);
    compare_accuracies(c, t, &e);
    check_close(c, "eval.logits_p8", train_logits(c, t, distances_at(c, t, 8.0f), t->eval_count), count);
    check_close(c, "eval.logits_p123.4", train_logits(c, t, distances_at(c, t, 123.4f), t->eval_count), count);
}

void train_check_end_to_end(check *c, const train_case *t) {
    const size_t count = t->eval_count * t->classes;
    const evaluation e = evaluate(c, t);
    check_close_within(c, "eval.logits of our own final state", e.logits, check_values(c, "eval.logits", count), count,
                       check_read_tolerance(c, "end_to_end.eval.logits"));
    check_close_within(c, "eval.worst of our own final state", e.worst, check_values(c, "eval.worst", count), count,
                       check_read_tolerance(c, "end_to_end.eval.worst"));
}
