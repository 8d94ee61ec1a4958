/* Sign-gradient ascent of many samples at once, each inside its own box: what attacks and Lipschitz estimates share. A
 * row's path depends on its own start, box and gradients only, not on the rows beside it. */
#ifndef LFD_ASCENT_H
#define LFD_ASCENT_H

#include "random.h"
#include "run.h"
#include "units.h"

typedef struct lfd_ascent {
    linfdist_context *context;
    const lfd_units *units; /* of the iterates; borrowed */
    linfdist_run *run;
    size_t rows;          /* room */
    float *x;             /* iterates, rows x n_in */
    float *lower, *upper; /* their boxes */
    size_t *open;         /* the rows that still move; row open[k] is row k of the passes */
    size_t open_count;
    double eps;            /* in the units of x */
    double step_fraction;  /* of eps, that a step goes */
    const float *gradient; /* of the last pass, open_count x n_in */
} lfd_ascent;

/* Scratch for passes over the snapshot. lfd_ascent_free also after a failure. */
linfdist_status lfd_ascent_alloc(lfd_ascent *ascent, linfdist_model *snapshot, const lfd_units *units, size_t rows);
void lfd_ascent_free(lfd_ascent *ascent);

/* A word that depends on the bits of n floats and on what came before. */
uint64_t lfd_hash_floats(uint64_t hash, const float *x, size_t n);
uint64_t lfd_hash_word(uint64_t hash, uint64_t word);

/* The row's box: within eps of the centre and inside the range of the units. */
void lfd_ascent_box(lfd_ascent *ascent, size_t row, const float *centre);
/* The row begins at its centre, or with random (or NULL) beside it: N(0, (eps/4)^2) clipped to -+eps/2, in the box. */
void lfd_ascent_start(lfd_ascent *ascent, size_t row, const float *centre, lfd_random *random);
/* All of the first count rows are open. */
void lfd_ascent_open(lfd_ascent *ascent, size_t count);
/* Outputs of the open rows at p, in lfd_ascent_outputs: input normalizes the iterates first, otherwise the last pass's
 * are used again. Fails only at finite p, where huge weights may lead to sums above LFD_LIMIT. */
linfdist_status lfd_ascent_forward(lfd_ascent *ascent, float p, int input);
const float *lfd_ascent_outputs(const lfd_ascent *ascent);
/* x += step sign(gradient), back into the box, for the open rows; the gradient is that of run->grad_outputs, which
 * belongs to the last forward. sign(0) = 0. */
void lfd_ascent_move(lfd_ascent *ascent);

#endif
