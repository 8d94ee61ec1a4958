/* Distance layers in codes: what their prepared forms hold, by slices and by groups; how far codes may be off; that one
 * sample by groups has the codes of any; how columns are dealt to groups; that the order of rows changes nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/code_groups.h"
#include "../../src/codes.h"
#include "net_support.h"

static const char *const isas[] = {"ref", "avx2", "avx512"};

/* Ends of intervals, normalized, and their codes, complements after them, of one sample in all lanes. */
typedef struct layer_ends {
    double *upper, *lower;
    uint8_t *upper_codes, *lower_codes;
} layer_ends;

/* The largest of 0, a - w and w - b of a row in real numbers. */
static double distance(const lfd_dims *d, const double *a, const double *b, const float *w, size_t row) {
    const size_t n = d->n_in / d->groups, first = row / (d->n_out / d->groups) * n;
    double most = 0.0;
    for (size_t i = 0; i < n; ++i) {
        const double weight = (double)w[row * d->w_stride + i];
        most = fmax(most, fmax(a[first + i] - weight, weight - b[first + i]));
    }
    return most;
}

/* Terms stand in the order of their gaps, and a slice knows the least that follows. */
static void check_order(const lfd_code_rows *rows) {
    for (size_t o = 0; o < rows->n_out; ++o)
        for (size_t k = 0; k < rows->count; ++k) {
            const lfd_code_slice *slice = &rows->slices[k * rows->n_out + o];
            assert_true(k > 0 || slice->gap[0] == 0);
            for (size_t i = 1; i < LFD_CODE_RANKS; ++i) assert_true(slice->gap[i - 1] <= slice->gap[i]);
            assert_int_equal(slice->rest, k + 1 < rows->count ? slice[rows->n_out].gap[0] : LFD_CODE_MOST);
            assert_true(slice->gap[LFD_CODE_RANKS - 1] <= slice->rest);
        }
}

static size_t terms_of_row(const lfd_code_rows *rows, size_t o) {
    size_t terms = 0;
    for (size_t k = 0; k < rows->count; ++k)
        for (size_t i = 0; i < LFD_CODE_RANKS; ++i) terms += rows->slices[k * rows->n_out + o].gap[i] < LFD_CODE_MOST;
    return terms;
}

/* Where the gaps of a row's columns are, LFD_CODE_MOST for all others. */
static void spread_row(const lfd_code_rows *rows, size_t o, uint8_t *gaps) {
    memset(gaps, LFD_CODE_MOST, 2 * rows->n_in);
    for (size_t k = 0; k < rows->count; ++k)
        for (size_t i = 0; i < LFD_CODE_RANKS; ++i) {
            const lfd_code_slice *slice = &rows->slices[k * rows->n_out + o];
            if (slice->gap[i] < LFD_CODE_MOST) gaps[slice->column[i]] = slice->gap[i];
        }
}

/* A lane's turns, the last first: rests are the least of what follows, and terms are the row's, each once. */
static void check_lane(const lfd_code_rows *rows, const lfd_code_groups *groups, size_t o, size_t begin, size_t end,
                       uint8_t *gaps) {
    const size_t lane = o % LFD_CODE_ROWS;
    int rest = LFD_CODE_MOST;
    if (o < rows->n_out) spread_row(rows, o, gaps);
    for (size_t k = end * LFD_CODE_TURNS; k > begin * LFD_CODE_TURNS; --k) {
        const lfd_code_round *round = &groups->rounds[(k - 1) / LFD_CODE_TURNS];
        const lfd_code_turn *turn = &round->turn[(k - 1) % LFD_CODE_TURNS];
        const size_t group = round->group[(k - 1) % LFD_CODE_TURNS];
        if (k % LFD_CODE_TURNS == 0) assert_int_equal(round->rest[lane], rest);
        if (turn->gap[lane] == LFD_CODE_MOST) continue;
        assert_true(o < rows->n_out && group < groups->count && turn->place[lane] < LFD_CODE_PLACES);
        uint8_t *gap = &gaps[groups->column[group * LFD_CODE_PLACES + turn->place[lane]]];
        assert_int_equal(turn->gap[lane], *gap);
        *gap = LFD_CODE_MOST;
        rest = turn->gap[lane] < rest ? turn->gap[lane] : rest;
    }
    for (size_t i = 0; o < rows->n_out && i < 2 * rows->n_in; ++i) assert_int_equal(gaps[i], LFD_CODE_MOST);
    assert_int_equal(groups->floor[o], o < rows->n_out ? rows->slices[o].floor : 0);
}

static size_t near_of_turn(const lfd_code_groups *groups, size_t k) {
    const lfd_code_turn *turn = &groups->rounds[k / LFD_CODE_TURNS].turn[k % LFD_CODE_TURNS];
    size_t near = 0;
    for (size_t lane = 0; lane < LFD_CODE_ROWS; ++lane) near += (size_t)(LFD_CODE_MOST - turn->gap[lane]);
    return near;
}

/* The rounds of a block end where one has no rest. */
static size_t end_of_block(const lfd_code_groups *groups, size_t block) {
    uint8_t none[LFD_CODE_ROWS];
    size_t end = groups->begin[block];
    memset(none, LFD_CODE_MOST, sizeof none);
    while (memcmp(groups->rounds[end++].rest, none, sizeof none) != 0) continue;
    return end;
}

static void check_groups(const lfd_code_rows *rows, const lfd_code_groups *groups) {
    uint8_t *gaps = room(2 * rows->n_in, 1);
    assert_int_equal(groups->n_out, rows->n_out);
    for (size_t first = 0, next = 0; first < rows->n_out; first += LFD_CODE_ROWS) {
        const size_t begin = groups->begin[first / LFD_CODE_ROWS], end = end_of_block(groups, first / LFD_CODE_ROWS);
        assert_int_equal(begin, next);
        for (size_t o = first; o < first + LFD_CODE_ROWS; ++o) check_lane(rows, groups, o, begin, end, gaps);
        for (size_t k = begin * LFD_CODE_TURNS + 1; k < end * LFD_CODE_TURNS; ++k)
            assert_true(near_of_turn(groups, k) <= near_of_turn(groups, k - 1));
        next = end;
    }
    free(gaps);
}

static uint8_t *code_column(uint8_t *codes, size_t column) {
    return codes + column * LFD_CODE_LANES;
}

static layer_ends make_ends(const double *tops, size_t n, double step, uint64_t *seed) {
    layer_ends e = {room(n, sizeof(double)), room(n, sizeof(double)), room(2 * n, LFD_CODE_LANES),
                    room(2 * n, LFD_CODE_LANES)};
    for (size_t i = 0; i < n; ++i) {
        const double a = 127.5 * (1.0 + (double)test_number(seed)), b = 127.5 * (1.0 + (double)test_number(seed));
        const double upper = fmin(a, b), lower = i % 3 ? fmax(a, b) : upper, code[2] = {rint(upper), rint(lower)};
        e.upper[i] = tops[i] - step * upper;
        e.lower[i] = tops[i] - step * lower;
        memset(code_column(e.upper_codes, i), (int)code[0], LFD_CODE_LANES);
        memset(code_column(e.lower_codes, i), (int)code[1], LFD_CODE_LANES);
        memset(code_column(e.upper_codes, n + i), 255 - (int)code[1], LFD_CODE_LANES);
        memset(code_column(e.lower_codes, n + i), 255 - (int)code[0], LFD_CODE_LANES);
    }
    return e;
}

static void free_ends(layer_ends *e) {
    free(e->upper);
    free(e->lower);
    free(e->upper_codes);
    free(e->lower_codes);
}

/* One sample by groups has the codes of every lane. */
static size_t places_taken, places_made; /* of all so far */

static void check_single(linfdist_context *context, const lfd_code_rows *rows, const lfd_code_groups *groups,
                         const uint8_t *x, const uint8_t *y) {
    uint8_t *single = room(2 * (rows->n_in + rows->n_out), 1), *to = single + 2 * rows->n_in;
    for (size_t i = 0; i < 2 * rows->n_in; ++i) single[i] = x[i * LFD_CODE_LANES];
    places_taken += context->kernels->codes_single(groups, single, to, to + rows->n_out);
    places_made += end_of_block(groups, (rows->n_out - 1) / LFD_CODE_ROWS) * LFD_CODE_TURNS * LFD_CODE_ROWS;
    for (size_t o = 0; o < 2 * rows->n_out; ++o) assert_int_equal(to[o], y[o * LFD_CODE_LANES]);
    free(single);
}

/* Inputs that their codes miss by half a step at most lead to bounds that theirs miss by a step at most, and some by
 * almost as much. */
static void check_layer(linfdist_context *context, size_t n_in, size_t n_out, size_t groups, float spread) {
    const lfd_dims d = {1, n_in, n_out, groups, n_in, n_in / groups, n_out};
    const double step = 0.01;
    float *w = room(n_out * d.w_stride, sizeof *w);
    double *tops = room(n_in + n_out, sizeof *tops), worst = 0.0;
    uint8_t *y = room(2 * n_out, LFD_CODE_LANES);
    lfd_code_rows *coded = NULL;
    lfd_code_groups *grouped = NULL;
    uint64_t seed = n_in + n_out;
    for (size_t i = 0; i < n_out * d.w_stride; ++i) w[i] = spread * test_number(&seed);
    for (size_t i = 0; i < n_in; ++i) tops[i] = 1.275 + 0.2 * (double)test_number(&seed);
    layer_ends e = make_ends(tops, n_in, step, &seed);
    OK(lfd_codes_create(context, &d, w, step, tops, tops + n_in, &coded));
    check_order(coded);
    OK(lfd_code_groups_create(context, coded, &grouped));
    check_groups(coded, grouped);
    for (int upper = 0; upper < 2; ++upper) {
        const double *a = upper ? e.upper : e.lower, *b = upper ? e.lower : e.upper;
        (void)context->kernels->codes_forward(coded, LFD_CODE_LANES, upper ? e.upper_codes : e.lower_codes, y,
                                              code_column(y, n_out));
        check_single(context, coded, grouped, upper ? e.upper_codes : e.lower_codes, y);
        for (size_t o = 0; o < n_out; ++o) {
            const double code = y[o * LFD_CODE_LANES];
            const double error = fabs(tops[n_in + o] - step * code - distance(&d, a, b, w, o)) / step;
            assert_true(error <= 1.0 + 1e-9);
            worst = fmax(worst, error);
        }
    }
    if (n_out > 100) assert_true(worst > 0.4);
    lfd_code_groups_destroy(context, grouped);
    lfd_codes_destroy(context, coded);
    free_ends(&e);
    free(w);
    free(tops);
    free(y);
}

static void test_layers(void **state) {
    (void)state;
    for (size_t isa = 0; isa < 3; ++isa) {
        linfdist_context *context = context_of(isas[isa], 2);
        for (float spread = 0.01f; context && spread < 1e4f; spread *= 10.0f) {
            check_layer(context, 1, 1, 1, spread);
            check_layer(context, 7, 130, 1, spread);
            check_layer(context, 64, 65, 1, spread);
            check_layer(context, 90, 300, 3, spread);
            check_layer(context, 701, 33, 1, spread);
        }
        linfdist_context_destroy(context);
    }
    assert_true(places_taken < places_made / 2); /* they stop where none can gain */
}

/* ---- groups ---- */

/* A layer whose weights are far below all inputs but for those that counts names: their gaps are small. */
typedef int counts_fn(size_t row, size_t input);

static lfd_code_rows *code_layer(linfdist_context *context, size_t n_in, size_t n_out, counts_fn *counts) {
    const lfd_dims d = {1, n_in, n_out, 1, n_in, n_in, n_out};
    float *w = room(n_in * n_out, sizeof *w);
    double *tops = room(n_in + n_out, sizeof *tops);
    lfd_code_rows *rows = NULL;
    for (size_t i = 0; i < n_in; ++i) tops[i] = 2.55;
    for (size_t o = 0; o < n_out; ++o)
        for (size_t i = 0; i < n_in; ++i) w[o * n_in + i] = counts(o, i) ? -10.0f + 0.001f * (float)(i % 16) : -5.0f;
    OK(lfd_codes_create(context, &d, w, 0.01, tops, tops + n_in, &rows));
    free(w);
    free(tops);
    return rows;
}

static lfd_code_groups *group_layer(linfdist_context *context, size_t n_in, size_t n_out, counts_fn *counts) {
    lfd_code_rows *rows = code_layer(context, n_in, n_out, counts);
    lfd_code_groups *groups = NULL;
    OK(lfd_code_groups_create(context, rows, &groups));
    lfd_codes_destroy(context, rows);
    return groups;
}

/* Two kinds of rows, each with half of all inputs, all among each other. */
enum { INPUTS = 1024 };
static int same_kind(size_t row, size_t input) {
    return row % 2 == input * 77 % INPUTS / (INPUTS / 2);
}

/* Columns of a row are dealt evenly: no block has more turns than a row has terms. */
static void test_dealt_columns(void **state) {
    linfdist_context *context = context_of("ref", 1);
    (void)state;
    lfd_code_groups *groups = group_layer(context, INPUTS, 200, same_kind);
    assert_int_equal(groups->count, INPUTS / LFD_CODE_PLACES);
    for (size_t block = 0; block < 4; ++block)
        assert_int_equal(end_of_block(groups, block), (block + 1) * (INPUTS / 2 / LFD_CODE_TURNS));
    lfd_code_groups_destroy(context, groups);
    linfdist_context_destroy(context);
}

/* As many columns as there may be places, all of which count in both rows. */
static void test_most_inputs(void **state) {
    const size_t n = LFD_CODE_GROUP_INPUTS;
    const lfd_dims d = {1, n, 2, 1, n, n, 2};
    linfdist_context *context = context_of("ref", 1);
    float *middle = room(2 * n, sizeof *middle);
    double *tops = room(n + 2, sizeof *tops);
    lfd_code_rows *rows = NULL;
    lfd_code_groups *groups = NULL;
    (void)state;
    for (size_t i = 0; i < 2 * n; ++i) middle[i] = 1.275f + 0.01f * (float)(i % 90);
    for (size_t i = 0; i < n; ++i) tops[i] = 2.55;
    OK(lfd_codes_create(context, &d, middle, 0.01, tops, tops + n, &rows));
    OK(lfd_code_groups_create(context, rows, &groups));
    assert_int_equal(groups->count, LFD_CODE_GROUPS);
    check_groups(rows, groups);
    lfd_code_groups_destroy(context, groups);
    lfd_codes_destroy(context, rows);
    free(middle);
    free(tops);
    linfdist_context_destroy(context);
}

/* ---- the order of rows ---- */

static int uneven(size_t row, size_t input) {
    return input < 1 + row * 37 % 90;
}
static int apart(size_t row, size_t input) {
    return (row + input) % 5 == 0;
}

enum { MIDDLE = 150, ENDS = 30 };

/* Two layers, one after the other. */
static void lead_through(const linfdist_context *context, lfd_code_rows *const rows[2], uint8_t *y) {
    uint8_t *x = room(2 * (INPUTS + MIDDLE), LFD_CODE_LANES), *middle = code_column(x, 2 * INPUTS);
    for (size_t i = 0; i < 2 * INPUTS * LFD_CODE_LANES; ++i) x[i] = (uint8_t)(i * 7 + i / 256);
    (void)context->kernels->codes_forward(rows[0], LFD_CODE_LANES, x, middle, code_column(middle, MIDDLE));
    (void)context->kernels->codes_forward(rows[1], LFD_CODE_LANES, middle, y, code_column(y, ENDS));
    free(x);
}

static void test_sorted_rows(void **state) {
    linfdist_context *context = context_of("ref", 1);
    uint8_t *y = room(4 * ENDS, LFD_CODE_LANES), *sorted = code_column(y, 2 * ENDS);
    (void)state;
    lfd_code_rows *rows[2] = {code_layer(context, INPUTS, MIDDLE, uneven), code_layer(context, MIDDLE, ENDS, apart)};
    lead_through(context, rows, y);
    assert_true(terms_of_row(rows[0], 0) < terms_of_row(rows[0], 1));
    assert_true(terms_of_row(rows[0], 4) > terms_of_row(rows[0], 5));
    OK(lfd_codes_sort(context, rows[0], rows[1]));
    check_order(rows[0]);
    check_order(rows[1]);
    for (size_t o = 1; o < MIDDLE; ++o) assert_true(terms_of_row(rows[0], o) >= terms_of_row(rows[0], o - 1));
    lead_through(context, rows, sorted);
    assert_memory_equal(y, sorted, 2 * ENDS * LFD_CODE_LANES);
    for (size_t i = 0; i < 2; ++i) lfd_codes_destroy(context, rows[i]);
    free(y);
    linfdist_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_dealt_columns),
        cmocka_unit_test(test_most_inputs),
        cmocka_unit_test(test_sorted_rows),
    };
    return cmocka_run_group_tests_name("codes", tests, NULL, NULL);
}
