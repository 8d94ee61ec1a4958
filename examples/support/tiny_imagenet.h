/* TinyImageNet as it is published: the folder tiny-imagenet-200 of its archive, untouched. */
#ifndef TINY_IMAGENET_H
#define TINY_IMAGENET_H

#include "dataset.h"

#define TINY_IMAGENET_SIDE 64
#define TINY_IMAGENET_MAX_CLASSES 200

/* Reads directory, or its folder tiny-imagenet-200. Class k is line k of wnids.txt. The training images are
 * train/CLASS/images/<name>.JPEG, class after class, by name; the test images are those of val/val_annotations.txt, in
 * its order. */
int tiny_imagenet_read(dataset *data, const char *directory, int splits, problem *what);

#endif
