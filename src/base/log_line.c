#include "base/log_line.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TAIL = 96 /* what ends a line always has room */ };

/* ---- bytes ---- */

static bool has_room(const struct log_line *line, size_t length)
{
    return line->length + length <= LOG_LINE_SIZE - TAIL;
}

static void add(struct log_line *line, struct span text)
{
    memcpy(line->data + line->length, text.data, text.length);
    line->length += text.length;
}

/* The code point of a well-formed character. */
static uint32_t code_point(const char *character, size_t size)
{
    static const unsigned char masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t code = (unsigned char)character[0] & masks[size];
    for (size_t i = 1; i < size; i++)
        code = code << 6 | ((unsigned char)character[i] & 0x3F);
    return code;
}

/* Control characters, and those that make a terminal show a line as another one: separators of
 * lines, and what turns the direction of writing. */
static bool is_unsafe(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

/* The escape of one character, as JSON has it. */
static size_t escape(char out[8], uint32_t code)
{
    static const char *const short_escapes[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    if (code == '"' || code == '\\')
        return (size_t)snprintf(out, 8, "\\%c", (char)code);
    if (code < sizeof short_escapes / sizeof *short_escapes && short_escapes[code])
        return (size_t)snprintf(out, 8, "%s", short_escapes[code]);
    return (size_t)snprintf(out, 8, "\\u%04" PRIx32, code & 0xFFFF);
}

/* Append what may come from anywhere: the inside of a JSON string. false: not all of it. */
static bool add_escaped(struct log_line *line, struct span text)
{
    for (size_t at = 0; at < text.length;) {
        const char *c = text.data + at;
        size_t size = utf8_character(c, text.length - at);
        char escaped[8];
        struct span piece = {c, size};
        uint32_t code = size ? code_point(c, size) : 0;
        if (size == 0)
            piece = span_of("\xEF\xBF\xBD");
        else if (is_unsafe(code) || code == '"' || code == '\\')
            piece = span_make(escaped, escape(escaped, code));
        if (!has_room(line, piece.length))
            return false;
        add(line, piece);
        at += size ? size : 1;
    }
    return true;
}

/* ---- one value ---- */

struct value {
    char data[LOG_VALUE_SIZE];
    size_t length;
    bool cut;
    bool number; /* it is one integer, and nothing else */
};

static void value_add(struct value *value, struct span text)
{
    size_t room = sizeof value->data - value->length;
    size_t length = text.length < room ? text.length : room;
    memcpy(value->data + value->length, text.data, length);
    value->length += length;
    value->cut = value->cut || length < text.length;
    value->number = false;
}

struct conversion {
    char flags[16]; /* flags, width and precision, as they stand behind the % */
    size_t flags_length;
    int precision; /* negative: none */
    int size;      /* in steps of h (-1, -2), l (1, 2), z and j (2) */
    char kind;
};

static void keep_flag(struct conversion *conversion, char c)
{
    if (conversion->flags_length < sizeof conversion->flags)
        conversion->flags[conversion->flags_length++] = c;
}

static void keep_star(struct conversion *conversion, int number, bool precision)
{
    char digits[16];
    snprintf(digits, sizeof digits, "%d", number);
    for (const char *c = digits; *c; c++)
        keep_flag(conversion, *c);
    if (precision)
        conversion->precision = number;
}

/* What stands behind a %; returns what is behind the conversion. */
static const char *read_conversion(const char *format, va_list *arguments,
                                   struct conversion *conversion)
{
    bool precision = false;
    *conversion = (struct conversion){.precision = -1};
    for (; *format && strchr("-+ #0123456789.*", *format); format++) {
        if (*format == '*') {
            keep_star(conversion, va_arg(*arguments, int), precision);
            continue;
        }
        if (*format == '.') {
            precision = true;
            conversion->precision = 0;
        } else if (precision) {
            conversion->precision = conversion->precision * 10 + (*format - '0');
        }
        keep_flag(conversion, *format);
    }
    for (; *format && strchr("hlzjt", *format); format++)
        conversion->size += *format == 'h' ? -1 : *format == 'l' ? 1 : 2;
    conversion->kind = *format;
    return *format ? format + 1 : format;
}

static void add_string(struct value *value, const struct conversion *conversion, const char *text)
{
    if (!text)
        text = "";
    value_add(value, conversion->precision >= 0
                         ? span_make(text, strnlen(text, (size_t)conversion->precision))
                         : span_of(text));
}

static void add_printed(struct value *value, const struct conversion *conversion, intmax_t integer,
                        double real)
{
    char format[32], text[128];
    bool whole = strchr("fgeFGE", conversion->kind) == NULL;
    snprintf(format, sizeof format, "%%%.*s%s%c", (int)conversion->flags_length, conversion->flags,
             whole ? "j" : "", conversion->kind);
    int length = whole ? snprintf(text, sizeof text, format, integer)
                       : snprintf(text, sizeof text, format, real);
    if (length > 0)
        value_add(value,
                  span_make(text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1));
}

static intmax_t take_integer(const struct conversion *conversion, va_list *arguments)
{
    bool is_signed = conversion->kind == 'd' || conversion->kind == 'i';
    if (conversion->size >= 1) /* long, long long and size_t are as wide as each other here */
        return is_signed ? va_arg(*arguments, long) : (intmax_t)va_arg(*arguments, unsigned long);
    int number = va_arg(*arguments, int);
    return is_signed ? number : (intmax_t)(unsigned)number;
}

_Static_assert(sizeof(long) == sizeof(long long) && sizeof(long) == sizeof(size_t) &&
                   sizeof(long) == sizeof(intmax_t),
               "take_integer");

/* A number that every reader of JSON takes for what it is. */
static bool is_plain(intmax_t integer)
{
    return integer > -((intmax_t)1 << 53) && integer < ((intmax_t)1 << 53);
}

/* One conversion: `format` stands behind its %. */
static const char *convert(struct value *value, const char *format, va_list *arguments)
{
    struct conversion it;
    bool alone = value->length == 0;
    format = read_conversion(format, arguments, &it);
    char character;
    intmax_t integer;
    switch (it.kind) {
    case 's':
        add_string(value, &it, va_arg(*arguments, const char *));
        break;
    case 'c':
        character = (char)va_arg(*arguments, int);
        value_add(value, span_make(&character, 1));
        break;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
        integer = take_integer(&it, arguments);
        add_printed(value, &it, integer, 0);
        value->number = alone && it.kind != 'x' && !it.flags_length && is_plain(integer);
        break;
    case 'p':
        integer = (intmax_t)va_arg(*arguments, void *);
        it.kind = 'x';
        add_printed(value, &it, integer, 0);
        break;
    case 'f':
    case 'g':
        add_printed(value, &it, 0, va_arg(*arguments, double));
        break;
    default:
        value_add(value, span_of("%"));
        break;
    }
    return format;
}

/* Up to the character that ends the value, which is not consumed. */
static const char *read_value(struct value *value, const char *format, char end, va_list *arguments)
{
    while (*format && *format != end) {
        if (*format == '%') {
            format = convert(value, format + 1, arguments);
        } else {
            value_add(value, span_make(format++, 1));
        }
    }
    return format;
}

/* ---- secrets ---- */

/*
 * A signed token begins with the base64url of `{"`. None should come here at all; this is for the
 * one that came as part of something else, a view's name perhaps.
 */
static void hide_tokens(struct value *value)
{
    static const char start[] = "eyJ", instead[] = "[token]";
    enum { START = sizeof start - 1, INSTEAD = sizeof instead - 1, SHORTEST = 16 };
    for (size_t at = 0; at + SHORTEST <= value->length; at++) {
        if (memcmp(value->data + at, start, START) != 0)
            continue;
        size_t end = at;
        while (end < value->length && (isalnum((unsigned char)value->data[end]) ||
                                       (value->data[end] && strchr("-_.=", value->data[end]))))
            end++;
        if (end - at < SHORTEST)
            continue;
        memcpy(value->data + at, instead, INSTEAD);
        memmove(value->data + at + INSTEAD, value->data + end, value->length - end);
        value->length -= end - at - INSTEAD;
    }
}

/* ---- fields ---- */

static bool is_bare(const struct value *value)
{
    for (size_t i = 0; i < value->length; i++) {
        unsigned char c = (unsigned char)value->data[i];
        if (c <= ' ' || c >= 0x7F || strchr("\"\\=", c))
            return false;
    }
    return value->length > 0;
}

static void add_value(struct log_line *line, struct value *value, bool quoted)
{
    if (!value->number)
        hide_tokens(value);
    quoted = line->json ? !value->number : quoted || value->cut || !is_bare(value);
    size_t length = value->cut ? utf8_whole(value->data, value->length) : value->length;
    if (quoted)
        add(line, span_of("\""));
    bool whole = add_escaped(line, span_make(value->data, length));
    line->cut = line->cut || !whole;
    if (value->cut || !whole)
        add(line, span_of("\xE2\x80\xA6"));
    if (quoted)
        add(line, span_of("\""));
}

static void add_field(struct log_line *line, struct span name, struct value *value, bool quoted)
{
    enum { FRAME = 16 };
    if (line->cut || !has_room(line, name.length + FRAME)) {
        line->cut = true;
        return;
    }
    add(line, span_of(line->json ? ",\"" : " "));
    add(line, name);
    add(line, span_of(line->json ? "\":" : "="));
    add_value(line, value, quoted);
}

void log_line_format(struct log_line *line, const char *format, va_list *arguments)
{
    while (*format) {
        size_t length = strcspn(format, "= %\"");
        bool named = length > 0 && format[length] == '=';
        struct span name = named ? span_make(format, length) : span_of("message");
        format += named ? length + 1 : 0;
        struct value value = {.length = 0};
        bool quoted = named && *format == '"';
        char end = quoted ? '"' : ' ';
        format = read_value(&value, format + quoted, named ? end : '\0', arguments);
        add_field(line, name, &value, quoted);
        format += *format == '"';
        format += *format == ' ';
    }
}

void log_line_number(struct log_line *line, const char *name, uint64_t number)
{
    char text[64];
    int length =
        snprintf(text, sizeof text, line->json ? ",\"%s\":%" PRIu64 : " %s=%" PRIu64, name, number);
    add(line, span_make(text, (size_t)length));
}

/* ---- the ends ---- */

static void add_time(struct log_line *line)
{
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    char text[48];
    gmtime_r(&seconds, &utc);
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    length += (size_t)snprintf(text + length, 8, ".%03dZ", (int)(now_ms % 1000));
    add(line, span_make(text, length));
}

void log_line_begin(struct log_line *line, bool json, const char *level, const char *component,
                    const char *event)
{
    const char *const members[][2] = {
        {"\",\"level\":\"", level}, {"\",\"component\":\"", component}, {"\",\"event\":\"", event}};
    line->length = 0;
    line->json = json;
    line->cut = false;
    add(line, span_of(json ? "{\"time\":\"" : ""));
    add_time(line);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        add(line, span_of(json ? members[i][0] : " "));
        line->cut = !add_escaped(line, span_of(members[i][1])) || line->cut;
    }
    add(line, span_of(json ? "\"" : ""));
}

void log_line_end(struct log_line *line)
{
    if (line->cut)
        add(line, span_of(line->json ? ",\"cut\":true" : " cut=true"));
    add(line, span_of(line->json ? "}\n" : "\n"));
}
