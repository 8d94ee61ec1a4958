/* Random numbers: the generator's published sequence, distributions, independence, and bits that never change. */
#include "expect.h"

#include <math.h>

#include "random.h"

enum { DRAWS = 200000 };

/* The first outputs of xoshiro256++ from the state 1, 2, 3, 4, as its authors' program prints them. */
static void test_generator(void **state) {
    (void)state;
    static const uint64_t want[] = {41943041u,
                                    58720359u,
                                    3588806011781223u,
                                    3591011842654386u,
                                    9228616714210784205u,
                                    9973669472204895162u,
                                    14011001112246962877u,
                                    12406186145184390807u,
                                    15849039046786891736u,
                                    10450023813501588000u};
    lfd_random random = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; ++i) assert_true(lfd_random_next(&random) == want[i]);
}

static void test_sequences_differ(void **state) {
    (void)state;
    enum { PAIRS = 6 };
    static const uint64_t pairs[PAIRS][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {UINT64_MAX, 0}, {0, UINT64_MAX}};
    lfd_random random[PAIRS], again;
    for (int i = 0; i < PAIRS; ++i) lfd_random_seed(&random[i], pairs[i][0], pairs[i][1]);
    lfd_random_seed(&again, 0, 1);
    assert_memory_equal(&again, &random[1], sizeof again);
    /* Bits of two independent sequences agree half of the time. */
    for (int i = 0; i < PAIRS; ++i)
        for (int j = 0; j < i; ++j) {
            lfd_random a = random[i], b = random[j];
            int agreeing = 0;
            for (int k = 0; k < 1000; ++k)
                for (uint64_t same = ~(lfd_random_next(&a) ^ lfd_random_next(&b)); same; same &= same - 1) ++agreeing;
            assert_in_range(agreeing, 32000 - 700, 32000 + 700);
        }
}

static void test_uniform(void **state) {
    (void)state;
    lfd_random random;
    int counts[16] = {0};
    double sum = 0;
    lfd_random_seed(&random, 2021, 0);
    for (int i = 0; i < DRAWS; ++i) {
        const double u = lfd_random_uniform(&random);
        assert_true(u > 0 && u < 1);
        ++counts[(int)(16 * u)];
        sum += u;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 0.003);
    for (int i = 0; i < 16; ++i) assert_in_range(counts[i], DRAWS / 16 - 500, DRAWS / 16 + 500);
    /* The ends of the generator's range stay inside, exactly. */
    lfd_random lowest = {{0, 0, 0, 0}}, highest = {{UINT64_MAX, 0, 0, 0}};
    assert_true(lfd_random_uniform(&lowest) == 0x1p-53);
    highest.state[3] = 1; /* rotate(2^64 - 1 + 1, 23) + 2^64 - 1 */
    assert_true(lfd_random_uniform(&highest) == 1 - 0x1p-53);
}

/* Moments, and the shares of the intervals of length 1 from -3 to 3, within five standard errors. */
static void test_normal(void **state) {
    (void)state;
    lfd_random random;
    double sums[5] = {0}, shares[6] = {0};
    lfd_random_seed(&random, 7, 3);
    for (int i = 0; i < DRAWS; ++i) {
        const double z = (double)lfd_random_normal(&random);
        double power = 1;
        assert_true(isfinite(z));
        for (int k = 0; k < 5; ++k, power *= z) sums[k] += power / DRAWS;
        if (z >= -3 && z < 3) shares[(int)floor(z) + 3] += 1.0 / DRAWS;
    }
    static const double moments[] = {1, 0, 1, 0, 3}, variances[] = {0, 1, 2, 15, 96};
    static const double expected[] = {0.0214, 0.1359, 0.3413, 0.3413, 0.1359, 0.0214};
    for (int k = 1; k < 5; ++k) assert_true(fabs(sums[k] - moments[k]) < 5 * sqrt(variances[k] / DRAWS));
    for (int k = 0; k < 6; ++k) assert_true(fabs(shares[k] - expected[k]) < 5 * sqrt(expected[k] / DRAWS) + 1e-4);
}

/* Models are made from these numbers: a change of their bits on any compiler or machine must show. The hash comes from
 * a separate program in another language. */
static void test_weights_keep_their_bits(void **state) {
    (void)state;
    static float w[100 * 50];
    uint64_t hash = 14695981039346656037u;
    expect_ok(linfdist_distance_weights_init(2021, 100, 50, 1, 1, 1, 1, 10, w));
    for (size_t i = 0; i < sizeof w / sizeof w[0]; ++i) {
        uint32_t bits;
        memcpy(&bits, &w[i], sizeof bits);
        hash = (hash ^ bits) * 1099511628211u;
    }
    assert_true(hash == 0x19f46842ab4a45dcu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generator),
        cmocka_unit_test(test_sequences_differ),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_weights_keep_their_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
