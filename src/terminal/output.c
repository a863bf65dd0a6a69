#include "terminal/terminal.h"

#include <stdarg.h>
#include <unistd.h>

enum { TOLD_BYTES = 4096 };

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
    cell_replace(&fit, text, '?');
    put(out, &fit);
    buffer_fini(&fit);
}

void output_json(FILE *out, struct span json)
{
    struct buffer escaped;
    buffer_init(&escaped, UINT32_MAX);
    /* The streams may have descriptors of their own, or none (streams.h). */
    if (isatty(out == stderr ? STDERR_FILENO : STDOUT_FILENO))
        cell_escape(&escaped, json);
    else
        fwrite(json.data, 1, json.length, out);
    put(out, &escaped);
    buffer_fini(&escaped);
}
