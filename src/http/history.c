/* GET /v1/history: what happened to one row, and what it was. */
#include "http/http_internal.h"
#include "http/parts.h"
#include "http/views.h"

enum { VIEW_BYTES = 4 * 1024 };

static const char history_path[] = "/v1/history";

/* The view of "view=", or the append view of "export="; one of both, once. */
static bool read_view(struct span query, struct buffer *view, struct error *error)
{
    char room[HTTP_TARGET_LIMIT];
    struct span argument, name;
    size_t at = 0;
    bool found = false;
    while ((argument = http_next_argument(query, &at, room)).data) {
        name = http_views_names(argument);
        if (!name.data)
            continue;
        if (found)
            return error_set(error, ERROR_INVALID_PARAMETER,
                             "the view is named twice; give 'export' or 'view', once");
        found = true;
        buffer_add(view, argument.data + name.length, argument.length - name.length);
        if (span_equal(name, span_of("export=")))
            buffer_add_string(view, "/append");
    }
    if (view->failed)
        return error_set(error, ERROR_INVALID_PARAMETER, "the view has a name that is too long");
    return found || error_set(error, ERROR_INVALID_PARAMETER,
                              "give the 'export' whose row it is, or an append 'view' of it");
}

static bool answer_request(struct http *http, struct net_connection *connection, struct span path)
{
    struct buffer view;
    struct error error;
    if (!span_equal(path, span_of(history_path)))
        return false;
    if (!http_views_check(connection))
        return true;
    buffer_init(&view, VIEW_BYTES);
    if (read_view(net_state(connection).request->query, &view, &error))
        http_views_answer(http, connection, buffer_span(&view), true);
    else
        http_respond_error(connection, &error, NULL);
    buffer_fini(&view);
    return true;
}

const struct http_part http_history_part = {.request = answer_request};
