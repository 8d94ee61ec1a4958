/* What an optimizer consists of; only checkpoints look inside besides it. */
#ifndef LFD_OPTIMIZER_H
#define LFD_OPTIMIZER_H

#include "model.h"

struct linfdist_optimizer {
    linfdist_context *context;
    linfdist_model *model; /* retained */
    linfdist_adam_options options;
    int64_t step;
    float **m, **v; /* per tensor of the model; NULL for running means */
};

#endif
