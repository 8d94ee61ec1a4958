#include "nets.h"

#include "args.h"
#include "evaluate.h"
#include "timing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The run that is trained here, in shares of its time: p stays at 8, grows to 1000, and is infinite at last. */
enum { SHARES = 20, SHARE_STEPS = 1000, P_BEGIN = 3, P_FINISH = 17, TRAINING_BATCH = 64 };
enum { DEPTH = 5, WIDTH = 1024, QUICK_DEPTH = 3, QUICK_WIDTH = 32 };
static const double kept_at[] = {8, 30, 100, 300, 1000, INFINITY};

/* ---- model files ---- */

static void add_file(nets *n, const char *text, size_t length) {
    char *copy = bench_room((int64_t)length + 1, 1);
    memcpy(copy, text, length);
    char *path = strchr(copy, '=');
    double p = strncmp(copy, "inf=", 4) == 0 ? INFINITY : 0.0;
    if (path && p == 0.0) {
        *path = '\0';
        if (parse_real(copy, &p) != 0 || p < 1.0) bench_fail("--model: expected FILE or P=FILE,P=FILE");
    }
    if (n->count == NETS_MOST) bench_fail("--model: too many files");
    n->all[n->count++] =
        (net){.p = p, .path = path ? path + 1 : copy, .bytes = (unsigned char *)copy}; /* bytes: freed */
}

static void add_files(nets *n, const char *list) {
    for (const char *at = list;; ++at) {
        const size_t length = strcspn(at, ",");
        add_file(n, at, length);
        at += length;
        if (*at == '\0') return;
    }
}

/* ---- a run of its own ---- */

static int32_t keep_bytes(void *user, const void *data, size_t size) {
    net *kept = user;
    while (kept->size + size > kept->room) {
        kept->room = kept->room ? 2 * kept->room : 1 << 20;
        kept->bytes = realloc(kept->bytes, kept->room);
        if (!kept->bytes) bench_fail("out of memory");
    }
    memcpy(kept->bytes + kept->size, data, size);
    kept->size += size;
    return 0;
}

static void keep(nets *n, const linfdist_model *model) {
    net *kept = &n->all[n->count];
    *kept = (net){.p = kept_at[n->count]};
    require(linfdist_model_save_to(model, keep_bytes, kept));
    ++n->count;
}

/* data or NULL for the sizes of digits. */
static linfdist_model *new_model(linfdist_context *context, const dataset *data, int quick) {
    linfdist_mlp_options options;
    linfdist_model *model;
    require(linfdist_mlp_options_init(&options, sizeof options));
    options.depth = quick ? QUICK_DEPTH : DEPTH;
    options.width = quick ? QUICK_WIDTH : WIDTH;
    if (!data) {
        require(linfdist_model_create_mlp(context, &options, &model));
        return model;
    }
    options.channels = data->channels;
    options.height = data->height;
    options.width_px = data->width_px;
    options.classes = data->classes;
    linfdist_statistics statistics = {sizeof statistics, data->channels, data->mean, data->std, 0.0, 1.0};
    require(linfdist_model_create_mlp(context, &options, &model));
    require(linfdist_model_set_statistics(model, &statistics));
    return model;
}

static linfdist_schedule plan(const dataset *data) {
    linfdist_schedule schedule;
    require(linfdist_schedule_init(&schedule, sizeof schedule));
    schedule.batches_per_epoch = SHARE_STEPS;
    schedule.p_begin = P_BEGIN;
    schedule.p_finish = P_FINISH;
    schedule.epochs = SHARES;
    schedule.eps_train_normalized = 0.3 / data->std;
    return schedule;
}

typedef struct training {
    const dataset *data;
    batches *source;
    linfdist_run *run;
    linfdist_optimizer *optimizer;
    int64_t steps;
} training;

static void train_step(training *t, const linfdist_schedule_point *now) {
    const float *x;
    const int32_t *labels;
    linfdist_loss loss;
    const int64_t per_epoch = batches_per_epoch(t->source);
    const int64_t count = batches_get(t->source, t->steps / per_epoch, t->steps % per_epoch, &x, &labels);
    require(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_MIXTURE));
    require(linfdist_run_zero_gradients(t->run));
    require(linfdist_forward(t->run, x, t->data->n_in, count, LINFDIST_TRAIN, (float)now->p));
    require(linfdist_run_loss(t->run, &loss, labels, now->eps_normalized, now->lambda, NULL));
    require(linfdist_backward(t->run, NULL, 0));
    require(linfdist_optimizer_step(t->optimizer, t->run, now->lr, now->scalar_lr));
    ++t->steps;
}

/* The schedule follows the processor time of this thread: a faster machine takes more steps, not a shorter way, and a
 * busy one no fewer. */
static void train_for(nets *n, training *t, const linfdist_model *model, double seconds) {
    const linfdist_schedule schedule = plan(t->data);
    const double start = time_of_thread();
    double share = 0.0;
    for (; share < 1.0; share = (time_of_thread() - start) / seconds) {
        linfdist_schedule_point now = {.struct_size = sizeof now};
        require(linfdist_schedule_at(&schedule, (int64_t)(share * SHARES * SHARE_STEPS), &now));
        while (now.p > kept_at[n->count]) keep(n, model);
        train_step(t, &now);
    }
    while (n->count < (int)(sizeof kept_at / sizeof *kept_at)) keep(n, model);
}

static double clean_accuracy(const nets *n, const linfdist_model *model) {
    linfdist_certifier *certifier;
    accuracy result;
    problem what;
    require(linfdist_certifier_create(model, &certifier));
    const int status =
        evaluate(certifier, LINFDIST_METHOD_MARGIN, &n->data, &n->data.test, n->data.test.count, 0.0, &result, &what);
    linfdist_certifier_destroy(certifier);
    if (status != 0) bench_fail(what.text);
    return accuracy_clean(&result);
}

static void train(nets *n, const bench_settings *s) {
    linfdist_context *context;
    training t = {.data = &n->data};
    problem what;
    require(linfdist_context_create(NULL, &context));
    linfdist_model *model = new_model(context, &n->data, s->quick);
    require(linfdist_run_create(model, LINFDIST_RUN_TRAINING, TRAINING_BATCH, &t.run));
    require(linfdist_optimizer_create_adam(model, NULL, &t.optimizer));
    if (batches_create(&n->data, TRAINING_BATCH, 2021, &t.source, &what) != 0) bench_fail(what.text);
    train_for(n, &t, model, (double)s->seconds);
    printf("A net of width %d was trained on %s for %d s: %lld steps of %d images, accuracy %.3f at p = infinity.\n",
           s->quick ? QUICK_WIDTH : WIDTH, n->data.name, (int)s->seconds, (long long)t.steps, TRAINING_BATCH,
           clean_accuracy(n, model));
    batches_destroy(t.source);
    linfdist_optimizer_destroy(t.optimizer);
    linfdist_run_destroy(t.run);
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
}

/* ---- what the measurements ask for ---- */

static nets of_this_run;

nets *nets_get(const bench_settings *s) {
    nets *n = &of_this_run;
    problem what;
    if (n->count > 0) return n;
    if (dataset_open(&n->data, s->data, 2021, DATASET_TRAIN | DATASET_TEST, &what) != 0 ||
        batches_create(&n->data, s->quick ? 32 : 512, 2021, &n->source, &what) != 0)
        bench_fail(what.text);
    s->model ? add_files(n, s->model) : train(n, s);
    return n;
}

void nets_close(void) {
    nets *n = &of_this_run;
    if (n->count == 0) return;
    batches_destroy(n->source);
    dataset_close(&n->data);
    for (int i = 0; i < n->count; ++i) free(n->all[i].bytes);
    n->count = 0;
}

/* How far a net's p is from the one that is wanted, in octaves; a net without a p is at every one. */
static double distance(double p, double wanted) {
    if (p == 0.0 || p == wanted) return 0.0;
    return fabs(log2(fmin(p, 1e4)) - log2(fmin(wanted, 1e4)));
}

int64_t nets_batch(const nets *n) {
    const float *x;
    const int32_t *labels;
    return batches_get(n->source, 0, 0, &x, &labels);
}

linfdist_model *nets_untrained(const bench_settings *s, linfdist_context *context) {
    nets files = {0};
    linfdist_model *model;
    if (!s->model) return new_model(context, NULL, s->quick);
    add_files(&files, s->model);
    require(linfdist_model_load(context, files.all[0].path, &model));
    return model;
}

linfdist_model *nets_model(const nets *n, double p, linfdist_context *context) {
    const net *best = n->all;
    linfdist_model *model;
    linfdist_model_info info = {.struct_size = sizeof info};
    for (const net *each = n->all; each < n->all + n->count; ++each)
        if (distance(each->p, p) < distance(best->p, p)) best = each;
    require(best->path ? linfdist_model_load(context, best->path, &model)
                       : linfdist_model_load_memory(context, best->bytes, best->size, &model));
    require(linfdist_model_get_info(model, &info));
    if (info.n_in != n->data.n_in || info.classes != n->data.classes) bench_fail("--model does not take these --data");
    return model;
}

layer_sizes nets_sizes(const linfdist_model *model) {
    layer_sizes sizes = {0};
    linfdist_model_info info = {.struct_size = sizeof info};
    require(linfdist_model_get_info(model, &info));
    for (int64_t i = 0; i < info.layers; ++i) {
        linfdist_layer_info layer = {.struct_size = sizeof layer};
        require(linfdist_model_get_layer(model, i, &layer));
        if (layer.kind != LINFDIST_LAYER_DISTANCE) continue;
        if (sizes.count == LAYERS_MOST || layer.groups != 1) bench_fail("--model: expected an MLP of up to 32 layers");
        sizes.n_in[sizes.count] = layer.n_in;
        sizes.n_out[sizes.count++] = layer.n_out;
    }
    if (sizes.count == 0 || sizes.n_in[0] != info.n_in || sizes.n_out[sizes.count - 1] != info.classes)
        bench_fail("--model: expected an MLP");
    return sizes;
}

double layer_elements(const layer_sizes *sizes, int64_t batch) {
    double elements = 0.0;
    for (int i = 0; i < sizes->count; ++i) elements += (double)batch * (double)sizes->n_in[i] * (double)sizes->n_out[i];
    return elements;
}
