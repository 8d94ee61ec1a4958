#include "cpu.h"
#include "isa/isa.h"
#include "kernels.h"
#include "ref/ref.h"

static const lfd_kernels reference = {
    "ref",
#define LFD_KERNEL(result, kernel, parameters) lfd_ref_##kernel,
#include "kernels.def"
#undef LFD_KERNEL
};

static const lfd_kernels *const tables[LFD_ISA_COUNT] = {
    [LFD_ISA_REF] = &reference,
#ifdef LFD_HAVE_X86_ISA
    [LFD_ISA_AVX2] = &lfd_avx2_kernels,
    [LFD_ISA_AVX512] = &lfd_avx512_kernels,
#endif
};

const lfd_kernels *lfd_kernels_for(int isa) {
    if (isa < 0 || isa >= LFD_ISA_COUNT || !tables[isa] || !lfd_cpu_has(isa)) return NULL;
    return tables[isa];
}

int lfd_isa_best(void) {
    int best = LFD_ISA_REF;
    for (int isa = LFD_ISA_REF; isa < LFD_ISA_COUNT; ++isa)
        if (lfd_kernels_for(isa)) best = isa;
    return best;
}
