/* Jansson behind a strict reader and a small builder. */
#define _POSIX_C_SOURCE 200809L
#include "json.h"

#include <fenv.h>
#include <jansson.h>
#include <locale.h>

/* Deepest text of a model file: architecture > layers > layer is 3; one more is let through, and refused by name. */
#define MAX_DEPTH 4

/* Jansson reads and writes numbers by the thread's locale and rounding mode, which for the C library is x87's too: it
 * runs in the C locale and the whole default environment. */
typedef struct surroundings {
    locale_t c_locale, host_locale;
    fenv_t host_environment;
} surroundings;

static linfdist_status enter(surroundings *s) {
    s->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!s->c_locale) return lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "no memory for the C locale");
    s->host_locale = uselocale(s->c_locale);
    fegetenv(&s->host_environment);
    fesetenv(FE_DFL_ENV);
    return LINFDIST_OK;
}

static void leave(surroundings *s) {
    fesetenv(&s->host_environment);
    uselocale(s->host_locale);
    freelocale(s->c_locale);
}

/* Nesting is bounded before the parser sees the text, since it recurses. */
static int nesting_depth(const char *text, size_t size) {
    int depth = 0, deepest = 0, in_string = 0;
    for (size_t i = 0; i < size; ++i) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = 0;
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest) deepest = depth;
            if (deepest > MAX_DEPTH) break;
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return deepest;
}

/* Jansson's lexer does not notice a failed allocation: it loses characters or stops at an assertion. So a lack of
 * memory must show before: takes what the parsed text may need (an element of two characters costs some 50 bytes), and
 * returns it. */
static linfdist_status probe_memory(const linfdist_context *context, size_t size, const char *what) {
    void *memory;
    LFD_TRY(lfd_alloc(context, size + 1024, 32, what, &memory));
    lfd_free(context, memory);
    return LINFDIST_OK;
}

linfdist_status lfd_json_parse(const linfdist_context *context, const char *text, size_t size, const char *what,
                               lfd_json **object) {
    LFD_TRY(probe_memory(context, size, what));
    if (nesting_depth(text, size) > MAX_DEPTH) {
        return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: JSON nested deeper than %d", what, MAX_DEPTH);
    }
    surroundings host;
    LFD_TRY(enter(&host));
    json_error_t error;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    leave(&host);
    /* Where it runs out of memory Jansson leaves the text empty or says so. */
    if (!json && (!error.text[0] || json_error_code(&error) == json_error_out_of_memory)) {
        return lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "%s: no memory to read %zu bytes of JSON", what, size);
    }
    if (!json) return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: JSON byte %d: %s", what, error.position, error.text);
    if (!json_is_object(json)) {
        json_decref(json);
        return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: JSON is not an object", what);
    }
    *object = json;
    return LINFDIST_OK;
}

void lfd_json_free(lfd_json *json) {
    json_decref(json);
}

void *lfd_json_first(lfd_json *object) {
    return json_object_iter(object);
}

void *lfd_json_next(lfd_json *object, void *at) {
    return json_object_iter_next(object, at);
}

const char *lfd_json_key(void *at) {
    return json_object_iter_key(at);
}

lfd_json *lfd_json_value(void *at) {
    return json_object_iter_value(at);
}

lfd_json *lfd_json_member(lfd_json *object, const char *key) {
    return json_object_get(object, key);
}

lfd_json *lfd_json_element(lfd_json *array, size_t index) {
    return json_array_get(array, index);
}

size_t lfd_json_size(lfd_json *json) {
    return json_is_object(json) ? json_object_size(json) : json_array_size(json);
}

linfdist_status lfd_json_check_size(lfd_json *object, size_t known, const char *what) {
    if (lfd_json_size(object) <= known) return LINFDIST_OK;
    return lfd_fail(LINFDIST_ERROR_UNSUPPORTED, "%s has %zu fields, this library knows %zu", what,
                    lfd_json_size(object), known);
}

/* One wording for every value that is not what it should be. */
static linfdist_status expect(const lfd_json *json, int fits, const char *what, const char *field,
                              const char *expected) {
    if (!json) return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: %s is missing", what, field);
    if (!fits) return lfd_fail(LINFDIST_ERROR_FORMAT, "%s: %s is not %s", what, field, expected);
    return LINFDIST_OK;
}

linfdist_status lfd_json_read_object(lfd_json *json, const char *what, const char *field) {
    return expect(json, json_is_object(json), what, field, "an object");
}

linfdist_status lfd_json_read_array(lfd_json *json, const char *what, const char *field) {
    return expect(json, json_is_array(json), what, field, "an array");
}

linfdist_status lfd_json_read_string(lfd_json *json, const char *what, const char *field, const char **value) {
    LFD_TRY(expect(json, json_is_string(json), what, field, "a string"));
    *value = json_string_value(json);
    return LINFDIST_OK;
}

linfdist_status lfd_json_read_count(lfd_json *json, const char *what, const char *field, int64_t *value) {
    int fits = json_is_integer(json) && json_integer_value(json) >= 0;
    LFD_TRY(expect(json, fits, what, field, "a whole number >= 0"));
    *value = json_integer_value(json);
    return LINFDIST_OK;
}

linfdist_status lfd_json_read_number(lfd_json *json, const char *what, const char *field, double *value) {
    LFD_TRY(expect(json, json_is_number(json), what, field, "a number"));
    *value = json_number_value(json);
    return LINFDIST_OK;
}

linfdist_status lfd_json_read_boolean(lfd_json *json, const char *what, const char *field, int32_t *value) {
    LFD_TRY(expect(json, json_is_boolean(json), what, field, "true or false"));
    *value = json_is_true(json);
    return LINFDIST_OK;
}

lfd_json *lfd_json_new_object(void) {
    return json_object();
}

lfd_json *lfd_json_new_array(void) {
    return json_array();
}

lfd_json *lfd_json_new_string(const char *value) {
    return json_string(value);
}

lfd_json *lfd_json_new_integer(int64_t value) {
    return json_integer(value);
}

lfd_json *lfd_json_new_number(double value) {
    return json_real(value);
}

lfd_json *lfd_json_new_boolean(int32_t value) {
    return json_boolean(value);
}

lfd_json *lfd_json_share(lfd_json *json) {
    return json_incref(json);
}

int lfd_json_put(lfd_json *object, const char *key, lfd_json *value) {
    return json_object_set_new(object, key, value);
}

int lfd_json_append(lfd_json *array, lfd_json *value) {
    return json_array_append_new(array, value);
}

linfdist_status lfd_json_text(const linfdist_context *context, const lfd_json *json, char **text, size_t *size) {
    surroundings host;
    LFD_TRY(enter(&host));
    linfdist_status status = LINFDIST_OK;
    void *buffer = NULL;
    size_t length = json_dumpb(json, NULL, 0, JSON_COMPACT);
    if (length > 0) status = lfd_alloc(context, length + 1, 1, "JSON text", &buffer);
    if (status == LINFDIST_OK && (!buffer || json_dumpb(json, buffer, length, JSON_COMPACT) != length)) {
        status = lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "no memory to write JSON");
    }
    leave(&host);
    if (status != LINFDIST_OK) {
        lfd_free(context, buffer);
        return status;
    }
    *text = buffer;
    (*text)[length] = '\0';
    if (size) *size = length;
    return LINFDIST_OK;
}
