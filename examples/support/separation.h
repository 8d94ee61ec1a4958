/* The theorem of the 2021 paper (arXiv 2102.05363) on well-separated data, as a construction.
 *
 * Points x_i of different classes are at least s > 2 r apart in the max norm. The net has one hidden unit per point,
 * u_i(x) = |x - x_i|, and an output per class, d_k(x) = max_i |u_i(x) - v_ki|, v_ki = 0 where x_i is of class k, else
 * C.
 *
 * Proof. Let D be the largest distance of two points and C >= 2 (D + r). Within r of any point every u_i <= D + r <=
 * C/2, so the terms with v_ki = C are at least C/2 and the others at most that: d_k(x) = C - min {u_i(x): x_i not of
 * class k}. At a point of class y its own unit is 0: d_k = C for every k != y, and d_y <= C - s. The margin is s or
 * more, all outputs are 1-Lipschitz, and s > 2 r: certified at r. It is strict: at s = 2 r two outputs can tie, which
 * certifies nothing.
 *
 * In floats. C is a power of two, at least twice every |coordinate| + s/2 and every distance + s/2. Let h = 2^-24 C:
 * floats in [C/2, C] lie h apart, those below h/2 or less. The interval bounds of d_y and d_k are C minus u rounded
 * (different floats where the two u differ by more than h), and on its way each u takes roundings of at most h for the
 * end of the ball and h/4 for normalizing that end, normalizing the point, the difference, and (once) s itself: 4.75 h
 * in all. So 2 r <= s - 16 h = s - 2^-20 C is enough for either method; below, that is what "largest radius" means. */
#ifndef SEPARATION_H
#define SEPARATION_H

#include "problem.h"

#include <stdint.h>

/* Labelled points in the units of a net's weights: normalized. */
typedef struct point_set {
    int64_t channels, height, width_px; /* of what a net takes */
    int64_t count, n_in, classes;
    float *x; /* count x n_in */
    int32_t *labels;
} point_set;

typedef struct separation {
    double smallest;       /* distance of two points of different classes */
    int64_t first, second; /* two that are as near; -1 where all points are of one class */
    double largest;        /* distance of any two points */
    double reach;          /* largest |coordinate| */
} separation;

/* Room for count points; 0, or -1 with nothing to free. */
int point_set_alloc(point_set *set, int64_t count, problem *what);
void point_set_free(point_set *set);

/* All pairs, by the library's own distance operator. */
int separation_measure(linfdist_context *context, const point_set *set, separation *found, problem *what);
/* C, for every radius up to the largest. */
double separation_weight(const separation *s);
/* The largest radius (normalized) with a certificate; not above 0 where there is none. */
double separation_radius(const separation *s);
/* The net of the theorem with this C, without statistics. */
int separation_net(linfdist_context *context, const point_set *set, double c, linfdist_model **model, problem *what);

#endif
