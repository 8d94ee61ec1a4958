#include "limits.h"
#include "operators.h"
#include "report.h"
#include "rows.h"
#include "sgemm.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { ALL = (1 << OPERATORS) - 1, FORWARD = ALL & ~(1 << OPERATOR_LP_BACKWARD) };
enum { ISAS_BEST = 1, ISAS_VECTORS = 2, ISAS_ALL = 3 };
enum { P_MOST = 8 };

/* Rows on one shape; without a shape those of a trained net's layer. */
typedef struct rows {
    int64_t batch, n_out, n_in;
    int operators, isas;
    double forward_p[P_MOST], backward_p[P_MOST]; /* of the l_p operators, up to the first 0 */
} rows;

/* p = 9.5 stands for every p that is no integer, on data where each term counts. */
static const rows usual[] = {
    {512, 1024, 1024, ALL, ISAS_VECTORS, {2, 8, 9.5}, {8}},
    {0, 0, 0, ALL, ISAS_VECTORS, {8, 30, 100, 300, 1000}, {8, 30, 100, 300, 1000}},
    {512, 5120, 5120, ALL, ISAS_BEST, {8}, {8}},
    {1, 1024, 1024, FORWARD, ISAS_BEST, {8, 100}, {0}},
    {37, 53, 331, ALL, ISAS_ALL, {8, 9.5}, {8}},
};
static const rows tiny[] = {
    {16, 32, 48, ALL, ISAS_VECTORS, {8}, {8}},
    {0, 0, 0, ALL, ISAS_BEST, {30, 100}, {30}},
    {3, 5, 17, ALL, ISAS_ALL, {8, 9.5}, {8}},
};

/* Columns for what the processor allows, and the part of it that is reached. */
static void add_limit(const bench_settings *s, row *r, const operands *o, int which, work call) {
    limit l = limit_of(o, which);
    if (!l.loop) return;
    const timed both = time_pairs(call, limit_work(&l), (int)s->repeats);
    row_number(r, "limit_gelem_per_s", 1e-9 * l.elements / both.other_seconds);
    row_number(r, "of_limit", both.ratio * r->elements / l.elements);
}

/* Maxima of trained nets do, with which all p but small integers begin. */
static int skips_columns(int which, double p, const char *data) {
    const int takes_maxima = which <= OPERATOR_LINF_ARGMAX || (which == OPERATOR_LP && (p > 8 || p != rint(p)));
    return takes_maxima && strcmp(data, "trained") == 0;
}

static void measure(const bench_settings *s, operands *o, linfdist_context *context, int which, double p,
                    const char *data, sgemms *products) {
    row r = {.op = operator_names[which],
             .isa = linfdist_context_isa(context),
             .data = data,
             .threads = 1,
             .batch = o->shape.batch,
             .n_out = o->shape.n_out,
             .n_in = o->shape.n_in,
             .p = p,
             .elements = sgemms_elements(products)};
    const work call = operator_work(o, which, context, p);
    r.time = time_pairs(call, sgemms_work(products), (int)s->repeats);
    if (!skips_columns(which, p, data)) add_limit(s, &r, o, which, call);
    report_row(&r);
}

/* The p of an operator's rows: infinity, those of --p, or the usual ones. How many. */
static int p_of(const bench_settings *s, const rows *w, int which, double *p) {
    const double *usual_p = which == OPERATOR_LP_BACKWARD ? w->backward_p : w->forward_p;
    int count = 0;
    if (which < OPERATOR_LP) {
        p[count++] = INFINITY;
        return count;
    }
    for (int i = 0; i < s->p_list.count; ++i)
        if (isfinite(s->p_list.values[i])) p[count++] = s->p_list.values[i];
    for (int i = 0; i < P_MOST && s->p_list.count == 0 && usual_p[i] > 0.0; ++i) p[count++] = usual_p[i];
    return count;
}

/* A net's layer sees other numbers at each p. */
static operands operands_at(const bench_settings *s, const rows *w, double p, linfdist_context *context) {
    operands o;
    if (w->batch > 0) {
        operands_random(&o, w->batch, w->n_out, w->n_in);
    } else {
        layer_data data = nets_layer(nets_get(s), p, s->layer, context);
        operands_trained(&o, &data);
    }
    return o;
}

static void measure_operator(const bench_settings *s, const rows *w, int which, linfdist_context *context) {
    double p[LIST_MOST];
    const int count = p_of(s, w, which, p);
    for (int i = 0; i < count; ++i) {
        operands o = operands_at(s, w, p[i], context);
        sgemms *products = sgemms_create();
        sgemms_add_forward(products, o.shape.batch, o.shape.n_out, o.shape.n_in);
        measure(s, &o, context, which, p[i], w->batch > 0 ? "random" : "trained", products);
        sgemms_destroy(products);
        operands_free(&o);
    }
}

static int wanted_isas(const bench_settings *s, const rows *w, const char *isas[4]) {
    int count = 0;
    isas_wanted(s, isas);
    while (isas[count]) ++count;
    if (s->isa || w->isas == ISAS_ALL) return count;
    while (count > 1 && isas[count - 1][0] == 'r') --count;
    return w->isas == ISAS_BEST ? 1 : count;
}

static void measure_rows(const bench_settings *s, const rows *w) {
    const char *isas[4];
    const int count = wanted_isas(s, w, isas);
    for (int i = 0; i < count; ++i) {
        linfdist_context *context = context_of(isas[i], 1);
        for (int which = 0; which < OPERATORS; ++which)
            if (w->operators >> which & 1 && listed(s->ops, operator_names[which]))
                measure_operator(s, w, which, context);
        linfdist_context_destroy(context);
    }
}

static int any_wanted(const bench_settings *s) {
    for (int which = 0; which < OPERATORS; ++which)
        if (listed(s->ops, operator_names[which])) return 1;
    return 0;
}

void bench_operators(const bench_settings *s) {
    const rows *all = s->quick ? tiny : usual;
    const size_t count = s->quick ? sizeof tiny / sizeof *tiny : sizeof usual / sizeof *usual;
    const rows one = {s->batch, s->n_out, s->n_in, ALL, ISAS_VECTORS, {2, 8, 9.5, 30, 100}, {8, 9.5, 30, 100}};
    if (!any_wanted(s)) return;
    if (s->batch == 0) nets_get(s); /* its line stands before the table */
    report_heading("Operators, one thread");
    if (s->batch > 0) measure_rows(s, &one);
    for (size_t i = 0; i < count; ++i)
        if (s->batch == 0 || (s->model && all[i].batch == 0)) measure_rows(s, &all[i]);
}
