#define _POSIX_C_SOURCE 200809L
#include "csvlog.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int fail(const csvlog *log, problem *what) {
    return problem_set(what, "%s: %s", log->path, strerror(errno));
}

/* A whole row of an epoch that is kept; a row cut short by a crash has no newline. */
static int keep_row(const char *row, int64_t keep_epochs) {
    char *end;
    long long epoch = strtoll(row, &end, 10);
    return end != row && *end == ',' && epoch <= keep_epochs && strchr(row, '\n');
}

/* Copies the kept rows of the log, if there is one, to the new file. */
static int copy_rows(csvlog *log, const char *header, int64_t keep_epochs, problem *what) {
    FILE *old = keep_epochs > 0 ? fopen(log->path, "r") : NULL;
    if (!old) return keep_epochs > 0 && errno != ENOENT ? fail(log, what) : 0;
    char row[512];
    int status = 0;
    if (fgets(row, sizeof row, old) && (strncmp(row, header, strlen(header)) != 0 || row[strlen(header)] != '\n'))
        status = problem_set(what, "%s: not a log of this program: its first line is not '%s'", log->path, header);
    while (status == 0 && fgets(row, sizeof row, old))
        if (keep_row(row, keep_epochs) && fputs(row, log->file) == EOF) status = fail(log, what);
    if (status == 0 && ferror(old)) status = fail(log, what);
    fclose(old);
    return status;
}

int csvlog_open(csvlog *log, const char *directory, const char *name, const char *header, int64_t keep_epochs,
                problem *what) {
    char fresh[sizeof log->path + 8];
    log->file = NULL;
    int length = snprintf(log->path, sizeof log->path, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof log->path)
        return problem_set(what, "the path of the log folder is longer than %zu bytes", sizeof log->path);
    if (mkdir(directory, 0777) != 0 && errno != EEXIST) return problem_set(what, "%s: %s", directory, strerror(errno));
    snprintf(fresh, sizeof fresh, "%s.new", log->path);
    log->file = fopen(fresh, "w");
    if (!log->file) return fail(log, what);
    int status = fprintf(log->file, "%s\n", header) < 0 ? fail(log, what) : 0;
    if (status == 0) status = copy_rows(log, header, keep_epochs, what);
    if (status == 0 && (fflush(log->file) != 0 || rename(fresh, log->path) != 0)) status = fail(log, what);
    if (status != 0) {
        fclose(log->file);
        log->file = NULL;
        remove(fresh);
    }
    return status;
}

int csvlog_row(csvlog *log, problem *what, const char *format, ...) {
    if (!log->file) return 0;
    va_list arguments;
    va_start(arguments, format);
    int written = vfprintf(log->file, format, arguments);
    va_end(arguments);
    return written < 0 || fputc('\n', log->file) == EOF || fflush(log->file) != 0 ? fail(log, what) : 0;
}

int csvlog_close(csvlog *log, problem *what) {
    FILE *file = log->file;
    log->file = NULL;
    return file && fclose(file) != 0 ? fail(log, what) : 0;
}
