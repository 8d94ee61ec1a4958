/* A batch: records of a label byte (0 to 9) and 3 x 32 x 32 bytes, the planes R, G, B. */
#include "cifar10.h"

#include "gzfile.h"
#include "path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE = 3 * CIFAR10_SIDE * CIFAR10_SIDE, RECORD = 1 + IMAGE, TRAIN_BATCHES = 5 };
#define MAX_RECORDS 100000 /* of one file; a published one has 10000 */

typedef struct batch_file {
    char path[PATH_SIZE];
    uint8_t *bytes; /* NULL: not present */
    int64_t count;
} batch_file;

/* A file that is not there is none: batch->bytes stays NULL. */
static int read_batch(batch_file *batch, const char *directory, const char *name, problem *what) {
    static const char *const formats[] = {"%s/%s.bin", "%s/%s.bin.gz", "%s/cifar-10-batches-bin/%s.bin",
                                          "%s/cifar-10-batches-bin/%s.bin.gz"};
    size_t size, candidate = 0;
    for (; candidate < sizeof formats / sizeof *formats; ++candidate) {
        if (path_format(batch->path, what, formats[candidate], directory, name) != 0) return -1;
        if (path_exists(batch->path)) break;
    }
    if (candidate == sizeof formats / sizeof *formats) return 0;
    if (gzfile_read(batch->path, (size_t)MAX_RECORDS * RECORD, &batch->bytes, &size, what) != 0) return -1;
    if (size == 0 || size % RECORD != 0)
        return problem_set(what, "%s: %zu bytes, expected records of %d bytes each", batch->path, size, RECORD);
    batch->count = (int64_t)(size / RECORD);
    for (int64_t i = 0; i < batch->count; ++i)
        if (batch->bytes[i * RECORD] > 9)
            return problem_set(what, "%s: label %d of image %" PRId64 ", expected 0 to 9", batch->path,
                               batch->bytes[i * RECORD], i);
    return 0;
}

/* Images first to first + count of all batches in a row. */
static int copy_images(dataset_split *split, const batch_file *batches, int64_t first, int64_t count, problem *what) {
    if (dataset_split_alloc(split, count, IMAGE, what) != 0) return -1;
    for (int64_t to = 0; to < count; ++batches) {
        for (int64_t i = first; i < batches->count && to < count; ++i, ++to) {
            const uint8_t *record = batches->bytes + i * RECORD;
            split->labels[to] = record[0];
            memcpy(split->pixels + to * IMAGE, record + 1, IMAGE);
        }
        first = first > batches->count ? first - batches->count : 0;
    }
    return 0;
}

/* Sets both splits that are asked for from the training batches alone. */
static int split_training(dataset *data, const batch_file *batches, int64_t count, const char *directory, int splits,
                          problem *what) {
    int64_t test = count / 10;
    if (test == 0)
        return problem_set(what, "%s: no test_batch.bin, and %" PRId64 " images are too few to take a tenth of them",
                           directory, count);
    snprintf(data->note, sizeof data->note,
             "%s: no test_batch.bin: the last %" PRId64 " of the %" PRId64 " images present are the test images",
             directory, test, count);
    if ((splits & DATASET_TRAIN) && copy_images(&data->train, batches, 0, count - test, what) != 0) return -1;
    if ((splits & DATASET_TEST) && copy_images(&data->test, batches, count - test, test, what) != 0) return -1;
    return 0;
}

static int read_training(dataset *data, const char *directory, int tested, int splits, problem *what) {
    batch_file batches[TRAIN_BATCHES] = {{.bytes = NULL}};
    int64_t count = 0;
    int status = 0;
    for (int i = 0; i < TRAIN_BATCHES && status == 0; ++i) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d", i + 1);
        status = read_batch(&batches[i], directory, name, what);
        count += batches[i].count;
    }
    if (status == 0 && count == 0)
        status = problem_set(what, "%s: none of data_batch_1.bin to data_batch_%d.bin, plain or .gz", directory,
                             TRAIN_BATCHES);
    if (status == 0)
        status = tested ? copy_images(&data->train, batches, 0, count, what)
                        : split_training(data, batches, count, directory, splits, what);
    for (int i = 0; i < TRAIN_BATCHES; ++i) free(batches[i].bytes);
    return status;
}

int cifar10_read(dataset *data, const char *directory, int splits, problem *what) {
    batch_file test = {.bytes = NULL};
    int status = read_batch(&test, directory, "test_batch", what);
    int tested = test.bytes != NULL;
    if (status == 0 && tested && (splits & DATASET_TEST)) status = copy_images(&data->test, &test, 0, test.count, what);
    free(test.bytes);
    if (status == 0 && (!tested || (splits & DATASET_TRAIN)))
        status = read_training(data, directory, tested, splits, what);
    return status;
}
