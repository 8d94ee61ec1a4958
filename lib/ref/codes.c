#include "ref.h"

/* The terms of one slice, for lanes samples. Returns whether one may still gain from those that follow. */
static int take_slice(const lfd_code_slice *slice, size_t lanes, const uint8_t *x, uint8_t *y) {
    int open = 0;
    for (size_t lane = 0; lane < lanes; ++lane) {
        for (size_t i = 0; i < LFD_CODE_RANKS; ++i) {
            const unsigned term = (unsigned)x[slice->column[i] * lanes + lane] + slice->gap[i];
            if (term < y[lane]) y[lane] = (uint8_t)term;
        }
        if (y[lane] > slice->rest) open = 1;
    }
    return open;
}

/* Returns the slices taken. */
static size_t forward(const lfd_code_rows *rows, size_t lanes, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    size_t taken = 0;
    for (size_t o = 0; o < rows->n_out; ++o, y += lanes, complements += lanes) {
        int open = 1;
        for (size_t lane = 0; lane < lanes; ++lane) y[lane] = LFD_CODE_MOST;
        for (size_t k = 0; open && k < rows->count; ++k, ++taken)
            open = take_slice(&rows->slices[k * rows->n_out + o], lanes, x, y);
        for (size_t lane = 0; lane < lanes; ++lane) complements[lane] = (uint8_t)(LFD_CODE_MOST - y[lane]);
    }
    return taken;
}

size_t lfd_ref_codes_forward(const lfd_code_rows *rows, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    return forward(rows, LFD_CODE_LANES, x, y, complements);
}

size_t lfd_ref_codes_single(const lfd_code_rows *rows, const uint8_t *x, uint8_t *y, uint8_t *complements) {
    const size_t taken = forward(rows, 1, x, y, complements);
    for (size_t o = rows->n_out; o < lfd_code_columns(rows->n_out); ++o) y[o] = complements[o] = LFD_CODE_MOST;
    return taken * LFD_CODE_RANKS;
}

void lfd_ref_codes_pack(size_t n, const uint8_t *rows, size_t stride, uint8_t *columns, uint8_t *complements) {
    for (size_t i = 0; i < n; ++i)
        for (size_t lane = 0; lane < LFD_CODE_LANES; ++lane) {
            columns[i * LFD_CODE_LANES + lane] = rows[lane * stride + i];
            complements[i * LFD_CODE_LANES + lane] = (uint8_t)(LFD_CODE_MOST - rows[lane * stride + i]);
        }
}

void lfd_ref_codes_of(size_t n, const float *x, float top, float scale, float shift, uint8_t *codes) {
    for (size_t i = 0; i < n; ++i) {
        const float steps = (top - x[i]) * scale - shift;
        const float inside = steps > 0.0f ? steps < (float)LFD_CODE_MOST ? steps : (float)LFD_CODE_MOST : 0.0f;
        codes[i] = (uint8_t)(inside + 0.5f);
    }
}
