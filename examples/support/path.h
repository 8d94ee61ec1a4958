/* Paths of files. */
#ifndef PATH_H
#define PATH_H

#include "problem.h"

#define PATH_SIZE 1024

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
/* 0, or -1 where the path would be longer than PATH_SIZE. */
int path_format(char path[PATH_SIZE], problem *what, const char *format, ...);
/* 1 also where the file is there but cannot be read: reading it says why. */
int path_exists(const char *path);
/* A training must not end with a file that cannot be written: its place is looked at before. path: the value of --flag,
 * or NULL. */
int path_check_target(const char *flag, const char *path, problem *what);

#endif
