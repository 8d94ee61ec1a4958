/* The bracket of the example programs: what it counts, and that a broken certificate does not pass. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bracket.h"

static int count(bracket *b, verdict v, problem *what) {
    return bracket_count(b, &v, "interval", 0.1, what);
}

static void test_counts(void **state) {
    bracket b = {0};
    problem what;
    (void)state;
    assert_int_equal(count(&b, (verdict){0, 3, 3, 1, 0, 3}, &what), 0); /* certified */
    assert_int_equal(count(&b, (verdict){1, 3, 3, 0, 0, 3}, &what), 0); /* open */
    assert_int_equal(count(&b, (verdict){2, 3, 3, 0, 1, 5}, &what), 0); /* broken */
    assert_int_equal(count(&b, (verdict){3, 3, 4, 1, 1, 4}, &what), 0); /* wrong, and certified to be */
    assert_int_equal(count(&b, (verdict){4, 3, 4, 0, 1, 4}, &what), 0); /* wrong */
    assert_int_equal(b.samples, 5);
    assert_int_equal(b.clean, 3);
    assert_int_equal(b.robust, 2);
    assert_int_equal(b.certified, 1);
    assert_true(bracket_fraction(&b, b.robust) == 0.4);
}

static void test_broken_certificate(void **state) {
    bracket b = {0};
    problem what;
    (void)state;
    assert_int_equal(count(&b, (verdict){4321, 3, 3, 1, 1, 7}, &what), -1);
    assert_non_null(strstr(what.text, "sample 4321 is certified as a 3 at eps 0.1 (interval)"));
    assert_non_null(strstr(what.text, "makes it a 7"));
}

static void test_lists(void **state) {
    number_list list;
    problem what;
    (void)state;
    assert_int_equal(parse_norms("p", "inf,40,100/3", &list, &what), 0);
    assert_int_equal(list.count, 3);
    assert_true(isinf(list.values[0]) && list.values[1] == 40.0 && list.values[2] == 100.0 / 3.0);
    assert_int_equal(parse_norms("p", "0.5", &list, &what), -1);
    assert_non_null(strstr(what.text, "--p '0.5'"));
    assert_int_equal(parse_norms("p", "8,1000.5", &list, &what), -1);
    assert_non_null(strstr(what.text, "'1000.5' is no number or fraction from 1 to 1000, nor inf"));
    assert_int_equal(parse_list("eps", "0.1,inf", 0, 1000, &list, &what), -1);
    assert_non_null(strstr(what.text, "'inf'"));
    assert_int_equal(parse_list("eps", "0.1,,0.2", 0, 1000, &list, &what), -1);
    assert_int_equal(parse_list("eps", "", 0, 1000, &list, &what), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_broken_certificate),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests_name("bracket", tests, NULL, NULL);
}
