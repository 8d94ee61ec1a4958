/* Nets with matrix products, trained on every instruction set and with several numbers of threads: the same bits. */
#include "net_support.h"

#include <math.h>

enum { BATCH = 20, SIDE = 6, N_IN = SIDE * SIDE, CLASSES = 10, STEPS = 12 };

typedef linfdist_model *make_fn(linfdist_context *context);

static linfdist_model *make_hybrid(linfdist_context *context) {
    linfdist_hybrid_options o;
    linfdist_model *model = NULL;
    OK(linfdist_hybrid_options_init(&o, sizeof o));
    o.height = o.width_px = SIDE;
    o.depth = 4;
    o.width = 70;
    o.hidden = 33;
    OK(linfdist_model_create_hybrid(context, &o, &model));
    return model;
}

/* conv, tanh, conv with stride, relu, linear. */
static linfdist_model *make_convolutions(linfdist_context *context) {
    enum { LAYERS = 5 };
    static const int32_t kinds[LAYERS] = {LINFDIST_LAYER_CONV, LINFDIST_LAYER_TANH, LINFDIST_LAYER_CONV,
                                          LINFDIST_LAYER_RELU, LINFDIST_LAYER_LINEAR};
    static const char *const names[LAYERS] = {"conv.0", "conv.0", "conv.1", "conv.1", "linear"};
    linfdist_layer layers[LAYERS];
    linfdist_model_options o;
    linfdist_model *model = NULL;
    for (int i = 0; i < LAYERS; ++i) OK(linfdist_layer_init(&layers[i], sizeof layers[i], kinds[i], names[i]));
    layers[0].out_channels = 6;
    layers[0].padding = 1;
    layers[2].out_channels = 8;
    layers[2].groups = 2;
    layers[2].stride = 2;
    layers[4].n_out = CLASSES;
    OK(linfdist_model_options_init(&o, sizeof o));
    o.height = o.width_px = SIDE;
    o.outputs = LINFDIST_OUTPUTS_LOGITS;
    o.learned_scalar = 0;
    OK(linfdist_model_create(context, &o, layers, LAYERS, &model));
    return model;
}

/* Margins of outputs -+ eps at finite p, led through the head; then those of intervals through every layer. */
static linfdist_model *train(linfdist_context *context, make_fn *make) {
    linfdist_model *model = make(context);
    linfdist_run *run = NULL;
    linfdist_optimizer *optimizer = NULL;
    linfdist_loss loss;
    float x[BATCH * N_IN], lower[BATCH * N_IN], upper[BATCH * N_IN];
    int32_t labels[BATCH];
    net_uniform(x, BATCH * N_IN, -1.0f, 1.0f, 3);
    for (int i = 0; i < BATCH * N_IN; ++i) {
        lower[i] = x[i] - 0.01f;
        upper[i] = x[i] + 0.01f;
    }
    for (int i = 0; i < BATCH; ++i) labels[i] = i * 7 % CLASSES;
    OK(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_CROSSENTROPY));
    loss.mix = 0.5;
    OK(linfdist_run_create(model, LINFDIST_RUN_INTERVAL_TRAINING, BATCH, &run));
    OK(linfdist_optimizer_create_adam(model, NULL, &optimizer));
    for (int step = 0; step < STEPS; ++step) {
        if (step < STEPS / 2)
            OK(linfdist_forward(run, x, N_IN, BATCH, LINFDIST_TRAIN, 8.0f + (float)step));
        else
            OK(linfdist_forward_intervals(run, x, lower, upper, N_IN, BATCH, LINFDIST_TRAIN));
        OK(linfdist_run_zero_gradients(run));
        OK(linfdist_run_loss(run, &loss, labels, 0.01, 0.0, NULL));
        if (step < STEPS / 2)
            OK(linfdist_backward(run, NULL, 0));
        else
            OK(linfdist_backward_intervals(run, NULL, NULL, NULL, 0));
        OK(linfdist_optimizer_step(optimizer, run, 0.02, 0.02));
    }
    linfdist_optimizer_destroy(optimizer);
    linfdist_run_destroy(run);
    return model;
}

static void check(make_fn *make) {
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    static const int32_t threads[] = {1, 3};
    linfdist_context *plain = make_context(1, "ref");
    linfdist_model *start = make(plain), *want = train(plain, make);
    assert_false(net_same(start, want));
    for (int i = 0; i < 3; ++i) {
        for (int t = 0; linfdist_isa_available(isas[i]) && t < 2; ++t) {
            linfdist_context *context = make_context(threads[t], isas[i]);
            linfdist_model *got = train(context, make);
            if (!net_same(got, want)) fail_msg("other bits on %s with %d threads", isas[i], (int)threads[t]);
            linfdist_model_destroy(got);
            linfdist_context_destroy(context);
        }
    }
    linfdist_model_destroy(start);
    linfdist_model_destroy(want);
    linfdist_context_destroy(plain);
}

static void hybrid_nets_have_the_same_bits(void **state) {
    (void)state;
    check(make_hybrid);
}

static void convolutions_have_the_same_bits(void **state) {
    (void)state;
    check(make_convolutions);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hybrid_nets_have_the_same_bits),
        cmocka_unit_test(convolutions_have_the_same_bits),
    };
    return cmocka_run_group_tests_name("same bits", tests, NULL, NULL);
}
