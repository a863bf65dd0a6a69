/* Looking a cursor up in the log. See docs/protocol.md for what a cursor promises. */
#include "server/resume_query.h"
#include "server/view_state.h"

/* The seq stands in the log: what follows in commit order. If several changes have it, the client
 * may have had only some of them, so they come again, and may be had already. */
static void accept_found(struct resume_query *query, const struct store_log_state *log,
                         const struct store_seq_place *place)
{
    /* 0:0 is also the cursor of an export that had nothing yet. */
    bool shared = place->count > 1 || (query->after.slot == 0 && query->after.index == 0);
    query->from = shared ? place->first - 1 : place->first;
    query->ambiguous_until = shared ? place->last : 0;
    query->accepted = !place->torn && query->from >= log->cursor_floor;
}

/* The newest of the export, trimmed by age: nothing came since. */
static void accept_newest(struct resume_query *query, const struct view_state *state)
{
    const struct store_export *export = &state->export;
    const struct store_log_state *log = &state->log;
    query->from = export->last_change > log->floor_change ? export->last_change : log->floor_change;
    query->accepted = !export->last_seq_shared && query->from >= log->cursor_floor;
}

/* The seq is not in the log, but not older than its floor: whatever has a greater one. */
static bool accept_greater(struct resume_query *query, struct store_reader *reader,
                           const struct view_state *state, struct error *error)
{
    const struct store_log_state *log = &state->log;
    int64_t first;
    if (log->floor_change > 0 && seq_compare(query->after, log->floor_seq) <= 0)
        return true;
    if (!store_find_after_seq(reader, state->export.id, query->after, &first, error))
        return false;
    query->from = first ? first - 1 : log->last_change;
    query->only_greater = true;
    query->accepted = query->from >= log->cursor_floor;
    return true;
}

static bool look_up(struct resume_query *query, struct store_reader *reader, struct error *error)
{
    struct view_state state;
    struct store_seq_place place;
    if (!view_state_read(&state, query->view, reader, error))
        return false;
    query->to = state.log.last_change;
    if (!state.found || seq_compare(query->after, state.log.head) > 0)
        return true;
    if (!store_find_seq(reader, state.export.id, query->after, &place, error))
        return false;
    if (place.count)
        accept_found(query, &state.log, &place);
    else if (state.export.last_change && seq_compare(query->after, state.export.last_seq) == 0)
        accept_newest(query, &state);
    else
        return accept_greater(query, reader, &state, error);
    return true;
}

bool resume_query_run(struct resume_query *query, struct store_reader *reader, struct error *error)
{
    if (!store_read_begin(reader, error))
        return false;
    bool done = look_up(query, reader, error);
    store_read_end(reader);
    return done;
}
