/* A host program that links the library sees neither OpenMP nor BLAS, though there are parts of BLIS inside. */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include <dlfcn.h>
#include <linfdist/linfdist.h>
#include <stdio.h>
#include <string.h>

static int count_foreign_symbols(void) {
    static const char *const names[] = {"GOMP_parallel",
                                        "omp_get_max_threads",
                                        "__kmpc_fork_call",
                                        "bli_init",
                                        "bli_sgemm",
                                        "bli_dgemm_haswell_asm_6x8",
                                        "bli_dgemm_skx_asm_16x14",
                                        "bli_thread_set_num_threads",
                                        "cblas_sgemm",
                                        "sgemm_",
                                        "dgemm_"};
    int found = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        if (!dlsym(RTLD_DEFAULT, names[i])) continue;
        printf("FAILED: the host sees %s\n", names[i]);
        ++found;
    }
    return found;
}

static int count_foreign_libraries(void) {
    static const char *const names[] = {"libgomp", "libomp", "libiomp", "libblas", "libblis", "libopenblas", "libmkl"};
    char line[4096];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
            if (!strstr(line, names[i])) continue;
            printf("FAILED: loaded: %s", line);
            ++found;
        }
    }
    if (maps) fclose(maps);
    return found;
}

int main(void) {
    linfdist_context *context = NULL;
    if (linfdist_context_create(NULL, &context) != LINFDIST_OK) {
        printf("FAILED: %s\n", linfdist_last_error());
        return 1;
    }
    linfdist_context_destroy(context);
    const int failures = count_foreign_symbols() + count_foreign_libraries();
    printf("%d failures\n", failures);
    return failures > 0;
}
