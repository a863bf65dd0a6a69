/*
 * A growable byte buffer with a cap from its start. Failure is sticky: after one failed append all
 * later ones do nothing. So a caller may append many times and check `failed` once.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/span.h"

struct buffer {
    char *data; /* NULL until the first append */
    size_t length;
    size_t capacity;
    size_t limit; /* never holds more than this many bytes */
    bool failed;  /* the limit was hit or memory ran out */
};

/* Start empty; `limit` in bytes. Owns nothing until the first append. */
void buffer_init(struct buffer *buffer, size_t limit);
/* Free what it holds; it may be used again after another buffer_init. */
void buffer_fini(struct buffer *buffer);
/* Length 0 and not failed; the memory is kept. */
void buffer_clear(struct buffer *buffer);
/* Make room for `extra` more bytes and return their place, or NULL and set failed. The length
 * does not change; add to it after writing. */
char *buffer_reserve(struct buffer *buffer, size_t extra);
/* Append; false once failed. */
bool buffer_add(struct buffer *buffer, const void *data, size_t length);
static inline bool buffer_add_span(struct buffer *buffer, struct span span)
{
    return buffer_add(buffer, span.data, span.length);
}
static inline bool buffer_add_string(struct buffer *buffer, const char *string)
{
    return buffer_add(buffer, string, strlen(string));
}
bool buffer_add_char(struct buffer *buffer, char c);
bool buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Append a NUL that does not count in length, so that data is a C string; NULL when failed. */
const char *buffer_string(struct buffer *buffer);
/* Hand the memory over (free with memory_free); the buffer is empty again. NULL when failed. */
char *buffer_take(struct buffer *buffer, size_t *length);

static inline struct span buffer_span(const struct buffer *buffer)
{
    return span_make(buffer->data ? buffer->data : "", buffer->length);
}

#endif
