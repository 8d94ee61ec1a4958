#include "dataset.h"

#include "cifar10.h"
#include "digits.h"
#include "mnist.h"
#include "tiny_imagenet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int dataset_split_alloc(dataset_split *split, int64_t count, int64_t image_size, problem *what) {
    split->count = count;
    split->pixels = malloc((size_t)count * (size_t)image_size);
    split->labels = malloc((size_t)count * sizeof *split->labels);
    if (split->pixels && split->labels) return 0;
    dataset_split_free(split);
    return problem_set(what, "out of memory for %" PRId64 " images of %" PRId64 " bytes", count, image_size);
}

void dataset_split_free(dataset_split *split) {
    free(split->pixels);
    free(split->labels);
    memset(split, 0, sizeof *split);
}

/* The readers: what follows "SET:" (NULL where nothing does), into the splits that are asked for. */
static int read_digits(dataset *data, const char *sizes, uint64_t seed, int splits, problem *what) {
    int64_t train = DIGITS_TRAIN_COUNT, test = DIGITS_TEST_COUNT;
    int end = 0;
    if (sizes && (sscanf(sizes, "%7" SCNd64 ",%7" SCNd64 "%n", &train, &test, &end) != 2 || sizes[end] != '\0' ||
                  train < 1 || test < 1))
        return problem_set(what, "digits:%s: expected digits:TRAIN,TEST with two counts from 1 to 9999999", sizes);
    snprintf(data->name, sizeof data->name, "digits:%" PRId64 ",%" PRId64, train, test);
    if ((splits & DATASET_TRAIN) && digits_generate(&data->train, train, seed, RNG_DIGITS_TRAIN, what) != 0) return -1;
    if ((splits & DATASET_TEST) && digits_generate(&data->test, test, seed, RNG_DIGITS_TEST, what) != 0) return -1;
    return 0;
}

static int read_mnist(dataset *data, const char *directory, uint64_t seed, int splits, problem *what) {
    (void)seed;
    if ((splits & DATASET_TRAIN) && mnist_read(&data->train, directory, "train", what) != 0) return -1;
    if ((splits & DATASET_TEST) && mnist_read(&data->test, directory, "t10k", what) != 0) return -1;
    return 0;
}

static int read_cifar10(dataset *data, const char *directory, uint64_t seed, int splits, problem *what) {
    (void)seed;
    return cifar10_read(data, directory, splits, what);
}

static int read_tiny_imagenet(dataset *data, const char *directory, uint64_t seed, int splits, problem *what) {
    (void)seed;
    return tiny_imagenet_read(data, directory, splits, what);
}

typedef struct set_kind {
    const char *name;
    int generated; /* needs no directory */
    int64_t channels, side, classes;
    double mean[DATASET_MAX_CHANNELS], std;
    int (*read)(dataset *data, const char *where, uint64_t seed, int splits, problem *what);
} set_kind;

static const set_kind kinds[] = {
    {"digits", 1, 1, 28, 10, {DIGITS_MEAN}, DIGITS_STD, read_digits},
    {"mnist", 0, 1, 28, 10, {0.1307}, 0.3081, read_mnist},
    {"fashion-mnist", 0, 1, 28, 10, {0.2860}, 0.3520, read_mnist},
    {"cifar10", 0, 3, CIFAR10_SIDE, 10, {0.4914, 0.4822, 0.4465}, 0.2009, read_cifar10},
    {"tiny-imagenet", 0, 3, TINY_IMAGENET_SIDE, 200, {0.4802, 0.4481, 0.3975}, 0.2276, read_tiny_imagenet},
};

/* *where: what follows the colon, NULL where there is none. NULL for no data set. */
static const set_kind *find_kind(const char *spec, const char **where) {
    size_t length = strcspn(spec, ":");
    *where = spec[length] ? spec + length + 1 : NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        const set_kind *kind = &kinds[i];
        if (strlen(kind->name) != length || memcmp(kind->name, spec, length) != 0) continue;
        return kind->generated || (*where && **where) ? kind : NULL;
    }
    return NULL;
}

/* What a net takes of each image: the augmentation's crops, which random padding does not change. */
static void take_crops(dataset *data, const augmentation *augment) {
    data->augment = augment;
    data->height = data->width_px = augment->crop_px > 0 ? augment->crop_px : data->side;
    data->n_in = data->channels * data->height * data->width_px;
}

int dataset_open(dataset *data, const char *spec, uint64_t seed, int splits, problem *what) {
    const char *where;
    const set_kind *kind = find_kind(spec, &where);
    memset(data, 0, sizeof *data);
    if (!kind) return problem_set(what, "'%s' is no data set: expected " DATASET_SPECS, spec);
    snprintf(data->name, sizeof data->name, "%s", kind->name);
    data->channels = kind->channels;
    data->side = kind->side;
    data->classes = kind->classes;
    memcpy(data->mean, kind->mean, sizeof data->mean);
    data->std = kind->std;
    take_crops(data, augment_find(kind->name, AUGMENT_LAST_YEAR));
    int status = kind->read(data, where, seed, splits, what);
    if (status != 0) dataset_close(data);
    return status;
}

void dataset_close(dataset *data) {
    dataset_split_free(&data->train);
    dataset_split_free(&data->test);
}

void dataset_augment(dataset *data, int64_t year) {
    take_crops(data, augment_find(data->augment->set, year));
}

int dataset_fit(dataset *data, int64_t height, int64_t width_px) {
    const augmentation *before = data->augment;
    for (int64_t year = AUGMENT_LAST_YEAR; year >= AUGMENT_FIRST_YEAR; --year) {
        dataset_augment(data, year);
        if (data->height == height && data->width_px == width_px) return 0;
    }
    take_crops(data, before);
    return -1;
}

int64_t dataset_image_size(const dataset *data) {
    return data->channels * data->side * data->side;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_bytes(uint64_t hash, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t dataset_fingerprint(const dataset *data, const dataset_split *split) {
    size_t size = (size_t)(split->count * dataset_image_size(data));
    uint64_t hash = hash_bytes(UINT64_C(0xcbf29ce484222325), split->pixels, size);
    for (int64_t i = 0; i < split->count; ++i) {
        uint8_t label = (uint8_t)split->labels[i];
        hash = hash_bytes(hash, &label, 1);
    }
    return hash;
}

float dataset_normalized(const dataset *data, int64_t channel, float raw) {
    return (float)(((double)raw - data->mean[channel]) / data->std);
}

void dataset_raw(const dataset *data, const dataset_split *split, int64_t first, int64_t count, float *raw) {
    int64_t top = (data->side - data->height) / 2, left = (data->side - data->width_px) / 2;
    const uint8_t *plane = split->pixels + first * dataset_image_size(data);
    for (int64_t i = 0; i < count * data->channels; ++i, plane += data->side * data->side)
        for (int64_t row = 0; row < data->height; ++row)
            for (int64_t column = 0; column < data->width_px; ++column)
                *raw++ = (float)plane[(top + row) * data->side + left + column] / 255.0f;
}
