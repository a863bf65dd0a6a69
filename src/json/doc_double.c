/*
 * A number as JavaScript prints it: the double next to the literal, by the fewest digits that lead
 * back to it. A host may have set a locale, so no text with a point is read or printed by the C
 * library.
 */
#include "json/doc_internal.h"
#include "json/value.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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

/* ---- the fewest digits ---- */

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

/* ---- the double next to a literal ---- */

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

/* ---- in print ---- */

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

void doc_print_double(struct buffer *out, struct span literal)
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
