/* Speed of the library, everything in one run: operators, convolutions, training, certificates and threads, beside
 * BLIS's single-precision matrix product of the same shape. bench --help lists the flags; docs/performance.md says what
 * the rows are. */
#include "report.h"
#include "rows.h"
#include "training.h"

#include <stdio.h>

static void measure(const bench_settings *s) {
    memory_use memory = {0};
    if (listed(s->ops, "training_step")) memory = measure_training_memory(s);
    report_open(s->json);
    bench_operators(s);
    bench_convolutions(s);
    bench_training(s, &memory);
    bench_certifying(s);
    bench_threads(s);
    report_close();
    nets_close();
}

int main(int argc, char **argv) {
    bench_settings s;
    problem what;
    const int parsed = bench_settings_parse(&s, argc, argv, &what);
    if (parsed < 0) {
        fprintf(stderr, "bench: %s\n", what.text);
        return 2;
    }
    if (parsed == 0) measure(&s);
    return 0;
}
