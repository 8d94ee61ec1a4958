/* Distances of one sample in codes (kernels.h): rows of w in the lanes. A group's codes are a table in registers, from
 * which every row of a block picks its own. */

enum { ROW_VECTORS = LFD_CODE_ROWS / BYTES, TABLES = LFD_CODE_PLACES / BLOCK_BYTES };
_Static_assert(LFD_CODE_ROWS % BYTES == 0, "blocks of rows are vectors");
_Static_assert(LFD_CODE_PLACES % BLOCK_BYTES == 0 && LFD_CODE_PLACES <= 128, "places below a part are negative");

/* A group's codes in parts of 16; each but the first without, bit by bit, the one before it: a place takes all parts up
 * to its own, whose sum without carry is its code. */
LFD_INLINE void make_table(uint8_t codes[LFD_CODE_PLACES]) {
    LFD_UNROLL
    for (size_t i = TABLES - 1; i > 0; --i) {
        uint8_t *part = codes + i * BLOCK_BYTES;
        vb16_store(part, vb16_xor(vb16_load(part), vb16_load(part - BLOCK_BYTES)));
    }
}

/* All codes first: vectors that are read at once would wait for their bytes. */
static void make_tables(const lfd_code_groups *groups, const uint8_t *x, uint8_t *tables) {
    for (size_t i = 0; i < groups->count * LFD_CODE_PLACES; i += BLOCK_BYTES) {
        LFD_UNROLL
        for (size_t k = i; k < i + BLOCK_BYTES; ++k) tables[k] = x[groups->column[k]];
    }
    for (size_t g = 0; g < groups->count; ++g) make_table(tables + g * LFD_CODE_PLACES);
}

LFD_INLINE vb codes_at(const uint8_t *table, vb places) {
    vb codes = vb_pick_16(vb_repeat_16(table), places);
    LFD_UNROLL
    for (size_t i = 1; i < TABLES; ++i) {
        places = vb_subtract(places, vb_set(BLOCK_BYTES));
        codes = vb_xor(codes, vb_pick_16(vb_repeat_16(table + i * BLOCK_BYTES), places));
    }
    return codes;
}

LFD_INLINE void take_turn(const lfd_code_round *round, size_t turn, const uint8_t *tables, vb least[ROW_VECTORS]) {
    const uint8_t *table = tables + (size_t)round->group[turn] * LFD_CODE_PLACES;
    for (size_t v = 0; v < ROW_VECTORS; ++v) {
        const vb codes = codes_at(table, vb_load(round->turn[turn].place + v * BYTES));
        least[v] = vb_min(least[v], vb_add_up_to_255(codes, vb_load(round->turn[turn].gap + v * BYTES)));
    }
}

/* Whether a row may still gain from what follows. */
LFD_INLINE int block_open(const lfd_code_round *round, const vb least[ROW_VECTORS]) {
    uint64_t open = 0;
    for (size_t v = 0; v < ROW_VECTORS; ++v) open |= vb_bits_below(vb_load(round->rest + v * BYTES), least[v]);
    return open != 0;
}

/* Returns the rounds. */
static size_t take_rounds(const lfd_code_groups *groups, size_t block, const uint8_t *tables, vb least[ROW_VECTORS]) {
    const lfd_code_round *round = &groups->rounds[groups->begin[block]];
    for (size_t v = 0; v < ROW_VECTORS; ++v) least[v] = vb_load(groups->floor + block * LFD_CODE_ROWS + v * BYTES);
    for (size_t taken = 1;; ++round, ++taken) {
        for (size_t i = 0; i < LFD_CODE_TURNS; ++i) take_turn(round, i, tables, least);
        if (!block_open(round, least)) return taken;
    }
}

static void put_codes(const vb least[ROW_VECTORS], uint8_t *y, uint8_t *complements) {
    for (size_t v = 0; v < ROW_VECTORS; ++v) {
        vb_store(y + v * BYTES, least[v]);
        vb_store(complements + v * BYTES, vb_complement(least[v]));
    }
}

size_t ISA(codes_single)(const lfd_code_groups *groups, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    uint8_t tables[LFD_CODE_GROUPS * LFD_CODE_PLACES], last[2][LFD_CODE_ROWS];
    size_t rounds = 0;
    make_tables(groups, x, tables);
    for (size_t o = 0; o < groups->n_out; o += LFD_CODE_ROWS) {
        const size_t count = smaller(LFD_CODE_ROWS, groups->n_out - o);
        vb least[ROW_VECTORS];
        rounds += take_rounds(groups, o / LFD_CODE_ROWS, tables, least);
        if (count == LFD_CODE_ROWS) {
            put_codes(least, y + o, complements + o);
            continue;
        }
        put_codes(least, last[0], last[1]);
        memcpy(y + o, last[0], count);
        memcpy(complements + o, last[1], count);
    }
    return rounds * LFD_CODE_TURNS * LFD_CODE_ROWS;
}
