/* Every kernel of kernels.def on every instruction set against the reference, bit for bit: all sizes around the lane
 * counts, odd sizes, strides, unaligned arrays, guard pages on both sides, ties, equal rows and scales from 1e-38 to
 * 1e29. Whole arrays are compared, gaps between rows included, so that a stray write shows.
 *
 * LINFDIST_TEST_SEED in the environment repeats a run; the seed is printed. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* anonymous mappings */
#endif

#include "code_runs.h"
#include "kernel_case.h"
#include "ranked_runs.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

/* Frames are those of a release only where the compiler optimises and checks nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
enum { RELEASE_FRAMES = 0 };
#elif defined(__has_feature)
enum { RELEASE_FRAMES = !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) };
#else
enum { RELEASE_FRAMES = 1 };
#endif

static outputs run_linf_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c)}, 0};
    k->linf_forward(&c->shape, c->x.data, c->w.data, out.array[0].data);
    return out;
}
static outputs run_linf_argmax(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c)}, 0};
    k->linf_argmax(&c->shape, c->x.data, c->w.data, out.array[0].data, ints(&out.array[1]));
    return out;
}
static outputs run_linf_sparse(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c), y_like(c)}, 0};
    outputs dense = run_linf_argmax(lfd_kernels_for(LFD_ISA_REF), c);
    k->linf_sparse(&c->shape, c->x.data, c->w.data, out.array[0].data, NULL);
    out.value = k->linf_sparse(&c->shape, c->x.data, c->w.data, out.array[1].data, ints(&out.array[2]));
    assert_memory_equal(out.array[0].data, dense.array[0].data, out.array[0].count * sizeof(float));
    assert_memory_equal(out.array[2].data, dense.array[1].data, out.array[2].count * sizeof(float));
    guarded_free(&dense.array[0]);
    guarded_free(&dense.array[1]);
    return out;
}
static outputs run_linf_is_sparse(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{{0}}, k->linf_is_sparse(&c->shape, c->x.data, c->w.data)};
    return out;
}
static outputs run_linf_backward_x(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{x_like(c), y_like(c)}, 0};
    float *grad_x = c->shape.batch % 3 ? out.array[0].data : NULL;
    float *grad_d = c->shape.n_out % 3 ? out.array[1].data : NULL;
    if (c->shape.n_in == 0) return out;
    k->linf_backward_x(&c->shape, c->x.data, c->w.data, ints(&c->argmax), c->grad.data, grad_d, grad_x);
    return out;
}
static outputs run_linf_backward_w(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{w_like(c)}, 0};
    if (c->shape.n_in == 0) return out;
    k->linf_backward_w(&c->shape, ints(&c->argmax), c->grad.data, out.array[0].data);
    return out;
}
static outputs run_lp_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c)}, 0};
    lfd_power power;
    lfd_power_init_forward(&power, c->p, c->shape.n_in);
    k->lp_forward(&c->shape, &power, c->x.data, c->w.data, out.array[0].data);
    for (size_t b = 0; b < c->shape.batch; ++b)
        for (size_t o = 0; o < c->shape.n_out; ++o) assert_true(isfinite(out.array[0].data[b * c->shape.y_stride + o]));
    return out;
}
static outputs run_lp_backward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{x_like(c), w_like(c), x_like(c), w_like(c)}, 0};
    lfd_power power;
    lfd_power_init_backward(&power, c->p);
    k->lp_backward(&c->shape, &power, c->x.data, c->w.data, c->y.data, c->grad.data, out.array[0].data,
                   out.array[1].data);
    k->lp_backward(&c->shape, &power, c->x.data, c->w.data, c->y.data, c->grad.data, out.array[2].data, NULL);
    k->lp_backward(&c->shape, &power, c->x.data, c->w.data, c->y.data, c->grad.data, NULL, out.array[3].data);
    assert_memory_equal(out.array[0].data, out.array[2].data, out.array[0].count * sizeof(float));
    assert_memory_equal(out.array[1].data, out.array[3].data, out.array[1].count * sizeof(float));
    return out;
}
static outputs run_bounds_forward(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c)}, 0};
    k->bounds_forward(&c->shape, c->x.data, c->x_upper.data, c->w.data, out.array[0].data, out.array[1].data);
    return out;
}
static outputs run_bounds_argmax(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{y_like(c), y_like(c), y_like(c), y_like(c)}, 0};
    k->bounds_argmax(&c->shape, c->x.data, c->x_upper.data, c->w.data, out.array[0].data, out.array[1].data,
                     ints(&out.array[2]), ints(&out.array[3]));
    return out;
}
static outputs run_bounds_backward_x(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{x_like(c), x_like(c)}, 0};
    k->bounds_backward_x(&c->shape, c->x.data, c->x_upper.data, c->w.data, ints(&c->arg_l), ints(&c->arg_u),
                         c->grad.data, c->y.data, out.array[0].data, out.array[1].data);
    return out;
}
static outputs run_bounds_backward_w(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{w_like(c)}, 0};
    k->bounds_backward_w(&c->shape, c->x.data, c->x_upper.data, c->w.data, ints(&c->arg_l), ints(&c->arg_u),
                         c->grad.data, c->y.data, out.array[0].data);
    return out;
}

static outputs run_adam(const lfd_kernels *k, kernel_case *c) {
    outputs out = {{w_like(c), w_like(c), w_like(c)}, 0};
    lfd_adam adam = {0.9f, 0.1f, 0.99f, 0.01f, 0.03f, 0.7f, 1e-10f};
    for (size_t i = 0; i < out.array[2].count; ++i) out.array[2].data[i] = fabsf(out.array[2].data[i]);
    k->adam(c->w.count, &adam, c->w.data, out.array[0].data, out.array[1].data, out.array[2].data);
    return out;
}
/* Finite arrays, then one with each kind of unfit number at a random place, then a range of its own for each number:
 * ends belong to it, what is next to them does not. */
static outputs run_first_outside(const lfd_kernels *k, kernel_case *c) {
    static const float unfit[] = {NAN, -NAN, INFINITY, -INFINITY, 0x1.000002p100f, -0x1p127f};
    outputs out = {{w_like(c)}, 0};
    size_t n = out.array[0].count;
    out.value = k->first_outside(n, -LFD_LIMIT, LFD_LIMIT, out.array[0].data);
    assert_int_equal(out.value, n);
    for (size_t i = 0; n > 0 && i < sizeof unfit / sizeof *unfit; ++i) {
        size_t at = (i * 7919) % n;
        float kept = out.array[0].data[at];
        out.array[0].data[at] = unfit[i];
        assert_int_equal(k->first_outside(n, -LFD_LIMIT, LFD_LIMIT, out.array[0].data), at);
        out.array[0].data[at] = kept;
    }
    for (size_t at = 0; at < n && at < 40; ++at) {
        const float x = out.array[0].data[at];
        assert_int_equal(k->first_outside(1, x, x, out.array[0].data + at), 1);
        assert_int_equal(k->first_outside(n - at, nextafterf(x, INFINITY), LFD_LIMIT, out.array[0].data + at), 0);
        assert_int_equal(k->first_outside(n - at, -LFD_LIMIT, nextafterf(x, -INFINITY), out.array[0].data + at), 0);
    }
    return out;
}

typedef outputs runner(const lfd_kernels *k, kernel_case *c);

static void expect_same(const outputs *want, const outputs *got, const char *what, const kernel_case *c) {
    assert_int_equal(want->value, got->value);
    for (size_t i = 0; i < OUTPUTS; ++i) {
        if (!want->array[i].mapping) continue;
        if (memcmp(want->array[i].data, got->array[i].data, want->array[i].count * sizeof(float)) == 0) continue;
        fail_msg("%s output %zu differs: batch %zu n_in %zu n_out %zu x_stride %zu p %g scale %g kind %d", what, i,
                 c->shape.batch, c->shape.n_in, c->shape.n_out, c->shape.x_stride, (double)c->p, (double)c->scale,
                 (int)c->kind);
    }
}

static void free_outputs(outputs *out) {
    for (size_t i = 0; i < OUTPUTS; ++i) guarded_free(&out->array[i]);
}

static void compare(const lfd_kernels *k, runner *run, const char *what, kernel_case c) {
    outputs want = run(lfd_kernels_for(LFD_ISA_REF), &c), got = run(k, &c);
    expect_same(&want, &got, what, &c);
    free_outputs(&want);
    free_outputs(&got);
    free_case(&c);
}

/* The lane counts and panel widths of all instruction sets, one less, one more; and sizes past every block. */
static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65};
static const float powers[] = {1.0f, 1.0001f, 1.5f, 2.0f,  2.5f,  3.0f,  4.0f,  5.0f,   6.0f,
                               7.0f, 8.0f,    8.5f, 12.0f, 15.9f, 16.0f, 33.3f, 100.0f, 1000.0f};
static const float scales[] = {1.0f, 1e-6f, 1e6f, 1e-12f, 1e-38f, 1e29f};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static size_t pick(size_t count) {
    return (size_t)((double)(uniform() + 0.5f) * (double)count) % count;
}

/* Which rows and which columns are worth a search for the columns that win. */
static void check_sample(const lfd_kernels *k) {
    static const struct {
        size_t batch, n_in;
        data_kind kind;
        size_t sparse;
    } cases[] = {{LFD_SPARSE_BATCH, 300, FEW_WIN, 1},      {LFD_SPARSE_BATCH - 1, 300, FEW_WIN, 0},
                 {LFD_SPARSE_BATCH, 300, RANDOM, 0},       {70, LFD_SPARSE_INPUTS, FEW_TIES, 1},
                 {70, LFD_SPARSE_INPUTS + 1, FEW_TIES, 0}, {LFD_SPARSE_BATCH, 0, FEW_WIN, 0}};
    for (size_t i = 0; i < COUNT(cases); ++i) {
        kernel_case c = make_case(cases[i].batch, cases[i].n_in, 20, 0, 2.0f, 1.0f, cases[i].kind, 0);
        assert_int_equal(k->linf_is_sparse(&c.shape, c.x.data, c.w.data), cases[i].sparse);
        free_case(&c);
    }
    kernel_case c = make_case(LFD_SPARSE_BATCH, 300, 20, 0, 2.0f, 1.0f, FEW_WIN, 0); /* its first rows alone are */
    for (size_t i = 16 * c.shape.x_stride; i < c.x.count; ++i) c.x.data[i] *= 16.0f;
    assert_int_equal(k->linf_is_sparse(&c.shape, c.x.data, c.w.data), 0);
    free_case(&c);
}

static void check_kernel(const lfd_kernels *k, runner *run, const char *what) {
    for (size_t i = 0; i < COUNT(sizes); ++i) /* every size in every place, the others at random */
        for (int place = 0; place < 3; ++place) {
            size_t n[3] = {sizes[pick(COUNT(sizes))], sizes[pick(COUNT(sizes))], sizes[pick(COUNT(sizes))]};
            n[place] = sizes[i];
            compare(k, run, what,
                    make_case(n[0], n[1], n[2], pick(3), powers[pick(COUNT(powers))], 1.0f, RANDOM, (int)pick(2)));
        }
    for (size_t i = 0; i < COUNT(powers); ++i)
        for (size_t j = 0; j < COUNT(scales); ++j)
            for (int kind = 0; kind < DATA_KINDS; ++kind)
                compare(k, run, what,
                        make_case(1 + pick(9), 1 + pick(90), 1 + pick(40), pick(3), powers[i], scales[j],
                                  (data_kind)kind, (int)pick(2)));
    for (size_t i = 0; i < COUNT(powers); ++i) { /* past every blocking constant */
        compare(k, run, what, make_case(5, 1300 + pick(9), 37, 1, powers[i], 1.0f, RANDOM, 1));
        compare(k, run, what, make_case(101, 19, 67, 0, powers[i], 1.0f, TIES, 0));
    }
    /* These look for the terms that matter, in larger blocks. At 1e-12 about a third of the maxima are tiny. */
    for (int i = 0; i < 3 && (run == run_lp_forward || run == run_lp_backward); ++i) {
        const float p[] = {20.0f, 200.0f, 1000.0f};
        compare(k, run, what, make_case(71, 270 + pick(9), 150 + pick(9), 1, p[i], 1.0f, RANDOM, i % 2));
        compare(k, run, what, make_case(50, 261, 133, pick(3), p[i], 1e-12f, RANDOM, i % 2));
        compare(k, run, what, make_case(200, 40, 20, 0, p[i], 1.0f, i == 2 ? EQUAL_ROWS : TIES, 0));
    }
    for (int i = 0; i < 4 && (run == run_linf_sparse || run == run_linf_is_sparse || run == run_lp_forward); ++i) {
        const data_kind kind[] = {FEW_WIN, FEW_TIES, FEW_WIN, RANDOM};
        compare(k, run, what,
                make_case(64 + pick(90), 270 + pick(300), 150 + pick(90), 1, 20.0f, 1.0f, kind[i], i % 2));
        compare(k, run, what, make_case(65, LFD_SPARSE_INPUTS - pick(2), 9, 0, 300.0f, scales[i], kind[i], i % 2));
    }
    if (run == run_linf_is_sparse) check_sample(k);
    if (run == run_codes_single) /* all groups that there may be */
        compare(k, run, what, make_case(1, LFD_CODE_GROUP_INPUTS, 66, 0, 2.0f, 1.0f, EQUAL_ROWS, 1));
    for (int kind = 0; kind < DATA_KINDS; ++kind) /* and past several packed blocks in every direction */
        compare(k, run, what, make_case(41, 500 + pick(80), 101, 1, 2.0f, 1.0f, (data_kind)kind, kind % 2));
}

typedef struct call {
    const lfd_kernels *kernels;
    runner *run;
    kernel_case data;
} call;

static void *call_kernel(void *data) {
    call *c = data;
    outputs out = c->run(c->kernels, &c->data);
    free_outputs(&out);
    return NULL;
}

/* docs/threading.md: about 180 KiB of stack. Without them the thread meets its guard page. */
static void check_stack(const lfd_kernels *k, runner *run) {
    if (!RELEASE_FRAMES) return;
    const float p[] = {8.0f, 9.5f, 1000.0f};
    for (size_t i = 0; i < COUNT(p); ++i) {
        call c = {k, run, make_case(200, 300, 150, 1, p[i], 1.0f, i % 2 ? FEW_WIN : RANDOM, 0)};
        pthread_attr_t attributes;
        pthread_t thread;
        assert_int_equal(pthread_attr_init(&attributes), 0);
        assert_int_equal(pthread_attr_setstacksize(&attributes, 200 << 10), 0);
        assert_int_equal(pthread_create(&thread, &attributes, call_kernel, &c), 0);
        pthread_join(thread, NULL);
        pthread_attr_destroy(&attributes);
        free_case(&c.data);
    }
}

typedef struct row {
    const char *kernel;
    runner *run;
    int isa;
} row;

static void test_row(void **state) {
    const row *r = *state;
    const lfd_kernels *k = lfd_kernels_for(r->isa);
    if (!k) skip();
    check_kernel(k, r->run, r->kernel);
    check_stack(k, r->run);
}

/* The tables name themselves, and every machine has the reference. */
static void test_tables(void **state) {
    (void)state;
    static const char *const names[] = {"ref", "avx2", "avx512"};
    for (int isa = 0; isa < LFD_ISA_COUNT; ++isa) {
        const lfd_kernels *k = lfd_kernels_for(isa);
        if (isa == LFD_ISA_REF) assert_non_null(k);
        if (k) assert_string_equal(k->name, names[isa]);
    }
    assert_null(lfd_kernels_for(-1));
    assert_null(lfd_kernels_for(LFD_ISA_COUNT));
    assert_non_null(lfd_kernels_for(lfd_isa_best()));
}

/* Kernels an instruction set names as its own must not be the reference's in disguise. */
static void test_overrides(void **state) {
    (void)state;
    const lfd_kernels *ref = lfd_kernels_for(LFD_ISA_REF);
    for (int isa = LFD_ISA_AVX2; isa < LFD_ISA_COUNT; ++isa) {
        const lfd_kernels *k = lfd_kernels_for(isa);
        if (!k) continue;
        assert_true(k->linf_forward != ref->linf_forward && k->linf_argmax != ref->linf_argmax);
        assert_true(k->linf_sparse != ref->linf_sparse && k->linf_is_sparse != ref->linf_is_sparse);
        assert_true(k->lp_forward != ref->lp_forward && k->lp_backward != ref->lp_backward);
        assert_true(k->bounds_forward != ref->bounds_forward && k->bounds_argmax != ref->bounds_argmax);
        assert_true(k->ranked_forward != ref->ranked_forward && k->ranked_bounds != ref->ranked_bounds);
        assert_true(k->single_forward != ref->single_forward && k->single_bounds != ref->single_bounds);
        assert_true(k->pack_lanes != ref->pack_lanes && k->range_excess != ref->range_excess);
        assert_true(k->codes_forward != ref->codes_forward && k->codes_pack != ref->codes_pack);
        assert_true(k->codes_single != ref->codes_single && k->codes_of != ref->codes_of);
        assert_true(k->adam != ref->adam && k->first_outside != ref->first_outside);
    }
}

int main(void) {
    static row rows[] = {
#define ROWS(kernel) {#kernel "/avx2", run_##kernel, LFD_ISA_AVX2}, {#kernel "/avx512", run_##kernel, LFD_ISA_AVX512},
#define LFD_KERNEL(result, kernel, parameters) ROWS(kernel)
#include "../../lib/kernels.def"
#undef LFD_KERNEL
    };
    struct CMUnitTest tests[COUNT(rows) + 2] = {cmocka_unit_test(test_tables), cmocka_unit_test(test_overrides)};
    for (size_t i = 0; i < COUNT(rows); ++i)
        tests[i + 2] = (struct CMUnitTest){rows[i].kernel, test_row, NULL, NULL, &rows[i]};
    const char *text = getenv("LINFDIST_TEST_SEED");
    if (text) seed = strtoull(text, NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
