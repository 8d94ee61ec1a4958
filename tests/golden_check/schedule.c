/* schedule.json: points of the published schedules. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

static void release_json(void *json) {
    json_decref(json);
}

static double number(check *c, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    if (text && strcmp(text, "inf") == 0) return INFINITY;
    if (!json_is_number(value)) check_stop(c, "field %s is missing or not a number", key);
    return json_number_value(value);
}

static int64_t integer(check *c, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value)) check_stop(c, "field %s is missing or not an integer", key);
    return json_integer_value(value);
}

/* "6,9" or nothing; the array lives as long as the case. */
static void read_decays(check *c, const json_t *source, linfdist_schedule *schedule) {
    const json_t *decays = json_object_get(source, "decays");
    if (!decays) check_stop(c, "field decays is missing");
    if (json_is_null(decays)) return;
    if (!json_is_array(decays)) check_stop(c, "field decays is neither null nor an array");
    const size_t count = json_array_size(decays);
    int64_t *epochs = check_array(c, count, sizeof *epochs);
    for (size_t i = 0; i < count; ++i) epochs[i] = json_integer_value(json_array_get(decays, i));
    schedule->decay_count = (int64_t)count;
    schedule->decay_epochs = epochs;
}

static linfdist_schedule read_schedule(check *c, const json_t *source) {
    const json_t *epochs = json_object_get(source, "epochs");
    const char *loss = json_string_value(json_object_get(source, "loss"));
    linfdist_schedule s;
    CHECK(c, linfdist_schedule_init(&s, sizeof s));
    s.batches_per_epoch = integer(c, source, "batches_per_epoch");
    s.eps_begin = integer(c, epochs, "eps_start");
    s.eps_finish = integer(c, epochs, "eps_end");
    s.p_begin = integer(c, epochs, "p_start");
    s.p_finish = integer(c, epochs, "p_end");
    s.epochs = integer(c, epochs, "total");
    s.p_start = number(c, source, "p_start");
    s.p_end = number(c, source, "p_end");
    s.eps_train_normalized = number(c, source, "eps_train");
    s.eps_smooth = number(c, source, "eps_smooth");
    s.positive_eps = 0; /* a hybrid net's may be 0 */
    s.lr = number(c, source, "lr");
    s.scalar_lr = number(c, source, "scalar_lr");
    s.lambda_start = s.lambda_end = 0.0;
    if (!loss) check_stop(c, "field loss is missing");
    if (strncmp(loss, "mixture", 7) == 0 &&
        sscanf(loss, "mixture(lam0=%lf,lam_end=%lf)", &s.lambda_start, &s.lambda_end) != 2)
        check_stop(c, "loss %s has no lambdas", loss);
    read_decays(c, source, &s);
    return s;
}

static void check_point(check *c, const char *schedule_name, const linfdist_schedule *schedule, const json_t *point) {
    /* What the file demands: relative 1e-12, and absolute 1e-12 for a learning rate near 0. */
    const check_tolerance relative = {1e-12, 0.0}, rate = {1e-12, 1e-12};
    const int64_t epoch = integer(c, point, "epoch"), batch = integer(c, point, "batch");
    linfdist_schedule_point got = {.struct_size = sizeof got};
    CHECK(c, linfdist_schedule_at(schedule, epoch * schedule->batches_per_epoch + batch, &got));
    const struct {
        const char *field;
        double got;
        check_tolerance tolerance;
    } fields[] = {{"lr", got.lr, rate},
                  {"scalar_lr", got.scalar_lr, rate},
                  {"p", got.p, relative},
                  {"eps", got.eps_normalized, relative},
                  {"lambda", got.lambda, relative}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; ++i) {
        char name[160];
        snprintf(name, sizeof name, "%s epoch %lld batch %lld %s", schedule_name, (long long)epoch, (long long)batch,
                 fields[i].field);
        check_number_close(c, name, fields[i].got, number(c, point, fields[i].field), fields[i].tolerance);
    }
}

void check_schedule(check *c, const char *path) {
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root) check_stop(c, "line %d: %s", error.line, error.text);
    check_own(c, root, release_json);
    const json_t *schedules = json_object_get(root, "schedules");
    if (json_array_size(schedules) == 0) check_stop(c, "the file has no schedules");
    for (size_t i = 0; i < json_array_size(schedules); ++i) {
        const json_t *source = json_array_get(schedules, i), *points = json_object_get(source, "points");
        const char *name = json_string_value(json_object_get(source, "name"));
        const linfdist_schedule schedule = read_schedule(c, source);
        if (!name || json_array_size(points) == 0) check_stop(c, "schedule %zu has no name or no points", i);
        for (size_t k = 0; k < json_array_size(points); ++k) check_point(c, name, &schedule, json_array_get(points, k));
    }
}
