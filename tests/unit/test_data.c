/* The data sets of the example programs: generated digits, specs, IDX files. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "data_folder.h"
#include "dataset.h"
#include "digits.h"
#include "mnist.h"

#include <math.h>

#define PIXELS 784

/* ---- digits ---- */

static void test_digits_same_seed_same_bytes(void **state) {
    (void)state;
    problem what;
    dataset a, b;
    assert_int_equal(dataset_open(&a, "digits:300,100", 7, DATASET_TRAIN | DATASET_TEST, &what), 0);
    assert_int_equal(dataset_open(&b, "digits:500,100", 7, DATASET_TRAIN, &what), 0);
    assert_memory_equal(a.train.pixels, b.train.pixels, 300 * PIXELS); /* whatever the size of the set */
    assert_memory_equal(a.train.labels, b.train.labels, 300 * sizeof(int32_t));
    assert_null(b.test.pixels);
    dataset_close(&b);
    assert_int_equal(dataset_open(&b, "digits:300,100", 8, DATASET_TRAIN, &what), 0);
    assert_memory_not_equal(a.train.pixels, b.train.pixels, 300 * PIXELS);
    dataset_close(&b);
    dataset_close(&a);
}

/* Pinned: any machine and compiler draws these bytes. */
static void test_digits_known_fingerprint(void **state) {
    (void)state;
    problem what;
    dataset data;
    assert_int_equal(dataset_open(&data, "digits:1000,100", 2021, DATASET_TRAIN | DATASET_TEST, &what), 0);
    assert_int_equal(dataset_fingerprint(&data, &data.train), UINT64_C(0x1cd35b314fbb4276));
    assert_int_equal(dataset_fingerprint(&data, &data.test), UINT64_C(0x589b1ea44d26e2fd));
    dataset_close(&data);
}

static int compare_images(const void *a, const void *b) {
    return memcmp(a, b, PIXELS);
}

static void test_digits_train_and_test_are_disjoint(void **state) {
    (void)state;
    problem what;
    dataset data;
    assert_int_equal(dataset_open(&data, "digits", 2021, DATASET_TRAIN | DATASET_TEST, &what), 0);
    assert_int_equal(data.train.count, DIGITS_TRAIN_COUNT);
    assert_int_equal(data.test.count, DIGITS_TEST_COUNT);
    qsort(data.train.pixels, (size_t)data.train.count, PIXELS, compare_images);
    for (int64_t i = 0; i < data.test.count; ++i)
        assert_null(bsearch(data.test.pixels + i * PIXELS, data.train.pixels, (size_t)data.train.count, PIXELS,
                            compare_images));
    for (int64_t i = 1; i < data.train.count; ++i)
        assert_memory_not_equal(data.train.pixels + (i - 1) * PIXELS, data.train.pixels + i * PIXELS, PIXELS);
    dataset_close(&data);
}

static void test_digits_statistics(void **state) {
    (void)state;
    problem what;
    dataset data;
    assert_int_equal(dataset_open(&data, "digits", 2021, DATASET_TRAIN, &what), 0);
    double sum = 0.0, squares = 0.0, n = (double)(data.train.count * PIXELS);
    int64_t labels[10] = {0};
    for (int64_t i = 0; i < data.train.count * PIXELS; ++i) {
        double value = data.train.pixels[i] / 255.0;
        sum += value;
        squares += value * value;
    }
    for (int64_t i = 0; i < data.train.count; ++i) ++labels[data.train.labels[i]];
    assert_true(fabs(sum / n - data.mean[0]) < 0.001);
    assert_true(fabs(sqrt(squares / n - sum * sum / n / n) - data.std) < 0.001);
    for (int digit = 0; digit < 10; ++digit) assert_in_range(labels[digit], 850, 1150);
    dataset_close(&data);
}

/* ---- how hard the digits are: softmax regression, trained by plain gradient steps ---- */

#define CLASSES 10
typedef struct linear {
    float weight[CLASSES][PIXELS + 1];
} linear;

static int linear_scores(const linear *model, const uint8_t *pixels, float scores[CLASSES]) {
    int best = 0;
    for (int c = 0; c < CLASSES; ++c) {
        float partial[16] = {0}; /* independent sums, so that the compiler may use vectors */
        for (int i = 0; i < PIXELS; i += 16)
            for (int lane = 0; lane < 16; ++lane) partial[lane] += model->weight[c][i + lane] * (float)pixels[i + lane];
        float sum = 0.0f;
        for (int lane = 0; lane < 16; ++lane) sum += partial[lane];
        scores[c] = sum / 255.0f + model->weight[c][PIXELS];
        best = scores[c] > scores[best] ? c : best;
    }
    return best;
}

static void linear_step(linear *model, const uint8_t *pixels, int label, float rate) {
    float z[CLASSES], sum = 0.0f;
    int best = linear_scores(model, pixels, z);
    float largest = z[best];
    for (int c = 0; c < CLASSES; ++c) sum += z[c] = expf(z[c] - largest);
    for (int c = 0; c < CLASSES; ++c) {
        float step = rate * (z[c] / sum - (float)(c == label));
        for (int i = 0; i < PIXELS; ++i) model->weight[c][i] -= step / 255.0f * (float)pixels[i];
        model->weight[c][PIXELS] -= step;
    }
}

static double linear_accuracy(const linear *model, const dataset_split *split) {
    int64_t right = 0;
    float scores[CLASSES];
    for (int64_t i = 0; i < split->count; ++i)
        right += linear_scores(model, split->pixels + i * PIXELS, scores) == split->labels[i];
    return (double)right / (double)split->count;
}

static void test_digits_are_hard_for_a_linear_classifier(void **state) {
    (void)state;
    problem what;
    dataset data;
    linear *model = calloc(1, sizeof *model);
    assert_non_null(model);
    assert_int_equal(dataset_open(&data, "digits", 2021, DATASET_TRAIN | DATASET_TEST, &what), 0);
    const int epochs = 8;
    for (int epoch = 0; epoch < epochs; ++epoch)
        for (int64_t i = 0; i < data.train.count; ++i)
            linear_step(model, data.train.pixels + i * PIXELS, data.train.labels[i],
                        0.05f * (1.0f - (float)epoch / (float)epochs));
    double train = linear_accuracy(model, &data.train), test = linear_accuracy(model, &data.test);
    print_message("linear classifier: train %.4f, test %.4f\n", train, test);
    assert_true(train > 0.9); /* it did learn */
    assert_true(test > 0.8);
    assert_true(test < 0.95);
    dataset_close(&data);
    free(model);
}

/* ---- specs ---- */

static void test_dataset_specs_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",      "digit",         "digits:", "digits:0,10", "digits:10", "digits:10,-1",   "digits:10,20x", "mnist:",
        "mnist", "fashion-mnist", "cifar:x", "cifar10",     "cifar10:",  "tiny-imagenet:", "mnist10:x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        problem what = {""};
        dataset data;
        assert_int_equal(dataset_open(&data, bad[i], 1, DATASET_TEST, &what), -1);
        expect_says(what.text, bad[i],
                    strncmp(bad[i], "digits:", 7) == 0 ? "digits:TRAIN,TEST" : "or tiny-imagenet:DIR");
        assert_null(data.test.pixels);
    }
}

/* ---- IDX files ---- */

static const char *const idx_names[] = {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "t10k-images.idx3-ubyte",
                                        "t10k-labels.idx1-ubyte", "t10k-images-idx3-ubyte.gz"};

enum { ITEMS = 3, IMAGES_SIZE = 16 + ITEMS * PIXELS, LABELS_SIZE = 8 + ITEMS };

typedef struct idx_pair {
    uint8_t images[IMAGES_SIZE + 5], labels[LABELS_SIZE + 5];
} idx_pair;

static idx_pair good_pair(void) {
    idx_pair pair = {{0, 0, 8, 3, 0, 0, 0, ITEMS, 0, 0, 0, 28, 0, 0, 0, 28}, {0, 0, 8, 1, 0, 0, 0, ITEMS, 4, 0, 9}};
    for (int i = 16; i < IMAGES_SIZE; ++i) pair.images[i] = (uint8_t)(i * 31);
    return pair;
}

static void test_idx_good_files(void **state) {
    folder *in = *state;
    idx_pair pair = good_pair();
    char spec[80];
    snprintf(spec, sizeof spec, "mnist:%s", in->path);
    for (int dotted = 0; dotted < 2; ++dotted) {
        problem what = {""};
        dataset data;
        write_file(in, idx_names[2 * dotted], pair.images, IMAGES_SIZE);
        write_file(in, idx_names[2 * dotted + 1], pair.labels, LABELS_SIZE);
        assert_int_equal(dataset_open(&data, spec, 0, DATASET_TEST, &what), 0);
        assert_int_equal(data.test.count, ITEMS);
        assert_memory_equal(data.test.pixels, pair.images + 16, ITEMS * PIXELS);
        assert_int_equal(data.test.labels[0], 4);
        assert_int_equal(data.test.labels[2], 9);
        float raw[PIXELS];
        dataset_raw(&data, &data.test, 1, 1, raw);
        assert_true(raw[5] == (float)pair.images[16 + PIXELS + 5] / 255.0f);
        dataset_close(&data);
        empty_folder(in);
    }
}

static void test_fashion_mnist_has_its_own_statistics(void **state) {
    folder *in = *state;
    idx_pair pair = good_pair();
    char spec[80];
    problem what = {""};
    dataset data;
    snprintf(spec, sizeof spec, "fashion-mnist:%s", in->path);
    write_file(in, idx_names[0], pair.images, IMAGES_SIZE);
    write_file(in, idx_names[1], pair.labels, LABELS_SIZE);
    assert_int_equal(dataset_open(&data, spec, 0, DATASET_TEST, &what), 0);
    assert_string_equal(data.name, "fashion-mnist");
    assert_true(data.mean[0] == 0.2860 && data.std == 0.3520);
    assert_memory_equal(data.test.pixels, pair.images + 16, ITEMS * PIXELS);
    dataset_close(&data);
    snprintf(spec, sizeof spec, "mnist:%s", in->path);
    assert_int_equal(dataset_open(&data, spec, 0, DATASET_TEST, &what), 0);
    assert_true(data.mean[0] == 0.1307 && data.std == 0.3081);
    dataset_close(&data);
}

/* Writes both files with these sizes and expects a refusal that says all of it. */
static void expect_refusal(folder *in, const idx_pair *pair, size_t images_size, size_t labels_size, const char *file,
                           const char *says) {
    problem what = {""};
    dataset_split split = {0, NULL, NULL};
    write_file(in, idx_names[0], pair->images, images_size);
    write_file(in, idx_names[1], pair->labels, labels_size);
    assert_int_equal(mnist_read(&split, in->path, "t10k", &what), -1);
    expect_says(what.text, file, says);
    assert_null(split.pixels);
}

static void test_idx_bad_headers(void **state) {
    folder *in = *state;
    idx_pair pair = good_pair();
    pair.images[3] = 1;
    expect_refusal(in, &pair, IMAGES_SIZE, LABELS_SIZE, "images", "bad magic number 0x00000801, expected 0x00000803");
    pair = good_pair();
    pair.labels[2] = 13;
    expect_refusal(in, &pair, IMAGES_SIZE, LABELS_SIZE, "labels", "bad magic number 0x00000d01");
    pair = good_pair();
    pair.images[11] = 27;
    expect_refusal(in, &pair, IMAGES_SIZE, LABELS_SIZE, "images", "27 x 28 pixels, expected 28 x 28");
    pair = good_pair();
    memset(pair.images + 4, 255, 4);
    expect_refusal(in, &pair, IMAGES_SIZE, LABELS_SIZE, "images", "4294967295 items");
    pair = good_pair();
    memset(pair.labels + 4, 0, 4);
    expect_refusal(in, &pair, IMAGES_SIZE, LABELS_SIZE, "labels", "0 items");
}

static void test_idx_wrong_sizes(void **state) {
    folder *in = *state;
    idx_pair pair = good_pair();
    expect_refusal(in, &pair, 0, LABELS_SIZE, "images", "truncated: 0 bytes, its header alone has 16");
    expect_refusal(in, &pair, 15, LABELS_SIZE, "images", "truncated: 15 bytes");
    expect_refusal(in, &pair, IMAGES_SIZE - 1, LABELS_SIZE, "images",
                   "truncated: 2367 bytes, its header promises 2368");
    expect_refusal(in, &pair, IMAGES_SIZE, LABELS_SIZE - 1, "labels", "truncated: 10 bytes");
    expect_refusal(in, &pair, IMAGES_SIZE + 5, LABELS_SIZE, "images", "5 trailing bytes");
    expect_refusal(in, &pair, IMAGES_SIZE, LABELS_SIZE + 1, "labels", "1 trailing bytes");
    pair.labels[7] = ITEMS - 1;
    expect_refusal(in, &pair, IMAGES_SIZE, LABELS_SIZE - 1, "labels", "2 labels for the 3 images");
    pair = good_pair();
    pair.labels[9] = 10;
    expect_refusal(in, &pair, IMAGES_SIZE, LABELS_SIZE, "labels", "label 10 of item 1, expected 0 to 9");
}

static void test_idx_missing_and_damaged_gzip(void **state) {
    folder *in = *state;
    problem what = {""};
    dataset_split split = {0, NULL, NULL};
    assert_int_equal(mnist_read(&split, in->path, "t10k", &what), -1);
    assert_non_null(strstr(what.text, in->path));
    assert_non_null(strstr(what.text, "no file t10k-images-idx3-ubyte, plain or .gz"));
    static const uint8_t cut_gzip[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x63, 0x60};
    write_file(in, "t10k-images-idx3-ubyte.gz", cut_gzip, sizeof cut_gzip);
    assert_int_equal(mnist_read(&split, in->path, "t10k", &what), -1);
    assert_non_null(strstr(what.text, "t10k-images-idx3-ubyte.gz"));
    print_message("%s\n", what.text);
}

static void test_real_mnist(void **state) {
    (void)state;
    const char *folder_name = getenv("LINFDIST_TEST_DATA");
    if (!folder_name) {
        print_message("skipped: LINFDIST_TEST_DATA is unset\n");
        skip();
    }
    char spec[1024];
    problem what = {""};
    dataset data;
    snprintf(spec, sizeof spec, "mnist:%s/data/mnist", folder_name);
    int status = dataset_open(&data, spec, 0, DATASET_TRAIN | DATASET_TEST, &what);
    if (status != 0) fail_msg("%s", what.text);
    assert_int_equal(data.train.count, 60000);
    assert_int_equal(data.test.count, 10000);
    assert_int_equal(data.test.labels[0], 7);
    assert_int_equal(data.test.labels[9999], 6);
    dataset_close(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits_same_seed_same_bytes),
        cmocka_unit_test(test_digits_known_fingerprint),
        cmocka_unit_test(test_digits_train_and_test_are_disjoint),
        cmocka_unit_test(test_digits_statistics),
        cmocka_unit_test(test_digits_are_hard_for_a_linear_classifier),
        cmocka_unit_test(test_dataset_specs_refused),
        cmocka_unit_test_setup_teardown(test_idx_good_files, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_fashion_mnist_has_its_own_statistics, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_idx_bad_headers, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_idx_wrong_sizes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_idx_missing_and_damaged_gzip, make_folder, remove_folder),
        cmocka_unit_test(test_real_mnist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
