#include "isa.h"

#include "../ref/ref.h"
#include "../simd/vec_avx2.h"

#define ISA(kernel) lfd_avx2_##kernel
#define ISA_NAME "avx2"
#include "kernels.inc"
