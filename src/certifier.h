/* Certifier internals: the snapshot that certificates, attacks and Lipschitz estimates speak of. */
#ifndef LFD_CERTIFIER_H
#define LFD_CERTIFIER_H

#include "model.h"
#include "screen.h"

struct linfdist_certifier {
    linfdist_context *context; /* the snapshot's */
    linfdist_model *snapshot;  /* nobody else's */
    void **prepared;           /* of its layers (lfd_prepare); NULL: every pass is dense */
    lfd_screen *screen;        /* decides first; NULL: nothing does */
};

/* linfdist_certifier_create; prepared 0: without what makes passes faster (prepare.h), which changes no bit. */
linfdist_status lfd_certifier_create(const linfdist_model *model, int prepared, linfdist_certifier **certifier);

#endif
