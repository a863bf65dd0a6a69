/* The spec of a window: the query of a subscribe message. */
#include "window/reading.h"

enum { DEFAULT_TAKE = 100 };

static bool refuse(struct error *error, const char *field, const struct view *view, const char *why)
{
    return error_set(error, ERROR_INVALID_PARAMETER, "'%s' is not for view '%.128s': %s", field,
                     view->id, why);
}

static bool check(const struct hub *hub, const struct view *view,
                  const struct wire_subscribe *message, struct error *error)
{
    bool cut = message->take >= 0 || message->skip >= 0;
    if (cut && !view->stage && view->mode != VIEW_LIST)
        return refuse(error, message->take >= 0 ? "take" : "skip", view,
                      "it works on lists and derived views");
    if (message->take > hub->options.max_window_rows)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'take' is %lld; this server gives at most %lld rows (max_window_rows)",
                         (long long)message->take, (long long)hub->options.max_window_rows);
    if (view->mode == VIEW_STATE && !message->key && (!view->stage || view->output == VIEW_KEYED))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'key' is missing: view '%.128s' shows one row, named by its key",
                         view->id);
    return true;
}

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

/* A subscription that coalesces gets the diff of an interval, as members of a window do. */
bool window_is_wanted(const struct view *view, const struct wire_subscribe *message)
{
    return view->stage || view->coalesce_ms || message->take >= 0 || message->skip >= 0 ||
           message->query;
}

/* Rows in an order of their own are kept in memory, so the view must have none, and no end by it.
 */
bool window_may_sort(const struct view *view, struct error *error)
{
    const struct view_stage *stage = view->stage;
    if (view->mode != VIEW_LIST)
        return refuse(error, "sort", view, "it works on lists");
    if (stage && stage->sort_path_count)
        return refuse(error, "sort", view, "its definition sorts it");
    return !stage || !stage->has_cut ||
           refuse(error, "sort", view, "its definition cuts it (take, skip, last)");
}

/* Events come of changes, and a row that time alone brings in has none. */
static bool check_timed(const struct view *view, struct error *error)
{
    return !window_tells_events_of(view) ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "'where' asks for \"now\", which the events of view '%.128s' cannot answer; "
                     "subscribe to the list of that export",
                     view->id);
}

static bool make_query(const struct hub *hub, const struct view *view,
                       const struct wire_subscribe *message, struct window_spec *spec,
                       struct error *error)
{
    struct view_query *query =
        view_query_new(view, span_of(message->query), &hub->options.query, error);
    if (!query || (view_query_traits(query).sorts && !window_may_sort(view, error)) ||
        (view_query_traits(query).is_timed && !check_timed(view, error))) {
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
    if (!check(hub, view, message, error))
        return false;
    spec->skip = message->skip > 0 ? message->skip : 0;
    if (spec->skip > HUB_SKIP)
        spec->skip = HUB_SKIP;
    spec->take = wanted_rows(hub, view, message);
    spec->limit = message->snapshot_limit;
    spec->is_short = is_short(hub, view);
    spec->is_partial =
        window_tells_events_of(view) && (!message->with_snapshot || message->snapshot_limit >= 0);
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
