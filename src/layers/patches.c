#include "patches.h"

lfd_geometry lfd_geometry_of(const lfd_layer_spec *spec, size_t batch) {
    const lfd_window *window = &spec->window;
    if (window->out_channels == 0)
        return (lfd_geometry){batch, 1, (size_t)spec->n_in, 1, 1, (size_t)spec->n_out, 1, 1, 1, 1, 1, 0, 1, 0};
    return (lfd_geometry){
        .batch = batch,
        .groups = (size_t)spec->groups,
        .channels = (size_t)spec->in.channels,
        .height = (size_t)spec->in.height,
        .width = (size_t)spec->in.width,
        .out_channels = (size_t)spec->out.channels,
        .out_height = (size_t)spec->out.height,
        .out_width = (size_t)spec->out.width,
        .kernel_h = (size_t)window->kernel_h,
        .kernel_w = (size_t)window->kernel_w,
        .stride = (size_t)window->stride,
        .padding = (size_t)window->padding,
        .dilation = (size_t)window->dilation,
    };
}

size_t lfd_patch_size(const lfd_geometry *g) {
    return g->channels / g->groups * g->kernel_h * g->kernel_w;
}

/* Whether the arrays are plain matrices. */
static int is_dense(const lfd_geometry *g) {
    return g->groups * g->height * g->width * g->kernel_h * g->kernel_w == 1 && g->padding == 0;
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
static float through_window(const lfd_geometry *g, const float *plane, size_t row, size_t column, size_t i, size_t j) {
    const size_t h = row * g->stride + i * g->dilation - g->padding;
    const size_t w = column * g->stride + j * g->dilation - g->padding;
    return h < g->height && w < g->width ? plane[h * g->width + w] : 0.0f;
}

/* The output whose window has pixel (h, w) at (i, j), or 0 where there is none. */
static float back_through_window(const lfd_geometry *g, const float *plane, size_t h, size_t w, size_t i, size_t j) {
    const size_t row = h + g->padding - i * g->dilation, column = w + g->padding - j * g->dilation;
    if (row % g->stride != 0 || column % g->stride != 0) return 0.0f;
    if (row / g->stride >= g->out_height || column / g->stride >= g->out_width) return 0.0f;
    return plane[row / g->stride * g->out_width + column / g->stride];
}

static const float *plane_of_x(const lfd_geometry *g, const float *x, size_t sample, size_t channel) {
    return x + (sample * g->channels + g->group * (g->channels / g->groups) + channel) * g->height * g->width;
}

static const float *plane_of_y(const lfd_geometry *g, const float *y, size_t sample, size_t channel) {
    return y + (sample * g->out_channels + g->group * (g->out_channels / g->groups) + channel) * g->out_height *
                   g->out_width;
}

static void patches_by_position(const lfd_source *source, const float *x, size_t outer, size_t first, size_t count,
                                size_t step, float *values) {
    const lfd_geometry *g = source->shape;
    const odometer position = start_at(outer, g->out_height, g->out_width);
    odometer entry = start_at(first, g->kernel_h, g->kernel_w);
    for (size_t k = 0; k < count; ++k, advance(&entry))
        values[k * step] = through_window(g, plane_of_x(g, x, position.high, entry.high), position.middle, position.low,
                                          entry.middle, entry.low);
}

static void patches_by_entry(const lfd_source *source, const float *x, size_t outer, size_t first, size_t count,
                             size_t step, float *values) {
    const lfd_geometry *g = source->shape;
    const odometer entry = start_at(outer, g->kernel_h, g->kernel_w);
    odometer position = start_at(first, g->out_height, g->out_width);
    for (size_t k = 0; k < count; ++k, advance(&position))
        values[k * step] = through_window(g, plane_of_x(g, x, position.high, entry.high), position.middle, position.low,
                                          entry.middle, entry.low);
}

static void outputs_by_input(const lfd_source *source, const float *y, size_t outer, size_t first, size_t count,
                             size_t step, float *values) {
    const lfd_geometry *g = source->shape;
    const odometer pixel = start_at(outer, g->height, g->width);
    odometer entry = start_at(first, g->kernel_h, g->kernel_w);
    for (size_t k = 0; k < count; ++k, advance(&entry))
        values[k * step] = back_through_window(g, plane_of_y(g, y, pixel.high, entry.high), pixel.middle, pixel.low,
                                               entry.middle, entry.low);
}

static void outputs_by_channel(const lfd_source *source, const float *y, size_t outer, size_t first, size_t count,
                               size_t step, float *values) {
    const lfd_geometry *g = source->shape;
    odometer position = start_at(first, 1, g->out_height * g->out_width);
    for (size_t k = 0; k < count; ++k, advance(&position))
        values[k * step] = plane_of_y(g, y, position.high, outer)[position.low];
}

/* source->stride is the patch size: entry (o, i, j) of channel `outer`. */
static void weight_by_channel(const lfd_source *source, const float *weight, size_t outer, size_t first, size_t count,
                              size_t step, float *values) {
    const lfd_geometry *g = source->shape;
    const size_t area = g->kernel_h * g->kernel_w;
    odometer entry = start_at(first, 1, area);
    for (size_t k = 0; k < count; ++k, advance(&entry))
        values[k * step] = weight[entry.high * source->stride + outer * area + entry.low];
}

lfd_source lfd_patches_by_position(const lfd_geometry *g, const float *x, const float *other) {
    if (is_dense(g)) return lfd_rows(x, other, g->channels);
    return (lfd_source){patches_by_position, x, other, 0, g};
}

lfd_source lfd_patches_by_entry(const lfd_geometry *g, const float *x, const float *other) {
    if (is_dense(g)) return lfd_columns(x, other, g->channels);
    return (lfd_source){patches_by_entry, x, other, 0, g};
}

lfd_source lfd_outputs_by_input(const lfd_geometry *g, const float *y, const float *other) {
    if (is_dense(g)) return lfd_rows(y, other, g->out_channels);
    return (lfd_source){outputs_by_input, y, other, 0, g};
}

lfd_source lfd_outputs_by_channel(const lfd_geometry *g, const float *y, const float *other) {
    if (is_dense(g)) return lfd_columns(y, other, g->out_channels);
    return (lfd_source){outputs_by_channel, y, other, 0, g};
}

static const float *weight_of_group(const lfd_geometry *g, const float *weight) {
    return weight + g->group * (g->out_channels / g->groups) * lfd_patch_size(g);
}

lfd_source lfd_weight_rows(const lfd_geometry *g, const float *weight) {
    return lfd_rows(weight_of_group(g, weight), NULL, lfd_patch_size(g));
}

lfd_source lfd_weight_by_channel(const lfd_geometry *g, const float *weight) {
    if (is_dense(g)) return lfd_columns(weight, NULL, g->channels);
    return (lfd_source){weight_by_channel, weight_of_group(g, weight), NULL, lfd_patch_size(g), g};
}
