#include "patches.h"

#include "numerics.h"
#include "tmpl/rows.h"

#include <string.h>

/* ---- rows of patches -------------------------------------------------------------------------------------------- */

/* Kernel positions [begin, begin + count) along one direction that fall into the image. */
typedef struct span {
    size_t begin, count;
} span;

/* What one output position sees of a plane, and the offset of the first pixel of that, if any. */
typedef struct window {
    span rows, columns;
    size_t first;
} window;

static span span_inside(const lfd_conv_dims *d, size_t output, size_t kernel, size_t length) {
    const size_t first = output * d->stride; /* in the padded image */
    span s = {0, 0};
    while (s.begin < kernel && first + s.begin * d->dilation < d->padding) ++s.begin;
    while (s.begin + s.count < kernel && first + (s.begin + s.count) * d->dilation < d->padding + length) ++s.count;
    return s;
}

static window window_at(const lfd_conv_dims *d, size_t position) {
    const size_t h = position / d->out_width, w = position % d->out_width;
    const span rows = span_inside(d, h, d->kernel_h, d->height), columns = span_inside(d, w, d->kernel_w, d->width);
    const size_t row = h * d->stride + rows.begin * d->dilation - d->padding;
    const size_t column = w * d->stride + columns.begin * d->dilation - d->padding;
    return (window){rows, columns, row * d->width + column};
}

static int is_whole(const lfd_conv_dims *d, const window *seen) {
    return seen->rows.count == d->kernel_h && seen->columns.count == d->kernel_w;
}

/* Every line of pixels, dilation apart, that the window sees in the channels; count of them in a line, a constant where
 * speed matters. */
LFD_INLINE void take_lines(const lfd_conv_dims *d, const window *seen, size_t count, size_t channels, const float *x,
                           float *patch) {
    const size_t step = d->dilation, plane = d->height * d->width, kernel = d->kernel_h * d->kernel_w;
    x += seen->first;
    patch += seen->rows.begin * d->kernel_w + seen->columns.begin;
    for (size_t c = 0; c < channels; ++c)
        for (size_t i = 0; i < seen->rows.count; ++i)
            for (size_t j = 0; j < count; ++j)
                patch[c * kernel + i * d->kernel_w + j] = x[c * plane + (i * d->width + j) * step];
}

LFD_INLINE void add_lines(const lfd_conv_dims *d, const window *seen, size_t count, size_t channels, const float *patch,
                          float *x) {
    const size_t step = d->dilation, plane = d->height * d->width, kernel = d->kernel_h * d->kernel_w;
    x += seen->first;
    patch += seen->rows.begin * d->kernel_w + seen->columns.begin;
    for (size_t c = 0; c < channels; ++c)
        for (size_t i = 0; i < seen->rows.count; ++i)
            for (size_t j = 0; j < count; ++j)
                x[c * plane + (i * d->width + j) * step] += patch[c * kernel + i * d->kernel_w + j];
}

/* First pixel of the range's channels in the sample of a row. */
static size_t planes_of(const lfd_conv_dims *d, const lfd_patch_range *range, size_t row) {
    const size_t sample = row / (d->out_height * d->out_width);
    return (sample * d->channels + range->channel) * d->height * d->width;
}

void lfd_patches_unfold(const lfd_conv_dims *dims, const lfd_patch_range *range, const float *x, float *patches,
                        size_t stride) {
    const size_t positions = dims->out_height * dims->out_width;
    const size_t columns = range->channels * dims->kernel_h * dims->kernel_w;
    for (size_t row = range->row; row < range->row + range->rows; ++row, patches += stride) {
        const window seen = window_at(dims, row % positions);
        const float *planes = x + planes_of(dims, range, row);
        if (!is_whole(dims, &seen)) memset(patches, 0, columns * sizeof *patches);
        if (seen.rows.count == 0) continue;
        switch (seen.columns.count) {
        case 0: break;
        case 1: take_lines(dims, &seen, 1, range->channels, planes, patches); break;
        case 2: take_lines(dims, &seen, 2, range->channels, planes, patches); break;
        case 3: take_lines(dims, &seen, 3, range->channels, planes, patches); break;
        default: take_lines(dims, &seen, seen.columns.count, range->channels, planes, patches);
        }
    }
}

void lfd_patches_fold(const lfd_conv_dims *dims, const lfd_patch_range *range, const float *patches, size_t stride,
                      float *grad_x) {
    const size_t positions = dims->out_height * dims->out_width;
    for (size_t row = range->row; row < range->row + range->rows; ++row, patches += stride) {
        const window seen = window_at(dims, row % positions);
        float *planes = grad_x + planes_of(dims, range, row);
        if (seen.rows.count == 0) continue;
        switch (seen.columns.count) {
        case 0: break;
        case 1: add_lines(dims, &seen, 1, range->channels, patches, planes); break;
        case 2: add_lines(dims, &seen, 2, range->channels, patches, planes); break;
        case 3: add_lines(dims, &seen, 3, range->channels, patches, planes); break;
        default: add_lines(dims, &seen, seen.columns.count, range->channels, patches, planes);
        }
    }
}

/* ---- gradients through argmaxes --------------------------------------------------------------------------------- */

static const size_t OUTSIDE = SIZE_MAX;

/* An output position; its kernel begins there in the padded image. */
typedef struct place {
    size_t row, column;
} place;

/* The pixel under a column of w, or OUTSIDE. */
static size_t pixel_under(const lfd_conv_dims *d, place at, int32_t column) {
    const uint32_t k = (uint32_t)column, kernel_w = (uint32_t)d->kernel_w, kernel_h = (uint32_t)d->kernel_h;
    const uint32_t line = k / kernel_w, c = line / kernel_h;
    const uint32_t i = line - c * kernel_h, j = k - line * kernel_w;
    /* Wraps around left of and above the image, to numbers beyond it. */
    const size_t h = at.row + i * d->dilation - d->padding, w = at.column + j * d->dilation - d->padding;
    return h < d->height && w < d->width ? (c * d->height + h) * d->width + w : OUTSIDE;
}

static void scatter_one(const lfd_conv_dims *d, const float *x, const float *w, place at, int32_t column, float grad_y,
                        float *grad_x, float *grad_w) {
    const size_t pixel = pixel_under(d, at, column);
    const int inside = pixel != OUTSIDE;
    const float difference = (inside ? x[pixel] : 0.0f) - w[column];
    const float gradient = lfd_signed_gradient(difference, grad_y);
    if (grad_x && inside) grad_x[pixel] += gradient;
    if (grad_w) grad_w[column] -= gradient;
}

void lfd_patches_scatter(const lfd_conv_dims *dims, const float *x, const float *w, const int32_t *argmax,
                         const float *grad_y, float *grad_x, float *grad_w) {
    for (size_t h = 0; h < dims->out_height; ++h)
        for (size_t v = 0; v < dims->out_width; ++v) {
            const size_t position = h * dims->out_width + v;
            const place at = {h * dims->stride, v * dims->stride};
            scatter_one(dims, x, w, at, argmax[position], grad_y[position], grad_x, grad_w);
        }
}

/* Right of w (w - l <= u - w) the lower bound is l - w and the upper one u - w, left of it they are w - u and w - l. */
void lfd_patches_scatter_bound(const lfd_conv_dims *dims, int upper, const float *xl, const float *xu, const float *w,
                               const int32_t *argmax, const float *grad_y, float *grad_xl, float *grad_xu,
                               float *grad_w) {
    for (size_t h = 0; h < dims->out_height; ++h)
        for (size_t v = 0; v < dims->out_width; ++v) {
            const size_t position = h * dims->out_width + v;
            const place at = {h * dims->stride, v * dims->stride};
            const int32_t column = argmax[position];
            if (column < 0) continue;
            const size_t pixel = pixel_under(dims, at, column);
            const int inside = pixel != OUTSIDE;
            const float l = inside ? xl[pixel] : 0.0f, u = inside ? xu[pixel] : 0.0f;
            const int right = w[column] - l <= u - w[column];
            const float gradient = (float)(2 * right - 1) * grad_y[position];
            float *grad_x = right == upper ? grad_xu : grad_xl;
            if (grad_x && inside) grad_x[pixel] += gradient;
            if (grad_w) grad_w[column] -= gradient;
        }
}
