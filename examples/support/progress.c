#define _POSIX_C_SOURCE 200809L
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 24

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_start(progress *bar, int64_t done, int64_t total) {
    *bar = (progress){.first = done, .total = total, .started = seconds_now(), .terminal = isatty(STDERR_FILENO)};
}

void progress_clear(progress *bar) {
    if (bar->visible) fputs("\r\033[K", stderr);
    bar->visible = 0;
}

void progress_step(progress *bar, int64_t done, const char *note) {
    double now = seconds_now();
    if (!bar->terminal || now - bar->drawn < 0.1 || done <= bar->first) return;
    bar->drawn = now;
    int filled = (int)(BAR_WIDTH * done / bar->total);
    char drawn[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; ++i) drawn[i] = i < filled ? '#' : '.';
    drawn[BAR_WIDTH] = '\0';
    double left = (now - bar->started) / (double)(done - bar->first) * (double)(bar->total - done);
    long long s = (long long)left;
    fprintf(stderr, "\r[%s] %3d%%  %s  ETA %lld:%02lld:%02lld\033[K", drawn, (int)(100 * done / bar->total), note,
            s / 3600, s / 60 % 60, s % 60);
    fflush(stderr);
    bar->visible = 1;
}

void progress_line(progress *bar, const char *format, ...) {
    progress_clear(bar);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}
