/* Certifier internals: the snapshot that certificates, attacks and Lipschitz estimates speak of. */
#ifndef LFD_CERTIFIER_H
#define LFD_CERTIFIER_H

#include "model.h"

struct linfdist_certifier {
    linfdist_context *context; /* the snapshot's */
    linfdist_model *snapshot;  /* nobody else's */
};

#endif
