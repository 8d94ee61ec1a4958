/* What went wrong, in one line for a person. */
#ifndef PROBLEM_H
#define PROBLEM_H

#include <linfdist/linfdist.h>

typedef struct problem {
    char text[512];
} problem;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
/* Fills the text and returns -1, so that `return problem_set(...)` reports and fails. */
int problem_set(problem *what, const char *format, ...);
/* 0 for LINFDIST_OK; else -1 with the library's own message. */
int problem_check(problem *what, linfdist_status status);

#endif
