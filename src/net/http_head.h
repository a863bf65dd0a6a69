/*
 * The head of an HTTP/1 request, read strictly. Pure: bytes in, a description or an error out.
 *
 * When a proxy and a server disagree on where a request ends, the bytes of one client become the
 * request of another. So nothing is guessed here. A head is refused unless
 *   1. every line ends with CRLF, and no other CR, LF, NUL or control character stands in it;
 *   2. the first line is METHOD, one space, target, one space, HTTP/1.0 or HTTP/1.1;
 *   3. every other line is a name of token characters, a colon, and a value (no folded lines);
 *   4. a header that may stand once only stands once; HTTP/1.1 names a host, written as NAME or
 *      NAME:PORT;
 *   5. it has at most one of Content-Length (digits) and Transfer-Encoding (chunked, in HTTP/1.1);
 *   6. the path begins with "/", has no empty or dot segment, and its escapes are valid.
 */
#ifndef NET_HTTP_HEAD_H
#define NET_HTTP_HEAD_H

#include "base/base.h"

enum {
    HTTP_HEADERS = 100,       /* lines that one request may have */
    HTTP_HEAD_LIMIT = 16384,  /* bytes of a head; a token may make it long */
    HTTP_TARGET_LIMIT = 12288 /* bytes of the target in it */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OPTIONS, HTTP_DELETE, HTTP_OTHER };

enum { HTTP_CHUNKED = -1 }; /* the body's length is known only from its chunks */

struct http_header {
    struct span name; /* in lower case */
    struct span value;
};

struct http_head {
    enum http_method method;
    unsigned minor;        /* of the version HTTP/1.minor */
    struct span authority; /* of a target "http://authority/path"; absent: it had none */
    struct span path;      /* without its escapes */
    size_t path_plain;   /* its bytes before the first '/' that was an escape; all bytes if there is
                            none */
    struct span query;   /* as it came, behind the "?"; absent: there is none */
    int64_t body_length; /* bytes, or HTTP_CHUNKED */
    bool keep_alive;     /* the client wants to send another request */
    bool expects_continue; /* it waits for "100 Continue" before it sends the body */
    bool wants_websocket;  /* the client offers an upgrade to websocket; other offers are ignored */
    size_t count;
    struct http_header headers[HTTP_HEADERS];
};

/*
 * The length of the head at the start of `bytes`, with its empty line, or up to the byte where it
 * stops being one; 0: it has not ended. `*seen` is how far an earlier call has searched; 0 at
 * first.
 */
size_t http_head_length(struct span bytes, size_t *seen);
/*
 * Read a whole head. `text` is changed: names become lower case and the path loses its escapes; the
 * spans of `head` point into it. false with an error, whose code has the status of the answer.
 */
bool http_head_read(char *text, size_t length, struct http_head *head, struct error *error);
/* The value of a header, by its name in lower case; absent: it is not there. Of several lines
 * with the name, the first. The host is that of the target, if it names one. */
struct span http_head_value(const struct http_head *head, const char *name);
/* Whether a header is a list (with commas, over all its lines) that has this word, in any case. */
bool http_head_has_word(const struct http_head *head, const char *name, const char *word);

/*
 * The next argument of a query, "name=value", without escapes, in `room`. `*at` is the place in the
 * query, 0 at first. Absent: there are no more. The room must have the length of the query.
 */
struct span http_next_argument(struct span query, size_t *at, char *room);

/* http_target.c: read the target of the first line; `text` is changed. */
bool http_target_read(char *text, size_t length, struct http_head *head, struct error *error);
/* Whether an authority is well formed: a name or an address, IPv6 in brackets, and possibly a
 * port. An empty one is, too. */
bool http_host_is_good(struct span host);
/* Whether it is a valid name of a method or a header. */
bool http_is_token(struct span text);

#endif
