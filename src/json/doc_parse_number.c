/*
 * Numbers in, kept as they are written. What must be known of their value is read off the digits:
 * strtod would depend on the locale and wants a terminated string.
 */
#include "json/doc_parser.h"

/*
 * All 309 digits of 2^1024 - 2^970. It lies half-way between the largest double and 2^1024, and
 * since halves round to even, it is the smallest number that becomes infinite.
 */
static const char smallest_infinite[] =
    "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
    "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
    "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
    "342711559699508093042880177904174497792";
enum { INFINITE_DIGITS = sizeof smallest_infinite - 1 };

/* Whether the literal of any number rounds to an infinite double. */
static bool is_infinite(struct span literal)
{
    struct doc_decimal decimal = doc_decimal_of(literal);
    if (decimal.sign == 0)
        return false;
    if (decimal.exponent != INFINITE_DIGITS - 1)
        return decimal.exponent > INFINITE_DIGITS - 1;
    for (size_t i = 0; i < INFINITE_DIGITS; i++) {
        int next = doc_decimal_next(&decimal);
        char digit = (char)(next < 0 ? '0' : '0' + next);
        if (digit != smallest_infinite[i])
            return digit > smallest_infinite[i];
    }
    return true;
}

static bool skip_digits(struct doc_parser *parser, const char *place)
{
    if (!doc_is_digit(parser->at, parser->end))
        return doc_refuse_next(parser, place);
    while (doc_is_digit(parser->at, parser->end))
        parser->at++;
    return true;
}

/* Fraction and exponent, if they are there; tells whether there was an exponent. */
static bool skip_fraction(struct doc_parser *parser, bool *exponent)
{
    if (doc_next_is(parser, '.')) {
        parser->at++;
        if (!skip_digits(parser, "a digit after the point"))
            return false;
    }
    *exponent = doc_next_is(parser, 'e') || doc_next_is(parser, 'E');
    if (!*exponent)
        return true;
    parser->at++;
    if (doc_next_is(parser, '+') || doc_next_is(parser, '-'))
        parser->at++;
    return skip_digits(parser, "a digit in the exponent");
}

bool doc_parse_number(struct doc_parser *parser, enum doc_type *type)
{
    const unsigned char *start = parser->at;
    bool exponent;
    parser->at += *start == '-';
    if (doc_next_is(parser, '0')) {
        parser->at++;
        if (doc_is_digit(parser->at, parser->end))
            return doc_refuse(parser, ERROR_INVALID_MESSAGE, start,
                              "a number must not start with a needless 0");
    } else if (!skip_digits(parser, "a digit after the minus sign")) {
        return false;
    }
    const unsigned char *whole_end = parser->at;
    if (!skip_fraction(parser, &exponent))
        return false;
    struct span literal = span_make((const char *)start, (size_t)(parser->at - start));
    bool integer = parser->at == whole_end;
    /* An integer of any length is stored as a string, so no double need hold it. */
    if (!integer && (exponent || whole_end - start > 308) && is_infinite(literal))
        return doc_refuse(parser, ERROR_INVALID_MESSAGE, start,
                          "this number is beyond 1.8e308; send it as a string");
    bool wide = integer && literal.length >= 16 && doc_is_wide(literal);
    *type = wide ? DOC_WIDE : DOC_NUMBER;
    if (wide)
        doc_put_char(&parser->out, '"');
    doc_put(&parser->out, literal.data, literal.length);
    if (wide)
        doc_put_char(&parser->out, '"');
    return true;
}
