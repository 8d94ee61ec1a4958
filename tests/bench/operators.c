#include "operators.h"

#include <math.h>
#include <stdlib.h>

const char *const operator_names[OPERATORS] = {"linf_forward", "linf_forward_argmax", "linf_bounds", "lp_forward",
                                               "lp_backward"};

linfdist_context *context_of(const char *isa, int threads) {
    linfdist_context_options options;
    linfdist_context *context;
    require(linfdist_context_options_init(&options, sizeof options));
    options.isa = isa;
    options.threads = threads;
    require(linfdist_context_create(&options, &context));
    return context;
}

/* ---- arrays ---- */

static float uniform(void) {
    return (float)rand() / (float)RAND_MAX;
}

/* Twelve uniform numbers make a normal one well enough for timing. */
static float normal(void) {
    float sum = -6.0f;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
}

/* All but x and w. */
static void fill_rest(operands *o, int64_t batch, int64_t n_out, int64_t n_in) {
    require(linfdist_distance_shape_init(&o->shape, sizeof o->shape, batch, n_in, n_out));
    o->x_upper = bench_room(batch * n_in, sizeof(float));
    o->y = bench_room(batch * n_out, sizeof(float));
    o->y_upper = bench_room(batch * n_out, sizeof(float));
    o->grad_y = bench_room(batch * n_out, sizeof(float));
    o->grad_x = bench_room(batch * n_in, sizeof(float));
    o->grad_w = bench_room(n_out * n_in, sizeof(float));
    o->argmax = bench_room(batch * n_out, sizeof(int32_t));
    for (int64_t i = 0; i < batch * n_in; ++i) o->x_upper[i] = o->x[i] + 0.5f;
    for (int64_t i = 0; i < batch * n_out; ++i) o->grad_y[i] = normal() / 512.0f;
}

void operands_random(operands *o, int64_t batch, int64_t n_out, int64_t n_in) {
    *o = (operands){.x = bench_room(batch * n_in, sizeof(float)), .w = bench_room(n_out * n_in, sizeof(float))};
    for (int64_t i = 0; i < batch * n_in; ++i) o->x[i] = 4.0f * uniform() - 2.0f;
    for (int64_t i = 0; i < n_out * n_in; ++i) o->w[i] = normal();
    fill_rest(o, batch, n_out, n_in);
}

void operands_trained(operands *o, layer_data *data) {
    *o = (operands){.x = data->x, .w = data->w};
    fill_rest(o, data->batch, data->n_out, data->n_in);
}

void operands_free(operands *o) {
    void *all[] = {o->x, o->x_upper, o->w, o->y, o->y_upper, o->grad_y, o->grad_x, o->grad_w, o->argmax};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) free(all[i]);
}

/* ---- calls ---- */

static void forward(void *user) {
    operands *o = user;
    require(linfdist_distance_forward(o->context, &o->shape, o->p, o->x, o->w, o->y, NULL));
}

static void forward_argmax(void *user) {
    operands *o = user;
    require(linfdist_distance_forward(o->context, &o->shape, o->p, o->x, o->w, o->y, o->argmax));
}

static void bounds(void *user) {
    operands *o = user;
    require(linfdist_bounds_forward(o->context, &o->shape, o->x, o->x_upper, o->w, o->y, o->y_upper, NULL, NULL));
}

static void backward(void *user) {
    operands *o = user;
    require(linfdist_distance_backward(o->context, &o->shape, o->p, o->x, o->w, o->y, NULL, o->grad_y, o->grad_x,
                                       o->grad_w));
}

work operator_work(operands *o, int which, linfdist_context *context, double p) {
    static void (*const calls[OPERATORS])(void *) = {forward, forward_argmax, bounds, forward, backward};
    o->context = context;
    o->p = which >= OPERATOR_LP ? (float)p : INFINITY;
    if (which == OPERATOR_LP_BACKWARD) forward(o);
    return (work){calls[which], o, NULL};
}
