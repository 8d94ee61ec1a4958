/* The table of layers and what their descriptions share. */
#include "layer.h"

#include <stdio.h>

static const struct lfd_layer_ops *const layers[] = {
    &lfd_layer_distance,
    &lfd_layer_mean_shift,
    &lfd_layer_bias,
};

const struct lfd_layer_ops *lfd_layer_find(int32_t kind) {
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; ++i) {
        if (layers[i]->kind == kind) return layers[i];
    }
    return NULL;
}

void lfd_layer_tensor(const lfd_layer_spec *spec, const char *suffix, int32_t role, int64_t rows, int64_t columns,
                      lfd_tensor *tensor) {
    /* A name that does not fit is cut; lfd_model_create refuses names that are not unique. */
    (void)snprintf(tensor->name, sizeof tensor->name, "%s%s", spec->name, suffix);
    tensor->role = role;
    tensor->dims = columns > 0 ? 2 : 1;
    tensor->shape[0] = rows;
    tensor->shape[1] = columns > 0 ? columns : 1;
    for (int32_t i = 2; i < LINFDIST_MAX_DIMS; ++i) tensor->shape[i] = 1;
}

linfdist_status lfd_layer_check_elementwise(const lfd_layer_spec *spec) {
    if (spec->n_in != spec->n_out || spec->groups != 1) {
        return lfd_fail(LINFDIST_ERROR_SHAPE, "layer %s: n_in %lld, n_out %lld, groups %lld, must be n, n, 1",
                        spec->name, (long long)spec->n_in, (long long)spec->n_out, (long long)spec->groups);
    }
    return LINFDIST_OK;
}
