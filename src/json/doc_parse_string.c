/*
 * Strings in: checked, and brought to their canonical escapes.
 */
#include "base/utf8.h"
#include "json/doc_parser.h"
#include "json/doc_word.h"

/* Copy bytes up to the first that is not plain: a quote, a backslash, a control or no ASCII. */
static void copy_plain(struct doc_parser *parser)
{
    const unsigned char *at = parser->at;
    char *out = parser->out.at;
    while (parser->end - at >= 8 && parser->out.end - out >= 8) {
        uint64_t word = doc_word_load(at);
        uint64_t marks = doc_word_below(word, ' ') | doc_word_equal(word, '"') |
                         doc_word_equal(word, '\\') | doc_word_not_ascii(word);
        /* All eight are copied, whatever they are: what is behind the mark is written over. */
        memcpy(out, at, 8);
        unsigned plain = marks ? doc_word_first(marks) : 8;
        at += plain;
        out += plain;
        if (marks)
            break;
    }
    while (at < parser->end && out < parser->out.end && *at >= ' ' && *at < 0x80 && *at != '"' &&
           *at != '\\')
        *out++ = (char)*at++;
    parser->at = at;
    parser->out.at = out;
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of a \u escape, or -1. */
static int32_t read_unit(const struct doc_parser *parser, const unsigned char *at)
{
    if (parser->end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static void put_character(struct doc_writer *out, uint32_t c)
{
    char bytes[6];
    size_t length;
    if (c < ' ' || c == '"' || c == '\\') {
        length = doc_escape_byte((unsigned char)c, bytes);
    } else if (c < 0x80) {
        bytes[0] = (char)c;
        length = 1;
    } else {
        length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = length - 1; i > 0; i--, c >>= 6)
            bytes[i] = (char)(0x80 | (c & 0x3f));
        bytes[0] = (char)(((0xf0 << (4 - length)) & 0xff) | c);
    }
    doc_put(out, bytes, length);
}

static bool parse_unit_escape(struct doc_parser *parser)
{
    const unsigned char *at = parser->at;
    int32_t unit = read_unit(parser, at);
    if (unit < 0)
        return doc_refuse(parser, ERROR_INVALID_MESSAGE, at, "\\u needs four hexadecimal digits");
    uint32_t c = (uint32_t)unit;
    parser->at += 6;
    if (c >= 0xd800 && c <= 0xdfff) {
        int32_t low = c <= 0xdbff ? read_unit(parser, parser->at) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return doc_refuse(parser, ERROR_INVALID_MESSAGE, at,
                              "\\u%04x is half of a surrogate pair; write both halves", c);
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
        parser->at += 6;
    }
    put_character(&parser->out, c);
    return true;
}

static bool parse_escape(struct doc_parser *parser)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    unsigned char letter = parser->end - parser->at > 1 ? parser->at[1] : 0;
    if (letter == 'u')
        return parse_unit_escape(parser);
    const char *found = letter ? strchr(letters, letter) : NULL;
    if (!found) {
        parser->at++;
        return doc_refuse_next(parser, "one of \"\\/bfnrtu after a backslash");
    }
    put_character(&parser->out, (unsigned char)bytes[found - letters]);
    parser->at += 2;
    return true;
}

/* Something in a string that is no plain byte, or is plain but found no room. */
static bool parse_special(struct doc_parser *parser, const unsigned char *opening)
{
    if (parser->at == parser->end)
        return doc_refuse(parser, ERROR_INVALID_MESSAGE, parser->at,
                          "the text ends inside the string that starts at byte %zu",
                          (size_t)(opening - parser->start) + 1);
    unsigned char c = *parser->at;
    if (c == '\\')
        return parse_escape(parser);
    if (c < ' ')
        return doc_refuse(parser, ERROR_INVALID_MESSAGE, parser->at,
                          "control character 0x%02x inside a string; write it as \\u%04x", c, c);
    if (c < 0x80)
        return doc_refuse(parser, ERROR_TOO_LARGE, parser->at, "the text is larger than %zu bytes",
                          parser->doc->text.limit);
    size_t length = utf8_character((const char *)parser->at, (size_t)(parser->end - parser->at));
    if (!length)
        return doc_refuse(parser, ERROR_INVALID_MESSAGE, parser->at,
                          "byte 0x%02x does not start a UTF-8 character; send UTF-8", c);
    doc_put(&parser->out, (const char *)parser->at, length);
    parser->at += length;
    return true;
}

bool doc_parse_string(struct doc_parser *parser)
{
    const unsigned char *opening = parser->at++;
    doc_put_char(&parser->out, '"');
    for (;;) {
        copy_plain(parser);
        if (doc_next_is(parser, '"'))
            break;
        if (!parse_special(parser, opening))
            return false;
    }
    parser->at++;
    doc_put_char(&parser->out, '"');
    return true;
}
