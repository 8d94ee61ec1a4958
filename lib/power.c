#include "kernels.h"
#include "math.h"

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

/* n_in dropped terms, each below 2^-bits of the largest, add up to less than p 2^-24 of it when
 * bits = 24 + log2(n_in / p); one more bit covers the roundings. */
void lfd_power_init(lfd_power *power, float p, size_t n_in) {
    double bits = 25.0 + lfd_log2(n_in > 0 ? (double)n_in : 1.0) - lfd_log2(p);
    power->p = p;
    power->integer = small_integer(p);
    power->inv_p = 1.0f / p;
    power->exponent = p - 1.0f;
    power->forward_cut = cut(bits, p);
    power->backward_cut = cut(GRADIENT_BITS, (double)p - 1.0);
}
