#include "plan.h"

#include <math.h>

/* What the five numbers of --epochs mean. */
static void plan_epochs(const settings *s, linfdist_schedule *plan) {
    const int64_t *e = s->epochs;
    const int of_2021 = s->epochs_of == EPOCHS_OF_2021;
    plan->eps_begin = e[0];
    plan->eps_finish = of_2021 ? e[0] + e[2] : e[1];
    plan->p_begin = of_2021 ? e[1] : e[2];
    plan->p_finish = e[3];
    plan->epochs = e[4];
    plan->lr_begin = of_2021 ? e[1] : 0;
}

static int refuse(const settings *s, const char *hint, problem *what) {
    const int64_t *e = s->epochs;
    return problem_set(what, "the schedule of --epochs %lld,%lld,%lld,%lld,%lld: %s%s", (long long)e[0],
                       (long long)e[1], (long long)e[2], (long long)e[3], (long long)e[4], linfdist_last_error(), hint);
}

/* Losses on distances divide by eps, those on logits do not. */
static int check(const settings *s, linfdist_schedule *plan, problem *what) {
    linfdist_schedule_point first = {.struct_size = sizeof first};
    plan->positive_eps = 0;
    if (linfdist_schedule_at(plan, 0, &first) != LINFDIST_OK) return refuse(s, "", what);
    plan->positive_eps = !settings_linear_head(s);
    if (linfdist_schedule_at(plan, 0, &first) == LINFDIST_OK) return 0;
    return refuse(s, "; with a linear head (--net hybrid or conv-hybrid) it may be 0", what);
}

int plan_make(const settings *s, const dataset *data, int64_t batches_per_epoch, linfdist_schedule *plan,
              problem *what) {
    if (problem_check(what, linfdist_schedule_init(plan, sizeof *plan)) != 0) return -1;
    plan_epochs(s, plan);
    plan->batches_per_epoch = batches_per_epoch;
    plan->p_start = s->p_start;
    plan->p_end = s->p_end;
    plan->eps_train_normalized = s->eps_train / data->std;
    plan->eps_smooth = s->eps_smooth;
    plan->lambda_start = settings_loss(s).kind == LINFDIST_LOSS_MIXTURE ? s->lam0 : 0.0;
    plan->lambda_end = s->lam_end;
    plan->lr = s->lr;
    plan->decay_count = s->lr_steps.count;
    plan->decay_epochs = s->lr_steps.values;
    plan->scalar_lr = s->scalar_lr;
    return check(s, plan, what);
}

int plan_at(const settings *s, const linfdist_schedule *plan, int64_t step, linfdist_schedule_point *now,
            problem *what) {
    *now = (linfdist_schedule_point){.struct_size = sizeof *now};
    if (problem_check(what, linfdist_schedule_at(plan, step, now)) != 0) return -1;
    if (s->bounds == BOUNDS_INTERVAL) now->p = (double)INFINITY; /* bounds exist there alone */
    return 0;
}
