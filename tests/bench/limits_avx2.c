#include "../../lib/simd/vec_avx2.h"

#define LIMIT_LOOPS limit_loops_avx2
#include "limits_loops.h"
