/* Why a document is refused. */
#include "json/doc_parser.h"

#include <stdarg.h>
#include <stdio.h>

bool doc_refuse(struct doc_parser *parser, enum error_code code, const unsigned char *where,
                const char *format, ...)
{
    char cause[ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cause, sizeof cause, format, arguments);
    va_end(arguments);
    return error_set(parser->error, code, "byte %zu: %s", (size_t)(where - parser->start) + 1,
                     cause);
}

bool doc_refuse_next(struct doc_parser *parser, const char *expected)
{
    char found[32] = "the end of the text";
    if (parser->at < parser->end) {
        unsigned c = *parser->at;
        snprintf(found, sizeof found, c > ' ' && c < 0x7f ? "'%c'" : "byte 0x%02x", c);
    }
    return doc_refuse(parser, ERROR_INVALID_MESSAGE, parser->at, "expected %s, found %s", expected,
                      found);
}
