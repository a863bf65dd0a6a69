/* Kinds of values, numbers by their digits, strings by their bytes, and what stands at a path. */
#include "json/value.h"
#include "json/doc_internal.h"
#include "json/doc_scan.h"

/* ---- kinds ---- */

bool doc_is_wide(struct span literal)
{
    static const char widest[] = "9007199254740991"; /* 2^53 - 1 */
    if (literal.data[0] == '-')
        literal = span_make(literal.data + 1, literal.length - 1);
    if (literal.length != sizeof widest - 1)
        return literal.length > sizeof widest - 1;
    return memcmp(literal.data, widest, sizeof widest - 1) > 0;
}

/* Whether a string is an integer as JSON would write it: no "+", no needless 0, no "-0". */
static bool is_integer_string(struct span string)
{
    struct span bare = doc_bare(string);
    size_t first = bare.length && bare.data[0] == '-';
    if (bare.length == first)
        return false;
    if (bare.data[first] == '0')
        return bare.length == 1;
    for (size_t i = first; i < bare.length; i++)
        if (bare.data[i] < '0' || bare.data[i] > '9')
            return false;
    return true;
}

/* Whether a string is what the parser makes of a wide integer. */
static bool is_wide_string(struct span string)
{
    enum { SHORTEST = 16 };
    struct span bare = doc_bare(string);
    return bare.length >= SHORTEST && is_integer_string(string) && doc_is_wide(bare);
}

enum doc_kind doc_kind_of(struct span value)
{
    if (value.length == 0)
        return DOC_KIND_ABSENT;
    switch (value.data[0]) {
    case 'n':
        return DOC_KIND_NULL;
    case 'f':
    case 't':
        return DOC_KIND_BOOLEAN;
    case '"':
        return is_wide_string(value) ? DOC_KIND_NUMBER : DOC_KIND_STRING;
    case '[':
    case '{':
        return DOC_KIND_CONTAINER;
    default:
        return DOC_KIND_NUMBER;
    }
}

enum doc_kind doc_order_kind(struct span value)
{
    enum doc_kind kind = doc_kind_of(value);
    return kind == DOC_KIND_STRING && is_integer_string(value) ? DOC_KIND_NUMBER : kind;
}

/* ---- numbers ---- */

static int64_t read_exponent(const char *at, const char *end)
{
    static const int64_t most = INT64_C(100000000000000000);
    if (at == end)
        return 0;
    at++;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    int64_t value = 0;
    for (; at < end && value < most; at++)
        value = value * 10 + (*at - '0');
    if (value > most)
        value = most;
    return negative ? -value : value;
}

struct doc_decimal doc_decimal_of(struct span number)
{
    if (number.length && number.data[0] == '"')
        number = doc_bare(number);
    struct doc_decimal decimal = {0};
    const char *end = number.data + number.length;
    const char *at = number.data + (number.length && number.data[0] == '-');
    const char *mantissa_end = at, *point = NULL;
    for (; mantissa_end < end && *mantissa_end != 'e' && *mantissa_end != 'E'; mantissa_end++)
        if (*mantissa_end == '.')
            point = mantissa_end;
    while (at < mantissa_end && (*at == '0' || *at == '.'))
        at++;
    if (at == mantissa_end)
        return decimal;
    const char *last = mantissa_end;
    while (last[-1] == '0' || last[-1] == '.')
        last--;
    if (!point)
        point = mantissa_end;
    decimal.sign = number.data[0] == '-' ? -1 : 1;
    decimal.digits = at;
    decimal.end = last;
    decimal.exponent =
        (at < point ? point - at - 1 : point - at) + read_exponent(mantissa_end, end);
    return decimal;
}

static int doc_decimal_compare(const struct doc_decimal *left, const struct doc_decimal *right)
{
    if (left->sign != right->sign || left->sign == 0)
        return left->sign - right->sign;
    if (left->exponent != right->exponent)
        return left->exponent < right->exponent ? -left->sign : left->sign;
    struct doc_decimal a = *left, b = *right;
    for (;;) {
        int first = doc_decimal_next(&a), second = doc_decimal_next(&b);
        if (first != second)
            return first < second ? -left->sign : left->sign;
        if (first < 0)
            return 0;
    }
}

int64_t doc_decimal_floor(struct doc_decimal decimal, bool *whole)
{
    enum { LARGEST_EXPONENT = 18 }; /* INT64_MAX has 19 digits */
    *whole = true;
    if (decimal.sign == 0)
        return 0;
    if (decimal.exponent > LARGEST_EXPONENT)
        return decimal.sign < 0 ? INT64_MIN : INT64_MAX;
    uint64_t integer = 0;
    for (int64_t i = 0; i <= decimal.exponent; i++) {
        int digit = doc_decimal_next(&decimal);
        integer = integer * 10 + (uint64_t)(digit < 0 ? 0 : digit);
    }
    *whole = doc_decimal_next(&decimal) < 0;
    if (integer >= INT64_MAX)
        return decimal.sign < 0 ? INT64_MIN : INT64_MAX;
    return decimal.sign > 0 ? (int64_t)integer : -(int64_t)integer - !*whole;
}

/* ---- strings ---- */

unsigned char doc_bare_next(const char **at, const char *end)
{
    const char *from = *at;
    if (*from != '\\' || end - from < 2) {
        *at = from + 1;
        return (unsigned char)*from;
    }
    if (from[1] == 'u' && end - from < 6) {
        *at = end;
        return 0;
    }
    *at = from + (from[1] == 'u' ? 6 : 2);
    return (unsigned char)doc_unescape(from + 1);
}

static int compare_strings(struct span left, struct span right)
{
    left = doc_bare(left);
    right = doc_bare(right);
    if (!memchr(left.data, '\\', left.length) && !memchr(right.data, '\\', right.length))
        return span_compare(left, right);
    const char *a = left.data, *a_end = a + left.length;
    const char *b = right.data, *b_end = b + right.length;
    while (a < a_end && b < b_end) {
        int first = doc_bare_next(&a, a_end), second = doc_bare_next(&b, b_end);
        if (first != second)
            return first - second;
    }
    return (a < a_end) - (b < b_end);
}

/* ---- comparing ---- */

int doc_kind_compare(enum doc_kind kind, struct span left, struct span right)
{
    switch (kind) {
    case DOC_KIND_NUMBER: {
        struct doc_decimal first = doc_decimal_of(left), second = doc_decimal_of(right);
        return doc_decimal_compare(&first, &second);
    }
    case DOC_KIND_STRING:
        return compare_strings(left, right);
    case DOC_KIND_BOOLEAN:
        return span_compare(left, right); /* "false", "true" */
    default:
        return 0;
    }
}

struct span doc_value_at(struct span object, const struct span *path, size_t count)
{
    static const struct span absent = {NULL, 0};
    struct doc_scan scan = doc_scan_of(object);
    for (size_t i = 0; i < count; i++) {
        struct span name;
        if (!object.data || !doc_scan_take(&scan, '{'))
            return absent;
        for (;;) {
            if (!doc_scan_member(&scan, &name))
                return absent;
            if (span_equal(name, path[i]))
                break;
            doc_scan_skip(&scan);
        }
    }
    const char *start = scan.at;
    doc_scan_skip(&scan);
    return scan.broken ? absent : span_make(start, (size_t)(scan.at - start));
}

/* The bytes of `path` that the name takes, if it can be the first of the names; else 0. */
static size_t step_length(struct span path, struct span name, size_t cut)
{
    size_t length = name.length;
    if (length > path.length || (cut && length > cut) || memcmp(path.data, name.data, length) != 0)
        return 0;
    return length == path.length || path.data[length] == '.' ? length : 0;
}

struct span doc_value_at_dotted(struct span object, struct span path, size_t cut)
{
    struct span name, best = {NULL, 0};
    size_t best_length = SIZE_MAX;
    const char *dot = memchr(path.data, '.', path.length);
    size_t shortest = dot ? (size_t)(dot - path.data) : path.length;
    struct doc_scan scan = doc_scan_of(object);
    if (!object.data || !doc_scan_take(&scan, '{'))
        return best;
    while (best_length != shortest && doc_scan_member(&scan, &name)) {
        const char *start = scan.at;
        doc_scan_skip(&scan);
        size_t length = step_length(path, name, cut);
        if (scan.broken || length == 0 || length >= best_length)
            continue;
        struct span value = span_make(start, (size_t)(scan.at - start));
        if (length < path.length)
            value = doc_value_at_dotted(value,
                                        span_make(path.data + length + 1, path.length - length - 1),
                                        length < cut ? cut - length - 1 : 0);
        if (value.data) {
            best = value;
            best_length = length;
        }
    }
    return best;
}
