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

static int32_t take_turns(const lfd_code_groups *groups, const lfd_code_round *round, size_t lane, const uint8_t *x,
                          int32_t least) {
    for (size_t i = 0; i < LFD_CODE_TURNS; ++i) {
        const size_t place = round->group[i] * LFD_CODE_PLACES + round->turn[i].place[lane];
        least = smaller_code(least, x[groups->column[place]] + round->turn[i].gap[lane]);
    }
    return least;
}

/* All rows go on until the last one of them cannot gain any more. Returns the rounds. */
static size_t one_block(const lfd_code_groups *groups, size_t block, const uint8_t *x, uint8_t least[LFD_CODE_ROWS]) {
    const lfd_code_round *round = &groups->rounds[groups->begin[block]];
    size_t taken = 0;
    int open = 1;
    for (size_t lane = 0; lane < LFD_CODE_ROWS; ++lane) least[lane] = groups->floor[block * LFD_CODE_ROWS + lane];
    for (; open; ++round, ++taken) {
        open = 0;
        for (size_t lane = 0; lane < LFD_CODE_ROWS; ++lane) {
            least[lane] = (uint8_t)take_turns(groups, round, lane, x, least[lane]);
            open |= least[lane] > round->rest[lane];
        }
    }
    return taken;
}

size_t lfd_ref_codes_single(const lfd_code_groups *groups, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    uint8_t least[LFD_CODE_ROWS];
    size_t rounds = 0;
    for (size_t o = 0; o < groups->n_out; ++o) {
        if (o % LFD_CODE_ROWS == 0) rounds += one_block(groups, o / LFD_CODE_ROWS, x, least);
        y[o] = least[o % LFD_CODE_ROWS];
        complements[o] = (uint8_t)(LFD_CODE_MOST - y[o]);
    }
    return rounds * LFD_CODE_TURNS * LFD_CODE_ROWS;
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
