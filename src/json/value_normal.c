/*
 * Texts that are the same for values that mean the same. Two forms share the walk: one for our own
 * comparing, whose numbers are exact, and that of RFC 8785, which programs in other languages can
 * make of what they hold.
 */
#include "json/doc_internal.h"
#include "json/doc_scan.h"
#include "json/value.h"

#include <inttypes.h>
#include <stdlib.h>

struct form {
    void (*number)(struct buffer *out, struct span value);
    int (*compare)(const void *a, const void *b); /* the order of members */
};

struct member {
    struct span name, value;
};

/* ---- the walk ---- */

static void print_value(const struct form *form, struct buffer *out, struct span value);

static void print_array(const struct form *form, struct buffer *out, struct span array)
{
    struct doc_scan scan = doc_scan_of(array);
    doc_scan_take(&scan, '[');
    buffer_add_char(out, '[');
    while (!scan.broken && scan.at < scan.end && !doc_scan_is(&scan, ']')) {
        print_value(form, out, doc_scan_value(&scan));
        if (!doc_scan_take(&scan, ','))
            break;
        buffer_add_char(out, ',');
    }
    buffer_add_char(out, ']');
}

static void print_members(const struct form *form, struct buffer *out, struct member *members,
                          size_t count)
{
    qsort(members, count, sizeof *members, form->compare);
    buffer_add_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        buffer_add_string(out, i > 0 ? ",\"" : "\"");
        buffer_add_span(out, members[i].name);
        buffer_add_string(out, "\":");
        print_value(form, out, members[i].value);
    }
    buffer_add_char(out, '}');
}

/* Members that say when a row changed. */
static bool is_mark(struct span name)
{
    return span_equal(name, span_of("_seq")) || span_equal(name, span_of("_version"));
}

static void print_object(const struct form *form, struct buffer *out, struct span object,
                         bool is_row)
{
    size_t most = doc_scan_members(object), count = 0;
    struct member *members = memory_new((most + 1) * sizeof *members);
    if (!members) {
        out->failed = true;
        return;
    }
    struct doc_scan scan = doc_scan_of(object);
    doc_scan_take(&scan, '{');
    while (count < most && doc_scan_member(&scan, &members[count].name)) {
        members[count].value = doc_scan_value(&scan);
        count += !is_row || !is_mark(members[count].name);
    }
    print_members(form, out, members, count);
    memory_free(members);
}

static void print_value(const struct form *form, struct buffer *out, struct span value)
{
    switch (doc_kind_of(value)) {
    case DOC_KIND_ABSENT:
        buffer_add_string(out, "null");
        break;
    case DOC_KIND_NUMBER:
        form->number(out, value);
        break;
    case DOC_KIND_CONTAINER:
        if (value.data[0] == '[')
            print_array(form, out, value);
        else
            print_object(form, out, value, false);
        break;
    default:
        buffer_add_span(out, value);
    }
}

/* ---- our own form ---- */

/* Digits and the exponent of the first: 5.0 is 5e0, 1200 is 12e3, and 0 is 0. */
static void normal_number(struct buffer *out, struct span value)
{
    struct doc_decimal decimal = doc_decimal_of(value);
    int64_t exponent = decimal.exponent;
    if (decimal.sign == 0) {
        buffer_add_char(out, '0');
        return;
    }
    if (decimal.sign < 0)
        buffer_add_char(out, '-');
    for (int digit; (digit = doc_decimal_next(&decimal)) >= 0;)
        buffer_add_char(out, (char)('0' + digit));
    buffer_printf(out, "e%" PRId64, exponent);
}

static int compare_bytes(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    return span_compare(left->name, right->name);
}

static const struct form normal = {normal_number, compare_bytes};

bool doc_value_normal(struct buffer *out, struct span value)
{
    print_value(&normal, out, value);
    return !out->failed;
}

/* ---- RFC 8785 ---- */

/* Every string is one there, also of digits. */
static void print_number(struct buffer *out, struct span value)
{
    if (value.data[0] == '"')
        buffer_add_span(out, value);
    else
        doc_print_double(out, value);
}

/* Where a byte of UTF-8 comes by UTF-16: what takes two units begins with one of 0xd800 on, before
 * the last of what takes one, whose bytes begin with 0xee and 0xef. */
static int utf16_place(unsigned char byte)
{
    enum { LAST = 0xee, TWO = 0xf0, BEHIND = 0x100 };
    return byte >= LAST && byte < TWO ? byte + BEHIND : byte;
}

static int compare_utf16(const void *a, const void *b)
{
    const struct span left = ((const struct member *)a)->name,
                      right = ((const struct member *)b)->name;
    const char *at = left.data, *end = at + left.length;
    const char *other = right.data, *other_end = other + right.length;
    while (at < end && other < other_end) {
        int first = utf16_place(doc_bare_next(&at, end));
        int second = utf16_place(doc_bare_next(&other, other_end));
        if (first != second)
            return first - second;
    }
    return (at < end) - (other < other_end);
}

static const struct form jcs = {print_number, compare_utf16};

bool doc_jcs_row(struct buffer *out, struct span key, struct span row)
{
    buffer_add_char(out, '[');
    doc_escape(out, key);
    buffer_add_char(out, ',');
    print_object(&jcs, out, row, true);
    return buffer_add_char(out, ']');
}

/* ---- an array as a set ---- */

static int compare_elements(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    return span_compare(*left, *right);
}

bool doc_array_normal_set(struct buffer *out, struct span array)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    print_array(&normal, &text, array);
    struct doc_scan scan = doc_scan_of(buffer_span(&text));
    doc_scan_take(&scan, '[');
    size_t count = doc_scan_elements(&scan, SIZE_MAX), found = 0;
    struct span *elements = text.failed ? NULL : memory_new((count + 1) * sizeof *elements);
    if (!elements) {
        buffer_fini(&text);
        out->failed = true;
        return false;
    }
    scan = doc_scan_of(buffer_span(&text));
    doc_scan_take(&scan, '[');
    for (; found < count; doc_scan_take(&scan, ','))
        elements[found++] = doc_scan_value(&scan);
    qsort(elements, count, sizeof *elements, compare_elements);
    buffer_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && span_equal(elements[i], elements[i - 1]))
            continue;
        buffer_add_string(out, i > 0 ? "," : "");
        buffer_add_span(out, elements[i]);
    }
    memory_free(elements);
    buffer_fini(&text);
    return buffer_add_char(out, ']');
}
