#include "terminal/terminal.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <unistd.h>
#include <wchar.h>

enum { UNICODE_REPLACEMENT = 0xfffd, TOLD_BYTES = 4096 };

/* ---- characters ---- */

/* One character of valid UTF-8; moves *at. */
static uint32_t next_character(const char **at, const char *end)
{
    const unsigned char *bytes = (const unsigned char *)*at;
    size_t length = *bytes < 0x80 ? 1 : *bytes < 0xe0 ? 2 : *bytes < 0xf0 ? 3 : 4;
    if (length > (size_t)(end - *at))
        length = 1;
    uint32_t character = length == 1 ? *bytes : *bytes & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++)
        character = (character << 6) | (bytes[i] & 0x3fU);
    *at += length;
    return character;
}

static size_t character_width(uint32_t character)
{
    int width = wcwidth((wchar_t)character);
    return width < 0 ? 1 : (size_t)width;
}

size_t cell_width(struct span text)
{
    size_t width = 0;
    for (const char *at = text.data, *end = text.data + text.length; at < end;)
        width += character_width(next_character(&at, end));
    return width;
}

/* Characters that can move the cursor or turn the line around must not reach the terminal. */
static bool is_unfit(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x061c ||
           (character >= 0x200e && character <= 0x200f) ||
           (character >= 0x2028 && character <= 0x202e) ||
           (character >= 0x2066 && character <= 0x2069);
}

/* Whether what begins at *at must not reach the terminal; moves *at behind it. */
static bool take_unfit(const char **at, const char *end, uint32_t *character)
{
    bool valid = utf8_character(*at, (size_t)(end - *at)) > 0;
    if (valid)
        *character = next_character(at, end);
    else
        ++*at;
    return !valid || is_unfit(*character);
}

/* ---- texts and cells ---- */

/* Append the text with that in place of what must not reach the terminal. */
static void replace(struct buffer *out, struct span text, char other)
{
    for (const char *at = text.data, *end = text.data + text.length; at < end;) {
        const char *start = at;
        uint32_t character;
        if (take_unfit(&at, end, &character))
            buffer_add_char(out, other);
        else
            buffer_add(out, start, (size_t)(at - start));
    }
}

void cell_fit(struct buffer *out, struct span text)
{
    replace(out, text, ' ');
}

void cell_escape(struct buffer *out, struct span json)
{
    for (const char *at = json.data, *end = json.data + json.length; at < end;) {
        const char *start = at;
        uint32_t character = UNICODE_REPLACEMENT;
        if (!take_unfit(&at, end, &character) || *start == '\n')
            buffer_add(out, start, (size_t)(at - start));
        else if (*start == '\t' || *start == '\r')
            buffer_add_char(out, ' '); /* between tokens */
        else
            buffer_printf(out, "\\u%04x", (unsigned)character);
    }
}

void cell_pad(struct buffer *out, struct span text, size_t width, bool right)
{
    size_t wanted = cell_width(text), used = 0;
    for (size_t i = wanted; right && i < width; i++)
        buffer_add_char(out, ' ');
    if (wanted <= width) {
        buffer_add_span(out, text);
    } else {
        const char *at = text.data, *end = text.data + text.length;
        while (at < end) {
            const char *start = at;
            size_t more = character_width(next_character(&at, end));
            if (used + more + 1 > width)
                break;
            used += more;
            buffer_add(out, start, (size_t)(at - start));
        }
        buffer_add_string(out, "…");
        wanted = used + 1;
    }
    for (size_t i = wanted; !right && i < width; i++)
        buffer_add_char(out, ' ');
}

/* ---- on a stream ---- */

void output_tell(const char *format, ...)
{
    char text[TOLD_BYTES];
    struct buffer fit;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_init(&fit, UINT32_MAX);
    cell_fit(&fit, span_of(text));
    buffer_add_char(&fit, '\n');
    fwrite(buffer_span(&fit).data, 1, fit.length, stderr);
    buffer_fini(&fit);
}

static void put(FILE *out, const struct buffer *text)
{
    if (text->length)
        fwrite(text->data, 1, text->length, out);
}

void output_text(FILE *out, struct span text)
{
    struct buffer fit;
    buffer_init(&fit, UINT32_MAX);
    replace(&fit, text, '?');
    put(out, &fit);
    buffer_fini(&fit);
}

void output_json(FILE *out, struct span json)
{
    struct buffer escaped;
    buffer_init(&escaped, UINT32_MAX);
    /* The streams may have descriptors of their own, or none (cli/commands.c). */
    if (isatty(out == stderr ? STDERR_FILENO : STDOUT_FILENO))
        cell_escape(&escaped, json);
    else
        fwrite(json.data, 1, json.length, out);
    put(out, &escaped);
    buffer_fini(&escaped);
}
