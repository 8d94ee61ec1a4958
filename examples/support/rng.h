/* Random numbers that are a function of where they are used: (seed, purpose, index) names a sequence, so any sample
 * or epoch can be drawn again without having drawn those before it. Integer arithmetic: the same on every machine. */
#ifndef RNG_H
#define RNG_H

#include <stdint.h>

enum rng_purpose { RNG_DIGITS_TRAIN = 1, RNG_DIGITS_TEST = 2, RNG_ORDER = 3, RNG_CROP = 4, RNG_POINTS = 5 };

typedef struct rng {
    uint64_t key, counter;
} rng;

rng rng_at(uint64_t seed, enum rng_purpose purpose, uint64_t index);
uint64_t rng_next(rng *r);
/* [0, n) */
uint32_t rng_below(rng *r, uint32_t n);
/* [low, high) */
double rng_between(rng *r, double low, double high);

#endif
