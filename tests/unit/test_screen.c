/* Screens: what codes decide is what exact passes answer, whatever the net, the radius and the number of samples; how
 * far codes may be off; which nets have no screen. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/certifier.h"
#include "../../src/codes.h"
#include "file_support.h"
#include "net_support.h"

enum { CHANNELS = 2, N_IN = 2 * 9 * 9, CLASSES = 5, SAMPLES = 131 };
enum { MARGIN = LINFDIST_METHOD_MARGIN, INTERVAL = LINFDIST_METHOD_INTERVAL };

static const double means[CHANNELS] = {0.25, -0.375}, std_of_pixels = 0.375, low = -0.5, high = 0.75;
static const char *const isas[] = {"ref", "avx2", "avx512"};

/* ---- verdicts ---- */

static void set_statistics(linfdist_model *model) {
    const linfdist_statistics statistics = {sizeof statistics, CHANNELS, means, std_of_pixels, low, high};
    OK(linfdist_model_set_statistics(model, &statistics));
}

static void pixels_of(float *x, size_t samples, uint32_t seed) {
    net_uniform(x, samples * N_IN, (float)low - 0.25f, (float)high + 0.25f, seed);
    for (size_t i = 0; i < samples * N_IN; ++i) x[i] = fminf(fmaxf(x[i], (float)low), (float)high);
}

/* A bias, by which classes win about as often. */
static void balance(linfdist_model *model, const float *x) {
    linfdist_run *run = NULL;
    float *normalized = room((size_t)SAMPLES * N_IN, sizeof *normalized), *bias = net_tensor(model, "bias.bias").data;
    const float *distances;
    int64_t batch, classes;
    for (size_t i = 0; i < (size_t)SAMPLES * N_IN; ++i)
        normalized[i] = (float)(((double)x[i] - means[i % N_IN / 81]) / std_of_pixels);
    OK(linfdist_run_create(model, LINFDIST_RUN_INFERENCE, SAMPLES, &run));
    OK(linfdist_forward(run, normalized, N_IN, SAMPLES, LINFDIST_EVALUATE, INFINITY));
    OK(linfdist_run_outputs(run, &distances, &batch, &classes));
    for (int k = 0; k < SAMPLES * CLASSES; ++k) bias[k % CLASSES] -= distances[k] / SAMPLES;
    linfdist_run_destroy(run);
    free(normalized);
}

typedef struct layer {
    int32_t kind;
    const char *name;
    int64_t n_out, groups;
} layer;

/* channels x height x width_px pixels. */
typedef struct shape {
    int64_t channels, height, width_px, classes;
} shape;

static linfdist_model *plain_net(linfdist_context *context, shape s, const layer *of, size_t count, uint64_t seed) {
    linfdist_layer layers[6];
    linfdist_model_options options;
    linfdist_model *model = NULL;
    for (size_t i = 0; i < count; ++i) {
        OK(linfdist_layer_init(&layers[i], sizeof layers[i], of[i].kind, of[i].name));
        layers[i].n_out = of[i].n_out;
        layers[i].groups = of[i].groups;
    }
    OK(linfdist_model_options_init(&options, sizeof options));
    options.channels = s.channels;
    options.height = s.height;
    options.width_px = s.width_px;
    options.classes = s.classes;
    options.identity_value = 0.0f;
    options.seed = seed;
    OK(linfdist_model_create(context, &options, layers, (int64_t)count, &model));
    net_disturb(model, (uint32_t)seed);
    return model;
}

static linfdist_model *net_of(linfdist_context *context, const layer *of, size_t count, uint64_t seed) {
    linfdist_model *model = plain_net(context, (shape){CHANNELS, 9, 9, CLASSES}, of, count, seed);
    set_statistics(model);
    return model;
}

/* Layers with shifts between them and groups in one of them. */
static linfdist_model *distance_net(linfdist_context *context, uint64_t seed) {
    static const layer of[] = {
        {LINFDIST_LAYER_DISTANCE, "first", 96, 2},     {LINFDIST_LAYER_MEAN_SHIFT, "first", 0, 1},
        {LINFDIST_LAYER_DISTANCE, "second", 70, 1},    {LINFDIST_LAYER_BIAS, "second", 0, 1},
        {LINFDIST_LAYER_DISTANCE, "last", CLASSES, 1}, {LINFDIST_LAYER_BIAS, "bias", 0, 1}};
    return net_of(context, of, sizeof of / sizeof *of, seed);
}

static linfdist_model *shallow_net(linfdist_context *context, uint64_t seed) {
    static const layer of[] = {{LINFDIST_LAYER_DISTANCE, "last", CLASSES, 1}, {LINFDIST_LAYER_BIAS, "bias", 0, 1}};
    return net_of(context, of, sizeof of / sizeof *of, seed);
}

typedef struct answers {
    int32_t predicted[SAMPLES], certified[SAMPLES];
} answers;

static void ask(const linfdist_certifier *c, int32_t method, const float *x, int64_t n, double eps, answers *a) {
    memset(a, 0, sizeof *a);
    OK(linfdist_certify_at(c, method, x, c->snapshot->n_in, n, eps, a->predicted, a->certified));
}

/* How many of n samples the screen decides, all of them as want has it; and of all so far by method and verdict. */
static size_t decided_so_far[3][2], terms_of_last_call;

static size_t count_decided(const linfdist_certifier *c, int32_t method, const float *x, size_t n, double eps,
                            const answers *want) {
    lfd_units units;
    lfd_verdict *verdicts = room(n, sizeof *verdicts);
    size_t decided = 0;
    lfd_units_init(&units, c->snapshot);
    lfd_screening of = {&units, method, x, (size_t)c->snapshot->n_in, n, eps, verdicts, 0};
    OK(lfd_screen_run(c->screen, c->context, &of));
    terms_of_last_call = of.terms;
    for (size_t i = 0; i < n; ++i) {
        if (verdicts[i].certified == LFD_UNDECIDED) continue;
        ++decided;
        ++decided_so_far[method][verdicts[i].certified];
        assert_int_equal(verdicts[i].certified, want->certified[i]);
        assert_int_equal(verdicts[i].predicted, want->predicted[i]);
    }
    free(verdicts);
    return decided;
}

typedef struct pair {
    linfdist_certifier *exact, *screened;
    float *x;
} pair;

static pair make_pair(linfdist_model *model, uint32_t seed) {
    pair p = {.x = room((size_t)SAMPLES * N_IN, sizeof(float))};
    pixels_of(p.x, SAMPLES, seed);
    balance(model, p.x);
    OK(lfd_certifier_create(model, 0, &p.exact));
    OK(linfdist_certifier_create(model, &p.screened));
    assert_null(p.exact->screen);
    assert_non_null(p.screened->screen);
    return p;
}

static void free_pair(pair *p) {
    linfdist_certifier_destroy(p->exact);
    linfdist_certifier_destroy(p->screened);
    free(p->x);
}

static double width_of(const pair *p) {
    return p->screened->snapshot->statistics.high - p->screened->snapshot->statistics.low;
}

static void compare(const pair *p, int32_t method, double eps) {
    answers *want = room(2, sizeof *want), *got = want + 1;
    for (int64_t n = 1; n <= SAMPLES; n = n < 8     ? n + 1
                                          : n < 16  ? 16
                                          : n < 17  ? 17
                                          : n < 64  ? 64
                                          : n == 64 ? 65
                                                    : n + 66) {
        ask(p->exact, method, p->x, n, eps, want);
        ask(p->screened, method, p->x, n, eps, got);
        assert_memory_equal(want, got, sizeof *want);
        (void)count_decided(p->screened, method, p->x, (size_t)n, eps, want);
        if (terms_of_last_call == 0) /* too near 0 for single samples */
            assert_true(method == MARGIN && n <= 2 && eps < 0.1 * width_of(p));
        else
            assert_true(terms_of_last_call >= (size_t)n * (96 + 70 + CLASSES)); /* one for each output */
    }
    free(want);
}

static void test_same_answers(void **state) {
    static const double radii[] = {0.0, 1e-40, 0.01, 0.03, 0.1, 0.6249, 1.25, 1e300};
    (void)state;
    memset(decided_so_far, 0, sizeof decided_so_far);
    for (size_t isa = 0; isa < 3; ++isa)
        for (int32_t threads = 1; threads <= 3; threads += 2) {
            linfdist_context *context = context_of(isas[isa], threads);
            linfdist_model *model = context ? distance_net(context, isa + 1) : NULL;
            if (!context) continue;
            pair p = make_pair(model, 5);
            for (size_t i = 0; i < sizeof radii / sizeof *radii; ++i)
                for (int32_t method = MARGIN; method <= INTERVAL; ++method) compare(&p, method, radii[i]);
            free_pair(&p);
            linfdist_model_destroy(model);
            linfdist_context_destroy(context);
        }
    for (int32_t method = MARGIN; method <= INTERVAL; ++method)
        assert_true(decided_so_far[method][0] > 1000 && decided_so_far[method][1] > 300);
}

/* Few pixels and weights among them: bounds meet 0, and a class of wide bounds may win over one of narrow ones. */
static linfdist_model *small_net_of(linfdist_context *context, uint64_t seed) {
    static const layer of[] = {{LINFDIST_LAYER_BIAS, "pixels", 0, 1},
                               {LINFDIST_LAYER_MEAN_SHIFT, "pixels", 0, 1},
                               {LINFDIST_LAYER_DISTANCE, "inner", 4, 1},
                               {LINFDIST_LAYER_DISTANCE, "last", 2, 1},
                               {LINFDIST_LAYER_BIAS, "classes", 0, 1}};
    layer layers[5];
    size_t count = 0;
    for (size_t i = 0; i < 5; ++i)
        if (i > 2 || (seed >> i & 1)) layers[count++] = of[i];
    const linfdist_statistics statistics = {sizeof statistics, CHANNELS, means, 1.0, 0.0, 1.0};
    const shape s = {CHANNELS, 1 + (int64_t)(seed % 2), 1, 2};
    if (seed % 5 == 0) layers[count - 2].groups = 2;
    linfdist_model *model = plain_net(context, s, layers, count, seed);
    OK(linfdist_model_set_statistics(model, &statistics));
    linfdist_model_info info = {.struct_size = sizeof info};
    OK(linfdist_model_get_info(model, &info));
    for (int64_t i = 0; i < info.tensors; ++i) {
        linfdist_tensor t = {.struct_size = sizeof t};
        OK(linfdist_model_get_tensor(model, i, &t));
        if (t.role == LINFDIST_ROLE_SCALAR) continue;
        for (int64_t k = 0; k < t.shape[0] * t.shape[1]; ++k) t.data[k] = 0.7f * test_number(&seed);
    }
    return model;
}

static void test_small_nets(void **state) {
    linfdist_context *context = make_context(1, NULL);
    float x[40 * 2 * CHANNELS];
    answers want;
    (void)state;
    memset(decided_so_far, 0, sizeof decided_so_far);
    for (uint64_t seed = 1; seed <= 2000; ++seed) {
        linfdist_model *model = small_net_of(context, seed);
        linfdist_certifier *exact = NULL, *screened = NULL;
        uint64_t state_of = seed;
        const double eps = exp2(-1.0 - 3.5 * (1.0 + (double)test_number(&state_of)));
        OK(lfd_certifier_create(model, 0, &exact));
        OK(linfdist_certifier_create(model, &screened));
        net_uniform(x, sizeof x / sizeof *x, 0.0f, 1.0f, (uint32_t)seed);
        for (int32_t method = MARGIN; method <= INTERVAL; ++method) {
            ask(exact, method, x, 40, eps, &want);
            (void)count_decided(screened, method, x, 40, eps, &want);
            (void)count_decided(screened, method, x, 3, eps, &want);
        }
        linfdist_certifier_destroy(exact);
        linfdist_certifier_destroy(screened);
        linfdist_model_destroy(model);
    }
    for (int32_t method = MARGIN; method <= INTERVAL; ++method)
        assert_true(decided_so_far[method][0] > 5000 && decided_so_far[method][1] > 5000);
    linfdist_context_destroy(context);
}

/* As many inputs as a slice can number, of which the last wins, and one more; as many as groups can have, and one more;
 * parts with inputs of their own; shifts alone; numbers that floats round by more than codes could tell. */
enum { NO_SCREEN, NO_SINGLES, ALL };

static void check_screened(linfdist_model *model, int screened) {
    linfdist_certifier *exact = NULL, *made = NULL;
    answers want, got;
    OK(linfdist_model_set_statistics(model,
                                     &(linfdist_statistics){sizeof(linfdist_statistics), 1, means, 1.0, 0.0, 1.0}));
    OK(lfd_certifier_create(model, 0, &exact));
    OK(linfdist_certifier_create(model, &made));
    assert_int_equal(made->screen != NULL, screened != NO_SCREEN);
    const size_t count = 3 * (size_t)made->snapshot->n_in;
    float *x = room(count, sizeof *x);
    net_uniform(x, count, 0.0f, 1.0f, 3);
    for (int32_t method = MARGIN; method <= INTERVAL; ++method)
        for (size_t n = 1; n <= 3; ++n) {
            const int decided = screened == ALL || (screened == NO_SINGLES && n == 3);
            ask(exact, method, x, (int64_t)n, 0.02, &want);
            ask(made, method, x, (int64_t)n, 0.02, &got);
            assert_memory_equal(&want, &got, sizeof want);
            assert_int_equal(count_decided(made, method, x, n, 0.02, &want), decided ? n : 0);
        }
    linfdist_certifier_destroy(exact);
    linfdist_certifier_destroy(made);
    linfdist_model_destroy(model);
    free(x);
}

/* Of few outputs, or of so many that single samples need groups. */
static void check_inputs(linfdist_context *context, int64_t n, int64_t outputs, int screened) {
    const layer of = {LINFDIST_LAYER_DISTANCE, "last", outputs, 1};
    linfdist_model *model = plain_net(context, (shape){1, 1, n, outputs}, &of, 1, 1);
    float *w = net_tensor(model, "last.weight").data;
    w[n - 1] = 9.0f;
    for (int64_t o = 1; o < outputs; ++o) w[(o + 1) * n - 1] = -11.0f;
    check_screened(model, screened);
}

static void check_parts(linfdist_context *context, int64_t outputs) {
    const layer of = {LINFDIST_LAYER_DISTANCE, "parts", outputs, 3};
    linfdist_model *model = plain_net(context, (shape){1, 1, 6, outputs}, &of, 1, 1);
    for (int64_t o = 1; o < outputs; ++o) net_tensor(model, "parts.weight").data[2 * o] = 3.0f;
    check_screened(model, ALL);
}

static void test_limits(void **state) {
    static const layer last = {LINFDIST_LAYER_DISTANCE, "last", 2, 1}, bias = {LINFDIST_LAYER_BIAS, "bias", 0, 1};
    const int64_t grouped = LFD_CODE_GROUP_INPUTS;
    linfdist_context *context = make_context(1, NULL);
    (void)state;
    check_inputs(context, LFD_CODE_INPUTS, 2, ALL);
    check_inputs(context, LFD_CODE_INPUTS + 1, 2, NO_SCREEN);
    check_inputs(context, grouped, 32, ALL);
    check_inputs(context, grouped + 1, 32, NO_SINGLES);
    check_inputs(context, grouped + 1, 31, ALL);
    check_parts(context, 66);
    check_parts(context, 30);
    linfdist_model *model = plain_net(context, (shape){1, 1, 2, 2}, &bias, 1, 1);
    float *b = net_tensor(model, "bias.bias").data;
    b[0] = 0.25f;
    b[1] = 3.0f;
    check_screened(model, ALL);
    model = plain_net(context, (shape){1, 1, 5, 2}, &last, 1, 1);
    net_tensor(model, "last.weight").data[0] = 0x1p22f;
    check_screened(model, NO_SCREEN);
    linfdist_context_destroy(context);
}

/* By how much codes are off at most, in raw pixels: distances and pixels round by half a step each. */
static double error_of_codes(int layers) {
    return (0.5 * (layers + 1) + 1.0 / 32) * (high - low) / 255.0;
}

/* At a sample's own radius, where the answer turns, and as far from it as codes must be able to tell. Returns at how
 * many radii they know that they may be off. */
static size_t check_radius(const pair *p, int32_t method, const float *x, double radius, double error) {
    static const double far[] = {-2.0, -1e-3, -1e-7, 0.0, 1e-7, 1e-3, 2.0};
    size_t doubtful = 0;
    answers want;
    for (size_t k = 0; k < sizeof far / sizeof *far; ++k) {
        const double eps = radius + far[k] * error;
        ask(p->exact, method, x, 1, eps, &want);
        const size_t decided = count_decided(p->screened, method, x, 1, eps, &want);
        /* Bounds move less than twice the radius where pixels meet the ends of the valid range. */
        if (fabs(far[k]) == 2.0 && method == MARGIN && eps > 4.2 * error) assert_int_equal(decided, 1);
        doubtful += fabs(far[k]) < 1e-2 && !decided;
    }
    return doubtful;
}

/* Single samples pass codes by the margin where its threshold is clear of their error, and by intervals always. */
static void check_singles(const pair *p, int32_t method, double error) {
    static const double times[] = {0.0, 3.5, 4.5};
    answers want;
    for (size_t k = 0; k < sizeof times / sizeof *times; ++k) {
        ask(p->exact, method, p->x, 1, times[k] * error, &want);
        (void)count_decided(p->screened, method, p->x, 1, times[k] * error, &want);
        assert_int_equal(terms_of_last_call > 0, method == INTERVAL || times[k] > 4.0);
    }
}

static void check_radii(const pair *p, int32_t method, int layers) {
    float radius[SAMPLES], margin[SAMPLES];
    int32_t predicted[SAMPLES];
    const double error = error_of_codes(layers);
    size_t turning = 0, doubtful = 0;
    check_singles(p, method, error);
    OK(linfdist_certify(p->exact, method, p->x, N_IN, SAMPLES, predicted, margin, radius));
    for (size_t i = 0; i < SAMPLES; ++i) {
        if ((double)radius[i] < 4.5 * error || (double)radius[i] > 0.5) continue;
        ++turning;
        doubtful += check_radius(p, method, p->x + i * N_IN, (double)radius[i], error);
    }
    assert_true(turning > 15 && doubtful == 5 * turning);
}

/* Nets of one layer come closest to what codes may be off. */
static void test_radii(void **state) {
    linfdist_context *context = make_context(1, NULL);
    (void)state;
    for (uint32_t seed = 1; seed <= 12; ++seed) {
        linfdist_model *model = seed % 3 ? shallow_net(context, seed) : distance_net(context, seed);
        pair p = make_pair(model, seed);
        check_radii(&p, MARGIN, seed % 3 ? 1 : 3);
        check_radii(&p, INTERVAL, seed % 3 ? 1 : 3);
        free_pair(&p);
        linfdist_model_destroy(model);
    }
    linfdist_context_destroy(context);
}

/* ---- nets without a screen, and failures ---- */

static void expect_no_screen(linfdist_model *model) {
    linfdist_certifier *certifier = NULL;
    OK(linfdist_certifier_create(model, &certifier));
    assert_null(certifier->screen);
    linfdist_certifier_destroy(certifier);
    linfdist_model_destroy(model);
}

static linfdist_model *small_net(linfdist_context *context, int32_t kind, int32_t outputs) {
    linfdist_layer layers[2];
    linfdist_model_options options;
    linfdist_model *model = NULL;
    OK(linfdist_layer_init(&layers[0], sizeof layers[0], kind, "first"));
    OK(linfdist_layer_init(&layers[1], sizeof layers[1], LINFDIST_LAYER_DISTANCE, "last"));
    layers[1].n_out = CLASSES;
    if (kind == LINFDIST_LAYER_DISTANCE_CONV) layers[0].out_channels = 3;
    OK(linfdist_model_options_init(&options, sizeof options));
    options.channels = CHANNELS;
    options.height = options.width_px = 9;
    options.classes = CLASSES;
    options.outputs = outputs;
    OK(linfdist_model_create(context, &options, layers, 2, &model));
    return model;
}

static void test_no_screen(void **state) {
    static const int32_t kinds[] = {LINFDIST_LAYER_DISTANCE_CONV, LINFDIST_LAYER_TANH, LINFDIST_LAYER_RELU};
    linfdist_context *context = make_context(1, NULL);
    linfdist_certifier *certifier = NULL;
    (void)state;
    for (size_t i = 0; i < 3; ++i) {
        linfdist_model *model = small_net(context, kinds[i], LINFDIST_OUTPUTS_DISTANCES);
        set_statistics(model);
        expect_no_screen(model);
    }
    expect_no_screen(small_net(context, LINFDIST_LAYER_BIAS, LINFDIST_OUTPUTS_DISTANCES)); /* no valid range */
    linfdist_model *model = small_net(context, LINFDIST_LAYER_BIAS, LINFDIST_OUTPUTS_LOGITS);
    set_statistics(model);
    expect_no_screen(model);
    model = small_net(context, LINFDIST_LAYER_BIAS, LINFDIST_OUTPUTS_DISTANCES);
    set_statistics(model);
    OK(linfdist_certifier_create(model, &certifier));
    assert_non_null(certifier->screen);
    linfdist_certifier_destroy(certifier);
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
}

/* Ranges of which floats tell few numbers apart, and such as are usual. */
static void test_ranges(void **state) {
    static const struct {
        double std, low, high;
        int screened;
    } of[] = {{0.5, 0.0, 255.0, 1},      {1e-3, -1.0, 1.0, 1}, {0.5, 63.0, 64.0, 1},   {0.5, 65.0, 66.0, 0},
              {0.5, -1e6, 1.0 - 1e6, 0}, {1e30, 0.0, 1.0, 0},  {1e-20, 0.0, 1e-20, 0}, {1e-3, 0.0, 1e-12, 0}};
    linfdist_context *context = make_context(1, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof of / sizeof *of; ++i) {
        const double mean = of[i].low;
        const linfdist_statistics statistics = {sizeof statistics, 1, &mean, of[i].std, of[i].low, of[i].high};
        linfdist_model *model = distance_net(context, 1);
        OK(linfdist_model_set_statistics(model, &statistics));
        pair p = {.x = room((size_t)SAMPLES * N_IN, sizeof(float))};
        net_uniform(p.x, (size_t)SAMPLES * N_IN, (float)of[i].low, (float)of[i].high, 3);
        for (size_t k = 0; k < (size_t)SAMPLES * N_IN; ++k)
            p.x[k] = fminf(fmaxf(p.x[k], (float)of[i].low), (float)of[i].high);
        OK(lfd_certifier_create(model, 0, &p.exact));
        OK(linfdist_certifier_create(model, &p.screened));
        assert_int_equal(p.screened->screen != NULL, of[i].screened);
        for (int32_t method = MARGIN; method <= INTERVAL && of[i].screened; ++method)
            compare(&p, method, 0.02 * (of[i].high - of[i].low));
        free_pair(&p);
        linfdist_model_destroy(model);
    }
    linfdist_context_destroy(context);
}

/* A call that fails writes nothing, whichever allocation it is; without memory for the screen it takes longer. */
static void test_out_of_memory(void **state) {
    float *x = room((size_t)SAMPLES * N_IN, sizeof *x);
    scripted_memory memory = {0};
    linfdist_context *context = scripted_context(&memory);
    linfdist_model *model = distance_net(context, 1);
    linfdist_certifier *certifier = NULL;
    answers want, got;
    long failing = 0, reached = 1, succeeded = 0;
    (void)state;
    pixels_of(x, SAMPLES, 5);
    balance(model, x);
    OK(linfdist_certifier_create(model, &certifier));
    ask(certifier, INTERVAL, x, SAMPLES, 0.03, &want);
    while (reached) {
        memset(&got, 77, sizeof got);
        memory.failing_call = memory.calls + ++failing;
        const linfdist_status status =
            linfdist_certify_at(certifier, INTERVAL, x, N_IN, SAMPLES, 0.03, got.predicted, got.certified);
        reached = memory.calls >= memory.failing_call;
        memory.failing_call = 0;
        succeeded += status == LINFDIST_OK;
        if (status == LINFDIST_OK) assert_memory_equal(&got, &want, sizeof got);
        for (size_t i = 0; i < sizeof got && status != LINFDIST_OK; ++i)
            assert_int_equal(((const char *)(const void *)&got)[i], 77);
    }
    assert_true(failing > 5 && succeeded == 2); /* the screen's allocation, and none */
    linfdist_certifier_destroy(certifier);
    linfdist_model_destroy(model);
    linfdist_context_destroy(context);
    assert_int_equal(memory.live, 0);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_answers),  cmocka_unit_test(test_radii),     cmocka_unit_test(test_small_nets),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_no_screen), cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("screen", tests, NULL, NULL);
}
