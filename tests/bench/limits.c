#include "limits.h"

#include <math.h>
#include <string.h>

/* Of one call, whatever the operator's shape: a few milliseconds at most. */
static const double call_elements = 1 << 22;
/* At larger p many terms count for nothing, and the kernels leave them out. */
static const float p_of_all_terms = 16.0f;

static const limit_loops *loops_of(const operands *o) {
#ifdef BENCH_HAVE_X86_ISA
    const char *isa = linfdist_context_isa(o->context);
    if (strcmp(isa, "avx512") == 0) return &limit_loops_avx512;
    if (strcmp(isa, "avx2") == 0) return &limit_loops_avx2;
#else
    (void)o;
#endif
    return NULL;
}

static limit_loop loop_of(const limit_loops *loops, const lfd_power *power, int which) {
    switch (which) {
    case OPERATOR_LINF: return loops->linf;
    case OPERATOR_LINF_ARGMAX: return loops->argmax;
    case OPERATOR_BOUNDS: return loops->bounds;
    case OPERATOR_LP: return loops->forward[power->integer];
    default: return loops->backward[power->integer];
    }
}

limit limit_of(const operands *o, int which) {
    limit l = {.loop = NULL};
    const limit_loops *loops = loops_of(o);
    if (!loops || (isfinite(o->p) && o->p > p_of_all_terms)) return l;
    if (isfinite(o->p)) {
        lfd_power_init_forward(&l.power, o->p, (size_t)o->shape.n_in);
        lfd_power_init_backward(&l.power, o->p);
    }
    for (size_t i = 0; i < LIMIT_MOST; ++i) l.x[i] = 1.0f;
    const limit_loop loop = loop_of(loops, &l.power, which);
    l.loop = loop.run;
    l.columns = (size_t)o->shape.n_in;
    l.rounds = (size_t)(call_elements / (double)loop.together);
    l.elements = (double)(l.rounds * loop.together);
    return l;
}

static void call_loop(void *user) {
    limit *l = user;
    l->loop(l);
}

work limit_work(limit *l) {
    return (work){call_loop, l, NULL};
}
