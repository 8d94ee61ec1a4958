/* Shapes and memory layouts of the distance operators' goldens. */
#include "check.h"

linfdist_distance_shape check_shape(check *c, int64_t batch, int64_t n_in, int64_t n_out, int64_t groups) {
    linfdist_distance_shape shape;
    CHECK(c, linfdist_distance_shape_init(&shape, sizeof shape, batch, n_in, n_out));
    shape.groups = groups;
    shape.w_stride = n_in / groups;
    return shape;
}

void check_read_dims(check *c, check_dims *dims) {
    const int32_t *d = check_i32(c, "dims", 5);
    for (int i = 0; i < 5; ++i)
        if (d[i] < 1) check_stop(c, "dims[%d] is %d", i, (int)d[i]);
    dims->batch = (size_t)d[0];
    dims->n_in = (size_t)d[1];
    dims->n_out = (size_t)d[2];
    dims->groups = (size_t)d[3];
    dims->positions = (size_t)d[4];
    dims->x_count = dims->batch * dims->n_in * dims->positions;
    dims->y_count = dims->batch * dims->n_out * dims->positions;
    dims->w_count = dims->n_out * (dims->n_in / dims->groups);
    dims->shape = check_shape(c, (int64_t)(dims->batch * dims->positions), d[1], d[2], d[3]);
}

float *check_to_rows(check *c, const float *planes, size_t batch, size_t channels, size_t positions) {
    float *rows = CHECK_FLOATS(c, batch * channels * positions);
    for (size_t b = 0; b < batch; ++b)
        for (size_t k = 0; k < channels; ++k)
            for (size_t h = 0; h < positions; ++h)
                rows[(b * positions + h) * channels + k] = planes[(b * channels + k) * positions + h];
    return rows;
}

float *check_to_planes(check *c, const float *rows, size_t batch, size_t channels, size_t positions) {
    /* The same permutation with the roles of channels and positions exchanged. */
    return check_to_rows(c, rows, batch, positions, channels);
}
