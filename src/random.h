/* Deterministic random numbers: a counter-free 64-bit generator and normal deviates without libm. */
#ifndef LFD_RANDOM_H
#define LFD_RANDOM_H

#include <stdint.h>

typedef struct lfd_random {
    uint64_t state[4];
} lfd_random;

/* Independent sequences for different (seed, stream). */
void lfd_random_seed(lfd_random *random, uint64_t seed, uint64_t stream);
uint64_t lfd_random_next(lfd_random *random);
double lfd_random_uniform(lfd_random *random); /* (0, 1), 53 bits */
float lfd_random_normal(lfd_random *random);

#endif
