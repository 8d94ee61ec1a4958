/* The rows of a run: a table on standard output and, where asked for, one JSON object per line in a file. */
#ifndef REPORT_H
#define REPORT_H

#include "timing.h"

/* What only some rows have: name and text, or name and number. */
typedef struct extra {
    const char *name, *text;
    double number;
} extra;

enum { ROW_EXTRAS = 12 };

typedef struct row {
    const char *op, *isa, *data; /* data: "random" or "trained" */
    int threads;
    int64_t batch, n_out, n_in; /* B, O, K of the matrix product that the row is compared with */
    double p;
    double elements; /* (b, o, i) triples of one call */
    timed time;      /* other: the sgemms of the same shape */
    extra extras[ROW_EXTRAS];
} row;

/* json: a file name or NULL. */
void report_open(const char *json);
/* Of the rows that follow, if any do; static text. */
void report_heading(const char *title);
void report_row(const row *r);
void report_close(void);

/* Puts an extra behind those that the row has. */
void row_number(row *r, const char *name, double number);
void row_text(row *r, const char *name, const char *text);

#endif
