/* Trained nets and their data: model files of --model, or an MLP trained here on the data for some seconds while p
 * grows, kept as it was at each p of interest. */
#ifndef NETS_H
#define NETS_H

#include "batch.h"
#include "bench_settings.h"

enum { NETS_MOST = 8 };

typedef struct net {
    double p;
    const char *path; /* the model file, or NULL: then its bytes */
    unsigned char *bytes;
    size_t size, room;
} net;

typedef struct nets {
    dataset data;
    batches *source; /* of 512 training images, normalized */
    int count;
    net all[NETS_MOST];
} nets;

/* The nets of this run: loads or trains them, and prints a line about it, when it is first called. Ends the program
 * when that fails. */
nets *nets_get(const bench_settings *s);
void nets_close(void);
/* Images of a batch of its source. */
int64_t nets_batch(const nets *n);
/* A net as it is before its training: the first of --model, or a new one. */
linfdist_model *nets_untrained(const bench_settings *s, linfdist_context *context);
/* The net of the run whose p is nearest to this one, in octaves, as a model of the context. */
linfdist_model *nets_model(const nets *n, double p, linfdist_context *context);

/* What a layer of the net at this p sees of the first training images, and its weights; both malloc'ed. */
typedef struct layer_data {
    int64_t batch, n_in, n_out;
    float *x, *w;
} layer_data;

layer_data nets_layer(const nets *n, double p, int64_t layer, linfdist_context *context);

/* Sizes of a net's distance layers, in order. */
enum { LAYERS_MOST = 32 };
typedef struct layer_sizes {
    int count;
    int64_t n_in[LAYERS_MOST], n_out[LAYERS_MOST];
} layer_sizes;
layer_sizes nets_sizes(const linfdist_model *model);
double layer_elements(const layer_sizes *sizes, int64_t batch);

#endif
