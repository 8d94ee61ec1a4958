#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

int problem_set(problem *what, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what->text, sizeof what->text, format, arguments);
    va_end(arguments);
    return -1;
}

int problem_check(problem *what, linfdist_status status) {
    if (status == LINFDIST_OK) return 0;
    return problem_set(what, "%s: %s", linfdist_status_string(status), linfdist_last_error());
}
