/* Whole files, plain or gzip. */
#ifndef GZFILE_H
#define GZFILE_H

#include "problem.h"

#include <stddef.h>
#include <stdint.h>

/* The decompressed bytes of a file, for free(). Errors name the path: unreadable, truncated or damaged gzip, more than
 * max_size bytes, out of memory. */
int gzfile_read(const char *path, size_t max_size, uint8_t **bytes, size_t *size, problem *what);

#endif
