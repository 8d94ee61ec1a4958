#include "net_support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

linfdist_model *net_mlp(linfdist_context *context, int64_t depth, int64_t width, int64_t n_in, int64_t classes,
                        uint64_t seed) {
    linfdist_mlp_options options;
    linfdist_model *model = NULL;
    OK(linfdist_mlp_options_init(&options, sizeof options));
    options.height = 1;
    options.width_px = n_in;
    options.classes = classes;
    options.depth = depth;
    options.width = width;
    options.seed = seed;
    OK(linfdist_model_create_mlp(context, &options, &model));
    return model;
}

void net_uniform(float *x, size_t count, float low, float high, uint32_t seed) {
    uint64_t state = seed * UINT64_C(2654435761) + 12345;
    for (size_t i = 0; i < count; ++i) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        x[i] = low + (high - low) * ((float)(state >> 40) * 0x1p-24f);
    }
}

void net_disturb(linfdist_model *model, uint32_t seed) {
    linfdist_model_info info = {.struct_size = sizeof info};
    OK(linfdist_model_get_info(model, &info));
    for (int64_t i = 0; i < info.tensors; ++i) {
        linfdist_tensor tensor = {.struct_size = sizeof tensor};
        OK(linfdist_model_get_tensor(model, i, &tensor));
        if (tensor.role != LINFDIST_ROLE_RUNNING_MEAN && tensor.role != LINFDIST_ROLE_BIAS) continue;
        net_uniform(tensor.data, (size_t)tensor.shape[0], -0.5f, 3.0f, seed + (uint32_t)i);
    }
}

linfdist_tensor net_tensor(linfdist_model *model, const char *name) {
    linfdist_tensor tensor = {.struct_size = sizeof tensor};
    OK(linfdist_model_find_tensor(model, name, &tensor));
    return tensor;
}

linfdist_status net_mixture(linfdist_run *run, const int32_t *labels, double eps, double lambda, double *value) {
    linfdist_loss loss;
    OK(linfdist_loss_init(&loss, sizeof loss, LINFDIST_LOSS_MIXTURE));
    return linfdist_run_loss(run, &loss, labels, eps, lambda, value);
}

static size_t tensor_bytes(const linfdist_tensor *tensor) {
    size_t count = sizeof(float);
    for (int i = 0; i < LINFDIST_MAX_DIMS; ++i) count *= (size_t)tensor->shape[i];
    return count;
}

int net_same(linfdist_model *a, linfdist_model *b) {
    linfdist_model_info info = {.struct_size = sizeof info};
    OK(linfdist_model_get_info(a, &info));
    for (int64_t i = 0; i < info.tensors; ++i) {
        linfdist_tensor left = {.struct_size = sizeof left}, right = left;
        OK(linfdist_model_get_tensor(a, i, &left));
        OK(linfdist_model_get_tensor(b, i, &right));
        if (tensor_bytes(&left) != tensor_bytes(&right)) return 0;
        if (memcmp(left.data, right.data, tensor_bytes(&left)) != 0) return 0;
    }
    return 1;
}

/* ---- reference ---- */

static double *to_double(linfdist_model *model, const char *format, int64_t layer) {
    char name[64];
    snprintf(name, sizeof name, format, (long long)layer);
    linfdist_tensor tensor = net_tensor(model, name);
    size_t count = tensor_bytes(&tensor) / sizeof(float);
    double *copy = malloc(count * sizeof *copy);
    assert_non_null(copy);
    for (size_t i = 0; i < count; ++i) copy[i] = (double)tensor.data[i];
    return copy;
}

void reference_create(reference *net, linfdist_model *model) {
    linfdist_model_info info = {.struct_size = sizeof info};
    OK(linfdist_model_get_info(model, &info));
    *net = (reference){.depth = info.layers / 2, .n_in = info.n_in, .classes = info.classes};
    for (int64_t i = 0; i < net->depth; ++i) {
        linfdist_layer_info layer = {.struct_size = sizeof layer};
        OK(linfdist_model_get_layer(model, 2 * i, &layer));
        net->width[i] = layer.n_out;
        net->weight[i] = to_double(model, "fc_dist.%lld.weight", i);
        if (i < net->depth - 1) net->running[i] = to_double(model, "fc_dist.%lld.mean_shift.running_mean", i);
    }
    net->bias = to_double(model, "fc_dist.%lld.bias", net->depth - 1);
}

void reference_destroy(reference *net) {
    for (int64_t i = 0; i < net->depth; ++i) {
        free(net->weight[i]);
        free(net->running[i]);
    }
    free(net->bias);
}

static double distance(const double *x, const double *w, int64_t n, double p) {
    double largest = 0.0, sum = 0.0;
    for (int64_t i = 0; i < n; ++i) largest = fmax(largest, fabs(x[i] - w[i]));
    if (isinf(p) || largest == 0.0) return largest;
    for (int64_t i = 0; i < n; ++i) sum += pow(fabs(x[i] - w[i]) / largest, p);
    return largest * pow(sum, 1.0 / p);
}

static void shift(double *y, int64_t batch, int64_t n, const double *running, double *batch_means) {
    for (int64_t j = 0; j < n; ++j) {
        double mean = running ? running[j] : 0.0;
        for (int64_t b = 0; !running && b < batch; ++b) mean += y[b * n + j] / (double)batch;
        for (int64_t b = 0; b < batch; ++b) y[b * n + j] -= mean;
        if (batch_means) batch_means[j] = mean;
    }
}

void reference_forward(const reference *net, const double *x, int64_t batch, int32_t mode, double p, double *distances,
                       double *batch_means) {
    double *kept = NULL;
    int64_t n_in = net->n_in;
    for (int64_t i = 0; i < net->depth; ++i) {
        int64_t n = net->width[i];
        double *y = malloc((size_t)(batch * n) * sizeof *y);
        assert_non_null(y);
        for (int64_t b = 0; b < batch; ++b) {
            for (int64_t j = 0; j < n; ++j) y[b * n + j] = distance(x + b * n_in, net->weight[i] + j * n_in, n_in, p);
        }
        if (i < net->depth - 1) {
            shift(y, batch, n, mode == LINFDIST_TRAIN ? NULL : net->running[i], i == 0 ? batch_means : NULL);
        }
        free(kept);
        x = kept = y;
        n_in = n;
    }
    for (int64_t k = 0; k < batch * net->classes; ++k) distances[k] = kept[k] + net->bias[k % net->classes];
    free(kept);
}
