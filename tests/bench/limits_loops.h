/* The loops of limits.h in the vector vocabulary that was included before. LIMIT_LOOPS is the name of their table. */
#include "limits.h"

#include "../../lib/numerics.h"
/* In order: each uses those before it. */
#include "../../lib/tmpl/rows.h"

#include "../../lib/tmpl/power.h"

#include "../../lib/tmpl/integer_power.h"

enum { CHAINS = GRADIENT_ROWS_X }; /* independent vectors of a round, so that no result is waited for */
_Static_assert((int)CHAINS <= (int)LIMIT_MOST, "limit.x is too short");

/* The compiler forgets what it knows of a vector, and computes each round anew. */
#define FORGET(v) __asm__ volatile("" : "+x"(v))

static void fill(vf *vectors, float a) {
    for (size_t c = 0; c < CHAINS; ++c) vectors[c] = vf_set(a);
}

/* So that the compiler does not leave out what computed them. */
static void use(limit *l, const vf *results) {
    float lanes[LANES];
    for (size_t c = 0; c < CHAINS; ++c) {
        vf_store(lanes, results[c]);
        l->result += lanes[0];
    }
}

static void linf(limit *l) {
    vf most[CHAINS], w = vf_set(0.5f);
    fill(most, 0.0f);
    for (size_t r = 0; r < l->rounds; ++r) {
        FORGET(w);
        LFD_UNROLL
        for (size_t c = 0; c < CHAINS; ++c) most[c] = vf_max_magnitude(most[c], vf_number_minus(l->x[c], w));
    }
    use(l, most);
}

static void bounds(limit *l) {
    vf highest[CHAINS], lowest[CHAINS], w = vf_set(0.5f);
    fill(highest, 0.0f);
    fill(lowest, -0.0f);
    for (size_t r = 0; r < l->rounds; ++r) {
        FORGET(w);
        LFD_UNROLL
        for (size_t c = 0; c < CHAINS; ++c) {
            vf t1 = vf_minus_number(w, l->x[c]), t2 = vf_number_minus(l->x[c], w);
            highest[c] = vf_highest(highest[c], t1, t2);
            lowest[c] = vf_lowest(lowest[c], t1, t2);
        }
    }
    use(l, highest);
    use(l, lowest);
}

/* term[c] <- x - w, or, where no small integer has a kernel of its own, that as powers() takes it. */
LFD_INLINE void differences(const limit *l, int n, vf w, vf inverse, vf *term) {
    LFD_UNROLL
    for (size_t c = 0; c < CHAINS; ++c) {
        term[c] = vf_sub(vf_set(l->x[c]), w);
        if (n == 0) term[c] = vf_mul(term[c], inverse);
    }
}

/* After the pass for the maxima, if there must be one. */
LFD_INLINE void forward(limit *l, int n) {
    const power_pieces pieces = power_load(&l->power.forward);
    vf sum[CHAINS], term[CHAINS], w = vf_set(0.5f);
    const vf inverse = vf_set(l->power.forward.scale);
    fill(sum, 0.0f);
    if (n == 0) linf(l);
    for (size_t r = 0; r < l->rounds; ++r) {
        FORGET(w);
        differences(l, n, w, inverse, term);
        n > 0 ? integer_powers(CHAINS, term, n) : powers(CHAINS, term, &pieces, LFD_DEGREE, 0);
        LFD_UNROLL
        for (size_t c = 0; c < CHAINS; ++c) sum[c] = vf_add(sum[c], term[c]);
    }
    use(l, sum);
}

/* Both gradients; small integers in plain products, as lp_backward.h computes them. */
LFD_INLINE void backward(limit *l, int n) {
    const power_pieces pieces = power_load(&l->power.backward);
    vf grad_x[CHAINS], grad_w[2], term[CHAINS], w = vf_set(0.5f);
    const vf inverse = vf_set(l->power.backward.scale), grad_y = vf_set(l->x[0]);
    fill(grad_x, 0.0f);
    grad_w[0] = grad_w[1] = w;
    for (size_t r = 0; r < l->rounds; ++r) {
        FORGET(w);
        differences(l, n, w, inverse, term);
        n > 0 ? integer_gradients(CHAINS, term, n) : powers(CHAINS, term, &pieces, LFD_GRADIENT_DEGREE, 1);
        LFD_UNROLL
        for (size_t c = 0; c < CHAINS; ++c) {
            vf product = vf_mul(term[c], grad_y);
            grad_x[c] = vf_add(grad_x[c], product);
            grad_w[c % 2] = vf_sub(grad_w[c % 2], product);
        }
    }
    grad_x[0] = vf_add(grad_x[0], vf_add(grad_w[0], grad_w[1]));
    use(l, grad_x);
}

#define BOTH_OF(n)                                                                                                     \
    static void forward_##n(limit *l) {                                                                                \
        forward(l, n);                                                                                                 \
    }                                                                                                                  \
    static void backward_##n(limit *l) {                                                                               \
        backward(l, n);                                                                                                \
    }
BOTH_OF(0)
BOTH_OF(1)
BOTH_OF(2)
BOTH_OF(3)
BOTH_OF(4)
BOTH_OF(5)
BOTH_OF(6)
BOTH_OF(7)
BOTH_OF(8)

const limit_loops LIMIT_LOOPS = {
    CHAINS * LANES,
    linf,
    bounds,
    {forward_0, forward_1, forward_2, forward_3, forward_4, forward_5, forward_6, forward_7, forward_8},
    {backward_0, backward_1, backward_2, backward_3, backward_4, backward_5, backward_6, backward_7, backward_8},
};
