/* How many terms a certifier that skips inputs looks at. */
#ifndef VISITED_H
#define VISITED_H

#include <linfdist/linfdist.h>

#include <stdint.h>

typedef struct visited {
    double terms, all; /* looked at; of the dense passes */
} visited;

/* Of linfdist_certify_at for images raw images, batch in a call: values, and by INTERVAL bounds as well, of every
 * image. */
visited count_visited(const linfdist_certifier *certifier, int32_t method, const float *raw, int64_t images,
                      int64_t batch, double eps_raw);

#endif
