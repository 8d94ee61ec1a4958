/* Run objects: what they are made of. */
#include "run.h"

#include <string.h>

#include "ops.h"

/* ---- memory ---- */

/* Buffers beside those of layers and tensors: two pairs, gradients in turn, inputs, outputs, margins, scratch. */
enum { BUFFERS_MOST = 32, BUFFERS_PER_LAYER = 4 };

/* Zeroed rows x columns numbers that belong to the run. */
static linfdist_status take(linfdist_run *run, size_t rows, size_t columns, const char *what, float **floats) {
    LFD_TRY(lfd_alloc_floats(run->context, rows, columns, what, floats));
    run->owned[run->owned_count++] = *floats;
    return LINFDIST_OK;
}

/* The same, not zeroed: what no pass writes to never becomes resident. */
static linfdist_status take_unset(linfdist_run *run, size_t floats, const char *what, float **taken) {
    void *memory;
    LFD_TRY(lfd_alloc(run->context, floats, sizeof(float), what, &memory));
    run->owned[run->owned_count++] = *taken = memory;
    return LINFDIST_OK;
}

static linfdist_status take_pointers(linfdist_run *run, size_t count, size_t size, const char *what, void **memory) {
    LFD_TRY(lfd_alloc_zero(run->context, count, size, what, memory));
    run->owned[run->owned_count++] = *memory;
    return LINFDIST_OK;
}

/* Features of what enters layer index, or of the outputs. */
static size_t features_at(const linfdist_model *model, int64_t index) {
    return (size_t)(index < model->layer_count ? model->layers[index].spec.n_in : model->classes);
}

/* Features at the widest place from layer first on. */
static size_t widest(const linfdist_model *model, int64_t first) {
    size_t width = 1;
    for (int64_t i = first; i <= model->layer_count; ++i) {
        if (features_at(model, i) > width) width = features_at(model, i);
    }
    return width;
}

/* ---- creation ---- */

static int has_backward(const linfdist_run *run) {
    return run->kind != LINFDIST_RUN_INFERENCE;
}

/* Where a backward needs bounds: nowhere when all layers are 1-Lipschitz. */
static int64_t first_kept(const linfdist_run *run) {
    const int64_t count = run->model->layer_count, split = run->model->split;
    if (run->kind == LINFDIST_RUN_INTERVAL_TRAINING) return 0;
    return run->kind == LINFDIST_RUN_TRAINING && split < count ? split : count + 1;
}

/* Every signal in the pairs. An ascent has no bounds: of a pair it needs the array that gradients pass through. */
static linfdist_status allocate_pairs(linfdist_run *run) {
    const size_t width = widest(run->model, 0), classes = (size_t)run->model->classes;
    const int64_t count = run->model->layer_count;
    const int bounded = run->kind != LFD_RUN_ASCENT;
    lfd_signal pairs[2] = {{0}};
    for (int i = 0; i < 2; ++i) {
        LFD_TRY(take(run, run->max_batch, width, "lower bounds", &pairs[i].lower));
        if (bounded) LFD_TRY(take_unset(run, run->max_batch * width, "upper bounds", &pairs[i].upper));
        pairs[i].value = pairs[i].lower;
        run->grads[i].value = pairs[i].lower;
    }
    for (int64_t i = 0; i < count; ++i) run->plain[i] = pairs[i % 2];
    if (!bounded) return LINFDIST_OK;
    LFD_TRY(take(run, run->max_batch, classes, "lower bounds", &run->plain[count].lower));
    return take(run, run->max_batch, classes, "upper bounds", &run->plain[count].upper);
}

static int keeps_value(const linfdist_run *run, int64_t index) {
    return has_backward(run) || index == run->model->layer_count || index == run->model->split;
}

static linfdist_status allocate_signals(linfdist_run *run) {
    const linfdist_model *model = run->model;
    for (int64_t i = 0; i <= model->layer_count; ++i) {
        const size_t columns = features_at(model, i);
        lfd_signal *signal = &run->signals[i];
        *signal = run->plain[i];
        if (keeps_value(run, i)) LFD_TRY(take(run, run->max_batch, columns, "activations", &signal->value));
        if (i < run->kept_bounds) continue;
        LFD_TRY(take(run, run->max_batch, columns, "lower bounds", &signal->lower));
        LFD_TRY(take(run, run->max_batch, columns, "upper bounds", &signal->upper));
    }
    return LINFDIST_OK;
}

static linfdist_status allocate_margins(linfdist_run *run) {
    void *memory;
    LFD_TRY(take(run, run->max_batch, (size_t)run->model->classes, "margins", &run->margins));
    LFD_TRY(take_pointers(run, run->max_batch, sizeof *run->labels, "labels", &memory));
    run->labels = memory;
    return LINFDIST_OK;
}

static size_t scratch_of(const linfdist_run *run, int64_t index) {
    const lfd_layer *layer = &run->model->layers[index];
    if (run->prepared && run->prepared[index]) return layer->ops->prepared_scratch(&layer->spec, run->max_batch);
    return layer->ops->scratch ? layer->ops->scratch(&layer->spec, run->max_batch, (size_t)run->context->threads) : 0;
}

static linfdist_status allocate_scratch(linfdist_run *run) {
    const linfdist_model *model = run->model;
    size_t most = 0;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        const size_t floats = scratch_of(run, i);
        if (floats > most) most = floats;
    }
    if (most == 0) return LINFDIST_OK;
    return take_unset(run, most, "scratch of the layers", &run->scratch); /* layers write it before they read it */
}

static linfdist_status allocate_workspaces(linfdist_run *run) {
    const linfdist_model *model = run->model;
    void *memory;
    LFD_TRY(take_pointers(run, (size_t)model->layer_count, sizeof(void *), "workspaces", &memory));
    run->workspaces = memory;
    for (int64_t i = 0; i < model->layer_count; ++i) {
        const lfd_layer *layer = &model->layers[i];
        size_t rows, columns;
        float *workspace;
        if (!layer->ops->workspace) continue;
        layer->ops->workspace(&layer->spec, run->max_batch, i >= run->kept_bounds, &rows, &columns);
        LFD_TRY(take(run, rows, columns, "workspace of a layer", &workspace));
        run->workspaces[i] = workspace;
    }
    return LINFDIST_OK;
}

static linfdist_status allocate_output_gradients(linfdist_run *run) {
    const size_t classes = (size_t)run->model->classes;
    LFD_TRY(take(run, run->max_batch, classes, "gradients of the outputs", &run->grad_outputs));
    LFD_TRY(take(run, run->max_batch, classes, "gradients of the margins", &run->grad_margins));
    LFD_TRY(take(run, run->max_batch, classes, "gradients of the bounds", &run->grad_lower));
    LFD_TRY(take(run, run->max_batch, classes, "gradients of the bounds", &run->grad_upper));
    if (run->kept_bounds > run->model->layer_count) return LINFDIST_OK;
    const size_t width = widest(run->model, run->kept_bounds);
    for (int i = 0; i < 2; ++i) {
        LFD_TRY(take(run, run->max_batch, width, "gradients of the bounds", &run->grads[i].lower));
        LFD_TRY(take(run, run->max_batch, width, "gradients of the bounds", &run->grads[i].upper));
    }
    return LINFDIST_OK;
}

static linfdist_status allocate_gradients(linfdist_run *run) {
    const linfdist_model *model = run->model;
    void *memory;
    if (run->kind == LFD_RUN_ASCENT) return LINFDIST_OK;
    LFD_TRY(take_pointers(run, (size_t)model->tensor_count, sizeof(float *), "gradients", &memory));
    run->gradients = memory;
    for (int64_t i = 0; i < model->tensor_count; ++i) {
        if (!lfd_tensor_trains(&model->tensors[i])) continue;
        LFD_TRY(take(run, model->tensors[i].count, 1, "gradients", &run->gradients[i]));
    }
    return LINFDIST_OK;
}

static linfdist_status allocate(linfdist_run *run) {
    const size_t count = (size_t)run->model->layer_count, tensors = (size_t)run->model->tensor_count;
    void *memory;
    LFD_TRY(lfd_alloc_zero(run->context, BUFFERS_MOST + BUFFERS_PER_LAYER * (count + 1) + tensors, sizeof(void *),
                           "run", &memory));
    run->owned = memory;
    LFD_TRY(take_pointers(run, count + 1, sizeof(lfd_signal), "signals", &memory));
    run->signals = memory;
    LFD_TRY(take_pointers(run, count + 1, sizeof(lfd_signal), "signals", &memory));
    run->plain = memory;
    run->kept_bounds = first_kept(run);
    LFD_TRY(allocate_pairs(run));
    LFD_TRY(allocate_signals(run));
    LFD_TRY(allocate_margins(run));
    LFD_TRY(allocate_scratch(run));
    if (!has_backward(run)) return LINFDIST_OK;
    LFD_TRY(allocate_workspaces(run));
    LFD_TRY(allocate_output_gradients(run));
    return allocate_gradients(run);
}

linfdist_status lfd_run_create(linfdist_model *model, int32_t kind, size_t max_batch, void *const *prepared,
                               linfdist_run **run) {
    void *memory;
    LFD_TRY(lfd_alloc_zero(model->context, 1, sizeof(linfdist_run), "run", &memory));
    linfdist_run *made = memory;
    made->context = model->context;
    made->model = lfd_model_retain(model);
    made->kind = kind;
    made->max_batch = max_batch;
    made->prepared = prepared;
    linfdist_status status = allocate(made);
    if (status != LINFDIST_OK) {
        linfdist_run_destroy(made);
        return status;
    }
    *run = made;
    return LINFDIST_OK;
}

linfdist_status linfdist_run_create(linfdist_model *model, int32_t kind, int64_t max_batch, linfdist_run **run) {
    LFD_REQUIRE(model);
    LFD_REQUIRE(run);
    if (kind < LINFDIST_RUN_INFERENCE || kind > LINFDIST_RUN_INTERVAL_TRAINING) {
        return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "kind is %d, which is no kind of run", (int)kind);
    }
    LFD_TRY(lfd_check_count("max_batch", max_batch, 1, INT64_MAX));
    return lfd_run_create(model, kind, (size_t)max_batch, NULL, run);
}

void linfdist_run_destroy(linfdist_run *run) {
    if (!run) return;
    linfdist_model *model = run->model;
    for (size_t i = 0; i < run->owned_count; ++i) lfd_free(run->context, run->owned[i]);
    lfd_free(run->context, run->owned);
    lfd_free(run->context, run);
    lfd_model_release(model);
}
