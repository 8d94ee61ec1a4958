/* MNIST and Fashion-MNIST: IDX files. */
#ifndef MNIST_H
#define MNIST_H

#include "dataset.h"

/* Reads PREFIX-images-idx3-ubyte and PREFIX-labels-idx1-ubyte from directory into an empty split; also with '.' for
 * the '-' before "idx", and with ".gz". Says which file is missing or wrong and how. */
int mnist_read(dataset_split *split, const char *directory, const char *prefix, problem *what);

#endif
