/* At large p few terms matter, and in trained nets they are the same ones for most samples: those of a few columns of
 * each output. So LIVE_ROWS rows of x go through together, one per lane of LIVE_VECTORS vectors, and for each output
 * only the columns are looked at where some row can differ enough. Those are found with lanes over columns from the
 * least and the largest x of each column, for LIVE_ROWS x LANES terms at a time: rounded subtraction is monotone, so no
 * term that matters is missed, and what is found in excess is sorted out or adds 0. */

enum {
    LIVE_ROWS = 16, /* a multiple of LANES; more share a comparison, but compute more that does not matter */
    LIVE_VECTORS = LIVE_ROWS / LANES,
    LIVE_COLUMNS = 256,             /* columns per visit; distances are prepared for each */
    LIVE_OUTPUTS = 128,             /* outputs whose terms are looked for together */
    LIVE_CAPACITY = 512,            /* places found between two flushes */
    LIVE_SAMPLE = 4,                /* a sample takes every LIVE_SAMPLE-th output */
    LIVE_AHEAD = 3,                 /* rows of w that are fetched in advance */
    LIVE_TOGETHER = 16,             /* places whose terms are computed before they are added; a multiple of LANES */
    LIVE_AT_ONCE = 4 / LIVE_VECTORS /* places whose powers are interleaved */
};

_Static_assert((int)LIVE_ROWS % LANES == 0 && (int)LIVE_TOGETHER % LANES == 0 && (int)LIVE_OUTPUTS % LANES == 0,
               "samples, places and outputs are whole vectors");

/* Up to LIVE_ROWS rows of x over one range of columns, transposed; lanes without a row repeat the last one. */
typedef struct live_rows {
    _Alignas(64) float x[LIVE_COLUMNS][LIVE_ROWS];
    float low[LIVE_COLUMNS], high[LIVE_COLUMNS];
    size_t columns;
} live_rows;

/* Where terms may matter: output << 16 | column, in the order of the outputs, then of the columns. */
typedef struct live_places {
    size_t count;
    int32_t place[LIVE_CAPACITY + LIVE_COLUMNS + LANES];
} live_places;

/* LIVE_ROWS rows by LIVE_COLUMNS columns, and LIVE_OUTPUTS outputs at a time. */
typedef struct live_block {
    const live_rows *rows;
    /* scale / distance, 0 for distance 0 and in lanes without a row */
    _Alignas(64) float inverse[LIVE_OUTPUTS][LIVE_ROWS];
    float cut[LIVE_OUTPUTS][LIVE_ROWS]; /* infinity there: |x - w| at or above may matter */
    float least[LIVE_OUTPUTS];          /* cut of each output */
    live_places found;
} live_block;

/* At most LIVE_ROWS rows and LIVE_COLUMNS columns. */
static void live_load(live_rows *block, size_t rows, size_t columns, const float *x, size_t x_stride) {
    vf v[LANES];
    block->columns = columns;
    for (size_t i = 0; i < columns; i += LANES) {
        const size_t part = columns - i;
        vf low = vf_set(INFINITY), high = vf_set(-INFINITY);
        for (size_t first = 0; first < LIVE_ROWS; first += LANES) {
            LFD_UNROLL
            for (size_t r = 0; r < LANES; ++r) {
                const float *from = x + smaller(first + r, rows - 1) * x_stride + i;
                v[r] = part < LANES ? vf_load_part(from, part) : vf_load(from);
                low = vf_min(low, v[r]);
                high = vf_max(high, v[r]);
            }
            vf_transpose(v);
            LFD_UNROLL
            for (size_t r = 0; r < LANES; ++r) vf_store(block->x[i + r] + first, v[r]);
        }
        vf_store(block->low + i, low);
        vf_store(block->high + i, high);
    }
}

/* Appends the columns where some row may differ from w by least > 0 or more. next: the row of w that comes next, far
 * away for a cache that guesses. */
LFD_INLINE void live_find(const live_rows *block, const float *w, const float *next, float least, size_t output,
                          live_places *found) {
    size_t count = found->count;
    vf limit = vf_set(least);
    for (size_t i = 0; i < block->columns; i += LANES) {
        size_t part = block->columns - i;
        vf ws = part < LANES ? vf_load_part(w + i, part) : vf_load(w + i);
        __builtin_prefetch(next + i);
        vf reach = vf_max(vf_sub(vf_load(block->high + i), ws), vf_sub(ws, vf_load(block->low + i)));
        vm live = vf_at_least(reach, limit);
        vi_compress_store(found->place + count, vi_add(vi_set((int32_t)(output << 16 | i)), vi_lane_numbers()), live);
        count += (size_t)__builtin_popcount(vm_bits(live));
    }
    found->count = count;
}

/* to[i][r] = from[r][i] for at most LIVE_ROWS rows, 0 in lanes without one; to has whole groups of LANES columns. */
static void live_transpose(size_t rows, size_t columns, const float *from, size_t stride, float (*to)[LIVE_ROWS]) {
    vf v[LANES];
    for (size_t first = 0; first < LIVE_ROWS; first += LANES)
        for (size_t i = 0; i < columns; i += LANES) {
            const size_t part = columns - i;
            for (size_t r = 0; r < LANES; ++r) v[r] = vf_set(0.0f);
            for (size_t r = 0; first + r < rows && r < LANES; ++r) {
                const float *row = from + (first + r) * stride + i;
                v[r] = part < LANES ? vf_load_part(row, part) : vf_load(row);
            }
            vf_transpose(v);
            for (size_t r = 0; r < LANES; ++r) vf_store(to[i + r] + first, v[r]);
        }
}

/* least[o] = the least lane of v[o]; the arrays have whole groups of LANES outputs. */
static void live_least(size_t outputs, float (*v)[LIVE_ROWS], float *least) {
    vf lane[LANES];
    for (size_t o = 0; o < outputs; o += LANES) {
        for (size_t r = 0; r < LANES; ++r) {
            lane[r] = vf_load(v[o + r]);
            for (size_t k = LANES; k < LIVE_ROWS; k += LANES) lane[r] = vf_min(lane[r], vf_load(v[o + r] + k));
        }
        vf_transpose(lane);
        for (size_t r = 1; r < LANES; ++r) lane[0] = vf_min(lane[0], lane[r]);
        vf_store(least + o, lane[0]);
    }
}

/* Inverses and cuts from distances (0 in lanes without a row), whole groups of LANES outputs, which may stand where the
 * cuts go. Those below LFD_TINY count as 0. */
static void live_prepare(live_block *block, size_t outputs, float (*from)[LIVE_ROWS], const lfd_power_pieces *power) {
    outputs = (outputs + LANES - 1) / LANES * LANES;
    for (size_t o = 0; o < outputs; ++o)
        for (size_t k = 0; k < LIVE_ROWS; k += LANES) {
            vf distance = vf_load(from[o] + k);
            vm none = vf_less(distance, vf_set(LFD_TINY));
            vf inverse = vf_div(vf_set(power->scale), distance), cut = vf_mul(distance, vf_set(power->cut));
            vf_store(block->inverse[o] + k, vf_select(none, vf_set(0.0f), inverse));
            vf_store(block->cut[o] + k, vf_select(none, vf_set(INFINITY), cut));
        }
    live_least(outputs, block->cut, block->least);
}

/* Keeps the places found where a term does matter; the others would add 0. One vector of powers costs no more than the
 * question whether they count. */
static void live_confirm(live_block *block, const float *w, size_t w_stride) {
    if (LIVE_VECTORS == 1) return;
    int32_t *place = block->found.place;
    size_t kept = 0;
    for (size_t k = 0; k < block->found.count; ++k) {
        const size_t at = (size_t)place[k], o = at >> 16, i = at & 0xffff;
        const vf weight = vf_set(w[o * w_stride + i]);
        uint32_t live = 0;
        LFD_UNROLL
        for (size_t v = 0; v < LIVE_ROWS; v += LANES) {
            vf distance = vf_abs(vf_sub(vf_load(block->rows->x[i] + v), weight));
            live |= vm_bits(vf_at_least(distance, vf_load(block->cut[o] + v)));
        }
        place[kept] = (int32_t)at;
        kept += live != 0;
    }
    block->found.count = kept;
}

/* power <- |t inverse|^q, t = x - w, LIVE_VECTORS for each of count places, a constant <= LIVE_AT_ONCE; with the sign
 * of t if that is kept. */
LFD_INLINE void live_powers(const live_block *block, const int32_t *place, size_t count, const float *w,
                            size_t w_stride, const power_pieces *pieces, int keep_sign, vf *power) {
    LFD_UNROLL
    for (size_t k = 0; k < count; ++k) {
        const size_t at = (size_t)place[k], i = at & 0xffff, o = at >> 16;
        const vf weight = vf_set(w[o * w_stride + i]);
        LFD_UNROLL
        for (size_t v = 0; v < LIVE_VECTORS; ++v) {
            vf t = vf_sub(vf_load(block->rows->x[i] + v * LANES), weight);
            power[k * LIVE_VECTORS + v] = vf_mul(t, vf_load(block->inverse[o] + v * LANES));
        }
    }
    powers(count * LIVE_VECTORS, power, pieces, keep_sign);
}

/* The share of places where some row has a term that matters, from a sample of the outputs. */
static float live_share(live_block *block, size_t outputs, const float *w, size_t w_stride) {
    size_t live = 0, seen = 0;
    for (size_t o = 0; o < outputs; o += LIVE_SAMPLE) {
        block->found.count = 0;
        live_find(block->rows, w + o * w_stride, w + o * w_stride, block->least[o], 0, &block->found);
        live += block->found.count;
        seen += block->rows->columns;
    }
    block->found.count = 0;
    return seen ? (float)live / (float)seen : 1.0f;
}
