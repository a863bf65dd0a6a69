/*
 * A walk over canonical text without checking it, because this folder has written it. Still, a
 * database can be damaged or edited by hand. So no step ever leaves the text; at an unexpected byte
 * the walk stops with `broken` set.
 */
#ifndef JSON_DOC_SCAN_H
#define JSON_DOC_SCAN_H

#include "base/span.h"
#include "json/doc_word.h"

struct doc_scan {
    const char *at;
    const char *end;
    bool broken;
};

static inline struct doc_scan doc_scan_of(struct span text)
{
    return (struct doc_scan){text.data, text.data + text.length, false};
}

/* From behind an opening quote to the closing one, or to the end when there is none. */
static inline const char *doc_scan_quote(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t word = doc_word_load(at);
        uint64_t marks = doc_word_equal(word, '"') | doc_word_equal(word, '\\');
        if (!marks) {
            at += 8;
            continue;
        }
        at += doc_word_first(marks);
        if (*at == '"')
            return at;
        at += 2;
    }
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    return at < end ? at : end;
}

static inline const char *doc_scan_container(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        char c = *at++;
        if (c == '"') {
            at = doc_scan_quote(at, end);
            at += at < end;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            break;
        }
    }
    return at;
}

/* To the end of a number or a word: a comma, a bracket or a brace. */
static inline const char *doc_scan_scalar(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t word = doc_word_load(at);
        /* Brace and bracket differ in one bit; no third byte equals either without it. */
        uint64_t marks =
            doc_word_equal(word, ',') | doc_word_equal(word | (DOC_WORD_ONES * ('}' ^ ']')), '}');
        if (marks)
            return at + doc_word_first(marks);
        at += 8;
    }
    while (at < end && *at != ',' && *at != '}' && *at != ']')
        at++;
    return at;
}

/* Step over one value. */
static inline void doc_scan_skip(struct doc_scan *scan)
{
    const char *at = scan->at, *end = scan->end;
    if (at == end) {
        scan->broken = true;
    } else if (*at == '"') {
        at = doc_scan_quote(at + 1, end);
        at += at < end;
    } else if (*at == '{' || *at == '[') {
        at = doc_scan_container(at, end);
    } else {
        at = doc_scan_scalar(at, end);
    }
    scan->at = at;
}

/* The value that comes next; steps over it. */
static inline struct span doc_scan_value(struct doc_scan *scan)
{
    const char *start = scan->at;
    doc_scan_skip(scan);
    return span_make(start, (size_t)(scan->at - start));
}

/* Whether this byte comes next; steps over it if so. */
static inline bool doc_scan_take(struct doc_scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static inline bool doc_scan_is(const struct doc_scan *scan, char c)
{
    return scan->at < scan->end && *scan->at == c;
}

/*
 * The name of the next member of an object, whose brace or last member the walk has just passed;
 * the walk then stands on its value. False at the closing brace, which stays ahead.
 */
static inline bool doc_scan_member(struct doc_scan *scan, struct span *name)
{
    if (doc_scan_is(scan, '}'))
        return false;
    doc_scan_take(scan, ',');
    if (!doc_scan_take(scan, '"')) {
        scan->broken = true;
        return false;
    }
    const char *quote = doc_scan_quote(scan->at, scan->end);
    *name = span_make(scan->at, (size_t)(quote - scan->at));
    if (scan->end - quote < 3 || quote[1] != ':') {
        scan->broken = true;
        return false;
    }
    scan->at = quote + 2;
    return true;
}

/* How many members an object has. */
static inline size_t doc_scan_members(struct span object)
{
    struct doc_scan scan = doc_scan_of(object);
    struct span name;
    size_t count = 0;
    doc_scan_take(&scan, '{');
    for (; doc_scan_member(&scan, &name); count++)
        doc_scan_skip(&scan);
    return count;
}

/* Pass up to `most` elements of an array whose bracket the walk has just passed; returns how
 * many. The walk ends behind the last of them, on the comma or bracket. */
static inline size_t doc_scan_elements(struct doc_scan *scan, size_t most)
{
    size_t count = 0;
    if (doc_scan_is(scan, ']'))
        return 0;
    while (count < most && !scan->broken) {
        doc_scan_skip(scan);
        count++;
        if (count == most || !doc_scan_take(scan, ','))
            break;
    }
    return count;
}

#endif
