#include "rng.h"

/* The finalizer of splitmix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

rng rng_at(uint64_t seed, enum rng_purpose purpose, uint64_t index) {
    rng r = {mix(mix(mix(seed) + (uint64_t)purpose) + index), 0};
    return r;
}

uint64_t rng_next(rng *r) {
    r->counter += UINT64_C(0x9e3779b97f4a7c15);
    return mix(r->key + r->counter);
}

uint32_t rng_below(rng *r, uint32_t n) {
    return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

double rng_between(rng *r, double low, double high) {
    return low + (high - low) * ((double)(rng_next(r) >> 11) * 0x1p-53);
}
