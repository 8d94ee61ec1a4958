/* Files by path: read whole, replaced whole. */
#ifndef LFD_FILE_H
#define LFD_FILE_H

#include "context.h"

/* All bytes of a regular file, in the context's memory. Errors: IO, OUT_OF_MEMORY. */
linfdist_status lfd_file_read(const linfdist_context *context, const char *path, void **data, size_t *size);
/* All bytes that a callback has, in the context's memory. */
linfdist_status lfd_stream_read(const linfdist_context *context, linfdist_read_fn read, void *user, void **data,
                                size_t *size);

/* Sends contents through write, in order, and passes on a failure of write. */
typedef linfdist_status (*lfd_file_producer)(const void *contents, linfdist_write_fn write, void *user);

/* Puts what produce sends at path. It goes to a temporary file in the same folder, which is synced and renamed: at
 * every moment path is the old file or the new one, whole. A failure removes the temporary file and leaves the old one
 * (that of the last step, syncing the folder, leaves the new one); only a kill can leave a ".linfdist-*.tmp" behind. A
 * symbolic link to a file stays and that file is replaced, one to nothing is refused; permissions stay, the group's
 * only where the group can stay; what is not a regular file, or not writable, is refused. Errors: IO, INVALID_ARGUMENT
 * (an empty path). */
linfdist_status lfd_file_replace(const char *path, lfd_file_producer produce, const void *contents);

#endif
