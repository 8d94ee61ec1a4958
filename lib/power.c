#include "kernels.h"
#include "math.h"

#include <string.h>

/* Above this exponent the general formula is used. */
enum { LARGEST_INTEGER_POWER = 8 };

/* Gradient factors below 2^-40 are dropped: with 512 upstream gradients of 1/512 their sum stays below 1e-12, a
 * hundredth of Adam's epsilon. */
static const double GRADIENT_BITS = 40.0;
/* Cuts below this times the distance could meet subnormal numbers. */
static const double SMALLEST_CUT = 0x1p-86;

static int small_integer(float p) {
    return p <= LARGEST_INTEGER_POWER && (float)(int)p == p ? (int)p : 0;
}

static double cut(double bits, double exponent) {
    double factor = exponent > 0.0 ? lfd_exp2(-bits / exponent) : 0.0;
    return factor > SMALLEST_CUT ? factor : SMALLEST_CUT;
}

/* c[0 .. degree]: (1 + f)^q for |f| <= width. 1 at f = 0, and interpolated at Chebyshev's nodes: with h = q width the
 * error is about 4 (h / 2)^(degree + 1) / (degree + 1)!. */
static void fit(double q, double width, int degree, float *c) {
    double node[LFD_GRADIENT_DEGREE], a[LFD_GRADIENT_DEGREE];
    for (int j = 0; j < degree; ++j) {
        node[j] = width * lfd_cospi((j + 0.5) / degree);
        a[j] = node[j] == 0.0 ? q : (lfd_pow(1.0 + node[j], q) - 1.0) / node[j];
    }
    for (int k = 1; k < degree; ++k) /* divided differences */
        for (int j = degree - 1; j >= k; --j) a[j] = (a[j] - a[j - 1]) / (node[j] - node[j - k]);
    for (int k = degree - 2; k >= 0; --k) /* from Newton's form to powers of f */
        for (int j = k; j < degree - 1; ++j) a[j] -= node[k] * a[j + 1];
    c[0] = 1.0f;
    for (int j = 0; j < degree; ++j) c[j + 1] = (float)a[j];
}

/* Pieces are numbered by the leading bits of the floats in them; this one, the first after the last, begins with 2. */
static uint32_t end_piece(int shift) {
    return 0x40000000u >> shift;
}

static double start_of(uint32_t piece, int shift) {
    const uint32_t bits = piece << shift;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The piece whose start least becomes when 1 becomes at most 1.998. */
static uint32_t lowest_piece(int shift, double least) {
    const float value = (float)(1.998 * least);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits >> shift;
}

/* 1 when there are fewer pieces of that width than LFD_PIECES: one is needed for all below. */
static int covers(int shift, double least) {
    return end_piece(shift) - lowest_piece(shift, least) < LFD_PIECES;
}

static void pieces_init(lfd_power_pieces *pieces, double q, double least, int degree) {
    int shift = 23;
    pieces->cut = (float)(least * (1.0 - 0x1p-20));
    pieces->wide = !covers(shift, least);
    if (pieces->wide) q *= 4.0, least = lfd_sqrt(lfd_sqrt(least));
    while (shift > 1 && covers(shift - 1, least)) --shift;
    const uint32_t lowest = lowest_piece(shift, least);
    const double scale = start_of(lowest, shift) / least;
    double widest = 0.0;
    for (uint32_t i = 1; i <= LFD_PIECES; ++i) {
        const uint32_t piece = end_piece(shift) - i;
        const double start = start_of(piece, shift), end = start_of(piece + 1, shift);
        const float reciprocal = (float)(2.0 / (start + end));
        pieces->reciprocals[piece % LFD_PIECES] = reciprocal;
        pieces->values[piece % LFD_PIECES] = piece < lowest ? 0.0f : (float)lfd_pow(1.0 / (reciprocal * scale), q);
        if (piece >= lowest && end - start > widest * (start + end)) widest = (end - start) / (start + end);
    }
    const double below = (start_of(lowest - 1, shift) + start_of(lowest, shift)) / 2.0;
    pieces->shift = shift;
    pieces->floor = (float)(pieces->wide ? below * below * below * below : below);
    pieces->scale = (float)(pieces->wide ? scale * scale * scale * scale : scale);
    fit(q, widest, degree, pieces->polynomial);
}

/* n_in dropped terms, each below 2^-bits of the largest, add up to less than p 2^-24 of it when
 * bits = 24 + log2(n_in / p); one more bit covers the roundings. */
void lfd_power_init(lfd_power *power, float p, size_t n_in) {
    double bits = 25.0 + lfd_log2(n_in > 0 ? (double)n_in : 1.0) - lfd_log2(p);
    power->p = p;
    power->integer = small_integer(p);
    power->inv_p = 1.0f / p;
    pieces_init(&power->forward, p, cut(bits, p), LFD_DEGREE);
    pieces_init(&power->backward, (double)p - 1.0, cut(GRADIENT_BITS, (double)p - 1.0), LFD_GRADIENT_DEGREE);
}
