#include "cpu.h"

#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

enum {
    LEAF1_ECX = (1 << 12) | (1 << 23) | (1 << 27) | (1 << 28), /* FMA, POPCNT, OSXSAVE, AVX */
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_EBX_AVX512 = (1 << 16) | (1 << 17) | (1 << 30), /* F, DQ, BW */
    XCR0_AVX = 0x6,                                       /* SSE and AVX state */
    XCR0_AVX512 = 0xe6                                    /* and opmask, upper halves, upper registers */
};
#define LEAF7_EBX_VL (1u << 31)

/* Written out because _xgetbv() needs a compiler flag, and this file must run on every machine. */
static unsigned read_xcr0(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has_all(unsigned value, unsigned bits) {
    return (value & bits) == bits;
}

int lfd_cpu_has(int isa) {
    unsigned a, b, c, d;
    if (isa == LFD_ISA_REF) return 1;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has_all(c, LEAF1_ECX)) return 0;
    unsigned xcr0 = read_xcr0();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (!has_all(b, LEAF7_EBX_AVX2) || !has_all(xcr0, XCR0_AVX)) return 0;
    if (isa == LFD_ISA_AVX2) return 1;
    return isa == LFD_ISA_AVX512 && has_all(b, LEAF7_EBX_AVX512 | LEAF7_EBX_VL) && has_all(xcr0, XCR0_AVX512);
}
#else
int lfd_cpu_has(int isa) {
    return isa == LFD_ISA_REF;
}
#endif
