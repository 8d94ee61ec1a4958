/* Trains one net on several machines: every process holds the whole net and takes its part of each batch, and two hooks
 * with MPI_Allreduce make of the parts the step that one process would take on the whole batch.
 * usage: mpirun -n 4 train_mpi --data mnist:DIR --recipe mnist-0.3 --out mnist.safetensors     with the flags of train,
 * except those of logs and checkpoints. */
#include <linfdist/linfdist.h>

#include "batch.h"
#include "evaluate.h"
#include "net.h"
#include "path.h"
#include "plan.h"
#include "progress.h"

#include <limits.h>
#include <mpi.h>
#include <stdlib.h>

enum { EXIT_USAGE = 2 };

typedef struct trainer {
    settings chosen;
    int rank, workers;
    dataset data;
    batches *source;
    linfdist_schedule schedule;
    linfdist_loss loss;
    linfdist_context *context;
    linfdist_model *model;
    linfdist_optimizer *optimizer;
    linfdist_run *run;
    double loss_sum; /* of this process's samples since the epoch began */
    int64_t samples; /* of all */
    problem what;
} trainer;

/* The others would wait for ever, so they end, too. */
static void stop(const char *text) {
    fprintf(stderr, "train_mpi: %s\n", text);
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
    exit(EXIT_FAILURE);
}

static void require(linfdist_status status) {
    if (status != LINFDIST_OK) stop(linfdist_last_error());
}

/* ---- the hooks ---- */

/* MPI promises the same result to every process. */
static int32_t sum(void *values, size_t count, MPI_Datatype type) {
    if (count > INT_MAX) return 1;
    return MPI_Allreduce(MPI_IN_PLACE, values, (int)count, type, MPI_SUM, MPI_COMM_WORLD) != MPI_SUCCESS;
}

static int32_t sum_means(void *user, double *values, size_t count) {
    (void)user;
    return sum(values, count, MPI_DOUBLE);
}

static int32_t sum_gradients(void *user, float *values, size_t count) {
    (void)user;
    return sum(values, count, MPI_FLOAT);
}

/* ---- before and after ---- */

static int64_t batch_size(const trainer *t) {
    return t->chosen.batch < t->data.train.count ? t->chosen.batch : t->data.train.count;
}

static void create(trainer *t) {
    const settings *s = &t->chosen;
    const int32_t kind = s->bounds == BOUNDS_INTERVAL ? LINFDIST_RUN_INTERVAL_TRAINING : LINFDIST_RUN_TRAINING;
    const linfdist_run_hooks hooks = {sizeof hooks, sum_means, sum_gradients, NULL};
    linfdist_context_options options;
    linfdist_adam_options adam;
    require(linfdist_context_options_init(&options, sizeof options));
    options.threads = (int32_t)s->threads;
    require(linfdist_context_create(&options, &t->context));
    if (net_create(t->context, s, &t->data, &t->model, &t->what) != 0) stop(t->what.text);
    require(linfdist_adam_options_init(&adam, sizeof adam));
    adam.weight_decay = s->weight_decay;
    adam.decay = settings_decay(s);
    require(linfdist_optimizer_create_adam(t->model, &adam, &t->optimizer));
    require(linfdist_run_create(t->model, kind, (batch_size(t) + t->workers - 1) / t->workers, &t->run));
    require(linfdist_run_set_hooks(t->run, &hooks));
}

/* Every worker has at least one sample of every batch. */
static int check_parts(trainer *t) {
    const int64_t count = t->data.train.count, size = batch_size(t);
    const int64_t least = count % size ? count % size : size;
    if (least >= t->workers) return 0;
    return problem_set(&t->what, "--batch %lld: %lld images make a batch of %lld, too few for %d processes",
                       (long long)t->chosen.batch, (long long)count, (long long)least, t->workers);
}

/* 0 or an exit status; every process comes to the same. */
static int prepare(trainer *t) {
    const settings *s = &t->chosen;
    if (s->checkpoint || s->resume || s->log) {
        problem_set(&t->what, "--checkpoint, --resume and --log are those of train");
        return EXIT_USAGE;
    }
    if (path_check_target("out", t->rank == 0 ? s->out : NULL, &t->what) != 0 ||
        dataset_open(&t->data, s->data, s->seed, DATASET_TRAIN | DATASET_TEST, &t->what) != 0)
        stop(t->what.text);
    dataset_augment(&t->data, s->augment);
    if (t->data.note[0] && t->rank == 0) fprintf(stderr, "train_mpi: %s\n", t->data.note);
    if (batches_create(&t->data, s->batch, s->seed, &t->source, &t->what) != 0) stop(t->what.text);
    if (check_parts(t) != 0 || plan_make(s, &t->data, batches_per_epoch(t->source), &t->schedule, &t->what) != 0)
        return EXIT_USAGE;
    t->loss = settings_loss(s);
    create(t);
    return 0;
}

/* FNV-1a of what is written. */
static int32_t hash(void *user, const void *data, size_t size) {
    uint64_t *value = user;
    for (size_t i = 0; i < size; ++i) *value = (*value ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return 0;
}

/* All processes end with the same bits. */
static void check_same(const trainer *t) {
    uint64_t own = 0xcbf29ce484222325u, least, most;
    require(linfdist_model_save_to(t->model, hash, &own));
    MPI_Allreduce(&own, &least, 1, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
    MPI_Allreduce(&own, &most, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
    if (least != most) stop("the processes have different models");
}

static void report(trainer *t, int64_t epochs, double started) {
    accuracy result;
    linfdist_certifier *certifier;
    require(linfdist_certifier_create(t->model, &certifier));
    if (evaluate(certifier, LINFDIST_METHOD_MARGIN, &t->data, &t->data.test, t->data.test.count, t->chosen.eps_test,
                 &result, &t->what) != 0)
        stop(t->what.text);
    linfdist_certifier_destroy(certifier);
    if (t->chosen.out) require(linfdist_model_save(t->model, t->chosen.out));
    print_result(stdout, &result, LINFDIST_METHOD_MARGIN, t->chosen.eps_test, epochs, seconds_now() - started);
    if (fflush(stdout) != 0) stop("standard output cannot be written");
}

static void destroy(trainer *t) {
    linfdist_run_destroy(t->run);
    linfdist_optimizer_destroy(t->optimizer);
    linfdist_model_destroy(t->model);
    linfdist_context_destroy(t->context);
    batches_destroy(t->source);
    dataset_close(&t->data);
}

/* ---- the loop ---- */

/* One step of all processes on a batch. */
static void train_step(trainer *t, int64_t step, const linfdist_schedule_point *now) {
    const int64_t n_in = t->data.n_in, per_epoch = t->schedule.batches_per_epoch;
    const float *x, *lower, *upper;
    const int32_t *labels;
    double loss;
    /* The shuffle follows from the seed: each process makes the whole batch and takes its own rows. */
    const int64_t whole = batches_get(t->source, step / per_epoch, step % per_epoch, &x, &labels);
    const int64_t first = whole * t->rank / t->workers, count = whole * (t->rank + 1) / t->workers - first;
    if (t->chosen.bounds == BOUNDS_INTERVAL) {
        if (batches_ball(t->source, whole, now->eps_normalized, &lower, &upper, &t->what) != 0) stop(t->what.text);
        require(linfdist_forward_intervals(t->run, x + first * n_in, lower + first * n_in, upper + first * n_in, n_in,
                                           count, LINFDIST_TRAIN));
    } else {
        require(linfdist_forward(t->run, x + first * n_in, n_in, count, LINFDIST_TRAIN, (float)now->p));
    }
    require(linfdist_run_loss(t->run, &t->loss, labels + first, now->eps_normalized, now->lambda, &loss));
    require(linfdist_run_zero_gradients(t->run));
    require(linfdist_backward(t->run, NULL, 0));
    require(linfdist_run_reduce_gradients(t->run));
    require(linfdist_optimizer_step(t->optimizer, t->run, now->lr, now->scalar_lr));
    t->loss_sum += loss * (double)whole;
    t->samples += whole;
}

/* Of an epoch, or of what there was of it. */
static void print_epoch(trainer *t, int64_t epoch, double p) {
    (void)sum(&t->loss_sum, 1, MPI_DOUBLE);
    if (t->rank == 0)
        fprintf(stderr, "epoch %lld  loss %.9f  p %.4g\n", (long long)epoch, t->loss_sum / (double)t->samples, p);
    t->loss_sum = 0;
    t->samples = 0;
}

static void train(trainer *t) {
    const int64_t per_epoch = t->schedule.batches_per_epoch, all = per_epoch * t->schedule.epochs;
    const int64_t steps = t->chosen.steps > 0 && t->chosen.steps < all ? t->chosen.steps : all;
    const double started = seconds_now();
    for (int64_t step = 0; step < steps; ++step) {
        linfdist_schedule_point now;
        if (plan_at(&t->chosen, &t->schedule, step, &now, &t->what) != 0) stop(t->what.text);
        train_step(t, step, &now);
        if ((step + 1) % per_epoch == 0 || step + 1 == steps) print_epoch(t, step / per_epoch + 1, now.p);
    }
    check_same(t);
    if (t->rank == 0) report(t, steps / per_epoch, started);
}

int main(int argc, char **argv) {
    static trainer t;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &t.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &t.workers);
    const int parsed = settings_parse(&t.chosen, argc, argv, &t.what);
    int status = parsed < 0 ? EXIT_USAGE : parsed > 0 ? 0 : prepare(&t);
    if (status != 0 && t.rank == 0) fprintf(stderr, "train_mpi: %s\n", t.what.text);
    if (parsed > 0 && t.rank == 0)
        settings_print(&t.chosen, "mpirun -n N train_mpi [--flag value]..., all but --checkpoint, --resume and --log",
                       stdout);
    if (parsed == 0 && status == 0 && t.rank == 0 && !t.chosen.out)
        fprintf(stderr, "train_mpi: without --out the model will not be kept\n");
    if (parsed == 0 && status == 0) train(&t);
    destroy(&t);
    MPI_Finalize();
    return status;
}
