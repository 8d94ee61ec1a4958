/* Screens: certificates at a given radius for most samples, from codes (codes.h) instead of floats.
 *
 * In a net of distances every range is as wide as that of the pixels, whatever the depth, since layers are 1-Lipschitz:
 * bytes in one step, a 255th of that width, do for all. Each layer adds half a step of error to that of its inputs, and
 * a mean shift none, since it moves ranges as a whole. So bytes decide about a sample unless its margin is within a few
 * steps of what is asked for; what remains undecided is for the exact passes. A verdict is what those would say. */
#ifndef LFD_SCREEN_H
#define LFD_SCREEN_H

#include "model.h"
#include "units.h"

typedef struct lfd_screen lfd_screen;

enum { LFD_UNDECIDED = -1 };
typedef struct lfd_verdict {
    int32_t predicted; /* if certified is not LFD_UNDECIDED */
    int32_t certified;
} lfd_verdict;

/* *screen stays NULL for nets with other layers than distances and shifts, without a valid range of pixels, or with
 * numbers so large that floats round them by more than codes could tell. The model must not change. */
linfdist_status lfd_screen_create(const linfdist_model *model, lfd_screen **screen);
void lfd_screen_destroy(const linfdist_context *context, lfd_screen *screen);

/* n samples as in linfdist_certify_at, in the valid range. A block of samples stays on one thread. */
typedef struct lfd_screening {
    const lfd_units *units;
    int32_t method;
    const float *x;
    size_t x_stride, n;
    double eps_raw;
    lfd_verdict *verdicts; /* n */
    size_t terms;          /* is set to those visited */
} lfd_screening;
/* A NULL screen decides nothing, nor does a run that fails. */
linfdist_status lfd_screen_run(const lfd_screen *screen, linfdist_context *context, lfd_screening *of);

#endif
