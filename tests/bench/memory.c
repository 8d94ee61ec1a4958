/* The peak of a process that trains. */
#define _XOPEN_SOURCE 700 /* fork, pipe, getrusage */
#include "operators.h"
#include "training.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const double mb = 1024.0 * 1024.0;

/* Beside parameters, moments and gradients: the net's values at every layer, and two more of the widest one. 10 % more
 * and 16 MB for the program, 1 MB for its thread. */
static double limit(const linfdist_model *model, int64_t batch) {
    linfdist_model_info info = {.struct_size = sizeof info};
    const layer_sizes sizes = nets_sizes(model);
    double widths = 0.0, widest = 0.0;
    require(linfdist_model_get_info(model, &info));
    for (int i = 0; i < sizes.count; ++i) {
        widths += (double)sizes.n_out[i];
        widest = fmax(widest, (double)sizes.n_out[i]);
    }
    const double floats = 4.0 * (double)info.parameters + (double)batch * ((double)info.n_in + widths + 2.0 * widest);
    return 1.1 * 4.0 * floats / mb + 16.0 + 1.0;
}

static memory_use train_a_little(const bench_settings *s) {
    static const double all_p[] = {8, 100, INFINITY};
    linfdist_context *context = context_of(NULL, 1);
    linfdist_model *model = nets_untrained(s, context);
    const int64_t batch = s->quick ? 32 : 512;
    training_step t;
    memory_use use = {.limit_mb = limit(model, batch)};
    training_step_create(&t, model, batch, 8.0);
    float *x = bench_room(batch * t.n_in, sizeof *x);
    for (int64_t i = 0; i < batch * t.n_in; ++i) x[i] = (float)rand() / (float)RAND_MAX;
    t.x = x;
    t.labels = bench_room(batch, sizeof *t.labels);
    for (int i = 0; i < 3; ++i) {
        t.p = all_p[i];
        training_step_take(&t);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    use.peak_mb = (double)usage.ru_maxrss / 1024.0; /* Linux counts in KiB */
    return use;
}

memory_use measure_training_memory(const bench_settings *s) {
    memory_use use;
    int ends[2];
    if (pipe(ends) != 0) bench_fail("pipe failed");
    const pid_t child = fork();
    if (child < 0) bench_fail("fork failed");
    if (child == 0) {
        use = train_a_little(s);
        _exit(write(ends[1], &use, sizeof use) == sizeof use ? 0 : 1);
    }
    close(ends[1]);
    const int whole = read(ends[0], &use, sizeof use) == sizeof use;
    close(ends[0]);
    waitpid(child, NULL, 0);
    if (!whole) bench_fail("the process that measures the memory of training failed");
    return use;
}
