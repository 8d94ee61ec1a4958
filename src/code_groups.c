#include "code_groups.h"

#include <stdlib.h>
#include <string.h>

#include "cut.h"

enum { COMPARED_ROWS = 64 }; /* of those in which a column counts */

/* A column and how many terms it has, or a turn of a block and how near its terms are: LFD_CODE_MOST - gap, all rows'
 * together. */
typedef struct weighed {
    size_t index, weight;
} weighed;

typedef struct grouping {
    const lfd_code_rows *rows;
    lfd_code_groups *groups;
    weighed *columns;   /* the most terms first */
    size_t used, terms; /* columns with any; of all of them */
    size_t *end;        /* of each column's rows */
    uint32_t *rows_of;  /* each column's */
    uint16_t *place_of; /* each column's, counted through all groups */
    uint8_t *shared;    /* rows x groups: how many terms */
    weighed *turns;     /* a block's, the nearest first */
    size_t *order_of;   /* where each turn of the block stands among them */
} grouping;

static size_t columns_of(const lfd_code_rows *rows) {
    return 2 * rows->n_in;
}

static size_t blocks_of(const lfd_code_rows *rows) {
    return (rows->n_out + LFD_CODE_ROWS - 1) / LFD_CODE_ROWS;
}

static int heavier(const void *a, const void *b) {
    const weighed *left = a, *right = b;
    if (left->weight != right->weight) return left->weight > right->weight ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

/* ---- terms of columns ---- */

static void count_terms(grouping *g) {
    const lfd_code_rows *rows = g->rows;
    for (size_t i = 0; i < columns_of(rows); ++i) g->columns[i] = (weighed){i, 0};
    for (size_t s = 0; s < rows->count * rows->n_out; ++s)
        for (size_t i = 0; i < LFD_CODE_RANKS && rows->slices[s].gap[i] < LFD_CODE_MOST; ++i, ++g->terms)
            ++g->columns[rows->slices[s].column[i]].weight;
    for (size_t i = 0; i < columns_of(rows); ++i) g->used += g->columns[i].weight > 0;
}

static void list_rows(grouping *g) {
    const lfd_code_rows *rows = g->rows;
    size_t end = 0;
    for (size_t i = 0; i < columns_of(rows); ++i) {
        g->end[i] = end;
        end += g->columns[i].weight;
    }
    for (size_t s = 0; s < rows->count * rows->n_out; ++s)
        for (size_t i = 0; i < LFD_CODE_RANKS && rows->slices[s].gap[i] < LFD_CODE_MOST; ++i)
            g->rows_of[g->end[rows->slices[s].column[i]]++] = (uint32_t)(s % rows->n_out);
}

/* ---- groups ---- */

/* The one in which the column's rows, or as many of them as are compared, have the fewest terms yet, of those with
 * room: terms of a row in different groups need fewer turns. */
static size_t best_group(const grouping *g, const uint8_t *filled, const uint32_t *rows, size_t row_count) {
    const size_t count = g->groups->count, step = (row_count + COMPARED_ROWS - 1) / COMPARED_ROWS;
    uint32_t met[LFD_CODE_GROUPS] = {0};
    size_t best = count;
    for (size_t k = 0; k < row_count; k += step)
        for (size_t j = 0; j < count; ++j) met[j] += g->shared[rows[k] * count + j];
    for (size_t j = 0; j < count; ++j)
        if (filled[j] < LFD_CODE_PLACES && (best == count || met[j] < met[best])) best = j;
    return best;
}

/* Columns with many terms choose first. */
static void deal_columns(const grouping *g) {
    lfd_code_groups *to = g->groups;
    uint8_t filled[LFD_CODE_GROUPS] = {0};
    qsort(g->columns, columns_of(g->rows), sizeof *g->columns, heavier);
    for (size_t i = 0; i < g->used; ++i) {
        const size_t column = g->columns[i].index, terms = g->columns[i].weight;
        const uint32_t *rows = g->rows_of + g->end[column] - terms;
        const size_t group = best_group(g, filled, rows, terms), place = group * LFD_CODE_PLACES + filled[group]++;
        to->column[place] = (uint16_t)column;
        g->place_of[column] = (uint16_t)place;
        for (size_t k = 0; k < terms; ++k) ++g->shared[rows[k] * to->count + group];
    }
}

/* ---- blocks ---- */

/* A group has as many turns in a block as a row has terms in it at most. first: where each group's begin before they
 * are ordered. Returns how many all are. */
static size_t turns_of(const grouping *g, size_t block, size_t first[LFD_CODE_GROUPS]) {
    const size_t begin = block * LFD_CODE_ROWS, end = smaller(begin + LFD_CODE_ROWS, g->rows->n_out);
    size_t turns = 0;
    for (size_t j = 0; j < g->groups->count; ++j) {
        size_t most = 0;
        for (size_t row = begin; row < end; ++row) {
            const size_t terms = g->shared[row * g->groups->count + j];
            most = terms > most ? terms : most;
        }
        first[j] = turns;
        turns += most;
    }
    return turns;
}

static size_t rounds_of(size_t turns) {
    return (turns + LFD_CODE_TURNS - 1) / LFD_CODE_TURNS;
}

typedef struct term {
    size_t column;
    uint8_t gap;
} term;

/* The k-th of a row, the least gaps first. Returns whether there is one. */
static int get_term(const lfd_code_rows *rows, size_t row, size_t k, term *to) {
    if (k / LFD_CODE_RANKS >= rows->count) return 0;
    const lfd_code_slice *slice = &rows->slices[k / LFD_CODE_RANKS * rows->n_out + row];
    *to = (term){slice->column[k % LFD_CODE_RANKS], slice->gap[k % LFD_CODE_RANKS]};
    return to->gap < LFD_CODE_MOST;
}

/* Of a row's term; the row's next in the group takes the next one. */
static size_t take_turn(const grouping *g, size_t column, size_t next[LFD_CODE_GROUPS]) {
    return next[g->place_of[column] / LFD_CODE_PLACES]++;
}

static void add_near(const grouping *g, size_t row, const size_t first[LFD_CODE_GROUPS]) {
    size_t next[LFD_CODE_GROUPS];
    term t;
    memcpy(next, first, g->groups->count * sizeof *next);
    for (size_t k = 0; get_term(g->rows, row, k, &t); ++k)
        g->turns[take_turn(g, t.column, next)].weight += (size_t)(LFD_CODE_MOST - t.gap);
}

static void put_terms(const grouping *g, size_t row, const size_t first[LFD_CODE_GROUPS], lfd_code_round *rounds) {
    size_t next[LFD_CODE_GROUPS];
    term t;
    memcpy(next, first, g->groups->count * sizeof *next);
    for (size_t k = 0; get_term(g->rows, row, k, &t); ++k) {
        const size_t at = g->order_of[take_turn(g, t.column, next)], turn = at % LFD_CODE_TURNS;
        lfd_code_round *round = &rounds[at / LFD_CODE_TURNS];
        round->group[turn] = (uint8_t)(g->place_of[t.column] / LFD_CODE_PLACES);
        round->turn[turn].place[row % LFD_CODE_ROWS] = (uint8_t)(g->place_of[t.column] % LFD_CODE_PLACES);
        round->turn[turn].gap[row % LFD_CODE_ROWS] = t.gap;
    }
}

/* Near terms first: most rows can stop after them. */
static void order_turns(const grouping *g, size_t count) {
    qsort(g->turns, count, sizeof *g->turns, heavier);
    for (size_t i = 0; i < count; ++i) g->order_of[g->turns[i].index] = i;
}

static void put_rests(lfd_code_round *rounds, size_t count) {
    uint8_t least[LFD_CODE_ROWS];
    memset(least, LFD_CODE_MOST, sizeof least);
    for (; count > 0; --count) {
        lfd_code_round *round = &rounds[count - 1];
        memcpy(round->rest, least, sizeof least);
        for (size_t i = 0; i < LFD_CODE_TURNS; ++i)
            for (size_t lane = 0; lane < LFD_CODE_ROWS; ++lane)
                least[lane] = round->turn[i].gap[lane] < least[lane] ? round->turn[i].gap[lane] : least[lane];
    }
}

static void fill_block(const grouping *g, size_t block) {
    lfd_code_groups *to = g->groups;
    const size_t begin = block * LFD_CODE_ROWS, end = smaller(begin + LFD_CODE_ROWS, g->rows->n_out);
    lfd_code_round *rounds = to->rounds + to->begin[block];
    size_t first[LFD_CODE_GROUPS];
    const size_t turns = turns_of(g, block, first), count = rounds_of(turns);
    for (size_t i = 0; i < turns; ++i) g->turns[i] = (weighed){i, 0};
    for (size_t row = begin; row < end; ++row) add_near(g, row, first);
    order_turns(g, turns);
    memset(rounds, 0, count * sizeof *rounds);
    for (size_t i = 0; i < count * LFD_CODE_TURNS; ++i)
        memset(rounds[i / LFD_CODE_TURNS].turn[i % LFD_CODE_TURNS].gap, LFD_CODE_MOST, LFD_CODE_ROWS);
    for (size_t row = begin; row < end; ++row) {
        put_terms(g, row, first, rounds);
        to->floor[row] = g->rows->slices[row].floor;
    }
    put_rests(rounds, count);
}

/* Returns where the rounds of all blocks end. */
static size_t measure_blocks(const grouping *g, size_t *most_turns) {
    size_t end = 0, first[LFD_CODE_GROUPS];
    *most_turns = 0;
    for (size_t b = 0; b < blocks_of(g->rows); ++b) {
        const size_t turns = turns_of(g, b, first);
        g->groups->begin[b] = end;
        end += rounds_of(turns);
        *most_turns = turns > *most_turns ? turns : *most_turns;
    }
    return end;
}

/* ---- the prepared form ---- */

static linfdist_status make_blocks(const linfdist_context *context, grouping *g) {
    lfd_code_groups *to = g->groups;
    const size_t blocks = blocks_of(g->rows);
    size_t turns;
    void *memory;
    LFD_TRY(lfd_alloc(context, blocks, sizeof *to->begin, "codes of weights", &memory));
    to->begin = memory;
    LFD_TRY(lfd_alloc_zero(context, blocks, LFD_CODE_ROWS, "codes of weights", &memory));
    to->floor = memory;
    LFD_TRY(lfd_alloc(context, measure_blocks(g, &turns), sizeof *to->rounds, "codes of weights", &memory));
    to->rounds = memory;
    LFD_TRY(lfd_alloc(context, turns, sizeof *g->turns, "groups of codes", &memory));
    g->turns = memory;
    LFD_TRY(lfd_alloc(context, turns, sizeof *g->order_of, "groups of codes", &memory));
    g->order_of = memory;
    for (size_t b = 0; b < blocks; ++b) fill_block(g, b);
    return LINFDIST_OK;
}

static linfdist_status make_groups(const linfdist_context *context, grouping *g) {
    lfd_code_groups *to = g->groups;
    void *memory;
    count_terms(g);
    to->count = (g->used + LFD_CODE_PLACES - 1) / LFD_CODE_PLACES;
    LFD_TRY(lfd_alloc_zero(context, to->count * LFD_CODE_PLACES, sizeof *to->column, "codes of weights", &memory));
    to->column = memory;
    LFD_TRY(lfd_alloc(context, g->terms, sizeof *g->rows_of, "groups of codes", &memory));
    g->rows_of = memory;
    LFD_TRY(lfd_alloc_zero(context, g->rows->n_out, to->count, "groups of codes", &memory));
    g->shared = memory;
    list_rows(g);
    deal_columns(g);
    return make_blocks(context, g);
}

static linfdist_status make(const linfdist_context *context, grouping *g) {
    const size_t columns = columns_of(g->rows);
    void *memory;
    g->groups->n_out = g->rows->n_out;
    LFD_TRY(lfd_alloc(context, columns, sizeof *g->columns, "groups of codes", &memory));
    g->columns = memory;
    LFD_TRY(lfd_alloc(context, columns, sizeof *g->end, "groups of codes", &memory));
    g->end = memory;
    LFD_TRY(lfd_alloc(context, columns, sizeof *g->place_of, "groups of codes", &memory));
    g->place_of = memory;
    return make_groups(context, g);
}

linfdist_status lfd_code_groups_create(const linfdist_context *context, const lfd_code_rows *rows,
                                       lfd_code_groups **groups) {
    void *memory;
    *groups = NULL;
    LFD_TRY(lfd_alloc_zero(context, 1, sizeof(lfd_code_groups), "codes of weights", &memory));
    grouping g = {.rows = rows, .groups = memory};
    const linfdist_status status = make(context, &g);
    void *const made[] = {g.columns, g.end, g.place_of, g.rows_of, g.shared, g.turns, g.order_of};
    for (size_t i = 0; i < sizeof made / sizeof *made; ++i) lfd_free(context, made[i]);
    if (status == LINFDIST_OK)
        *groups = g.groups;
    else
        lfd_code_groups_destroy(context, g.groups);
    return status;
}

void lfd_code_groups_destroy(const linfdist_context *context, lfd_code_groups *groups) {
    if (!groups) return;
    lfd_free(context, groups->column);
    lfd_free(context, groups->begin);
    lfd_free(context, groups->floor);
    lfd_free(context, groups->rounds);
    lfd_free(context, groups);
}
