/* l_p forward where few terms matter: lanes over samples (live.h), given the maxima. */

/* Share of places where some sample has a term that matters, below which looking for them beats computing all terms.
 * Measured. */
static const float FORWARD_FEW = 0.65f;

/* The terms of count places, a constant <= LIVE_AT_ONCE. */
LFD_INLINE void forward_terms(const live_block *block, const int32_t *place, size_t count, const float *w,
                              size_t w_stride, const power_pieces *pieces, float (*term)[LIVE_ROWS]) {
    vf power[LIVE_AT_ONCE * LIVE_VECTORS];
    live_powers(block, place, count, w, w_stride, pieces, 0, power);
    LFD_UNROLL
    for (size_t k = 0; k < count; ++k) LFD_UNROLL
    for (size_t v = 0; v < LIVE_VECTORS; ++v) vf_store(term[k] + v * LANES, power[k * LIVE_VECTORS + v]);
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
    _Alignas(64) float term[LIVE_TOGETHER][LIVE_ROWS];
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

/* sum <- the normalised sums of at most LIVE_ROWS samples and LIVE_OUTPUTS outputs. */
static void forward_sums(const lfd_shape *s, const lfd_power *power, const float *x, const float *w,
                         float (*maximum)[LIVE_ROWS], float (*sum)[LIVE_ROWS]) {
    live_block block;
    live_rows rows;
    memset(sum, 0, LIVE_OUTPUTS * sizeof *sum);
    block.rows = &rows;
    block.found.count = 0;
    live_prepare(&block, s->n_out, maximum, &power->forward);
    for (size_t i = 0; i < s->n_in; i += LIVE_COLUMNS) {
        live_load(&rows, s->batch, smaller(LIVE_COLUMNS, s->n_in - i), x + i, s->x_stride);
        for (size_t o = 0; o < s->n_out; ++o) {
            const size_t next = smaller(o + LIVE_AHEAD, s->n_out - 1);
            if (block.found.count > LIVE_CAPACITY) forward_flush(&block, w + i, s->w_stride, &power->forward, sum);
            live_find(&rows, w + o * s->w_stride + i, w + next * s->w_stride + i, block.least[o], o, &block.found);
        }
        forward_flush(&block, w + i, s->w_stride, &power->forward, sum);
    }
}

/* maximum * sum^(1/p). Maxima too small for their reciprocals are left as they are, to the reference. */
LFD_INLINE vf root_of_sum(vf maximum, vf sum, const lfd_power *power) {
    vf product = vf_mul(maximum, root(sum, vf_set(power->p), vf_set(power->inv_p)));
    return vf_select(vf_less(maximum, vf_set(LFD_TINY)), maximum, product);
}

/* Those: distances, and the maxima that were left. */
static void forward_tiny(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, float *y) {
    for (size_t b = 0; b < s->batch; ++b)
        for (size_t o = 0; o < s->n_out; ++o)
            if (y[b * s->y_stride + o] < LFD_TINY)
                y[b * s->y_stride + o] = lfd_ref_lp_output(power, s->n_in, x + b * s->x_stride, w + o * s->w_stride);
}

/* sum <- the distances. */
static void forward_roots(size_t outputs, const lfd_power *power, float (*maximum)[LIVE_ROWS],
                          float (*sum)[LIVE_ROWS]) {
    for (size_t o = 0; o < outputs; ++o)
        for (size_t v = 0; v < LIVE_ROWS; v += LANES)
            vf_store(sum[o] + v, root_of_sum(vf_load(maximum[o] + v), vf_load(sum[o] + v), power));
}

/* At most LIVE_OUTPUTS outputs; y: from the maxima to the distances. */
LFD_APART void forward_sparse(const lfd_shape *s, const lfd_power *power, const float *x, const float *w, float *y) {
    _Alignas(64) float maximum[LIVE_OUTPUTS][LIVE_ROWS], sum[LIVE_OUTPUTS][LIVE_ROWS];
    lfd_shape part = *s;
    for (size_t b = 0; b < s->batch; b += LIVE_ROWS) {
        part.batch = smaller(LIVE_ROWS, s->batch - b);
        live_transpose(part.batch, s->n_out, y + b * s->y_stride, s->y_stride, maximum);
        forward_sums(&part, power, x + b * s->x_stride, w, maximum, sum);
        forward_roots(s->n_out, power, maximum, sum);
        lanes_to_rows(part.batch, s->n_out, sum[0], LIVE_ROWS, y + b * s->y_stride, s->y_stride);
    }
    forward_tiny(s, power, x, w, y);
}

/* 1 when terms are better looked for than all computed. */
LFD_APART int forward_is_sparse(const lfd_shape *s, const lfd_power *power, const float *x, const float *w,
                                const float *y) {
    live_block block;
    live_rows rows;
    const size_t samples = smaller(LIVE_ROWS, s->batch), outputs = smaller(LIVE_OUTPUTS, s->n_out);
    block.rows = &rows;
    live_load(&rows, samples, smaller(LIVE_COLUMNS, s->n_in), x, s->x_stride);
    live_transpose(samples, outputs, y, s->y_stride, block.cut);
    live_prepare(&block, outputs, block.cut, &power->forward);
    return live_share(&block, outputs, w, s->w_stride) * (float)LIVE_ROWS < FORWARD_FEW * (float)samples;
}
