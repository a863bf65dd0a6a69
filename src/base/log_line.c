#include "base/log_line.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
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
    bool number; /* JSON has no quotes around it */
};

static void value_add(struct value *value, struct span text)
{
    size_t room = sizeof value->data - value->length;
    size_t length = text.length < room ? text.length : room;
    if (length)
        memcpy(value->data + value->length, text.data, length);
    value->length += length;
    value->cut = value->cut || length < text.length;
}

/* A number that every reader of JSON takes for what it is. */
static bool is_plain(const struct log_field *field)
{
    const int64_t bound = INT64_C(1) << 53;
    int64_t number = (int64_t)field->number;
    return field->kind == LOG_UNSIGNED ? field->number < (uint64_t)bound
                                       : number > -bound && number < bound;
}

static void value_set(struct value *value, const struct log_field *field)
{
    char digits[24];
    bool is_signed = field->kind == LOG_SIGNED;
    if (is_signed || field->kind == LOG_UNSIGNED) {
        snprintf(digits, sizeof digits, is_signed ? "%" PRId64 : "%" PRIu64, field->number);
        value_add(value, span_of(digits));
        value->number = is_plain(field);
    } else {
        value_add(value, field->text);
        value_add(value, span_of(field->suffix));
    }
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

void log_line_field(struct log_line *line, const struct log_field *field)
{
    enum { FRAME = 16 };
    struct value value = {.length = 0};
    if (!field->name)
        return;
    if (line->cut || !has_room(line, strlen(field->name) + FRAME)) {
        line->cut = true;
        return;
    }
    value_set(&value, field);
    add(line, span_of(line->json ? ",\"" : " "));
    add(line, span_of(field->name));
    add(line, span_of(line->json ? "\":" : "="));
    add_value(line, &value, field->kind == LOG_QUOTED);
}

static void add_number(struct log_line *line, const char *name, uint64_t number)
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

void log_line_end(struct log_line *line, const char *name, uint64_t number)
{
    if (number)
        add_number(line, name, number);
    if (line->cut)
        add(line, span_of(line->json ? ",\"cut\":true" : " cut=true"));
    add(line, span_of(line->json ? "}\n" : "\n"));
}
