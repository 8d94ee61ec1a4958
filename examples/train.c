/* Trains an l_inf-distance net by a published recipe, with logs, checkpoints and resume. The loop alone, without the
 * rest, is custom_loop.c. */
#define _POSIX_C_SOURCE 200809L
#include <linfdist/linfdist.h>

#include "batch.h"
#include "csvlog.h"
#include "evaluate.h"
#include "net.h"
#include "path.h"
#include "plan.h"
#include "progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

enum { LOG_TRAIN, LOG_TEST, LOG_TRAIN_INF, LOG_TEST_INF, LOGS };

/* As --help explains them. */
static const struct {
    const char *name, *header;
} log_files[LOGS] = {{"train.csv", "epoch,loss,accuracy,certified,p,eps_normalized,lambda,lr"},
                     {"test.csv", "epoch,p,accuracy"},
                     {"train-inf.csv", "epoch,eps,clean,certified"},
                     {"test-inf.csv", "epoch,eps,clean,certified"}};

typedef struct trainer {
    settings chosen;
    dataset data;
    linfdist_context *context;
    linfdist_model *model;
    linfdist_optimizer *optimizer;
    linfdist_run *run;
    batches *source;
    linfdist_loss loss;
    linfdist_schedule schedule;
    position at;
    int32_t *predicted; /* of one batch */
    accuracy test;      /* at p = infinity, as of step tested; -1: never */
    int64_t tested;
    csvlog logs[LOGS];
    progress bar;
    problem what;
} trainer;

static volatile sig_atomic_t stop_signal;

static void on_signal(int number) {
    stop_signal = number;
}

/* The first signal ends the training after its step; a second one kills as usual. */
static void catch_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int64_t steps_done(const trainer *t) {
    return t->at.epoch * t->schedule.batches_per_epoch + t->at.batch;
}

static int create_context(trainer *t) {
    linfdist_context_options options;
    if (problem_check(&t->what, linfdist_context_options_init(&options, sizeof options)) != 0) return -1;
    options.threads = (int32_t)t->chosen.threads;
    return problem_check(&t->what, linfdist_context_create(&options, &t->context));
}

static int create_optimizer(trainer *t) {
    linfdist_adam_options options;
    if (problem_check(&t->what, linfdist_adam_options_init(&options, sizeof options)) != 0) return -1;
    options.weight_decay = t->chosen.weight_decay;
    options.decay = settings_decay(&t->chosen);
    return problem_check(&t->what, linfdist_optimizer_create_adam(t->model, &options, &t->optimizer));
}

static int create_model(trainer *t) {
    return net_create(t->context, &t->chosen, &t->data, &t->model, &t->what) == 0 ? create_optimizer(t) : -1;
}

/* Model, optimizer, settings and position from the checkpoint; state receives its text. */
static int load_checkpoint(trainer *t, char state[STATE_SIZE]) {
    size_t size = 0;
    if (problem_check(&t->what, linfdist_checkpoint_load(t->context, t->chosen.resume, &t->model, &t->optimizer, state,
                                                         STATE_SIZE - 1, &size)) != 0)
        return -1;
    state[size] = '\0';
    return settings_resume(&t->chosen, &t->at, state, &t->what);
}

static int check_position(trainer *t) {
    linfdist_model_info info = {.struct_size = sizeof info};
    int64_t step = -1;
    if (problem_check(&t->what, linfdist_model_get_info(t->model, &info)) != 0 ||
        problem_check(&t->what, linfdist_optimizer_get_step(t->optimizer, &step)) != 0)
        return -1;
    if (info.n_in != t->data.n_in || info.classes != t->data.classes || t->at.epoch > t->schedule.epochs ||
        t->at.batch >= t->schedule.batches_per_epoch || step != steps_done(t))
        return problem_set(&t->what, "%s: its parts do not belong together", t->chosen.resume);
    return 0;
}

static int create_run(trainer *t) {
    const int32_t kind = t->chosen.bounds == BOUNDS_INTERVAL ? LINFDIST_RUN_INTERVAL_TRAINING : LINFDIST_RUN_TRAINING;
    int64_t batch = t->chosen.batch < t->data.train.count ? t->chosen.batch : t->data.train.count;
    t->predicted = malloc((size_t)batch * sizeof *t->predicted);
    if (!t->predicted) return problem_set(&t->what, "out of memory");
    return problem_check(&t->what, linfdist_run_create(t->model, kind, batch, &t->run));
}

static int open_logs(trainer *t) {
    int status = 0;
    for (int i = 0; i < LOGS && t->chosen.log && status == 0; ++i)
        status = csvlog_open(&t->logs[i], t->chosen.log, log_files[i].name, log_files[i].header, t->at.epoch, &t->what);
    return status;
}

static int close_logs(trainer *t, problem *what) {
    int status = 0;
    for (int i = 0; i < LOGS; ++i) status |= csvlog_close(&t->logs[i], what);
    return status;
}

/* Returns 0, an exit status on failure. */
static int prepare(trainer *t) {
    char state[STATE_SIZE];
    if (path_check_target("out", t->chosen.out, &t->what) != 0 ||
        path_check_target("checkpoint", t->chosen.checkpoint, &t->what) != 0)
        return EXIT_FAILURE;
    if (create_context(t) != 0 || (t->chosen.resume && load_checkpoint(t, state) != 0)) return EXIT_FAILURE;
    if (dataset_open(&t->data, t->chosen.data, t->chosen.seed, DATASET_TRAIN | DATASET_TEST, &t->what) != 0)
        return EXIT_FAILURE;
    dataset_augment(&t->data, t->chosen.augment);
    if (t->data.note[0]) fprintf(stderr, "train: %s\n", t->data.note);
    if (batches_create(&t->data, t->chosen.batch, t->chosen.seed, &t->source, &t->what) != 0) return EXIT_FAILURE;
    if (plan_make(&t->chosen, &t->data, batches_per_epoch(t->source), &t->schedule, &t->what) != 0) return EXIT_USAGE;
    t->loss = settings_loss(&t->chosen);
    int made = t->chosen.resume ? settings_check_data(&t->data, state, &t->what) : create_model(t);
    if (made != 0 || (t->chosen.resume && check_position(t) != 0) || create_run(t) != 0 || open_logs(t) != 0)
        return EXIT_FAILURE;
    return 0;
}

/* The outputs of a batch; with --bounds interval also those of the ball around it. */
static int forward(trainer *t, const float *x, int64_t count, const linfdist_schedule_point *now) {
    const float *lower, *upper;
    if (t->chosen.bounds == BOUNDS_LIPSCHITZ)
        return problem_check(&t->what, linfdist_forward(t->run, x, t->data.n_in, count, LINFDIST_TRAIN, (float)now->p));
    if (batches_ball(t->source, count, now->eps_normalized, &lower, &upper, &t->what) != 0) return -1;
    return problem_check(&t->what,
                         linfdist_forward_intervals(t->run, x, lower, upper, t->data.n_in, count, LINFDIST_TRAIN));
}

/* 1 where no other class can come ahead of the label. */
static int robust(const float *margins, int64_t classes, int32_t label) {
    int holds = 1;
    for (int64_t j = 0; j < classes; ++j) holds &= j == label || margins[j] < 0.0f;
    return holds;
}

/* Adds a batch to the epoch's sums. Certified means within the training radius, at the p of training. */
static int tally(trainer *t, const int32_t *labels, int64_t count, double eps_normalized, double loss) {
    const int64_t classes = t->data.classes;
    const float *margins;
    if (problem_check(&t->what, linfdist_run_predictions(t->run, t->predicted)) != 0 ||
        problem_check(&t->what, linfdist_run_margins(t->run, labels, eps_normalized, &margins)) != 0)
        return -1;
    for (int64_t i = 0; i < count; ++i) {
        t->at.correct += t->predicted[i] == labels[i];
        t->at.certified += robust(margins + i * classes, classes, labels[i]);
    }
    t->at.samples += count;
    t->at.loss_sum += loss * (double)count;
    return 0;
}

/* The batch is counted before the step, since margins may need the weights of its forward pass. */
static int train_step(trainer *t) {
    linfdist_schedule_point now;
    const float *x;
    const int32_t *labels;
    double loss;
    int64_t count = batches_get(t->source, t->at.epoch, t->at.batch, &x, &labels);
    if (plan_at(&t->chosen, &t->schedule, steps_done(t), &now, &t->what) != 0 ||
        problem_check(&t->what, linfdist_run_zero_gradients(t->run)) != 0 || forward(t, x, count, &now) != 0 ||
        problem_check(&t->what, linfdist_run_loss(t->run, &t->loss, labels, now.eps_normalized, now.lambda, &loss)) !=
            0 ||
        problem_check(&t->what, linfdist_backward(t->run, NULL, 0)) != 0 ||
        tally(t, labels, count, now.eps_normalized, loss) != 0 ||
        problem_check(&t->what, linfdist_optimizer_step(t->optimizer, t->run, now.lr, now.scalar_lr)) != 0)
        return -1;
    ++t->at.batch;
    return 0;
}

/* At p = infinity, on all images of the split, as they are in the data set. */
static int evaluate_split(trainer *t, const dataset_split *split, accuracy *result) {
    linfdist_certifier *certifier = NULL;
    int status = problem_check(&t->what, linfdist_certifier_create(t->model, &certifier));
    if (status == 0)
        status = evaluate(certifier, LINFDIST_METHOD_MARGIN, &t->data, split, split->count, t->chosen.eps_test, result,
                          &t->what);
    linfdist_certifier_destroy(certifier);
    return status;
}

static int test_model(trainer *t) {
    t->tested = steps_done(t);
    return evaluate_split(t, &t->data.test, &t->test);
}

static int save_checkpoint(trainer *t) {
    char state[STATE_SIZE];
    if (!t->chosen.checkpoint) return 0;
    size_t size = settings_save(&t->chosen, &t->data, &t->at, state);
    return problem_check(&t->what, linfdist_checkpoint_save(t->model, t->optimizer, state, size, t->chosen.checkpoint));
}

/* A row of train.csv, of the epoch that began with this point. */
static int log_training(trainer *t, const linfdist_schedule_point *begun) {
    const position *at = &t->at;
    double n = (double)at->samples;
    double loss = at->loss_sum / n, correct = (double)at->correct / n, certified = (double)at->certified / n;
    progress_line(&t->bar, "epoch %" PRId64 "/%" PRId64 "  loss %.4f  accuracy %.4f  certified %.4f  p %.4g", at->epoch,
                  t->schedule.epochs, loss, correct, certified, begun->p);
    return csvlog_row(&t->logs[LOG_TRAIN], &t->what, "%" PRId64 ",%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g", at->epoch, loss,
                      correct, certified, begun->p, begun->eps_normalized, begun->lambda, begun->lr);
}

static int log_at_infinity(trainer *t, int log, const char *images, const accuracy *a) {
    double clean = accuracy_clean(a), certified = accuracy_certified(a);
    progress_line(&t->bar, "%s images at p = infinity: clean %.4f  certified %.4f", images, clean, certified);
    return csvlog_row(&t->logs[log], &t->what, "%" PRId64 ",%.9g,%.9g,%.9g", t->at.epoch, t->chosen.eps_test, clean,
                      certified);
}

/* A row of each of the other logs. */
static int log_evaluation(trainer *t, double p) {
    double right;
    accuracy training;
    if (evaluate_at(t->model, p, &t->data, &t->data.test, &right, &t->what) != 0 ||
        evaluate_split(t, &t->data.train, &training) != 0 || test_model(t) != 0)
        return -1;
    progress_line(&t->bar, "test images at p = %.4g: accuracy %.4f", p, right);
    if (csvlog_row(&t->logs[LOG_TEST], &t->what, "%" PRId64 ",%.9g,%.9g", t->at.epoch, p, right) != 0 ||
        log_at_infinity(t, LOG_TRAIN_INF, "training", &training) != 0)
        return -1;
    return log_at_infinity(t, LOG_TEST_INF, "test", &t->test);
}

/* p, eps, lambda and lr of a row are those of the epoch's first step, as in the published logs. */
static int finish_epoch(trainer *t) {
    linfdist_schedule_point begun;
    int64_t first_step = t->at.epoch * t->schedule.batches_per_epoch;
    t->at.batch = 0;
    ++t->at.epoch;
    if (plan_at(&t->chosen, &t->schedule, first_step, &begun, &t->what) != 0 || log_training(t, &begun) != 0) return -1;
    t->at = (position){.epoch = t->at.epoch};
    if ((t->at.epoch % 5 == 0 || t->at.epoch > t->schedule.epochs - 5) && log_evaluation(t, begun.p) != 0) return -1;
    return save_checkpoint(t);
}

/* Until the last step, --steps or a signal. */
static int train(trainer *t) {
    int64_t all = t->schedule.batches_per_epoch * t->schedule.epochs;
    int64_t last = t->chosen.steps > 0 && t->chosen.steps < all ? t->chosen.steps : all;
    progress_start(&t->bar, steps_done(t), last);
    int status = 0;
    while (status == 0 && steps_done(t) < last && !stop_signal) {
        status = train_step(t);
        if (status == 0 && t->at.batch == t->schedule.batches_per_epoch) status = finish_epoch(t);
        char note[64] = "";
        if (t->at.samples > 0)
            snprintf(note, sizeof note, "epoch %" PRId64 "  loss %.4f", t->at.epoch + 1,
                     t->at.loss_sum / (double)t->at.samples);
        progress_step(&t->bar, steps_done(t), note);
    }
    progress_clear(&t->bar);
    return status == 0 ? save_checkpoint(t) : status;
}

/* The model file and the line on stdout. */
static int report(trainer *t) {
    if (t->chosen.out && problem_check(&t->what, linfdist_model_save(t->model, t->chosen.out)) != 0) return -1;
    if (t->tested != steps_done(t) && test_model(t) != 0) return -1;
    print_result(stdout, &t->test, LINFDIST_METHOD_MARGIN, t->chosen.eps_test, t->at.epoch,
                 seconds_now() - t->bar.started);
    return fflush(stdout) == 0 ? 0 : problem_set(&t->what, "standard output cannot be written");
}

static int work(trainer *t) {
    int status = prepare(t);
    if (status != 0) return status;
    if (!t->chosen.out && !t->chosen.checkpoint)
        fprintf(stderr, "train: without --out and --checkpoint the model will not be kept\n");
    catch_signals();
    if (train(t) != 0) return EXIT_FAILURE;
    if (stop_signal && steps_done(t) < t->bar.total) {
        fprintf(stderr, "train: stopped by signal %d after %" PRId64 " steps; %s\n", (int)stop_signal, steps_done(t),
                t->chosen.checkpoint ? "--resume goes on" : "without --checkpoint nothing is kept");
        return 128 + (int)stop_signal;
    }
    int logs = close_logs(t, &t->what);
    return report(t) != 0 || logs != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void release(trainer *t) {
    problem ignored;
    (void)close_logs(t, &ignored);
    free(t->predicted);
    batches_destroy(t->source);
    linfdist_run_destroy(t->run);
    linfdist_optimizer_destroy(t->optimizer);
    linfdist_model_destroy(t->model);
    linfdist_context_destroy(t->context);
    dataset_close(&t->data);
}

int main(int argc, char **argv) {
    static trainer t = {.tested = -1};
    int status = settings_parse(&t.chosen, argc, argv, &t.what);
    if (status == 1) {
        settings_print(&t.chosen, "train [--flag value]...", stdout);
        return EXIT_SUCCESS;
    }
    status = status != 0 ? EXIT_USAGE : work(&t);
    if (status == EXIT_FAILURE || status == EXIT_USAGE) fprintf(stderr, "train: %s\n", t.what.text);
    release(&t);
    return status;
}
