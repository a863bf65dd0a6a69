#include "rows/wanted.h"

static bool refuse(struct error *error, const char *field, const struct view *view, const char *why)
{
    return error_set(error, ERROR_INVALID_PARAMETER, "'%s' is not for view '%.128s': %s", field,
                     view->id, why);
}

bool wanted_check(const struct view *view, const struct wire_subscribe *wanted, int64_t max_rows,
                  struct error *error)
{
    bool cut = wanted->take >= 0 || wanted->skip >= 0;
    if (cut && !view->stage && view->mode != VIEW_LIST)
        return refuse(error, wanted->take >= 0 ? "take" : "skip", view,
                      "it works on lists and derived views");
    if (wanted->take > max_rows)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'take' is %lld; this server gives at most %lld rows (max_window_rows)",
                         (long long)wanted->take, (long long)max_rows);
    if (view->mode == VIEW_STATE && !wanted->key && (!view->stage || view->output == VIEW_KEYED))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'key' is missing: view '%.128s' shows one row, named by its key",
                         view->id);
    return true;
}

/* Rows in an order of their own are kept in memory, so the view must have none, and no end by it.
 */
bool wanted_may_sort(const struct view *view, struct error *error)
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
    return view->mode != VIEW_APPEND || view->stage ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "'where' asks for \"now\", which the events of view '%.128s' cannot answer; "
                     "subscribe to the list of that export",
                     view->id);
}

bool wanted_check_query(const struct view *view, const struct view_query *query,
                        struct error *error)
{
    struct view_query_traits traits = view_query_traits(query);
    return (!traits.sorts || wanted_may_sort(view, error)) &&
           (!traits.is_timed || check_timed(view, error));
}
