#include "base/error.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct error_kind kinds[ERROR_COUNT] = {
#define X(name, wire, status, retry) [ERROR_##name] = {wire, status, retry},
    ERROR_LIST(X)
#undef X
};

/* Messages quote whatever a client or a file held; they travel in JSON, which has to be UTF-8. */
static void make_valid(char *message, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t size = utf8_character(message + at, length - at);
        if (size == 0)
            message[at] = '?';
        at += size ? size : 1;
    }
}

/* Store first and second joined, cut at a whole character. */
static void store(struct error *error, const char *first, const char *second)
{
    char joined[2 * ERROR_MESSAGE_SIZE + 2];
    int needed = snprintf(joined, sizeof joined, "%s%s", first, second);
    size_t length = needed < 0 ? 0 : (size_t)needed;
    if (length >= ERROR_MESSAGE_SIZE)
        length = utf8_whole(joined, ERROR_MESSAGE_SIZE - 1);
    make_valid(joined, length);
    memcpy(error->message, joined, length);
    error->message[length] = '\0';
}

bool(error_set)(struct error *error, enum error_code code, const char *format, ...)
{
    if (!error)
        return false;
    /* Printed aside, because an argument may well be this error's old message. */
    char message[ERROR_MESSAGE_SIZE + 1] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    error->code = code;
    error->retry_after = 0;
    error->by_clock = false;
    store(error, message, "");
    return false;
}

bool(error_prefix)(struct error *error, const char *format, ...)
{
    if (!error)
        return false;
    char context[ERROR_MESSAGE_SIZE + 1] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
    char message[ERROR_MESSAGE_SIZE + 2];
    snprintf(message, sizeof message, ": %s", error->message);
    store(error, context, message);
    return false;
}

const char *error_reason(int number)
{
    switch (number) {
    case EMFILE:
        return "too many open files: raise the limit of the process (ulimit -n, LimitNOFILE= of "
               "the unit)";
    case ENFILE:
        return "too many open files on this machine: raise the limit of the system (sysctl "
               "fs.file-max)";
    case EFBIG:
        return "the file may not grow: raise the limit of the size of files (ulimit -f, "
               "LimitFSIZE= of the unit), or use another file system";
    case ENOSPC:
        return "no space left on device: make room on that disk";
    case EDQUOT:
        return "disk quota exceeded: make room, or raise the quota";
    default:
        return strerror(number);
    }
}

const struct error_kind *error_kind(enum error_code code)
{
    return &kinds[(unsigned)code < ERROR_COUNT ? code : ERROR_INTERNAL];
}

int error_retry_after(const struct error *error)
{
    enum { SOON = 1 };
    if (error->retry_after > 0)
        return error->retry_after;
    return error_kind(error->code)->retry == RETRY_LATER ? SOON : -1;
}
