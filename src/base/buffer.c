#include "base/buffer.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

/* The heap block is always one byte larger than `capacity`, so that the NUL of buffer_string has
 * a place even in a buffer that is filled to its limit. Hence also this odd number. */
enum { SMALLEST_CAPACITY = 63 };

/* Keeps capacity + 1 and every doubling from overflowing; no allocation could be larger anyway. */
static const size_t largest_capacity = (size_t)PTRDIFF_MAX - 1;

void buffer_init(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer){.limit = limit < largest_capacity ? limit : largest_capacity};
}

void buffer_fini(struct buffer *buffer)
{
    memory_free(buffer->data);
    *buffer = (struct buffer){.limit = buffer->limit};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
}

static bool fits(const struct buffer *buffer, size_t extra)
{
    return !buffer->failed && buffer->data && extra <= buffer->capacity - buffer->length;
}

/* The slow half of every append: kept out of line so that the fast half stays a few instructions.
 */
static __attribute__((noinline)) bool grow(struct buffer *buffer, size_t extra)
{
    if (buffer->failed)
        return false;
    if (extra > buffer->limit - buffer->length) {
        buffer->failed = true;
        return false;
    }
    size_t capacity = 2 * buffer->capacity + 1;
    if (capacity < buffer->length + extra)
        capacity = buffer->length + extra;
    if (capacity < SMALLEST_CAPACITY)
        capacity = SMALLEST_CAPACITY;
    if (capacity > buffer->limit)
        capacity = buffer->limit;
    char *data = memory_resize(buffer->data, capacity + 1);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

char *buffer_reserve(struct buffer *buffer, size_t extra)
{
    if (!fits(buffer, extra) && !grow(buffer, extra))
        return NULL;
    return buffer->data + buffer->length;
}

bool buffer_add(struct buffer *buffer, const void *data, size_t length)
{
    if (!fits(buffer, length) && !grow(buffer, length))
        return false;
    /* An absent span has a NULL pointer, which memcpy must not see. */
    if (length) {
        memcpy(buffer->data + buffer->length, data, length);
        buffer->length += length;
    }
    return true;
}

bool buffer_add_char(struct buffer *buffer, char c)
{
    if (!fits(buffer, 1) && !grow(buffer, 1))
        return false;
    buffer->data[buffer->length++] = c;
    return true;
}

/* Print into the room there is, the spare byte included; returns the length the text needs. */
static int print(struct buffer *buffer, const char *format, va_list arguments)
{
    size_t room = buffer->capacity - buffer->length + 1;
    return vsnprintf(buffer->data + buffer->length, room, format, arguments);
}

bool buffer_printf(struct buffer *buffer, const char *format, ...)
{
    if (!buffer_reserve(buffer, 0))
        return false;
    va_list arguments;
    va_start(arguments, format);
    int needed = print(buffer, format, arguments);
    va_end(arguments);
    if (needed < 0) {
        buffer->failed = true;
        return false;
    }
    if ((size_t)needed > buffer->capacity - buffer->length) {
        if (!grow(buffer, (size_t)needed))
            return false;
        va_start(arguments, format);
        print(buffer, format, arguments);
        va_end(arguments);
    }
    buffer->length += (size_t)needed;
    return true;
}

const char *buffer_string(struct buffer *buffer)
{
    if (!buffer_reserve(buffer, 0))
        return NULL;
    buffer->data[buffer->length] = '\0';
    return buffer->data;
}

char *buffer_take(struct buffer *buffer, size_t *length)
{
    if (!buffer_string(buffer))
        return NULL;
    char *data = buffer->data;
    if (length)
        *length = buffer->length;
    buffer_init(buffer, buffer->limit);
    return data;
}
