/* Raw pixels and radii to normalized floats, and rounding in a chosen direction. */
#ifndef LFD_UNITS_H
#define LFD_UNITS_H

#include "model.h"

/* The nearest float at or below (above) a finite value of at most FLT_MAX in magnitude. */
float lfd_float_below(double value);
float lfd_float_above(double value);
/* Neighbours of a value >= 0: the next number up; the next one down, 0 for 0. */
float lfd_next_float(float value);
float lfd_previous_float(float value);
double lfd_previous_double(double value);

/* What turns the pixels of one model into its inputs. Without statistics: mean 0, std 1, no clamp. */
typedef struct lfd_units {
    size_t n_in, pixels_per_channel;
    const double *mean; /* borrowed from the model */
    size_t mean_step;   /* 0: one mean for all channels */
    double std;
    int clamped;      /* 0 without statistics */
    float low, high;  /* valid raw pixels, rounded outwards; without statistics -+LFD_LIMIT */
    float radius_max; /* covers the valid range; without statistics LFD_LIMIT */
} lfd_units;

void lfd_units_init(lfd_units *units, const linfdist_model *model);
/* Mean 0, std 1, no clamp, whatever statistics the model has: for numbers that are normalized already. */
void lfd_units_init_plain(lfd_units *units, const linfdist_model *model);
/* As without a valid range: pixels may be all that stays a number after normalization. */
void lfd_units_unclamp(lfd_units *units);
/* No normalized number of a certificate, an attack or an estimate is larger, pixels and radii together. */
double lfd_units_magnitude(const linfdist_model *model);
/* Pixels n x n_in: finite (NOT_FINITE) and in the valid range (RANGE); the message names sample, index and value. */
linfdist_status lfd_units_check(const lfd_units *units, linfdist_context *context, const float *x, size_t x_stride,
                                size_t n);
/* One sample: (raw - mean) / std in double, rounded once. Monotone in every pixel. */
void lfd_units_normalize(const lfd_units *units, const float *x, float *normalized);
/* One sample's inputs for all pixels within eps_raw of x and inside the valid range: every float pixel of that ball
 * lies in the interval, which is rounded outwards. eps_raw in [0, 2 LFD_LIMIT]. */
void lfd_units_interval(const lfd_units *units, const float *x, double eps_raw, float *lower, float *upper);
/* One sample's raw pixels inside the valid range and within eps_raw of x in exact arithmetic: the interval is rounded
 * inwards and holds every such float. x lies in the valid range; eps_raw as above. */
void lfd_units_ball(const lfd_units *units, const float *x, double eps_raw, float *lower, float *upper);

#endif
