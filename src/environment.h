/* The floating-point environment: tasks run in the default one (round to nearest, no flush to zero), and the host gets
 * its own back, exception flags included. On x86-64 arithmetic on floats and doubles obeys MXCSR alone. The rest of the
 * environment takes hundreds of cycles to change, which a single image's many short tasks would notice; the C library
 * writes and reads numbers by it, which tasks do in messages at most. */
#ifndef LFD_ENVIRONMENT_H
#define LFD_ENVIRONMENT_H

#if defined(__x86_64__) && defined(__SSE2_MATH__)

typedef unsigned lfd_environment;

static inline lfd_environment lfd_environment_enter(void) {
    const lfd_environment host = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x1f80); /* all exceptions masked */
    return host;
}

static inline void lfd_environment_leave(const lfd_environment *host) {
    __builtin_ia32_ldmxcsr(*host);
}

#else

#include <fenv.h>

typedef fenv_t lfd_environment;

static inline lfd_environment lfd_environment_enter(void) {
    fenv_t host;
    fegetenv(&host);
    fesetenv(FE_DFL_ENV);
    return host;
}

static inline void lfd_environment_leave(const lfd_environment *host) {
    fesetenv(host);
}

#endif

#endif
