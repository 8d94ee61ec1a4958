/* The training loop from the parts: yours to change. As it stands it ends with the same model bytes as
 *   train --data DATA --out OUT --recipe digits --depth 3 --width 64 --epochs 0,0,2,EPOCHS-1,EPOCHS --seed 1
 * usage: custom_loop DATA OUT [EPOCHS]     such as: custom_loop digits model.safetensors 16 */
#include <linfdist/linfdist.h>

#include "batch.h"
#include "dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 1
#define BATCH 64

static void require(linfdist_status status) {
    if (status != LINFDIST_OK) {
        fprintf(stderr, "custom_loop: %s\n", linfdist_last_error());
        exit(1);
    }
}

static linfdist_model *make_model(linfdist_context *context, const dataset *data) {
    linfdist_mlp_options options;
    require(linfdist_mlp_options_init(&options, sizeof options));
    options.channels = data->channels;
    options.height = data->height;
    options.width_px = data->width_px;
    options.classes = data->classes;
    options.depth = 3;
    options.width = 64;
    options.seed = SEED;
    linfdist_statistics statistics = {sizeof statistics, data->channels, data->mean, data->std, 0.0, 1.0};
    linfdist_model *model;
    require(linfdist_model_create_mlp(context, &options, &model));
    require(linfdist_model_set_statistics(model, &statistics));
    return model;
}

static linfdist_schedule make_schedule(int64_t epochs, int64_t batches_per_epoch, double std) {
    linfdist_schedule schedule;
    require(linfdist_schedule_init(&schedule, sizeof schedule));
    schedule.batches_per_epoch = batches_per_epoch;
    schedule.p_begin = 2;
    schedule.p_finish = epochs - 1; /* the last epoch is trained at p = infinity */
    schedule.epochs = epochs;
    schedule.eps_train_normalized = 0.3 / std;
    schedule.lambda_start = 1.0;
    return schedule;
}

static void train(linfdist_model *model, const dataset *data, batches *source, int64_t epochs) {
    linfdist_run *run;
    linfdist_optimizer *optimizer;
    require(linfdist_run_create(model, LINFDIST_RUN_TRAINING, BATCH, &run));
    require(linfdist_optimizer_create_adam(model, NULL, &optimizer));
    int64_t per_epoch = batches_per_epoch(source);
    linfdist_schedule schedule = make_schedule(epochs, per_epoch, data->std);
    linfdist_loss loss; /* or LINFDIST_LOSS_HINGE, LINFDIST_LOSS_CROSSENTROPY */
    require(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_MIXTURE));

    for (int64_t step = 0; step < epochs * per_epoch; ++step) {
        const float *x;
        const int32_t *labels;
        int64_t count = batches_get(source, step / per_epoch, step % per_epoch, &x, &labels);

        linfdist_schedule_point now = {.struct_size = sizeof now};
        require(linfdist_schedule_at(&schedule, step, &now)); /* p, eps, lambda and learning rates: plain numbers */

        require(linfdist_forward(run, x, data->n_in, count, LINFDIST_TRAIN, (float)now.p));

        double value; /* your own: read linfdist_run_outputs, write linfdist_run_output_gradients */
        require(linfdist_run_loss(run, &loss, labels, now.eps_normalized, now.lambda, &value));

        require(linfdist_run_zero_gradients(run));
        require(linfdist_backward(run, NULL, 0));
        require(linfdist_optimizer_step(optimizer, run, now.lr, now.scalar_lr)); /* or step the gradients yourself */

        if ((step + 1) % per_epoch == 0)
            fprintf(stderr, "epoch %lld  loss %.4f  p %.4g\n", (long long)(step / per_epoch + 1), value, now.p);
    }
    linfdist_optimizer_destroy(optimizer);
    linfdist_run_destroy(run);
}

int main(int argc, char **argv) {
    static const char usage[] = "usage: custom_loop DATA OUT [EPOCHS]\n";
    char end = '\0', *rest = &end;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return printf("%s", usage) < 0;
    int64_t epochs = argc > 3 ? strtoll(argv[3], &rest, 10) : 16;
    if (argc < 3 || argc > 4 || *rest || epochs < 4 || epochs > 1000000) {
        fputs(usage, stderr);
        return 2;
    }
    dataset data;
    batches *source = NULL;
    problem what;
    if (dataset_open(&data, argv[1], SEED, DATASET_TRAIN, &what) != 0 ||
        batches_create(&data, BATCH, SEED, &source, &what) != 0) {
        fprintf(stderr, "custom_loop: %s\n", what.text);
        return 1;
    }
    if (data.note[0]) fprintf(stderr, "custom_loop: %s\n", data.note);
    linfdist_context_options options;
    linfdist_context *context;
    require(linfdist_context_options_init(&options, sizeof options));
    options.threads = 0; /* all CPUs; the bits do not depend on it */
    require(linfdist_context_create(&options, &context));

    linfdist_model *model = make_model(context, &data);
    train(model, &data, source, epochs);
    require(linfdist_model_save(model, argv[2]));

    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
    batches_destroy(source);
    dataset_close(&data);
    return 0;
}
