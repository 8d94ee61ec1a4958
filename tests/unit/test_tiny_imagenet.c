/* TinyImageNet folders of a few images that the tests write, and the JPEG files in them. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "data_folder.h"
#include "jpegfile.h"
#include "tiny_imagenet.h"

enum { SIDE = 64, PLANE = SIDE * SIDE, IMAGE = 3 * PLANE };

static int open_set(const folder *in, dataset *data, int splits, problem *what) {
    char spec[128];
    snprintf(spec, sizeof spec, "tiny-imagenet:%s", in->path);
    return dataset_open(data, spec, 0, splits, what);
}

#ifdef HAVE_JPEG
#include <jpeglib.h>

/* ---- writing ---- */

/* Component c of the pixel at row, column. */
typedef uint8_t picture(int row, int column, int c);

/* Of the best quality and without subsampling, so that flat blocks come back within rounding. */
static void write_jpeg(folder *in, const char *name, int height, int width, int components, J_COLOR_SPACE given,
                       J_COLOR_SPACE stored, picture *paint) {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    char path[FOLDER_PATH];
    folder_file(in, name, path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_stdio_dest(&info, file);
    info.image_width = (JDIMENSION)width;
    info.image_height = (JDIMENSION)height;
    info.input_components = components;
    info.in_color_space = given;
    jpeg_set_defaults(&info);
    jpeg_set_colorspace(&info, stored);
    jpeg_set_quality(&info, 100, TRUE);
    for (int c = 0; c < components; ++c) info.comp_info[c].h_samp_factor = info.comp_info[c].v_samp_factor = 1;
    jpeg_start_compress(&info, TRUE);
    for (int row = 0; row < height; ++row) {
        JSAMPLE line[4 * SIDE], *lines = line;
        for (int i = 0; i < width * components; ++i) line[i] = paint(row, i / components, i % components);
        jpeg_write_scanlines(&info, &lines, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    assert_int_equal(fclose(file), 0);
}

/* Above: red, green. Below: blue, a mixture. */
static uint8_t quadrants(int row, int column, int c) {
    static const uint8_t colours[4][3] = {{250, 5, 10}, {0, 240, 20}, {30, 10, 230}, {200, 150, 100}};
    return colours[row / 32 * 2 + column / 32][c];
}

static uint8_t steps_of_grey(int row, int column, int c) {
    (void)c;
    return (uint8_t)(row / 8 * 30 + column / 8);
}

static uint8_t inks(int row, int column, int c) {
    static const uint8_t colours[4][4] = {
        {255, 255, 255, 128}, {200, 100, 50, 255}, {10, 0, 90, 255}, {180, 90, 255, 77}};
    return colours[row / 32 * 2 + column / 32][c];
}

static uint8_t dark(int row, int column, int c) {
    (void)row, (void)column, (void)c;
    return 40;
}

static uint8_t light(int row, int column, int c) {
    (void)row, (void)column, (void)c;
    return 200;
}

static void write_rgb(folder *in, const char *name, picture *paint) {
    write_jpeg(in, name, SIDE, SIDE, 3, JCS_RGB, JCS_YCbCr, paint);
}

static void write_grey(folder *in, const char *name, picture *paint) {
    write_jpeg(in, name, SIDE, SIDE, 1, JCS_GRAYSCALE, JCS_GRAYSCALE, paint);
}

/* ---- JPEG files ---- */

static void decode(const folder *in, const char *name, uint8_t pixels[IMAGE]) {
    char path[FOLDER_PATH];
    problem what = {""};
    snprintf(path, sizeof path, "%s/%s", in->path, name);
    if (jpegfile_read(path, SIDE, pixels, &what) != 0) fail_msg("%s", what.text);
}

static void expect_pixel(const uint8_t *pixels, int row, int column, int c, int value) {
    int got = pixels[c * PLANE + row * SIDE + column];
    if (abs(got - value) > 2) fail_msg("row %d column %d plane %d: %d, expected %d", row, column, c, got, value);
}

static void test_rgb(void **state) {
    folder *in = *state;
    static uint8_t pixels[IMAGE];
    write_rgb(in, "a.JPEG", quadrants);
    decode(in, "a.JPEG", pixels);
    for (int i = 0; i < IMAGE; ++i)
        expect_pixel(pixels, i % PLANE / SIDE, i % SIDE, i / PLANE, quadrants(i % PLANE / SIDE, i % SIDE, i / PLANE));
}

static void test_grey_becomes_rgb(void **state) {
    folder *in = *state;
    static uint8_t pixels[IMAGE];
    write_grey(in, "a.JPEG", steps_of_grey);
    decode(in, "a.JPEG", pixels);
    for (int i = 0; i < PLANE; ++i) expect_pixel(pixels, i / SIDE, i % SIDE, 0, steps_of_grey(i / SIDE, i % SIDE, 0));
    assert_memory_equal(pixels, pixels + PLANE, PLANE);
    assert_memory_equal(pixels, pixels + 2 * PLANE, PLANE);
}

static void test_cmyk_becomes_rgb(void **state) {
    folder *in = *state;
    static uint8_t pixels[IMAGE];
    static const J_COLOR_SPACE spaces[] = {JCS_CMYK, JCS_YCCK};
    for (int s = 0; s < 2; ++s) {
        write_jpeg(in, "a.JPEG", SIDE, SIDE, 4, JCS_CMYK, spaces[s], inks);
        decode(in, "a.JPEG", pixels);
        for (int i = 0; i < IMAGE; ++i) {
            int row = i % PLANE / SIDE, column = i % SIDE;
            int value = inks(row, column, i / PLANE) * inks(row, column, 3) / 255;
            expect_pixel(pixels, row, column, i / PLANE, value);
        }
    }
}

static size_t read_bytes(const folder *in, const char *name, uint8_t *bytes, size_t room) {
    char path[FOLDER_PATH];
    snprintf(path, sizeof path, "%s/%s", in->path, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, room, file);
    assert_true(size < room);
    fclose(file);
    return size;
}

static void expect_broken(const folder *in, const char *name, const char *says) {
    static uint8_t pixels[IMAGE];
    char path[FOLDER_PATH];
    problem what = {""};
    snprintf(path, sizeof path, "%s/%s", in->path, name);
    assert_int_equal(jpegfile_read(path, SIDE, pixels, &what), -1);
    expect_says(what.text, path, says);
}

static void test_broken_jpeg(void **state) {
    folder *in = *state;
    static uint8_t bytes[1 << 16], pixels[IMAGE];
    write_rgb(in, "good.JPEG", quadrants);
    size_t size = read_bytes(in, "good.JPEG", bytes, sizeof bytes);
    write_file(in, "long.JPEG", bytes, size + 50); /* what follows the image does not matter */
    decode(in, "long.JPEG", pixels);
    for (size_t cut = 0; cut < size; cut = cut < 40 ? cut + 1 : cut + 97) {
        write_file(in, "cut.JPEG", bytes, cut);
        expect_broken(in, "cut.JPEG", ": ");
    }
    write_file(in, "cut.JPEG", bytes, 0);
    expect_broken(in, "cut.JPEG", "Empty input file");
    write_file(in, "cut.JPEG", bytes, size - 1);
    expect_broken(in, "cut.JPEG", "Premature end of JPEG file");
    write_file(in, "cut.JPEG", bytes, size - 100);
    expect_broken(in, "cut.JPEG", "Premature end of JPEG file");
    bytes[size - 100] = 0xff; /* a marker among the coefficients */
    bytes[size - 99] = 0xd9;
    write_file(in, "marked.JPEG", bytes, size);
    expect_broken(in, "marked.JPEG", "Corrupt JPEG data: premature end of data segment");
    write_text(in, "text.JPEG", "no image at all");
    expect_broken(in, "text.JPEG", "Not a JPEG file");
    expect_broken(in, "none.JPEG", "No such file");
    write_jpeg(in, "small.JPEG", 32, SIDE, 3, JCS_RGB, JCS_YCbCr, quadrants);
    expect_broken(in, "small.JPEG", "32 x 64 pixels, expected 64 x 64");
}

/* ---- folders ---- */

/* Two classes, three training images and two of validation. */
static void write_set(folder *in, const char *root) {
    static const struct {
        const char *name;
        picture *paint;
    } images[] = {{"train/n02/images/n02_10.JPEG", dark},
                  {"train/n02/images/n02_2.JPEG", light},
                  {"train/n01/images/n01_0.JPEG", steps_of_grey},
                  {"val/images/val_0.JPEG", light},
                  {"val/images/val_1.JPEG", dark}};
    char name[128];
    for (size_t i = 0; i < sizeof images / sizeof *images; ++i) {
        snprintf(name, sizeof name, "%s%s", root, images[i].name);
        write_grey(in, name, images[i].paint);
    }
    snprintf(name, sizeof name, "%strain/n02/n02_boxes.txt", root);
    write_text(in, name, "n02_2.JPEG\t0\t0\t62\t43\n");
    snprintf(name, sizeof name, "%swnids.txt", root);
    write_text(in, name, "n02\nn01\n");
    snprintf(name, sizeof name, "%sval/val_annotations.txt", root);
    write_text(in, name, "val_1.JPEG\tn01\t0\t32\t44\t62\nval_0.JPEG\tn02\t52\t55\t57\t59\n");
}

static void expect_set(const dataset *data) {
    static const int32_t train_labels[] = {0, 0, 1}, test_labels[] = {1, 0};
    assert_int_equal(data->classes, 2);
    assert_int_equal(data->train.count, 3);
    assert_int_equal(data->test.count, 2);
    assert_memory_equal(data->train.labels, train_labels, sizeof train_labels);
    assert_memory_equal(data->test.labels, test_labels, sizeof test_labels);
    expect_pixel(data->train.pixels, 9, 9, 0, 40);
    expect_pixel(data->train.pixels + IMAGE, 9, 9, 1, 200);
    expect_pixel(data->train.pixels + 2 * IMAGE, 60, 30, 2, steps_of_grey(60, 30, 2));
    expect_pixel(data->test.pixels, 9, 9, 0, 40);
    expect_pixel(data->test.pixels + IMAGE, 63, 63, 2, 200);
}

static void test_folder(void **state) {
    folder *in = *state;
    static const char *const roots[] = {"", "tiny-imagenet-200/"};
    for (int r = 0; r < 2; ++r) {
        problem what = {""};
        dataset data;
        write_set(in, roots[r]);
        if (open_set(in, &data, DATASET_TRAIN | DATASET_TEST, &what) != 0) fail_msg("%s", what.text);
        expect_set(&data);
        assert_string_equal(data.name, "tiny-imagenet");
        assert_true(data.mean[0] == 0.4802 && data.mean[1] == 0.4481 && data.mean[2] == 0.3975 && data.std == 0.2276);
        dataset_close(&data);
        empty_folder(in);
    }
}

/* The recipes of 2021 take 56 x 56 pixels: of test images, those in the middle. */
static void test_crops(void **state) {
    folder *in = *state;
    static float raw[2 * IMAGE];
    problem what = {""};
    dataset data;
    write_set(in, "");
    write_grey(in, "val/images/val_1.JPEG", steps_of_grey);
    assert_int_equal(open_set(in, &data, DATASET_TEST, &what), 0);
    assert_int_equal(data.n_in, IMAGE);
    assert_null(data.train.pixels);
    assert_int_equal(dataset_fit(&data, 60, 60), -1);
    assert_int_equal(data.n_in, IMAGE);
    assert_int_equal(dataset_fit(&data, 56, 56), 0);
    assert_int_equal(data.n_in, 3 * 56 * 56);
    dataset_raw(&data, &data.test, 0, 2, raw);
    for (int i = 0; i < 2 * 3 * 56 * 56; ++i) {
        int row = i / 56 % 56 + 4, column = i % 56 + 4, plane = i / (56 * 56);
        assert_true(raw[i] == (float)data.test.pixels[plane * PLANE + row * SIDE + column] / 255.0f);
    }
    assert_int_equal(dataset_fit(&data, 64, 64), 0);
    assert_int_equal(data.n_in, IMAGE);
    assert_int_equal(data.augment->year, 2022);
    dataset_augment(&data, 2021);
    assert_int_equal(data.height, 56);
    dataset_close(&data);
}

/* The set as written, but for one file with another text. */
static void expect_refusal(folder *in, const char *name, const char *text, size_t size, const char *file,
                           const char *says) {
    problem what = {""};
    dataset data;
    write_set(in, "");
    if (name) write_file(in, name, text, size);
    assert_int_equal(open_set(in, &data, DATASET_TRAIN | DATASET_TEST, &what), -1);
    expect_says(what.text, file, says);
    assert_null(data.train.pixels);
    assert_null(data.test.pixels);
}

static void test_bad_lists(void **state) {
    folder *in = *state;
    static const struct {
        const char *name, *text, *says;
    } bad[] = {
        {"wnids.txt", "\n\n", "no classes"},
        {"wnids.txt", "n02\nn01\nn02\n", "class n02 twice"},
        {"wnids.txt", "n02\n../n01\n", "'../n01' is no name of a class"},
        {"wnids.txt", "n02\nn0/1\n", "'n0/1' is no name of a class"},
        {"val/val_annotations.txt", "", "empty"},
        {"val/val_annotations.txt", "val_0.JPEG\tn07\t0\t0\n", "class 'n07' of val_0.JPEG is not in wnids.txt"},
        {"val/val_annotations.txt", "val_0.JPEG\n", "class '' of val_0.JPEG is not in wnids.txt"},
        {"val/val_annotations.txt", "../../x\tn01\n", "'../../x' is no name of a file"},
        {"val/val_annotations.txt", "\tn01\n", "'' is no name of a file"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i)
        expect_refusal(in, bad[i].name, bad[i].text, strlen(bad[i].text), bad[i].name, bad[i].says);
    expect_refusal(in, "wnids.txt", "n02\0n01", 7, "wnids.txt", "not a text file");
    char many[201 * 8], *end = many;
    for (int i = 0; i <= 200; ++i) end += sprintf(end, "n%03d\n", i);
    expect_refusal(in, "wnids.txt", many, (size_t)(end - many), "wnids.txt", "more than 200 classes");
}

static void test_bad_images(void **state) {
    folder *in = *state;
    char path[FOLDER_PATH];
    problem what = {""};
    dataset data;
    expect_refusal(in, "wnids.txt", "n02\nn05\n", 8, "train/n05/images", "No such file");
    expect_refusal(in, "val/val_annotations.txt", "val_7.JPEG\tn01\n", 15, "val/images/val_7.JPEG", "No such file");
    expect_refusal(in, "train/n01/images/n01_0.JPEG", "xy", 2, "train/n01/images/n01_0.JPEG", "Not a JPEG file");
    expect_refusal(in, "val/images/val_1.JPEG", "", 0, "val/images/val_1.JPEG", "Empty input file");
    write_set(in, "");
    snprintf(path, sizeof path, "%s/train/n01/images/n01_0.JPEG", in->path);
    assert_int_equal(remove(path), 0);
    assert_int_equal(open_set(in, &data, DATASET_TRAIN, &what), -1);
    expect_says(what.text, "train/n01/images", "no *.JPEG files");
    snprintf(path, sizeof path, "%s/val/val_annotations.txt", in->path);
    assert_int_equal(remove(path), 0);
    assert_int_equal(open_set(in, &data, DATASET_TEST, &what), -1);
    expect_says(what.text, "val/val_annotations.txt", "No such file");
    empty_folder(in);
    assert_int_equal(open_set(in, &data, DATASET_TEST, &what), -1);
    expect_says(what.text, in->path, "no wnids.txt: expected the folder tiny-imagenet-200 of the archive");
}

#define FOLDER_TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(test_rgb),         FOLDER_TEST(test_grey_becomes_rgb), FOLDER_TEST(test_cmyk_becomes_rgb),
        FOLDER_TEST(test_broken_jpeg), FOLDER_TEST(test_folder),           FOLDER_TEST(test_crops),
        FOLDER_TEST(test_bad_lists),   FOLDER_TEST(test_bad_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void test_refused_without_jpeg(void **state) {
    folder *in = *state;
    problem what = {""};
    dataset data;
    write_text(in, "wnids.txt", "n01\n");
    assert_int_equal(open_set(in, &data, DATASET_TRAIN, &what), -1);
    expect_says(what.text, "tiny-imagenet", "these programs were built without libjpeg-turbo: install libjpeg-dev");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused_without_jpeg, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
