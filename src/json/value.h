/*
 * One value as canonical text, without a document around it: its kind, its order among others, and
 * when two mean the same. The text is trusted to be canonical; damaged text gives some answer, and
 * no step outside it.
 */
#ifndef JSON_VALUE_H
#define JSON_VALUE_H

#include "base/base.h"

/* In the order of values (docs/views.md); absent and null stand outside it. */
enum doc_kind {
    DOC_KIND_ABSENT,
    DOC_KIND_NULL,
    DOC_KIND_BOOLEAN,
    DOC_KIND_NUMBER, /* also a string that stands for an integer beyond ±(2^53 - 1) */
    DOC_KIND_STRING,
    DOC_KIND_CONTAINER
};

/* Its type. */
enum doc_kind doc_kind_of(struct span value);
/* Its kind in the order of values: a string that is an integer as JSON would write it ("0",
 * "-17"; not "-0", "+1", "007") is a number there, whatever its size. */
enum doc_kind doc_order_kind(struct span value);
/* Whether the literal of an integer lies beyond ±(2^53 - 1). */
bool doc_is_wide(struct span literal);

/* A number by its decimal digits, exactly. */
struct doc_decimal {
    int sign;           /* -1, 0 or 1; of a zero the other members mean nothing */
    int64_t exponent;   /* of the first digit: 5.0 has 0, 50 has 1 */
    const char *digits; /* from the first digit that is not 0 */
    const char *end;    /* behind the last digit that is not 0; the point may be among them */
};

/* Of a literal, or of a value of kind NUMBER. Exponents beyond ±10^17 count as that. */
struct doc_decimal doc_decimal_of(struct span number);
/* The next digit (0 to 9), or -1 at the end; moves `digits`. */
static inline int doc_decimal_next(struct doc_decimal *decimal)
{
    if (decimal->digits < decimal->end && *decimal->digits == '.')
        decimal->digits++;
    return decimal->digits < decimal->end ? *decimal->digits++ - '0' : -1;
}
/* The largest integer that is not above it, held within int64_t; *whole: it is that integer. */
int64_t doc_decimal_floor(struct doc_decimal decimal, bool *whole);

/* The bytes between the quotes of a string. */
static inline struct span doc_bare(struct span string)
{
    return string.length >= 2 ? span_make(string.data + 1, string.length - 2) : span_make("", 0);
}
/* The next decoded byte of a bare string that is not at its end; moves *at. */
unsigned char doc_bare_next(const char **at, const char *end);

/* The order of two values of one kind (other than CONTAINER), by type or by doc_order_kind:
 * negative, 0 or positive. */
int doc_kind_compare(enum doc_kind kind, struct span left, struct span right);
/* Whether they mean the same: numbers by value, arrays element by element, objects member by
 * member in any order. An absent value equals null. */
bool doc_value_equal(struct span left, struct span right);
/* Whether an array has an element that is equal to the value; false for anything but an array. */
bool doc_array_has(struct span array, struct span value);
/* Append the array with its elements in normal form, in order of that, each once. */
bool doc_array_normal_set(struct buffer *out, struct span array);
/* Append a text that is the same for values that are equal. False when out of memory. */
bool doc_value_normal(struct buffer *out, struct span value);
/* Append the text of a row whose SHA-256 is its sum (docs/drift.md): the array of its raw key and
 * of the object, without `_seq` and `_version` at its top, in the form of RFC 8785. False when out
 * of memory. */
bool doc_jcs_row(struct buffer *out, struct span key, struct span row);

/* The value at a path (canonical names) of an object's text; absent when it is not there. */
struct span doc_value_at(struct span object, const struct span *path, size_t count);
/*
 * The value at a dotted path (canonical bytes): of a member whose names joined with dots are this
 * text. Of several such members, the one whose names are shortest, from the left. One of its names
 * must end at byte `cut` of the path, unless that is 0.
 */
struct span doc_value_at_dotted(struct span object, struct span path, size_t cut);

#endif
