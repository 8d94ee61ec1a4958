/* What is computed once for many inferences of one model: for each layer that can use it (lfd_layer_ops.prepare), the
 * range its inputs cannot leave. It follows from the model alone: interval bounds of the valid range of pixels, led
 * through the layers. They are no wider than the valid range itself, whatever the depth, since the layers are
 * 1-Lipschitz; ranges measured on thousands of images order the inputs no better. */
#ifndef LFD_PREPARE_H
#define LFD_PREPARE_H

#include "model.h"

/* One pointer per layer, NULL where a layer has nothing; NULL where memory is short. The model must not change. */
void **lfd_prepare(linfdist_model *model);
/* prepared or NULL. */
void lfd_forget(const linfdist_model *model, void **prepared);

#endif
