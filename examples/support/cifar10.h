/* CIFAR-10 in its binary layout: data_batch_1.bin to data_batch_5.bin and test_batch.bin, plain or ".gz". */
#ifndef CIFAR10_H
#define CIFAR10_H

#include "dataset.h"

#define CIFAR10_SIDE 32

/* Reads the batches that are present, in directory or in its folder cifar-10-batches-bin. Without a test batch the last
 * tenth of the training images are the test images, and the data's note says so. */
int cifar10_read(dataset *data, const char *directory, int splits, problem *what);

#endif
