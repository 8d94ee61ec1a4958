/* What a layer of a trained net sees: its input for the first training images, and its weights. */
#ifndef TRAINED_H
#define TRAINED_H

#include "linfdist/linfdist.h"

typedef struct trained_layer {
    int64_t batch, n_in, n_out;
    float *x, *w; /* malloc'ed */
} trained_layer;

/* model: a file of a plain distance net; data: a set that its images come from; layer: 0 is the first; p of the layers
 * before it. 0, or -1 with a message on stderr. */
int trained_layer_make(linfdist_context *context, const char *model, const char *data, int layer, float p,
                       int64_t batch, trained_layer *made);

#endif
