/* Reading and replacing files through POSIX calls, since stdio neither syncs nor creates exclusively. */
#define _XOPEN_SOURCE 700 /* for realpath */
#define _FILE_OFFSET_BITS 64
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif
#define CHUNK ((size_t)1 << 30) /* of one read or write; some systems refuse more than INT_MAX */
#define TEMPORARY_ATTEMPTS 1000

/* "cannot open x.safetensors: No such file or directory", whatever the locale. */
static linfdist_status io_fail(const char *action, const char *path, int error) {
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    const char *reason = c_locale ? strerror_l(error, c_locale) : "unknown error";
    linfdist_status status = lfd_fail(LINFDIST_ERROR_IO, "cannot %s %s: %s", action, path, reason);
    if (c_locale) freelocale(c_locale);
    return status;
}

/* ---- reading ---- */

/* Fills buffer, or as much of it as the file has. */
static linfdist_status read_bytes(int fd, const char *path, unsigned char *buffer, size_t size) {
    size_t have = 0;
    while (have < size) {
        size_t want = size - have < CHUNK ? size - have : CHUNK;
        ssize_t got = read(fd, buffer + have, want);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return io_fail("read", path, errno);
        if (got == 0) {
            return lfd_fail(LINFDIST_ERROR_IO, "%s ended after %zu of %zu bytes while it was read", path, have, size);
        }
        have += (size_t)got;
    }
    return LINFDIST_OK;
}

linfdist_status lfd_file_read(const linfdist_context *context, const char *path, void **data, size_t *size) {
    struct stat info;
    void *buffer = NULL;
    linfdist_status status = LINFDIST_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block; nothing to regular files */
    if (fd < 0) return io_fail("open", path, errno);
    if (fstat(fd, &info) != 0) {
        status = io_fail("examine", path, errno);
    } else if (!S_ISREG(info.st_mode)) {
        status = lfd_fail(LINFDIST_ERROR_IO, "%s is not a regular file", path);
    } else if ((uint64_t)info.st_size > PTRDIFF_MAX) {
        status = lfd_fail(LINFDIST_ERROR_OUT_OF_MEMORY, "%s has %lld bytes", path, (long long)info.st_size);
    }
    if (status == LINFDIST_OK) status = lfd_alloc(context, (size_t)info.st_size, 1, path, &buffer);
    if (status == LINFDIST_OK) status = read_bytes(fd, path, buffer, (size_t)info.st_size);
    close(fd);
    if (status != LINFDIST_OK) {
        lfd_free(context, buffer);
        return status;
    }
    *data = buffer;
    *size = (size_t)info.st_size;
    return LINFDIST_OK;
}

static linfdist_status grow(const linfdist_context *context, void **buffer, size_t used, size_t *capacity) {
    void *larger;
    size_t wanted = *capacity ? *capacity : (size_t)1 << 15;
    LFD_TRY(lfd_alloc(context, wanted, 2, "bytes of a file", &larger)); /* checks the doubling */
    if (used > 0) memcpy(larger, *buffer, used);
    lfd_free(context, *buffer);
    *buffer = larger;
    *capacity = 2 * wanted;
    return LINFDIST_OK;
}

linfdist_status lfd_stream_read(const linfdist_context *context, linfdist_read_fn read, void *user, void **data,
                                size_t *size) {
    void *buffer = NULL;
    size_t used = 0, capacity = 0;
    linfdist_status status = LINFDIST_OK;
    for (;;) {
        if (used == capacity) status = grow(context, &buffer, used, &capacity);
        if (status != LINFDIST_OK) break;
        int64_t got = read(user, (unsigned char *)buffer + used, capacity - used);
        if (got == 0) break;
        if (got < 0 || (uint64_t)got > capacity - used) {
            status =
                lfd_fail(LINFDIST_ERROR_IO, "read of up to %zu bytes returned %lld", capacity - used, (long long)got);
            break;
        }
        used += (size_t)got;
    }
    if (status != LINFDIST_OK) {
        lfd_free(context, buffer);
        return status;
    }
    *data = buffer;
    *size = used;
    return LINFDIST_OK;
}

/* ---- replacing ---- */

struct replacement {
    char target[PATH_MAX]; /* the path with links resolved */
    char temporary[PATH_MAX];
    int exists;
    mode_t mode; /* of the old file */
    gid_t group;
    int fd;
    int error; /* errno of the write that failed */
};

/* Where the new file goes and what it replaces. */
static linfdist_status examine_target(const char *path, struct replacement *r) {
    struct stat info;
    if (!*path) return lfd_fail(LINFDIST_ERROR_INVALID_ARGUMENT, "path is empty");
    r->exists = realpath(path, r->target) != NULL;
    if (!r->exists) {
        if (errno != ENOENT) return io_fail("write", path, errno);
        if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode))
            return lfd_fail(LINFDIST_ERROR_IO, "%s is a symbolic link to nothing", path);
        if (strlen(path) >= sizeof r->target) return io_fail("write", path, ENAMETOOLONG);
        strcpy(r->target, path);
        return LINFDIST_OK;
    }
    if (stat(r->target, &info) != 0) return io_fail("examine", path, errno);
    if (!S_ISREG(info.st_mode)) return lfd_fail(LINFDIST_ERROR_IO, "%s is not a regular file", path);
    /* Renaming over it needs no permission on the file itself, but read-only is a wish to keep it. */
    if (access(r->target, W_OK) != 0) return io_fail("write", path, errno);
    r->mode = info.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO);
    r->group = info.st_gid;
    return LINFDIST_OK;
}

static int folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (int)(slash - path) + 1 : 0;
}

/* A name of its own length, so that it fits wherever the target's does. */
static linfdist_status create_temporary(const char *path, struct replacement *r) {
    for (int attempt = 0; attempt < TEMPORARY_ATTEMPTS; ++attempt) {
        int length = snprintf(r->temporary, sizeof r->temporary, "%.*s.linfdist-%ld-%d.tmp", folder_length(r->target),
                              r->target, (long)getpid(), attempt);
        if (length < 0 || (size_t)length >= sizeof r->temporary) return io_fail("write", path, ENAMETOOLONG);
        r->fd = open(r->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, r->exists ? S_IRUSR | S_IWUSR : 0666);
        if (r->fd >= 0) return LINFDIST_OK;
        if (errno != EEXIST && errno != EINTR) break;
    }
    return io_fail("create a temporary file beside", path, errno);
}

static int32_t write_bytes(void *user, const void *data, size_t size) {
    struct replacement *r = user;
    const unsigned char *bytes = data;
    while (size > 0) {
        ssize_t put = write(r->fd, bytes, size < CHUNK ? size : CHUNK);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            r->error = put < 0 ? errno : ENOSPC;
            return -1;
        }
        bytes += put;
        size -= (size_t)put;
    }
    return 0;
}

/* Those of the old file; where its group is not to be had, another one gets nothing. */
static linfdist_status keep_permissions(const char *path, const struct replacement *r) {
    const mode_t mode = fchown(r->fd, (uid_t)-1, r->group) == 0 ? r->mode : r->mode & ~(mode_t)S_IRWXG;
    return fchmod(r->fd, mode) == 0 ? LINFDIST_OK : io_fail("set permissions for", path, errno);
}

/* The temporary file's contents and permissions, on the disk when it returns. */
static linfdist_status fill_temporary(const char *path, struct replacement *r, lfd_file_producer produce,
                                      const void *contents) {
    linfdist_status status = produce(contents, write_bytes, r);
    if (r->error) status = io_fail("write", path, r->error);
    if (status == LINFDIST_OK && r->exists) status = keep_permissions(path, r);
    if (status == LINFDIST_OK && fsync(r->fd) != 0) status = io_fail("sync", path, errno);
    if (close(r->fd) != 0 && errno != EINTR && status == LINFDIST_OK) status = io_fail("close", path, errno);
    return status;
}

/* The rename is on the disk only after its folder is. File systems that cannot sync folders, and folders that cannot be
 * read, leave that to the system. */
static linfdist_status sync_folder(const char *path, const struct replacement *r) {
    char folder[PATH_MAX];
    int length = folder_length(r->target);
    (void)snprintf(folder, sizeof folder, "%.*s", length ? length : 1, length ? r->target : ".");
    int fd = open(folder, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return LINFDIST_OK;
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    if (error == 0 || error == EINVAL || error == ENOTSUP) return LINFDIST_OK;
    return io_fail("sync the folder of", path, error);
}

linfdist_status lfd_file_replace(const char *path, lfd_file_producer produce, const void *contents) {
    struct replacement r = {.fd = -1};
    LFD_TRY(examine_target(path, &r));
    LFD_TRY(create_temporary(path, &r));
    linfdist_status status = fill_temporary(path, &r, produce, contents);
    if (status == LINFDIST_OK && rename(r.temporary, r.target) != 0) status = io_fail("replace", path, errno);
    if (status != LINFDIST_OK) {
        (void)unlink(r.temporary);
        return status;
    }
    return sync_folder(path, &r);
}
