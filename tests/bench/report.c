#include "report.h"

#include "sgemm.h"

#include <math.h>
#include <stdio.h>

static FILE *json;
static const char *heading; /* that waits for its first row */

void report_open(const char *path) {
    printf("Speeds in 10^9 elements a second; an element is one (b, o, i) of B x O x K. ");
    if (sgemm_comparable())
        printf("ratio: to BLIS sgemm (%s) of the same shape, medians of alternating calls (range).\n",
               sgemm_configuration());
    else
        printf("No ratios: BLIS has no kernels for this processor here (%s).\n", sgemm_configuration());
    if (!path) return;
    json = fopen(path, "w");
    if (!json) {
        perror(path);
        bench_fail("--json: cannot be written");
    }
}

void report_close(void) {
    if (json && fclose(json) != 0) bench_fail("--json: could not be written");
    json = NULL;
}

void report_heading(const char *title) {
    heading = title;
}

static void print_heading(void) {
    if (!heading) return;
    printf("\n%s\n%-19s %-6s %2s %6s %5s %5s %5s %-7s %9s %9s %6s\n", heading, "op", "isa", "th", "B", "O", "K", "p",
           "data", "Gelem/s", "sgemm", "ratio");
    heading = NULL;
}

static extra *next_extra(row *r, const char *name) {
    for (int i = 0; i < ROW_EXTRAS; ++i)
        if (!r->extras[i].name) {
            r->extras[i].name = name;
            return &r->extras[i];
        }
    bench_fail("a row has too many columns");
}

void row_number(row *r, const char *name, double number) {
    next_extra(r, name)->number = number;
}

void row_text(row *r, const char *name, const char *text) {
    next_extra(r, name)->text = text;
}

static double speed(const row *r, double seconds) {
    return r->elements / seconds * 1e-9;
}

static void print_row(const row *r, int compared) {
    char p[32] = "inf";
    if (isfinite(r->p)) snprintf(p, sizeof p, "%g", r->p);
    printf("%-19s %-6s %2d %6lld %5lld %5lld %5s %-7s %9.4g ", r->op, r->isa, r->threads, (long long)r->batch,
           (long long)r->n_out, (long long)r->n_in, p, r->data, speed(r, r->time.seconds));
    if (compared)
        printf("%9.4g %6.3f (%.3f to %.3f)", speed(r, r->time.other_seconds), r->time.ratio, r->time.lowest,
               r->time.highest);
    else
        printf("%9s %6s", "-", "-");
    for (const extra *e = r->extras; e < r->extras + ROW_EXTRAS && e->name; ++e)
        e->text ? printf("  %s %s", e->name, e->text) : printf("  %s %.4g", e->name, e->number);
    printf("\n");
    fflush(stdout);
}

static void write_json(const row *r, int compared) {
    fprintf(json, "{\"op\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"B\": %lld, \"O\": %lld, \"K\": %lld, ", r->op,
            r->isa, r->threads, (long long)r->batch, (long long)r->n_out, (long long)r->n_in);
    isfinite(r->p) ? fprintf(json, "\"p\": %.9g, ", r->p) : fprintf(json, "\"p\": \"inf\", ");
    fprintf(json, "\"data\": \"%s\", \"gelem_per_s\": %.6g, ", r->data, speed(r, r->time.seconds));
    if (compared)
        fprintf(json, "\"sgemm_gelem_per_s\": %.6g, \"ratio\": %.6g, ", speed(r, r->time.other_seconds), r->time.ratio);
    else
        fprintf(json, "\"sgemm_gelem_per_s\": null, \"ratio\": null, ");
    fprintf(json, "\"blis_config\": \"%s\"", sgemm_configuration());
    for (const extra *e = r->extras; e < r->extras + ROW_EXTRAS && e->name; ++e)
        e->text ? fprintf(json, ", \"%s\": \"%s\"", e->name, e->text)
                : fprintf(json, ", \"%s\": %.6g", e->name, e->number);
    fprintf(json, "}\n");
    fflush(json);
}

void report_row(const row *r) {
    const int compared = r->time.other_seconds > 0.0;
    print_heading();
    print_row(r, compared);
    if (json) write_json(r, compared);
}
