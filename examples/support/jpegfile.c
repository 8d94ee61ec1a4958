/* The only file that includes jpeglib.h. */
#include "jpegfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_JPEG
#include <jpeglib.h>
#include <jerror.h>
#include <setjmp.h>

int jpegfile_supported(problem *what) {
    (void)what;
    return 0;
}

typedef struct decoder {
    struct jpeg_error_mgr errors; /* first: the library hands out a pointer to it */
    jmp_buf failed;
    const char *path;
    problem *what;
} decoder;

static void fail(j_common_ptr info) {
    decoder *d = (decoder *)info->err;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    problem_set(d->what, "%s: %s", d->path, text);
    longjmp(d->failed, 1);
}

/* The library goes on after damage, with made-up pixels. Only warnings that leave the pixels alone are passed over. */
static void warn(j_common_ptr info, int level) {
    if (level >= 0) return;
    switch (info->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR: return;
    default: fail(info);
    }
}

/* CMYK is stored inverted (255: no ink), as Adobe's programs began and all readers expect. */
static void store_cmyk(const JSAMPLE *row, int64_t side, int64_t plane, uint8_t *to) {
    for (int64_t i = 0; i < side; ++i, row += 4)
        for (int c = 0; c < 3; ++c) to[c * plane + i] = (uint8_t)((2 * row[c] * row[3] + 255) / 510);
}

static void store_rgb(const JSAMPLE *row, int64_t side, int64_t plane, uint8_t *to) {
    for (int64_t i = 0; i < side; ++i, row += 3)
        for (int c = 0; c < 3; ++c) to[c * plane + i] = row[c];
}

/* Jumps to d->failed on damage. row: room for a row of side pixels of four components. */
static int decode(struct jpeg_decompress_struct *info, const decoder *d, int64_t side, JSAMPLE *row, uint8_t *planes) {
    jpeg_read_header(info, TRUE);
    if (info->image_width != side || info->image_height != side)
        return problem_set(d->what, "%s: %u x %u pixels, expected %d x %d", d->path, info->image_height,
                           info->image_width, (int)side, (int)side);
    int cmyk = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    info->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    info->dct_method = JDCT_ISLOW; /* the exact one: the same pixels on every machine */
    jpeg_start_decompress(info);
    while (info->output_scanline < info->output_height) {
        uint8_t *to = planes + info->output_scanline * side;
        jpeg_read_scanlines(info, &row, 1);
        if (cmyk)
            store_cmyk(row, side, side * side, to);
        else
            store_rgb(row, side, side * side, to);
    }
    jpeg_finish_decompress(info);
    return 0;
}

int jpegfile_read(const char *path, int64_t side, uint8_t *planes, problem *what) {
    struct jpeg_decompress_struct info;
    decoder d = {.path = path, .what = what};
    FILE *file = fopen(path, "rb");
    if (!file) return problem_set(what, "%s: %s", path, strerror(errno));
    JSAMPLE *const row = malloc(4 * (size_t)side);
    volatile int status = row ? 0 : problem_set(what, "out of memory");
    memset(&info, 0, sizeof info); /* destroying it is fine even if creating it fails */
    info.err = jpeg_std_error(&d.errors);
    d.errors.error_exit = fail;
    d.errors.emit_message = warn;
    if (status == 0) {
        if (setjmp(d.failed) == 0) {
            jpeg_create_decompress(&info);
            jpeg_stdio_src(&info, file);
            status = decode(&info, &d, side, row, planes);
        } else
            status = -1;
    }
    jpeg_destroy_decompress(&info);
    free(row);
    fclose(file);
    return status;
}
#else
int jpegfile_supported(problem *what) {
    return problem_set(what, "tiny-imagenet needs JPEG images, and these programs were built without libjpeg-turbo: "
                             "install libjpeg-dev (or its equivalent), configure and build again");
}

int jpegfile_read(const char *path, int64_t side, uint8_t *planes, problem *what) {
    (void)path;
    (void)side;
    (void)planes;
    return jpegfile_supported(what);
}
#endif
