/* The JSON texts inside model files. json.c is the only file with Jansson, whose allocator is left alone: these
 * functions use malloc through it. Nothing here depends on the locale. */
#ifndef LFD_JSON_H
#define LFD_JSON_H

#include "context.h"

struct json_t;
typedef struct json_t lfd_json;

/* Reads one object. Refused with FORMAT: anything else around it, duplicate keys, invalid UTF-8, NUL in strings,
 * nesting deeper than a model file needs. what names the text in messages. */
linfdist_status lfd_json_parse(const linfdist_context *context, const char *text, size_t size, const char *what,
                               lfd_json **object);
void lfd_json_free(lfd_json *json); /* NULL is fine */

/* Walks an object: for (void *at = lfd_json_first(object); at; at = lfd_json_next(object, at)). */
void *lfd_json_first(lfd_json *object);
void *lfd_json_next(lfd_json *object, void *at);
const char *lfd_json_key(void *at);
lfd_json *lfd_json_value(void *at);
/* NULL where there is none, or where json is not of that kind. */
lfd_json *lfd_json_member(lfd_json *object, const char *key);
lfd_json *lfd_json_element(lfd_json *array, size_t index);
/* Members or elements; 0 for anything else. */
size_t lfd_json_size(lfd_json *json);
/* UNSUPPORTED for more members than known: one this library does not know could change what the others mean. */
linfdist_status lfd_json_check_size(lfd_json *object, size_t known, const char *what);

/* The value itself, or FORMAT with "<what>: <field> is ...". json may be NULL: then it is missing. */
linfdist_status lfd_json_read_object(lfd_json *json, const char *what, const char *field);
linfdist_status lfd_json_read_array(lfd_json *json, const char *what, const char *field);
linfdist_status lfd_json_read_string(lfd_json *json, const char *what, const char *field, const char **value);
linfdist_status lfd_json_read_count(lfd_json *json, const char *what, const char *field, int64_t *value); /* >= 0 */
linfdist_status lfd_json_read_number(lfd_json *json, const char *what, const char *field, double *value);
linfdist_status lfd_json_read_boolean(lfd_json *json, const char *what, const char *field, int32_t *value);

/* Building: NULL when memory is out. */
lfd_json *lfd_json_new_object(void);
lfd_json *lfd_json_new_array(void);
lfd_json *lfd_json_new_string(const char *value);
lfd_json *lfd_json_new_integer(int64_t value);
lfd_json *lfd_json_new_number(double value); /* finite */
lfd_json *lfd_json_new_boolean(int32_t value);
lfd_json *lfd_json_share(lfd_json *json); /* another owner of the same value */
/* Both take the value over, even when they fail, and return 0 for success. NULL containers and values fail, so that
 * building can be checked once at its end. */
int lfd_json_put(lfd_json *object, const char *key, lfd_json *value);
int lfd_json_append(lfd_json *array, lfd_json *value);

/* Compact text with members in the order they were put; doubles read back with the same bits. NUL-terminated, from the
 * context's memory; size (or NULL) without the NUL. */
linfdist_status lfd_json_text(const linfdist_context *context, const lfd_json *json, char **text, size_t *size);

#endif
