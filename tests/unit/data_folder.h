/* A temporary folder that the tests of the data sets fill, and that goes with all they made in it. */
#ifndef TEST_DATA_FOLDER_H
#define TEST_DATA_FOLDER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_PATH 256

typedef struct folder {
    char path[64];
    int count;
    char (*made)[FOLDER_PATH]; /* files and folders, parents first */
} folder;

static inline int make_folder(void **state) {
    folder *in = calloc(1, sizeof *in);
    if (!in) return -1;
    strcpy(in->path, "/tmp/linfdist-test-XXXXXX");
    *state = in;
    return mkdtemp(in->path) ? 0 : -1;
}

static inline void empty_folder(folder *in) {
    while (in->count > 0) remove(in->made[--in->count]);
    free(in->made);
    in->made = NULL;
}

static inline int remove_folder(void **state) {
    folder *in = *state;
    empty_folder(in);
    rmdir(in->path);
    free(in);
    return 0;
}

static inline void folder_keep(folder *in, const char *path) {
    in->made = realloc(in->made, (size_t)(in->count + 1) * sizeof *in->made);
    assert_non_null(in->made);
    strcpy(in->made[in->count++], path);
}

/* The path of a file below the folder; makes the folders on the way. */
static inline void folder_file(folder *in, const char *name, char path[FOLDER_PATH]) {
    assert_in_range(snprintf(path, FOLDER_PATH, "%s/%s", in->path, name), 1, FOLDER_PATH - 1);
    for (char *slash = path + strlen(in->path) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        if (mkdir(path, 0777) == 0) folder_keep(in, path);
    }
    folder_keep(in, path);
}

static inline void write_file(folder *in, const char *name, const void *bytes, size_t size) {
    char path[FOLDER_PATH];
    folder_file(in, name, path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static inline void write_text(folder *in, const char *name, const char *text) {
    write_file(in, name, text, strlen(text));
}

/* The problem's text holds both. */
static inline void expect_says(const char *text, const char *file, const char *says) {
    if (!strstr(text, file) || !strstr(text, says)) fail_msg("'%s' does not name '%s' and '%s'", text, file, says);
}

#endif
