/*
 * Texts that are the same for values that mean the same. Two forms share the walk: one for our own
 * comparing, whose numbers are exact, and that of RFC 8785, which programs in other languages can
 * make of what they hold.
 */
#include "json/doc_internal.h"
#include "json/doc_scan.h"
#include "json/value.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * ---- a number as JavaScript prints it: the double next to the literal, by the fewest digits that
 * lead back to it. A host may have set a locale, so no text with a point is read or printed by the
 * C library. ----
 */

enum {
    EXACT = 15,          /* so many digits lead to one double each, and back */
    MOST = 17,           /* that any double needs */
    PLAIN_EXPONENT = 300 /* within these it is neither infinite nor short of bits */
};

struct digits {
    bool negative;
    int count; /* 0: it is 0 */
    char text[MOST + 1];
    int64_t exponent; /* of the first: 5 has 0, 50 has 1 */
};

static double read_digits(const struct digits *digits)
{
    char text[MOST + 32];
    snprintf(text, sizeof text, "%se%" PRId64, digits->text, digits->exponent - digits->count + 1);
    return strtod(text, NULL);
}

static void drop_zeros(struct digits *digits)
{
    while (digits->count > 1 && digits->text[digits->count - 1] == '0')
        digits->text[--digits->count] = '\0';
}

/* So many digits, rounded to what lies next. */
static void round_to(double number, int count, struct digits *digits)
{
    char text[MOST + 32], *at = text;
    snprintf(text, sizeof text, "%.*e", count - 1, number);
    for (int i = 0; i < count; at++)
        if (*at >= '0' && *at <= '9') /* and no point, whatever that is */
            digits->text[i++] = *at;
    digits->text[count] = '\0';
    digits->count = count;
    digits->exponent = strtol(at + 1, NULL, 10);
}

/* The next greater; false: it has another exponent. */
static bool step_up(struct digits *digits)
{
    int at = digits->count - 1;
    for (; at >= 0 && digits->text[at] == '9'; at--)
        digits->text[at] = '0';
    if (at < 0)
        return false;
    digits->text[at]++;
    return true;
}

/* At a power of two the doubles below are twice as dense. So what lies next may be too far below,
 * and the one above it is not too far. */
static void find_fewest(double number, struct digits *digits)
{
    int count = number < DBL_MIN ? 1 : EXACT;
    for (; count <= MOST; count++) {
        round_to(number, count, digits);
        if (read_digits(digits) == number || (step_up(digits) && read_digits(digits) == number))
            break;
    }
    drop_zeros(digits);
}

/* All digits that can decide, and a 1 for those that are left out. */
static double nearest_double(struct doc_decimal decimal)
{
    enum { DECIDING = 800 };
    char text[DECIDING + 48];
    int count = 0, digit;
    while (count < DECIDING && (digit = doc_decimal_next(&decimal)) >= 0)
        text[count++] = (char)('0' + digit);
    if (count == DECIDING)
        text[count++] = '1';
    snprintf(text + count, sizeof text - (size_t)count, "e%" PRId64, decimal.exponent - count + 1);
    return strtod(text, NULL);
}

static void take_exactly(struct doc_decimal decimal, int count, struct digits *digits)
{
    for (int i = 0; i < count; i++)
        digits->text[i] = (char)('0' + doc_decimal_next(&decimal));
    digits->text[count] = '\0';
    digits->count = count;
    digits->exponent = decimal.exponent;
}

static void find_digits(struct doc_decimal decimal, struct digits *digits)
{
    struct doc_decimal rest = decimal;
    int count = 0;
    while (count <= EXACT && doc_decimal_next(&rest) >= 0)
        count++;
    bool is_plain = decimal.exponent < PLAIN_EXPONENT && decimal.exponent > -PLAIN_EXPONENT;
    digits->negative = decimal.sign < 0;
    if (decimal.sign && is_plain && count <= EXACT) {
        take_exactly(decimal, count, digits);
        return;
    }
    double number = decimal.sign ? nearest_double(decimal) : 0;
    if (number > 0 && !isinf(number))
        find_fewest(number, digits);
}

static void print_zeros(struct buffer *out, int64_t count)
{
    while (count-- > 0)
        buffer_add_char(out, '0');
}

static void print_scientific(struct buffer *out, const struct digits *digits)
{
    buffer_add_char(out, digits->text[0]);
    if (digits->count > 1)
        buffer_printf(out, ".%s", digits->text + 1);
    buffer_printf(out, "e%+" PRId64, digits->exponent);
}

static void print_double(struct buffer *out, struct span literal)
{
    enum { LARGEST_PLAIN = 20, SMALLEST_PLAIN = -6 };
    struct digits digits = {.count = 0};
    find_digits(doc_decimal_of(literal), &digits);
    int64_t whole = digits.exponent + 1; /* digits before the point */
    if (digits.count && digits.negative)
        buffer_add_char(out, '-');
    if (!digits.count) {
        buffer_add_char(out, '0');
    } else if (digits.exponent > LARGEST_PLAIN || digits.exponent < SMALLEST_PLAIN) {
        print_scientific(out, &digits);
    } else if (whole <= 0) {
        buffer_add_string(out, "0.");
        print_zeros(out, -whole);
        buffer_add_string(out, digits.text);
    } else if (whole >= digits.count) {
        buffer_add_string(out, digits.text);
        print_zeros(out, whole - digits.count);
    } else {
        buffer_printf(out, "%.*s.%s", (int)whole, digits.text, digits.text + whole);
    }
}

/* ---- forms ---- */

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
        print_double(out, value);
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
