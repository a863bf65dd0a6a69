/* The spec of a window: the query of a subscribe message. */
#include "rows/wanted.h"
#include "window/reading.h"

enum { DEFAULT_TAKE = 100 };

/* A cut that a filter reads anew at each refresh, instead of keeping what passes it. */
static bool is_short(const struct hub *hub, const struct view *view)
{
    const struct view_stage *stage = view->stage;
    return stage && stage->has_cut &&
           (stage->cut.last || (stage->cut.take != VIEW_ALL &&
                                stage->cut.take <= hub->options.max_window_rows / WINDOW_SHORT));
}

static int64_t wanted_rows(const struct hub *hub, const struct view *view,
                           const struct wire_subscribe *message)
{
    if (view->output == VIEW_KEYED)
        return 1;
    if (message->take > 0)
        return message->take;
    if (!view->stage || message->key)
        return VIEW_ALL;
    int64_t otherwise = message->unlimited ? hub->options.max_window_rows : DEFAULT_TAKE;
    return view->stage->cut.take != VIEW_ALL ? view->stage->cut.take : otherwise;
}

static bool make_query(const struct hub *hub, const struct view *view,
                       const struct wire_subscribe *message, struct window_spec *spec,
                       struct error *error)
{
    struct view_query *query =
        view_query_new(view, span_of(message->query), &hub->options.query, error);
    if (!query || !wanted_check_query(view, query, error)) {
        view_query_unref(query);
        return false;
    }
    spec->query = query;
    return true;
}

void window_spec_seek_order(const struct hub *hub, struct window_spec *spec)
{
    spec->stage = spec->view->stage;
    if (!spec->query || spec->key.data || spec->take == VIEW_ALL)
        return; /* all rows at each refresh would cost more than to keep them sorted */
    const struct view_stage *index = view_set_order(hub->views, spec->view, spec->query);
    if (index)
        spec->stage = index;
}

const char *window_spec_index_remedy(const struct window_spec *spec)
{
    return view_query_traits(spec->query).sorts > 1
               ? "sort by one key (an index has one) that a view with that sort alone is for"
               : "define a view with that sort alone as an index";
}

bool window_spec_make(const struct hub *hub, const struct view *view,
                      const struct wire_subscribe *message, struct window_spec *spec,
                      struct error *error)
{
    *spec = (struct window_spec){.view = NULL};
    if (!wanted_check(view, message, hub->options.max_window_rows, error))
        return false;
    spec->skip = message->skip > 0 ? message->skip : 0;
    if (spec->skip > HUB_SKIP)
        spec->skip = HUB_SKIP;
    spec->take = wanted_rows(hub, view, message);
    spec->limit = message->snapshot_limit;
    spec->is_short = is_short(hub, view);
    spec->is_partial =
        tape_is_of(view) && (!message->with_snapshot || message->snapshot_limit >= 0);
    if (message->query && !make_query(hub, view, message, spec, error))
        return false;
    if (message->key) {
        spec->key =
            span_make(memory_copy_string(message->key, strlen(message->key)), strlen(message->key));
        if (!spec->key.data) {
            view_query_unref(spec->query);
            return error_set(error, ERROR_MEMORY, "out of memory for a window");
        }
    }
    spec->view = view_ref(view);
    window_spec_seek_order(hub, spec);
    return true;
}

void window_spec_print_rows(const struct window_spec *spec, struct buffer *out)
{
    buffer_add_char(out, spec->key.data ? 'k' : '-');
    buffer_add_span(out, spec->key);
    buffer_add_char(out, '\n');
    buffer_add_span(out, view_query_traits(spec->query).text);
    buffer_add_char(out, '\n');
    if (spec->scope)
        buffer_add_span(out, row_scope_name(spec->scope));
}

void window_spec_fini(struct window_spec *spec)
{
    view_query_unref(spec->query);
    memory_free((void *)spec->key.data);
    row_scope_unref(spec->scope);
    view_unref(spec->view);
    *spec = (struct window_spec){.view = NULL};
}

bool window_spec_copy(const struct window_spec *spec, struct row_scope *scope,
                      struct window_spec *copy)
{
    *copy = *spec;
    view_ref(copy->view);
    copy->query = view_query_ref(spec->query);
    copy->scope = row_scope_ref(scope);
    if (!spec->key.data)
        return true;
    copy->key = span_make(memory_copy_string(spec->key.data, spec->key.length), spec->key.length);
    if (copy->key.data)
        return true;
    window_spec_fini(copy);
    return false;
}
