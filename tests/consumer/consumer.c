#include <linfdist/linfdist.h>
#include <stdio.h>

int main(void) {
    linfdist_context *context = NULL;
    linfdist_distance_shape shape;
    const float x[2] = {1.0f, 5.0f}, w[4] = {0.0f, 3.0f, 4.0f, 5.0f};
    float y[2] = {0.0f, 0.0f};
    if (linfdist_context_create(NULL, &context) != LINFDIST_OK ||
        linfdist_distance_shape_init(&shape, sizeof shape, 1, 2, 2) != LINFDIST_OK ||
        linfdist_distance_forward(context, &shape, 8.0f, x, w, y, NULL) != LINFDIST_OK) {
        puts(linfdist_last_error());
        return 1;
    }
    printf("linfdist %s: %g %g\n", linfdist_version_string(), (double)y[0], (double)y[1]);
    linfdist_context_destroy(context);
    return y[0] > 2.0f && y[0] < 2.01f && y[1] > 2.99f && y[1] < 3.01f ? 0 : 1;
}
