#include "units.h"

#include <math.h>
#include <string.h>

#include "ops.h"

/* ---- rounding ---- */

float lfd_next_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    ++bits;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

float lfd_previous_float(float value) {
    uint32_t bits;
    if (!(value > 0.0f)) return 0.0f;
    memcpy(&bits, &value, sizeof bits);
    --bits;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

double lfd_previous_double(double value) {
    uint64_t bits;
    if (!(value > 0.0)) return 0.0;
    memcpy(&bits, &value, sizeof bits);
    --bits;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

/* Without branches: which way a number was rounded is random. */
float lfd_float_below(double value) {
    float nearest = (float)value;
    const uint32_t rounded_up = (double)nearest > value;
    uint32_t bits;
    memcpy(&bits, &nearest, sizeof bits);
    bits += (bits >> 31 ? 1u : UINT32_MAX) * rounded_up; /* away from 0 where negative, else towards it */
    memcpy(&nearest, &bits, sizeof bits);
    return nearest;
}

float lfd_float_above(double value) {
    return -lfd_float_below(-value);
}

/* ---- units ---- */

void lfd_units_init_plain(lfd_units *units, const linfdist_model *model) {
    static const double no_mean = 0.0;
    *units = (lfd_units){.n_in = (size_t)model->n_in,
                         .pixels_per_channel = (size_t)(model->height * model->width_px),
                         .mean = &no_mean,
                         .std = 1.0,
                         .low = -LFD_LIMIT,
                         .high = LFD_LIMIT,
                         .radius_max = LFD_LIMIT};
}

typedef struct units_job {
    lfd_units *units;
    const linfdist_model *model;
} units_job;

static void init_task(void *data, size_t index) {
    (void)index;
    const units_job *job = data;
    lfd_units *units = job->units;
    const lfd_statistics *s = &job->model->statistics;
    lfd_units_init_plain(units, job->model);
    if (s->channels == 0) return;
    units->mean_step = s->channels > 1;
    units->mean = s->mean;
    units->std = s->std;
    /* Outwards: a limit such as 0.3 is not a float, and the float nearest to it is a valid pixel. */
    units->low = lfd_float_below(s->low);
    units->high = lfd_float_above(s->high);
    units->clamped = 1;
    units->radius_max = lfd_float_above((double)units->high - (double)units->low);
}

void lfd_units_init(lfd_units *units, const linfdist_model *model) {
    units_job job = {units, model};
    lfd_serial_for(init_task, &job, 1);
}

static void unclamp_task(void *data, size_t index) {
    (void)index;
    lfd_units *units = data;
    const size_t channels = units->n_in / units->pixels_per_channel;
    const double reach = units->std * (double)LFD_LIMIT;
    units->clamped = 0;
    units->low = -LFD_LIMIT;
    units->high = LFD_LIMIT;
    for (size_t c = 0; c < channels && reach < 2 * (double)LFD_LIMIT; ++c) {
        const double mean = units->mean[c * units->mean_step];
        if (mean - reach > (double)units->low) units->low = lfd_float_above(mean - reach);
        if (mean + reach < (double)units->high) units->high = lfd_float_below(mean + reach);
    }
}

void lfd_units_unclamp(lfd_units *units) {
    lfd_serial_for(unclamp_task, units, 1);
}

double lfd_units_magnitude(const linfdist_model *model) {
    const lfd_statistics *s = &model->statistics;
    double most = (double)LFD_LIMIT;
    for (int64_t c = 0; c < s->channels; ++c) {
        most = fmax(most, fabs(((double)lfd_float_below(s->low) - s->mean[c]) / s->std));
        most = fmax(most, fabs(((double)lfd_float_above(s->high) - s->mean[c]) / s->std));
    }
    return 4 * most;
}

linfdist_status lfd_units_check(const lfd_units *units, linfdist_context *context, const float *x, size_t x_stride,
                                size_t n) {
    char value[32], low[32], high[32];
    if (!units->clamped) return lfd_check_matrix(context, x, n, units->n_in, x_stride, "x");
    const size_t found = lfd_first_outside(context, x, n, units->n_in, x_stride, fmaxf(units->low, -LFD_LIMIT),
                                           fminf(units->high, LFD_LIMIT));
    if (found == SIZE_MAX) return LINFDIST_OK;
    LFD_TRY(lfd_check_matrix(context, x, n, units->n_in, x_stride, "x"));
    return lfd_fail(LINFDIST_ERROR_RANGE, "x: pixel %zu of sample %zu is %s, outside the valid range %s to %s",
                    found % x_stride, found / x_stride, lfd_format_double(value, (double)x[found]),
                    lfd_format_double(low, (double)units->low), lfd_format_double(high, (double)units->high));
}

static float normalize(float pixel, double mean, double std) {
    return (float)(((double)pixel - mean) / std);
}

void lfd_units_normalize(const lfd_units *units, const float *x, float *normalized) {
    for (size_t c = 0, i = 0; i < units->n_in; ++c) {
        double mean = units->mean[c * units->mean_step];
        size_t end = i + units->pixels_per_channel;
        for (; i < end; ++i) normalized[i] = normalize(x[i], mean, units->std);
    }
}

void lfd_units_interval(const lfd_units *units, const float *x, double eps_raw, float *lower, float *upper) {
    for (size_t c = 0, i = 0; i < units->n_in; ++c) {
        double mean = units->mean[c * units->mean_step];
        size_t end = i + units->pixels_per_channel;
        for (; i < end; ++i) {
            float low = lfd_float_below((double)x[i] - eps_raw);
            float high = lfd_float_above((double)x[i] + eps_raw);
            if (units->clamped && low < units->low) low = units->low;
            if (units->clamped && high > units->high) high = units->high;
            lower[i] = normalize(low, mean, units->std);
            upper[i] = normalize(high, mean, units->std);
        }
    }
}

/* Whether the real number high - low, of two floats, is above eps: the rounded difference decides unless it is eps
 * itself; then its rounding error, which a double holds exactly, does. */
static int farther(double low, double high, double eps) {
    double gap = high - low, part = gap - high;
    double error = (high - (gap - part)) + (-low - part);
    return gap > eps || (gap == eps && error > 0.0);
}

/* The largest float within eps above x. */
static float ball_end(float x, double eps) {
    float end = lfd_float_below((double)x + eps);
    while (farther((double)x, (double)end, eps)) {
        end = end > 0.0f ? lfd_previous_float(end) : -lfd_next_float(0.0f - end);
    }
    return end;
}

void lfd_units_ball(const lfd_units *units, const float *x, double eps_raw, float *lower, float *upper) {
    for (size_t i = 0; i < units->n_in; ++i) {
        float low = -ball_end(-x[i], eps_raw), high = ball_end(x[i], eps_raw);
        lower[i] = low > units->low ? low : units->low;
        upper[i] = high < units->high ? high : units->high;
    }
}
