/* One step of training with its parts timed. */
#ifndef TRAINING_H
#define TRAINING_H

#include "nets.h"

typedef struct training_step {
    linfdist_model *model;
    linfdist_run *run;
    linfdist_optimizer *optimizer;
    const nets *source; /* NULL: x and labels */
    const float *x;
    const int32_t *labels;
    int64_t batch, n_in, taken;
    double p;
    double whole, outside; /* seconds of all steps; those in batches, loss and optimizer */
} training_step;

/* Takes over the model. */
void training_step_create(training_step *t, linfdist_model *model, int64_t batch, double p);
void training_step_destroy(training_step *t);
/* A batch, forward, loss, backward and an Adam step with learning rate 0, which leaves the weights what they are at
 * this p. */
void training_step_take(void *user);

/* What training needs in memory, measured in a process that does nothing else. */
typedef struct memory_use {
    double peak_mb, limit_mb; /* 2^20 bytes */
} memory_use;

/* To be called before the program has grown: the process that measures is its copy. */
memory_use measure_training_memory(const bench_settings *s);

#endif
