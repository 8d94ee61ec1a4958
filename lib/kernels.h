/* The kernel floor's contract: one table of functions per instruction set.
 *
 * Every function is pure: no allocation, no threads, no errors. Preconditions (checked by the object floor): pointers
 * valid, magnitudes at most LFD_LIMIT (at p = infinity 2^126, where certificates end), p in [1, 1000] or infinity.
 * Sizes may be 0, but for the batch of the ranked kernels and what their comment names. Every instruction set gives the
 * same bits: lanes run over independent results (or over terms of an exact maximum), every sum runs over its index in
 * ascending order, and products are never fused with sums. docs/numerics.md has the rules.
 *
 * Callers tile: forward kernels over blocks of rows of x and w, lp_backward over column ranges, the scatter kernels
 * over rows of x or rows of w. Tiling never changes a bit. */
#ifndef LFD_KERNELS_H
#define LFD_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Largest magnitude accepted in inputs: 2^100 leaves room for sums over 2^20 terms at p = 1. */
enum { LFD_LIMIT_EXPONENT = 100 };
#define LFD_LIMIT 0x1p100f

/* x: batch x n_in, w: n_out x n_in, y: batch x n_out, row-major. Gradients and argmaxes have the strides of what they
 * belong to. */
typedef struct lfd_shape {
    size_t batch, n_in, n_out;
    size_t x_stride, w_stride, y_stride;
} lfd_shape;

/* Where few columns can win a maximum (linf_sparse): limits, and the sample that tells. */
enum {
    LFD_SPARSE_INPUTS = 5120,
    LFD_SPARSE_BATCH = 48,   /* rows that are worth the search */
    LFD_SPARSE_SAMPLES = 16, /* rows at equal distances, */
    LFD_SPARSE_STEP = 16,    /* and one output in so many, */
    LFD_SPARSE_SHARE = 5     /* of which fewer than one column in so many is a candidate */
};

/* r -> r^q for r from the cut to 1, 0 below. Multiplied by a number, r is cut into pieces around the integers: with c
 * the middle of a piece and f = r / c - 1, r^q = c^q (1 + f)^q, and (1 + f)^q is one polynomial for all pieces, best
 * where r is large. */
enum { LFD_PIECES = 32, LFD_DEGREE = 4 };
typedef struct lfd_power_pieces {
    float cut;                     /* at least: rounding decides about r that are 2^-17 larger */
    float scale;                   /* r enters multiplied by it */
    float density;                 /* pieces per unit of it */
    float floor;                   /* smaller ones then count as this, whose power is 0 */
    int roots;                     /* square roots to be taken first, where there are too many octaves */
    float reciprocals[LFD_PIECES]; /* density / c, by the number c modulo LFD_PIECES */
    float values[LFD_PIECES];      /* c^q */
    float polynomial[LFD_DEGREE + 1];
} lfd_power_pieces;

/* Everything about a finite p that does not depend on the data. */
typedef struct lfd_power {
    float p;
    int integer; /* p itself when it is a small integer with its own kernel, else 0 */
    float inv_p; /* 1 / p */
    /* q = p of |x - w| / maximum: n_in terms below the cut stay below p 2^-24 of the sum. */
    lfd_power_pieces forward;
    /* q = p - 1 of |x - w| / distance: gradient factors below 2^-34 are dropped. */
    lfd_power_pieces backward;
} lfd_power;

/* p finite. Each prepares what the kernel of its name reads, and leaves the other's pieces as they are. */
void lfd_power_init_forward(lfd_power *power, float p, size_t n_in);
void lfd_power_init_backward(lfd_power *power, float p);

/* Constants of one Adam step, all prepared in double and rounded once. */
typedef struct lfd_adam {
    float beta1, one_minus_beta1, beta2, one_minus_beta2;
    float step_size;       /* lr / (1 - beta1^t) */
    float sqrt_correction; /* sqrt(1 - beta2^t) */
    float epsilon;
} lfd_adam;

/* Columns of one row of w, in the order of how large |x - w| can become there while x stays in the range that the
 * ranking was made for, largest first. One cache line. */
enum { LFD_SLICE = 8, LFD_SLICED_COLUMNS = 1 << 16 };
typedef struct lfd_slice {
    float w[LFD_SLICE];
    uint16_t column[LFD_SLICE]; /* so a row has at most LFD_SLICED_COLUMNS */
    float rest;                 /* how large it can become in any column that follows */
    float unused[3];
} lfd_slice;
_Static_assert(sizeof(lfd_slice) == 64, "a slice is a cache line");

/* At least the real number that was rounded to value: one float further, or two. */
static inline float lfd_raised(float value) {
    return value + (value < 0.0f ? -value : value) * 0x1p-23f;
}

/* First slices of LFD_HEAD_ROWS rows side by side: a single sample has rows in the lanes. Some rows are settled by
 * fewer ranks, whatever the sample inside the range; rows that need as many are together. The last lanes of a group's
 * last head may have no row: there all is 0, but for the bounds. */
enum { LFD_HEAD_ROWS = 16 };
typedef struct lfd_heads {
    float w[LFD_SLICE][LFD_HEAD_ROWS]; /* largest bounds first */
    uint16_t column[LFD_SLICE][LFD_HEAD_ROWS];
    float rest[LFD_HEAD_ROWS];    /* as a slice's, after all ranks */
    float earlier[LFD_HEAD_ROWS]; /* after ranks of them; both -infinity without a row */
    int32_t row[LFD_HEAD_ROWS];   /* from the first of the group's */
    size_t ranks;                 /* that settle these rows inside the range, or LFD_SLICE */
} lfd_heads;

/* Rows of w, each ranked. Columns beyond the last slice are in w alone. The same slice of all rows lies together: few
 * rows need the next one. */
typedef struct lfd_ranked {
    size_t count, stride;    /* of a row's slices; from each to the row's next */
    const lfd_slice *slices; /* count x n_out */
    const lfd_heads *heads;  /* the single kernels' */
} lfd_ranked;

/* Codes: bytes that say how far a number lies below the top of its range, in steps of which each range has 255. A
 * distance |x - w| is the larger of x - w and w - x, so the code of a largest distance is the least of
 *   code of x + gap   and   255 - code of x + gap
 * over the inputs, sums above 255 counting as 255: gaps follow from w, the ranges and the step. Column i of n has the
 * codes of input i, column n + i their complements, which in intervals are those of the other end. */
enum { LFD_CODE_MOST = 255, LFD_CODE_INPUTS = 1 << 15 };
enum { LFD_CODE_LANES = 64, LFD_CODE_FEW_LANES = 16 }; /* samples side by side */
enum { LFD_CODE_RANKS = 20 };

/* Terms of one row of w by their gaps, the least first. One cache line. */
typedef struct lfd_code_slice {
    uint16_t column[LFD_CODE_RANKS]; /* so there are at most LFD_CODE_INPUTS inputs */
    uint8_t gap[LFD_CODE_RANKS];
    uint8_t rest;  /* the least gap that follows, LFD_CODE_MOST where none does */
    uint8_t floor; /* the row's code of 0, which no distance and no bound of one is below, or LFD_CODE_MOST */
    uint8_t unused[2];
} lfd_code_slice;
_Static_assert(sizeof(lfd_code_slice) == 64, "a slice of codes is a cache line");
_Static_assert(2 * LFD_CODE_INPUTS - 1 <= UINT16_MAX, "a slice numbers columns in 16 bits");

/* A distance layer in codes. */
typedef struct lfd_code_rows {
    size_t n_in, n_out, count;
    lfd_code_slice *slices; /* count x n_out, the first in order; the last of a row has rest LFD_CODE_MOST */
} lfd_code_rows;

/* The same terms for one sample: rows of w side by side, as lanes, and columns in groups, dealt so that a row has few
 * terms in any one. The terms of a block of rows come in turns, at most one of each row in a turn, all of one group. */
enum { LFD_CODE_PLACES = 64 };  /* columns of a group */
enum { LFD_CODE_GROUPS = 256 }; /* at most */
enum { LFD_CODE_ROWS = 64 };    /* rows of a block */
enum { LFD_CODE_TURNS = 16 };   /* of a round */
enum { LFD_CODE_GROUP_INPUTS = LFD_CODE_GROUPS * LFD_CODE_PLACES / 2 };
_Static_assert(LFD_CODE_GROUPS - 1 <= UINT8_MAX, "a byte numbers groups");

typedef struct lfd_code_turn {
    uint8_t place[LFD_CODE_ROWS]; /* in the group */
    uint8_t gap[LFD_CODE_ROWS];   /* LFD_CODE_MOST where no term or no row is */
} lfd_code_turn;

/* In the order in which they are read, so that memory streams. */
typedef struct lfd_code_round {
    uint8_t group[LFD_CODE_TURNS], unused[64 - LFD_CODE_TURNS];
    lfd_code_turn turn[LFD_CODE_TURNS];
    uint8_t rest[LFD_CODE_ROWS]; /* the least gap of a row that follows, LFD_CODE_MOST where none does */
} lfd_code_round;
_Static_assert(sizeof(lfd_code_round) % 64 == 0, "a round is whole cache lines");

typedef struct lfd_code_groups {
    size_t n_out, count;
    uint16_t *column;       /* count x LFD_CODE_PLACES */
    size_t *begin;          /* of each block's rounds: one at least, the last of which has no rest */
    lfd_code_round *rounds; /* of all blocks */
    uint8_t *floor;         /* of whole blocks, as a slice's; 0 where no row is, which nothing is below */
} lfd_code_groups;

/* kernels.def lists the kernels, one line each; here it becomes the table. */
typedef struct lfd_kernels {
    const char *name; /* "ref", "avx2", "avx512" */
#define LFD_KERNEL(result, kernel, parameters) result(*kernel) parameters;
#include "kernels.def"
#undef LFD_KERNEL
} lfd_kernels;

/* Instruction sets, worst to best. */
enum { LFD_ISA_REF, LFD_ISA_AVX2, LFD_ISA_AVX512, LFD_ISA_COUNT };

/* Table of an instruction set, or NULL where this build or this machine lacks it. Safe to call from any thread; the
 * result never changes. */
const lfd_kernels *lfd_kernels_for(int isa);
/* Best instruction set this machine and build have. */
int lfd_isa_best(void);

#endif
