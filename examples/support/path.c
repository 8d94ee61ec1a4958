#define _POSIX_C_SOURCE 200809L
#include "path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int path_format(char path[PATH_SIZE], problem *what, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, PATH_SIZE, format, arguments);
    va_end(arguments);
    if (length >= 0 && length < PATH_SIZE) return 0;
    return problem_set(what, "the path of the data folder is longer than %d bytes", PATH_SIZE);
}

int path_exists(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return errno != ENOENT && errno != ENOTDIR;
    fclose(f);
    return 1;
}

int path_check_target(const char *flag, const char *path, problem *what) {
    char folder[PATH_SIZE];
    struct stat info;
    if (!path) return 0;
    const char *slash = strrchr(path, '/');
    int length = snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    if (length < 0 || (size_t)length >= sizeof folder) return problem_set(what, "--%s: its path is too long", flag);
    int exists = stat(path, &info) == 0;
    if (!exists && lstat(path, &info) == 0) return problem_set(what, "--%s %s: a symbolic link to nothing", flag, path);
    if (exists && !S_ISREG(info.st_mode)) return problem_set(what, "--%s %s: not a regular file", flag, path);
    if (access(folder, W_OK | X_OK) == 0 && (!exists || access(path, W_OK) == 0)) return 0;
    return problem_set(what, "--%s %s: %s", flag, path, strerror(errno));
}
