#include "path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

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
