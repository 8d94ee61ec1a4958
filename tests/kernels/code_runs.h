/* The kernels of codes: every code must be the least of all its terms, whatever order they are visited in. */
#ifndef LINFDIST_TESTS_CODE_RUNS_H
#define LINFDIST_TESTS_CODE_RUNS_H

#include "kernel_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Bytes between guard pages. */
static guarded bytes_make(size_t count, int at_end) {
    return guarded_make((count + sizeof(float) - 1) / sizeof(float), at_end);
}

static uint8_t *bytes(const guarded *array) {
    return (uint8_t *)(void *)array->data;
}

/* Mostly numbers around the middle, as distances of trained nets have; and in some cases any. */
static uint8_t random_code(const kernel_case *c) {
    const float spread = c->kind == RANDOM ? 60.0f : c->kind == TIES ? 255.0f : 8.0f;
    const float code = 128.0f + spread * (uniform() + uniform());
    return code < 0.0f ? 0 : code > 255.0f ? 255 : (uint8_t)code;
}

/* Gaps of a row's terms: a few are small. */
static uint8_t random_gap(const kernel_case *c) {
    const float far = uniform() + 0.5f;
    return (uint8_t)(c->kind == EQUAL_ROWS ? 300.0f * far > 255.0f ? 255.0f : 300.0f * far : 255.0f * sqrtf(far));
}

/* A layer of the case's inputs and outputs, and codes that enter it. */
typedef struct code_case {
    lfd_code_rows rows;
    guarded gaps, slices, x;
} code_case;

/* Columns of a row in order, those with the least gaps first. Returns how many have gaps below LFD_CODE_MOST. */
static size_t rank_terms(const code_case *r, size_t o, size_t *order) {
    const size_t columns = 2 * lfd_code_columns(r->rows.n_in), stride = lfd_code_columns(r->rows.n_out);
    size_t next[LFD_CODE_MOST + 2] = {0};
    for (size_t i = 0; i < columns; ++i) ++next[r->rows.gaps[i * stride + o] + 1];
    for (size_t gap = 0; gap < LFD_CODE_MOST; ++gap) next[gap + 1] += next[gap];
    const size_t terms = next[LFD_CODE_MOST];
    for (size_t i = 0; i < columns; ++i) order[next[r->rows.gaps[i * stride + o]]++] = i;
    return terms;
}

static void fill_row(code_case *r, size_t o, lfd_code_slice *slices, const size_t *order, size_t terms) {
    const size_t stride = lfd_code_columns(r->rows.n_out);
    for (size_t k = 0; k < r->rows.count; ++k) {
        lfd_code_slice *slice = &slices[k * r->rows.n_out + o];
        const size_t next = (k + 1) * LFD_CODE_RANKS;
        for (size_t i = 0; i < LFD_CODE_RANKS; ++i) {
            const size_t rank = k * LFD_CODE_RANKS + i;
            slice->column[i] = (uint16_t)(rank < terms ? order[rank] : 0);
            slice->gap[i] = rank < terms ? r->rows.gaps[order[rank] * stride + o] : LFD_CODE_MOST;
        }
        slice->rest = next < terms ? r->rows.gaps[order[next] * stride + o] : LFD_CODE_MOST;
    }
}

static code_case make_coded(const kernel_case *c, size_t lanes) {
    const size_t inputs = lfd_code_columns(c->shape.n_in), stride = lfd_code_columns(c->shape.n_out);
    code_case r = {.rows = {.n_in = c->shape.n_in, .n_out = c->shape.n_out}};
    size_t *order = malloc(2 * inputs * sizeof *order);
    if (!order) abort();
    r.rows.count = (2 * inputs + LFD_CODE_RANKS - 1) / LFD_CODE_RANKS;
    r.gaps = bytes_make(2 * inputs * stride, c->at_end);
    r.slices = bytes_make(r.rows.count * r.rows.n_out * sizeof(lfd_code_slice), c->at_end);
    r.x = bytes_make(2 * inputs * lanes, c->at_end);
    for (size_t i = 0; i < 2 * inputs; ++i)
        for (size_t o = 0; o < stride; ++o)
            bytes(&r.gaps)[i * stride + o] =
                i % inputs < r.rows.n_in && o < r.rows.n_out ? random_gap(c) : LFD_CODE_MOST;
    for (size_t i = 0; i < inputs * lanes; ++i) {
        const uint8_t code = random_code(c);
        bytes(&r.x)[i] = i / lanes < r.rows.n_in ? code : LFD_CODE_MOST;
        bytes(&r.x)[inputs * lanes + i] = i / lanes < r.rows.n_in ? (uint8_t)(255 - code) : LFD_CODE_MOST;
    }
    r.rows.gaps = bytes(&r.gaps);
    r.rows.slices = (lfd_code_slice *)(void *)r.slices.data;
    for (size_t o = 0; o < r.rows.n_out; ++o) {
        const size_t terms = rank_terms(&r, o, order);
        fill_row(&r, o, (lfd_code_slice *)(void *)r.slices.data, order, terms);
    }
    free(order);
    return r;
}

static void free_coded(code_case *r) {
    guarded *all[] = {&r->gaps, &r->slices, &r->x};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) guarded_free(all[i]);
}

static void expect_least(const code_case *r, size_t lanes, const uint8_t *y, const uint8_t *complements) {
    const size_t columns = 2 * lfd_code_columns(r->rows.n_in), stride = lfd_code_columns(r->rows.n_out);
    for (size_t o = 0; o < r->rows.n_out; ++o)
        for (size_t lane = 0; lane < lanes; ++lane) {
            unsigned least = LFD_CODE_MOST;
            for (size_t i = 0; i < columns; ++i) {
                const unsigned term = (unsigned)bytes(&r->x)[i * lanes + lane] + r->rows.gaps[i * stride + o];
                least = term < least ? term : least;
            }
            assert_int_equal(y[o * lanes + lane], least);
            assert_int_equal(complements[o * lanes + lane], LFD_CODE_MOST - least);
        }
}

static outputs run_codes_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{{0}}, 0};
    if (c->shape.n_in == 0) return out;
    const uint64_t before = seed; /* every instruction set has the same case */
    code_case r = make_coded(c, LFD_CODE_LANES);
    seed = before;
    for (size_t i = 0; i < 2; ++i) out.array[i] = bytes_make(r.rows.n_out * LFD_CODE_LANES, c->at_end);
    out.value = k->codes_forward(&r.rows, bytes(&r.x), bytes(&out.array[0]), bytes(&out.array[1]));
    assert_true(out.value >= r.rows.n_out && out.value <= r.rows.n_out * r.rows.count);
    if (k == lfd_kernels_for(LFD_ISA_REF)) expect_least(&r, LFD_CODE_LANES, bytes(&out.array[0]), bytes(&out.array[1]));
    free_coded(&r);
    return out;
}

/* Which terms are visited differs between the reference and the others. */
static outputs run_codes_single(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{{0}}, 0};
    if (c->shape.n_in == 0) return out;
    const uint64_t before = seed;
    code_case r = make_coded(c, 1);
    seed = before;
    for (size_t i = 0; i < 2; ++i) out.array[i] = bytes_make(lfd_code_columns(r.rows.n_out), c->at_end);
    const size_t terms = k->codes_single(&r.rows, bytes(&r.x), bytes(&out.array[0]), bytes(&out.array[1]));
    assert_true(terms <= 2 * r.rows.n_out * r.rows.count * LFD_CODE_RANKS);
    if (k == lfd_kernels_for(LFD_ISA_REF)) expect_least(&r, 1, bytes(&out.array[0]), bytes(&out.array[1]));
    for (size_t o = r.rows.n_out; o < lfd_code_columns(r.rows.n_out); ++o)
        assert_true(bytes(&out.array[0])[o] == LFD_CODE_MOST && bytes(&out.array[1])[o] == LFD_CODE_MOST);
    free_coded(&r);
    return out;
}

static outputs run_codes_pack(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{{0}}, 0};
    const size_t n = c->shape.n_in, stride = (n + 15) / 16 * 16 + 16 * (c->shape.n_out % 2);
    guarded rows = bytes_make(LFD_CODE_LANES * stride, c->at_end);
    for (size_t i = 0; i < LFD_CODE_LANES * stride; ++i) bytes(&rows)[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < 2; ++i) out.array[i] = bytes_make(n * LFD_CODE_LANES, c->at_end);
    k->codes_pack(n, bytes(&rows), stride, bytes(&out.array[0]), bytes(&out.array[1]));
    for (size_t i = 0; i < n * LFD_CODE_LANES; ++i) {
        const uint8_t code = bytes(&rows)[i % LFD_CODE_LANES * stride + i / LFD_CODE_LANES];
        assert_true(bytes(&out.array[0])[i] == code && bytes(&out.array[1])[i] == LFD_CODE_MOST - code);
    }
    guarded_free(&rows);
    return out;
}

/* Numbers of and beyond a range of a width that the scale makes 255 steps, a tenth of it from its end. */
static outputs run_codes_of(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{bytes_make(c->x.count, c->at_end)}, 0};
    const float top = 0.4f * c->scale, scale = 255.0f / (0.8f * c->scale), shift = c->shape.n_out % 2 ? 25.5f : 0.0f;
    if (c->scale < 1e-30f || c->x.count == 0) return out; /* no valid range is so narrow */
    k->codes_of(c->x.count, c->x.data, top, scale, shift, bytes(&out.array[0]));
    for (size_t i = 0; i < c->x.count; ++i) {
        const double steps = ((double)top - (double)c->x.data[i]) * (double)scale - (double)shift;
        const double inside = fmin(fmax(steps, 0.0), LFD_CODE_MOST);
        assert_true(fabs(bytes(&out.array[0])[i] - inside) <= 0.5 + 1.0 / 128);
    }
    return out;
}

#endif
