/* The kernels of codes: every code must be the least of all its terms, whatever order they are visited in. */
#ifndef LINFDIST_TESTS_CODE_RUNS_H
#define LINFDIST_TESTS_CODE_RUNS_H

#include "kernel_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Bytes between guard pages. */
static guarded bytes_make(size_t count, int at_end) {
    return guarded_make((count + sizeof(float) - 1) / sizeof(float), at_end);
}

static uint8_t *bytes(const guarded *array) {
    return (uint8_t *)(void *)array->data;
}

/* Mostly numbers around the middle, as distances of trained nets have; and in some cases any. */
static uint8_t random_code(const kernel_case *c) {
    const float spread = c->kind == RANDOM ? 60.0f : c->kind == TIES ? 255.0f : 8.0f;
    const float code = 128.0f + spread * (uniform() + uniform());
    return code < 0.0f ? 0 : code > 255.0f ? 255 : (uint8_t)code;
}

/* Gaps of a row's terms: a few are small. */
static uint8_t random_gap(const kernel_case *c) {
    const float far = uniform() + 0.5f;
    return (uint8_t)(c->kind == EQUAL_ROWS ? 300.0f * far > 255.0f ? 255.0f : 300.0f * far : 255.0f * sqrtf(far));
}

static size_t lanes_of(const kernel_case *c) {
    return (c->shape.batch + c->shape.n_in) % 2 ? LFD_CODE_LANES : LFD_CODE_FEW_LANES;
}

/* A layer of the case's inputs and outputs, and codes that enter it. */
typedef struct code_case {
    lfd_code_rows rows;
    size_t lanes;
    guarded slices, x;
    uint8_t *gaps; /* n_out x 2 n_in, of all columns */
} code_case;

/* Columns of a row in order, those with the least gaps first. Returns how many have gaps below LFD_CODE_MOST. */
static size_t rank_terms(const code_case *r, size_t o, size_t *order) {
    const size_t columns = 2 * r->rows.n_in;
    const uint8_t *gaps = r->gaps + o * columns;
    size_t next[LFD_CODE_MOST + 2] = {0};
    for (size_t i = 0; i < columns; ++i) ++next[gaps[i] + 1];
    for (size_t gap = 0; gap < LFD_CODE_MOST; ++gap) next[gap + 1] += next[gap];
    const size_t terms = next[LFD_CODE_MOST];
    for (size_t i = 0; i < columns; ++i) order[next[gaps[i]]++] = i;
    return terms;
}

static uint8_t floor_of(size_t o) {
    return o % 3 == 0 ? (uint8_t)(60 + 7 * o) : LFD_CODE_MOST;
}

static void fill_row(const code_case *r, size_t o, const size_t *order, size_t terms) {
    const uint8_t *gaps = r->gaps + o * 2 * r->rows.n_in;
    for (size_t k = 0; k < r->rows.count; ++k) {
        lfd_code_slice *slice = (lfd_code_slice *)(void *)r->slices.data + k * r->rows.n_out + o;
        const size_t next = (k + 1) * LFD_CODE_RANKS;
        for (size_t i = 0; i < LFD_CODE_RANKS; ++i) {
            const size_t rank = k * LFD_CODE_RANKS + i;
            slice->column[i] = (uint16_t)(rank < terms ? order[rank] : 0);
            slice->gap[i] = rank < terms ? gaps[order[rank]] : LFD_CODE_MOST;
        }
        slice->rest = next < terms ? gaps[order[next]] : LFD_CODE_MOST;
        slice->floor = k == 0 ? floor_of(o) : 0; /* only the first one's counts */
    }
}

static void fill_codes(const kernel_case *c, code_case *r) {
    const size_t n = r->rows.n_in * r->lanes;
    uint8_t *x = bytes(&r->x);
    for (size_t i = 0; i < n; ++i) {
        x[i] = random_code(c);
        x[n + i] = (uint8_t)(LFD_CODE_MOST - x[i]);
    }
}

/* The same for every instruction set. */
static code_case make_coded(const kernel_case *c) {
    const uint64_t before = seed;
    const size_t columns = 2 * c->shape.n_in;
    code_case r = {.rows = {.n_in = c->shape.n_in, .n_out = c->shape.n_out}};
    size_t *order = malloc(columns * sizeof *order);
    r.gaps = malloc(columns * r.rows.n_out + 1);
    if (!order || !r.gaps) abort();
    r.rows.count = (columns + LFD_CODE_RANKS - 1) / LFD_CODE_RANKS;
    r.slices = bytes_make(r.rows.count * r.rows.n_out * sizeof(lfd_code_slice), c->at_end);
    r.lanes = (c->shape.batch + c->shape.n_in) % 3 == 0 ? 1 : lanes_of(c);
    r.x = bytes_make(columns * r.lanes, c->at_end);
    r.rows.slices = (lfd_code_slice *)(void *)r.slices.data;
    for (size_t i = 0; i < columns * r.rows.n_out; ++i) r.gaps[i] = random_gap(c);
    fill_codes(c, &r);
    for (size_t o = 0; o < r.rows.n_out; ++o) {
        const size_t terms = rank_terms(&r, o, order);
        fill_row(&r, o, order, terms);
    }
    free(order);
    seed = before;
    return r;
}

static void free_coded(code_case *r) {
    guarded *all[] = {&r->slices, &r->x};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) guarded_free(all[i]);
    free(r->gaps);
}

static int32_t least_term(const code_case *r, size_t o, size_t lane) {
    int32_t least = floor_of(o);
    for (size_t i = 0; i < 2 * r->rows.n_in; ++i) {
        const int32_t term = bytes(&r->x)[i * r->lanes + lane] + r->gaps[o * 2 * r->rows.n_in + i];
        least = term < least ? term : least;
    }
    return least;
}

static outputs run_codes_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{{0}}, 0};
    if (c->shape.n_in == 0) return out;
    code_case r = make_coded(c);
    for (size_t i = 0; i < 2; ++i) out.array[i] = bytes_make(r.rows.n_out * r.lanes, c->at_end);
    const uint8_t *y = bytes(&out.array[0]), *complements = bytes(&out.array[1]);
    out.value = k->codes_forward(&r.rows, r.lanes, bytes(&r.x), bytes(&out.array[0]), bytes(&out.array[1]));
    assert_true(out.value >= r.rows.n_out && out.value <= r.rows.n_out * r.rows.count);
    for (size_t i = 0; i < r.rows.n_out * r.lanes; ++i) {
        assert_int_equal(complements[i], LFD_CODE_MOST - y[i]);
        if (k != lfd_kernels_for(LFD_ISA_REF)) continue; /* to which the others are compared */
        assert_int_equal(y[i], least_term(&r, i / r.lanes, i % r.lanes));
    }
    free_coded(&r);
    return out;
}

/* ---- one sample, by groups ---- */

/* A layer of the case's inputs and outputs, whose columns stand in any order and some of them twice. */
typedef struct grouped_case {
    lfd_code_groups groups;
    size_t round_count; /* of all blocks */
    guarded column, begin, rounds, floor, x;
} grouped_case;

static size_t blocks_of(size_t n_out) {
    return (n_out + LFD_CODE_ROWS - 1) / LFD_CODE_ROWS;
}

/* Blocks differ, so that each must know its own. The first of many groups has a turn for each. */
static size_t rounds_of(const kernel_case *c, size_t block) {
    const size_t groups = 2 * c->shape.n_in / LFD_CODE_PLACES;
    return block == 0 && groups > 64 ? groups / LFD_CODE_TURNS : 1 + (block + c->shape.n_in) % 4;
}

/* Of equal rows no term is small before the last round, though every gap is: large codes are in dull places. */
enum { DULL_PLACES = 8 };

static int is_dull(const kernel_case *c, const lfd_code_round *round, const lfd_code_round *last) {
    return c->kind == EQUAL_ROWS && round != last;
}

/* Otherwise gaps grow from round to round, and some lanes have no term. */
static uint8_t gap_of(const kernel_case *c, size_t rounds_before) {
    const size_t gap = random_gap(c) / 2 + 50 * rounds_before;
    if (c->kind == EQUAL_ROWS) return (uint8_t)(gap % 8);
    return uniform() > 0.3f || gap > LFD_CODE_MOST ? LFD_CODE_MOST : (uint8_t)gap;
}

/* Groups come in turn, the last one first. */
static void fill_turn(const kernel_case *c, const grouped_case *r, size_t rows, size_t turn_index, int dull,
                      lfd_code_turn *turn, uint8_t *group) {
    const size_t rounds_before = turn_index / LFD_CODE_TURNS, places = dull ? DULL_PLACES : LFD_CODE_PLACES;
    *group = (uint8_t)((turn_index + 1) * (r->groups.count - 1) % r->groups.count);
    for (size_t lane = 0; lane < LFD_CODE_ROWS; ++lane) {
        turn->place[lane] = (uint8_t)(lane == 0 ? places - 1 : (size_t)((uniform() + 0.5f) * (float)places));
        turn->gap[lane] = lane < rows ? gap_of(c, rounds_before) : LFD_CODE_MOST;
    }
}

static void fill_rest(const lfd_code_round *last, lfd_code_round *round) {
    memset(round->rest, LFD_CODE_MOST, sizeof round->rest);
    for (const lfd_code_round *next = round + 1; next <= last; ++next)
        for (size_t i = 0; i < LFD_CODE_TURNS; ++i)
            for (size_t lane = 0; lane < LFD_CODE_ROWS; ++lane)
                if (next->turn[i].gap[lane] < round->rest[lane]) round->rest[lane] = next->turn[i].gap[lane];
}

static void fill_grouped_block(const kernel_case *c, const grouped_case *r, size_t block) {
    const size_t left = c->shape.n_out - block * LFD_CODE_ROWS, rows = left < LFD_CODE_ROWS ? left : LFD_CODE_ROWS;
    lfd_code_round *first = &r->groups.rounds[r->groups.begin[block]], *last = first + rounds_of(c, block) - 1;
    for (lfd_code_round *round = first; round <= last; ++round)
        for (size_t i = 0; i < LFD_CODE_TURNS; ++i)
            fill_turn(c, r, rows, (size_t)(round - first) * LFD_CODE_TURNS + i, is_dull(c, round, last),
                      &round->turn[i], &round->group[i]);
    for (lfd_code_round *round = first; round <= last; ++round) fill_rest(last, round);
    for (size_t lane = 0; lane < LFD_CODE_ROWS; ++lane)
        r->groups.floor[block * LFD_CODE_ROWS + lane] = lane < rows ? floor_of(block * LFD_CODE_ROWS + lane) : 0;
}

static grouped_case make_grouped(const kernel_case *c) {
    const uint64_t before = seed;
    const size_t columns = 2 * c->shape.n_in, n_out = c->shape.n_out, blocks = blocks_of(n_out);
    const size_t count = (columns + LFD_CODE_PLACES - 1) / LFD_CODE_PLACES, places = count * LFD_CODE_PLACES;
    grouped_case r = {.round_count = 0};
    for (size_t block = 0; block < blocks; ++block) r.round_count += rounds_of(c, block);
    r.column = bytes_make(places * sizeof(uint16_t), c->at_end);
    r.begin = bytes_make(blocks * sizeof(size_t), c->at_end);
    r.rounds = bytes_make(r.round_count * sizeof(lfd_code_round), c->at_end);
    r.floor = bytes_make(blocks * LFD_CODE_ROWS, c->at_end);
    r.x = bytes_make(columns, c->at_end);
    r.groups = (lfd_code_groups){n_out,
                                 count,
                                 (uint16_t *)(void *)r.column.data,
                                 (size_t *)(void *)r.begin.data,
                                 (lfd_code_round *)(void *)r.rounds.data,
                                 bytes(&r.floor)};
    for (size_t block = 0, begin = 0; block < blocks; begin += rounds_of(c, block++)) r.groups.begin[block] = begin;
    for (size_t i = 0; i < places; ++i) r.groups.column[i] = (uint16_t)((columns - 1 + i) % columns);
    for (size_t block = 0; block < blocks; ++block) fill_grouped_block(c, &r, block);
    for (size_t i = 0; i < places; ++i)
        bytes(&r.x)[r.groups.column[i]] =
            c->kind == EQUAL_ROWS && i % LFD_CODE_PLACES < DULL_PLACES ? 250 : random_code(c);
    seed = before;
    return r;
}

static void free_grouped(grouped_case *r) {
    guarded *all[] = {&r->column, &r->begin, &r->rounds, &r->floor, &r->x};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) guarded_free(all[i]);
}

static int32_t least_of_all(const kernel_case *c, const grouped_case *r, size_t o) {
    const size_t block = o / LFD_CODE_ROWS, lane = o % LFD_CODE_ROWS;
    const lfd_code_round *rounds = &r->groups.rounds[r->groups.begin[block]];
    int32_t least = floor_of(o);
    for (size_t k = 0; k < rounds_of(c, block) * LFD_CODE_TURNS; ++k) {
        const lfd_code_turn *turn = &rounds[k / LFD_CODE_TURNS].turn[k % LFD_CODE_TURNS];
        const size_t group = rounds[k / LFD_CODE_TURNS].group[k % LFD_CODE_TURNS];
        const int32_t term =
            bytes(&r->x)[r->groups.column[group * LFD_CODE_PLACES + turn->place[lane]]] + turn->gap[lane];
        least = term < least ? term : least;
    }
    return least;
}

static outputs run_codes_single(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{{0}}, 0};
    const size_t n_out = c->shape.n_out, terms = LFD_CODE_TURNS * LFD_CODE_ROWS;
    if (c->shape.n_in == 0) return out;
    grouped_case r = make_grouped(c);
    assert_true(r.groups.count <= LFD_CODE_GROUPS);
    for (size_t i = 0; i < 2; ++i) out.array[i] = bytes_make(n_out, c->at_end);
    const uint8_t *y = bytes(&out.array[0]), *complements = bytes(&out.array[1]);
    out.value = k->codes_single(&r.groups, bytes(&r.x), bytes(&out.array[0]), bytes(&out.array[1]));
    assert_true(out.value % terms == 0 && out.value / terms >= blocks_of(n_out) && out.value / terms <= r.round_count);
    if (c->kind == EQUAL_ROWS && n_out > 2 && c->shape.n_in > 100) assert_int_equal(out.value / terms, r.round_count);
    for (size_t o = 0; o < n_out; ++o) {
        assert_int_equal(y[o], least_of_all(c, &r, o));
        assert_int_equal(complements[o], LFD_CODE_MOST - y[o]);
    }
    free_grouped(&r);
    return out;
}

static outputs run_codes_pack(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{{0}}, 0};
    const size_t lanes = lanes_of(c), n = c->shape.n_in, stride = (n + 15) / 16 * 16 + 16 * (c->shape.n_out % 2);
    guarded rows = bytes_make(lanes * stride, c->at_end);
    for (size_t i = 0; i < lanes * stride; ++i) bytes(&rows)[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < 2; ++i) out.array[i] = bytes_make(n * lanes, c->at_end);
    k->codes_pack(n, lanes, bytes(&rows), stride, bytes(&out.array[0]), bytes(&out.array[1]));
    for (size_t i = 0; i < n * lanes; ++i) {
        const uint8_t code = bytes(&rows)[i % lanes * stride + i / lanes];
        assert_true(bytes(&out.array[0])[i] == code && bytes(&out.array[1])[i] == LFD_CODE_MOST - code);
    }
    guarded_free(&rows);
    return out;
}

/* Numbers of and beyond a range of a width that the scale makes 255 steps, a tenth of it from its end. */
static outputs run_codes_of(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{bytes_make(c->x.count, c->at_end)}, 0};
    const float top = 0.4f * c->scale, scale = 255.0f / (0.8f * c->scale), shift = c->shape.n_out % 2 ? 25.5f : 0.0f;
    if (c->scale < 1e-30f || c->x.count == 0) return out; /* no valid range is so narrow */
    k->codes_of(c->x.count, c->x.data, top, scale, shift, bytes(&out.array[0]));
    for (size_t i = 0; i < c->x.count; ++i) {
        const double steps = ((double)top - (double)c->x.data[i]) * (double)scale - (double)shift;
        const double inside = fmin(fmax(steps, 0.0), LFD_CODE_MOST);
        assert_true(fabs(bytes(&out.array[0])[i] - inside) <= 0.5 + 1.0 / 128);
    }
    return out;
}

#endif
