/* CIFAR-10 files, of a few images that the tests write. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cifar10.h"
#include "data_folder.h"

#include <math.h>

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

enum { IMAGE = 3072, RECORD = 3073 };

/* Image k of all: label k mod 10, pixels that tell k, the plane and the place. */
static uint8_t pixel_of(int k, int i) {
    return (uint8_t)(31 * k + 7 * i + i / 1024 * 50);
}

static uint8_t *make_records(int first, int count) {
    uint8_t *records = malloc((size_t)count * RECORD);
    assert_non_null(records);
    for (int k = 0; k < count; ++k) {
        records[k * RECORD] = (uint8_t)((first + k) % 10);
        for (int i = 0; i < IMAGE; ++i) records[k * RECORD + 1 + i] = pixel_of(first + k, i);
    }
    return records;
}

static void write_records(folder *in, const char *name, int first, int count) {
    uint8_t *records = make_records(first, count);
    write_file(in, name, records, (size_t)count * RECORD);
    free(records);
}

static void expect_images(const dataset_split *split, int first, int count) {
    assert_int_equal(split->count, count);
    for (int k = 0; k < count; ++k) {
        assert_int_equal(split->labels[k], (first + k) % 10);
        for (int i = 0; i < IMAGE; ++i) assert_int_equal(split->pixels[k * IMAGE + i], pixel_of(first + k, i));
    }
}

static int open_set(const folder *in, const char *below, dataset *data, int splits, problem *what) {
    char spec[128];
    snprintf(spec, sizeof spec, "cifar10:%s%s", in->path, below);
    return dataset_open(data, spec, 0, splits, what);
}

static void test_batches_present_are_used(void **state) {
    folder *in = *state;
    problem what = {""};
    dataset data;
    write_records(in, "data_batch_1.bin", 0, 4);
    write_records(in, "data_batch_3.bin", 4, 3);
    write_records(in, "data_batch_5.bin", 7, 1);
    write_records(in, "test_batch.bin", 100, 2);
    assert_int_equal(open_set(in, "", &data, DATASET_TRAIN | DATASET_TEST, &what), 0);
    expect_images(&data.train, 0, 8);
    expect_images(&data.test, 100, 2);
    assert_string_equal(data.name, "cifar10");
    assert_string_equal(data.note, "");
    assert_int_equal(data.n_in, IMAGE);
    assert_int_equal(data.classes, 10);
    assert_true(data.mean[0] == 0.4914 && data.mean[1] == 0.4822 && data.mean[2] == 0.4465 && data.std == 0.2009);
    dataset_close(&data);
    assert_int_equal(open_set(in, "", &data, DATASET_TEST, &what), 0);
    expect_images(&data.test, 100, 2);
    assert_null(data.train.pixels);
    dataset_close(&data);
    assert_int_equal(open_set(in, "", &data, DATASET_TRAIN, &what), 0);
    expect_images(&data.train, 0, 8);
    assert_null(data.test.pixels);
    dataset_close(&data);
}

/* Where get.sh unpacks the archive. */
static void test_folder_of_the_archive(void **state) {
    folder *in = *state;
    problem what = {""};
    dataset data;
    write_records(in, "cifar-10-batches-bin/data_batch_1.bin", 0, 3);
    write_records(in, "cifar-10-batches-bin/test_batch.bin", 50, 3);
    for (int inside = 0; inside < 2; ++inside) {
        const char *below = inside ? "/cifar-10-batches-bin" : "";
        assert_int_equal(open_set(in, below, &data, DATASET_TRAIN | DATASET_TEST, &what), 0);
        expect_images(&data.train, 0, 3);
        expect_images(&data.test, 50, 3);
        dataset_close(&data);
    }
}

static void test_split_without_a_test_batch(void **state) {
    folder *in = *state;
    problem what = {""};
    write_records(in, "data_batch_2.bin", 0, 28);
    write_records(in, "data_batch_4.bin", 28, 1); /* the tenth, two images, begins in the batch before */
    for (int splits = 1; splits <= 3; ++splits) {
        dataset data;
        assert_int_equal(open_set(in, "", &data, splits, &what), 0);
        if (splits & DATASET_TRAIN) expect_images(&data.train, 0, 27);
        if (splits & DATASET_TEST) expect_images(&data.test, 27, 2);
        expect_says(data.note, in->path, "no test_batch.bin: the last 2 of the 29 images present are the test images");
        dataset_close(&data);
    }
}

static void expect_refusal(folder *in, int splits, const char *file, const char *says) {
    problem what = {""};
    dataset data;
    assert_int_equal(open_set(in, "", &data, splits, &what), -1);
    expect_says(what.text, file, says);
    assert_null(data.train.pixels);
    assert_null(data.test.pixels);
    empty_folder(in);
}

static void test_bad_files(void **state) {
    folder *in = *state;
    const int both = DATASET_TRAIN | DATASET_TEST;
    expect_refusal(in, both, in->path, "none of data_batch_1.bin to data_batch_5.bin, plain or .gz");
    write_records(in, "test_batch.bin", 0, 2);
    expect_refusal(in, both, in->path, "none of data_batch_1.bin");
    write_records(in, "data_batch_1.bin", 0, 9);
    expect_refusal(in, DATASET_TEST, in->path, "no test_batch.bin, and 9 images are too few to take a tenth of them");
    uint8_t *records = make_records(0, 20);
    write_file(in, "data_batch_1.bin", records, 20 * RECORD - 1);
    expect_refusal(in, both, "data_batch_1.bin", "61459 bytes, expected records of 3073 bytes each");
    write_file(in, "data_batch_1.bin", records, 20 * RECORD);
    write_file(in, "data_batch_2.bin", records, 0);
    expect_refusal(in, both, "data_batch_2.bin", ": 0 bytes, expected records of 3073 bytes");
    records[19 * RECORD] = 10;
    write_file(in, "data_batch_5.bin", records, 20 * RECORD);
    expect_refusal(in, both, "data_batch_5.bin", "label 10 of image 19, expected 0 to 9");
    write_file(in, "test_batch.bin", records, 20 * RECORD);
    expect_refusal(in, DATASET_TEST, "test_batch.bin", "label 10 of image 19, expected 0 to 9");
    free(records);
}

static void test_long_path(void **state) {
    (void)state;
    char spec[1200] = "cifar10:";
    problem what = {""};
    dataset data;
    memset(spec + 8, 'x', 1100);
    spec[1108] = '\0';
    assert_int_equal(dataset_open(&data, spec, 0, DATASET_TRAIN, &what), -1);
    assert_non_null(strstr(what.text, "the path of the data folder is longer than 1024 bytes"));
}

static void test_gzip(void **state) {
#ifdef HAVE_ZLIB
    folder *in = *state;
    char path[FOLDER_PATH];
    problem what = {""};
    dataset data;
    uint8_t *records = make_records(0, 12);
    folder_file(in, "data_batch_1.bin.gz", path);
    gzFile out = gzopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(gzwrite(out, records, 12 * RECORD), 12 * RECORD);
    assert_int_equal(gzclose(out), Z_OK);
    assert_int_equal(open_set(in, "", &data, DATASET_TRAIN | DATASET_TEST, &what), 0);
    expect_images(&data.train, 0, 11);
    expect_images(&data.test, 11, 1);
    dataset_close(&data);
    assert_int_equal(truncate(path, 200), 0);
    expect_refusal(in, DATASET_TRAIN, "data_batch_1.bin.gz", "gzip data ends early");
    free(records);
#else
    (void)state;
    print_message("skipped: built without zlib\n");
    skip();
#endif
}

static void test_real_cifar10(void **state) {
    (void)state;
    const char *folder_name = getenv("LINFDIST_TEST_DATA");
    if (!folder_name) {
        print_message("skipped: LINFDIST_TEST_DATA is unset\n");
        skip();
    }
    char spec[1024];
    problem what = {""};
    dataset data;
    snprintf(spec, sizeof spec, "cifar10:%s/data/cifar10", folder_name);
    int status = dataset_open(&data, spec, 0, DATASET_TRAIN | DATASET_TEST, &what);
    if (status != 0) fail_msg("%s", what.text);
    assert_in_range(data.train.count + data.test.count, 10000, 60000);
    double sum[3] = {0};
    int64_t labels[10] = {0}, n = data.train.count;
    for (int64_t i = 0; i < n * IMAGE; ++i) sum[i % IMAGE / 1024] += data.train.pixels[i];
    for (int64_t i = 0; i < n; ++i) ++labels[data.train.labels[i]];
    for (int c = 0; c < 3; ++c) assert_true(fabs(sum[c] / (255.0 * 1024.0 * (double)n) - data.mean[c]) < 0.01);
    for (int k = 0; k < 10; ++k) assert_in_range(labels[k], n / 12, n / 8);
    dataset_close(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batches_present_are_used, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_folder_of_the_archive, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_split_without_a_test_batch, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_bad_files, make_folder, remove_folder),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test_setup_teardown(test_gzip, make_folder, remove_folder),
        cmocka_unit_test(test_real_cifar10),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
