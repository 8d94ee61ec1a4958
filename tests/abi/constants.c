/* Constants exist as macros, for programs that are compiled, and as functions, for those that load the library. */
#include <linfdist/linfdist.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void version_numbers_agree(void **state) {
    (void)state;
    char text[64];
    assert_int_equal(linfdist_version_major(), LINFDIST_VERSION_MAJOR);
    assert_int_equal(linfdist_version_minor(), LINFDIST_VERSION_MINOR);
    assert_int_equal(linfdist_version_patch(), LINFDIST_VERSION_PATCH);
    assert_int_equal(linfdist_abi_version(), LINFDIST_ABI_VERSION);
    assert_string_equal(linfdist_version_string(), LINFDIST_VERSION_STRING);
    snprintf(text, sizeof text, "%d.%d.%d", LINFDIST_VERSION_MAJOR, LINFDIST_VERSION_MINOR, LINFDIST_VERSION_PATCH);
    assert_string_equal(text, LINFDIST_VERSION_STRING);
    assert_string_equal(text, PROJECT_VERSION);
}

static void limits_agree(void **state) {
    (void)state;
    assert_true(linfdist_p_max() == LINFDIST_P_MAX);
    assert_int_equal(linfdist_max_dims(), LINFDIST_MAX_DIMS);
}

static void every_status_has_its_text(void **state) {
    (void)state;
    for (linfdist_status a = LINFDIST_OK; a <= LINFDIST_ERROR_RANGE; ++a) {
        assert_string_not_equal(linfdist_status_string(a), linfdist_status_string(-1));
        for (linfdist_status b = LINFDIST_OK; b < a; ++b)
            assert_string_not_equal(linfdist_status_string(a), linfdist_status_string(b));
    }
    assert_string_equal(linfdist_status_string(-1), "unknown status");
    assert_string_equal(linfdist_status_string(LINFDIST_ERROR_RANGE + 1), "unknown status");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_numbers_agree),
        cmocka_unit_test(limits_agree),
        cmocka_unit_test(every_status_has_its_text),
    };
    return cmocka_run_group_tests_name("constants", tests, NULL, NULL);
}
