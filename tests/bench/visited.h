/* How much a certifier's screen looks at, and what it leaves to the exact passes. */
#ifndef VISITED_H
#define VISITED_H

#include <linfdist/linfdist.h>

#include <stdint.h>

typedef struct visited {
    double images;
    double terms, all; /* looked at, 0 where no screen is used; of the dense passes of the same images */
    double undecided;  /* images */
} visited;

/* Of linfdist_certify_at for images raw images, batch in a call: values, and by INTERVAL bounds. */
visited count_visited(const linfdist_certifier *certifier, int32_t method, const float *raw, int64_t images,
                      int64_t batch, double eps_raw);

#endif
