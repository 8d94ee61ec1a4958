#include "dataset.h"

#include "digits.h"
#include "mnist.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int dataset_split_alloc(dataset_split *split, int64_t count, int64_t n_in, problem *what) {
    split->count = count;
    split->pixels = malloc((size_t)count * (size_t)n_in);
    split->labels = malloc((size_t)count * sizeof *split->labels);
    if (split->pixels && split->labels) return 0;
    dataset_split_free(split);
    return problem_set(what, "out of memory for %" PRId64 " images of %" PRId64 " pixels", count, n_in);
}

void dataset_split_free(dataset_split *split) {
    free(split->pixels);
    free(split->labels);
    memset(split, 0, sizeof *split);
}

static int open_mnist(dataset *data, const char *directory, int splits, problem *what) {
    snprintf(data->name, sizeof data->name, "mnist");
    data->mean[0] = 0.1307;
    data->std = 0.3081;
    if ((splits & DATASET_TRAIN) && mnist_read(&data->train, directory, "train", what) != 0) return -1;
    if ((splits & DATASET_TEST) && mnist_read(&data->test, directory, "t10k", what) != 0) return -1;
    return 0;
}

static int open_digits(dataset *data, const char *sizes, uint64_t seed, int splits, problem *what) {
    int64_t train = DIGITS_TRAIN_COUNT, test = DIGITS_TEST_COUNT;
    int end = 0;
    if (sizes && (sscanf(sizes, "%7" SCNd64 ",%7" SCNd64 "%n", &train, &test, &end) != 2 || sizes[end] != '\0' ||
                  train < 1 || test < 1))
        return problem_set(what, "digits:%s: expected digits:TRAIN,TEST with two counts from 1 to 9999999", sizes);
    snprintf(data->name, sizeof data->name, "digits:%" PRId64 ",%" PRId64, train, test);
    data->mean[0] = DIGITS_MEAN;
    data->std = DIGITS_STD;
    if ((splits & DATASET_TRAIN) && digits_generate(&data->train, train, seed, RNG_DIGITS_TRAIN, what) != 0) return -1;
    if ((splits & DATASET_TEST) && digits_generate(&data->test, test, seed, RNG_DIGITS_TEST, what) != 0) return -1;
    return 0;
}

int dataset_open(dataset *data, const char *spec, uint64_t seed, int splits, problem *what) {
    memset(data, 0, sizeof *data);
    data->channels = 1;
    data->height = data->width_px = 28;
    data->n_in = data->channels * data->height * data->width_px;
    data->classes = 10;
    data->crop_px = 1;
    int status;
    if (strcmp(spec, "digits") == 0)
        status = open_digits(data, NULL, seed, splits, what);
    else if (strncmp(spec, "digits:", 7) == 0)
        status = open_digits(data, spec + 7, seed, splits, what);
    else if (strncmp(spec, "mnist:", 6) == 0 && spec[6] != '\0')
        status = open_mnist(data, spec + 6, splits, what);
    else
        status = problem_set(what, "'%s' is no data set: expected digits, digits:TRAIN,TEST or mnist:DIR", spec);
    if (status != 0) dataset_close(data);
    return status;
}

void dataset_close(dataset *data) {
    dataset_split_free(&data->train);
    dataset_split_free(&data->test);
}

/* FNV-1a, 64 bits. */
static uint64_t hash_bytes(uint64_t hash, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t dataset_fingerprint(const dataset *data, const dataset_split *split) {
    uint64_t hash = hash_bytes(UINT64_C(0xcbf29ce484222325), split->pixels, (size_t)(split->count * data->n_in));
    for (int64_t i = 0; i < split->count; ++i) {
        uint8_t label = (uint8_t)split->labels[i];
        hash = hash_bytes(hash, &label, 1);
    }
    return hash;
}

void dataset_raw(const dataset *data, const dataset_split *split, int64_t first, int64_t count, float *raw) {
    const uint8_t *pixels = split->pixels + first * data->n_in;
    for (int64_t i = 0; i < count * data->n_in; ++i) raw[i] = (float)pixels[i] / 255.0f;
}
