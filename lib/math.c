#include "math.h"

#include <math.h> /* sqrt, INFINITY; the transcendentals are written out here */
#include <stdint.h>
#include <string.h>

static const double LOG2_E = 0x1.71547652b82fep+0;
static const double LN2 = 0x1.62e42fefa39efp-1;
static const double LN2_HIGH = 0x1.62e42f8p-1; /* 27 trailing zero bits: k LN2_HIGH is exact for |k| < 2^11 */
static const double LN2_LOW = 0x1.be8e7bcd5e4f2p-27;
static const double ROUND_MAGIC = 0x1.8p52; /* adding and subtracting it rounds to the nearest integer */
static const double PI = 0x1.921fb54442d18p+1;

static double round_nearest(double x) {
    double shifted = x + ROUND_MAGIC;
    return shifted - ROUND_MAGIC;
}

static double from_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint64_t to_bits(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double horner(const double *coefficients, int count, double x) {
    double sum = coefficients[count - 1];
    for (int i = count - 2; i >= 0; --i) sum = sum * x + coefficients[i];
    return sum;
}

/* x 2^k for k in [-1100, 1100], in two steps so that subnormal results round once. */
static double scale(double x, int k) {
    int first = k < -1000 ? -1000 : k > 1000 ? 1000 : k;
    double y = x * from_bits((uint64_t)(1023 + first) << 52);
    return y * from_bits((uint64_t)(1023 + k - first) << 52);
}

/* e^r 2^k, |r| <= 0.35: Taylor to r^13, truncation below 2^-57. */
static double exp_scaled(double r, double k) {
    static const double c[] = {0x1p+0,
                               0x1p+0,
                               0x1p-1,
                               0x1.5555555555555p-3,
                               0x1.5555555555555p-5,
                               0x1.1111111111111p-7,
                               0x1.6c16c16c16c17p-10,
                               0x1.a01a01a01a01ap-13,
                               0x1.a01a01a01a01ap-16,
                               0x1.71de3a556c734p-19,
                               0x1.27e4fb7789f5cp-22,
                               0x1.ae64567f544e4p-26,
                               0x1.1eed8eff8d898p-29,
                               0x1.6124613a86d09p-33};
    return scale(horner(c, sizeof c / sizeof *c, r), (int)k);
}

double lfd_exp2(double x) {
    if (!(x > -1080.0)) return x <= -1080.0 ? 0.0 : x; /* NaN passes */
    if (x >= 1024.0) return INFINITY;
    double k = round_nearest(x);
    return exp_scaled((x - k) * LN2, k);
}

double lfd_exp(double x) {
    if (!(x > -750.0)) return x <= -750.0 ? 0.0 : x;
    if (x >= 710.0) return INFINITY;
    double k = round_nearest(x * LOG2_E);
    return exp_scaled((x - k * LN2_HIGH) - k * LN2_LOW, k);
}

/* Lambert's continued fraction, x / (1 + x^2 / (3 + x^2 / (5 + ..))), for 0 <= x < 1/2: cut after 13, below 2^-52 of
 * the result. */
static double tanh_near_zero(double x) {
    double tail = 13.0;
    for (double n = 11.0; n > 0.0; n -= 2.0) tail = n + x * x / tail;
    return x / tail;
}

/* Off by a few 2^-53 of the result. Results of neighbouring floats are at least 5e-14 of themselves apart up to 9.01,
 * and all of those above round to 1 as floats: so rounded results are in order. */
double lfd_tanh(double x) {
    if (x < 0.0) return -lfd_tanh(-x);
    if (x < 0.5) return tanh_near_zero(x);
    return 1.0 - 2.0 / (lfd_exp(2.0 * x) + 1.0);
}

/* x = 2^e m with m in [sqrt(1/2), sqrt(2)); returns s = (m - 1) / (m + 1), so that log m = 2 atanh(s). */
static double log_reduce(double x, double *e) {
    static const uint64_t sqrt_half = 0x3fe6a09e667f3bcd;
    double subnormal = x < 0x1p-1022 ? 54.0 : 0.0;
    uint64_t bits = to_bits(subnormal > 0.0 ? x * 0x1p54 : x) - sqrt_half;
    int64_t exponent = (int64_t)bits >> 52;
    double m = from_bits((bits & 0x000fffffffffffff) + sqrt_half);
    *e = (double)exponent - subnormal;
    return (m - 1.0) / (m + 1.0);
}

/* 2 atanh(s) for |s| <= 0.172: the odd series to s^23, truncation below 2^-65. */
static double atanh_twice(double s) {
    static const double c[] = {0x1.0000000000000p+1, 0x1.5555555555555p-1, 0x1.999999999999ap-2, 0x1.2492492492492p-2,
                               0x1.c71c71c71c71cp-3, 0x1.745d1745d1746p-3, 0x1.3b13b13b13b14p-3, 0x1.1111111111111p-3,
                               0x1.e1e1e1e1e1e1ep-4, 0x1.af286bca1af28p-4, 0x1.8618618618618p-4, 0x1.642c8590b2164p-4};
    return s * horner(c, sizeof c / sizeof *c, s * s);
}

double lfd_log2(double x) {
    double e, s = log_reduce(x, &e);
    return e + atanh_twice(s) * LOG2_E;
}

double lfd_log(double x) {
    double e, s = log_reduce(x, &e);
    return e * LN2_HIGH + (atanh_twice(s) + e * LN2_LOW);
}

double lfd_pow(double x, double y) {
    if (y == 0.0 || x == 1.0) return 1.0;
    if (x == 0.0) return y > 0.0 ? 0.0 : INFINITY;
    return lfd_exp2(y * lfd_log2(x));
}

/* sin(pi t) and cos(pi t) for |t| <= 1/4: Taylor, truncation below 2^-55. */
static double sinpi_small(double t) {
    static const double c[] = {0x1p+0,
                               -0x1.5555555555555p-3,
                               0x1.1111111111111p-7,
                               -0x1.a01a01a01a01ap-13,
                               0x1.71de3a556c734p-19,
                               -0x1.ae64567f544e4p-26,
                               0x1.6124613a86d09p-33,
                               -0x1.ae7f3e733b81fp-41,
                               0x1.952c77030ad4ap-49};
    double a = t * PI;
    return a * horner(c, sizeof c / sizeof *c, a * a);
}

static double cospi_small(double t) {
    static const double c[] = {0x1p+0,
                               -0x1p-1,
                               0x1.5555555555555p-5,
                               -0x1.6c16c16c16c17p-10,
                               0x1.a01a01a01a01ap-16,
                               -0x1.27e4fb7789f5cp-22,
                               0x1.1eed8eff8d898p-29,
                               -0x1.93974a8c07c9dp-37,
                               0x1.ae7f3e733b81fp-45,
                               -0x1.6827863b97d97p-53};
    double a = t * PI;
    return horner(c, sizeof c / sizeof *c, a * a);
}

/* Quadrants: x = n / 2 + t with |t| <= 1/4; cos(pi x) is cos, -sin, -cos, sin of pi t for n = 0, 1, 2, 3 (mod 4). */
static double quadrant(double t, int64_t n) {
    double value = n & 1 ? sinpi_small(t) : cospi_small(t);
    return ((n + 1) & 2) ? -value : value;
}

double lfd_cospi(double x) {
    double n = round_nearest(2.0 * x);
    return quadrant(x - 0.5 * n, (int64_t)n);
}

double lfd_sqrt(double x) {
    return sqrt(x);
}

float lfd_sqrtf(float x) {
    return sqrtf(x);
}
