#include "ref.h"

#include <math.h>

void lfd_ref_adam(size_t n, const lfd_adam *adam, const float *grad, float *w, float *m, float *v) {
    for (size_t i = 0; i < n; ++i) {
        m[i] = adam->beta1 * m[i] + adam->one_minus_beta1 * grad[i];
        v[i] = adam->beta2 * v[i] + adam->one_minus_beta2 * (grad[i] * grad[i]);
        w[i] -= adam->step_size * m[i] / (sqrtf(v[i]) / adam->sqrt_correction + adam->epsilon);
    }
}

size_t lfd_ref_first_outside(size_t n, float low, float high, const float *x) {
    for (size_t i = 0; i < n; ++i)
        if (!(x[i] >= low && x[i] <= high)) return i;
    return n;
}
