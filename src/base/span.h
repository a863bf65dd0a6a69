/*
 * A span is a borrowed run of bytes: a view, never an owner. It may hold any byte, also NUL, and
 * is not terminated. An absent span has data == NULL; an empty one has data != NULL, length 0.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *data;
    size_t length;
};

/* The span of a literal or another NUL-terminated string that outlives it. */
static inline struct span span_of(const char *string)
{
    return (struct span){string, string ? strlen(string) : 0};
}

static inline struct span span_make(const char *data, size_t length)
{
    return (struct span){data, length};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool span_starts_with(struct span text, const char *start)
{
    size_t length = strlen(start);
    return text.length >= length && memcmp(text.data, start, length) == 0;
}

/* Without the byte order mark that some editors and shells put in front of UTF-8. */
static inline struct span span_without_bom(struct span text)
{
    bool has = text.length >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0;
    return has ? span_make(text.data + 3, text.length - 3) : text;
}

/* Order by bytes; a proper prefix comes first. Negative, 0 or positive, as memcmp. */
static inline int span_compare(struct span a, struct span b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

#endif
