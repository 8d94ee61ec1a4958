/* What the settings say of the course of a training. */
#ifndef PLAN_H
#define PLAN_H

#include "settings.h"

/* Bad combinations are problems of usage. The schedule points into the settings. */
int plan_make(const settings *s, const dataset *data, int64_t batches_per_epoch, linfdist_schedule *plan,
              problem *what);
/* p, eps, lambda and learning rates of a step. */
int plan_at(const settings *s, const linfdist_schedule *plan, int64_t step, linfdist_schedule_point *now,
            problem *what);

#endif
