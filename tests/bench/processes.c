#define _POSIX_C_SOURCE 200809L /* fork, pipe */
#include "processes.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_PROCESSES = 64, MOST_WORKS = 8 };

typedef struct order {
    int which, calls; /* calls 0: end */
} order;

struct processes {
    int count;
    pid_t ids[MOST_PROCESSES];
    int orders[MOST_PROCESSES], answers[MOST_PROCESSES];
};

/* Answers the seconds of each order until it ends. */
static _Noreturn void serve(make_works *make, void *user, int orders, int answers) {
    work works[MOST_WORKS];
    order todo;
    make(user, works);
    while (read(orders, &todo, sizeof todo) == sizeof todo && todo.calls > 0) {
        const double start = time_passed();
        for (int i = 0; i < todo.calls; ++i) works[todo.which].call(works[todo.which].user);
        const double seconds = time_passed() - start;
        if (write(answers, &seconds, sizeof seconds) != sizeof seconds) break;
    }
    _exit(0);
}

static void start(processes *p, make_works *make, void *user) {
    int orders[2], answers[2];
    if (pipe(orders) != 0 || pipe(answers) != 0) bench_fail("pipe failed");
    const pid_t id = fork();
    if (id < 0) bench_fail("fork failed");
    if (id == 0) {
        close(orders[1]);
        close(answers[0]);
        serve(make, user, orders[0], answers[1]);
    }
    close(orders[0]);
    close(answers[1]);
    p->ids[p->count] = id;
    p->orders[p->count] = orders[1];
    p->answers[p->count++] = answers[0];
}

processes *processes_start(int count, make_works *make, void *user, int works_count) {
    processes *p = bench_room(1, sizeof *p);
    if (count > MOST_PROCESSES || works_count > MOST_WORKS) bench_fail("too many processes");
    for (int i = 0; i < count; ++i) start(p, make, user);
    for (int i = 0; i < works_count; ++i) processes_rate(p, i, 1); /* waits until all are ready and warm */
    return p;
}

void processes_stop(processes *p) {
    const order end = {0, 0};
    for (int i = 0; i < p->count; ++i) {
        if (write(p->orders[i], &end, sizeof end) != sizeof end) bench_fail("a process is gone");
        close(p->orders[i]);
        close(p->answers[i]);
        waitpid(p->ids[i], NULL, 0);
    }
    free(p);
}

double processes_rate(processes *p, int which, int calls) {
    const order todo = {which, calls};
    double rate = 0.0, seconds;
    for (int i = 0; i < p->count; ++i)
        if (write(p->orders[i], &todo, sizeof todo) != sizeof todo) bench_fail("a process is gone");
    for (int i = 0; i < p->count; ++i) {
        if (read(p->answers[i], &seconds, sizeof seconds) != sizeof seconds) bench_fail("a process failed");
        rate += calls / seconds;
    }
    return rate;
}
