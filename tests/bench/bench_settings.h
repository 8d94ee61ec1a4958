/* The command line of the bench. */
#ifndef BENCH_SETTINGS_H
#define BENCH_SETTINGS_H

#include "certifying.h" /* lists of numbers */

typedef struct bench_settings {
    const char *json, *ops, *isa, *shape, *p, *model, *data;
    int64_t layer, repeats, seconds;
    int quick;
    int64_t batch, n_out, n_in; /* of --shape; 0: the usual ones */
    number_list p_list;         /* of --p; empty: the usual ones */
} bench_settings;

/* 0, 1 when help was printed, -1 with a problem told. */
int bench_settings_parse(bench_settings *s, int argc, char **argv, problem *what);
/* Whether a comma-separated list has the word; a NULL list has all. */
int listed(const char *list, const char *word);
/* Whether the p is one of --p, or none was given. */
int p_wanted(const bench_settings *s, double p);
/* Instruction sets that --isa leaves, best first: at most 3, NULL behind the last. */
void isas_wanted(const bench_settings *s, const char *isas[4]);

#endif
