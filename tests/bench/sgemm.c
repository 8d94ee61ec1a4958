#include "sgemm.h"

#include "../../lib/gemm/gemm.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PRODUCTS = 3 * LAYERS_MOST };

typedef struct product {
    size_t m, n, k;
    lfd_gemm_order a_order, b_order;
    float *a, *b, *c;
} product;

struct sgemms {
    int count;
    product products[MOST_PRODUCTS];
};

const char *sgemm_configuration(void) {
    return lfd_gemm_configuration();
}

int sgemm_comparable(void) {
    return strcmp(lfd_gemm_configuration(), "generic") != 0 && strcmp(lfd_gemm_configuration(), "none") != 0;
}

sgemms *sgemms_create(void) {
    return bench_room(1, sizeof(sgemms));
}

void sgemms_destroy(sgemms *s) {
    for (int i = 0; s && i < s->count; ++i) {
        free(s->products[i].a);
        free(s->products[i].b);
        free(s->products[i].c);
    }
    free(s);
}

static float *random_room(size_t count) {
    float *values = bench_room((int64_t)count, sizeof *values);
    for (size_t i = 0; i < count; ++i) values[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    return values;
}

/* Arrays of its own for each product: a net's weights and activations are not in the cache for being its neighbour's.
 */
static void add(sgemms *s, size_t m, size_t n, size_t k, lfd_gemm_order a_order, lfd_gemm_order b_order) {
    if (s->count == MOST_PRODUCTS) bench_fail("the net has too many layers");
    s->products[s->count++] = (product){.m = m,
                                        .n = n,
                                        .k = k,
                                        .a_order = a_order,
                                        .b_order = b_order,
                                        .a = random_room(m * k),
                                        .b = random_room(k * n),
                                        .c = random_room(m * n)};
}

void sgemms_add_forward(sgemms *s, int64_t batch, int64_t n_out, int64_t n_in) {
    add(s, (size_t)batch, (size_t)n_out, (size_t)n_in, LFD_GEMM_PLAIN, LFD_GEMM_TRANSPOSED);
}

void sgemms_add_net(sgemms *s, const layer_sizes *sizes, int64_t batch) {
    for (int i = 0; i < sizes->count; ++i) sgemms_add_forward(s, batch, sizes->n_out[i], sizes->n_in[i]);
}

void sgemms_add_training(sgemms *s, const layer_sizes *sizes, int64_t batch) {
    sgemms_add_net(s, sizes, batch);
    for (int i = 0; i < sizes->count; ++i) {
        const size_t b = (size_t)batch, n_out = (size_t)sizes->n_out[i], n_in = (size_t)sizes->n_in[i];
        add(s, b, n_in, n_out, LFD_GEMM_PLAIN, LFD_GEMM_PLAIN);
        add(s, n_out, n_in, b, LFD_GEMM_TRANSPOSED, LFD_GEMM_PLAIN);
    }
}

static void run_products(void *user) {
    const sgemms *s = user;
    for (const product *p = s->products; p < s->products + s->count; ++p)
        lfd_gemm(p->m, p->n, p->k, p->a, p->a_order == LFD_GEMM_TRANSPOSED ? p->m : p->k, p->a_order, p->b,
                 p->b_order == LFD_GEMM_TRANSPOSED ? p->k : p->n, p->b_order, p->c, p->n);
}

work sgemms_work(sgemms *s) {
    return (work){sgemm_comparable() ? run_products : NULL, s, NULL};
}

double sgemms_elements(const sgemms *s) {
    double elements = 0.0;
    for (const product *p = s->products; p < s->products + s->count; ++p)
        elements += (double)p->m * (double)p->n * (double)p->k;
    return elements;
}
