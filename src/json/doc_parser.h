/*
 * The state of the parser, for its parts: doc_parse.c has containers, numbers and the whole,
 * doc_parse_string.c strings.
 */
#ifndef JSON_DOC_PARSER_H
#define JSON_DOC_PARSER_H

#include "json/doc_internal.h"

struct doc_parser {
    struct doc *doc;
    const unsigned char *start, *at, *end; /* the input */
    struct doc_writer out;
    const char *text; /* the document's text; it does not move while parsing */
    uint32_t max_depth;
    uint32_t deepest, longest_array;
    struct error *error;
};

static inline bool doc_next_is(const struct doc_parser *parser, unsigned char c)
{
    return parser->at < parser->end && *parser->at == c;
}

static inline bool doc_is_digit(const unsigned char *at, const unsigned char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* Fail, with the position. Always false. */
bool doc_refuse(struct doc_parser *parser, enum error_code code, const unsigned char *where,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Fail because the next byte is not the expected one. */
bool doc_refuse_next(struct doc_parser *parser, const char *expected);
/* Fail because the document's limit is reached. */
bool doc_refuse_size(struct doc_parser *parser);

/* From the opening quote to behind the closing one. */
bool doc_parse_string(struct doc_parser *parser);

#endif
