/* One golden case: its file, what it owns, and what went wrong. Functions that cannot go on (a missing tensor, a call
 * that fails) record a failure and leave the case; everything the case owns is then released. */
#ifndef GOLDEN_CHECK_H
#define GOLDEN_CHECK_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include "golden.h"
#include "linfdist/linfdist.h"

typedef struct check_owned {
    void *object;
    void (*destroy)(void *);
} check_owned;

typedef struct check {
    const char *name;
    const golden *file; /* NULL for schedule.json */
    linfdist_context *context;
    int failures;
    check_owned owned[512];
    size_t owned_count;
    jmp_buf leave;
} check;

/* |got - want| <= relative |want| + absolute. */
typedef struct check_tolerance {
    double relative, absolute;
} check_tolerance;

typedef void (*check_case)(check *c);

/* Runs a case with everything cleaned up afterwards, and prints its line. 1 when nothing failed. */
int check_run(check *c, check_case run);

/* Records a failure; the case goes on. */
void check_fail(check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Records a failure and leaves the case. */
_Noreturn void check_stop(check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Leaves the case unless the library call succeeded. */
void check_ok(check *c, linfdist_status status, const char *call);
#define CHECK(c, call) check_ok(c, call, #call)

/* The case releases object when it ends. */
void check_own(check *c, void *object, void (*destroy)(void *));
/* A zeroed array that the case owns. */
void *check_array(check *c, size_t count, size_t size);
#define CHECK_FLOATS(c, count) ((float *)check_array(c, count, sizeof(float)))

/* Tensors of the given type and number of elements. */
const float *check_f32(check *c, const char *name, size_t count);
const int32_t *check_i32(check *c, const char *name, size_t count);
/* F64 or F32, as doubles. */
const double *check_values(check *c, const char *name, size_t count);
double check_scalar(check *c, const char *name);
int check_has(const check *c, const char *name);

const char *check_metadata(check *c, const char *key);
double check_number(check *c, const char *key);
int check_flag(check *c, const char *key); /* "True" or "False" */
/* metadata "tol.NAME", with what is absent ("rtol=", "atol=") zero; neither is a failure. */
check_tolerance check_read_tolerance(check *c, const char *name);

/* Index of the first element outside the tolerance, count when there is none. NaN is outside. */
size_t check_mismatch(const float *got, const double *want, size_t count, check_tolerance tolerance);
/* Records a failure for the first mismatch. */
void check_close_within(check *c, const char *name, const float *got, const double *want, size_t count,
                        check_tolerance tolerance);
/* The same with the file's tensor and tolerance of that name. */
void check_close(check *c, const char *name, const float *got, size_t count);
/* One number. */
void check_number_close(check *c, const char *name, double got, double want, check_tolerance tolerance);
/* The loss of a golden: "mixture", "hinge" or "crossentropy" with anything after it; other names leave the case. */
linfdist_loss check_loss_kind(check *c, const char *name);
double check_largest(const double *values, size_t count);

/* Shape of a distance operator from the tensor "dims" = (batch, inputs, outputs, groups, positions). The goldens hold
 * batch x channels x positions, the library works on rows: every position is one more row. */
typedef struct check_dims {
    size_t batch, n_in, n_out, groups, positions;
    size_t x_count, w_count, y_count;
    linfdist_distance_shape shape; /* of the rows */
} check_dims;

void check_read_dims(check *c, check_dims *dims);
/* batch x channels x positions to (batch positions) x channels, and back. */
float *check_to_rows(check *c, const float *planes, size_t batch, size_t channels, size_t positions);
float *check_to_planes(check *c, const float *rows, size_t batch, size_t channels, size_t positions);
/* The shape of batch rows with groups. */
linfdist_distance_shape check_shape(check *c, int64_t batch, int64_t n_in, int64_t n_out, int64_t groups);

/* The cases. */
void check_op(check *c);
void check_bound(check *c);
void check_conv(check *c);
void check_layers(check *c);
/* Kinds of check_layers. */
void check_linear(check *c);
void check_linear_conv(check *c);
void check_tanh(check *c);
void check_relu(check *c);
void check_final_linear(check *c);
void check_loss(check *c);
void check_adam(check *c);
void check_train(check *c);
void check_schedule(check *c, const char *path);

#endif
