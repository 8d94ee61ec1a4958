/* Distances of one sample in codes (kernels.h), by groups of columns. First the heads of all groups, 64 rows side by
 * side: a group's codes are a table in registers, from which every row picks its own. That leaves few groups in which a
 * row's other terms could be less, since the least code of the group and the row's next gap bound them from below;
 * those are visited one by one. */

enum { GROUP_VECTORS = LFD_CODE_PLACES / BYTES, ROW_VECTORS = LFD_CODE_ROWS / BYTES };
_Static_assert(LFD_CODE_PLACES % BYTES == 0 && LFD_CODE_ROWS % BYTES == 0, "groups and blocks of rows are vectors");

/* A layer, and the sample's codes in their places, with the least of each group. */
typedef struct placed_codes {
    const lfd_code_groups *groups;
    uint8_t code[LFD_CODE_GROUPS * LFD_CODE_PLACES], least[LFD_CODE_GROUPS];
} placed_codes;

LFD_INLINE uint8_t least_of_group(const vb codes[GROUP_VECTORS]) {
    vb least = codes[0];
    for (size_t v = 1; v < GROUP_VECTORS; ++v) least = vb_min(least, codes[v]);
    return vb16_least(vb_fold_min(least));
}

static void place_codes(placed_codes *to, const lfd_code_groups *groups, const uint8_t *x) {
    to->groups = groups;
    for (size_t i = 0; i < groups->count * LFD_CODE_PLACES; i += BLOCK_BYTES) {
        LFD_UNROLL
        for (size_t k = i; k < i + BLOCK_BYTES; ++k) to->code[k] = x[groups->column[k]];
    }
    for (size_t g = 0; g < groups->count; ++g) {
        vb codes[GROUP_VECTORS];
        for (size_t v = 0; v < GROUP_VECTORS; ++v) codes[v] = vb_load(to->code + g * LFD_CODE_PLACES + v * BYTES);
        to->least[g] = least_of_group(codes);
    }
}

/* ---- heads ---- */

enum { TABLES = LFD_CODE_PLACES / BLOCK_BYTES };

/* A group's codes in parts of 16; each but the first without, bit by bit, the one before it: a place takes all parts up
 * to its own, whose sum without carry is its code. */
typedef struct code_table {
    vb part[TABLES];
} code_table;

LFD_INLINE code_table table_of(const uint8_t *codes) {
    code_table table;
    vb before = vb_repeat_16(codes);
    table.part[0] = before;
    LFD_UNROLL
    for (size_t i = 1; i < TABLES; ++i) {
        const vb part = vb_repeat_16(codes + i * BLOCK_BYTES);
        table.part[i] = vb_xor(before, part);
        before = part;
    }
    return table;
}

LFD_INLINE vb codes_at(const code_table *table, vb places) {
    vb codes = vb_pick_16(table->part[0], places);
    LFD_UNROLL
    for (size_t i = 1; i < TABLES; ++i) {
        places = vb_subtract(places, vb_set(BLOCK_BYTES));
        codes = vb_xor(codes, vb_pick_16(table->part[i], places));
    }
    return codes;
}

/* Of all groups of a block of rows. */
static void take_heads(const placed_codes *x, const lfd_code_heads *heads, vb least[ROW_VECTORS]) {
    for (size_t g = 0; g < x->groups->count; ++g) {
        const code_table table = table_of(x->code + g * LFD_CODE_PLACES);
        LFD_UNROLL
        for (size_t i = 0; i < LFD_CODE_HEADS; ++i)
            for (size_t v = 0; v < ROW_VECTORS; ++v) {
                const vb codes = codes_at(&table, vb_load(heads[g].place[i] + v * BYTES));
                least[v] = vb_min(least[v], vb_add_up_to_255(codes, vb_load(heads[g].gap[i] + v * BYTES)));
            }
    }
}

/* ---- groups ---- */

/* A block of rows on its way: their codes so far, and the groups that rows still visit, one bit for each. A group
 * leaves the ring for each row, and comes back while there are others: no branch has to guess how many. */
typedef struct open_block {
    size_t row, end; /* of the ring; it begins at 0 */
    uint8_t code[LFD_CODE_ROWS], group[LFD_CODE_GROUPS];
    uint64_t visitors[LFD_CODE_GROUPS];
} open_block;
_Static_assert(LFD_CODE_GROUPS <= 1 << 8, "a byte numbers groups");

LFD_INLINE const uint8_t *gaps_of(const lfd_code_groups *groups, size_t row, size_t group) {
    return groups->gaps + (row * groups->count + group) * LFD_CODE_PLACES;
}

/* Of the first visitor. */
LFD_INLINE void fetch_gaps(const placed_codes *x, const open_block *of, size_t group, uint64_t visitors) {
    __builtin_prefetch(gaps_of(x->groups, of->row + (size_t)__builtin_ctzll(visitors), group));
}

/* If there are any. Returns where the ring ends then. */
LFD_INLINE size_t add_visitors(open_block *to, size_t end, size_t group, uint64_t visitors) {
    to->visitors[end % LFD_CODE_GROUPS] = visitors;
    to->group[end % LFD_CODE_GROUPS] = (uint8_t)group;
    return end + (visitors != 0);
}

/* Lists the groups in which a row can have a term below least, and fetches what their first visitors will read. */
static void open_groups(const placed_codes *x, const lfd_code_heads *heads, const vb least[ROW_VECTORS],
                        open_block *to) {
    size_t end = 0;
    for (size_t g = 0; g < x->groups->count; ++g) {
        uint64_t visitors = 0;
        for (size_t v = 0; v < ROW_VECTORS; ++v) {
            const vb bounds = vb_add_up_to_255(vb_load(heads[g].rest + v * BYTES), vb_set(x->least[g]));
            visitors |= vb_bits_below(bounds, least[v]) << v * BYTES % 64;
        }
        end = add_visitors(to, end, g, visitors);
    }
    to->end = end;
    for (size_t i = 0; i < end; ++i) fetch_gaps(x, to, to->group[i], to->visitors[i]);
}

/* The heads of rows from row on. */
static void begin_block(const placed_codes *x, size_t row, open_block *to) {
    const lfd_code_heads *heads = x->groups->heads + row / LFD_CODE_ROWS * x->groups->count;
    vb least[ROW_VECTORS];
    to->row = row;
    for (size_t v = 0; v < ROW_VECTORS; ++v) least[v] = vb_load(x->groups->floor + row + v * BYTES);
    take_heads(x, heads, least);
    for (size_t v = 0; v < ROW_VECTORS; ++v) vb_store(to->code + v * BYTES, least[v]);
    open_groups(x, heads, least, to);
}

/* The least term of a row's group. */
LFD_INLINE uint8_t visit_group(const placed_codes *x, size_t row, size_t group) {
    const uint8_t *gaps = gaps_of(x->groups, row, group), *codes = x->code + group * LFD_CODE_PLACES;
    vb terms[GROUP_VECTORS];
    for (size_t v = 0; v < GROUP_VECTORS; ++v)
        terms[v] = vb_add_up_to_255(vb_load(gaps + v * BYTES), vb_load(codes + v * BYTES));
    return least_of_group(terms);
}

/* Returns how many. */
static size_t make_visits(const placed_codes *x, open_block *of) {
    size_t begin = 0, end = of->end; /* not in memory, which codes might alias */
    for (; begin < end; ++begin) {
        const uint64_t visitors = of->visitors[begin % LFD_CODE_GROUPS], others = visitors & (visitors - 1);
        const size_t group = of->group[begin % LFD_CODE_GROUPS], row = (size_t)__builtin_ctzll(visitors);
        fetch_gaps(x, of, group, others ? others : visitors); /* at no cost where it is here */
        const uint8_t least = visit_group(x, of->row + row, group);
        of->code[row] = least < of->code[row] ? least : of->code[row];
        end = add_visitors(of, end, group, others);
    }
    return begin;
}

/* Returns the groups visited. */
static size_t end_block(const placed_codes *x, open_block *of, uint8_t *y, uint8_t *complements) {
    const size_t visited = make_visits(x, of), count = smaller(LFD_CODE_ROWS, x->groups->n_out - of->row);
    memcpy(y + of->row, of->code, count);
    for (size_t v = 0; v < ROW_VECTORS; ++v)
        vb_store(of->code + v * BYTES, vb_complement(vb_load(of->code + v * BYTES)));
    memcpy(complements + of->row, of->code, count);
    return visited;
}

/* A block's visits wait for the next one's heads, while what they need is fetched. */
size_t ISA(codes_single)(const lfd_code_groups *groups, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    const size_t blocks = (groups->n_out + LFD_CODE_ROWS - 1) / LFD_CODE_ROWS;
    placed_codes placed;
    open_block open[2];
    size_t visited = 0;
    place_codes(&placed, groups, x);
    for (size_t b = 0; b <= blocks; ++b) {
        if (b < blocks) begin_block(&placed, b * LFD_CODE_ROWS, &open[b % 2]);
        if (b > 0) visited += end_block(&placed, &open[(b - 1) % 2], y, complements);
    }
    return groups->n_out * groups->count * LFD_CODE_HEADS + visited * LFD_CODE_PLACES;
}
