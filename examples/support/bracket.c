#include "bracket.h"

#include "args.h"
#include "evaluate.h"

#include <inttypes.h>
#include <string.h>

enum { CHUNK = 256 };

/* One measurement. */
typedef struct measurement {
    const linfdist_certifier *certifier;
    const attack_settings *attack;
    const dataset *data;
    linfdist_attack_options options;
    float p[LIST_MOST];
    double eps_raw;
    bracket *b;
    int64_t *with_p;
} measurement;

int bracket_count(bracket *b, const verdict *v, const char *method, double eps_raw, problem *what) {
    const int right = v->predicted == v->label;
    char eps[FORMAT_REAL_SIZE];
    format_real(eps_raw, eps, sizeof eps);
    if (right && v->certified && v->broken)
        return problem_set(what,
                           "sample %" PRId64 " is certified as a %d at eps %s (%s), but an attack within that radius "
                           "makes it a %d: the certificate is broken%s",
                           v->index, (int)v->label, eps, method, (int)v->attacked,
                           strcmp(method, "margin") == 0 ? ", or rounding is at work (see --method interval)" : "");
    ++b->samples;
    b->clean += right;
    b->certified += right && v->certified;
    b->robust += right && !v->broken;
    return 0;
}

/* Attacks with the gradients of all p, or one after the other; broken and attacked have the worst of them. */
static int attack_chunk(measurement *m, const int32_t *labels, const float *raw, int64_t n, int32_t *broken,
                        int32_t *attacked, problem *what) {
    linfdist_attack_options options = m->options;
    const int calls = m->with_p ? m->attack->p.count : 1;
    int32_t success[CHUNK], predicted[CHUNK];
    memset(broken, 0, (size_t)n * sizeof *broken);
    for (int i = 0; i < calls; ++i) {
        options.p = m->p + i;
        if (m->with_p) options.p_count = 1;
        if (problem_check(what, linfdist_attack(m->certifier, &options, raw, m->data->n_in, labels, n, m->eps_raw, NULL,
                                                0, predicted, success)) != 0)
            return -1;
        for (int64_t k = 0; k < n; ++k) {
            if (m->with_p) m->with_p[i] += !success[k];
            if (success[k] && !broken[k]) attacked[k] = predicted[k];
            broken[k] |= success[k];
        }
    }
    return 0;
}

static int measure_chunk(void *user, int64_t first, int64_t n, const float *raw, problem *what) {
    measurement *m = user;
    const int32_t *labels = m->data->test.labels + first;
    int32_t predicted[CHUNK], certified[CHUNK], broken[CHUNK], attacked[CHUNK];
    if (problem_check(what, linfdist_certify_at(m->certifier, m->attack->method, raw, m->data->n_in, n, m->eps_raw,
                                                predicted, certified)) != 0 ||
        attack_chunk(m, labels, raw, n, broken, attacked, what) != 0)
        return -1;
    for (int64_t k = 0; k < n; ++k) {
        const verdict v = {first + k, labels[k], predicted[k], certified[k], broken[k], attacked[k]};
        if (bracket_count(m->b, &v, method_name(m->attack->method), m->eps_raw, what) != 0) return -1;
    }
    return 0;
}

int bracket_measure(const linfdist_certifier *certifier, const attack_settings *attack, const dataset *data,
                    int64_t count, double eps_raw, bracket *b, int64_t *with_p, problem *what) {
    measurement m = {
        .certifier = certifier, .attack = attack, .data = data, .eps_raw = eps_raw, .b = b, .with_p = with_p};
    if (problem_check(what, linfdist_attack_options_init(&m.options, sizeof m.options)) != 0) return -1;
    for (int i = 0; i < attack->p.count; ++i) {
        m.p[i] = (float)attack->p.values[i];
        if (with_p) with_p[i] = 0;
    }
    m.options.steps = attack->steps;
    m.options.restarts = attack->restarts;
    m.options.step_fraction = attack->step_fraction;
    m.options.seed = attack->seed;
    m.options.p_count = attack->p.count;
    *b = (bracket){0};
    return for_chunks(data, count, CHUNK, measure_chunk, &m, what);
}

double bracket_fraction(const bracket *b, int64_t count) {
    return (double)count / (double)b->samples;
}

void bracket_print(FILE *out, const bracket *b, const attack_settings *attack, double eps_raw, double seconds) {
    char clean[FORMAT_REAL_SIZE], robust[FORMAT_REAL_SIZE], certified[FORMAT_REAL_SIZE], eps[FORMAT_REAL_SIZE];
    format_real(bracket_fraction(b, b->clean), clean, sizeof clean);
    format_real(bracket_fraction(b, b->robust), robust, sizeof robust);
    format_real(bracket_fraction(b, b->certified), certified, sizeof certified);
    format_real(eps_raw, eps, sizeof eps);
    fprintf(out,
            "{\"clean_accuracy\": %s, \"certified_accuracy\": %s, \"method\": \"%s\", \"eps\": %s, \"epochs\": null, "
            "\"seconds\": %.3f, \"samples\": %" PRId64 ", \"robust_accuracy\": %s, \"steps\": %" PRId64
            ", \"restarts\": %" PRId64 "}\n",
            clean, certified, method_name(attack->method), eps, seconds, b->samples, robust, attack->steps,
            attack->restarts);
}
