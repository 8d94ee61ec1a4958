/* What the processor and the operating system can run. */
#ifndef LFD_CPU_H
#define LFD_CPU_H

/* 1 when every instruction of the set can be executed: CPUID says so and XCR0 says that the system saves its
 * registers. isa is LFD_ISA_*. */
int lfd_cpu_has(int isa);

#endif
