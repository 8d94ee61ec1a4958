/* Accuracy at a finite p; clean and certified accuracy at p = infinity, and the line that reports them. */
#ifndef EVALUATE_H
#define EVALUATE_H

#include "dataset.h"

#include <stdio.h>

typedef struct accuracy {
    int64_t samples, clean, certified;
} accuracy;

/* Over the first count samples of the split. certified: right, and provably so within eps_raw. */
int evaluate(const linfdist_certifier *certifier, int32_t method, const dataset *data, const dataset_split *split,
             int64_t count, double eps_raw, accuracy *result, problem *what);
/* The fraction of the split's images that are right at this p, with the running means of training. */
int evaluate_at(linfdist_model *model, double p, const dataset *data, const dataset_split *split, double *right,
                problem *what);
double accuracy_clean(const accuracy *a);
double accuracy_certified(const accuracy *a);
/* "margin", "interval". */
const char *method_name(int32_t method);

/* One JSON object on a line: clean_accuracy, certified_accuracy (fractions), method, eps (raw), epochs (null where
 * epochs < 0: not known), seconds. */
void print_result(FILE *out, const accuracy *a, int32_t method, double eps_raw, int64_t epochs, double seconds);

#endif
