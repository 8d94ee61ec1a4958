/* Several workers on one model: the hooks of a run, and when they are called. */
#include "workers.h"

#include "run.h"

static linfdist_status refused(const char *hook, int32_t code) {
    return lfd_fail(LINFDIST_ERROR_IO, "%s returned %d, so the sum over all workers is missing", hook, (int)code);
}

void lfd_workers_sum(lfd_workers *workers, double *values, size_t count) {
    if (!workers || workers->status != LINFDIST_OK) return;
    const int32_t code = workers->hooks.sum_means(workers->hooks.user, values, count);
    if (code != 0) workers->status = refused("sum_means", code);
}

linfdist_status lfd_workers_status(const lfd_workers *workers) {
    return workers ? workers->status : LINFDIST_OK;
}

linfdist_status linfdist_run_set_hooks(linfdist_run *run, const linfdist_run_hooks *hooks) {
    linfdist_run_hooks read = {0};
    LFD_REQUIRE(run);
    if (run->kind == LINFDIST_RUN_INFERENCE)
        return lfd_fail(LINFDIST_ERROR_STATE, "a run made for inference sums nothing over workers");
    if (hooks) {
        LFD_TRY(lfd_options_read(&read, sizeof read, sizeof read, hooks, "hooks"));
        if (!read.sum_means) return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "sum_means is NULL");
        if (!read.sum_gradients) return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "sum_gradients is NULL");
    }
    run->workers = (lfd_workers){.hooks = read};
    run->ready = 0;
    return LINFDIST_OK;
}

/* ---- gradients ---- */

typedef struct reduce_job {
    linfdist_run *run;
    linfdist_status status;
} reduce_job;

static void reduce(void *data, size_t index) {
    reduce_job *job = data;
    const linfdist_run *run = job->run;
    const linfdist_run_hooks *hooks = &run->workers.hooks;
    (void)index;
    for (int64_t i = 0; i < run->model->tensor_count && job->status == LINFDIST_OK; ++i) {
        if (!run->gradients[i]) continue;
        const int32_t code = hooks->sum_gradients(hooks->user, run->gradients[i], run->model->tensors[i].count);
        if (code != 0) job->status = refused("sum_gradients", code);
    }
}

linfdist_status linfdist_run_reduce_gradients(linfdist_run *run) {
    LFD_REQUIRE(run);
    if (!run->gradients) return lfd_fail(LINFDIST_ERROR_STATE, "a run made for inference has no gradients");
    if (!run->workers.hooks.sum_gradients) return LINFDIST_OK;
    if (run->gradient_state != LFD_GRADIENTS_OWN)
        return lfd_fail(LINFDIST_ERROR_STATE, "no backward pass has added gradients that wait for the other workers'");
    reduce_job job = {.run = run};
    lfd_serial_for(reduce, &job, 1);
    if (job.status != LINFDIST_OK)
        lfd_run_clear_gradients(run);
    else
        run->gradient_state = LFD_GRADIENTS_REDUCED;
    return job.status;
}
