/* Passes that skip inputs which cannot win: the dense kernels' bits, whatever the data and the range, on every
 * instruction set and thread count; few terms on data of the kind they are made for; certifiers that use them. */
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/certifier.h"
#include "../../src/prune.h"
#include "file_support.h"
#include "net_support.h"

enum { MARGIN = LINFDIST_METHOD_MARGIN, INTERVAL = LINFDIST_METHOD_INTERVAL };

static const char *const isas[] = {"ref", "avx2", "avx512"};

/* ---- one layer ---- */

enum kind { TRAINED, RANDOM, TIES, OUTSIDE, FAR_OUTSIDE, WIDE, POINT, KINDS };

typedef struct layer_case {
    lfd_dims dims;
    float *x, *xu, *w, *low, *high;
} layer_case;

static float *floats(size_t count) {
    float *made = calloc(count + 1, sizeof *made);
    assert_non_null(made);
    return made;
}

/* Inputs in [-1, 1]. A row of a trained net has a few weights beyond them and the others near the middle. */
static float weight_of(enum kind kind, size_t row, size_t column, uint64_t *state) {
    const float number = test_number(state);
    if (kind == TIES) return rintf(2.0f * number);
    if (kind == RANDOM) return 2.0f * number;
    return (column * 7 + row * 13) % 97 < 3 ? 2.0f + number : 0.1f * number;
}

static layer_case make_layer(size_t batch, size_t n_in, size_t n_out, size_t groups, enum kind kind, uint64_t seed) {
    layer_case c = {.dims = {batch, n_in, n_out, groups, n_in, n_in / groups, n_out}};
    const float reach = kind == OUTSIDE ? 1.25f : kind == FAR_OUTSIDE ? 1e6f : 1.0f;
    c.x = floats(batch * n_in);
    c.xu = floats(batch * n_in);
    c.w = floats(n_out * c.dims.w_stride);
    c.low = floats(n_in);
    c.high = floats(n_in);
    for (size_t i = 0; i < n_out * c.dims.w_stride; ++i)
        c.w[i] = weight_of(kind, i / c.dims.w_stride, i % c.dims.w_stride, &seed);
    for (size_t i = 0; i < batch * n_in; ++i) {
        c.x[i] = kind == TIES ? rintf(2.0f * test_number(&seed)) / 2.0f : reach * test_number(&seed);
        c.xu[i] = c.x[i] + 0.25f * (1.0f + test_number(&seed));
    }
    for (size_t i = 0; i < n_in; ++i) {
        c.low[i] = kind == WIDE ? -LFD_LIMIT : kind == POINT ? 0.5f : -1.0f;
        c.high[i] = kind == WIDE ? LFD_LIMIT : kind == POINT ? 0.5f : 1.0f;
    }
    return c;
}

static void free_layer(layer_case *c) {
    float *all[] = {c->x, c->xu, c->w, c->low, c->high};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) free(all[i]);
}

/* The share of terms that values and bounds visited together. */
static double compare_layer(linfdist_context *context, const layer_case *c) {
    const lfd_dims *d = &c->dims;
    const size_t count = d->batch * d->n_out;
    float *want[3] = {floats(count), floats(count), floats(count)};
    float *got[3] = {floats(count), floats(count), floats(count)};
    const size_t room = lfd_pruned_scratch(d->batch, d->n_in, d->groups);
    float *scratch = floats(room);
    lfd_pruned *pruned = NULL;
    OK(lfd_pruned_create(context, d, c->w, c->low, c->high, &pruned));
    assert_non_null(pruned);
    lfd_distance_forward(context, d, INFINITY, c->x, c->w, want[0], NULL);
    lfd_bounds_forward(context, d, c->x, c->xu, c->w, want[1], want[2], NULL, NULL);
    for (size_t i = 0; i < room; ++i) scratch[i] = NAN; /* nothing is read before it is written */
    size_t visited = lfd_pruned_forward(context, pruned, d, c->x, c->w, got[0], scratch);
    visited += lfd_pruned_bounds(context, pruned, d, c->x, c->xu, c->w, got[1], got[2], scratch);
    for (int i = 0; i < 3; ++i) {
        if (memcmp(want[i], got[i], count * sizeof(float)) != 0)
            fail_msg("output %d differs: batch %zu n_in %zu n_out %zu groups %zu", i, d->batch, d->n_in, d->n_out,
                     d->groups);
        free(want[i]);
        free(got[i]);
    }
    lfd_pruned_destroy(context, pruned);
    free(scratch);
    return (double)visited / (2.0 * (double)count * (double)(d->n_in / d->groups));
}

static void compare_layers(linfdist_context *context) {
    static const size_t shapes[][3] = {{64, 1, 1},   {67, 17, 1},  {200, 40, 1}, {131, 90, 1}, {256, 70, 2},
                                       {195, 12, 3}, {400, 33, 1}, {770, 18, 2}, {400, 70, 2}};
    for (int kind = 0; kind < KINDS; ++kind)
        for (size_t batch = 1; batch <= 40; batch += batch < 4 ? 1 : 6)
            for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
                layer_case c = make_layer(batch, shapes[i][0], shapes[i][1], shapes[i][2], (enum kind)kind, batch + i);
                (void)compare_layer(context, &c);
                free_layer(&c);
            }
}

static void test_same_bits(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; ++i)
        for (int32_t threads = 1; threads <= 3; threads += 2) {
            linfdist_context *context = context_of(isas[i], threads);
            if (context) compare_layers(context);
            linfdist_context_destroy(context);
        }
}

/* A difference of floats, rounded and raised, is at least the exact one, which a double holds here. */
static void test_raised(void **state) {
    uint64_t seed = 3;
    int rounded_down = 0;
    (void)state;
    for (int i = 0; i < 100000; ++i) {
        const float a = ldexpf(test_number(&seed), i % 20), b = ldexpf(test_number(&seed), i % 13);
        const double exact = (double)a - (double)b;
        rounded_down += (double)(a - b) < exact;
        assert_true((double)lfd_raised(a - b) >= exact);
        assert_true((double)lfd_raised(a - b) - exact <= 0x1p-21 * fabs(exact));
    }
    assert_true(rounded_down > 1000);
}

/* 3 of 97 weights of a row reach beyond the others; what is visited follows them, and turns to dense where the range
 * says nothing. */
static void test_terms_visited(void **state) {
    static const size_t batches[] = {1, 5, 32, 100};
    (void)state;
    for (size_t isa = 0; isa < 3; ++isa) {
        linfdist_context *context = context_of(isas[isa], 1);
        for (size_t i = 0; context && i < 4; ++i) {
            layer_case few = make_layer(batches[i], 970, 64, 1, TRAINED, 1);
            layer_case far = make_layer(batches[i], 970, 64, 1, FAR_OUTSIDE, 1);
            assert_true(compare_layer(context, &few) < (batches[i] == 1 ? 0.05 : 0.4));
            const double share = compare_layer(context, &far);
            assert_true(share >= 0.75);
            if (batches[i] == 1 && isa > 0) assert_true(share < 1.15);
            free_layer(&few);
            free_layer(&far);
        }
        linfdist_context_destroy(context);
    }
}

/* Rows that are too short stay dense, and so do layers for which memory is short. */
static void test_not_prepared(void **state) {
    (void)state;
    for (long failing = 1; failing <= 6; ++failing) {
        scripted_memory memory = {0};
        linfdist_context *context = scripted_context(&memory);
        layer_case short_rows = make_layer(1, 126, 20, 2, TRAINED, 1), c = make_layer(1, 256, 20, 1, TRAINED, 1);
        lfd_pruned *pruned = NULL;
        OK(lfd_pruned_create(context, &short_rows.dims, short_rows.w, short_rows.low, short_rows.high, &pruned));
        assert_null(pruned);
        memory.failing_call = memory.calls + failing;
        const linfdist_status status = lfd_pruned_create(context, &c.dims, c.w, c.low, c.high, &pruned);
        assert_int_equal(status, failing <= 5 ? LINFDIST_ERROR_OUT_OF_MEMORY : LINFDIST_OK);
        lfd_pruned_destroy(context, pruned);
        linfdist_context_destroy(context);
        assert_int_equal(memory.live, 0);
        free_layer(&short_rows);
        free_layer(&c);
    }
}

/* A slice numbers columns in 16 bits: the longest row it can hold, whose last columns win, and one that stays dense. */
static void test_longest_rows(void **state) {
    linfdist_context *context = context_of(NULL, 1);
    layer_case longest = make_layer(3, LFD_SLICED_COLUMNS, 2, 1, TRAINED, 1);
    layer_case longer = make_layer(1, LFD_SLICED_COLUMNS + 1, 1, 1, TRAINED, 1);
    lfd_pruned *pruned = NULL;
    (void)state;
    for (size_t o = 0; o < 2; ++o) longest.w[o * longest.dims.w_stride + LFD_SLICED_COLUMNS - 1 - o] = 40.0f;
    assert_true(compare_layer(context, &longest) < 0.01);
    OK(lfd_pruned_create(context, &longer.dims, longer.w, longer.low, longer.high, &pruned));
    assert_null(pruned);
    free_layer(&longest);
    free_layer(&longer);
    linfdist_context_destroy(context);
}

static void compare_on_every_isa(int32_t threads, size_t batch, size_t n_in, size_t n_out, size_t groups) {
    for (size_t isa = 0; isa < 3; ++isa) {
        linfdist_context *context = context_of(isas[isa], threads);
        if (!context) continue;
        layer_case c = make_layer(batch, n_in, n_out, groups, TRAINED, batch);
        assert_true(compare_layer(context, &c) < 0.5);
        free_layer(&c);
        linfdist_context_destroy(context);
    }
}

/* More outputs than go together, for samples that pass one by one and in the lanes. */
static void test_many_rows(void **state) {
    (void)state;
    for (size_t batch = 1; batch <= 33; batch += 16) compare_on_every_isa(1, batch, 400, 2100, 1);
}

/* A row's weights: needs of them so far outside that no other input can win, whatever the sample. */
static void set_needs(layer_case *c, const size_t *needs, size_t count) {
    for (size_t o = 0; o < c->dims.n_out; ++o)
        for (size_t i = 0; i < c->dims.n_in; ++i) {
            const float far = o % 8 < 4 ? 10.0f : -10.0f;
            c->w[o * c->dims.w_stride + i] = (i * 7 + o) % c->dims.n_in < needs[o % count] ? far : 0.1f;
        }
}

/* A single sample visits what its rows need, though neighbours need more; the reference takes whole slices. */
static void test_needs(void **state) {
    static const size_t needs[] = {5, 1, LFD_SLICE, 2};
    (void)state;
    for (size_t isa = 0; isa < 3; ++isa) {
        linfdist_context *context = context_of(isas[isa], 1);
        if (!context) continue;
        layer_case c = make_layer(1, 400, 4 * LFD_HEAD_ROWS, 1, TRAINED, 1);
        set_needs(&c, needs, 4);
        for (size_t i = 0; i < c.dims.n_in; ++i) c.xu[i] = fminf(c.xu[i], 1.0f);
        const double ranks = compare_layer(context, &c) * (double)c.dims.n_in;
        assert_float_equal(ranks, isa == 0 ? LFD_SLICE : (1 + 2 + 5 + LFD_SLICE) / 4.0, 1e-9);
        free_layer(&c);
        linfdist_context_destroy(context);
    }
}

/* One row, whose ten large bounds are so close together that ranking does not tell them apart, and a sample for which
 * each rank reaches its bound. It would stop at the first where the next were not the largest of those that follow. */
static void compare_close_bounds(linfdist_context *context, uint64_t seed) {
    layer_case c = make_layer(1, 400, 1, 1, TRAINED, 1);
    for (size_t i = 0; i < c.dims.n_in; ++i) {
        c.low[i] = c.high[i] = 0.0f;
        c.x[i] = c.xu[i] = -1.0f;
        c.w[i] = i % 40 == 7 ? 3.0f + 1e-4f * test_number(&seed) : 0.1f;
    }
    (void)compare_layer(context, &c);
    free_layer(&c);
}

static void test_close_bounds(void **state) {
    (void)state;
    for (size_t isa = 0; isa < 3; ++isa) {
        linfdist_context *context = context_of(isas[isa], 1);
        for (uint64_t seed = 1; context && seed <= 50; ++seed) compare_close_bounds(context, seed);
        linfdist_context_destroy(context);
    }
}

/* A host's executor that notes the most tasks of a call. */
static void note_tasks(void *user, linfdist_task_fn task, void *data, size_t count) {
    size_t *most = user;
    if (count > *most) *most = count;
    for (size_t i = 0; i < count; ++i) task(data, i);
}

static size_t tasks_of_pass(size_t batch, size_t n_in, size_t n_out) {
    size_t most = 0;
    linfdist_context_options options;
    linfdist_context *context = NULL;
    lfd_pruned *pruned = NULL;
    layer_case c = make_layer(batch, n_in, n_out, 1, TRAINED, 1);
    float *y = floats(batch * n_out), *scratch = floats(lfd_pruned_scratch(batch, n_in, 1));
    OK(linfdist_context_options_init(&options, sizeof options));
    options.threads = 3;
    options.parallel_for = note_tasks;
    options.parallel_for_user = &most;
    OK(linfdist_context_create(&options, &context));
    OK(lfd_pruned_create(context, &c.dims, c.w, c.low, c.high, &pruned));
    most = 0; /* without those of the ranking */
    (void)lfd_pruned_forward(context, pruned, &c.dims, c.x, c.w, y, scratch);
    lfd_pruned_destroy(context, pruned);
    linfdist_context_destroy(context);
    free_layer(&c);
    free(scratch);
    free(y);
    return most;
}

/* So many weights that threads share the outputs of a single sample; with fewer it is one thread's. */
static void test_shared_outputs(void **state) {
    (void)state;
    assert_int_equal(tasks_of_pass(1, 2100, 2100), 3);
    assert_int_equal(tasks_of_pass(1, 400, 2100), 0);
    compare_on_every_isa(3, 2, 2100, 2100, 1);
    compare_on_every_isa(3, 1, 4200, 4100, 2);
}

/* ---- certifiers ---- */

enum { N_IN = 211, WIDTH = 200, SAMPLES = 70, CLASSES = 5 }; /* long enough for single samples to skip inputs */

/* Weights as after training: most of a row close to the middle, so that distances settle on few inputs. */
static linfdist_model *trained_net(linfdist_context *context, int with_statistics) {
    static const double mean = 0.125;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, 0.375, 0.0, 1.0};
    linfdist_model *model = net_mlp(context, 3, WIDTH, N_IN, CLASSES, 7);
    uint64_t seed = 9;
    net_disturb(model, 3);
    for (int64_t i = 0; i < 3; ++i) {
        char name[32];
        (void)snprintf(name, sizeof name, "fc_dist.%d.weight", (int)i);
        const linfdist_tensor w = net_tensor(model, name);
        for (int64_t k = 0; k < w.shape[0] * w.shape[1]; ++k)
            w.data[k] = weight_of(TRAINED, (size_t)(k / w.shape[1]), (size_t)(k % w.shape[1]), &seed);
    }
    OK(linfdist_model_set_statistics(model, with_statistics ? &statistics : NULL));
    return model;
}

typedef struct answers {
    int32_t predicted[4][SAMPLES], certified[2][SAMPLES];
    float margin[2][SAMPLES], radius[2][SAMPLES];
} answers;

static void ask(const linfdist_certifier *c, const float *x, int64_t n, answers *a) {
    memset(a, 0, sizeof *a);
    for (int32_t m = 0; m < 2; ++m) {
        OK(linfdist_certify(c, m ? INTERVAL : MARGIN, x, N_IN, n, a->predicted[m], a->margin[m], a->radius[m]));
        OK(linfdist_certify_at(c, m ? INTERVAL : MARGIN, x, N_IN, n, 0.05, a->predicted[2 + m], a->certified[m]));
    }
}

static void compare_certifiers(linfdist_model *model, float low, float high) {
    linfdist_certifier *dense = NULL, *pruned = NULL;
    float *x = floats((size_t)SAMPLES * N_IN);
    answers *want = calloc(2, sizeof *want), *got = want + 1;
    assert_non_null(want);
    OK(lfd_certifier_create(model, 0, &dense));
    OK(linfdist_certifier_create(model, &pruned));
    assert_null(dense->prepared);
    assert_non_null(pruned->prepared);
    assert_non_null(pruned->prepared[0]);
    net_uniform(x, (size_t)SAMPLES * N_IN, low, high, 5);
    for (int64_t n = 1; n <= SAMPLES; n = n < 3 ? n + 1 : 4 * n - 2) {
        ask(dense, x, n, want);
        ask(pruned, x, n, got);
        assert_memory_equal(want, got, sizeof *want);
    }
    linfdist_certifier_destroy(dense);
    linfdist_certifier_destroy(pruned);
    free(x);
    free(want);
}

static void test_certifiers(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; ++i)
        for (int32_t threads = 1; threads <= 2; ++threads) {
            linfdist_context *context = context_of(isas[i], threads);
            if (!context) continue;
            linfdist_model *model = trained_net(context, 1);
            compare_certifiers(model, 0.0f, 1.0f);
            linfdist_model_destroy(model);
            model = trained_net(context, 0);
            compare_certifiers(model, -40.0f, 30.0f);
            linfdist_model_destroy(model);
            linfdist_context_destroy(context);
        }
}

typedef struct caller {
    const linfdist_certifier *certifier;
    const float *x;
    answers got;
} caller;

static void *call(void *data) {
    caller *c = data;
    for (int i = 0; i < 3; ++i) ask(c->certifier, c->x, 40, &c->got);
    return NULL;
}

static void test_threads(void **state) {
    enum { CALLERS = 3 };
    linfdist_context *context = make_context(2, NULL);
    linfdist_model *model = trained_net(context, 1);
    linfdist_certifier *certifier = NULL;
    pthread_t threads[CALLERS];
    caller *callers = calloc(CALLERS, sizeof *callers);
    float *x = floats((size_t)40 * N_IN);
    (void)state;
    assert_non_null(callers);
    OK(linfdist_certifier_create(model, &certifier));
    net_uniform(x, (size_t)40 * N_IN, 0.0f, 1.0f, 5);
    for (int i = 0; i < CALLERS; ++i) {
        callers[i] = (caller){.certifier = certifier, .x = x};
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; ++i) pthread_join(threads[i], NULL);
    for (int i = 1; i < CALLERS; ++i) assert_memory_equal(&callers[0].got, &callers[i].got, sizeof(answers));
    linfdist_certifier_destroy(certifier);
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
    free(callers);
    free(x);
}

/* Where preparing fails, the certifier is made all the same and answers the same. */
static void test_out_of_memory(void **state) {
    float *x = floats((size_t)20 * N_IN);
    answers *want = calloc(2, sizeof *want), *got = want + 1;
    long failing = 0, dense = 0, left;
    (void)state;
    assert_non_null(want);
    net_uniform(x, (size_t)20 * N_IN, 0.0f, 1.0f, 5);
    do {
        scripted_memory memory = {0};
        linfdist_context *context = scripted_context(&memory);
        linfdist_model *model = trained_net(context, 1);
        linfdist_certifier *c = NULL;
        memory.failing_call = memory.calls + ++failing;
        const linfdist_status status = linfdist_certifier_create(model, &c);
        left = memory.failing_call - memory.calls;
        memory.failing_call = 0;
        if (status == LINFDIST_OK) {
            dense += !c->prepared;
            assert_int_equal(memory.warnings, !c->prepared || !c->screen);
            ask(c, x, 20, got);
            if (want->margin[0][0] == 0.0f) *want = *got;
            assert_memory_equal(want, got, sizeof *want);
        } else {
            assert_int_equal(status, LINFDIST_ERROR_OUT_OF_MEMORY);
        }
        linfdist_certifier_destroy(c);
        linfdist_model_destroy(model);
        linfdist_context_destroy(context);
        assert_int_equal(memory.live, 0);
    } while (left <= 0);
    assert_true(dense >= 10);
    free(x);
    free(want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raised),       cmocka_unit_test(test_same_bits),    cmocka_unit_test(test_terms_visited),
        cmocka_unit_test(test_not_prepared), cmocka_unit_test(test_longest_rows), cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_needs),        cmocka_unit_test(test_close_bounds), cmocka_unit_test(test_shared_outputs),
        cmocka_unit_test(test_certifiers),   cmocka_unit_test(test_threads),      cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
