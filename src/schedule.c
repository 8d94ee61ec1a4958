#include "ops.h"

#include "../lib/math.h"

#include <float.h>
#include <math.h> /* INFINITY */

/* Below this p the schedule ends at p_end itself; from here on it ends at infinity. */
#define P_INFINITE_FROM 100.0
/* Steps are counted in doubles without rounding. */
#define MOST_STEPS ((int64_t)1 << 53)

linfdist_status linfdist_schedule_init(linfdist_schedule *schedule, size_t struct_size) {
    const linfdist_schedule defaults = {
        .batches_per_epoch = 118,
        .p_begin = 25,
        .p_finish = 400,
        .epochs = 450,
        .p_start = 8,
        .p_end = 1000,
        .eps_train_normalized = 0.45 / 0.3081,
        .lambda_start = 0.05,
        .lambda_end = 0.0002,
        .lr = 0.03,
        .scalar_lr = 0.006,
        .positive_eps = 1,
    };
    return lfd_options_init(schedule, struct_size, &defaults, sizeof defaults, sizeof defaults, "schedule");
}

static linfdist_status check_epochs(const linfdist_schedule *s) {
    LFD_TRY(lfd_check_count("batches_per_epoch", s->batches_per_epoch, 1, MOST_STEPS));
    const int64_t most = MOST_STEPS / s->batches_per_epoch;
    LFD_TRY(lfd_check_count("epochs", s->epochs, 1, most));
    LFD_TRY(lfd_check_count("eps_begin", s->eps_begin, 0, most));
    LFD_TRY(lfd_check_count("eps_finish", s->eps_finish, 0, most));
    LFD_TRY(lfd_check_count("p_begin", s->p_begin, 0, most));
    LFD_TRY(lfd_check_count("p_finish", s->p_finish, 0, most));
    LFD_TRY(lfd_check_count("lr_begin", s->lr_begin, 0, s->epochs - 1));
    LFD_TRY(lfd_check_count("decay_count", s->decay_count, 0, INT32_MAX));
    if (s->decay_count > 0 && !s->decay_epochs)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "decay_epochs is NULL, decay_count is %lld",
                        (long long)s->decay_count);
    char name[LFD_INDEXED];
    for (int64_t i = 0; i < s->decay_count; ++i)
        LFD_TRY(lfd_check_count(lfd_indexed(name, "decay_epochs", i), s->decay_epochs[i], 0, INT64_MAX));
    return LINFDIST_OK;
}

static linfdist_status check_values(const linfdist_schedule *s) {
    LFD_TRY(lfd_check_number("p_start", s->p_start, 1, LINFDIST_P_MAX));
    LFD_TRY(lfd_check_number("p_end", s->p_end, 1, LINFDIST_P_MAX));
    LFD_TRY(lfd_check_number("eps_train_normalized", s->eps_train_normalized, 0, LFD_LIMIT));
    LFD_TRY(lfd_check_number("eps_smooth", s->eps_smooth, 0, 1 - DBL_EPSILON));
    LFD_TRY(lfd_check_number("lambda_start", s->lambda_start, 0, LFD_LIMIT));
    /* lambda decays by a factor, and no factor leads to 0. */
    if (s->lambda_start > 0) LFD_TRY(lfd_check_number("lambda_end", s->lambda_end, DBL_MIN, LFD_LIMIT));
    LFD_TRY(lfd_check_number("lambda_end", s->lambda_end, 0, LFD_LIMIT));
    LFD_TRY(lfd_check_number("lr", s->lr, 0, LFD_LIMIT));
    return lfd_check_number("scalar_lr", s->scalar_lr, 0, LFD_LIMIT);
}

/* How much of the phase from the start of epoch begin to the start of epoch finish is over. */
static double fraction(const linfdist_schedule *s, int64_t step, int64_t begin, int64_t finish) {
    if (finish <= begin) return 1;
    double t = (double)(step - begin * s->batches_per_epoch) / (double)((finish - begin) * s->batches_per_epoch);
    return t < 0 ? 0 : t > 1 ? 1 : t;
}

/* start (end / start)^t, exact at both ends. */
static double geometric(double start, double end, double t) {
    if (t <= 0) return start;
    if (t >= 1) return end;
    return start * lfd_pow(end / start, t);
}

/* 0 at 0, 1 at 1: K t^4 up to t = r, then the straight line that continues it, with K = 1 / ((4 - 3r) r^3). Written in
 * t / r, so that no small r underflows. */
static double smooth_ramp(double t, double r) {
    if (r <= 0) return t;
    const double scaled = t / r;
    if (t < r) return scaled * scaled * scaled * t / (4 - 3 * r);
    return (1 - r / (4 - 3 * r)) / (1 - r) * (t - 1) + 1;
}

static double learning_rate_factor(const linfdist_schedule *s, int64_t step) {
    if (s->decay_count == 0) return (1 + lfd_cospi(fraction(s, step, s->lr_begin, s->epochs))) / 2;
    double divisor = 1;
    for (int64_t i = 0; i < s->decay_count; ++i)
        if (s->decay_epochs[i] <= step / s->batches_per_epoch) divisor *= 5;
    return 1 / divisor;
}

static double eps_at(const linfdist_schedule *s, int64_t step) {
    return s->eps_train_normalized * smooth_ramp(fraction(s, step, s->eps_begin, s->eps_finish), s->eps_smooth);
}

/* eps never falls, so its least value is the first. */
static linfdist_status check_positive_eps(const linfdist_schedule *s) {
    LFD_TRY(lfd_check_count("positive_eps", s->positive_eps, 0, 1));
    if (!s->positive_eps || eps_at(s, 0) >= LFD_EPS_LEAST) return LINFDIST_OK;
    char text[32];
    if (s->eps_finish <= s->eps_begin)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT,
                        "eps_train_normalized is %s, must be at least 2^-100 for a loss that divides by eps",
                        lfd_format_double(text, s->eps_train_normalized));
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT,
                    "eps_begin is %lld, eps_finish is %lld: eps would grow from 0, and the loss divides by it",
                    (long long)s->eps_begin, (long long)s->eps_finish);
}

typedef struct evaluation {
    const linfdist_schedule *schedule;
    int64_t step;
    linfdist_schedule_point point;
} evaluation;

static void evaluate(void *data, size_t index) {
    (void)index;
    evaluation *e = data;
    const linfdist_schedule *s = e->schedule;
    const double t = fraction(s, e->step, s->p_begin, s->p_finish);
    const double factor = learning_rate_factor(s, e->step);
    e->point.p = t >= 1 && s->p_end >= P_INFINITE_FROM ? (double)INFINITY : geometric(s->p_start, s->p_end, t);
    e->point.lambda = s->lambda_start > 0 ? geometric(s->lambda_start, s->lambda_end, t) : 0;
    e->point.eps_normalized = eps_at(s, e->step);
    e->point.lr = s->lr * factor;
    e->point.scalar_lr = s->scalar_lr * factor;
}

linfdist_status linfdist_schedule_at(const linfdist_schedule *schedule, int64_t step, linfdist_schedule_point *point) {
    linfdist_schedule s;
    LFD_REQUIRE(schedule);
    LFD_REQUIRE(point);
    LFD_TRY(lfd_options_read(&s, sizeof s, sizeof s, schedule, "schedule"));
    LFD_TRY(check_epochs(&s));
    LFD_TRY(check_values(&s));
    LFD_TRY(check_positive_eps(&s));
    const int64_t last = s.batches_per_epoch * s.epochs;
    if (step < 0 || step > last)
        return lfd_fail(LINFDIST_ERROR_RANGE, "step is %lld, must be in [0, %lld]", (long long)step, (long long)last);
    evaluation e = {&s, step, {0}};
    lfd_serial_for(evaluate, &e, 1);
    return lfd_options_write(point, &e.point, sizeof e.point, sizeof e.point, "point");
}
