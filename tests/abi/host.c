/* A host program sees neither OpenMP nor BLAS: not when it links the library, and not when it loads one with BLIS
 * inside (PROBE) into the global scope and uses it. usage: host PROBE */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include <dlfcn.h>
#include <linfdist/linfdist.h>
#include <stdio.h>
#include <string.h>

static int count_foreign_symbols(void) {
    static const char *const names[] = {
        "GOMP_parallel", "omp_get_max_threads",        "__kmpc_fork_call", "bli_init", "bli_sgemm",
        "bli_sgemm_ex",  "bli_thread_set_num_threads", "cblas_sgemm",      "sgemm_",   "dgemm_"};
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

int main(int argc, char **argv) {
    float (*probe)(void) = NULL;
    linfdist_context *context = NULL;
    if (argc != 2) return 2;
    if (linfdist_context_create(NULL, &context) != LINFDIST_OK) {
        printf("FAILED: %s\n", linfdist_last_error());
        return 1;
    }
    linfdist_context_destroy(context);
    int failures = count_foreign_symbols();

    void *library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    void *symbol = library ? dlsym(library, "linfdist_probe_gemm") : NULL;
    if (!symbol) {
        printf("FAILED: %s\n", dlerror());
        return 1;
    }
    memcpy(&probe, &symbol, sizeof probe); /* ISO C has no cast from object to function pointers */
    const float product = probe();
    if (product < 42.0f || product > 42.0f) {
        printf("FAILED: the product is %g, not 42\n", (double)product);
        ++failures;
    }
    failures += count_foreign_symbols() + count_foreign_libraries();
    printf("%d failures\n", failures);
    return failures > 0;
}
