#include "random.h"

#include "../lib/math.h"

/* splitmix64: a bijection of a counter, so that different seeds give different words. */
static uint64_t scramble(uint64_t counter) {
    uint64_t z = counter * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int bits) {
    return (x << bits) | (x >> (64 - bits));
}

/* The seed fills one half of the state and the stream the other: no two pairs share a state, and since 0 is the image
 * of one counter only, no state is all zero. Some steps then mix the halves. */
void lfd_random_seed(lfd_random *random, uint64_t seed, uint64_t stream) {
    random->state[0] = scramble(seed + 1);
    random->state[1] = scramble(seed + 2);
    random->state[2] = scramble(stream + 3);
    random->state[3] = scramble(stream + 4);
    for (int i = 0; i < 32; ++i) lfd_random_next(random);
}

/* xoshiro256++ */
uint64_t lfd_random_next(lfd_random *random) {
    uint64_t *s = random->state;
    const uint64_t result = rotate(s[0] + s[3], 23) + s[0];
    const uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

double lfd_random_uniform(lfd_random *random) {
    return ((double)(lfd_random_next(random) >> 12) + 0.5) * 0x1p-52;
}

/* Marsaglia's polar method. The second deviate of a pair is dropped: the state stays four words. */
float lfd_random_normal(lfd_random *random) {
    double u, v, square;
    do {
        u = 2 * lfd_random_uniform(random) - 1;
        v = 2 * lfd_random_uniform(random) - 1;
        square = u * u + v * v;
    } while (square >= 1);
    return (float)(u * lfd_sqrt(-2 * lfd_log(square) / square));
}
