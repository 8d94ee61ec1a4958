/* Progress on stderr: a bar with the time left on a terminal, plain lines elsewhere. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdint.h>

typedef struct progress {
    int64_t first, total;  /* steps done when it started, and in all */
    double started, drawn; /* seconds */
    int terminal, visible;
} progress;

void progress_start(progress *bar, int64_t done, int64_t total);
/* Redraws the bar at most ten times a second; note: a few words such as the loss. */
void progress_step(progress *bar, int64_t done, const char *note);
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
/* A line that stays. */
void progress_line(progress *bar, const char *format, ...);
/* Removes the bar. */
void progress_clear(progress *bar);
/* A clock that never jumps. */
double seconds_now(void);

#endif
