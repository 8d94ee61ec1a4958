/* Values are sums in double, scaled, shifted and rounded to float once. Bounds put the extreme of every term into the
 * same sum, s (w+ u + w- l) + b and s (w+ l + w- u) + b, and round in the same places; since rounding is monotone, they
 * contain every value without an allowance (docs/numerics.md). */
#include "affine.h"

#include <math.h>
#include <string.h>

#include "../../lib/math.h"
#include "conv_factors.h"

typedef struct affine {
    const lfd_layer_pass *pass;
    lfd_conv_dims dims;
    size_t group;
    double scale;
    const float *weight, *bias;
} affine;

double lfd_affine_scale(const lfd_layer_spec *spec) {
    const lfd_conv_dims d = lfd_affine_dims(spec, 1);
    return 1.0 / lfd_sqrt((double)(d.channels * d.kernel_h * d.kernel_w));
}

static affine affine_of(const lfd_layer_pass *pass) {
    return (affine){pass,
                    lfd_affine_dims(pass->spec, pass->batch),
                    0,
                    lfd_affine_scale(pass->spec),
                    pass->tensors[0].data,
                    pass->tensors[1].data};
}

size_t lfd_affine_scratch(const lfd_layer_spec *spec, size_t max_batch, size_t threads) {
    (void)spec;
    (void)max_batch;
    return lfd_product_scratch(threads) * (sizeof(double) / sizeof(float));
}

static void multiply(const affine *layer, size_t m, size_t n, size_t k, size_t terms, lfd_gemm_factor a,
                     lfd_gemm_factor b, lfd_product_fn *finish, void *user) {
    const lfd_gemm_product product = {m, n, k, terms, a, b};
    lfd_product(layer->pass->context, &product, finish, user, (double *)(void *)layer->pass->scratch);
}

/* ---- results with the positions of samples for rows and the channels of a group for columns ---- */

typedef struct landing {
    float *to; /* batch x channels x positions */
    size_t channels, first_channel, positions;
    double scale;
    const float *bias; /* of all channels, or NULL */
} landing;

static void land(void *user, size_t first_row, size_t first_column, size_t rows, size_t columns, const double *tile,
                 size_t stride) {
    const landing *l = user;
    const size_t first = l->first_channel + first_column;
    for (size_t i = 0; i < rows; ++i) {
        const size_t sample = (first_row + i) / l->positions, position = (first_row + i) % l->positions;
        float *to = l->to + (sample * l->channels + first) * l->positions + position;
        for (size_t j = 0; j < columns; ++j) {
            const double value = l->scale * tile[i * stride + j];
            to[j * l->positions] = (float)(l->bias ? value + (double)l->bias[first + j] : value);
        }
    }
}

/* ---- forward ---- */

/* In the weight's sign: where it is positive x counts, elsewhere other. */
static void put_out(const affine *layer, const float *x, const float *other, float *y) {
    const lfd_conv_dims *d = &layer->dims;
    const size_t positions = d->out_height * d->out_width, channels = d->out_channels / d->groups;
    const lfd_source patches = lfd_patches_by_position(d, layer->group, x, other),
                     weight = lfd_weight_rows(d, layer->group, layer->weight);
    landing to = {y, d->out_channels, layer->group * channels, positions, layer->scale, layer->bias};
    multiply(layer, d->batch * positions, channels, lfd_patch_size(d), other ? 2 : 1,
             other ? lfd_factor_pairs(&patches) : lfd_factor(&patches),
             other ? lfd_factor_signs(&weight) : lfd_factor(&weight), land, &to);
}

void lfd_affine_forward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y) {
    affine layer = affine_of(pass);
    for (; layer.group < layer.dims.groups; ++layer.group) {
        if (x->value) put_out(&layer, x->value, NULL, y->value);
        if (x->lower) put_out(&layer, x->lower, x->upper, y->lower);
        if (x->upper) put_out(&layer, x->upper, x->lower, y->upper);
    }
}

/* ---- backward ---- */

/* What outputs' gradients give an input: where the weight is positive those of grad_y, elsewhere those of other. */
static void put_back(const affine *layer, const float *grad_y, const float *other, float *grad_x) {
    if (!grad_x) return;
    const lfd_conv_dims *d = &layer->dims;
    const size_t pixels = d->height * d->width, channels = d->channels / d->groups;
    const lfd_source outputs = lfd_outputs_by_input(d, layer->group, grad_y, other),
                     weight = lfd_weight_by_channel(d, layer->group, layer->weight);
    landing to = {grad_x, d->channels, layer->group * channels, pixels, layer->scale, NULL};
    multiply(layer, d->batch * pixels, channels, d->out_channels / d->groups * d->kernel_h * d->kernel_w, other ? 2 : 1,
             other ? lfd_factor_pairs(&outputs) : lfd_factor(&outputs),
             other ? lfd_factor_signs(&weight) : lfd_factor(&weight), land, &to);
}

/* Weights whose gradient a product is: all, the positive or the negative ones. A weight of zero lies between the two
 * signs and gets half of each. */
typedef struct weight_share {
    const float *weight;
    float *gradient;
    size_t columns;
    double scale;
    int sign; /* 0: all */
} weight_share;

static double share_of(const weight_share *s, float weight) {
    if (s->sign == 0) return 1.0;
    if (weight == 0.0f) return 0.5;
    return (weight > 0.0f) == (s->sign > 0) ? 1.0 : 0.0;
}

static void add_to_weights(void *user, size_t first_row, size_t first_column, size_t rows, size_t columns,
                           const double *tile, size_t stride) {
    const weight_share *s = user;
    for (size_t i = 0; i < rows; ++i) {
        const size_t start = (first_row + i) * s->columns + first_column;
        for (size_t j = 0; j < columns; ++j) {
            const double part = share_of(s, s->weight[start + j]) * s->scale * tile[i * stride + j];
            s->gradient[start + j] = (float)((double)s->gradient[start + j] + part);
        }
    }
}

static void add_weight_gradient(const affine *layer, int sign, const lfd_source *outputs, const lfd_source *patches) {
    const lfd_conv_dims *d = &layer->dims;
    const size_t rows = d->out_channels / d->groups, columns = lfd_patch_size(d), start = layer->group * rows * columns;
    weight_share share = {layer->weight + start, layer->pass->gradients[0] + start, columns, layer->scale, sign};
    const lfd_gemm_factor a = sign ? lfd_factor_pairs(outputs) : lfd_factor(outputs);
    const lfd_gemm_factor b = sign ? lfd_factor_pairs(patches) : lfd_factor(patches);
    multiply(layer, rows, columns, d->batch * d->out_height * d->out_width, sign ? 2 : 1, a, b, add_to_weights, &share);
}

static void add_weight_gradients(const affine *layer, const lfd_signal *x, const lfd_signal *grad_y) {
    const lfd_conv_dims *d = &layer->dims;
    if (grad_y->value) {
        const lfd_source outputs = lfd_outputs_by_channel(d, layer->group, grad_y->value, NULL);
        const lfd_source patches = lfd_patches_by_entry(d, layer->group, x->value, NULL);
        add_weight_gradient(layer, 0, &outputs, &patches);
    }
    if (grad_y->lower) {
        /* A positive weight carries lower to lower and upper to upper, a negative one crosses them. */
        const lfd_source outputs = lfd_outputs_by_channel(d, layer->group, grad_y->lower, grad_y->upper);
        const lfd_source straight = lfd_patches_by_entry(d, layer->group, x->lower, x->upper);
        const lfd_source crossed = lfd_patches_by_entry(d, layer->group, x->upper, x->lower);
        add_weight_gradient(layer, 1, &outputs, &straight);
        add_weight_gradient(layer, -1, &outputs, &crossed);
    }
}

typedef struct bias_sum {
    const lfd_conv_dims *dims;
    const float *grad_y[3];
    float *gradient;
} bias_sum;

static void add_bias_gradient(void *data, size_t channel) {
    const bias_sum *b = data;
    const lfd_conv_dims *d = b->dims;
    const size_t positions = d->out_height * d->out_width;
    double sum = 0.0;
    for (size_t part = 0; part < 3; ++part) {
        for (size_t sample = 0; b->grad_y[part] && sample < d->batch; ++sample) {
            const float *plane = b->grad_y[part] + (sample * d->out_channels + channel) * positions;
            for (size_t i = 0; i < positions; ++i) sum += (double)plane[i];
        }
    }
    b->gradient[channel] = (float)((double)b->gradient[channel] + sum);
}

void lfd_affine_backward(const lfd_layer_pass *pass, const lfd_signal *x, const lfd_signal *y, const lfd_signal *grad_y,
                         const lfd_signal *grad_x) {
    (void)y;
    affine layer = affine_of(pass);
    for (; layer.group < layer.dims.groups; ++layer.group) {
        if (grad_y->value) put_back(&layer, grad_y->value, NULL, grad_x->value);
        if (grad_y->lower) put_back(&layer, grad_y->lower, grad_y->upper, grad_x->lower);
        if (grad_y->upper) put_back(&layer, grad_y->upper, grad_y->lower, grad_x->upper);
        if (pass->gradients) add_weight_gradients(&layer, x, grad_y);
    }
    const size_t bytes = pass->batch * (size_t)pass->spec->n_in * sizeof(float);
    if (!grad_y->value && grad_x->value) memset(grad_x->value, 0, bytes);
    if (!grad_y->lower && grad_x->lower) memset(grad_x->lower, 0, bytes);
    if (!grad_y->upper && grad_x->upper) memset(grad_x->upper, 0, bytes);
    if (!pass->gradients) return;
    bias_sum sum = {&layer.dims, {grad_y->value, grad_y->lower, grad_y->upper}, pass->gradients[1]};
    lfd_parallel_for(pass->context, add_bias_gradient, &sum, layer.dims.out_channels);
}

/* ---- growth ---- */

double lfd_affine_growth(const lfd_layer_pass *pass, double magnitude) {
    const affine layer = affine_of(pass);
    const size_t columns = lfd_patch_size(&layer.dims);
    double largest = 0.0;
    for (size_t row = 0; row < layer.dims.out_channels; ++row) {
        double norm = 0.0;
        for (size_t i = 0; i < columns; ++i) norm += fabs((double)layer.weight[row * columns + i]);
        largest = fmax(largest, layer.scale * norm * magnitude + fabs((double)layer.bias[row]));
    }
    return largest * (1.0 + 0x1p-20); /* roundings, this function's own included */
}
