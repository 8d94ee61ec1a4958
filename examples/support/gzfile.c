/* The only file that includes zlib.h; without zlib plain files still work. */
#include "gzfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_ZLIB
#include <zlib.h>

typedef gzFile stream;

static stream stream_open(const char *path) {
    return gzopen(path, "rb");
}

static long stream_read(stream s, void *buffer, unsigned size) {
    return gzread(s, buffer, size);
}

/* Static text where the stream was damaged, else NULL. */
static const char *stream_fault(stream s) {
    int code;
    (void)gzerror(s, &code);
    switch (code) {
    case Z_OK:
    case Z_STREAM_END: return NULL;
    case Z_ERRNO: return strerror(errno);
    case Z_BUF_ERROR: return "gzip data ends early";
    default: return "damaged gzip data";
    }
}

static void stream_close(stream s) {
    gzclose(s);
}
#else
typedef FILE *stream;

static stream stream_open(const char *path) {
    return fopen(path, "rb");
}

static long stream_read(stream s, void *buffer, unsigned size) {
    return (long)fread(buffer, 1, size, s);
}

static const char *stream_fault(stream s) {
    return ferror(s) ? strerror(errno) : NULL;
}

static void stream_close(stream s) {
    fclose(s);
}
#endif

int gzfile_read(const char *path, size_t max_size, uint8_t **bytes, size_t *size, problem *what) {
    stream s = stream_open(path);
    if (!s) return problem_set(what, "%s: %s", path, errno ? strerror(errno) : "out of memory");
    uint8_t *data = NULL;
    size_t used = 0, capacity = 0;
    int status = -1;
    for (;;) {
        if (used == capacity) {
            capacity = capacity ? 2 * capacity : (size_t)1 << 20;
            uint8_t *larger = realloc(data, capacity);
            if (!larger) {
                problem_set(what, "%s: out of memory for %zu bytes", path, capacity);
                goto done;
            }
            data = larger;
        }
        size_t room = capacity - used;
        long got = stream_read(s, data + used, room < (1u << 20) ? (unsigned)room : 1u << 20);
        const char *fault = stream_fault(s);
        if (got < 0 || fault) {
            problem_set(what, "%s: %s after %zu bytes", path, fault ? fault : "cannot be read", used);
            goto done;
        }
        used += (size_t)got;
        if (used > max_size) {
            problem_set(what, "%s: more than the %zu bytes expected at most", path, max_size);
            goto done;
        }
        if (got == 0) break;
    }
    *bytes = data;
    *size = used;
    data = NULL;
    status = 0;
done:
    free(data);
    stream_close(s);
    return status;
}
