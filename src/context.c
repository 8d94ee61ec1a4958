#include "context.h"

#include <stdlib.h>
#include <string.h>

static const char *const isa_names[LFD_ISA_COUNT] = {
    [LFD_ISA_REF] = "ref",
    [LFD_ISA_AVX2] = "avx2",
    [LFD_ISA_AVX512] = "avx512",
};

/* LFD_ISA_COUNT for an unknown name. */
static int isa_by_name(const char *name) {
    int isa = 0;
    while (isa < LFD_ISA_COUNT && strcmp(name, isa_names[isa]) != 0) ++isa;
    return isa;
}

int32_t linfdist_isa_available(const char *isa) {
    int known = isa ? isa_by_name(isa) : LFD_ISA_COUNT;
    return known < LFD_ISA_COUNT && lfd_kernels_for(known) != NULL;
}

/* Lowers *isa to the named one. */
static linfdist_status cap_isa(int *isa, const char *name, const char *source) {
    int cap = isa_by_name(name);
    if (cap == LFD_ISA_COUNT)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is \"%s\", must be ref, avx2 or avx512", source, name);
    if (!lfd_kernels_for(cap))
        return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "%s is \"%s\", which this machine or build lacks", source, name);
    if (cap < *isa) *isa = cap;
    return LINFDIST_OK;
}

static linfdist_status choose_kernels(linfdist_context *context, const char *option) {
    int isa = lfd_isa_best();
    const char *variable = getenv("LINFDIST_ISA");
    if (option) LFD_TRY(cap_isa(&isa, option, "isa"));
    if (variable && variable[0]) LFD_TRY(cap_isa(&isa, variable, "LINFDIST_ISA"));
    context->isa = isa;
    context->kernels = lfd_kernels_for(isa);
    return LINFDIST_OK;
}

linfdist_status linfdist_context_options_init(linfdist_context_options *options, size_t struct_size) {
    const linfdist_context_options defaults = {.threads = 1};
    return lfd_options_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "options");
}

static linfdist_status read_options(linfdist_context *context, const linfdist_context_options *given) {
    linfdist_context_options options;
    LFD_TRY(linfdist_context_options_init(&options, sizeof options));
    if (given) LFD_TRY(lfd_options_read(&options, sizeof options, sizeof options, given, "options"));
    LFD_TRY(lfd_check_count("threads", options.threads, 0, LFD_MAX_THREADS));
    if (!options.alloc != !options.free)
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is NULL, alloc and free come together",
                        options.alloc ? "free" : "alloc");
    context->threads = options.threads ? options.threads : lfd_cpu_count();
    context->alloc = options.alloc;
    context->free = options.free;
    context->alloc_user = options.alloc_user;
    context->log = options.log;
    context->log_user = options.log_user;
    context->parallel_for = options.parallel_for;
    context->parallel_for_user = options.parallel_for_user;
    return choose_kernels(context, options.isa);
}

static void announce(const linfdist_context *context) {
    char message[96];
    if (!context->log) return;
    strcpy(message, "instruction set ");
    strcat(message, isa_names[context->isa]);
    strcat(message, context->pool ? ", own thread pool" : context->parallel_for ? ", host executor" : ", one thread");
    context->log(context->log_user, 0, message);
}

void lfd_warn(const linfdist_context *context, const char *message) {
    if (context->log) context->log(context->log_user, 1, message);
}

linfdist_status linfdist_context_create(const linfdist_context_options *options, linfdist_context **context) {
    LFD_REQUIRE(context);
    linfdist_context made = {.references = 1};
    void *memory;
    LFD_TRY(read_options(&made, options));
    LFD_TRY(lfd_alloc(&made, 1, sizeof made, "context", &memory));
    linfdist_status status = lfd_pool_create(&made);
    if (status != LINFDIST_OK) {
        lfd_free(&made, memory);
        return status;
    }
    memcpy(memory, &made, sizeof made);
    *context = memory;
    announce(*context);
    return LINFDIST_OK;
}

linfdist_context *lfd_context_retain(linfdist_context *context) {
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void lfd_context_release(linfdist_context *context) {
    if (!context || atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1) return;
    lfd_pool_destroy(context);
    lfd_free(context, context);
}

void linfdist_context_destroy(linfdist_context *context) {
    lfd_context_release(context);
}

const char *linfdist_context_isa(const linfdist_context *context) {
    return context ? isa_names[context->isa] : "";
}

int32_t linfdist_context_threads(const linfdist_context *context) {
    return context ? context->threads : 0;
}
