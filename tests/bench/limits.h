/* What the processor allows: an operator's arithmetic alone, in a loop whose operands stay in registers and L1. */
#ifndef LIMITS_H
#define LIMITS_H

#include "operators.h"

#include "../../lib/kernels.h"

enum { LIMIT_MOST = 12 }; /* independent vectors of a round, at most */

typedef struct limit {
    void (*loop)(struct limit *l);
    lfd_power power;
    size_t rounds, columns; /* a round is a column; of one output */
    double elements;        /* (b, o, i) triples of one call */
    float x[LIMIT_MOST], result;
} limit;

typedef struct limit_loop {
    void (*run)(limit *l);
    size_t together; /* elements of a round */
} limit_loop;

/* The loops of one instruction set; those of p by the small integer that it is, 0 for all others. */
typedef struct limit_loops {
    limit_loop linf, argmax, bounds, forward[9], backward[9];
} limit_loops;
extern const limit_loops limit_loops_avx2, limit_loops_avx512;

/* Of an operator as operator_work makes it, if all terms count. loop is NULL where there is none. */
limit limit_of(const operands *o, int which);
work limit_work(limit *l);

#endif
