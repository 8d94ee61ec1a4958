/* Certificates of nets with convolutions, padding, strides and ReLU, by both methods: nothing in the ball changes the
 * prediction, and an interval certificate's radius is the largest float that has one. */
#include <math.h>

#include "net_support.h"

enum { SIDE = 5, N_IN = SIDE * SIDE, CLASSES = 3, N = 16, POINTS = 200 };

static linfdist_context *context;
static float pixels[N * N_IN];

static int setup(void **state) {
    (void)state;
    context = make_context(2, NULL);
    net_uniform(pixels, N * N_IN, 0.0f, 1.0f, 9);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    linfdist_context_destroy(context);
    return 0;
}

static linfdist_layer convolution(int32_t kind, const char *name, int64_t channels, int64_t stride) {
    linfdist_layer made;
    OK(linfdist_layer_init(&made, sizeof made, kind, name));
    made.out_channels = channels;
    made.stride = stride;
    made.padding = 1;
    return made;
}

/* Distances under a ReLU head, or distances alone. */
static linfdist_certifier *make_certifier(int head) {
    static const double mean = 0.25;
    const linfdist_statistics statistics = {sizeof statistics, 1, &mean, 0.3, 0.0, 1.0};
    linfdist_model_options o;
    linfdist_layer list[5];
    linfdist_model *model = NULL;
    linfdist_certifier *certifier = NULL;
    int64_t count = 0;
    OK(linfdist_model_options_init(&o, sizeof o));
    o.height = o.width_px = SIDE;
    o.classes = CLASSES;
    o.outputs = head ? LINFDIST_OUTPUTS_LOGITS : LINFDIST_OUTPUTS_DISTANCES;
    o.identity_value = 0;
    list[count++] = convolution(LINFDIST_LAYER_DISTANCE_CONV, "first", 4, 1);
    OK(linfdist_layer_init(&list[count++], sizeof list[0], LINFDIST_LAYER_MEAN_SHIFT, "first"));
    list[count++] = convolution(head ? LINFDIST_LAYER_CONV : LINFDIST_LAYER_DISTANCE_CONV, "second", 6, 2);
    if (head) OK(linfdist_layer_init(&list[count++], sizeof list[0], LINFDIST_LAYER_RELU, "second"));
    OK(linfdist_layer_init(&list[count], sizeof list[0], head ? LINFDIST_LAYER_LINEAR : LINFDIST_LAYER_DISTANCE,
                           "last"));
    list[count++].n_out = CLASSES;
    OK(linfdist_model_create(context, &o, list, count, &model));
    net_disturb(model, 5);
    OK(linfdist_model_set_statistics(model, &statistics));
    OK(linfdist_certifier_create(model, &certifier));
    linfdist_model_destroy(model);
    return certifier;
}

/* Corners of the ball around x and other points of it. */
static void draw_points(const float *x, double radius, uint64_t *seed, float *points) {
    for (int p = 0; p < POINTS; ++p)
        for (int i = 0; i < N_IN; ++i) {
            const double at = (double)x[i], draw = (double)test_number(seed);
            const double step = p % 2 ? draw * radius : draw < 0 ? -radius : radius;
            const float moved = (float)fmin(fmax(at + step, 0.0), 1.0);
            points[p * N_IN + i] = fabs((double)moved - at) <= radius ? moved : x[i];
        }
}

static int holds_at(const linfdist_certifier *c, int32_t method, const float *x, double eps) {
    int32_t certified = -1;
    OK(linfdist_certify_at(c, method, x, N_IN, 1, eps, NULL, &certified));
    return certified;
}

static void check(int head, int32_t method) {
    linfdist_certifier *c = make_certifier(head);
    static float points[POINTS * N_IN];
    int32_t predicted[N], moved[POINTS];
    float radius[N];
    uint64_t seed = 3;
    int some = 0;
    OK(linfdist_certify(c, method, pixels, N_IN, N, predicted, NULL, radius));
    for (int i = 0; i < N; ++i) {
        const float *x = pixels + i * N_IN;
        const double inside = (double)radius[i] * (method == LINFDIST_METHOD_MARGIN ? 0.999 : 1.0);
        assert_int_equal(holds_at(c, method, x, (double)nextafterf(radius[i], 2.0f) * 1.000001), 0);
        if (!(radius[i] > 0)) continue;
        some += radius[i] > 1e-3f;
        assert_int_equal(holds_at(c, method, x, inside), 1);
        if (method == LINFDIST_METHOD_INTERVAL)
            assert_int_equal(holds_at(c, method, x, (double)nextafterf(radius[i], 2.0f)), 0);
        draw_points(x, inside, &seed, points);
        OK(linfdist_certify(c, method, points, N_IN, POINTS, moved, NULL, NULL));
        for (int p = 0; p < POINTS; ++p) assert_int_equal(moved[p], predicted[i]);
    }
    assert_true(some >= N / 2);
    linfdist_certifier_destroy(c);
}

static void test_distances(void **state) {
    (void)state;
    check(0, LINFDIST_METHOD_MARGIN);
    check(0, LINFDIST_METHOD_INTERVAL);
}

static void test_relu_head(void **state) {
    (void)state;
    check(1, LINFDIST_METHOD_MARGIN);
    check(1, LINFDIST_METHOD_INTERVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_distances), cmocka_unit_test(test_relu_head)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
