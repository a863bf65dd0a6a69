#include "explain/explain_internal.h"
#include "rows/wanted.h"

/* ---- the question ---- */

bool explain_ask(struct explain *explain, const struct wire_subscribe *wanted,
                 const struct explain_limits *limits, struct view_query **query,
                 struct error *error)
{
    struct wire_subscribe part = *wanted;
    char any[] = "";
    part.key = any; /* a view of single rows wants one */
    *query = NULL;
    if (!wanted_check(explain->view, &part, limits->max_take, error))
        return false;
    if (explain->view->output == VIEW_KEYED && (part.take >= 0 || part.skip >= 0))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "view '%.128s' is keyed by a field: it gives one row, and no part",
                         explain->view->id);
    explain->take = part.take > 0 ? part.take : VIEW_ALL;
    explain->skip = part.skip > 0 ? part.skip : 0;
    if (!part.query)
        return true;
    *query = view_query_new(explain->view, span_of(part.query), &limits->query, error);
    if (*query && wanted_check_query(explain->view, *query, error)) {
        explain->query = *query;
        return true;
    }
    view_query_unref(*query);
    *query = NULL;
    return false;
}

/* ---- the row ---- */

static bool find_row(struct explaining *explaining)
{
    const struct explain *asked = explaining->asked;
    struct store_entity entity;
    bool found;
    if (!view_state_read(&explaining->state, asked->view, explaining->reader, explaining->error))
        return false;
    if (!explaining->state.found)
        return true;
    if (!store_read_entity(explaining->reader, explaining->state.export.id, asked->key, &entity,
                           &found, explaining->error))
        return false;
    explaining->found = found && row_scope_shows(asked->scope, asked->view, entity.data);
    if (!explaining->found)
        return true;
    explaining->change = entity.change;
    explaining->seq = entity.seq;
    return buffer_add_span(&explaining->data, entity.data) || explain_lacks_memory(explaining);
}

/* ---- what becomes of it ---- */

static bool find_all(struct explaining *explaining)
{
    const struct explain *asked = explaining->asked;
    if (!find_row(explaining))
        return false;
    if (!explaining->state.found)
        return true; /* nothing was ever fed, so the view has no stages yet */
    if (!explain_find_stages(explaining))
        return false;
    explaining->in_view = explaining->in_stages && view_shows(asked->view, asked->key);
    explaining->sight = explain_sight(explaining, explaining->in_view);
    if (!explain_find_key(explaining))
        return false;
    explaining->where = explaining->found &&
                        view_query_holds(asked->query, buffer_span(&explaining->data), asked->now);
    explaining->known = explaining->key_known || !explaining->in_view || !explaining->where;
    explaining->in =
        explaining->in_view && explaining->where && (!explaining->keyed || explaining->key_first);
    if (!explain_find_part(explaining))
        return false;
    if (explaining->in && explaining->part.wanted) {
        explaining->known &= explaining->part.known;
        explaining->in = explaining->part.holds;
    }
    return true;
}

static void init(struct explaining *explaining)
{
    buffer_init(&explaining->data, UINT32_MAX);
    buffer_init(&explaining->first_key, UINT32_MAX);
    explain_edge_init(&explaining->part.first);
    explain_edge_init(&explaining->part.last);
    explaining->known = true;
}

static void fini(struct explaining *explaining)
{
    for (size_t i = 0; i < explaining->stage_count; i++)
        buffer_fini(&explaining->stages[i].sort_key);
    memory_free(explaining->stages);
    buffer_fini(&explaining->data);
    buffer_fini(&explaining->first_key);
    explain_edge_fini(&explaining->part.first);
    explain_edge_fini(&explaining->part.last);
}

bool explain_read(const struct explain *explain, struct store_reader *reader, struct buffer *out,
                  struct error *error)
{
    struct explaining explaining = {.asked = explain, .reader = reader, .out = out, .error = error};
    error->code = ERROR_NONE;
    init(&explaining);
    bool done = find_all(&explaining) && explain_tell(&explaining);
    fini(&explaining);
    return done;
}
