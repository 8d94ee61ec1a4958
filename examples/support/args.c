#include "args.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Plain decimals only: strtod alone would also take "inf", "nan", hexadecimal and leading spaces. */
static int parse_decimal(const char *text, size_t length, double *value) {
    if (length == 0 || length >= 64 || strspn(text, "0123456789.eE+-") < length) return -1;
    char copy[64];
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *end;
    *value = strtod(copy, &end);
    return *end == '\0' && isfinite(*value) ? 0 : -1;
}

int parse_real(const char *text, double *value) {
    const char *slash = strchr(text, '/');
    if (!slash) return parse_decimal(text, strlen(text), value);
    double top, bottom;
    if (parse_decimal(text, (size_t)(slash - text), &top) != 0 ||
        parse_decimal(slash + 1, strlen(slash + 1), &bottom) != 0 || bottom == 0.0)
        return -1;
    *value = top / bottom;
    return isfinite(*value) ? 0 : -1;
}

void format_real(double value, char *text, size_t size) {
    for (int digits = 1; digits <= 17; ++digits) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) return;
    }
}

static int parse_integer(const char *text, uint64_t *value, const char **end) {
    if (*text < '0' || *text > '9') return -1;
    errno = 0;
    char *stop;
    unsigned long long number = strtoull(text, &stop, 10);
    *value = number;
    *end = stop;
    return errno == 0 ? 0 : -1;
}

static int set_count(const arg *a, const char *value) {
    uint64_t number;
    const char *end;
    if (parse_integer(value, &number, &end) != 0 || *end != '\0' || (double)number < a->low || (double)number > a->high)
        return -1;
    *(int64_t *)a->target = (int64_t)number;
    return 0;
}

static int set_seed(const arg *a, const char *value) {
    const char *end;
    uint64_t number;
    if (parse_integer(value, &number, &end) != 0 || *end != '\0') return -1;
    *(uint64_t *)a->target = number;
    return 0;
}

static int set_real(const arg *a, const char *value) {
    double number;
    if (parse_real(value, &number) != 0 || number < a->low || number > a->high) return -1;
    *(double *)a->target = number;
    return 0;
}

/* At most most numbers up to high, separated by commas; how many, -1 for anything else. */
static int64_t parse_counts(const char *text, double high, int64_t *numbers, int64_t most) {
    for (int64_t i = 0; i < most; ++i) {
        uint64_t number;
        if (parse_integer(text, &number, &text) != 0 || (double)number > high) return -1;
        numbers[i] = (int64_t)number;
        if (*text == '\0') return i + 1;
        if (*text++ != ',') return -1;
    }
    return -1;
}

static int set_epochs(const arg *a, const char *value) {
    int64_t epochs[ARG_EPOCHS_COUNT];
    if (parse_counts(value, a->high, epochs, ARG_EPOCHS_COUNT) != ARG_EPOCHS_COUNT) return -1;
    memcpy(a->target, epochs, sizeof epochs);
    return 0;
}

/* "none", for a list without numbers, is what arg_format makes of it. */
static int set_counts(const arg *a, const char *value) {
    arg_counts counts = {0};
    if (strcmp(value, "none") != 0)
        counts.count = parse_counts(value, a->high, counts.values, (int64_t)(sizeof counts.values / sizeof(int64_t)));
    if (counts.count < 0) return -1;
    *(arg_counts *)a->target = counts;
    return 0;
}

static void format_counts(const int64_t *values, int64_t count, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "%s", count > 0 ? "" : "none");
    for (int64_t i = 0; i < count && used < size; ++i)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i > 0 ? "," : "", values[i]);
}

/* The words of a choice, the first where *words points; its length. */
static size_t word_length(const char *words) {
    return strcspn(words, "|");
}

static int set_choice(const arg *a, const char *value) {
    const char *word = a->value_name;
    for (int64_t i = 0; *word; ++i) {
        const size_t length = word_length(word);
        if (strlen(value) == length && memcmp(value, word, length) == 0) {
            *(int64_t *)a->target = i;
            return 0;
        }
        word += length + (word[length] == '|');
    }
    return -1;
}

static void format_choice(const arg *a, char *text, size_t size) {
    const char *word = a->value_name;
    for (int64_t i = *(int64_t *)a->target; i > 0; --i) word += word_length(word) + 1;
    snprintf(text, size, "%.*s", (int)word_length(word), word);
}

static int refuse_value(const arg *a, const char *value, problem *what) {
    switch (a->type) {
    case ARG_COUNT:
        return problem_set(what, "--%s '%s': expected a whole number from %.15g to %.15g", a->name, value, a->low,
                           a->high);
    case ARG_SEED: return problem_set(what, "--%s '%s': expected a whole number below 2^64", a->name, value);
    case ARG_REAL:
        return problem_set(what, "--%s '%s': expected a number or fraction from %.15g to %.15g", a->name, value, a->low,
                           a->high);
    case ARG_EPOCHS:
        return problem_set(what, "--%s '%s': expected five whole numbers a,b,c,d,T up to %.15g", a->name, value,
                           a->high);
    case ARG_COUNTS:
        return problem_set(what, "--%s '%s': expected up to eight whole numbers a,b,... up to %.15g, or none", a->name,
                           value, a->high);
    case ARG_CHOICE: return problem_set(what, "--%s '%s': expected %s", a->name, value, a->value_name);
    default: return problem_set(what, "--%s '%s': expected a value", a->name, value);
    }
}

int arg_set(arg *a, const char *value, arg_origin origin, problem *what) {
    int status = -1;
    switch (a->type) {
    case ARG_TEXT:
        status = *value ? 0 : -1;
        if (status == 0) *(const char **)a->target = value;
        break;
    case ARG_COUNT: status = set_count(a, value); break;
    case ARG_SEED: status = set_seed(a, value); break;
    case ARG_REAL: status = set_real(a, value); break;
    case ARG_EPOCHS: status = set_epochs(a, value); break;
    case ARG_COUNTS: status = set_counts(a, value); break;
    case ARG_CHOICE: status = set_choice(a, value); break;
    case ARG_STOP: break;
    }
    if (status != 0) return refuse_value(a, value, what);
    a->origin = origin;
    return 0;
}

void arg_format(const arg *a, char *text, size_t size) {
    switch (a->type) {
    case ARG_TEXT: {
        const char *value = *(const char **)a->target;
        snprintf(text, size, "%s", value ? value : "");
        break;
    }
    case ARG_COUNT: snprintf(text, size, "%" PRId64, *(int64_t *)a->target); break;
    case ARG_SEED: snprintf(text, size, "%" PRIu64, *(uint64_t *)a->target); break;
    case ARG_REAL: format_real(*(double *)a->target, text, size); break;
    case ARG_CHOICE: format_choice(a, text, size); break;
    case ARG_EPOCHS: format_counts(a->target, ARG_EPOCHS_COUNT, text, size); break;
    case ARG_COUNTS: {
        const arg_counts *counts = a->target;
        format_counts(counts->values, counts->count, text, size);
        break;
    }
    case ARG_STOP: snprintf(text, size, "%d", *(int *)a->target); break;
    }
}

arg *args_find(arg *args, size_t count, const char *name, size_t name_length) {
    for (size_t i = 0; i < count; ++i)
        if (strlen(args[i].name) == name_length && memcmp(args[i].name, name, name_length) == 0) return &args[i];
    return NULL;
}

int args_parse(arg *args, size_t count, int argc, char **argv, problem *what) {
    for (int i = 1; i < argc; ++i) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return 1;
        if (strncmp(word, "--", 2) != 0) return problem_set(what, "'%s': expected a flag; --help lists them", word);
        const char *name = word + 2;
        size_t length = strcspn(name, "=");
        arg *a = args_find(args, count, name, length);
        if (!a) return problem_set(what, "%s: unknown flag; --help lists them", word);
        if (a->type == ARG_STOP) {
            if (name[length] == '=') return problem_set(what, "%s: --%s takes no value", word, a->name);
            *(int *)a->target = 1;
            return 1;
        }
        const char *value = name[length] == '=' ? name + length + 1 : ++i < argc ? argv[i] : NULL;
        if (!value) return problem_set(what, "--%s: its value is missing", a->name);
        if (arg_set(a, value, ARG_GIVEN, what) != 0) return -1;
    }
    return 0;
}

void args_print_help(FILE *out, const arg *args, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        char flag[64];
        snprintf(flag, sizeof flag, "--%s %s", args[i].name, args[i].value_name);
        fprintf(out, "  %-24s %s\n", flag, args[i].help);
    }
}
