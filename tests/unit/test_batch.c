/* Training batches: order, augmentation, normalization. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "batch.h"

#include <stdlib.h>
#include <string.h>

#define PIXELS 784

static void test_batches_cover_an_epoch_once(void **state) {
    (void)state;
    problem what;
    dataset data;
    batches *source;
    assert_int_equal(dataset_open(&data, "digits:103,1", 5, DATASET_TRAIN, &what), 0);
    for (int i = 0; i < 103; ++i) data.train.labels[i] = i; /* to see which sample it is */
    assert_int_equal(batches_create(&data, 25, 5, &source, &what), 0);
    assert_int_equal(batches_per_epoch(source), 5);
    int first_order[103], moved = 0;
    for (int64_t epoch = 0; epoch < 2; ++epoch) {
        int seen[103] = {0}, place = 0;
        for (int64_t k = 0; k < 5; ++k) {
            const float *x;
            const int32_t *labels;
            int64_t count = batches_get(source, epoch, k, &x, &labels);
            assert_int_equal(count, k < 4 ? 25 : 3);
            for (int64_t i = 0; i < count; ++i, ++place) {
                ++seen[labels[i]];
                moved += epoch == 1 && first_order[place] != labels[i];
                first_order[place] = labels[i];
                if (i > 0) assert_true(labels[i - 1] <= labels[i]); /* classes stand together */
            }
        }
        for (int i = 0; i < 103; ++i) assert_int_equal(seen[i], 1);
    }
    assert_true(moved > 80); /* another order in the second epoch */
    batches_destroy(source);
    dataset_close(&data);
}

/* A batch asked for out of order, by another object, is the same. */
static void test_batches_are_functions_of_their_place(void **state) {
    (void)state;
    problem what;
    dataset data;
    batches *one, *other;
    const float *x, *y;
    const int32_t *x_labels, *y_labels;
    assert_int_equal(dataset_open(&data, "digits:64,1", 5, DATASET_TRAIN, &what), 0);
    assert_int_equal(batches_create(&data, 16, 9, &one, &what), 0);
    assert_int_equal(batches_create(&data, 16, 9, &other, &what), 0);
    for (int64_t epoch = 0; epoch < 3; ++epoch)
        for (int64_t k = 0; k < 4; ++k) batches_get(one, epoch, k, &x, &x_labels);
    assert_int_equal(batches_get(one, 1, 2, &x, &x_labels), 16);
    assert_int_equal(batches_get(other, 1, 2, &y, &y_labels), 16);
    assert_memory_equal(x, y, 16 * PIXELS * sizeof *x);
    assert_memory_equal(x_labels, y_labels, 16 * sizeof *x_labels);
    batches_get(other, 2, 2, &y, &y_labels);
    assert_memory_not_equal(x, y, 16 * PIXELS * sizeof *x);
    batches_destroy(one);
    batches_destroy(other);
    dataset_close(&data);
}

/* ---- augmentation ---- */

/* One image of bytes that repeat nowhere, of the shape of a set. */
static dataset make_image(const char *set, int64_t year, int64_t channels, int64_t side) {
    problem what;
    dataset data = {.channels = channels, .side = side, .mean = {0.1, 0.2, 0.3}, .std = 0.25};
    data.augment = augment_find(set, AUGMENT_LAST_YEAR);
    assert_non_null(data.augment);
    dataset_augment(&data, year);
    assert_int_equal(dataset_split_alloc(&data.train, 1, dataset_image_size(&data), &what), 0);
    uint32_t bits = 1;
    for (int64_t i = 0; i < dataset_image_size(&data); ++i) {
        bits = bits * 1664525u + 1013904223u;
        data.train.pixels[i] = (uint8_t)(bits >> 24);
    }
    data.train.labels[0] = 7;
    return data;
}

/* What is done to a set, as the papers' programs do it. */
typedef struct expectation {
    const char *set;
    int64_t year, channels, side;
    int64_t padding, zero, flips, crop;
} expectation;

/* The padded image, written out plainly: channels x (side + 2 padding)^2. */
static uint8_t *pad_image(const dataset *data, const expectation *e) {
    int64_t side = e->side, wide = side + 2 * e->padding;
    uint8_t *padded = calloc((size_t)(e->channels * wide * wide), 1);
    assert_non_null(padded);
    for (int64_t c = 0; c < e->channels; ++c)
        for (int64_t row = 0; row < wide; ++row)
            for (int64_t column = 0; column < wide; ++column) {
                int64_t y = row - e->padding, x = column - e->padding;
                int inside = y >= 0 && y < side && x >= 0 && x < side;
                if (!inside && e->zero) continue;
                y = y < 0 ? 0 : y >= side ? side - 1 : y;
                x = x < 0 ? 0 : x >= side ? side - 1 : x;
                padded[(c * wide + row) * wide + column] = data->train.pixels[(c * side + y) * side + x];
            }
    return padded;
}

static int is_crop(const dataset *data, const expectation *e, const uint8_t *padded, int64_t top, int64_t left,
                   int mirrored, const float *x) {
    int64_t wide = e->side + 2 * e->padding;
    for (int64_t c = 0; c < e->channels; ++c)
        for (int64_t row = 0; row < e->crop; ++row)
            for (int64_t column = 0; column < e->crop; ++column) {
                int64_t from = left + (mirrored ? e->crop - 1 - column : column);
                uint8_t byte = padded[(c * wide + top + row) * wide + from];
                float value = (float)(((double)((float)byte / 255.0f) - data->mean[c]) / data->std);
                if (*x++ != value) return 0;
            }
    return 1;
}

/* Every epoch shows one of the crops that there may be, exactly; all of them come, about equally often. */
static void check_augmentation(const expectation *e) {
    problem what;
    batches *source;
    dataset data = make_image(e->set, e->year, e->channels, e->side);
    assert_int_equal(data.height, e->crop);
    assert_int_equal(data.width_px, e->crop);
    assert_int_equal(data.n_in, e->channels * e->crop * e->crop);
    uint8_t *padded = pad_image(&data, e);
    int64_t places = e->side + 2 * e->padding - e->crop + 1, mirrors = e->flips ? 2 : 1;
    int64_t all = places * places * mirrors;
    int *used = calloc((size_t)all, sizeof *used);
    assert_non_null(used);
    assert_int_equal(batches_create(&data, 64, 11, &source, &what), 0);
    for (int64_t epoch = 0; epoch < 25 * all; ++epoch) {
        const float *x;
        const int32_t *labels;
        assert_int_equal(batches_get(source, epoch, 0, &x, &labels), 1);
        int found = 0;
        for (int64_t k = 0; k < all; ++k)
            if (is_crop(&data, e, padded, k / mirrors / places, k / mirrors % places, (int)(k % mirrors), x)) {
                ++used[k];
                ++found;
            }
        if (found != 1) fail_msg("%s %d: epoch %d shows %d crops", e->set, (int)e->year, (int)epoch, found);
    }
    for (int64_t k = 0; k < all; ++k) assert_in_range(used[k], 5, 55); /* 25 expected */
    batches_destroy(source);
    dataset_close(&data);
    free(padded);
    free(used);
}

static void test_augmentations_are_exact(void **state) {
    (void)state;
    static const expectation all[] = {
        /* set, year, channels, side, padding, zero, flips, crop */
        {"digits", 2022, 1, 28, 1, 0, 0, 28},        {"mnist", 2022, 1, 28, 1, 0, 0, 28},
        {"fashion-mnist", 2022, 1, 28, 1, 0, 0, 28}, {"cifar10", 2022, 3, 32, 3, 0, 1, 32},
        {"tiny-imagenet", 2022, 3, 64, 4, 0, 1, 64}, {"digits", 2021, 1, 28, 1, 1, 0, 28},
        {"mnist", 2021, 1, 28, 1, 1, 0, 28},         {"fashion-mnist", 2021, 1, 28, 1, 1, 0, 28},
        {"cifar10", 2021, 3, 32, 4, 1, 1, 32},       {"tiny-imagenet", 2021, 3, 64, 0, 0, 1, 56},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) check_augmentation(&all[i]);
}

static void test_augmentations_by_name(void **state) {
    (void)state;
    assert_null(augment_find("svhn", 2022));
    assert_null(augment_find("cifar10", 2020));
    assert_null(augment_find("cifar", 2022));
}

/* Beside the place in the order, only (seed, epoch, sample) counts: not the batch size. */
static void test_augmentation_of_a_sample(void **state) {
    (void)state;
    enum { COUNT = 40 };
    static float seen[COUNT][PIXELS];
    problem what;
    dataset data;
    assert_int_equal(dataset_open(&data, "digits:40,1", 5, DATASET_TRAIN, &what), 0);
    for (int i = 0; i < COUNT; ++i) data.train.labels[i] = i; /* to see which sample it is */
    for (int64_t size = 40; size >= 1; size /= 3) {
        batches *source;
        assert_int_equal(batches_create(&data, size, 9, &source, &what), 0);
        for (int64_t k = 0; k < batches_per_epoch(source); ++k) {
            const float *x;
            const int32_t *labels;
            int64_t count = batches_get(source, 3, k, &x, &labels);
            for (int64_t i = 0; i < count; ++i, x += PIXELS) {
                if (size < 40) assert_memory_equal(seen[labels[i]], x, sizeof seen[0]);
                memcpy(seen[labels[i]], x, sizeof seen[0]);
            }
        }
        batches_destroy(source);
    }
    dataset_close(&data);
}

static uint64_t hash_epoch(const dataset *data, uint64_t seed) {
    problem what;
    batches *source;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    assert_int_equal(batches_create(data, 1, seed, &source, &what), 0);
    const float *x;
    const int32_t *labels;
    batches_get(source, 2, 0, &x, &labels);
    for (int64_t i = 0; i < data->n_in; ++i) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        hash = (hash ^ bits) * UINT64_C(0x100000001b3);
    }
    batches_destroy(source);
    return hash;
}

/* Pinned: trainings that went on in another version, or on another machine, see the same images. */
static void test_augmentation_known_bits(void **state) {
    (void)state;
    static const struct {
        const char *set;
        int64_t year, channels, side;
        uint64_t hash;
    } known[] = {
        {"mnist", 2022, 1, 28, UINT64_C(0x4c1c0c60d1cda6ba)},
        {"cifar10", 2022, 3, 32, UINT64_C(0x890597e72691df98)},
        {"cifar10", 2021, 3, 32, UINT64_C(0xe88601cda92419fe)},
        {"tiny-imagenet", 2021, 3, 64, UINT64_C(0x968bfc2f7fccf660)},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        dataset data = make_image(known[i].set, known[i].year, known[i].channels, known[i].side);
        uint64_t hash = hash_epoch(&data, 2021);
        if (hash != known[i].hash)
            fail_msg("%s %d: 0x%016llx", known[i].set, (int)known[i].year, (unsigned long long)hash);
        assert_true(hash != hash_epoch(&data, 2022));
        dataset_close(&data);
    }
}

/* ---- the ball around a batch ---- */

/* Every end is eps away, or at the end of its channel's pixels, whichever is nearer. */
static void test_ball(void **state) {
    (void)state;
    problem what;
    batches *source;
    dataset data = make_image("cifar10", 2022, 3, 32);
    const float *x, *lower, *upper;
    const int32_t *labels;
    const double eps = 0.75;
    int clamped = 0;
    assert_int_equal(batches_create(&data, 8, 11, &source, &what), 0);
    const int64_t count = batches_get(source, 0, 0, &x, &labels);
    assert_int_equal(batches_ball(source, count, eps, &lower, &upper, &what), 0);
    for (int64_t i = 0; i < count * data.n_in; ++i) {
        const int64_t channel = i / (32 * 32) % 3;
        const float low = dataset_normalized(&data, channel, 0), high = dataset_normalized(&data, channel, 1);
        const float below = (float)((double)x[i] - eps), above = (float)((double)x[i] + eps);
        assert_true(lower[i] == (below < low ? low : below));
        assert_true(upper[i] == (above > high ? high : above));
        clamped += lower[i] == low || upper[i] == high;
    }
    assert_in_range(clamped, 100, count * data.n_in - 100);
    batches_destroy(source);
    dataset_close(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_cover_an_epoch_once),
        cmocka_unit_test(test_batches_are_functions_of_their_place),
        cmocka_unit_test(test_augmentations_are_exact),
        cmocka_unit_test(test_augmentations_by_name),
        cmocka_unit_test(test_ball),
        cmocka_unit_test(test_augmentation_of_a_sample),
        cmocka_unit_test(test_augmentation_known_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
