/*
 * Places: where an entity stands in a stage's order, as bytes that memcmp (and SQLite) put right.
 *
 *   value        class, then
 *     boolean      nothing: the class tells
 *     number       but for 0: the exponent, then the digits, two a byte as 1 to 100, then 0. Of a
 *                  negative number all of that is inverted
 *     string       its decoded bytes, 00 as 00 ff, then 00 00; but one that is an integer, as that
 *     container    its stored text, in the same way
 *   exponent     01 or ff and eight bytes when it is far out, else one byte between
 *   sort key        value (inverted when descending, but null as ff in both), then the key
 *                or: slot, index (both inverted: the newest is first), then the key
 *
 * No value's bytes are the beginning of another's, so the key decides only between equal values.
 */
#include "view/view_internal.h"

#include <endian.h>

enum {
    CLASS_FALSE = 0x10,
    CLASS_TRUE = 0x11,
    CLASS_NEGATIVE = 0x20,
    CLASS_ZERO = 0x21,
    CLASS_POSITIVE = 0x22,
    CLASS_STRING = 0x30,
    CLASS_CONTAINER = 0x40,
    CLASS_NOTHING = 0xff, /* behind all others, inverted or not */
    NEAR_EXPONENT = 120   /* up to this the exponent is one byte */
};

static void add_big_endian(struct buffer *sort_key, uint64_t number)
{
    uint64_t swapped = htobe64(number);
    buffer_add(sort_key, &swapped, sizeof swapped);
}

static void add_exponent(struct buffer *sort_key, int64_t exponent)
{
    if (exponent >= -NEAR_EXPONENT && exponent <= NEAR_EXPONENT) {
        buffer_add_char(sort_key, (char)(exponent + 128));
        return;
    }
    buffer_add_char(sort_key, (char)(exponent < 0 ? 0x01 : 0xff));
    add_big_endian(sort_key, (uint64_t)exponent ^ (UINT64_C(1) << 63));
}

static void invert(struct buffer *sort_key, size_t from)
{
    for (size_t i = from; i < sort_key->length; i++)
        sort_key->data[i] = (char)~sort_key->data[i];
}

static void add_number(struct buffer *sort_key, struct span value)
{
    struct doc_decimal decimal = doc_decimal_of(value);
    if (decimal.sign == 0) {
        buffer_add_char(sort_key, CLASS_ZERO);
        return;
    }
    buffer_add_char(sort_key, decimal.sign < 0 ? CLASS_NEGATIVE : CLASS_POSITIVE);
    size_t start = sort_key->length;
    add_exponent(sort_key, decimal.exponent);
    for (int digit; (digit = doc_decimal_next(&decimal)) >= 0;) {
        int second = doc_decimal_next(&decimal);
        buffer_add_char(sort_key, (char)(1 + digit * 10 + (second < 0 ? 0 : second)));
    }
    buffer_add_char(sort_key, 0);
    if (decimal.sign < 0 && !sort_key->failed)
        invert(sort_key, start);
}

/* A bare string's bytes, decoded. Only an escape can stand for a NUL. */
static void add_string(struct buffer *sort_key, struct span bare)
{
    const char *at = bare.data, *end = at + bare.length;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        const char *plain_end = escape ? escape : end;
        buffer_add(sort_key, at, (size_t)(plain_end - at));
        at = plain_end;
        if (!escape)
            break;
        unsigned char byte = doc_bare_next(&at, end);
        buffer_add(sort_key, byte ? (const char *)&byte : "\0\xff", byte ? 1 : 2);
    }
    buffer_add(sort_key, "\0", 2);
}

bool sort_key_value(struct buffer *sort_key, struct span value, bool descending)
{
    size_t start = sort_key->length;
    switch (doc_order_kind(value)) {
    case DOC_KIND_ABSENT:
    case DOC_KIND_NULL:
        return buffer_add_char(sort_key, (char)CLASS_NOTHING);
    case DOC_KIND_BOOLEAN:
        buffer_add_char(sort_key, value.data[0] == 't' ? CLASS_TRUE : CLASS_FALSE);
        break;
    case DOC_KIND_NUMBER:
        add_number(sort_key, value);
        break;
    case DOC_KIND_STRING:
        buffer_add_char(sort_key, CLASS_STRING);
        add_string(sort_key, doc_bare(value));
        break;
    case DOC_KIND_CONTAINER:
        buffer_add_char(sort_key, CLASS_CONTAINER);
        buffer_add_span(sort_key, value);
        buffer_add(sort_key, "\0", 2);
        break;
    }
    if (descending && !sort_key->failed)
        invert(sort_key, start);
    return !sort_key->failed;
}

bool view_seq_sort_key(struct span key, struct seq seq, struct buffer *sort_key)
{
    static const uint64_t sign = UINT64_C(1) << 63;
    add_big_endian(sort_key, ~((uint64_t)seq.slot ^ sign));
    add_big_endian(sort_key, ~((uint64_t)seq.index ^ sign));
    return buffer_add_span(sort_key, key);
}

/* The same in the order of one value, absent or canonical text. */
static bool view_value_sort_key(struct span value, struct span key, bool descending,
                                struct buffer *sort_key)
{
    return sort_key_value(sort_key, value, descending) && buffer_add_span(sort_key, key);
}

bool view_stage_sort_key(const struct view_stage *stage, struct span key, struct span entity,
                         struct seq seq, struct buffer *sort_key)
{
    const struct stage *whole = (const struct stage *)stage;
    if (stage->scope) {
        buffer_add_span(sort_key, view_scope_label(stage->scope, entity));
        buffer_add_char(sort_key, '\0');
    }
    if (whole->sort.count == 0)
        return view_seq_sort_key(key, seq, sort_key);
    struct span value = view_path_value(&whole->sort, entity);
    return view_value_sort_key(value, key, stage->descending, sort_key);
}
