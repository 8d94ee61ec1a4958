/* What the tests of runs share: a context, runs, and the sizes of batches and nets. */
#ifndef RUN_SUPPORT_H
#define RUN_SUPPORT_H

#include "net_support.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { BATCH = 7, N_IN = 6, CLASSES = 4 };

static linfdist_context *context;

static inline int setup(void **state) {
    (void)state;
    context = make_context(2, NULL);
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    linfdist_context_destroy(context);
    return 0;
}

static inline linfdist_run *make_run(linfdist_model *model, int32_t kind, int64_t batch) {
    linfdist_run *run = NULL;
    OK(linfdist_run_create(model, kind, batch, &run));
    return run;
}

static inline const float *distances_of(const linfdist_run *run) {
    const float *distances = NULL;
    int64_t batch, classes;
    OK(linfdist_run_outputs(run, &distances, &batch, &classes));
    return distances;
}

#endif
