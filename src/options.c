#include "context.h"

#include <string.h>

/* A struct_size beyond this is an uninitialised field, not a struct of a later version. */
#define LARGEST_STRUCT ((size_t)4096)

static linfdist_status check_struct_size(size_t struct_size, size_t min_size, const char *name) {
    if (struct_size >= min_size && struct_size <= LARGEST_STRUCT) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s has struct_size %llu, expected at least %llu", name,
                    (unsigned long long)struct_size, (unsigned long long)min_size);
}

linfdist_status lfd_options_size(const void *options, size_t min_size, const char *name, size_t *struct_size) {
    if (!options) return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is NULL", name);
    memcpy(struct_size, options, sizeof *struct_size);
    return check_struct_size(*struct_size, min_size, name);
}

linfdist_status lfd_options_read(void *out, size_t full_size, size_t min_size, const void *in, const char *name) {
    size_t struct_size = 0;
    LFD_TRY(lfd_options_size(in, min_size, name, &struct_size));
    const unsigned char *bytes = in;
    for (size_t i = full_size; i < struct_size; ++i)
        if (bytes[i] != 0)
            return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "%s uses a field this version does not have (byte %llu)", name,
                            (unsigned long long)i);
    memcpy(out, in, struct_size < full_size ? struct_size : full_size);
    memcpy(out, &full_size, sizeof full_size);
    return LINFDIST_OK;
}

linfdist_status lfd_options_write(void *out, const void *in, size_t full_size, size_t min_size, const char *name) {
    size_t struct_size = 0;
    LFD_TRY(lfd_options_size(out, min_size, name, &struct_size));
    return lfd_options_init(out, struct_size, in, full_size, min_size, name);
}

linfdist_status lfd_options_init(void *out, size_t struct_size, const void *in, size_t full_size, size_t min_size,
                                 const char *name) {
    if (!out) return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "%s is NULL", name);
    LFD_TRY(check_struct_size(struct_size, min_size, name));
    memset(out, 0, struct_size);
    memcpy(out, in, struct_size < full_size ? struct_size : full_size);
    memcpy(out, &struct_size, sizeof struct_size);
    return LINFDIST_OK;
}
