#include "ascent.h"

#include <math.h>
#include <string.h>

#include "ops.h"

linfdist_status lfd_ascent_alloc(lfd_ascent *ascent, linfdist_model *snapshot, const lfd_units *units, size_t rows) {
    void *memory;
    *ascent = (lfd_ascent){.context = snapshot->context, .units = units, .rows = rows};
    LFD_TRY(lfd_alloc_floats(ascent->context, rows, units->n_in, "iterates", &ascent->x));
    LFD_TRY(lfd_alloc_floats(ascent->context, rows, units->n_in, "boxes", &ascent->lower));
    LFD_TRY(lfd_alloc_floats(ascent->context, rows, units->n_in, "boxes", &ascent->upper));
    LFD_TRY(lfd_alloc_zero(ascent->context, rows, sizeof *ascent->open, "open rows", &memory));
    ascent->open = memory;
    return lfd_run_create(snapshot, LFD_RUN_ASCENT, rows, NULL, &ascent->run);
}

void lfd_ascent_free(lfd_ascent *ascent) {
    lfd_free(ascent->context, ascent->x);
    lfd_free(ascent->context, ascent->lower);
    lfd_free(ascent->context, ascent->upper);
    lfd_free(ascent->context, ascent->open);
    linfdist_run_destroy(ascent->run);
}

/* ---- starts ---- */

/* A bijection of word for every hash, well mixed: multiplications and shifts. */
uint64_t lfd_hash_word(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ (hash >> 29)) * 0xbf58476d1ce4e5b9u;
    return hash ^ (hash >> 32);
}

uint64_t lfd_hash_floats(uint64_t hash, const float *x, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        hash = lfd_hash_word(hash, bits);
    }
    return hash;
}

static float clipped(double value, float low, float high) {
    const float rounded = (float)value;
    return rounded < low ? low : rounded > high ? high : rounded;
}

void lfd_ascent_box(lfd_ascent *ascent, size_t row, const float *centre) {
    const size_t first = row * ascent->units->n_in;
    lfd_units_ball(ascent->units, centre, ascent->eps, ascent->lower + first, ascent->upper + first);
}

void lfd_ascent_start(lfd_ascent *ascent, size_t row, const float *centre, lfd_random *random) {
    const size_t n = ascent->units->n_in, first = row * n;
    const double deviation = ascent->eps / 4, most = ascent->eps / 2;
    for (size_t i = 0; i < n; ++i) {
        double noise = random ? deviation * (double)lfd_random_normal(random) : 0.0;
        noise = noise < -most ? -most : noise > most ? most : noise;
        ascent->x[first + i] = clipped((double)centre[i] + noise, ascent->lower[first + i], ascent->upper[first + i]);
    }
}

void lfd_ascent_open(lfd_ascent *ascent, size_t count) {
    for (size_t i = 0; i < count; ++i) ascent->open[i] = i;
    ascent->open_count = count;
}

/* ---- steps ---- */

static void input_task(void *data, size_t k) {
    const lfd_ascent *ascent = data;
    const size_t n = ascent->units->n_in;
    lfd_units_normalize(ascent->units, ascent->x + ascent->open[k] * n, ascent->run->signals[0].value + k * n);
}

const float *lfd_ascent_outputs(const lfd_ascent *ascent) {
    return ascent->run->signals[ascent->run->model->layer_count].value;
}

linfdist_status lfd_ascent_forward(lfd_ascent *ascent, float p, int input) {
    if (input) lfd_parallel_for(ascent->context, input_task, ascent, ascent->open_count);
    return lfd_run_forward(ascent->run, ascent->open_count, LINFDIST_EVALUATE, p, 0, isfinite(p));
}

static void move_task(void *data, size_t k) {
    const lfd_ascent *ascent = data;
    const size_t n = ascent->units->n_in, first = ascent->open[k] * n;
    const double step = ascent->eps * ascent->step_fraction;
    for (size_t i = 0; i < n; ++i) {
        const float slope = ascent->gradient[k * n + i];
        const double sign = (slope > 0.0f) - (slope < 0.0f);
        ascent->x[first + i] =
            clipped((double)ascent->x[first + i] + sign * step, ascent->lower[first + i], ascent->upper[first + i]);
    }
}

void lfd_ascent_move(lfd_ascent *ascent) {
    lfd_signal inner = {0};
    (void)lfd_run_backward(ascent->run, 1, 0, &inner); /* no hooks, so it cannot fail */
    ascent->gradient = inner.value;
    lfd_parallel_for(ascent->context, move_task, ascent, ascent->open_count);
}
