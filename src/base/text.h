/*
 * An immutable, reference-counted run of bytes, shared between threads. The count is atomic.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/span.h"

#include <stdatomic.h>
#include <stdint.h>

struct text {
    _Atomic uint32_t references;
    uint32_t length;
    uint32_t
        rest_at; /* the sender pauses a moment there; 0: nowhere. Set before the text is shared */
    char data[]; /* `length` bytes and a NUL */
};

/* A copy with one reference; NULL when out of memory or longer than 4 GiB - 1. */
struct text *text_new(const char *data, size_t length);
/* One more reference; returns its argument. NULL is passed through. */
struct text *text_ref(struct text *text);
/* Give a reference back; the last one frees. NULL is allowed. */
void text_unref(struct text *text);

static inline struct span text_span(const struct text *text)
{
    return text ? span_make(text->data, text->length) : span_make(NULL, 0);
}

#endif
