/* Single steps from given states, and the whole trajectory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

/* The golden README asks for agreement where its own ensemble of runs agrees: it gives the largest deviation per entry,
 * devmax, and says below which one to compare. */
static const double snapshot_devmax = 1e-5, final_devmax = 1e-4;

static void zero_or_copy(check *c, const char *name, float *data, size_t count, int zero) {
    if (zero)
        memset(data, 0, count * sizeof *data);
    else
        memcpy(data, check_f32(c, name, count), count * sizeof *data);
}

/* State before step k: parameters, running means, Adam's moments and step count. Step 0 starts from init.* and zeros.
 */
static void restore(check *c, const train_case *t, const char *snapshot, int first) {
    train_write(c, t, first ? "init" : train_join(snapshot, "before").text);
    for (int64_t i = 0; i < t->tensors; ++i) {
        linfdist_tensor m = {.struct_size = sizeof m}, v = {.struct_size = sizeof v};
        CHECK(c, linfdist_optimizer_get_moments(t->optimizer, i, &m, &v));
        if (!m.data) continue;
        const char *name = train_tensor(c, t, i).name;
        const size_t count = train_elements(&m);
        zero_or_copy(c, train_join(train_join(snapshot, "m").text, name).text, m.data, count, first);
        zero_or_copy(c, train_join(train_join(snapshot, "v").text, name).text, v.data, count, first);
    }
    CHECK(c, linfdist_optimizer_set_step(t->optimizer, check_i32(c, train_join(snapshot, "adam_t_before").text, 1)[0]));
}

/* The files give no tolerance for a snapshot's logits and margins: 1e-5 of the largest, the README's rule for values.
 */
static void compare_outputs(check *c, const train_case *t, const char *snapshot, size_t k, double eps) {
    const size_t count = t->batch * t->classes;
    const int32_t *labels = check_i32(c, "y", t->steps * t->batch) + k * t->batch;
    const train_name logits = train_join(snapshot, "logits"), worst = train_join(snapshot, "worst");
    const double *want_logits = check_values(c, logits.text, count), *want_worst = check_values(c, worst.text, count);
    check_close_within(c, logits.text, train_logits(c, t, train_outputs(c, t, t->run, t->batch), t->batch), want_logits,
                       count, (check_tolerance){0.0, 1e-5 * check_largest(want_logits, count)});
    check_close_within(c, worst.text, train_worst(c, t, t->run, labels, t->batch, eps), want_worst, count,
                       (check_tolerance){0.0, 1e-5 * check_largest(want_worst, count)});
}

static void compare_gradients(check *c, const train_case *t, const char *snapshot) {
    const train_name prefix = train_join(snapshot, "grad");
    for (int64_t i = 0; i < t->tensors; ++i) {
        linfdist_tensor gradient = {.struct_size = sizeof gradient};
        CHECK(c, linfdist_run_get_gradient(t->run, i, &gradient));
        if (!gradient.data) continue;
        check_close(c, train_join(prefix.text, gradient.name).text, gradient.data, train_elements(&gradient));
    }
}

/* "max=" of a metadata tolerance. */
static double read_part(check *c, const char *name, const char *part) {
    char key[192];
    snprintf(key, sizeof key, "tol.%s", name);
    const char *text = strstr(check_metadata(c, key), part);
    if (!text) check_stop(c, "metadata %s has no %s", key, part);
    return strtod(text + strlen(part), NULL);
}

/* Every entry within the file's "max="; those on which the ensemble agrees also within 10 devmax + 1e-5. */
static void compare_after(check *c, const train_case *t, const char *snapshot) {
    const train_name prefix = train_join(snapshot, "after");
    const train_name devmax_prefix = train_join(snapshot, "devmax.after");
    for (int64_t i = 0; i < t->tensors; ++i) {
        const linfdist_tensor tensor = train_tensor(c, t, i);
        const size_t count = train_elements(&tensor);
        const train_name name = train_join(prefix.text, tensor.name);
        const double *want = check_values(c, name.text, count);
        const double *devmax = check_values(c, train_join(devmax_prefix.text, tensor.name).text, count);
        const double largest = read_part(c, name.text, "max=");
        for (size_t k = 0; k < count; ++k) {
            const double agreed = 10.0 * devmax[k] + snapshot_devmax;
            const double allowed = devmax[k] < snapshot_devmax ? fmin(largest, agreed) : largest;
            const double off = fabs((double)tensor.data[k] - want[k]);
            if (!(off <= allowed)) {
                check_fail(c, "%s[%zu]: got %.9g, want %.9g, tolerance %.3g", name.text, k, (double)tensor.data[k],
                           want[k], allowed);
                break;
            }
        }
    }
}

static void check_snapshot(check *c, const train_case *t, size_t k) {
    train_name snapshot;
    snprintf(snapshot.text, sizeof snapshot.text, "snap%zu", k);
    if (k >= t->steps) check_stop(c, "snapshot %zu of %zu steps", k, t->steps);
    restore(c, t, snapshot.text, k == 0);
    const train_numbers now = {
        check_scalar(c, train_join(snapshot.text, "p").text), check_scalar(c, train_join(snapshot.text, "eps").text),
        check_scalar(c, train_join(snapshot.text, "lam").text), check_scalar(c, train_join(snapshot.text, "lr").text),
        check_scalar(c, train_join(snapshot.text, "scalar_lr").text)};
    const train_name loss = train_join(snapshot.text, "loss");
    check_number_close(c, loss.text, train_gradients(c, t, k, &now), check_scalar(c, loss.text),
                       check_read_tolerance(c, loss.text));
    compare_outputs(c, t, snapshot.text, k, now.eps);
    compare_gradients(c, t, snapshot.text);
    train_update(c, t, &now);
    compare_after(c, t, snapshot.text);
}

void train_check_snapshots(check *c, const train_case *t) {
    const char *list = check_metadata(c, "snapshots");
    while (*list != '\0') {
        char *end;
        const unsigned long k = strtoul(list, &end, 10);
        if (end == list) check_stop(c, "snapshots are \"%s\"", check_metadata(c, "snapshots"));
        check_snapshot(c, t, k);
        list = *end == ',' ? end + 1 : end;
    }
}

/* The library's schedule against the numbers the reference trained with (p rounded to float). */
static void compare_schedule(check *c, size_t steps, size_t k, const linfdist_schedule_point *now) {
    const check_tolerance tolerance = {1e-12, 1e-12};
    check_number_close(c, "steps.p", (double)(float)now->p, check_values(c, "steps.p", steps)[k],
                       (check_tolerance){0.0, 0.0});
    check_number_close(c, "steps.eps", now->eps_normalized, check_values(c, "steps.eps", steps)[k], tolerance);
    check_number_close(c, "steps.lam", now->lambda, check_values(c, "steps.lam", steps)[k], tolerance);
    check_number_close(c, "steps.lr", now->lr, check_values(c, "steps.lr", steps)[k], tolerance);
    check_number_close(c, "steps.scalar_lr", now->scalar_lr, check_values(c, "steps.scalar_lr", steps)[k], tolerance);
}

/* Largest and root mean square deviation within the file's, and 99 % of the entries on which the ensemble agrees within
 * 10 devmax + 1e-4. */
static void compare_final(check *c, const linfdist_tensor *tensor) {
    const size_t count = train_elements(tensor);
    const train_name name = train_join("final", tensor->name);
    const double *want = check_values(c, name.text, count);
    const double *devmax = check_values(c, train_join("devmax.final", tensor->name).text, count);
    double largest = 0.0, squares = 0.0;
    size_t compared = 0, close = 0;
    for (size_t i = 0; i < count; ++i) {
        const double off = fabs((double)tensor->data[i] - want[i]);
        largest = off <= largest ? largest : off; /* keeps NaN */
        squares += off * off;
        if (devmax[i] >= final_devmax) continue;
        ++compared;
        close += off <= 10.0 * devmax[i] + 1e-4;
    }
    const double rms = sqrt(squares / (double)count);
    if ((double)close < 0.99 * (double)compared)
        check_fail(c, "%s: %zu of %zu comparable entries agree, want 99 %%", name.text, close, compared);
    if (!(rms <= read_part(c, name.text, "rms="))) check_fail(c, "%s: root mean square deviation %.3g", name.text, rms);
    if (!(largest <= read_part(c, name.text, "max="))) check_fail(c, "%s: largest deviation %.3g", name.text, largest);
}

void train_check_trajectory(check *c, const train_case *t) {
    const double *want = check_values(c, "steps.loss", t->steps), *tolerance = check_values(c, "tol.loss", t->steps);
    restore(c, t, "snap0", 1);
    for (size_t k = 0; k < t->steps; ++k) {
        linfdist_schedule_point point = {.struct_size = sizeof point};
        CHECK(c, linfdist_schedule_at(&t->schedule, (int64_t)k, &point));
        compare_schedule(c, t->steps, k, &point);
        const train_numbers now = {point.p, point.eps_normalized, point.lambda, point.lr, point.scalar_lr};
        const double loss = train_gradients(c, t, k, &now);
        const double off = fabs(loss - want[k]) / fmax(fabs(want[k]), 1e-3);
        if (!(off <= tolerance[k]))
            check_fail(c, "steps.loss[%zu]: got %.9g, want %.9g, tolerance %.3g relative", k, loss, want[k],
                       tolerance[k]);
        train_update(c, t, &now);
    }
    for (int64_t i = 0; i < t->tensors; ++i) {
        const linfdist_tensor tensor = train_tensor(c, t, i);
        compare_final(c, &tensor);
    }
}
