/* The target of a request: the path and the query of its first line. */
#include "net/http_head.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The character that "%XX" stands for; -1: it stands for none. */
static int escaped(struct span text)
{
    if (text.length < 3 || text.data[0] != '%')
        return -1;
    int high = hex_digit(text.data[1]), low = hex_digit(text.data[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool bad_target(struct error *error, const char *what)
{
    return error_set(error, ERROR_INVALID_MESSAGE, "the target of the request %s", what);
}

/* ---- the path ---- */

static bool is_segment_normal(struct span segment, bool last)
{
    if (!segment.length)
        return last;
    return !span_equal(segment, span_of(".")) && !span_equal(segment, span_of(".."));
}

/* Takes the escapes out of one segment, in place; false: one of them is no escape, or a NUL. *plain
 * is how far it reaches before an escaped '/'. */
static bool unescape(char *to, struct span from, size_t *length, size_t *plain)
{
    size_t at = 0, out = 0;
    *plain = SIZE_MAX;
    while (at < from.length) {
        int c = (unsigned char)from.data[at];
        size_t step = 1;
        if (c == '%') {
            c = escaped(span_make(from.data + at, from.length - at));
            step = 3;
        }
        if (c <= 0)
            return false;
        if (c == '/' && *plain == SIZE_MAX)
            *plain = out;
        to[out++] = (char)c;
        at += step;
    }
    *length = out;
    return true;
}

/* Segments are told apart before their escapes are taken out: "%2F" belongs to a name. */
static bool read_path(char *text, size_t length, struct http_head *head, struct error *error)
{
    size_t out = 0, at = 0, first = SIZE_MAX;
    while (at < length) {
        const char *slash = memchr(text + at + 1, '/', length - at - 1);
        size_t end = slash ? (size_t)(slash - text) : length;
        size_t segment = 0, plain;
        text[out] = '/';
        if (!unescape(text + out + 1, span_make(text + at + 1, end - at - 1), &segment, &plain))
            return bad_target(error, "has a '%' that is not followed by two hex digits, or a NUL");
        if (!is_segment_normal(span_make(text + out + 1, segment), end == length))
            return bad_target(error, "has an empty or a dot segment; send the path as it is meant");
        if (plain != SIZE_MAX && first == SIZE_MAX)
            first = out + 1 + plain;
        out += 1 + segment;
        at = end;
    }
    head->path = span_make(text, out);
    head->path_plain = first == SIZE_MAX ? out : first;
    return true;
}

/* ---- the whole target ---- */

/* "http://host/path", as proxies are asked, means the path; *authority: of which host. */
static char *skip_authority(char *text, size_t length, struct span *authority)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        size_t scheme = strlen(schemes[i]);
        if (length < scheme || strncasecmp(text, schemes[i], scheme) != 0)
            continue;
        char *end = memchr(text + scheme, '/', length - scheme);
        if (!end)
            return NULL;
        *authority = span_make(text + scheme, (size_t)(end - text) - scheme);
        return http_host_is_good(*authority) ? end : NULL;
    }
    return text;
}

static bool has_bad_character(struct span text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f ||
            text.data[i] == '#')
            return true;
    return false;
}

static bool has_bad_escape(struct span text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] == '%' && escaped(span_make(text.data + i, text.length - i)) < 0)
            return true;
    return false;
}

bool http_target_read(char *text, size_t length, struct http_head *head, struct error *error)
{
    head->authority = span_make(NULL, 0);
    if (has_bad_character(span_make(text, length)))
        return bad_target(error, "has a character that must be percent-encoded");
    if (head->method == HTTP_OPTIONS && length == 1 && *text == '*') {
        head->path = span_make(text, length);
        head->path_plain = length;
        head->query = span_make(NULL, 0);
        return true;
    }
    char *start = skip_authority(text, length, &head->authority);
    if (!start || *start != '/')
        return bad_target(error, "does not begin with '/'");
    length -= (size_t)(start - text);
    char *mark = memchr(start, '?', length);
    size_t path = mark ? (size_t)(mark - start) : length;
    head->query = mark ? span_make(mark + 1, length - path - 1) : span_make(NULL, 0);
    if (mark && has_bad_escape(head->query))
        return bad_target(error, "has a '%' in its query that is not followed by two hex digits");
    return read_path(start, path, head, error);
}

struct span http_next_argument(struct span query, size_t *at, char *room)
{
    while (*at < query.length && query.data[*at] == '&')
        ++*at;
    if (*at >= query.length)
        return span_make(NULL, 0);
    size_t length = 0;
    for (; *at < query.length && query.data[*at] != '&'; length++) {
        int c = (unsigned char)query.data[*at];
        if (c == '%') {
            c = escaped(span_make(query.data + *at, query.length - *at));
            *at += 2;
        } else if (c == '+') {
            c = ' ';
        }
        room[length] = (char)c;
        ++*at;
    }
    return span_make(room, length);
}

/* ---- hosts ---- */

static bool consists_of(struct span text, const char *characters)
{
    for (size_t i = 0; i < text.length; i++)
        if (!text.data[i] || !strchr(characters, text.data[i]))
            return false;
    return true;
}

static bool is_port(struct span port)
{
    enum { MOST_DIGITS = 5, HIGHEST = 65535 };
    long number = 0;
    if (port.length > MOST_DIGITS || !consists_of(port, "0123456789"))
        return false;
    for (size_t i = 0; i < port.length; i++)
        number = number * 10 + (port.data[i] - '0');
    return number <= HIGHEST;
}

/* The place where a port's colon may be: behind the brackets, or the first one. NULL: they do
 * not end. */
static const char *end_of_name(struct span host)
{
    if (*host.data != '[') {
        const char *colon = memchr(host.data, ':', host.length);
        return colon ? colon : host.data + host.length;
    }
    const char *bracket = memchr(host.data, ']', host.length);
    return bracket ? bracket + 1 : NULL;
}

bool http_host_is_good(struct span host)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._~!$&'()*+,;=%";
    static const char in_brackets[] = "abcdefABCDEF0123456789:.";
    const char *end = host.length ? end_of_name(host) : NULL;
    if (!end)
        return !host.length;
    size_t length = (size_t)(end - host.data);
    bool good = *host.data == '[' ? consists_of(span_make(host.data + 1, length - 2), in_brackets)
                                  : consists_of(span_make(host.data, length), plain);
    if (length == host.length)
        return good;
    return good && *end == ':' && is_port(span_make(end + 1, host.length - length - 1));
}
