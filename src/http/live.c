#include "http/live.h"

#include "http/http_internal.h"
#include "http/views.h"

#define STREAM_TYPE "text/event-stream"

static const char suffix[] = "/live";
/* How soon a browser comes back, in milliseconds. */
static const char first_line[] = "retry: 2000\n\n";

/* A view of that very name comes first; one without a slash is none. */
static bool cut_suffix(const struct http *http, struct span *view)
{
    size_t length = strlen(suffix);
    if (view->length <= length || memcmp(view->data + view->length - length, suffix, length) != 0 ||
        view_set_find(hub_views(http->frontend->hub), *view))
        return false;
    struct span rest = span_make(view->data, view->length - length);
    if (!memchr(rest.data, '/', rest.length))
        return false;
    *view = rest;
    return true;
}

bool http_live_wants(const struct http *http, const struct net_connection *connection,
                     struct span *view)
{
    return cut_suffix(http, view) ||
           http_head_has_word(net_request(connection), "accept", STREAM_TYPE);
}

/* Only the head is asked for. */
static bool may_read(struct http *http, struct net_connection *connection, struct error *error)
{
    struct principal principal;
    bool may = access_enter(http->frontend->access, connection, PERMISSION_READ, &principal, error);
    if (may)
        principal_fini(&principal);
    return may;
}

static bool start(struct http *http, struct net_connection *connection,
                  const struct wire_message *message, struct error *error)
{
    struct principal principal;
    struct access *access = http->frontend->access;
    if (!access_let_in(access, connection, PERMISSION_SUBSCRIBE, &principal, error))
        return false;
    access_entered(access, connection, &principal, PERMISSION_SUBSCRIBE);
    struct session *session =
        session_stream_new(http->frontend, connection, &principal, message, error);
    if (session)
        net_set_data(connection, session);
    return session != NULL;
}

void http_live_request(struct http *http, struct net_connection *connection, struct span view)
{
    struct wire_message message;
    struct error error;
    struct span last_id = net_header(connection, "last-event-id");
    bool begun = http_views_read_query(connection, view, last_id, false, &message, &error);
    if (begun) {
        begun = net_request(connection)->method == HTTP_HEAD
                    ? may_read(http, connection, &error)
                    : start(http, connection, &message, &error);
        wire_message_fini(&message);
    }
    if (begun)
        http_respond_stream(connection, STREAM_TYPE "; charset=utf-8", span_of(first_line));
    else
        http_respond_error(connection, &error, NULL);
}
