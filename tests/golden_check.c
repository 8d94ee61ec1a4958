/* golden_check DIR: runs every golden in a folder (*.safetensors and schedule.json; other files do not count) through
 * the public functions of the library. Ends with "N passed, M failed, 0 skipped", as every kind of golden is known; the
 * exit status is 0 when nothing failed and something passed. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

typedef struct totals {
    int passed, failed;
} totals;

static void close_file(void *file) {
    golden_close(file);
}

static void check_tensors(check *c) {
    static const struct {
        const char *category;
        check_case run;
    } categories[] = {{"op", check_op},     {"bound", check_bound}, {"conv", check_conv},  {"layers", check_layers},
                      {"loss", check_loss}, {"opt", check_adam},    {"train", check_train}};
    char error[128];
    golden *file = golden_open(c->name, error, sizeof error);
    if (!file) check_stop(c, "%s", error);
    check_own(c, file, close_file);
    c->file = file;
    const char *category = check_metadata(c, "category");
    for (size_t i = 0; i < sizeof categories / sizeof *categories; ++i) {
        if (strcmp(category, categories[i].category) != 0) continue;
        categories[i].run(c);
        return;
    }
    check_fail(c, "unknown category %s", category);
}

static void check_schedule_file(check *c) {
    check_schedule(c, c->name);
}

static int is_golden(const struct dirent *entry) {
    const char *suffix = strrchr(entry->d_name, '.');
    return strcmp(entry->d_name, "schedule.json") == 0 || (suffix && strcmp(suffix, ".safetensors") == 0);
}

static void run_file(linfdist_context *context, const char *folder, const char *name, totals *sum) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    check *c = calloc(1, sizeof *c);
    if (!c) {
        printf("FAIL %s: out of memory\n", path);
        ++sum->failed;
        return;
    }
    c->name = path;
    c->context = context;
    ++*(check_run(c, strcmp(name, "schedule.json") == 0 ? check_schedule_file : check_tensors) ? &sum->passed
                                                                                               : &sum->failed);
    free(c);
}

static int run_folder(linfdist_context *context, const char *folder, totals *sum) {
    struct dirent **entries;
    const int count = scandir(folder, &entries, is_golden, alphasort);
    if (count < 0) {
        fprintf(stderr, "golden_check: cannot read the folder %s\n", folder);
        return 0;
    }
    for (int i = 0; i < count; ++i) {
        run_file(context, folder, entries[i]->d_name, sum);
        free(entries[i]);
    }
    free(entries);
    return 1;
}

int main(int argc, char **argv) {
    linfdist_context *context = NULL;
    totals sum = {0, 0};
    if (argc != 2) {
        fprintf(stderr, "usage: golden_check DIR\n");
        return 2;
    }
    if (linfdist_context_create(NULL, &context) != LINFDIST_OK) {
        fprintf(stderr, "golden_check: %s\n", linfdist_last_error());
        return 2;
    }
    const int readable = run_folder(context, argv[1], &sum);
    linfdist_context_destroy(context);
    if (!readable) return 2;
    printf("%d passed, %d failed, 0 skipped\n", sum.passed, sum.failed);
    return sum.failed > 0 || sum.passed == 0 ? 1 : 0;
}
