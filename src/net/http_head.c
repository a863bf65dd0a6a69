#include "net/http_head.h"

#include <strings.h>

/* Of these a second line would be taken differently by others on the way. */
static const char *const single[] = {
    "host",   "content-length",    "transfer-encoding",     "authorization",    "origin",
    "expect", "sec-websocket-key", "sec-websocket-version", "content-encoding", "idempotency-key"};

/* ---- finding the end ---- */

/* A line feed by itself ends it too: what follows cannot be understood. */
size_t http_head_length(struct span bytes, size_t *seen)
{
    const char *data = bytes.data;
    for (size_t i = *seen; i < bytes.length; i++) {
        const char *feed = memchr(data + i, '\n', bytes.length - i);
        if (!feed)
            break;
        i = (size_t)(feed - data);
        if (i == 0 || data[i - 1] != '\r' || (i >= 3 && memcmp(feed - 3, "\r\n\r\n", 4) == 0))
            return i + 1;
    }
    *seen = bytes.length;
    return 0;
}

/* ---- characters ---- */

bool http_is_token(struct span text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.length; i++)
        if (!text.data[i] || !strchr(plain, text.data[i]))
            return false;
    return text.length > 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span text)
{
    while (text.length && is_blank(text.data[0]))
        text = span_make(text.data + 1, text.length - 1);
    while (text.length && is_blank(text.data[text.length - 1]))
        text.length--;
    return text;
}

static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

static bool is_word(struct span text, const char *word)
{
    return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

static bool bad(struct error *error, const char *what)
{
    return error_set(error, ERROR_INVALID_MESSAGE, "the head of the request is not HTTP: %s", what);
}

/* ---- the first line ---- */

static enum http_method method_of(struct span name)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "OPTIONS", "DELETE"};
    for (int i = 0; i < HTTP_OTHER; i++)
        if (span_equal(name, span_of(names[i])))
            return (enum http_method)i;
    return HTTP_OTHER;
}

static bool read_version(struct span version, struct http_head *head, struct error *error)
{
    if (span_equal(version, span_of("HTTP/1.1")))
        head->minor = 1;
    else if (span_equal(version, span_of("HTTP/1.0")))
        head->minor = 0;
    else if (version.length == 8 && memcmp(version.data, "HTTP/", 5) == 0)
        return error_set(error, ERROR_HTTP_VERSION, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    else
        return bad(error, "the first line has no version");
    return true;
}

static bool read_first_line(char *line, size_t length, struct http_head *head, struct error *error)
{
    const char *space = memchr(line, ' ', length);
    const char *last = memrchr(line, ' ', length);
    if (!space || last == space)
        return bad(error, "the first line is not METHOD, target and version with a space between");
    struct span method = span_make(line, (size_t)(space - line));
    size_t target = (size_t)(space - line) + 1, target_length = (size_t)(last - space) - 1;
    if (!http_is_token(method))
        return bad(error, "the method has characters that none can have");
    if (!read_version(span_make(last + 1, length - (size_t)(last - line) - 1), head, error))
        return false;
    if (target_length > HTTP_TARGET_LIMIT)
        return error_set(error, ERROR_TARGET_TOO_LONG,
                         "the target of the request has %zu bytes; at most %d are taken",
                         target_length, HTTP_TARGET_LIMIT);
    head->method = method_of(method);
    return http_target_read(line + target, target_length, head, error);
}

/* ---- the other lines ---- */

static bool read_line(char *line, size_t length, struct http_head *head, struct error *error)
{
    char *colon = memchr(line, ':', length);
    if (is_blank(*line))
        return bad(error, "a header goes on in a second line");
    if (!colon || !http_is_token(span_make(line, (size_t)(colon - line))))
        return bad(error, "a line is no header, which is a name, a colon and a value");
    if (head->count == HTTP_HEADERS)
        return error_set(error, ERROR_HEAD_TOO_LARGE, "the request has more than %d headers",
                         HTTP_HEADERS);
    struct http_header *header = &head->headers[head->count++];
    for (char *c = line; c < colon; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    header->name = span_make(line, (size_t)(colon - line));
    header->value = trim(span_make(colon + 1, length - header->name.length - 1));
    return !has_control(header->value) ||
           bad(error, "a header has a control character in its value");
}

/* Lines are cut at CRLF. A lone CR or LF is found as a control character in a value, or as a
 * character that no token and no target has. */
static bool read_lines(char *text, size_t length, struct http_head *head, struct error *error)
{
    char *line = text, *end = text + length;
    for (bool first = true; line < end; first = false) {
        char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
        size_t size = (size_t)((stop ? stop : end) - line);
        if (!stop)
            return bad(error, "a line does not end with CR LF");
        if (!size && !first)
            return true;
        bool good =
            first ? read_first_line(line, size, head, error) : read_line(line, size, head, error);
        if (!good)
            return false;
        line = stop + 2;
    }
    return bad(error, "there is no empty line at its end");
}

/* ---- what the headers mean ---- */

struct span http_head_value(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->count; i++)
        if (span_equal(head->headers[i].name, span_of(name)))
            return head->headers[i].value;
    return span_make(NULL, 0);
}

static bool value_has_word(struct span value, const char *word)
{
    while (value.data) {
        const char *comma = value.length ? memchr(value.data, ',', value.length) : NULL;
        size_t length = comma ? (size_t)(comma - value.data) : value.length;
        if (is_word(trim(span_make(value.data, length)), word))
            return true;
        value = comma ? span_make(comma + 1, value.length - length - 1) : span_make(NULL, 0);
    }
    return false;
}

bool http_head_has_word(const struct http_head *head, const char *name, const char *word)
{
    for (size_t i = 0; i < head->count; i++)
        if (span_equal(head->headers[i].name, span_of(name)) &&
            value_has_word(head->headers[i].value, word))
            return true;
    return false;
}

static bool check_single(const struct http_head *head, struct error *error)
{
    for (size_t s = 0; s < sizeof single / sizeof *single; s++) {
        size_t lines = 0;
        for (size_t i = 0; i < head->count; i++)
            lines += span_equal(head->headers[i].name, span_of(single[s]));
        if (lines > 1)
            return error_set(error, ERROR_INVALID_MESSAGE,
                             "the header '%s' is given twice in the request", single[s]);
    }
    return true;
}

/* The Host, or what the target names in its place (RFC 9112, 3.2.2). */
static bool check_host(struct http_head *head, struct error *error)
{
    struct span host = http_head_value(head, "host");
    if (!host.data && head->minor > 0)
        return bad(error, "there is no Host");
    if (!http_host_is_good(host))
        return bad(error, "the Host is not written as NAME or NAME:PORT");
    for (size_t i = 0; head->authority.data && i < head->count; i++)
        if (span_equal(head->headers[i].name, span_of("host")))
            head->headers[i].value = head->authority;
    return true;
}

static bool read_length(struct span value, int64_t *length, struct error *error)
{
    enum { MOST_DIGITS = 18 };
    int64_t number = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9' || i == MOST_DIGITS)
            return bad(error, "Content-Length is no number of bytes");
        number = number * 10 + (value.data[i] - '0');
    }
    *length = number;
    return value.length > 0 || bad(error, "Content-Length is empty");
}

static bool read_body(struct http_head *head, struct error *error)
{
    struct span length = http_head_value(head, "content-length");
    struct span coding = http_head_value(head, "transfer-encoding");
    head->body_length = 0;
    if (!coding.data)
        return !length.data || read_length(length, &head->body_length, error);
    if (length.data || head->minor == 0)
        return bad(error, "Transfer-Encoding stands beside a Content-Length, or in HTTP/1.0");
    if (!is_word(coding, "chunked"))
        return error_set(error, ERROR_NOT_IMPLEMENTED,
                         "Transfer-Encoding '%.*s' is not spoken here; send 'chunked', or a "
                         "Content-Length",
                         (int)(coding.length < 64 ? coding.length : 64), coding.data);
    head->body_length = HTTP_CHUNKED;
    return true;
}

static bool read_wishes(struct http_head *head, struct error *error)
{
    struct span expect = http_head_value(head, "expect");
    bool close = http_head_has_word(head, "connection", "close");
    bool keep = http_head_has_word(head, "connection", "keep-alive");
    head->keep_alive = !close && (head->minor > 0 || keep);
    head->wants_websocket = http_head_has_word(head, "upgrade", "websocket");
    head->expects_continue = expect.data && head->minor > 0;
    return !head->expects_continue || is_word(expect, "100-continue") ||
           error_set(error, ERROR_EXPECTATION,
                     "the request expects '%.*s'; only 100-continue can be met",
                     (int)(expect.length < 64 ? expect.length : 64), expect.data);
}

bool http_head_read(char *text, size_t length, struct http_head *head, struct error *error)
{
    head->count = 0;
    head->keep_alive = false;
    return read_lines(text, length, head, error) && check_single(head, error) &&
           check_host(head, error) && read_body(head, error) && read_wishes(head, error);
}
