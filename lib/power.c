#include "kernels.h"
#include "math.h"

/* Above this exponent the general formula is used. */
enum { LARGEST_INTEGER_POWER = 8 };

/* Gradient factors below 2^-34 are dropped: with 512 upstream gradients of 1/512 their sum stays below 6e-11, less than
 * Adam's epsilon. */
static const double GRADIENT_BITS = 34.0;
/* Powers are fitted for |f| up to this over top: f reaches 0.5 / top where r is 1, and more where r^q is small. */
static const double FITTED = 0.6;
/* Cuts below this times the distance could meet subnormal numbers. */
static const double SMALLEST_CUT = 0x1p-86;

static int small_integer(float p) {
    return p <= LARGEST_INTEGER_POWER && (float)(int)p == p ? (int)p : 0;
}

static double cut(double bits, double exponent) {
    double factor = exponent > 0.0 ? lfd_exp2(-bits / exponent) : 0.0;
    return factor > SMALLEST_CUT ? factor : SMALLEST_CUT;
}

_Static_assert(LFD_DEGREE % 2 == 0, "no node of a fit is 0");

/* c[k]: of f^k in (1 + f)^q for |f| <= width. 1 at f = 0, and interpolated at Chebyshev's nodes: with h = q width the
 * error is about 4 (h / 2)^(LFD_DEGREE + 1) / (LFD_DEGREE + 1)!. */
static void fit(double q, double width, float *c) {
    double node[LFD_DEGREE], a[LFD_DEGREE];
    for (int j = 0; j < LFD_DEGREE; ++j) {
        node[j] = width * lfd_cospi((j + 0.5) / LFD_DEGREE);
        a[j] = (lfd_pow(1.0 + node[j], q) - 1.0) / node[j];
    }
    for (int k = 1; k < LFD_DEGREE; ++k) /* divided differences */
        for (int j = LFD_DEGREE - 1; j >= k; --j) a[j] = (a[j] - a[j - 1]) / (node[j] - node[j - k]);
    for (int k = LFD_DEGREE - 2; k >= 0; --k) /* from Newton's form to powers of f */
        for (int j = k; j < LFD_DEGREE - 1; ++j) a[j] -= node[k] * a[j + 1];
    c[0] = 1.0f;
    for (int j = 0; j < LFD_DEGREE; ++j) c[j + 1] = (float)a[j];
}

/* r = 1 as it enters: m times the rounded scale / m is scale again for nearly every m, since rounding errors are
 * smallest where a number is just above a power of 2. */
static const float SCALE = 0x1.004p0f;

/* The value that makes the power of r = 1 exactly 1, given its f: where one term is all there is, gradients pass
 * unrounded, and what should cancel does. */
static float value_of_one(double f, const float *polynomial) {
    return 1.0f / (float)(1.0 + f * (polynomial[1] + f * polynomial[2]));
}

/* The pieces around the integers from lowest to top, all but one of LFD_PIECES, reach from r = least to r = 1. */
static void pieces_init(lfd_power_pieces *pieces, double q, double least) {
    const double most = LFD_PIECES - 1.5;
    float one = SCALE;
    for (pieces->roots = 0; least * most < 0.5; ++pieces->roots)
        q *= 2.0, least = lfd_sqrt(least), one = lfd_sqrtf(one);
    const int top = (int)(most / (1.0 - least)), lowest = (int)(top * least + 0.5);
    double cut = (lowest - 0.5) / top, floor = (lowest - 0.75) / top;
    pieces->density = (float)top / one;
    for (int c = lowest - 1; c < lowest - 1 + LFD_PIECES; ++c) {
        pieces->reciprocals[c % LFD_PIECES] = pieces->density / (float)(c > 0 ? c : 1); /* vectors may divide */
        pieces->values[c % LFD_PIECES] = c < lowest ? 0.0f : (float)lfd_pow((double)c / top, q);
    }
    fit(q, FITTED / top, pieces->polynomial);
    pieces->values[top % LFD_PIECES] =
        value_of_one((double)one * pieces->reciprocals[top % LFD_PIECES] - 1.0, pieces->polynomial);
    for (int k = 0; k < pieces->roots; ++k) cut *= cut, floor *= floor;
    pieces->cut = (float)(cut * (1.0 - 0x1p-18));
    pieces->scale = SCALE;
    pieces->floor = (float)(floor * SCALE);
}

static void exponent_init(lfd_power *power, float p) {
    power->p = p;
    power->integer = small_integer(p);
    power->inv_p = 1.0f / p;
}

/* n_in dropped terms, each below 2^-bits of the largest, add up to less than p 2^-24 of it when
 * bits = 24 + log2(n_in / p); one more bit covers the roundings. */
void lfd_power_init_forward(lfd_power *power, float p, size_t n_in) {
    double bits = 25.0 + lfd_log2(n_in > 0 ? (double)n_in : 1.0) - lfd_log2(p);
    exponent_init(power, p);
    pieces_init(&power->forward, p, cut(bits, p));
}

void lfd_power_init_backward(lfd_power *power, float p) {
    exponent_init(power, p);
    pieces_init(&power->backward, (double)p - 1.0, cut(GRADIENT_BITS, (double)p - 1.0));
}
