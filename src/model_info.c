/* What a model shows: sizes, layers, tensors by index and name, data statistics. */
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "model.h"
#include "ops.h"
#include "units.h"

/* ---- tensors ---- */

linfdist_status lfd_tensor_view(const lfd_tensor *tensor, float *data, linfdist_tensor *view, const char *name) {
    linfdist_tensor full = {.struct_size = sizeof full,
                            .name = tensor->name,
                            .data = data,
                            .dtype = LINFDIST_DTYPE_F32,
                            .role = tensor->role,
                            .dims = tensor->dims};
    memcpy(full.shape, tensor->shape, sizeof full.shape);
    return lfd_options_write(view, &full, sizeof full, sizeof full, name);
}

int lfd_tensor_trains(const lfd_tensor *tensor) {
    return tensor->role != LINFDIST_ROLE_RUNNING_MEAN;
}

linfdist_status lfd_model_check_tensor_index(const linfdist_model *model, int64_t index) {
    if (index < 0 || index >= model->tensor_count) {
        return lfd_fail(LINFDIST_ERROR_RANGE, "index is %lld, must be in [0, %lld)", (long long)index,
                        (long long)model->tensor_count);
    }
    return LINFDIST_OK;
}

int64_t lfd_model_tensor_index(const linfdist_model *model, const char *name) {
    for (int64_t i = 0; i < model->tensor_count; ++i) {
        if (strcmp(model->tensors[i].name, name) == 0) return i;
    }
    return -1;
}

linfdist_status lfd_model_find_index(const linfdist_model *model, const char *name, int64_t *index) {
    *index = lfd_model_tensor_index(model, name);
    if (*index < 0) {
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "name is \"%.80s\", which is no tensor of this model", name);
    }
    return LINFDIST_OK;
}

linfdist_status lfd_model_check_finite(const linfdist_model *model) {
    for (int64_t i = 0; i < model->tensor_count; ++i) {
        const lfd_tensor *tensor = &model->tensors[i];
        const size_t rows = (size_t)tensor->shape[0], columns = tensor->count / rows;
        LFD_TRY(lfd_check_matrix(model->context, tensor->data, rows, columns, columns, tensor->name));
    }
    return LINFDIST_OK;
}

int lfd_model_sign(const linfdist_model *model) {
    return model->outputs == LINFDIST_OUTPUTS_DISTANCES ? 1 : -1;
}

int lfd_model_lipschitz(const linfdist_model *model) {
    return model->split == model->layer_count;
}

int32_t lfd_model_winner(const linfdist_model *model, const float *outputs) {
    const int smallest = lfd_model_sign(model) > 0;
    int64_t best = 0;
    for (int64_t j = 1; j < model->classes; ++j)
        if (smallest ? outputs[j] < outputs[best] : outputs[j] > outputs[best]) best = j;
    return (int32_t)best;
}

double lfd_model_margin(const linfdist_model *model, const float *outputs, int32_t label) {
    const double sign = lfd_model_sign(model);
    double margin = DBL_MAX;
    for (int64_t j = 0; j < model->classes; ++j) {
        const double gap = sign * ((double)outputs[j] - (double)outputs[label]);
        if (j != label && gap < margin) margin = gap;
    }
    return margin;
}

double lfd_model_logit_factor(const linfdist_model *model) {
    return lfd_model_sign(model) > 0 ? -(double)lfd_model_scalar(model) : 1.0;
}

float lfd_model_scalar(const linfdist_model *model) {
    return model->learned_scalar ? model->tensors[model->tensor_count - 1].data[0] : 1.0f;
}

linfdist_status linfdist_model_get_tensor(linfdist_model *model, int64_t index, linfdist_tensor *tensor) {
    LFD_REQUIRE(model);
    LFD_REQUIRE(tensor);
    LFD_TRY(lfd_model_check_tensor_index(model, index));
    return lfd_tensor_view(&model->tensors[index], model->tensors[index].data, tensor, "tensor");
}

linfdist_status linfdist_model_find_tensor(linfdist_model *model, const char *name, linfdist_tensor *tensor) {
    int64_t index;
    LFD_REQUIRE(model);
    LFD_REQUIRE(name);
    LFD_TRY(lfd_model_find_index(model, name, &index));
    return linfdist_model_get_tensor(model, index, tensor);
}

/* ---- sizes and layers ---- */

linfdist_status linfdist_model_get_info(const linfdist_model *model, linfdist_model_info *info) {
    LFD_REQUIRE(model);
    LFD_REQUIRE(info);
    linfdist_model_info full = {.struct_size = sizeof full,
                                .channels = model->channels,
                                .height = model->height,
                                .width_px = model->width_px,
                                .n_in = model->n_in,
                                .classes = model->classes,
                                .layers = model->layer_count,
                                .tensors = model->tensor_count,
                                .learned_scalar = model->learned_scalar,
                                .has_statistics = model->statistics.channels > 0,
                                .outputs = model->outputs};
    for (int64_t i = 0; i < model->tensor_count; ++i) {
        if (lfd_tensor_trains(&model->tensors[i])) full.parameters += (int64_t)model->tensors[i].count;
    }
    return lfd_options_write(info, &full, sizeof full, offsetof(linfdist_model_info, outputs), "info");
}

linfdist_status linfdist_model_get_layer(const linfdist_model *model, int64_t index, linfdist_layer_info *info) {
    LFD_REQUIRE(model);
    LFD_REQUIRE(info);
    if (index < 0 || index >= model->layer_count) {
        return lfd_fail(LINFDIST_ERROR_RANGE, "index is %lld, must be in [0, %lld)", (long long)index,
                        (long long)model->layer_count);
    }
    const lfd_layer_spec *spec = &model->layers[index].spec;
    linfdist_layer_info full = {.struct_size = sizeof full,
                                .kind = spec->kind,
                                .n_in = spec->n_in,
                                .n_out = spec->n_out,
                                .groups = spec->groups,
                                .name = spec->name,
                                .in_channels = spec->in.channels,
                                .in_height = spec->in.height,
                                .in_width = spec->in.width,
                                .out_channels = spec->out.channels,
                                .out_height = spec->out.height,
                                .out_width = spec->out.width,
                                .kernel_h = spec->window.kernel_h,
                                .kernel_w = spec->window.kernel_w,
                                .stride = spec->window.stride,
                                .dilation = spec->window.dilation,
                                .padding = spec->window.padding};
    return lfd_options_write(info, &full, sizeof full, offsetof(linfdist_layer_info, in_channels), "info");
}

/* ---- statistics ---- */

static linfdist_status check_number(double value, const char *name) {
    char text[32];
    if (fabs(value) <= (double)LFD_LIMIT) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_NOT_FINITE, "%s is %s", name, lfd_format_double(text, value));
}

/* The valid range must stay finite, and more than a point, in float and after normalization. */
static linfdist_status check_range(const linfdist_statistics *s) {
    char low[32], high[32], std[32], mean[32];
    const double from = (double)lfd_float_below(s->low), to = (double)lfd_float_above(s->high); /* as pixels can be */
    int fits = s->std > 0.0 && (float)(s->high - s->low) > 0.0f;
    int64_t c = 0;
    for (; fits && c < s->channels; ++c)
        fits = fabs((from - s->mean[c]) / s->std) <= (double)LFD_LIMIT &&
               fabs((to - s->mean[c]) / s->std) <= (double)LFD_LIMIT;
    if (fits) return LINFDIST_OK;
    return lfd_fail(
        LINFDIST_ERROR_RANGE,
        "low is %s, high %s, std %s, mean %s: needs low < high, std > 0, and (pixel - mean) / std of the floats "
        "around low and high at most 2^100",
        lfd_format_double(low, s->low), lfd_format_double(high, s->high), lfd_format_double(std, s->std),
        lfd_format_double(mean, s->mean[c > 0 ? c - 1 : 0]));
}

static linfdist_status check_statistics(const linfdist_model *model, const linfdist_statistics *s) {
    if (s->channels != 1 && s->channels != model->channels) {
        return lfd_fail(LINFDIST_ERROR_SHAPE, "statistics have %lld channels, must be 1 or the model's %lld",
                        (long long)s->channels, (long long)model->channels);
    }
    if (!s->mean) return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "statistics->mean is NULL");
    char name[LFD_INDEXED];
    for (int64_t c = 0; c < s->channels; ++c) LFD_TRY(check_number(s->mean[c], lfd_indexed(name, "mean", c)));
    LFD_TRY(check_number(s->std, "std of the statistics"));
    LFD_TRY(check_number(s->low, "low of the statistics"));
    LFD_TRY(check_number(s->high, "high of the statistics"));
    return check_range(s);
}

void lfd_statistics_clear(const linfdist_context *context, lfd_statistics *statistics) {
    lfd_free(context, statistics->mean);
    *statistics = (lfd_statistics){0};
}

linfdist_status linfdist_model_set_statistics(linfdist_model *model, const linfdist_statistics *statistics) {
    linfdist_statistics given = {.struct_size = sizeof given};
    lfd_statistics made = {0};
    LFD_REQUIRE(model);
    if (statistics) {
        void *mean;
        LFD_TRY(lfd_options_read(&given, sizeof given, sizeof given, statistics, "statistics"));
        LFD_TRY(check_statistics(model, &given));
        LFD_TRY(lfd_alloc(model->context, (size_t)given.channels, sizeof(double), "means", &mean));
        memcpy(mean, given.mean, (size_t)given.channels * sizeof(double));
        made = (lfd_statistics){given.channels, mean, given.std, given.low, given.high};
    }
    lfd_statistics_clear(model->context, &model->statistics);
    model->statistics = made;
    return LINFDIST_OK;
}

linfdist_status linfdist_model_get_statistics(const linfdist_model *model, linfdist_statistics *statistics) {
    LFD_REQUIRE(model);
    LFD_REQUIRE(statistics);
    const lfd_statistics *s = &model->statistics;
    linfdist_statistics full = {.struct_size = sizeof full,
                                .channels = s->channels,
                                .mean = s->mean,
                                .std = s->std,
                                .low = s->low,
                                .high = s->high};
    return lfd_options_write(statistics, &full, sizeof full, sizeof full, "statistics");
}
