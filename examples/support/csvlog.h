/* CSV logs with an epoch in the first column; every row is on disk when the call returns. */
#ifndef CSVLOG_H
#define CSVLOG_H

#include "problem.h"

#include <stdint.h>
#include <stdio.h>

typedef struct csvlog {
    FILE *file; /* NULL: rows go nowhere */
    char path[1024];
} csvlog;

/* Opens DIRECTORY/NAME, making the directory. keep_epochs 0 starts a new file; a resumed training keeps the rows of
 * the epochs it has done, at most keep_epochs, and drops later ones, which it is about to write again. */
int csvlog_open(csvlog *log, const char *directory, const char *name, const char *header, int64_t keep_epochs,
                problem *what);
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
int csvlog_row(csvlog *log, problem *what, const char *format, ...);
int csvlog_close(csvlog *log, problem *what);

#endif
