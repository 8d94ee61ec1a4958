#include "isa.h"

#include "../ref/ref.h"
#include "../simd/vec_avx512.h"

#define ISA(kernel) lfd_avx512_##kernel
#define ISA_NAME "avx512"
#include "kernels.inc"
