/* IDX: two zero bytes, type 8 (unsigned byte), number of dimensions, the dimensions (big-endian 32 bits), the bytes. */
#include "mnist.h"

#include "gzfile.h"
#include "path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 28
#define MAX_ITEMS 1000000 /* far above any published set; bounds what a hostile header makes us allocate */

typedef struct idx_file {
    char path[PATH_SIZE];
    uint8_t *bytes; /* the whole file */
    const uint8_t *items;
    uint32_t shape[3];
} idx_file;

static uint32_t big_endian(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Finds the file under any of its customary names. */
static int find_file(idx_file *file, const char *directory, const char *prefix, const char *kind, int dims,
                     problem *what) {
    static const char *const endings[] = {"", ".gz"};
    static const char separators[] = {'-', '.'};
    for (int s = 0; s < 2; ++s)
        for (int e = 0; e < 2; ++e) {
            if (path_format(file->path, what, "%s/%s-%s%cidx%d-ubyte%s", directory, prefix, kind, separators[s], dims,
                            endings[e]) != 0)
                return -1;
            if (path_exists(file->path)) return 0;
        }
    return problem_set(what, "%s: no file %s-%s-idx%d-ubyte, plain or .gz", directory, prefix, kind, dims);
}

/* Checks everything the header promises against the size bytes that are there. */
static int check_header(idx_file *file, size_t size, int dims, problem *what) {
    const size_t header = 4 + 4 * (size_t)dims;
    const uint8_t *b = file->bytes;
    if (size < header)
        return problem_set(what, "%s: truncated: %zu bytes, its header alone has %zu", file->path, size, header);
    uint32_t magic = big_endian(b), expected = 0x0800u + (uint32_t)dims;
    if (magic != expected)
        return problem_set(what, "%s: bad magic number 0x%08" PRIx32 ", expected 0x%08" PRIx32, file->path, magic,
                           expected);
    for (int d = 0; d < dims; ++d) file->shape[d] = big_endian(b + 4 + 4 * d);
    if (file->shape[0] < 1 || file->shape[0] > MAX_ITEMS)
        return problem_set(what, "%s: %" PRIu32 " items, expected 1 to %d", file->path, file->shape[0], MAX_ITEMS);
    size_t item = 1;
    if (dims == 3) {
        if (file->shape[1] != SIDE || file->shape[2] != SIDE)
            return problem_set(what, "%s: images of %" PRIu32 " x %" PRIu32 " pixels, expected %d x %d", file->path,
                               file->shape[1], file->shape[2], SIDE, SIDE);
        item = SIDE * SIDE;
    }
    size_t promised = header + item * file->shape[0];
    if (size < promised)
        return problem_set(what, "%s: truncated: %zu bytes, its header promises %zu", file->path, size, promised);
    if (size > promised)
        return problem_set(what, "%s: %zu trailing bytes after the %zu its header promises", file->path,
                           size - promised, promised);
    file->items = b + header;
    return 0;
}

static int read_idx(idx_file *file, const char *directory, const char *prefix, const char *kind, int dims,
                    problem *what) {
    const size_t max_size = 16 + (size_t)MAX_ITEMS * SIDE * SIDE;
    size_t size;
    if (find_file(file, directory, prefix, kind, dims, what) != 0 ||
        gzfile_read(file->path, max_size, &file->bytes, &size, what) != 0)
        return -1;
    return check_header(file, size, dims, what);
}

static int copy_labels(dataset_split *split, const idx_file *labels, problem *what) {
    for (int64_t i = 0; i < split->count; ++i) {
        if (labels->items[i] > 9)
            return problem_set(what, "%s: label %d of item %" PRId64 ", expected 0 to 9", labels->path,
                               labels->items[i], i);
        split->labels[i] = labels->items[i];
    }
    return 0;
}

int mnist_read(dataset_split *split, const char *directory, const char *prefix, problem *what) {
    idx_file images = {.bytes = NULL}, labels = {.bytes = NULL};
    int status = -1;
    if (read_idx(&images, directory, prefix, "images", 3, what) != 0 ||
        read_idx(&labels, directory, prefix, "labels", 1, what) != 0)
        goto done;
    if (images.shape[0] != labels.shape[0]) {
        problem_set(what, "%s: %" PRIu32 " labels for the %" PRIu32 " images of %s", labels.path, labels.shape[0],
                    images.shape[0], images.path);
        goto done;
    }
    if (dataset_split_alloc(split, images.shape[0], SIDE * SIDE, what) != 0) goto done;
    memcpy(split->pixels, images.items, (size_t)split->count * SIDE * SIDE);
    status = copy_labels(split, &labels, what);
    if (status != 0) dataset_split_free(split);
done:
    free(images.bytes);
    free(labels.bytes);
    return status;
}
