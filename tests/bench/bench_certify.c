/* Certificates with and without the inputs that cannot win, on one thread (docs/performance.md):
 *
 * bench_certify MODEL DATA [EPS [IMAGES [REPEATS]]]
 *
 * DATA as for `certify`, such as mnist:DIR; EPS 0.3, IMAGES 2048, REPEATS 9 unless given. */
#include <stdio.h>
#include <stdlib.h>

#include "certify_cost.h"
#include "dataset.h"

static int fail(const char *text) {
    fprintf(stderr, "bench_certify: %s\n", text);
    return 1;
}

static int print_rows(const linfdist_model *model, const float *pixels, int64_t images, double eps, int repeats) {
    static const int64_t batches[] = {1, 4, 16, 256};
    printf("%-8s %6s %12s %12s %8s %16s %12s %9s %12s\n", "method", "batch", "dense us", "pruned us", "ratio", "",
           "sgemm us", "visited", "ns per term");
    for (int32_t method = LINFDIST_METHOD_MARGIN; method <= LINFDIST_METHOD_INTERVAL; ++method)
        for (size_t i = 0; i < sizeof batches / sizeof *batches; ++i) {
            certify_cost c;
            const int64_t batch = batches[i], most = 64 * batch, n = images < most ? images : most;
            const int result = certify_cost_measure(model, method, pixels, n, batch, eps, repeats, &c);
            if (result < 0) return fail(linfdist_last_error());
            if (result > 0) return fail("the answers differ");
            printf("%-8s %6lld %12.2f %12.2f %8.1f (%5.1f to %5.1f) %12.2f %8.2f%% %12.2f\n",
                   method == LINFDIST_METHOD_MARGIN ? "margin" : "interval", (long long)batch, c.dense, c.pruned,
                   c.ratio, c.ratio_low, c.ratio_high, c.gemm, 100.0 * c.share, c.per_term);
            fflush(stdout);
        }
    return 0;
}

static int run(linfdist_context *context, const char *path, dataset *data, double eps, int64_t images, int repeats) {
    linfdist_model *model = NULL;
    if (linfdist_model_load(context, path, &model) != LINFDIST_OK) return fail(linfdist_last_error());
    if (images > data->test.count) images = data->test.count;
    float *pixels = calloc((size_t)(images * data->n_in), sizeof *pixels);
    int result = 1;
    if (pixels) {
        dataset_raw(data, &data->test, 0, images, pixels);
        result = print_rows(model, pixels, images, eps, repeats);
    }
    free(pixels);
    linfdist_model_destroy(model);
    return result;
}

int main(int argc, char **argv) {
    linfdist_context_options options;
    linfdist_context *context = NULL;
    dataset data;
    problem what;
    if (argc < 3) return fail("usage: bench_certify MODEL DATA [EPS [IMAGES [REPEATS]]]");
    linfdist_context_options_init(&options, sizeof options);
    options.threads = 1;
    if (linfdist_context_create(&options, &context) != LINFDIST_OK) return fail(linfdist_last_error());
    if (dataset_open(&data, argv[2], 1, DATASET_TEST, &what) != 0) return fail(what.text);
    const int result = run(context, argv[1], &data, argc > 3 ? atof(argv[3]) : 0.3, argc > 4 ? atol(argv[4]) : 2048,
                           argc > 5 ? atoi(argv[5]) : 9);
    dataset_close(&data);
    linfdist_context_destroy(context);
    return result;
}
