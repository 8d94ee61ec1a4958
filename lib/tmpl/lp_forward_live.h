/* l_p forward where few terms matter: lanes over samples (live.h), given the maxima. */

enum { FORWARD_AT_ONCE = 4 }; /* places whose powers are interleaved */

/* LANES samples by LIVE_OUTPUTS outputs, and LIVE_COLUMNS columns at a time. */
typedef struct forward_live {
    live_rows rows;
    float sum[LIVE_OUTPUTS][LANES];
    float inverse[LIVE_OUTPUTS][LANES]; /* POWER_SCALE / maximum, 0 where the reference takes over */
    float cut[LIVE_OUTPUTS][LANES];     /* infinity there */
    live_places found;
} forward_live;

static void forward_live_prepare(forward_live *f, size_t samples, size_t outputs, const lfd_power *power,
                                 const float *maximum, size_t stride) {
    live_transpose(samples, outputs, maximum, stride, f->cut);
    for (size_t o = 0; o < outputs; ++o) {
        vf largest = vf_load(f->cut[o]);
        vm tiny = vf_less(largest, vf_set(LFD_TINY));
        vf_store(f->inverse[o], vf_select(tiny, vf_set(0.0f), vf_div(vf_set(POWER_SCALE), largest)));
        vf_store(f->cut[o], vf_select(tiny, vf_set(INFINITY), vf_mul(largest, vf_set(power->forward_cut))));
        vf_store(f->sum[o], vf_set(0.0f));
    }
}

/* Adds the terms of the first valid of FORWARD_AT_ONCE places to the sums. */
LFD_INLINE void forward_terms(forward_live *f, const int32_t *place, size_t valid, const float *w, size_t w_stride,
                              vf p) {
    vf distance[FORWARD_AT_ONCE], power[FORWARD_AT_ONCE];
    LFD_UNROLL
    for (size_t k = 0; k < FORWARD_AT_ONCE; ++k) {
        size_t o = (size_t)place[k] >> 16, i = (size_t)place[k] & 0xffff;
        distance[k] = vf_abs(vf_sub(vf_load(f->rows.x[i]), vf_set(w[o * w_stride + i])));
        power[k] = vf_mul(distance[k], vf_load(f->inverse[o]));
    }
    powers(FORWARD_AT_ONCE, power, p);
    LFD_UNROLL
    for (size_t k = 0; k < FORWARD_AT_ONCE; ++k) {
        size_t o = (size_t)place[k] >> 16;
        vm live = vf_at_least(distance[k], vf_load(f->cut[o]));
        if (k < valid) vf_store(f->sum[o], vf_add_where(live, vf_load(f->sum[o]), power[k]));
    }
}

/* The terms of all places found. */
static void forward_flush(forward_live *f, const float *w, size_t w_stride, float p) {
    const size_t count = f->found.count;
    int32_t *place = f->found.place;
    for (size_t k = 0; k < FORWARD_AT_ONCE && count > 0; ++k) place[count + k] = place[count - 1];
    for (size_t k = 0; k < count; k += FORWARD_AT_ONCE)
        forward_terms(f, place + k, count - k, w, w_stride, vf_set(p));
    f->found.count = 0;
}

/* sum <- the normalised sums of at most LANES samples and LIVE_OUTPUTS outputs, with y's stride as maximum. */
static void forward_sparse(const lfd_shape *s, const lfd_power *power, const float *x, const float *w,
                           const float *maximum, float *sum) {
    forward_live f;
    f.found.count = 0;
    forward_live_prepare(&f, s->batch, s->n_out, power, maximum, s->y_stride);
    for (size_t i = 0; i < s->n_in; i += LIVE_COLUMNS) {
        live_load(&f.rows, s->batch, smaller(LIVE_COLUMNS, s->n_in - i), x + i, s->x_stride);
        for (size_t o = 0; o < s->n_out; ++o) {
            if (f.found.count > LIVE_CAPACITY) forward_flush(&f, w + i, s->w_stride, power->p);
            live_find(&f.rows, w + o * s->w_stride + i, live_least(f.cut[o]), o, &f.found);
        }
        forward_flush(&f, w + i, s->w_stride, power->p);
    }
    live_restore(s->batch, s->n_out, f.sum, sum, s->y_stride);
}
