/* The parts of the bench: each measures what the settings leave of it and reports its rows. */
#ifndef ROWS_H
#define ROWS_H

#include "bench_settings.h"
#include "training.h"

/* linf_forward, linf_forward_argmax, linf_bounds, lp_forward, lp_backward on one thread. */
void bench_operators(const bench_settings *s);
/* conv3x3. */
void bench_convolutions(const bench_settings *s);
/* training_step on one thread. */
void bench_training(const bench_settings *s, const memory_use *memory);
/* certify_dense, certify_pruned. */
void bench_certifying(const bench_settings *s);
/* Operators and the training step on several threads, against as many processes. */
void bench_threads(const bench_settings *s);

#endif
