#include "../../lib/simd/vec_avx512.h"

#define LIMIT_LOOPS limit_loops_avx512
#include "limits_loops.h"
