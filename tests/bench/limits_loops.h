/* The loops of limits.h in the vector vocabulary that was included before. LIMIT_LOOPS is the name of their table. */
#include "limits.h"

#include "../../lib/numerics.h"
/* In order: each uses those before it. */
#include "../../lib/tmpl/rows.h"

#include "../../lib/tmpl/power.h"

#include "../../lib/tmpl/integer_power.h"

/* Independent vectors of a round: enough that no result is waited for, so few that all stay in registers. */
enum {
    CHAINS = LANES > 8 ? 6 : 4,
    GENERAL_CHAINS = LANES > 8 ? 3 : 4, /* of powers at any p */
    MAXIMA = LANES > 8 ? 12 : 6,        /* of magnitudes */
    INTERVALS = LANES > 8 ? 6 : 3
};
enum { BLOCK = 32, BLOCKS = 2 }; /* columns that an argmax is searched in, at once; such blocks in L1 */
_Static_assert((int)CHAINS <= (int)LIMIT_MOST && (int)MAXIMA <= (int)LIMIT_MOST, "limit.x is too short");

#define CHAINS_OF(n) ((n) > 0 ? CHAINS : GENERAL_CHAINS)

/* The compiler forgets what it knows of a vector, and computes each round anew. */
#define FORGET(v) __asm__ volatile("" : "+x"(v))

static void fill(vf *vectors, size_t count, float a) {
    for (size_t c = 0; c < count; ++c) vectors[c] = vf_set(a);
}

/* So that the compiler does not leave out what computed them. */
static void use(limit *l, const vf *results, size_t count) {
    float lanes[LANES];
    for (size_t c = 0; c < count; ++c) {
        vf_store(lanes, results[c]);
        l->result += lanes[0];
    }
}

static void raise_maxima(limit *l, size_t rounds) {
    vf most[MAXIMA], w = vf_set(0.5f);
    fill(most, MAXIMA, 0.0f);
    for (size_t r = 0; r < rounds; ++r) {
        FORGET(w);
        LFD_UNROLL
        for (size_t c = 0; c < MAXIMA; ++c) most[c] = vf_max_magnitude(most[c], vf_number_minus(&l->x[c], w));
    }
    use(l, most, MAXIMA);
}

static void linf(limit *l) {
    raise_maxima(l, l->rounds);
}

/* The lowest column that attains each maximum, in the block of columns that raised it last. */
static void search(limit *l, const float *x, const float *w, const vf *most, uint16_t (*hits)[LANES]) {
    for (size_t c = 0; c < MAXIMA; ++c) {
        float maxima[LANES];
        int32_t columns[LANES];
        vf_store(maxima, most[c]);
        for (size_t lane = 0; lane < LANES; ++lane) {
            const size_t begin = hits[c][lane] % BLOCKS * BLOCK;
            uint32_t places = 0;
            LFD_UNROLL
            for (size_t i = 0; i < BLOCK; i += LANES) {
                const vf size = vf_abs(vf_difference(vf_load(x + begin + i), vf_load(w + begin + i)));
                places |= vm_bits(vf_equal(size, vf_set(maxima[lane]))) << i;
            }
            columns[lane] = (int32_t)begin + __builtin_ctz(places | 1u << (BLOCK - 1));
        }
        l->result += (float)columns[0];
        __asm__ volatile("" : : "r"(columns) : "memory");
    }
}

/* As linf; after each block of columns the maxima that rose are marked with its number, and a search follows when an
 * output's columns are through. */
static void argmax(limit *l) {
    vf most[MAXIMA], w = vf_set(0.5f);
    uint16_t hits[MAXIMA][LANES] = {{0}};
    float x_row[BLOCKS * BLOCK] = {1.0f}, w_row[BLOCKS * BLOCK] = {0.5f};
    size_t block = 0;
    fill(most, MAXIMA, 0.0f);
    for (size_t r = 0; r < l->rounds; r += BLOCK, ++block) {
        vf before[MAXIMA];
        for (size_t c = 0; c < MAXIMA; ++c) before[c] = most[c];
        for (size_t i = 0; i < BLOCK; ++i) {
            FORGET(w);
            LFD_UNROLL
            for (size_t c = 0; c < MAXIMA; ++c) most[c] = vf_max_magnitude(most[c], vf_number_minus(&l->x[c], w));
        }
        LFD_UNROLL
        for (size_t c = 0; c < MAXIMA; ++c) mark_lanes(hits[c], vf_less(before[c], most[c]), (int32_t)block);
        if ((block + 1) * BLOCK < l->columns) continue;
        search(l, x_row, w_row, most, hits);
        block = 0;
    }
    use(l, most, MAXIMA);
}

static void bounds(limit *l) {
    vf highest[INTERVALS], lowest[INTERVALS], w = vf_set(0.5f);
    fill(highest, INTERVALS, 0.0f);
    fill(lowest, INTERVALS, -0.0f);
    for (size_t r = 0; r < l->rounds; ++r) {
        FORGET(w);
        LFD_UNROLL
        for (size_t c = 0; c < INTERVALS; ++c) {
            vf t1 = vf_minus_number(w, &l->x[c]), t2 = vf_number_minus(&l->x[c], w);
            highest[c] = vf_highest(highest[c], t1, t2);
            lowest[c] = vf_lowest(lowest[c], t1, t2);
        }
    }
    use(l, highest, INTERVALS);
    use(l, lowest, INTERVALS);
}

/* term[c] <- x - w, or, where no small integer has a kernel of its own, that as powers() takes it. */
LFD_INLINE void differences(const limit *l, size_t count, int n, vf w, vf inverse, vf *term) {
    LFD_UNROLL
    for (size_t c = 0; c < count; ++c) {
        term[c] = vf_sub(vf_set(l->x[c]), w);
        if (n == 0) term[c] = vf_mul(term[c], inverse);
    }
}

/* After the pass for the maxima, if there must be one. */
LFD_INLINE void forward(limit *l, int n) {
    const size_t count = CHAINS_OF(n);
    const power_pieces pieces = power_load(&l->power.forward);
    vf sum[CHAINS], term[CHAINS], w = vf_set(0.5f);
    const vf inverse = vf_set(l->power.forward.scale);
    fill(sum, count, 0.0f);
    if (n == 0) raise_maxima(l, l->rounds * count / MAXIMA);
    for (size_t r = 0; r < l->rounds; ++r) {
        FORGET(w);
        differences(l, count, n, w, inverse, term);
        n > 0 ? integer_powers(count, term, n) : powers(count, term, &pieces, 0);
        LFD_UNROLL
        for (size_t c = 0; c < count; ++c) sum[c] = vf_add(sum[c], term[c]);
    }
    use(l, sum, count);
}

/* Both gradients; small integers in plain products, as lp_backward.h computes them. */
LFD_INLINE void backward(limit *l, int n) {
    const size_t count = CHAINS_OF(n);
    const power_pieces pieces = power_load(&l->power.backward);
    vf grad_x[CHAINS], grad_w[2], term[CHAINS], w = vf_set(0.5f);
    const vf inverse = vf_set(l->power.backward.scale), grad_y = vf_set(l->x[0]);
    fill(grad_x, count, 0.0f);
    grad_w[0] = grad_w[1] = w;
    for (size_t r = 0; r < l->rounds; ++r) {
        FORGET(w);
        differences(l, count, n, w, inverse, term);
        n > 0 ? integer_gradients(count, term, n) : powers(count, term, &pieces, 1);
        LFD_UNROLL
        for (size_t c = 0; c < count; ++c) {
            vf product = vf_mul(term[c], grad_y);
            grad_x[c] = vf_add(grad_x[c], product);
            grad_w[c % 2] = vf_sub(grad_w[c % 2], product);
        }
    }
    grad_x[0] = vf_add(grad_x[0], vf_add(grad_w[0], grad_w[1]));
    use(l, grad_x, count);
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

#define FORWARD(n)                                                                                                     \
    { forward_##n, CHAINS_OF(n) * LANES }
#define BACKWARD(n)                                                                                                    \
    { backward_##n, CHAINS_OF(n) * LANES }
const limit_loops LIMIT_LOOPS = {
    {linf, MAXIMA *LANES},
    {argmax, MAXIMA *LANES},
    {bounds, INTERVALS *LANES},
    {FORWARD(0), FORWARD(1), FORWARD(2), FORWARD(3), FORWARD(4), FORWARD(5), FORWARD(6), FORWARD(7), FORWARD(8)},
    {BACKWARD(0), BACKWARD(1), BACKWARD(2), BACKWARD(3), BACKWARD(4), BACKWARD(5), BACKWARD(6), BACKWARD(7),
     BACKWARD(8)},
};
