#include "net.h"

static linfdist_status create_mlp(linfdist_context *context, const settings *s, const dataset *data,
                                  linfdist_model **model) {
    linfdist_mlp_options options;
    linfdist_status status = linfdist_mlp_options_init(&options, sizeof options);
    options.channels = data->channels;
    options.height = data->height;
    options.width_px = data->width_px;
    options.classes = data->classes;
    options.depth = s->depth;
    options.width = s->width;
    options.identity_value = (float)s->identity;
    options.learned_scalar = s->scalar == SCALAR_LEARNED;
    options.seed = s->seed;
    return status == LINFDIST_OK ? linfdist_model_create_mlp(context, &options, model) : status;
}

static linfdist_status create_hybrid(linfdist_context *context, const settings *s, const dataset *data,
                                     linfdist_model **model) {
    linfdist_hybrid_options options;
    linfdist_status status = linfdist_hybrid_options_init(&options, sizeof options);
    options.channels = data->channels;
    options.height = data->height;
    options.width_px = data->width_px;
    options.classes = data->classes;
    options.depth = s->depth;
    options.width = s->width;
    options.hidden = s->hidden;
    options.identity_value = (float)s->identity;
    options.seed = s->seed;
    return status == LINFDIST_OK ? linfdist_model_create_hybrid(context, &options, model) : status;
}

/* With or without a linear head. */
static linfdist_status create_conv(linfdist_context *context, const settings *s, const dataset *data,
                                   linfdist_model **model) {
    linfdist_conv_options options;
    linfdist_status status = linfdist_conv_options_init(&options, sizeof options);
    options.channels = data->channels;
    options.height = data->height;
    options.width_px = data->width_px;
    options.classes = data->classes;
    options.width_factor = s->width_factor;
    options.features = s->features;
    options.hidden = settings_linear_head(s) ? s->hidden : 0;
    options.identity_value = (float)s->identity;
    options.learned_scalar = s->scalar == SCALAR_LEARNED;
    options.seed = s->seed;
    return status == LINFDIST_OK ? linfdist_model_create_conv(context, &options, model) : status;
}

typedef linfdist_status (*create_fn)(linfdist_context *context, const settings *s, const dataset *data,
                                     linfdist_model **model);

int net_create(linfdist_context *context, const settings *s, const dataset *data, linfdist_model **model,
               problem *what) {
    static const create_fn creates[] = {create_mlp, create_hybrid, create_conv, create_conv};
    const linfdist_statistics statistics = {sizeof statistics, data->channels, data->mean, data->std, 0.0, 1.0};
    if (problem_check(what, creates[s->net](context, s, data, model)) != 0) return -1;
    return problem_check(what, linfdist_model_set_statistics(*model, &statistics));
}
