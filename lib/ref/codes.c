#include "ref.h"

#include "../numerics.h"

static int32_t smaller_code(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* One slice, for a sample whose columns are lanes bytes apart. */
static int32_t take_slice(const lfd_code_slice *slice, size_t lanes, const uint8_t *x, int32_t least) {
    for (size_t i = 0; i < LFD_CODE_RANKS; ++i)
        least = smaller_code(least, x[slice->column[i] * lanes] + slice->gap[i]);
    return least;
}

/* All lanes go on until the last one of them cannot gain any more. Returns the slices. */
static size_t one_output(const lfd_code_rows *rows, size_t o, size_t lanes, const uint8_t *x, uint8_t *y) {
    size_t taken = 0;
    int open = 1;
    for (size_t lane = 0; lane < lanes; ++lane) y[lane] = rows->slices[o].floor;
    for (; open && taken < rows->count; ++taken) {
        const lfd_code_slice *slice = &rows->slices[taken * rows->n_out + o];
        open = 0;
        for (size_t lane = 0; lane < lanes; ++lane) {
            y[lane] = (uint8_t)take_slice(slice, lanes, x + lane, y[lane]);
            open |= y[lane] > slice->rest;
        }
    }
    return taken;
}

size_t lfd_ref_codes_forward(const lfd_code_rows *rows, size_t lanes, const uint8_t *x, uint8_t *y,
                             uint8_t *complements) {
    size_t taken = 0;
    for (size_t o = 0; o < rows->n_out; ++o, y += lanes, complements += lanes) {
        taken += one_output(rows, o, lanes, x, y);
        for (size_t lane = 0; lane < lanes; ++lane) complements[lane] = (uint8_t)(LFD_CODE_MOST - y[lane]);
    }
    return taken;
}

/* ---- one sample, by groups ---- */

/* A layer, and the codes in their places. */
typedef struct placed {
    const lfd_code_groups *groups;
    uint8_t code[LFD_CODE_GROUPS * LFD_CODE_PLACES];
} placed;

static int32_t least_code(const placed *x, size_t group) {
    int32_t least = LFD_CODE_MOST;
    for (size_t i = 0; i < LFD_CODE_PLACES; ++i) least = smaller_code(least, x->code[group * LFD_CODE_PLACES + i]);
    return least;
}

static int32_t take_heads(const placed *x, size_t o, size_t group, int32_t least) {
    const lfd_code_heads *heads = &x->groups->heads[o / LFD_CODE_ROWS * x->groups->count + group];
    const uint8_t *code = x->code + group * LFD_CODE_PLACES;
    for (size_t i = 0; i < LFD_CODE_HEADS; ++i)
        least = smaller_code(least, code[heads->place[i][o % LFD_CODE_ROWS]] + heads->gap[i][o % LFD_CODE_ROWS]);
    return least;
}

static int32_t take_group(const placed *x, size_t o, size_t group, int32_t least) {
    const uint8_t *code = x->code + group * LFD_CODE_PLACES;
    const uint8_t *gap = x->groups->gaps + (o * x->groups->count + group) * LFD_CODE_PLACES;
    for (size_t i = 0; i < LFD_CODE_PLACES; ++i) least = smaller_code(least, code[i] + gap[i]);
    return least;
}

/* All heads, and then the groups whose others can be below those. Returns how many groups. */
static size_t one_by_groups(const placed *x, size_t o, uint8_t *y) {
    const lfd_code_groups *groups = x->groups;
    const lfd_code_heads *heads = &groups->heads[o / LFD_CODE_ROWS * groups->count];
    int32_t first = groups->floor[o], least;
    size_t visited = 0;
    for (size_t group = 0; group < groups->count; ++group) first = take_heads(x, o, group, first);
    least = first;
    for (size_t group = 0; group < groups->count; ++group) {
        if (least_code(x, group) + heads[group].rest[o % LFD_CODE_ROWS] >= first) continue;
        least = take_group(x, o, group, least);
        ++visited;
    }
    *y = (uint8_t)least;
    return visited;
}

size_t lfd_ref_codes_single(const lfd_code_groups *groups, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    placed p = {.groups = groups};
    size_t visited = 0;
    for (size_t i = 0; i < groups->count * LFD_CODE_PLACES; ++i) p.code[i] = x[groups->column[i]];
    for (size_t o = 0; o < groups->n_out; ++o) {
        visited += one_by_groups(&p, o, &y[o]);
        complements[o] = (uint8_t)(LFD_CODE_MOST - y[o]);
    }
    return groups->n_out * groups->count * LFD_CODE_HEADS + visited * LFD_CODE_PLACES;
}

void lfd_ref_codes_pack(size_t n, size_t lanes, const uint8_t *rows, size_t stride, uint8_t *columns,
                        uint8_t *complements) {
    for (size_t i = 0; i < n; ++i)
        for (size_t lane = 0; lane < lanes; ++lane) {
            columns[i * lanes + lane] = rows[lane * stride + i];
            complements[i * lanes + lane] = (uint8_t)(LFD_CODE_MOST - rows[lane * stride + i]);
        }
}

void lfd_ref_codes_of(size_t n, const float *x, float top, float scale, float shift, uint8_t *codes) {
    for (size_t i = 0; i < n; ++i) codes[i] = lfd_code_of(x[i], top, scale, shift);
}
