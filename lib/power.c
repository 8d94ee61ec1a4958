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

static float cut(double bits, double exponent) {
    double factor = exponent > 0.0 ? lfd_exp2(-bits / exponent) : 0.0;
    return (float)(factor > SMALLEST_CUT ? factor : SMALLEST_CUT);
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

static double float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double start_of(uint32_t piece, int shift) {
    return float_of_bits(piece << shift);
}

/* The last piece of [1, 2), whose middle r = 1 is brought to. */
static uint32_t top_piece(int shift) {
    return (0x40000000u >> shift) - 1;
}

static double scale_of(int shift) {
    return (start_of(top_piece(shift), shift) + 2.0) / 2.0;
}

/* 1 when pieces of that width reach from 1 down to least. */
static int covers(int shift, double least) {
    return start_of(top_piece(shift) - LFD_PIECES + 1, shift) < 0.9999 * least * scale_of(shift);
}

/* r^q for r in [least, 1]. */
static void pieces_init(lfd_power_pieces *pieces, double q, double least, int degree) {
    int shift = 23;
    pieces->wide = !covers(shift, least);
    if (pieces->wide) q *= 4.0, least = lfd_sqrt(lfd_sqrt(least));
    while (shift > 1 && covers(shift - 1, least)) --shift;
    const double scale = scale_of(shift);
    double widest = 0.0;
    for (uint32_t i = 0; i < LFD_PIECES; ++i) {
        const uint32_t piece = top_piece(shift) - i;
        const double start = start_of(piece, shift), end = start_of(piece + 1, shift);
        const float reciprocal = (float)(2.0 / (start + end));
        pieces->reciprocals[piece % LFD_PIECES] = reciprocal;
        pieces->values[piece % LFD_PIECES] = (float)lfd_pow(1.0 / (reciprocal * scale), q);
        if (end > least * scale && end - start > widest * (end + start)) widest = (end - start) / (end + start);
    }
    pieces->shift = shift;
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
    power->forward_cut = cut(bits, p);
    power->backward_cut = cut(GRADIENT_BITS, (double)p - 1.0);
    pieces_init(&power->forward, p, power->forward_cut, LFD_DEGREE);
    pieces_init(&power->backward, (double)p - 1.0, power->backward_cut, LFD_GRADIENT_DEGREE);
}
