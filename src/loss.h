/* The losses without the public checks. */
#ifndef LFD_LOSS_H
#define LFD_LOSS_H

#include "status.h"

/* Finite outputs with margins of their own; contiguous batch x classes. */
typedef struct lfd_loss_input {
    const float *outputs, *margins;
    const int32_t *labels;
    int64_t batch, classes;
    double samples;               /* that means are over: batch, or with other workers' more */
    double logit_factor, two_eps; /* z = logit_factor outputs, m = margins / two_eps */
} lfd_loss_input;

/* What a loss is refused for. */
linfdist_status lfd_check_loss(const linfdist_loss *loss, double lambda);
/* value and, each or NULL, the gradients by outputs, margins and the scalar of z = -scalar outputs. */
linfdist_status lfd_loss_margins(const linfdist_loss *loss, const lfd_loss_input *input, double lambda, double *value,
                                 float *grad_outputs, float *grad_margins, float *grad_scalar);
/* linfdist_loss_distances with means over samples. */
linfdist_status lfd_loss_distances(const linfdist_loss *loss, const float *distances, const int32_t *labels,
                                   int64_t batch, int64_t classes, double samples, float scalar, double eps_normalized,
                                   double lambda, double *value, float *grad_distances, float *grad_scalar);
/* Labels in [0, classes), INVALID_ARGUMENT otherwise. */
linfdist_status lfd_check_labels(const int32_t *labels, int64_t batch, int64_t classes);
/* eps that margins are divided by. */
linfdist_status lfd_check_eps(double eps_normalized);

#endif
