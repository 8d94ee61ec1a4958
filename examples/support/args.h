/* Command lines from a table: one row per flag gives its parsing, its range check and its line of help. */
#ifndef ARGS_H
#define ARGS_H

#include "problem.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum arg_type {
    ARG_TEXT,   /* const char *: points into argv */
    ARG_COUNT,  /* int64_t */
    ARG_SEED,   /* uint64_t */
    ARG_REAL,   /* double: decimal or fraction such as 8/255 */
    ARG_EPOCHS, /* int64_t[5]: a,b,c,d,T */
    ARG_COUNTS, /* arg_counts: a,b,... */
    ARG_CHOICE, /* int64_t: which of the words of value_name, "this|that" */
    ARG_STOP,   /* int, set to 1: takes no value and ends the parsing, as --help does */
} arg_type;

#define ARG_EPOCHS_COUNT 5

typedef struct arg_counts {
    int64_t count, values[8];
} arg_counts;

typedef enum arg_origin { ARG_UNSET, ARG_DEFAULTED, ARG_GIVEN } arg_origin;

typedef struct arg {
    const char *name; /* without its two dashes */
    arg_type type;
    void *target;
    double low, high;       /* of numbers, inclusive */
    const char *value_name; /* in the help */
    const char *help;
    int stored;        /* part of what a training is: kept in checkpoints */
    arg_origin origin; /* set by the functions below */
} arg;

/* Reads value into the target. Errors name the flag and the value. */
int arg_set(arg *a, const char *value, arg_origin origin, problem *what);
/* The value as text that arg_set reads back to the same bits. */
void arg_format(const arg *a, char *text, size_t size);
arg *args_find(arg *args, size_t count, const char *name, size_t name_length);
/* 0; 1 when --help or an ARG_STOP was asked for; -1 with the problem told. "--flag value" or "--flag=value"; the last
 * one counts. */
int args_parse(arg *args, size_t count, int argc, char **argv, problem *what);
void args_print_help(FILE *out, const arg *args, size_t count);

/* A decimal number or a fraction of two: 0.3, 8/255. */
int parse_real(const char *text, double *value);
/* The shortest decimal that reads back to the same bits. */
void format_real(double value, char *text, size_t size);
#define FORMAT_REAL_SIZE 32

#endif
