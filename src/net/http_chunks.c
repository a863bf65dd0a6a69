#include "net/http_chunks.h"

#include "net/http_head.h"

enum { MOST_DIGITS = 15, MOST_PASSED_OVER = 16 * 1024 };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool bad(struct error *error, const char *what)
{
    return error_set(error, ERROR_INVALID_MESSAGE, "the chunks of the body are not HTTP: %s", what);
}

static bool expect(char c, char wanted, struct http_chunks *chunks, enum http_chunk_state next,
                   struct error *error)
{
    if (c != wanted)
        return bad(error, "a line does not end with CR LF, or a chunk is not as long as it says");
    chunks->state = next;
    return true;
}

static bool take_size(struct http_chunks *chunks, char c, struct error *error)
{
    int digit = hex_digit(c);
    if (digit >= 0 && chunks->digits < MOST_DIGITS) {
        chunks->left = chunks->left * 16 + (uint64_t)digit;
        chunks->digits++;
        return true;
    }
    if (!chunks->digits || digit >= 0)
        return bad(error, "a size has no hex digits, or too many");
    chunks->digits = 0;
    if (c == ';') {
        chunks->state = CHUNK_EXTENSION;
        return true;
    }
    return expect(c, '\r', chunks, CHUNK_SIZE_LF, error);
}

static bool count_passed_over(struct http_chunks *chunks, struct error *error)
{
    return ++chunks->passed_over <= MOST_PASSED_OVER ||
           bad(error, "its extensions or trailers are too long");
}

static bool pass_over(struct http_chunks *chunks, char c, enum http_chunk_state next,
                      struct error *error)
{
    if (c == '\r') {
        chunks->state = next;
        return true;
    }
    if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f)
        return bad(error, "a line has a control character");
    return count_passed_over(chunks, error);
}

/* A line behind the last chunk is a header: nothing else, and no second line of one. */
static bool take_name(struct http_chunks *chunks, char c, struct error *error)
{
    bool ends = c == ':' && chunks->state == CHUNK_TRAILER_NAME;
    if (!ends && !http_is_token(span_make(&c, 1)))
        return bad(error, "a line behind them is no header, which is a name, a colon and a value");
    chunks->state = ends ? CHUNK_TRAILER_VALUE : CHUNK_TRAILER_NAME;
    return count_passed_over(chunks, error);
}

/* One byte that is not data. */
static bool take_one(struct http_chunks *chunks, char c, struct error *error)
{
    switch (chunks->state) {
    case CHUNK_SIZE:
        return take_size(chunks, c, error);
    case CHUNK_EXTENSION:
        return pass_over(chunks, c, CHUNK_SIZE_LF, error);
    case CHUNK_SIZE_LF:
        return expect(c, '\n', chunks, chunks->left ? CHUNK_DATA : CHUNK_TRAILER, error);
    case CHUNK_DATA_CR:
        return expect(c, '\r', chunks, CHUNK_DATA_LF, error);
    case CHUNK_DATA_LF:
        return expect(c, '\n', chunks, CHUNK_SIZE, error);
    case CHUNK_TRAILER:
        if (c == '\r')
            return expect(c, '\r', chunks, CHUNK_LAST_LF, error);
        return take_name(chunks, c, error);
    case CHUNK_TRAILER_NAME:
        return take_name(chunks, c, error);
    case CHUNK_TRAILER_VALUE:
        return pass_over(chunks, c, CHUNK_TRAILER_LF, error);
    case CHUNK_TRAILER_LF:
        return expect(c, '\n', chunks, CHUNK_TRAILER, error);
    case CHUNK_LAST_LF:
        return expect(c, '\n', chunks, CHUNK_END, error);
    case CHUNK_DATA:
    case CHUNK_END:
        break;
    }
    return true;
}

int64_t http_chunks_take(struct http_chunks *chunks, struct span bytes, struct span *data,
                         struct error *error)
{
    size_t at = 0;
    *data = span_make(bytes.data, 0);
    while (at < bytes.length && chunks->state != CHUNK_END) {
        if (chunks->state == CHUNK_DATA) {
            size_t length = bytes.length - at;
            if (length > chunks->left)
                length = (size_t)chunks->left;
            *data = span_make(bytes.data + at, length);
            chunks->left -= length;
            if (!chunks->left)
                chunks->state = CHUNK_DATA_CR;
            return (int64_t)(at + length);
        }
        if (!take_one(chunks, bytes.data[at++], error))
            return -1;
    }
    return (int64_t)at;
}
