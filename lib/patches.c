#include "patches.h"

#include "tmpl/rows.h"

#include <string.h>

/* ---- rows of patches -------------------------------------------------------------------------------------------- */

/* Kernel positions [begin, begin + count) along one direction that fall into the image. */
typedef struct span {
    size_t begin, count;
} span;

/* What one output position sees of a plane; its corner, the offset of kernel position (0, 0), may lie outside. */
typedef struct window {
    span rows, columns;
    ptrdiff_t corner;
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
    const ptrdiff_t row = (ptrdiff_t)(h * d->stride) - (ptrdiff_t)d->padding;
    const ptrdiff_t column = (ptrdiff_t)(w * d->stride) - (ptrdiff_t)d->padding;
    return (window){span_inside(d, h, d->kernel_h, d->height), span_inside(d, w, d->kernel_w, d->width),
                    row * (ptrdiff_t)d->width + column};
}

static int is_whole(const lfd_conv_dims *d, const window *seen) {
    return seen->rows.count == d->kernel_h && seen->columns.count == d->kernel_w;
}

/* A line: the kernel positions (i, columns) of one channel, its pixels dilation apart. columns and dilation are
 * constants where speed matters. */
LFD_INLINE void take_lines(const lfd_conv_dims *d, const window *seen, span columns, size_t dilation, size_t channels,
                           const float *x, float *patch) {
    for (size_t c = 0; c < channels; ++c)
        for (size_t i = seen->rows.begin; i < seen->rows.begin + seen->rows.count; ++i) {
            const float *pixels = x + (ptrdiff_t)((c * d->height + i * dilation) * d->width) + seen->corner +
                                  (ptrdiff_t)(columns.begin * dilation);
            float *line = patch + (c * d->kernel_h + i) * d->kernel_w + columns.begin;
            for (size_t j = 0; j < columns.count; ++j) line[j] = pixels[j * dilation];
        }
}

LFD_INLINE void add_lines(const lfd_conv_dims *d, const window *seen, span columns, size_t dilation, size_t channels,
                          const float *patch, float *x) {
    for (size_t c = 0; c < channels; ++c)
        for (size_t i = seen->rows.begin; i < seen->rows.begin + seen->rows.count; ++i) {
            float *pixels = x + (ptrdiff_t)((c * d->height + i * dilation) * d->width) + seen->corner +
                            (ptrdiff_t)(columns.begin * dilation);
            const float *line = patch + (c * d->kernel_h + i) * d->kernel_w + columns.begin;
            for (size_t j = 0; j < columns.count; ++j) pixels[j * dilation] += line[j];
        }
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
        const int whole = is_whole(dims, &seen);
        if (!whole) memset(patches, 0, columns * sizeof *patches);
        if (whole && dims->kernel_w == 3 && dims->dilation == 1)
            take_lines(dims, &seen, (span){0, 3}, 1, range->channels, planes, patches);
        else
            take_lines(dims, &seen, seen.columns, dims->dilation, range->channels, planes, patches);
    }
}

void lfd_patches_fold(const lfd_conv_dims *dims, const lfd_patch_range *range, const float *patches, size_t stride,
                      float *grad_x) {
    const size_t positions = dims->out_height * dims->out_width;
    for (size_t row = range->row; row < range->row + range->rows; ++row, patches += stride) {
        const window seen = window_at(dims, row % positions);
        float *planes = grad_x + planes_of(dims, range, row);
        if (is_whole(dims, &seen) && dims->kernel_w == 3 && dims->dilation == 1)
            add_lines(dims, &seen, (span){0, 3}, 1, range->channels, patches, planes);
        else
            add_lines(dims, &seen, seen.columns, dims->dilation, range->channels, patches, planes);
    }
}

/* ---- gradients through argmaxes --------------------------------------------------------------------------------- */

static const size_t OUTSIDE = SIZE_MAX;

/* The pixel under a column of w at a position, or OUTSIDE. */
static size_t pixel_under(const lfd_conv_dims *d, size_t position, int32_t column) {
    const uint32_t k = (uint32_t)column, kernel_w = (uint32_t)d->kernel_w, kernel_h = (uint32_t)d->kernel_h;
    const uint32_t j = k % kernel_w, i = k / kernel_w % kernel_h, c = k / kernel_w / kernel_h;
    /* Wraps around left of and above the image, to numbers beyond it. */
    const size_t h = position / d->out_width * d->stride + i * d->dilation - d->padding;
    const size_t w = position % d->out_width * d->stride + j * d->dilation - d->padding;
    return h < d->height && w < d->width ? (c * d->height + h) * d->width + w : OUTSIDE;
}

static void scatter_one(float x, float w, float grad_y, float *grad_x, float *grad_w) {
    const float gradient = x > w ? grad_y : x < w ? -grad_y : 0.0f;
    if (grad_x) *grad_x += gradient;
    if (grad_w) *grad_w -= gradient;
}

void lfd_patches_scatter(const lfd_conv_dims *dims, const float *x, const float *w, const int32_t *argmax,
                         const float *grad_y, float *grad_x, float *grad_w) {
    const size_t positions = dims->out_height * dims->out_width;
    for (size_t position = 0; position < positions; ++position) {
        const int32_t column = argmax[position];
        const size_t pixel = pixel_under(dims, position, column);
        const int inside = pixel != OUTSIDE;
        scatter_one(inside ? x[pixel] : 0.0f, w[column], grad_y[position], grad_x && inside ? grad_x + pixel : NULL,
                    grad_w ? grad_w + column : NULL);
    }
}

/* Right of w (w - l <= u - w) the lower bound is l - w and the upper one u - w, left of it they are w - u and w - l. */
void lfd_patches_scatter_bound(const lfd_conv_dims *dims, int upper, const float *xl, const float *xu, const float *w,
                               const int32_t *argmax, const float *grad_y, float *grad_xl, float *grad_xu,
                               float *grad_w) {
    const size_t positions = dims->out_height * dims->out_width;
    for (size_t position = 0; position < positions; ++position) {
        const int32_t column = argmax[position];
        if (column < 0) continue;
        const size_t pixel = pixel_under(dims, position, column);
        const int inside = pixel != OUTSIDE;
        const float l = inside ? xl[pixel] : 0.0f, u = inside ? xu[pixel] : 0.0f;
        const int right = w[column] - l <= u - w[column];
        const float gradient = right ? grad_y[position] : -grad_y[position];
        float *grad_x = right == upper ? grad_xu : grad_xl;
        if (grad_x && inside) grad_x[pixel] += gradient;
        if (grad_w) grad_w[column] -= gradient;
    }
}
