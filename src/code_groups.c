#include "code_groups.h"

#include <stdlib.h>
#include <string.h>

#include "cut.h"

enum { COMPARED_ROWS = 1024 }; /* by which columns are alike */
enum { ITERATIONS = 2 };       /* of a power iteration that begins with a column; more of them find nothing better */

/* A column and where it lies along the direction in which its group's columns differ most. */
typedef struct ranked_column {
    int64_t along;
    size_t column;
} ranked_column;

typedef struct grouping {
    const lfd_code_rows *rows;
    lfd_code_groups *groups;
    uint8_t *near;          /* columns x rows: LFD_CODE_MOST - gap, 0 where no term is */
    ranked_column *columns; /* those that count in any row */
    size_t used;
} grouping;

static size_t columns_of(const grouping *g) {
    return 2 * g->rows->n_in;
}

static void near_of_row(void *data, size_t row) {
    const grouping *g = data;
    const lfd_code_rows *rows = g->rows;
    for (size_t k = 0; k < rows->count; ++k) {
        const lfd_code_slice *slice = &rows->slices[k * rows->n_out + row];
        for (size_t i = 0; i < LFD_CODE_RANKS && slice->gap[i] < LFD_CODE_MOST; ++i)
            g->near[slice->column[i] * rows->n_out + row] = (uint8_t)(LFD_CODE_MOST - slice->gap[i]);
    }
}

static void find_used(grouping *g) {
    const size_t rows = g->rows->n_out;
    for (size_t i = 0; i < columns_of(g); ++i) {
        size_t r = 0;
        while (r < rows && !g->near[i * rows + r]) ++r;
        if (r < rows) g->columns[g->used++].column = i;
    }
}

/* ---- columns that are alike ---- */

/* Rows of w as coordinates of columns, and a direction among them. */
typedef struct direction {
    size_t rows;
    int32_t sums[COMPARED_ROWS];
    int16_t part[COMPARED_ROWS]; /* at most 127 */
} direction;

static int32_t along(const direction *d, const uint8_t *near) {
    int32_t sum = 0;
    for (size_t r = 0; r < d->rows; ++r) sum += near[r] * d->part[r];
    return sum;
}

static int64_t largest_along(const ranked_column *columns, size_t count) {
    int64_t most = 1;
    for (size_t i = 0; i < count; ++i) {
        const int64_t magnitude = llabs(columns[i].along);
        most = magnitude > most ? magnitude : most;
    }
    return most;
}

/* Around their mean. */
static void place_columns(const grouping *g, const direction *d, ranked_column *columns, size_t count) {
    int64_t sum = 0;
    for (size_t i = 0; i < count; ++i) {
        columns[i].along = along(d, g->near + columns[i].column * g->rows->n_out);
        sum += columns[i].along;
    }
    for (size_t i = 0; i < count; ++i) columns[i].along -= sum / (int64_t)count;
}

/* The columns' sum, each as often as it is far along. */
static void turn(const grouping *g, direction *d, const ranked_column *columns, size_t count) {
    const int64_t most = largest_along(columns, count);
    int32_t largest = 1;
    for (size_t r = 0; r < d->rows; ++r) d->sums[r] = 0;
    for (size_t i = 0; i < count; ++i) {
        const uint8_t *near = g->near + columns[i].column * g->rows->n_out;
        const int16_t part = (int16_t)(columns[i].along * 127 / most);
        for (size_t r = 0; r < d->rows; ++r) d->sums[r] += part * near[r];
    }
    for (size_t r = 0; r < d->rows; ++r) largest = abs(d->sums[r]) > largest ? abs(d->sums[r]) : largest;
    for (size_t r = 0; r < d->rows; ++r) d->part[r] = (int16_t)((int64_t)d->sums[r] * 127 / largest);
}

static int compare_columns(const void *a, const void *b) {
    const ranked_column *left = a, *right = b;
    if (left->along != right->along) return left->along < right->along ? -1 : 1;
    return left->column < right->column ? -1 : left->column > right->column;
}

/* So that the columns of each LFD_CODE_PLACES are alike: halves along the direction in which they differ most. */
static void order_columns(const grouping *g, direction *d, ranked_column *columns, size_t count) {
    const size_t groups = (count + LFD_CODE_PLACES - 1) / LFD_CODE_PLACES, half = (groups + 1) / 2 * LFD_CODE_PLACES;
    if (groups <= 1) return;
    const uint8_t *start = g->near + columns[0].column * g->rows->n_out;
    for (size_t r = 0; r < d->rows; ++r) d->part[r] = start[r] / 2;
    place_columns(g, d, columns, count);
    for (size_t i = 0; i < ITERATIONS; ++i) {
        turn(g, d, columns, count);
        place_columns(g, d, columns, count);
    }
    qsort(columns, count, sizeof *columns, compare_columns);
    order_columns(g, d, columns, half);
    order_columns(g, d, columns + half, count - half);
}

/* ---- the prepared form ---- */

/* The heads of a row in a group, the least gaps first, and the least of all others. */
typedef struct row_heads {
    uint8_t place[LFD_CODE_HEADS + 1], gap[LFD_CODE_HEADS + 1];
} row_heads;

static const row_heads no_heads = {{0}, {LFD_CODE_MOST, LFD_CODE_MOST, LFD_CODE_MOST, LFD_CODE_MOST, LFD_CODE_MOST}};
_Static_assert(LFD_CODE_HEADS == 4, "no_heads has a gap for each, and the rest");

static row_heads heads_of(const uint8_t *gaps) {
    row_heads heads = no_heads;
    for (size_t i = 0; i < LFD_CODE_PLACES; ++i) {
        if (gaps[i] >= heads.gap[LFD_CODE_HEADS]) continue;
        size_t at = LFD_CODE_HEADS;
        for (; at > 0 && gaps[i] < heads.gap[at - 1]; --at) {
            heads.gap[at] = heads.gap[at - 1];
            heads.place[at] = heads.place[at - 1];
        }
        heads.gap[at] = gaps[i];
        heads.place[at] = (uint8_t)i;
    }
    return heads;
}

static void put_heads(lfd_code_groups *to, size_t row, size_t group, const row_heads *from) {
    lfd_code_heads *heads = &to->heads[row / LFD_CODE_ROWS * to->count + group];
    const size_t lane = row % LFD_CODE_ROWS;
    for (size_t i = 0; i < LFD_CODE_HEADS; ++i) {
        heads->place[i][lane] = from->place[i];
        heads->gap[i][lane] = from->gap[i];
    }
    heads->rest[lane] = from->gap[LFD_CODE_HEADS];
}

static void fill_row(const grouping *g, size_t row) {
    lfd_code_groups *to = g->groups;
    uint8_t *gaps = to->gaps + row * to->count * LFD_CODE_PLACES;
    for (size_t i = 0; i < to->count * LFD_CODE_PLACES; ++i)
        gaps[i] = (uint8_t)(LFD_CODE_MOST - (i < g->used ? g->near[g->columns[i].column * to->n_out + row] : 0));
    for (size_t group = 0; group < to->count; ++group) {
        const row_heads heads = heads_of(gaps + group * LFD_CODE_PLACES);
        put_heads(to, row, group, &heads);
    }
    to->floor[row] = g->rows->slices[row].floor;
}

static void fill_block(void *data, size_t block) {
    const grouping *g = data;
    lfd_code_groups *to = g->groups;
    for (size_t row = block * LFD_CODE_ROWS; row < (block + 1) * LFD_CODE_ROWS; ++row) {
        if (row < to->n_out) {
            fill_row(g, row);
            continue;
        }
        for (size_t group = 0; group < to->count; ++group) put_heads(to, row, group, &no_heads);
        to->floor[row] = 0;
    }
}

static size_t blocks_of(const lfd_code_groups *groups) {
    return (groups->n_out + LFD_CODE_ROWS - 1) / LFD_CODE_ROWS;
}

static linfdist_status allocate(const linfdist_context *context, lfd_code_groups *to) {
    const size_t places = to->count * LFD_CODE_PLACES, blocks = blocks_of(to);
    void *memory;
    LFD_TRY(lfd_alloc_zero(context, places, sizeof *to->column, "codes of weights", &memory));
    to->column = memory;
    LFD_TRY(lfd_alloc(context, blocks * to->count, sizeof *to->heads, "codes of weights", &memory));
    to->heads = memory;
    LFD_TRY(lfd_alloc(context, to->n_out, places, "codes of weights", &memory));
    to->gaps = memory;
    LFD_TRY(lfd_alloc(context, blocks, LFD_CODE_ROWS, "codes of weights", &memory));
    to->floor = memory;
    return LINFDIST_OK;
}

static linfdist_status group_columns(linfdist_context *context, grouping *g) {
    lfd_code_groups *to = g->groups;
    direction d = {.rows = smaller(COMPARED_ROWS, g->rows->n_out)};
    lfd_parallel_for(context, near_of_row, g, g->rows->n_out);
    find_used(g);
    order_columns(g, &d, g->columns, g->used);
    *to = (lfd_code_groups){.n_out = g->rows->n_out, .count = (g->used + LFD_CODE_PLACES - 1) / LFD_CODE_PLACES};
    LFD_TRY(allocate(context, to));
    for (size_t i = 0; i < g->used; ++i) to->column[i] = (uint16_t)g->columns[i].column;
    lfd_parallel_for(context, fill_block, g, blocks_of(to));
    return LINFDIST_OK;
}

static linfdist_status make(linfdist_context *context, grouping *g) {
    void *memory;
    LFD_TRY(lfd_alloc_zero(context, columns_of(g), g->rows->n_out, "columns of codes", &memory));
    g->near = memory;
    LFD_TRY(lfd_alloc(context, columns_of(g), sizeof *g->columns, "columns of codes", &memory));
    g->columns = memory;
    return group_columns(context, g);
}

linfdist_status lfd_code_groups_create(linfdist_context *context, const lfd_code_rows *rows, lfd_code_groups **groups) {
    void *memory;
    *groups = NULL;
    if (2 * rows->n_in > LFD_CODE_GROUPS * LFD_CODE_PLACES) return LINFDIST_OK;
    LFD_TRY(lfd_alloc_zero(context, 1, sizeof(lfd_code_groups), "codes of weights", &memory));
    grouping g = {.rows = rows, .groups = memory};
    const linfdist_status status = make(context, &g);
    lfd_free(context, g.near);
    lfd_free(context, g.columns);
    if (status == LINFDIST_OK)
        *groups = g.groups;
    else
        lfd_code_groups_destroy(context, g.groups);
    return status;
}

void lfd_code_groups_destroy(const linfdist_context *context, lfd_code_groups *groups) {
    if (!groups) return;
    lfd_free(context, groups->column);
    lfd_free(context, groups->heads);
    lfd_free(context, groups->gaps);
    lfd_free(context, groups->floor);
    lfd_free(context, groups);
}
