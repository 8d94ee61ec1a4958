/* Decoupled weight decay: the l_p decay of the 2021 paper, with the plain one as its case p = 2. In double, every sum
 * over the columns in order; threads take whole rows. */
#include "ops.h"

#include "../lib/math.h"

#include <math.h> /* fabsf, isinf */

/* Numbers of one task. */
#define TASK_SIZE ((size_t)1 << 14)

typedef struct decay_job {
    float *w;
    size_t rows, columns, rows_per_task;
    double p, lr, weight_decay;
    double rate;      /* their product */
    double sum_cut;   /* ratios to the largest entry whose p-th powers together are below 2^-40 of the norm's sum */
    double ratio_cut; /* ratios to the norm that leave a float as it is */
} decay_job;

static void decay_entry(float *w, double rate) {
    *w = (float)((double)*w - rate * (double)*w);
}

/* Lowest index of the largest magnitude. */
static size_t largest_of(const float *row, size_t columns) {
    size_t found = 0;
    float largest = fabsf(row[0]);
    for (size_t i = 1; i < columns; ++i) {
        if (!(fabsf(row[i]) > largest)) continue;
        largest = fabsf(row[i]);
        found = i;
    }
    return found;
}

static void decay_row(const decay_job *job, float *row) {
    const size_t first = largest_of(row, job->columns);
    const double largest = (double)fabsf(row[first]);
    if (isinf(job->p)) {
        decay_entry(&row[first], job->rate);
        return;
    }
    if (largest == 0) return;
    const double counted = job->sum_cut * largest;
    double sum = 0;
    for (size_t i = 0; i < job->columns; ++i) {
        const double size = (double)fabsf(row[i]);
        if (size > counted) sum += lfd_pow(size / largest, job->p);
    }
    const double norm = largest * lfd_pow(sum, 1 / job->p), changed = job->ratio_cut * norm;
    for (size_t i = 0; i < job->columns; ++i) {
        const double size = (double)fabsf(row[i]);
        if (size > changed) decay_entry(&row[i], job->rate * lfd_pow(size / norm, job->p - 2));
    }
}

static void decay_rows(void *data, size_t index) {
    const decay_job *job = data;
    const size_t begin = index * job->rows_per_task, left = job->rows - begin;
    const size_t rows = left < job->rows_per_task ? left : job->rows_per_task;
    float *w = job->w + begin * job->columns;
    if (job->p == 2)
        for (size_t i = 0; i < rows * job->columns; ++i) decay_entry(&w[i], job->rate);
    else
        for (size_t row = 0; row < rows; ++row) decay_row(job, w + row * job->columns);
}

/* A change below 2^-26 of an entry is less than half of its last place. For p < 2 small entries change most. */
static void set_constants(void *data, size_t index) {
    (void)index;
    decay_job *job = data;
    job->rate = job->lr * job->weight_decay;
    const double felt = 0x1p-26 / job->rate;
    job->sum_cut = lfd_pow(0x1p-40 / (double)job->columns, 1 / job->p);
    job->ratio_cut = job->p > 2 ? lfd_pow(felt < 1 ? felt : 1, 1 / (job->p - 2)) : 0;
}

void lfd_lp_decay(linfdist_context *context, size_t rows, size_t columns, float p, double lr, double weight_decay,
                  float *w) {
    const size_t rows_per_task = columns < TASK_SIZE ? TASK_SIZE / columns : 1;
    decay_job job = {.w = w,
                     .rows = rows,
                     .columns = columns,
                     .rows_per_task = rows_per_task,
                     .p = (double)p,
                     .lr = lr,
                     .weight_decay = weight_decay};
    if (lr == 0 || weight_decay == 0) return;
    lfd_serial_for(set_constants, &job, 1);
    lfd_parallel_for(context, decay_rows, &job, (rows + rows_per_task - 1) / rows_per_task);
}

linfdist_status lfd_check_decay_rate(double lr, double weight_decay) {
    char rate[32], decay[32];
    if (lr * weight_decay <= 1) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "lr is %s, with weight_decay %s the decay's rate is above 1",
                    lfd_format_double(rate, lr), lfd_format_double(decay, weight_decay));
}

linfdist_status linfdist_lp_decay(linfdist_context *context, int64_t rows, int64_t columns, float p, double rate,
                                  float *weights) {
    LFD_REQUIRE(context);
    LFD_REQUIRE(weights);
    LFD_TRY(lfd_check_extent("weights", rows, columns, columns));
    LFD_TRY(lfd_check_p("p", p));
    LFD_TRY(lfd_check_number("rate", rate, 0, 1));
    LFD_TRY(lfd_check_matrix(context, weights, (size_t)rows, (size_t)columns, (size_t)columns, "weights"));
    lfd_lp_decay(context, (size_t)rows, (size_t)columns, p, rate, 1, weights);
    return LINFDIST_OK;
}
