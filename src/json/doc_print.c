/*
 * Canonical text out: the output window, values with their arrays cut, and raw bytes to and from
 * string form.
 */
#include "json/doc_internal.h"

#include "base/utf8.h"

bool doc_writer_open(struct doc_writer *writer, struct buffer *out, size_t bound)
{
    size_t room = out->limit > out->length ? out->limit - out->length : 0;
    bound = bound < room ? bound : room;
    writer->full = out->failed;
    if (bound == 0) {
        /* No room is no lack of memory: an empty window, which anything overfills. */
        static char nowhere;
        writer->at = writer->end = out->data ? out->data + out->length : &nowhere;
        return true;
    }
    writer->at = buffer_reserve(out, bound);
    writer->end = writer->at ? writer->at + bound : NULL;
    return writer->at != NULL;
}

bool doc_writer_close(struct doc_writer *writer, struct buffer *out)
{
    if (writer->full) {
        out->failed = true;
        return false;
    }
    if (out->data)
        out->length = (size_t)(writer->at - out->data);
    return true;
}

bool doc_writer_error(const struct doc_writer *writer, const struct buffer *out, const char *what,
                      struct error *error)
{
    if (writer->full)
        return error_set(error, ERROR_TOO_LARGE, "%s would be larger than %zu bytes", what,
                         out->limit);
    return error_set(error, ERROR_MEMORY, "out of memory for %s", what);
}

void doc_put_cut(struct doc_writer *writer, const struct doc *doc, struct doc_range range,
                 uint32_t max_array)
{
    const char *text = doc->text.data;
    uint32_t from = range.from, i = range.first;
    /* The nodes stand in the order of the text: what is between two cuts goes out in one copy. */
    while (max_array && doc->longest_array > max_array && i < range.end) {
        const struct doc_node *node = &doc->nodes[i];
        if (node->type != DOC_ARRAY || node->count <= max_array) {
            i++;
            continue;
        }
        i = doc_child_after(doc, i, node->count - max_array);
        doc_put(writer, text + from, node->value + 1 - from);
        from = doc->nodes[i].value;
    }
    doc_put(writer, text + from, range.to - from);
}

void doc_put_value(struct doc_writer *writer, const struct doc *doc, uint32_t node,
                   uint32_t max_array)
{
    const struct doc_node *it = &doc->nodes[node];
    struct doc_range range = {it->value, it->value + it->value_length, node, it->end};
    doc_put_cut(writer, doc, range, max_array);
}

bool doc_print_cut(const struct doc *doc, uint32_t node, uint32_t max_array, struct buffer *out)
{
    struct doc_writer writer;
    if (!doc_writer_open(&writer, out, doc->nodes[node].value_length))
        return false;
    doc_put_value(&writer, doc, node, max_array);
    return doc_writer_close(&writer, out);
}

static char short_escape(unsigned char c)
{
    switch (c) {
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '"':
    case '\\':
        return (char)c;
    default:
        return 0;
    }
}

size_t doc_escape_byte(unsigned char c, char escape[6])
{
    static const char hex[] = "0123456789abcdef";
    escape[0] = '\\';
    escape[1] = short_escape(c);
    if (escape[1])
        return 2;
    memcpy(escape + 1, "u00", 3);
    escape[4] = hex[c >> 4];
    escape[5] = hex[c & 15];
    return 6;
}

bool doc_escape_bare(struct buffer *out, struct span raw)
{
    size_t done = 0;
    for (size_t i = 0; i < raw.length; i++) {
        unsigned char c = (unsigned char)raw.data[i];
        if (c >= ' ' && c != '"' && c != '\\')
            continue;
        char escape[6];
        buffer_add(out, raw.data + done, i - done);
        buffer_add(out, escape, doc_escape_byte(c, escape));
        done = i + 1;
    }
    return buffer_add(out, raw.data + done, raw.length - done);
}

bool doc_escape(struct buffer *out, struct span raw)
{
    buffer_add_char(out, '"');
    doc_escape_bare(out, raw);
    return buffer_add_char(out, '"');
}

char doc_unescape(const char *letter)
{
    static const char letters[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    if (*letter == 'u') {
        /* Canonical text has \u only as \u00xx, in lower case. */
        int high = letter[3] - '0', low = letter[4] <= '9' ? letter[4] - '0' : letter[4] - 'a' + 10;
        return (char)(high * 16 + low);
    }
    const char *found = strchr(letters, *letter);
    return found ? bytes[found - letters] : *letter;
}

bool doc_decode_string(const struct doc *doc, uint32_t node, struct buffer *out)
{
    struct span text = doc_text(doc, node);
    const char *at = text.data + 1, *end = text.data + text.length - 1;
    if (doc->nodes[node].type != DOC_STRING && doc->nodes[node].type != DOC_WIDE)
        return false;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        if (!escape)
            escape = end;
        buffer_add(out, at, (size_t)(escape - at));
        if (escape == end)
            break;
        buffer_add_char(out, doc_unescape(escape + 1));
        at = escape + (escape[1] == 'u' ? 6 : 2);
    }
    return !out->failed;
}

bool doc_valid_utf8(struct span raw)
{
    size_t length;
    for (size_t at = 0; at < raw.length; at += length) {
        length = utf8_character(raw.data + at, raw.length - at);
        if (!length)
            return false;
    }
    return true;
}
