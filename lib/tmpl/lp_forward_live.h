/* l_p forward where few terms matter: lanes over samples (live.h), given the maxima. */

/* The terms of count places, a constant <= LIVE_AT_ONCE. */
LFD_INLINE void forward_terms(const live_block *block, const int32_t *place, size_t count, const float *w,
                              size_t w_stride, const power_pieces *pieces, float (*term)[LIVE_ROWS]) {
    vf power[LIVE_AT_ONCE][LIVE_VECTORS];
    live_powers(block, place, count, w, w_stride, pieces, 0, power);
    LFD_UNROLL
    for (size_t k = 0; k < count; ++k) LFD_UNROLL
    for (size_t v = 0; v < LIVE_VECTORS; ++v) vf_store(term[k] + v * LANES, power[k][v]);
}

/* Adds the terms of count places to the sums. */
static void forward_add(const int32_t *place, size_t count, float (*term)[LIVE_ROWS], float (*sum)[LIVE_ROWS]) {
    for (size_t k = 0; k < count;) {
        const int32_t o = place[k] >> 16;
        vf total[LIVE_VECTORS]; /* in registers while it is the same output's */
        for (size_t v = 0; v < LIVE_VECTORS; ++v) total[v] = vf_load(sum[o] + v * LANES);
        for (; k < count && place[k] >> 16 == o; ++k) LFD_UNROLL
        for (size_t v = 0; v < LIVE_VECTORS; ++v) total[v] = vf_add(total[v], vf_load(term[k] + v * LANES));
        for (size_t v = 0; v < LIVE_VECTORS; ++v) vf_store(sum[o] + v * LANES, total[v]);
    }
}

/* Adds the terms of all places found to the sums. */
static void forward_flush(live_block *block, const float *w, size_t w_stride, const lfd_power_pieces *power,
                          float (*sum)[LIVE_ROWS]) {
    const power_pieces pieces = power_load(power);
    float term[LIVE_TOGETHER][LIVE_ROWS];
    live_confirm(block, w, w_stride);
    const size_t count = block->found.count;
    for (size_t first = 0; first < count; first += LIVE_TOGETHER) {
        const int32_t *place = block->found.place + first;
        const size_t together = smaller(LIVE_TOGETHER, count - first);
        size_t k = 0;
        for (; k + LIVE_AT_ONCE <= together; k += LIVE_AT_ONCE)
            forward_terms(block, place + k, LIVE_AT_ONCE, w, w_stride, &pieces, term + k);
        for (; k < together; ++k) forward_terms(block, place + k, 1, w, w_stride, &pieces, term + k);
        forward_add(place, together, term, sum);
    }
    block->found.count = 0;
}

static void forward_prepare(live_block *block, size_t samples, size_t outputs, const lfd_power *power,
                            const float *maximum, size_t stride) {
    live_transpose(samples, outputs, maximum, stride, block->cut);
    live_prepare(block, outputs, &power->forward, LFD_TINY);
}

/* sum <- the normalised sums of at most LIVE_ROWS samples and LIVE_OUTPUTS outputs, with y's stride as maximum. */
static void forward_sparse(const lfd_shape *s, const lfd_power *power, const float *x, const float *w,
                           const float *maximum, float *sum) {
    live_block block;
    live_rows rows;
    float sums[LIVE_OUTPUTS][LIVE_ROWS];
    memset(sums, 0, sizeof sums);
    block.rows = &rows;
    block.found.count = 0;
    forward_prepare(&block, s->batch, s->n_out, power, maximum, s->y_stride);
    for (size_t i = 0; i < s->n_in; i += LIVE_COLUMNS) {
        live_load(&rows, s->batch, smaller(LIVE_COLUMNS, s->n_in - i), x + i, s->x_stride);
        for (size_t o = 0; o < s->n_out; ++o) {
            const size_t next = smaller(o + LIVE_AHEAD, s->n_out - 1);
            if (block.found.count > LIVE_CAPACITY) forward_flush(&block, w + i, s->w_stride, &power->forward, sums);
            live_find(&rows, w + o * s->w_stride + i, w + next * s->w_stride + i, block.least[o], o, &block.found);
        }
        forward_flush(&block, w + i, s->w_stride, &power->forward, sums);
    }
    live_restore(s->batch, s->n_out, sums, sum, s->y_stride);
}
