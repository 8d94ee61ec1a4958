/* JPEG files of one size, as RGB. */
#ifndef JPEGFILE_H
#define JPEGFILE_H

#include "problem.h"

#include <stdint.h>

/* 0, or -1 when the programs were built without a JPEG library. */
int jpegfile_supported(problem *what);
/* Decodes a file of side x side pixels into the planes R, G, B (3 x side x side bytes). Grey and CMYK become RGB. A
 * file that is damaged, cut short or of another size is refused, with its path. */
int jpegfile_read(const char *path, int64_t side, uint8_t *planes, problem *what);

#endif
