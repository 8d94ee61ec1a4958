/* Transcendentals in double with the same bits everywhere: plain IEEE operations in a fixed order, no libm. Accurate to
 * a few units in the last place (tests/kernels/test_math.c states and checks the bounds). */
#ifndef LFD_MATH_H
#define LFD_MATH_H

double lfd_exp2(double x);
double lfd_log2(double x); /* x > 0 */
double lfd_exp(double x);
double lfd_log(double x);           /* x > 0 */
double lfd_pow(double x, double y); /* x > 0; also 0^y = 0 for y > 0 */
double lfd_cospi(double x);         /* cos(pi x), |x| <= 2^20 */
double lfd_tanh(double x); /* odd; rounded to float, monotone in float arguments */

/* IEEE square roots: correctly rounded, no errno. */
double lfd_sqrt(double x);
float lfd_sqrtf(float x);

#endif
