/* What the tests of certifiers and attacks share: a context, and certifiers of nets on raw pixels. */
#ifndef CERTIFIER_SUPPORT_H
#define CERTIFIER_SUPPORT_H

#include "net_support.h"
#include "pixel_support.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { N_IN = PIXEL_N_IN, CLASSES = PIXEL_CLASSES, SAMPLES = 40 };
enum { MARGIN = LINFDIST_METHOD_MARGIN, INTERVAL = LINFDIST_METHOD_INTERVAL };

static linfdist_context *context;

static inline int setup(void **state) {
    (void)state;
    context = make_context(1, NULL);
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    linfdist_context_destroy(context);
    return 0;
}

static inline linfdist_certifier *make_certifier(const linfdist_model *model) {
    linfdist_certifier *certifier = NULL;
    OK(linfdist_certifier_create(model, &certifier));
    return certifier;
}

static inline int32_t certified_at(const linfdist_certifier *c, int32_t method, const float *x, double eps) {
    int32_t certified = -1;
    OK(linfdist_certify_at(c, method, x, N_IN, 1, eps, NULL, &certified));
    assert_true(certified == 0 || certified == 1);
    return certified;
}

#endif
