/* When two values mean the same, and a text that says so. */
#include "json/doc_internal.h"
#include "json/doc_scan.h"
#include "json/value.h"

#include <inttypes.h>
#include <stdlib.h>

static struct span take_value(struct doc_scan *scan)
{
    const char *start = scan->at;
    doc_scan_skip(scan);
    return span_make(start, (size_t)(scan->at - start));
}

/* ---- equal ---- */

static bool equal_arrays(struct span left, struct span right)
{
    struct doc_scan a = doc_scan_of(left), b = doc_scan_of(right);
    doc_scan_take(&a, '[');
    doc_scan_take(&b, '[');
    while (!a.broken && !b.broken && !doc_scan_is(&a, ']') && !doc_scan_is(&b, ']')) {
        if (!doc_value_equal(take_value(&a), take_value(&b)))
            return false;
        doc_scan_take(&a, ',');
        doc_scan_take(&b, ',');
    }
    return doc_scan_is(&a, ']') && doc_scan_is(&b, ']');
}

static size_t count_members(struct span object)
{
    struct doc_scan scan = doc_scan_of(object);
    struct span name;
    size_t count = 0;
    doc_scan_take(&scan, '{');
    for (; doc_scan_member(&scan, &name); count++)
        doc_scan_skip(&scan);
    return count;
}

/* Equal objects mostly have one order, so a member is first looked for where the other stands. */
static bool equal_objects(struct span left, struct span right)
{
    struct doc_scan a = doc_scan_of(left), b = doc_scan_of(right);
    struct span name, other;
    if (count_members(left) != count_members(right))
        return false;
    doc_scan_take(&a, '{');
    doc_scan_take(&b, '{');
    while (doc_scan_member(&a, &name)) {
        struct span value = take_value(&a), found = {NULL, 0};
        bool beside = doc_scan_member(&b, &other);
        if (beside)
            found = take_value(&b);
        if (!beside || !span_equal(name, other))
            found = doc_value_at(right, &name, 1);
        if (!found.data || !doc_value_equal(value, found))
            return false;
    }
    return true;
}

bool doc_value_equal(struct span left, struct span right)
{
    enum doc_kind kind = doc_kind_of(left), other = doc_kind_of(right);
    kind = kind == DOC_KIND_ABSENT ? DOC_KIND_NULL : kind;
    other = other == DOC_KIND_ABSENT ? DOC_KIND_NULL : other;
    if (kind != other)
        return false;
    if (kind != DOC_KIND_CONTAINER)
        return doc_kind_compare(kind, left, right) == 0;
    if (span_equal(left, right))
        return true;
    if (left.data[0] != right.data[0])
        return false;
    return left.data[0] == '[' ? equal_arrays(left, right) : equal_objects(left, right);
}

bool doc_array_has(struct span array, struct span value)
{
    if (!array.length || array.data[0] != '[')
        return false;
    struct doc_scan scan = doc_scan_of(array);
    doc_scan_take(&scan, '[');
    while (!scan.broken && scan.at < scan.end && !doc_scan_is(&scan, ']')) {
        if (doc_value_equal(take_value(&scan), value))
            return true;
        doc_scan_take(&scan, ',');
    }
    return false;
}

/* ---- normal form ---- */

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

static void normal_array(struct buffer *out, struct span array)
{
    struct doc_scan scan = doc_scan_of(array);
    doc_scan_take(&scan, '[');
    buffer_add_char(out, '[');
    while (!scan.broken && scan.at < scan.end && !doc_scan_is(&scan, ']')) {
        doc_value_normal(out, take_value(&scan));
        if (!doc_scan_take(&scan, ','))
            break;
        buffer_add_char(out, ',');
    }
    buffer_add_char(out, ']');
}

struct member {
    struct span name, value;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    return span_compare(left->name, right->name);
}

static void normal_object(struct buffer *out, struct span object)
{
    size_t count = count_members(object), found = 0;
    struct member *members = memory_new((count + 1) * sizeof *members);
    if (!members) {
        out->failed = true;
        return;
    }
    struct doc_scan scan = doc_scan_of(object);
    doc_scan_take(&scan, '{');
    for (; found < count && doc_scan_member(&scan, &members[found].name); found++)
        members[found].value = take_value(&scan);
    qsort(members, found, sizeof *members, compare_members);
    buffer_add_char(out, '{');
    for (size_t i = 0; i < found; i++) {
        buffer_add_string(out, i > 0 ? ",\"" : "\"");
        buffer_add_span(out, members[i].name);
        buffer_add_string(out, "\":");
        doc_value_normal(out, members[i].value);
    }
    buffer_add_char(out, '}');
    memory_free(members);
}

bool doc_value_normal(struct buffer *out, struct span value)
{
    switch (doc_kind_of(value)) {
    case DOC_KIND_ABSENT:
        buffer_add_string(out, "null");
        break;
    case DOC_KIND_NUMBER:
        normal_number(out, value);
        break;
    case DOC_KIND_CONTAINER:
        (value.data[0] == '[' ? normal_array : normal_object)(out, value);
        break;
    default:
        buffer_add_span(out, value);
    }
    return !out->failed;
}

/* ---- an array as a set ---- */

static int compare_elements(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    return span_compare(*left, *right);
}

bool doc_array_normal_set(struct buffer *out, struct span array)
{
    struct buffer normal;
    buffer_init(&normal, SIZE_MAX);
    normal_array(&normal, array);
    struct doc_scan scan = doc_scan_of(buffer_span(&normal));
    doc_scan_take(&scan, '[');
    size_t count = doc_scan_elements(&scan, SIZE_MAX), found = 0;
    struct span *elements = normal.failed ? NULL : memory_new((count + 1) * sizeof *elements);
    if (!elements) {
        buffer_fini(&normal);
        out->failed = true;
        return false;
    }
    scan = doc_scan_of(buffer_span(&normal));
    doc_scan_take(&scan, '[');
    for (; found < count; doc_scan_take(&scan, ','))
        elements[found++] = take_value(&scan);
    qsort(elements, count, sizeof *elements, compare_elements);
    buffer_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && span_equal(elements[i], elements[i - 1]))
            continue;
        buffer_add_string(out, i > 0 ? "," : "");
        buffer_add_span(out, elements[i]);
    }
    memory_free(elements);
    buffer_fini(&normal);
    return buffer_add_char(out, ']');
}
