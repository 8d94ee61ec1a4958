#include "batch.h"

#include "rng.h"

#include <stdlib.h>

struct batches {
    const dataset *data;
    int64_t batch_size;
    uint64_t seed;
    int64_t epoch;                               /* that order belongs to; -1: none yet */
    uint32_t *order;                             /* a permutation of the samples, by class in each batch */
    uint64_t *keys;                              /* batch_size: class << 32 | sample */
    float *x;                                    /* batch_size x n_in */
    float *ball;                                 /* batch_size x n_in lower ends, and as many upper ones; or NULL */
    int32_t *labels;                             /* batch_size */
    float normalized[DATASET_MAX_CHANNELS][256]; /* of every raw byte */
};

static void fill_normalized(batches *b) {
    for (int64_t c = 0; c < b->data->channels; ++c)
        for (int byte = 0; byte < 256; ++byte)
            b->normalized[c][byte] = dataset_normalized(b->data, c, (float)byte / 255.0f);
}

int batches_create(const dataset *data, int64_t batch_size, uint64_t seed, batches **made, problem *what) {
    batches *b = calloc(1, sizeof *b);
    if (!b) return problem_set(what, "out of memory");
    b->data = data;
    b->batch_size = batch_size < data->train.count ? batch_size : data->train.count;
    b->seed = seed;
    b->epoch = -1;
    b->order = malloc((size_t)data->train.count * sizeof *b->order);
    b->keys = malloc((size_t)b->batch_size * sizeof *b->keys);
    b->x = malloc((size_t)(b->batch_size * data->n_in) * sizeof *b->x);
    b->labels = malloc((size_t)b->batch_size * sizeof *b->labels);
    if (!b->order || !b->keys || !b->x || !b->labels) {
        batches_destroy(b);
        return problem_set(what, "out of memory for batches of %lld samples", (long long)batch_size);
    }
    fill_normalized(b);
    *made = b;
    return 0;
}

void batches_destroy(batches *b) {
    if (!b) return;
    free(b->order);
    free(b->keys);
    free(b->x);
    free(b->ball);
    free(b->labels);
    free(b);
}

int64_t batches_per_epoch(const batches *b) {
    return (b->data->train.count + b->batch_size - 1) / b->batch_size;
}

static int by_key(const void *a, const void *b) {
    const uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return (first > second) - (first < second);
}

/* The same inputs matter to samples of one class: where they stand together, passes at large p take less time. */
static void sort_by_class(const batches *b, uint32_t *samples, int64_t count) {
    for (int64_t i = 0; i < count; ++i) b->keys[i] = (uint64_t)b->data->train.labels[samples[i]] << 32 | samples[i];
    qsort(b->keys, (size_t)count, sizeof *b->keys, by_key);
    for (int64_t i = 0; i < count; ++i) samples[i] = (uint32_t)b->keys[i];
}

/* Fisher-Yates. */
static void shuffle(batches *b, int64_t epoch) {
    rng r = rng_at(b->seed, RNG_ORDER, (uint64_t)epoch);
    uint32_t count = (uint32_t)b->data->train.count;
    for (uint32_t i = 0; i < count; ++i) b->order[i] = i;
    for (uint32_t left = count; left > 1; --left) {
        uint32_t pick = rng_below(&r, left);
        uint32_t swap = b->order[pick];
        b->order[pick] = b->order[left - 1];
        b->order[left - 1] = swap;
    }
    for (int64_t first = 0; first < count; first += b->batch_size) {
        const int64_t left = count - first;
        sort_by_class(b, b->order + first, left < b->batch_size ? left : b->batch_size);
    }
    b->epoch = epoch;
}

static int64_t clamp(int64_t i, int64_t end) {
    return i < 0 ? 0 : i >= end ? end - 1 : i;
}

/* Where a crop begins, relative to the image; beyond its edges lies the padding. */
typedef struct placement {
    int64_t top, left;
    int mirrored;
} placement;

/* Padding around the image makes a random crop a random shift. */
static placement draw_placement(const batches *b, int64_t epoch, int64_t sample) {
    const dataset *data = b->data;
    const augmentation *augment = data->augment;
    rng r = rng_at(b->seed, RNG_CROP, (uint64_t)epoch * (uint64_t)data->train.count + (uint64_t)sample);
    int64_t padded = data->side + 2 * augment->padding_px;
    placement at;
    at.top = (int64_t)rng_below(&r, (uint32_t)(padded - data->height + 1)) - augment->padding_px;
    at.left = (int64_t)rng_below(&r, (uint32_t)(padded - data->width_px + 1)) - augment->padding_px;
    at.mirrored = augment->flips && rng_below(&r, 2);
    return at;
}

/* One row of a crop; from: the image's row, or NULL in zero padding above and below it. */
static void crop_row(const dataset *data, const float normalized[256], const uint8_t *from, placement at, float *x) {
    for (int64_t column = 0; column < data->width_px; ++column) {
        int64_t source = at.left + (at.mirrored ? data->width_px - 1 - column : column);
        int64_t inside = clamp(source, data->side);
        int padding = !from || (inside != source && data->augment->zero_padding);
        x[column] = normalized[padding ? 0 : from[inside]];
    }
}

static void crop(const batches *b, const uint8_t *pixels, placement at, float *x) {
    const dataset *data = b->data;
    for (int64_t c = 0; c < data->channels; ++c)
        for (int64_t row = 0; row < data->height; ++row, x += data->width_px) {
            int64_t inside = clamp(at.top + row, data->side);
            int padding = inside != at.top + row && data->augment->zero_padding;
            const uint8_t *from = padding ? NULL : pixels + (c * data->side + inside) * data->side;
            crop_row(data, b->normalized[c], from, at, x);
        }
}

int64_t batches_get(batches *b, int64_t epoch, int64_t batch, const float **x, const int32_t **labels) {
    const dataset *data = b->data;
    if (b->epoch != epoch) shuffle(b, epoch);
    int64_t first = batch * b->batch_size;
    int64_t count = data->train.count - first < b->batch_size ? data->train.count - first : b->batch_size;
    for (int64_t i = 0; i < count; ++i) {
        int64_t sample = b->order[first + i];
        crop(b, data->train.pixels + sample * dataset_image_size(data), draw_placement(b, epoch, sample),
             b->x + i * data->n_in);
        b->labels[i] = data->train.labels[sample];
    }
    *x = b->x;
    *labels = b->labels;
    return count;
}

/* The ends of one channel's pixels. */
static void fill_ball(const float *x, int64_t positions, double eps, float low, float high, float *lower,
                      float *upper) {
    for (int64_t i = 0; i < positions; ++i) {
        const float below = (float)((double)x[i] - eps), above = (float)((double)x[i] + eps);
        lower[i] = below < low ? low : below;
        upper[i] = above > high ? high : above;
    }
}

int batches_ball(batches *b, int64_t count, double eps_normalized, const float **lower, const float **upper,
                 problem *what) {
    const dataset *data = b->data;
    const int64_t size = b->batch_size * data->n_in, positions = data->height * data->width_px;
    if (!b->ball) b->ball = malloc(2 * (size_t)size * sizeof *b->ball);
    if (!b->ball) return problem_set(what, "out of memory");
    for (int64_t plane = 0; plane < count * data->channels; ++plane) {
        const float *normalized = b->normalized[plane % data->channels];
        float *ends = b->ball + plane * positions;
        fill_ball(b->x + plane * positions, positions, eps_normalized, normalized[0], normalized[255], ends,
                  ends + size);
    }
    *lower = b->ball;
    *upper = b->ball + size;
    return 0;
}
