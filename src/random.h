/* Deterministic random numbers: a small 64-bit generator and normal deviates without libm. */
#ifndef LFD_RANDOM_H
#define LFD_RANDOM_H

#include <stdint.h>

typedef struct lfd_random {
    uint64_t state[4];
} lfd_random;

/* Independent sequences for different (seed, stream). */
void lfd_random_seed(lfd_random *random, uint64_t seed, uint64_t stream);
uint64_t lfd_random_next(lfd_random *random);
/* In (0, 1): the odd multiples of 2^-53. */
double lfd_random_uniform(lfd_random *random);
/* Mean 0, standard deviation 1. Call it in the default floating-point environment (lfd_serial_for). */
float lfd_random_normal(lfd_random *random);

#endif
