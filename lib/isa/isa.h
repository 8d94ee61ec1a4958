/* The tables of the instruction sets: constant data, so that choosing one needs no initialisation and no locks. */
#ifndef LFD_ISA_H
#define LFD_ISA_H

#include "../kernels.h"

extern const lfd_kernels lfd_avx2_kernels;
extern const lfd_kernels lfd_avx512_kernels;

#endif
