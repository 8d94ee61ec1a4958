#include "bench_settings.h"

#include "args.h"
#include "timing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const op_names[] = {"linf_forward",  "linf_forward_argmax", "linf_bounds",
                                       "lp_forward",    "lp_backward",         "training_step",
                                       "certify_dense", "certify_pruned",      "conv3x3"};

int listed(const char *list, const char *word) {
    const size_t length = strlen(word);
    if (!list) return 1;
    for (const char *at = list;; ++at) {
        const size_t one = strcspn(at, ",");
        if (one == length && strncmp(at, word, length) == 0) return 1;
        at += one;
        if (*at == '\0') return 0;
    }
}

int p_wanted(const bench_settings *s, double p) {
    for (int i = 0; i < s->p_list.count; ++i)
        if (s->p_list.values[i] == p) return 1;
    return s->p_list.count == 0;
}

void isas_wanted(const bench_settings *s, const char *isas[4]) {
    static const char *const best_first[] = {"avx512", "avx2", "ref"};
    int count = 0;
    for (int i = 0; i < 3; ++i)
        if (listed(s->isa, best_first[i]) && linfdist_isa_available(best_first[i])) isas[count++] = best_first[i];
    isas[count] = NULL;
}

/* Every word of the list is one of the names. */
static int check_words(const char *flag, const char *list, const char *const *names, size_t count, problem *what) {
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t known = 0;
        while (known < count &&
               (strcspn(at, ",") != strlen(names[known]) || strncmp(at, names[known], strlen(names[known])) != 0))
            ++known;
        if (known == count)
            return problem_set(what, "--%s '%s': '%.*s' is unknown", flag, list, (int)strcspn(at, ","), at);
    }
    return 0;
}

static int check(bench_settings *s, problem *what) {
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    long long batch = 0, n_out = 0, n_in = 0;
    char end;
    if (check_words("ops", s->ops, op_names, sizeof op_names / sizeof *op_names, what) != 0 ||
        check_words("isa", s->isa, isas, 3, what) != 0 || (s->p && parse_norms("p", s->p, &s->p_list, what) != 0))
        return -1;
    if (s->shape && (sscanf(s->shape, "%lldx%lldx%lld%c", &batch, &n_out, &n_in, &end) != 3 || batch < 1 || n_out < 1 ||
                     n_in < 1 || batch > 65536 || n_out > 65536 || n_in > 65536))
        return problem_set(what, "--shape '%s': expected three sizes up to 65536 such as 512x1024x1024", s->shape);
    const char *wanted[4];
    isas_wanted(s, wanted);
    if (!wanted[0]) return problem_set(what, "--isa '%s': this machine has none of them", s->isa);
    s->batch = batch;
    s->n_out = n_out;
    s->n_in = n_in;
    if (s->quick && s->seconds > 1) s->seconds = 1;
    if (!s->data) s->data = s->quick ? "digits:256,64" : "digits";
    return 0;
}

/* Removes a flag without a value; whether it was there. */
static int take_word(int *argc, char **argv, const char *word) {
    int kept = 1;
    for (int i = 1; i < *argc; ++i)
        if (strcmp(argv[i], word) != 0) argv[kept++] = argv[i];
    const int found = kept < *argc;
    *argc = kept;
    return found;
}

int bench_settings_parse(bench_settings *s, int argc, char **argv, problem *what) {
    arg flags[] = {
        {"json", ARG_TEXT, &s->json, 0, 0, "FILE", "also write one JSON object per line", 0, 0},
        {"ops", ARG_TEXT, &s->ops, 0, 0, "LIST",
         "only these: linf_forward, linf_forward_argmax, linf_bounds, lp_forward, lp_backward, training_step, "
         "certify_dense, certify_pruned, conv3x3",
         0, 0},
        {"isa", ARG_TEXT, &s->isa, 0, 0, "LIST", "only these instruction sets: ref, avx2, avx512", 0, 0},
        {"shape", ARG_TEXT, &s->shape, 0, 0, "BxOxK", "of the operators on random numbers, instead of the usual ones",
         0, 0},
        {"p", ARG_TEXT, &s->p, 0, 0, "LIST", "of the l_p operators, trainings and convolutions, such as 8,100,inf", 0,
         0},
        {"repeat", ARG_COUNT, &s->repeats, TIMING_FEWEST, TIMING_MOST, "N", "pairs of measurements (7)", 0, 0},
        {"model", ARG_TEXT, &s->model, 0, 0, "LIST",
         "model files with the p of their training: 8=FILE,30=FILE,inf=FILE; a FILE alone stands for every p", 0, 0},
        {"data", ARG_TEXT, &s->data, 0, 0, "SET", DATASET_SPECS " (default: digits)", 0, 0},
        {"layer", ARG_COUNT, &s->layer, 0, 4095, "N",
         "of the nets, whose weights the operators take (1; 0 is the first)", 0, 0},
        {"seconds", ARG_COUNT, &s->seconds, 1, 86400, "N", "of training where there is no --model (20)", 0, 0},
    };
    const size_t count = sizeof flags / sizeof *flags;
    *s = (bench_settings){.layer = 1, .repeats = TIMING_FEWEST, .seconds = 20};
    s->quick = take_word(&argc, argv, "--quick");
    const int parsed = args_parse(flags, count, argc, argv, what);
    if (parsed == 1) {
        printf("usage: bench [FLAGS]\nSpeed of the library against matrix products of the same shape.\n");
        args_print_help(stdout, flags, count);
        printf("  %-24s %s\n", "--quick", "tiny shapes and a tiny net, to see that it works");
    }
    return parsed != 0 ? parsed : check(s, what);
}
