/* Where a request says who sends it: its headers and its query. */
#include "server/door_internal.h"

#include <libwebsockets.h>

/* The version stands behind everything that a client can encode. */
bool door_is_whole(struct lws *wsi, struct error *error)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_HTTP) > 0 ||
           error_set(error, ERROR_INVALID_MESSAGE,
                     "the first line of the request has no version of HTTP, or its query has a "
                     "line break");
}

static struct span trim(struct span text)
{
    while (text.length && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = span_make(text.data + 1, text.length - 1);
    while (text.length && strchr(" \t", text.data[text.length - 1]))
        text.length--;
    return text;
}

/* Another scheme than Bearer counts as none: it may be meant for a proxy on the way. */
static void read_header(struct lws *wsi, char *room, struct span *token)
{
    static const char scheme[] = "bearer";
    enum { SCHEME = sizeof scheme - 1 };
    int length = lws_hdr_copy(wsi, room, DOOR_TOKEN_BYTES, WSI_TOKEN_HTTP_AUTHORIZATION);
    if (length <= 0)
        return;
    struct span value = trim(span_make(room, (size_t)length));
    if (value.length <= SCHEME || strncasecmp(value.data, scheme, SCHEME) != 0 ||
        !strchr(" \t", value.data[SCHEME]))
        return;
    value = trim(span_make(value.data + SCHEME, value.length - SCHEME));
    if (value.length)
        *token = value;
}

/* Browsers cannot set a header when they open a WebSocket. The first of several counts. */
static void read_query(struct lws *wsi, char *room, struct span *token)
{
    for (int i = 0; !token->data; i++) {
        int length = lws_hdr_copy_fragment(wsi, room, DOOR_TOKEN_BYTES, WSI_TOKEN_HTTP_URI_ARGS, i);
        /* One that is too long is no token; others may stand behind it. */
        if (length < 0 && lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i) <= 0)
            break;
        if (length > 0)
            door_is_token(span_make(room, (size_t)length), token);
    }
}

bool door_is_token(struct span argument, struct span *token)
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

/* Nothing in a header is longer than the room. */
void door_read_token(struct lws *wsi, char room[DOOR_TOKEN_BYTES], struct span *token)
{
    *token = span_make(NULL, 0);
    read_header(wsi, room, token);
    if (!token->data)
        read_query(wsi, room, token);
}

bool door_read_origin(struct lws *wsi, char room[DOOR_ORIGIN_BYTES], struct span *origin,
                      struct error *error)
{
    *origin = span_make(NULL, 0);
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) <= 0)
        return true;
    int length = lws_hdr_copy(wsi, room, DOOR_ORIGIN_BYTES, WSI_TOKEN_ORIGIN);
    if (length < 0)
        return error_set(error, ERROR_ORIGIN_MISMATCH, "the origin is longer than any can be");
    *origin = span_make(room, (size_t)length);
    return true;
}
