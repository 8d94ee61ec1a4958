#include "points.h"

#include "rng.h"

#include <math.h>

enum { TRIES = 20000 }; /* of one point */

/* In the unit square C is at most 4, and the certificate needs 2^-20 C. */
static const double room_for_rounding = 0x1p-17;

static int crowded(const point_set *set, int64_t i, double gap) {
    const float *here = set->x + 2 * i;
    for (int64_t j = 0; j < i; ++j) {
        const float *there = set->x + 2 * j;
        const double dx = fabs((double)here[0] - (double)there[0]), dy = fabs((double)here[1] - (double)there[1]);
        if (set->labels[i] != set->labels[j] && fmax(dx, dy) <= gap) return 1;
    }
    return 0;
}

int points_draw(point_set *set, int64_t count, int64_t classes, double radius, uint64_t seed, problem *what) {
    const double gap = 2.0 * radius + room_for_rounding;
    *set = (point_set){.channels = 1, .height = 1, .width_px = 2, .n_in = 2, .classes = classes};
    if (point_set_alloc(set, count, what) != 0) return -1;
    for (int64_t i = 0; i < count; ++i) {
        rng r = rng_at(seed, RNG_POINTS, (uint64_t)i);
        int tries = 0;
        set->labels[i] = (int32_t)(i % classes);
        do {
            set->x[2 * i] = (float)rng_between(&r, 0.0, 1.0);
            set->x[2 * i + 1] = (float)rng_between(&r, 0.0, 1.0);
        } while (crowded(set, i, gap) && ++tries < TRIES);
        if (tries < TRIES) continue;
        point_set_free(set);
        return problem_set(what,
                           "--radius %g, --points %lld, --classes %lld: the unit square was full after %lld points",
                           radius, (long long)count, (long long)classes, (long long)i);
    }
    return 0;
}
