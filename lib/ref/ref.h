/* The reference kernels: plain loops, the specification in C and the fallback on every machine. */
#ifndef LFD_REF_H
#define LFD_REF_H

#include "../kernels.h"

#define LFD_KERNEL(result, kernel, parameters) result lfd_ref_##kernel parameters;
#include "../kernels.def"
#undef LFD_KERNEL

/* One output of lp_forward by the normalised formula, at any scale. The vector kernels use it for distances too small
 * for theirs (below LFD_TINY) and the reference for everything. */
float lfd_ref_lp_output(const lfd_power *power, size_t n_in, const float *x, const float *w);

#endif
