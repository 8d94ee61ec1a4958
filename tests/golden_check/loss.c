/* loss_*: every kind of loss on logits and margins. */
#include <string.h>

#include "check.h"

linfdist_loss check_loss_kind(check *c, const char *name) {
    static const struct {
        const char *name;
        int32_t kind;
    } kinds[] = {{"mixture", LINFDIST_LOSS_MIXTURE},
                 {"hinge", LINFDIST_LOSS_HINGE},
                 {"crossentropy", LINFDIST_LOSS_CROSSENTROPY}};
    linfdist_loss loss;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        if (strncmp(name, kinds[i].name, strlen(kinds[i].name)) != 0) continue;
        CHECK(c, linfdist_loss_init(&loss, sizeof loss, kinds[i].kind));
        return loss;
    }
    check_stop(c, "unknown loss %s", name);
}

void check_loss(check *c) {
    const golden_tensor *outputs = golden_find(c->file, "outputs");
    if (!outputs || outputs->dims != 2) check_stop(c, "tensor outputs is missing or not two-dimensional");
    const size_t batch = outputs->shape[0], classes = outputs->shape[1], count = outputs->count;
    float *grad_outputs = CHECK_FLOATS(c, count), *grad_worst = CHECK_FLOATS(c, count);
    linfdist_loss loss = check_loss_kind(c, check_metadata(c, "loss"));
    double value = 0.0, lambda = 0.0;
    if (loss.kind == LINFDIST_LOSS_MIXTURE) {
        lambda = check_scalar(c, "lam");
        loss.clip = check_scalar(c, "clip");
    } else {
        loss.mix = check_scalar(c, "mix");
    }
    CHECK(c, linfdist_loss_logits(&loss, check_f32(c, "outputs", count), check_f32(c, "worst", count),
                                  check_i32(c, "targets", batch), (int64_t)batch, (int64_t)classes, lambda, &value,
                                  grad_outputs, grad_worst));

    /* The target's column, and one ambiguous tie, are not compared. */
    const int32_t *mask = check_i32(c, "mask_worst", count);
    double *want_worst = check_array(c, count, sizeof *want_worst);
    memcpy(want_worst, check_values(c, "g_worst", count), count * sizeof *want_worst);
    for (size_t i = 0; i < count; ++i)
        if (mask[i] != 1) want_worst[i] = (double)grad_worst[i];
    check_number_close(c, "loss", value, check_scalar(c, "loss"), check_read_tolerance(c, "loss"));
    check_close(c, "g_outputs", grad_outputs, count);
    check_close_within(c, "g_worst", grad_worst, want_worst, count, check_read_tolerance(c, "g_worst"));
}
