/* A model of a training golden with what trains it. */
#ifndef GOLDEN_CHECK_TRAIN_H
#define GOLDEN_CHECK_TRAIN_H

#include "check.h"

typedef struct train_case {
    linfdist_model *model;
    linfdist_run *run;       /* trains */
    linfdist_run *intervals; /* evaluates with interval bounds */
    linfdist_model *part;    /* the layers in front of the first linear one, with tensors of their own */
    linfdist_run *part_run;
    linfdist_optimizer *optimizer;
    int64_t tensors;
    int32_t outputs;                /* LINFDIST_OUTPUTS_* */
    size_t n_in, classes, features; /* features: what the part puts out */
    size_t steps, batch;
    size_t eval_count;
    linfdist_loss loss;
    linfdist_schedule schedule;
} train_case;

/* A zero-terminated name such as "snap18.after.fc_dist.0.weight". */
typedef struct train_name {
    char text[160];
} train_name;

train_name train_join(const char *prefix, const char *name);
size_t train_elements(const linfdist_tensor *tensor);
linfdist_tensor train_tensor(check *c, const train_case *t, int64_t index);
/* Writes the tensors PREFIX.NAME into the model. */
void train_write(check *c, const train_case *t, const char *prefix);
/* Makes model and part of the net that the file names. */
void train_create_models(check *c, train_case *t);
/* Outputs of the run's last pass. */
const float *train_outputs(check *c, const train_case *t, const linfdist_run *run, size_t batch);
/* -scalar d of distances, the outputs themselves of logits. */
float *train_logits(check *c, const train_case *t, const float *outputs, size_t batch);
/* The run's margins, of distances divided by 2 eps. */
float *train_worst(check *c, const train_case *t, linfdist_run *run, const int32_t *labels, size_t batch, double eps);

/* Numbers of one training step. */
typedef struct train_numbers {
    double p, eps, lambda, lr, scalar_lr;
} train_numbers;

/* Forward and backward on the batch of step k; the loss. */
double train_gradients(check *c, const train_case *t, size_t k, const train_numbers *now);
void train_update(check *c, const train_case *t, const train_numbers *now);

/* Parts of the case. */
void train_check_snapshots(check *c, const train_case *t);
void train_check_trajectory(check *c, const train_case *t);
void train_check_evaluation(check *c, const train_case *t);
/* PGD images of the stored final state, which the evaluation left in the model. */
void train_check_attack(check *c, const train_case *t);
/* Evaluation of the state that our own training reached. */
void train_check_end_to_end(check *c, const train_case *t);

#endif
