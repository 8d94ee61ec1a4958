/* What the programs that judge a model file share: the certifier of it, and lists of numbers on the command line. */
#ifndef CERTIFYING_H
#define CERTIFYING_H

#include "dataset.h"

enum { LIST_MOST = 64 };

typedef struct number_list {
    int count;
    double values[LIST_MOST];
} number_list;

/* "0.1,8/255" to numbers in [low, high]. flag names the text in messages. */
int parse_list(const char *flag, const char *text, double low, double high, number_list *list, problem *what);
/* "8,33.3,inf" to norms: numbers in [1, 1000] or infinity. */
int parse_norms(const char *flag, const char *text, number_list *list, problem *what);
/* "margin" or "interval". */
int parse_method(const char *text, int32_t *method, problem *what);
/* The data set without its training images; what a user must know about it goes to stderr. */
int open_test_images(const char *program, const char *spec, uint64_t seed, dataset *data, problem *what);
/* The certifier of a model file that fits the data, or crops of them, and has statistics. */
int load_certifier(const char *path, int64_t threads, dataset *data, linfdist_certifier **certifier, problem *what);
/* Raw pixels of chunks of the test images: call f(user, first, n, raw) for [0, count) until it fails. */
typedef int (*chunk_fn)(void *user, int64_t first, int64_t n, const float *raw, problem *what);
int for_chunks(const dataset *data, int64_t count, int64_t chunk, chunk_fn f, void *user, problem *what);

#endif
