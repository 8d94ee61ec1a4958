/* Bits that must not change unnoticed: other tests compare instruction sets and threads with each other, and this one
 * compares all of them with what they were. Outputs and radii at p = infinity are promised between versions; a change of
 * the other constants belongs in CHANGELOG.md. */
#include <math.h>
#include <string.h>

#include "net_support.h"

enum { N_IN = 29, CLASSES = 5, WIDTH = 33, BATCH = 37 };
#define START 14695981039346656037u

/* FNV-1a of the floats' bits. */
static uint64_t hash_of(uint64_t hash, const float *x, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        hash = (hash ^ bits) * 1099511628211u;
    }
    return hash;
}

static linfdist_model *make_net(linfdist_context *context) {
    linfdist_model *model = net_mlp(context, 3, WIDTH, N_IN, CLASSES, 7);
    const double mean = 0.25;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, 0.5, 0.0, 1.0};
    OK(linfdist_model_set_statistics(model, &statistics));
    net_disturb(model, 3);
    return model;
}

static uint64_t hash_outputs(linfdist_context *context, float p) {
    linfdist_model *model = make_net(context);
    linfdist_run *run = NULL;
    const float *outputs;
    float x[BATCH * N_IN];
    net_uniform(x, BATCH * N_IN, -0.5f, 1.5f, 11);
    OK(linfdist_run_create(model, LINFDIST_RUN_INFERENCE, BATCH, &run));
    OK(linfdist_forward(run, x, N_IN, BATCH, LINFDIST_EVALUATE, p));
    OK(linfdist_run_outputs(run, &outputs, NULL, NULL));
    const uint64_t hash = hash_of(START, outputs, (size_t)BATCH * CLASSES);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
    return hash;
}

static uint64_t hash_radii(linfdist_context *context, int32_t method) {
    linfdist_model *model = make_net(context);
    linfdist_certifier *certifier = NULL;
    float x[BATCH * N_IN], radius[BATCH];
    net_uniform(x, BATCH * N_IN, 0.0f, 1.0f, 12);
    OK(linfdist_certifier_create(model, &certifier));
    OK(linfdist_certify(certifier, method, x, N_IN, BATCH, NULL, NULL, radius));
    linfdist_certifier_destroy(certifier);
    linfdist_model_destroy(model);
    return hash_of(START, radius, BATCH);
}

static uint64_t hash_tensors(linfdist_model *model) {
    linfdist_model_info info = {.struct_size = sizeof info};
    uint64_t hash = START;
    OK(linfdist_model_get_info(model, &info));
    for (int64_t i = 0; i < info.tensors; ++i) {
        linfdist_tensor t = {.struct_size = sizeof t};
        OK(linfdist_model_get_tensor(model, i, &t));
        hash = hash_of(hash, t.data, (size_t)(t.shape[0] * t.shape[1] * t.shape[2] * t.shape[3]));
    }
    return hash;
}

/* Three steps at this p. */
static uint64_t hash_training(linfdist_context *context, float p) {
    linfdist_model *model = make_net(context);
    linfdist_run *run = NULL;
    linfdist_optimizer *optimizer = NULL;
    float x[BATCH * N_IN];
    int32_t labels[BATCH];
    for (int b = 0; b < BATCH; ++b) labels[b] = b * 7 % CLASSES;
    OK(linfdist_run_create(model, LINFDIST_RUN_TRAINING, BATCH, &run));
    OK(linfdist_optimizer_create_adam(model, NULL, &optimizer));
    for (uint32_t step = 0; step < 3; ++step) {
        net_uniform(x, BATCH * N_IN, -0.5f, 1.5f, 20 + step);
        OK(linfdist_run_zero_gradients(run));
        OK(linfdist_forward(run, x, N_IN, BATCH, LINFDIST_TRAIN, p));
        OK(net_mixture(run, labels, 1.0, 0.1, NULL));
        OK(linfdist_backward(run, NULL, 0));
        OK(linfdist_optimizer_step(optimizer, run, 0.03, 0.006));
    }
    const uint64_t hash = hash_tensors(model);
    linfdist_optimizer_destroy(optimizer);
    linfdist_run_destroy(run);
    linfdist_model_destroy(model);
    return hash;
}

static int differs(const char *isa, const char *what, uint64_t hash, uint64_t known) {
    if (hash == known) return 0;
    print_error("%s, %s: 0x%016llx, was 0x%016llx\n", what, isa, (unsigned long long)hash, (unsigned long long)known);
    return 1;
}

static int differences(linfdist_context *context, const char *isa) {
    int n = 0;
    n += differs(isa, "outputs at infinity", hash_outputs(context, INFINITY), 0x48abd442037e91e7u);
    n += differs(isa, "outputs at 8", hash_outputs(context, 8.0f), 0xc2d12ff448ce20f1u);
    n += differs(isa, "outputs at 33.3", hash_outputs(context, 33.3f), 0x34ff28d1e74b6768u);
    n += differs(isa, "radii by the margin", hash_radii(context, LINFDIST_METHOD_MARGIN), 0xc99a21491cf062cfu);
    n += differs(isa, "radii by intervals", hash_radii(context, LINFDIST_METHOD_INTERVAL), 0x1c73c655ad0c565au);
    n += differs(isa, "training at 8", hash_training(context, 8.0f), 0x8b2b57fe848828feu);
    n += differs(isa, "training at 33.3", hash_training(context, 33.3f), 0xde55e657fa971eb3u);
    return n + differs(isa, "training at infinity", hash_training(context, INFINITY), 0x17f8e14fed6e73fcu);
}

static void test_known_bits(void **state) {
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    (void)state;
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; ++i) {
        if (!linfdist_isa_available(isas[i])) continue;
        linfdist_context *context = make_context(2, isas[i]);
        assert_int_equal(differences(context, isas[i]), 0);
        linfdist_context_destroy(context);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
