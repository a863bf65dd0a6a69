/* The words of a request about its sender: its headers and its query. */
#include "access/access_internal.h"

static struct span trim(struct span text)
{
    while (text.length && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = span_make(text.data + 1, text.length - 1);
    while (text.length && strchr(" \t", text.data[text.length - 1]))
        text.length--;
    return text;
}

/* Another scheme than Bearer counts as none: it may be meant for a proxy on the way. */
static struct span bearer(struct span value)
{
    static const char scheme[] = "bearer";
    enum { SCHEME = sizeof scheme - 1 };
    struct span token = span_make(NULL, 0);
    if (value.length > SCHEME && strncasecmp(value.data, scheme, SCHEME) == 0 &&
        strchr(" \t", value.data[SCHEME]))
        token = trim(span_make(value.data + SCHEME, value.length - SCHEME));
    return token.length ? token : span_make(NULL, 0);
}

/* Browsers cannot set a header when they open a WebSocket. The first of several counts. */
static struct span read_query(struct span query, char *room)
{
    struct span argument, token = span_make(NULL, 0);
    size_t at = 0;
    while (!token.data && (argument = http_next_argument(query, &at, room)).data)
        access_is_token(argument, &token);
    return token;
}

bool access_is_token(struct span argument, struct span *token)
{
    static const char *const names[] = {"hs_token=", "token="};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        if (argument.length < length || memcmp(argument.data, names[i], length) != 0)
            continue;
        if (argument.length > length)
            *token = span_make(argument.data + length, argument.length - length);
        return true;
    }
    return false;
}

/* Nothing in a head is longer than the room. */
struct span access_read_token(const struct net_connection *connection,
                              char room[ACCESS_TOKEN_BYTES])
{
    const struct http_head *head = net_state(connection).request;
    struct span token = bearer(http_head_value(head, "authorization"));
    return token.data ? token : read_query(head->query, room);
}

bool access_is_awaited(const struct net_connection *connection)
{
    static const char wish[] = "auth=message";
    char room[ACCESS_TOKEN_BYTES];
    struct span argument, query = net_state(connection).request->query;
    size_t at = 0;
    bool found = false;
    while (!found && (argument = http_next_argument(query, &at, room)).data)
        found = span_equal(argument, span_of(wish));
    return found && !access_read_token(connection, room).data;
}

bool access_read_origin(const struct net_connection *connection, char room[ACCESS_ORIGIN_BYTES],
                        struct span *origin, struct error *error)
{
    struct span value = net_header(connection, "origin");
    *origin = span_make(NULL, 0);
    if (!value.data)
        return true;
    if (value.length >= ACCESS_ORIGIN_BYTES)
        return error_set(error, ERROR_ORIGIN_MISMATCH, "the origin is longer than any can be");
    memcpy(room, value.data, value.length);
    room[value.length] = '\0';
    *origin = span_make(room, value.length);
    return true;
}
