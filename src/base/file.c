#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STEP = 64 * 1024 };

/* One more byte than the limit is read, so that a file of just that size is not too large. */
static bool read_all(FILE *file, struct buffer *bytes)
{
    size_t got = 1;
    while (got > 0 && bytes->length < bytes->limit) {
        size_t left = bytes->limit - bytes->length, step = left < STEP ? left : STEP;
        char *room = buffer_reserve(bytes, step);
        if (!room)
            return false;
        got = fread(room, 1, step, file);
        bytes->length += got;
    }
    return got == 0 || fgetc(file) == EOF;
}

/* The content does not depend on the editor that wrote it. */
static void drop_bom(struct buffer *bytes)
{
    struct span text = span_without_bom(buffer_span(bytes));
    if (text.length == bytes->length)
        return;
    memmove(bytes->data, text.data, text.length);
    bytes->length = text.length;
}

static FILE *open_file(int folder, const char *path)
{
    int descriptor = openat(folder, path, O_RDONLY | O_CLOEXEC);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "rb") : NULL;
    if (!file && descriptor >= 0)
        close(descriptor);
    return file;
}

bool file_read(int folder, const char *path, struct buffer *bytes, struct error *error)
{
    FILE *file = open_file(folder, path);
    if (!file)
        return error_set(error, ERROR_CONFIGURATION, "cannot be opened: %s", error_reason(errno));
    bool whole = read_all(file, bytes);
    bool unread = ferror(file) != 0;
    int reason = errno;
    fclose(file);
    if (unread)
        return error_set(error, ERROR_CONFIGURATION, "cannot be read: %s", error_reason(reason));
    if (bytes->failed)
        return error_set(error, ERROR_MEMORY, "out of memory while reading it");
    drop_bom(bytes);
    return whole || error_set(error, ERROR_CONFIGURATION, "is larger than %zu bytes", bytes->limit);
}
