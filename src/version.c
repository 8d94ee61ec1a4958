#include "linfdist/linfdist.h"

/* The library's own numbers; the header's macros are the program's. */
const char *linfdist_version_string(void) {
    return LINFDIST_VERSION_STRING;
}

int32_t linfdist_version_major(void) {
    return LINFDIST_VERSION_MAJOR;
}

int32_t linfdist_version_minor(void) {
    return LINFDIST_VERSION_MINOR;
}

int32_t linfdist_version_patch(void) {
    return LINFDIST_VERSION_PATCH;
}

int32_t linfdist_abi_version(void) {
    return LINFDIST_ABI_VERSION;
}

double linfdist_p_max(void) {
    return LINFDIST_P_MAX;
}

int32_t linfdist_max_dims(void) {
    return LINFDIST_MAX_DIMS;
}
