/*
 * Reading whole small files: configurations, tokens, certificates. Blocks, so never on the loop.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>

/* Read a file into an empty buffer, without a byte order mark; the buffer's limit is the file's. A
 * relative path begins at `folder`, a descriptor or AT_FDCWD. ERROR_CONFIGURATION without the
 * name, ERROR_MEMORY. Any thread. */
bool file_read(int folder, const char *path, struct buffer *bytes, struct error *error);

#endif
