#include "separation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 256, COLUMNS = 4096 }; /* of a tile of distances */

int point_set_alloc(point_set *set, int64_t count, problem *what) {
    set->count = count;
    set->x = malloc(sizeof *set->x * (size_t)count * (size_t)set->n_in);
    set->labels = malloc(sizeof *set->labels * (size_t)count);
    if (set->x && set->labels) return 0;
    point_set_free(set);
    return problem_set(what, "out of memory for %lld points of %lld numbers", (long long)count, (long long)set->n_in);
}

void point_set_free(point_set *set) {
    free(set->x);
    free(set->labels);
    set->x = NULL;
    set->labels = NULL;
}

/* ---- all pairs ---- */

typedef struct tile {
    int64_t row, rows, column, columns; /* points row.. against points column.. */
    float *distances;
} tile;

static void scan(const point_set *set, const tile *t, separation *found) {
    for (int64_t i = t->row; i < t->row + t->rows; ++i) {
        const float *distances = t->distances + (i - t->row) * t->columns - t->column;
        for (int64_t j = t->column; j < t->column + t->columns; ++j) {
            const double distance = (double)distances[j];
            if (distance > found->largest) found->largest = distance;
            if (distance >= found->smallest || set->labels[i] == set->labels[j]) continue;
            found->smallest = distance;
            found->first = i;
            found->second = j;
        }
    }
}

static int measure_tile(linfdist_context *context, const point_set *set, const tile *t, separation *found,
                        problem *what) {
    linfdist_distance_shape shape;
    if (problem_check(what, linfdist_distance_shape_init(&shape, sizeof shape, t->rows, set->n_in, t->columns)) != 0 ||
        problem_check(what, linfdist_distance_forward(context, &shape, INFINITY, set->x + t->row * set->n_in,
                                                      set->x + t->column * set->n_in, t->distances, NULL)) != 0)
        return -1;
    scan(set, t, found);
    return 0;
}

int separation_measure(linfdist_context *context, const point_set *set, separation *found, problem *what) {
    tile t = {.distances = malloc(sizeof *t.distances * ROWS * COLUMNS)};
    int status = t.distances ? 0 : problem_set(what, "out of memory");
    *found = (separation){.smallest = INFINITY, .first = -1, .second = -1};
    for (int64_t i = 0; i < set->count * set->n_in; ++i) found->reach = fmax(found->reach, fabs((double)set->x[i]));
    for (t.row = 0; status == 0 && t.row < set->count; t.row += ROWS) {
        t.rows = set->count - t.row < ROWS ? set->count - t.row : ROWS;
        for (t.column = t.row; status == 0 && t.column < set->count; t.column += COLUMNS) {
            t.columns = set->count - t.column < COLUMNS ? set->count - t.column : COLUMNS;
            status = measure_tile(context, set, &t, found, what);
        }
    }
    free(t.distances);
    return status;
}

/* ---- the net ---- */

double separation_weight(const separation *s) {
    int exponent;
    const double least = 2.0 * (fmax(s->largest, s->reach) + 0.5 * s->smallest);
    const double fraction = frexp(least, &exponent); /* in [1/2, 1) */
    return ldexp(1.0, fraction == 0.5 ? exponent - 1 : exponent);
}

double separation_radius(const separation *s) {
    return 0.5 * (s->smallest - 0x1p-20 * separation_weight(s));
}

static int fill(const point_set *set, double c, linfdist_model *model, problem *what) {
    linfdist_tensor hidden = {.struct_size = sizeof hidden}, output = {.struct_size = sizeof output};
    if (problem_check(what, linfdist_model_find_tensor(model, "fc_dist.0.weight", &hidden)) != 0 ||
        problem_check(what, linfdist_model_find_tensor(model, "fc_dist.1.weight", &output)) != 0)
        return -1;
    memcpy(hidden.data, set->x, sizeof *set->x * (size_t)(set->count * set->n_in));
    for (int64_t k = 0; k < set->classes; ++k)
        for (int64_t i = 0; i < set->count; ++i)
            output.data[k * set->count + i] = set->labels[i] == k ? 0.0f : (float)c;
    return 0;
}

int separation_net(linfdist_context *context, const point_set *set, double c, linfdist_model **model, problem *what) {
    linfdist_mlp_options options;
    linfdist_model *made = NULL;
    *model = NULL;
    if (problem_check(what, linfdist_mlp_options_init(&options, sizeof options)) != 0) return -1;
    options.channels = set->channels;
    options.height = set->height;
    options.width_px = set->width_px;
    options.classes = set->classes;
    options.depth = 2;
    options.width = set->count;
    options.identity_value = 0.0f;
    options.learned_scalar = 0;
    /* The mean shift and the bias start at zero, which is what the theorem needs: they stay so. */
    if (problem_check(what, linfdist_model_create_mlp(context, &options, &made)) != 0) return -1;
    if (fill(set, c, made, what) != 0) {
        linfdist_model_destroy(made);
        return -1;
    }
    *model = made;
    return 0;
}
