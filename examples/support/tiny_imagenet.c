#define _POSIX_C_SOURCE 200809L
#include "tiny_imagenet.h"

#include "gzfile.h"
#include "jpegfile.h"
#include "path.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = TINY_IMAGENET_SIDE, IMAGE = 3 * SIDE * SIDE, MAX_CLASSES = TINY_IMAGENET_MAX_CLASSES };
#define MAX_TEXT_SIZE ((size_t)16 << 20)
#define MAX_CLASS_NAME 63

typedef struct folder {
    char root[PATH_SIZE];
    char *class_text; /* wnids.txt, cut into the names */
    const char *names[MAX_CLASSES];
    int classes;
} folder;

static int find_root(folder *in, const char *directory, problem *what) {
    static const char *const formats[] = {"%s", "%s/tiny-imagenet-200"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; ++i) {
        char list[PATH_SIZE];
        if (path_format(in->root, what, formats[i], directory) != 0 ||
            path_format(list, what, "%s/wnids.txt", in->root) != 0)
            return -1;
        if (path_exists(list)) return 0;
    }
    return problem_set(what, "%s: no wnids.txt: expected the folder tiny-imagenet-200 of the archive", directory);
}

/* A whole file as a string for free(), or NULL. */
static char *read_text(const char *path, problem *what) {
    uint8_t *bytes;
    size_t size;
    if (gzfile_read(path, MAX_TEXT_SIZE, &bytes, &size, what) != 0) return NULL;
    char *text = realloc(bytes, size + 1);
    if (!text) {
        free(bytes);
        problem_set(what, "out of memory");
        return NULL;
    }
    text[size] = '\0';
    if (strlen(text) == size) return text;
    free(text);
    problem_set(what, "%s: not a text file", path);
    return NULL;
}

/* The next line as a string of its own, NULL after the last one. Empty lines are passed over. */
static char *next_line(char **rest) {
    *rest += strspn(*rest, "\r\n");
    if (**rest == '\0') return NULL;
    char *line = *rest;
    *rest += strcspn(*rest, "\r\n");
    if (**rest != '\0') *(*rest)++ = '\0';
    return line;
}

/* The name of a file or folder beside others, not a path to elsewhere. */
static int is_plain_name(const char *name) {
    return *name != '\0' && *name != '.' && !strchr(name, '/');
}

static int class_of(const folder *in, const char *name) {
    int label = 0;
    while (label < in->classes && strcmp(in->names[label], name) != 0) ++label;
    return label < in->classes ? label : -1;
}

static int read_classes(folder *in, problem *what) {
    char path[PATH_SIZE];
    if (path_format(path, what, "%s/wnids.txt", in->root) != 0) return -1;
    in->class_text = read_text(path, what);
    if (!in->class_text) return -1;
    char *rest = in->class_text;
    for (char *name; (name = next_line(&rest));) {
        if (!is_plain_name(name) || strlen(name) > MAX_CLASS_NAME)
            return problem_set(what, "%s: '%.80s' is no name of a class", path, name);
        if (in->classes == MAX_CLASSES) return problem_set(what, "%s: more than %d classes", path, MAX_CLASSES);
        if (class_of(in, name) >= 0) return problem_set(what, "%s: class %s twice", path, name);
        in->names[in->classes++] = name;
    }
    return in->classes > 0 ? 0 : problem_set(what, "%s: no classes", path);
}

/* ---- training images ---- */

typedef struct image_list {
    struct dirent **entries;
    int count;
} image_list;

static int is_image(const struct dirent *entry) {
    const char *ending = strrchr(entry->d_name, '.');
    return ending && strcmp(ending, ".JPEG") == 0;
}

/* Not alphasort, which depends on the locale. */
static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int list_images(const folder *in, int label, image_list *list, problem *what) {
    char path[PATH_SIZE];
    if (path_format(path, what, "%s/train/%s/images", in->root, in->names[label]) != 0) return -1;
    int count = scandir(path, &list->entries, is_image, by_name);
    if (count < 0) return problem_set(what, "%s: %s", path, strerror(errno));
    list->count = count;
    return count > 0 ? 0 : problem_set(what, "%s: no *.JPEG files", path);
}

static int decode_class(const folder *in, int label, const image_list *list, dataset_split *split, int64_t first,
                        problem *what) {
    for (int i = 0; i < list->count; ++i) {
        char path[PATH_SIZE];
        if (path_format(path, what, "%s/train/%s/images/%s", in->root, in->names[label], list->entries[i]->d_name) != 0)
            return -1;
        if (jpegfile_read(path, SIDE, split->pixels + (first + i) * IMAGE, what) != 0) return -1;
        split->labels[first + i] = label;
    }
    return 0;
}

static int read_training(const folder *in, dataset_split *split, problem *what) {
    image_list lists[MAX_CLASSES] = {{NULL, 0}};
    int64_t total = 0, first = 0;
    int status = 0;
    for (int label = 0; label < in->classes && status == 0; ++label) {
        status = list_images(in, label, &lists[label], what);
        total += lists[label].count;
    }
    if (status == 0) status = dataset_split_alloc(split, total, IMAGE, what);
    for (int label = 0; label < in->classes && status == 0; ++label) {
        status = decode_class(in, label, &lists[label], split, first, what);
        first += lists[label].count;
    }
    for (int label = 0; label < in->classes; ++label) {
        for (int i = 0; i < lists[label].count; ++i) free(lists[label].entries[i]);
        free(lists[label].entries);
    }
    return status;
}

/* ---- validation images ---- */

/* A line of the annotations: file name, class, and a box that is of no use here, between tabs. */
static int decode_annotated(const folder *in, char *line, const char *list, uint8_t *pixels, int32_t *label,
                            problem *what) {
    char *class_name = line + strcspn(line, "\t");
    if (*class_name != '\0') *class_name++ = '\0';
    class_name[strcspn(class_name, "\t")] = '\0';
    char path[PATH_SIZE];
    if (!is_plain_name(line)) return problem_set(what, "%s: '%.80s' is no name of a file", list, line);
    *label = class_of(in, class_name);
    if (*label < 0) return problem_set(what, "%s: class '%.80s' of %.80s is not in wnids.txt", list, class_name, line);
    if (path_format(path, what, "%s/val/images/%s", in->root, line) != 0) return -1;
    return jpegfile_read(path, SIDE, pixels, what);
}

static int64_t count_lines(const char *text) {
    int64_t count = 0;
    for (text += strspn(text, "\r\n"); *text; text += strspn(text, "\r\n")) {
        text += strcspn(text, "\r\n");
        ++count;
    }
    return count;
}

static int read_validation(const folder *in, dataset_split *split, problem *what) {
    char path[PATH_SIZE];
    if (path_format(path, what, "%s/val/val_annotations.txt", in->root) != 0) return -1;
    char *text = read_text(path, what), *rest = text;
    if (!text) return -1;
    int64_t count = count_lines(text);
    int status = count > 0 ? dataset_split_alloc(split, count, IMAGE, what) : problem_set(what, "%s: empty", path);
    for (int64_t i = 0; i < count && status == 0; ++i)
        status = decode_annotated(in, next_line(&rest), path, split->pixels + i * IMAGE, &split->labels[i], what);
    free(text);
    return status;
}

int tiny_imagenet_read(dataset *data, const char *directory, int splits, problem *what) {
    folder in = {.classes = 0};
    if (jpegfile_supported(what) != 0) return -1;
    int status = find_root(&in, directory, what) != 0 ? -1 : read_classes(&in, what);
    if (status == 0 && (splits & DATASET_TRAIN)) status = read_training(&in, &data->train, what);
    if (status == 0 && (splits & DATASET_TEST)) status = read_validation(&in, &data->test, what);
    data->classes = in.classes;
    free(in.class_text);
    return status;
}
