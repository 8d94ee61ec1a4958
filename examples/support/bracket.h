/* Robust accuracy from both sides: what is certified cannot be broken, what an attack breaks is not robust. */
#ifndef BRACKET_H
#define BRACKET_H

#include "certifying.h"

#include <stdio.h>

/* Counts of samples: certified <= (the true number of robust ones) <= robust <= clean. */
typedef struct bracket {
    int64_t samples, certified, robust, clean;
} bracket;

/* What the parties say of one sample. */
typedef struct verdict {
    int64_t index;
    int32_t label, predicted, certified;
    int32_t broken, attacked; /* whether the attack succeeded, and what it made of the prediction */
} verdict;

typedef struct attack_settings {
    int32_t method; /* of the certificates */
    int64_t steps, restarts;
    double step_fraction;
    number_list p;
    uint64_t seed;
} attack_settings;

/* One more sample. -1 with the problem told when a certified one is broken: then certificate or attack is wrong, or, by
 * the margin, rounding decided. */
int bracket_count(bracket *b, const verdict *v, const char *method, double eps_raw, problem *what);
/* Certifies and attacks the first count test images. with_p (or NULL): p.count robust counts, of the attack with the
 * gradients at each p alone, which costs the attack on all of them; b has the worst of all. */
int bracket_measure(const linfdist_certifier *certifier, const attack_settings *attack, const dataset *data,
                    int64_t count, double eps_raw, bracket *b, int64_t *with_p, problem *what);
double bracket_fraction(const bracket *b, int64_t count);
/* One JSON object on a line. */
void bracket_print(FILE *out, const bracket *b, const attack_settings *attack, double eps_raw, double seconds);

#endif
