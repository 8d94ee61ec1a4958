/* loss_*: the mixture loss. */
#include <string.h>

#include "check.h"

static void check_mixture(check *c) {
    const golden_tensor *outputs = golden_find(c->file, "outputs");
    if (!outputs || outputs->dims != 2) check_stop(c, "tensor outputs is missing or not two-dimensional");
    const size_t batch = outputs->shape[0], classes = outputs->shape[1], count = outputs->count;
    float *grad_outputs = CHECK_FLOATS(c, count), *grad_worst = CHECK_FLOATS(c, count);
    double loss = 0.0;
    CHECK(c, linfdist_mixture_loss(check_f32(c, "outputs", count), check_f32(c, "worst", count),
                                   check_i32(c, "targets", batch), (int64_t)batch, (int64_t)classes,
                                   check_scalar(c, "lam"), check_scalar(c, "clip"), &loss, grad_outputs, grad_worst));

    /* The target's column, and one ambiguous tie, are not compared. */
    const int32_t *mask = check_i32(c, "mask_worst", count);
    double *want_worst = check_array(c, count, sizeof *want_worst);
    memcpy(want_worst, check_values(c, "g_worst", count), count * sizeof *want_worst);
    for (size_t i = 0; i < count; ++i)
        if (mask[i] != 1) want_worst[i] = (double)grad_worst[i];
    check_number_close(c, "loss", loss, check_scalar(c, "loss"), check_read_tolerance(c, "loss"));
    check_close(c, "g_outputs", grad_outputs, count);
    check_close_within(c, "g_worst", grad_worst, want_worst, count, check_read_tolerance(c, "g_worst"));
}

void check_loss(check *c) {
    const char *loss = check_metadata(c, "loss");
    if (strcmp(loss, "hinge") == 0 || strcmp(loss, "crossentropy") == 0)
        check_skip(c, "hinge and cross-entropy losses are not in this version");
    if (strcmp(loss, "mixture") != 0) check_stop(c, "unknown loss %s", loss);
    check_mixture(c);
}
