/* Random points in the unit square, well separated by class; and their picture. */
#ifndef POINTS_H
#define POINTS_H

#include "separation.h"

enum { POINTS_MOST_CLASSES = 6 }; /* colours and marks that a picture can tell apart */

/* count points, class i mod classes, such that points of different classes are more than 2 radius apart, by a margin
 * that covers the rounding of the certificate: uniform draws, those too near to another class rejected. The same on
 * every machine. Fails, naming the flags, where the square seems full. */
int points_draw(point_set *set, int64_t count, int64_t classes, double radius, uint64_t seed, problem *what);

/* Writes an SVG: what the certifier's net predicts everywhere around the unit square, the points, and around each the
 * square of the points within radius. */
int points_picture(const char *path, const point_set *set, const linfdist_certifier *certifier, double radius,
                   problem *what);

#endif
