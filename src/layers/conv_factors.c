#include "conv_factors.h"

lfd_conv_dims lfd_affine_dims(const lfd_layer_spec *spec, size_t batch) {
    if (spec->window.out_channels != 0) return lfd_layer_conv_dims(spec, batch);
    return (lfd_conv_dims){
        .batch = batch,
        .channels = (size_t)spec->n_in,
        .height = 1,
        .width = 1,
        .out_channels = (size_t)spec->n_out,
        .groups = 1,
        .kernel_h = 1,
        .kernel_w = 1,
        .stride = 1,
        .dilation = 1,
        .out_height = 1,
        .out_width = 1,
    };
}

size_t lfd_patch_size(const lfd_conv_dims *d) {
    return d->channels / d->groups * d->kernel_h * d->kernel_w;
}

/* Whether the arrays are plain matrices. */
static int is_dense(const lfd_conv_dims *d) {
    return d->groups * d->height * d->width * d->kernel_h * d->kernel_w == 1 && d->padding == 0;
}

/* ---- three indices in one ---- */

typedef struct odometer {
    size_t high, middle, low;
    size_t middles, lows;
} odometer;

static odometer start_at(size_t index, size_t middles, size_t lows) {
    return (odometer){index / lows / middles, index / lows % middles, index % lows, middles, lows};
}

static void advance(odometer *o) {
    if (++o->low < o->lows) return;
    o->low = 0;
    if (++o->middle < o->middles) return;
    o->middle = 0;
    ++o->high;
}

/* ---- x and y through the window ---- */

/* Pixel (i, j) of the window at output (row, column); what lies in the padding, above or left of the image by wrapping
 * around, is 0. */
static float through_window(const lfd_conv_dims *d, const float *plane, size_t row, size_t column, size_t i, size_t j) {
    const size_t h = row * d->stride + i * d->dilation - d->padding;
    const size_t w = column * d->stride + j * d->dilation - d->padding;
    return h < d->height && w < d->width ? plane[h * d->width + w] : 0.0f;
}

/* The output whose window has pixel (h, w) at (i, j), or 0 where there is none. */
static float back_through_window(const lfd_conv_dims *d, const float *plane, size_t h, size_t w, size_t i, size_t j) {
    const size_t row = h + d->padding - i * d->dilation, column = w + d->padding - j * d->dilation;
    if (row % d->stride != 0 || column % d->stride != 0) return 0.0f;
    if (row / d->stride >= d->out_height || column / d->stride >= d->out_width) return 0.0f;
    return plane[row / d->stride * d->out_width + column / d->stride];
}

/* data begins with the first channel of the group. */
static const float *plane_of_x(const lfd_conv_dims *d, const float *data, size_t sample, size_t channel) {
    return data + (sample * d->channels + channel) * d->height * d->width;
}

static const float *plane_of_y(const lfd_conv_dims *d, const float *data, size_t sample, size_t channel) {
    return data + (sample * d->out_channels + channel) * d->out_height * d->out_width;
}

static void patches_by_position(const lfd_source *source, const float *x, size_t outer, size_t first, size_t count,
                                size_t step, float *values) {
    const lfd_conv_dims *d = source->shape;
    const odometer position = start_at(outer, d->out_height, d->out_width);
    odometer entry = start_at(first, d->kernel_h, d->kernel_w);
    for (size_t k = 0; k < count; ++k, advance(&entry))
        values[k * step] = through_window(d, plane_of_x(d, x, position.high, entry.high), position.middle, position.low,
                                          entry.middle, entry.low);
}

static void patches_by_entry(const lfd_source *source, const float *x, size_t outer, size_t first, size_t count,
                             size_t step, float *values) {
    const lfd_conv_dims *d = source->shape;
    const odometer entry = start_at(outer, d->kernel_h, d->kernel_w);
    odometer position = start_at(first, d->out_height, d->out_width);
    for (size_t k = 0; k < count; ++k, advance(&position))
        values[k * step] = through_window(d, plane_of_x(d, x, position.high, entry.high), position.middle, position.low,
                                          entry.middle, entry.low);
}

static void outputs_by_input(const lfd_source *source, const float *y, size_t outer, size_t first, size_t count,
                             size_t step, float *values) {
    const lfd_conv_dims *d = source->shape;
    const odometer pixel = start_at(outer, d->height, d->width);
    odometer entry = start_at(first, d->kernel_h, d->kernel_w);
    for (size_t k = 0; k < count; ++k, advance(&entry))
        values[k * step] = back_through_window(d, plane_of_y(d, y, pixel.high, entry.high), pixel.middle, pixel.low,
                                               entry.middle, entry.low);
}

static void outputs_by_channel(const lfd_source *source, const float *y, size_t outer, size_t first, size_t count,
                               size_t step, float *values) {
    const lfd_conv_dims *d = source->shape;
    odometer position = start_at(first, 1, d->out_height * d->out_width);
    for (size_t k = 0; k < count; ++k, advance(&position))
        values[k * step] = plane_of_y(d, y, position.high, outer)[position.low];
}

/* Entry (o, i, j) of channel `outer`. */
static void weight_by_channel(const lfd_source *source, const float *weight, size_t outer, size_t first, size_t count,
                              size_t step, float *values) {
    const lfd_conv_dims *d = source->shape;
    const size_t area = d->kernel_h * d->kernel_w, patch = lfd_patch_size(d);
    odometer entry = start_at(first, 1, area);
    for (size_t k = 0; k < count; ++k, advance(&entry))
        values[k * step] = weight[entry.high * patch + outer * area + entry.low];
}

/* ---- sources ---- */

typedef void entries_fn(const lfd_source *source, const float *data, size_t outer, size_t first, size_t count,
                        size_t step, float *values);

static lfd_source source_at(const lfd_conv_dims *d, entries_fn *entries, const float *data, const float *other,
                            size_t start) {
    return (lfd_source){entries, data + start, other ? other + start : NULL, 0, d};
}

static size_t start_of_x(const lfd_conv_dims *d, size_t group) {
    return group * (d->channels / d->groups) * d->height * d->width;
}

static size_t start_of_y(const lfd_conv_dims *d, size_t group) {
    return group * (d->out_channels / d->groups) * d->out_height * d->out_width;
}

static size_t start_of_weight(const lfd_conv_dims *d, size_t group) {
    return group * (d->out_channels / d->groups) * lfd_patch_size(d);
}

lfd_source lfd_patches_by_position(const lfd_conv_dims *d, size_t group, const float *x, const float *other) {
    if (is_dense(d)) return lfd_rows(x, other, d->channels);
    return source_at(d, patches_by_position, x, other, start_of_x(d, group));
}

lfd_source lfd_patches_by_entry(const lfd_conv_dims *d, size_t group, const float *x, const float *other) {
    if (is_dense(d)) return lfd_columns(x, other, d->channels);
    return source_at(d, patches_by_entry, x, other, start_of_x(d, group));
}

lfd_source lfd_outputs_by_input(const lfd_conv_dims *d, size_t group, const float *y, const float *other) {
    if (is_dense(d)) return lfd_rows(y, other, d->out_channels);
    return source_at(d, outputs_by_input, y, other, start_of_y(d, group));
}

lfd_source lfd_outputs_by_channel(const lfd_conv_dims *d, size_t group, const float *y, const float *other) {
    if (is_dense(d)) return lfd_columns(y, other, d->out_channels);
    return source_at(d, outputs_by_channel, y, other, start_of_y(d, group));
}

lfd_source lfd_weight_rows(const lfd_conv_dims *d, size_t group, const float *weight) {
    return lfd_rows(weight + start_of_weight(d, group), NULL, lfd_patch_size(d));
}

lfd_source lfd_weight_by_channel(const lfd_conv_dims *d, size_t group, const float *weight) {
    if (is_dense(d)) return lfd_columns(weight, NULL, d->channels);
    return source_at(d, weight_by_channel, weight, NULL, start_of_weight(d, group));
}
