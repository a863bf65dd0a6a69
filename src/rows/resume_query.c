/* Looking a cursor up in the log. See docs/protocol.md for what a cursor promises. */
#include "rows/resume_query.h"

/* Changes behind the cursor up to the first that has a greater seq. */
struct late {
    const struct view_state *state;
    struct seq after;
    int64_t until; /* the last of them that is late: view_state_is_late; 0: none */
    bool ended;    /* there is one of a greater seq */
};

static bool each_late(void *argument, const struct store_change *change,
                      const struct store_entity *entity)
{
    struct late *late = argument;
    (void)entity;
    late->ended = seq_compare(change->seq, late->after) > 0;
    if (!late->ended && view_state_is_late(late->state, change->seq))
        late->until = change->id;
    return !late->ended;
}

/*
 * The cursor of view_state_cursor may stand for a state that has the late arrivals behind it. So
 * the client may have them already, and those between. If there is too much to look through, it may
 * have all of them.
 */
static bool find_late(struct resume_query *query, struct store_reader *reader,
                      const struct view_state *state, struct error *error)
{
    struct late late = {.state = state, .after = query->after, .until = query->ambiguous_until};
    int64_t newest = state->export.last_change, until = newest;
    if (!query->accepted || !state->export.floor_change || query->from >= newest)
        return true;
    if (until - query->from > query->scan_rows)
        until = query->from + query->scan_rows;
    int64_t from = query->from > query->ambiguous_until ? query->from : query->ambiguous_until;
    if (!store_scan_changes(reader, state->export.id, span_make(NULL, 0), from, until, -1, false,
                            each_late, &late, error))
        return false;
    query->ambiguous_until = late.ended || until == newest ? late.until : newest;
    return true;
}

/* The seq stands in the log: what follows in commit order. If several changes have it, the client
 * may have had only some of them, so they come again, and may be had already. */
static void accept_found(struct resume_query *query, const struct store_log_state *log,
                         const struct store_seq_range *range)
{
    bool shared = range->last > range->first;
    query->from = shared ? range->first - 1 : range->first;
    query->ambiguous_until = shared ? range->last : 0;
    query->accepted = !range->torn && query->from >= log->cursor_floor;
}

/*
 * 0:0 is the cursor of an export that held nothing yet, so everything is new to the client. It is a
 * seq as well: what it may have had of that comes again.
 */
static void accept_first(struct resume_query *query, const struct view_state *state,
                         const struct store_seq_range *range)
{
    const struct store_export *export = &state->export;
    query->from = export->first_change > 0 ? export->first_change - 1 : state->log.floor_change;
    query->ambiguous_until = range->last;
    query->accepted = export->floor_change == 0 && query->from >= state->log.cursor_floor;
}

/* The newest of the export that was trimmed: all that came since is kept. 0: the seq is not its. */
static int64_t trimmed_change(const struct resume_query *query, const struct store_export *export,
                              bool *shared)
{
    *shared = export->trimmed_seq_shared;
    if (export->floor_change && seq_compare(query->after, export->trimmed_seq) == 0)
        return export->floor_change;
    *shared = export->last_seq_shared;
    return seq_compare(query->after, export->last_seq) == 0 ? export->last_change : 0;
}

static void accept_trimmed(struct resume_query *query, const struct view_state *state)
{
    bool shared;
    query->from = trimmed_change(query, &state->export, &shared);
    query->accepted = !shared && query->from >= state->log.cursor_floor;
}

/*
 * The seq is not in the log, but not older than its floor: whatever has a greater one. The floor is
 * looked at in each step, because what was trimmed between two may have been such a change; what
 * was added between them comes behind `to`.
 */
static bool walk_greater(struct resume_query *query, struct store_reader *reader,
                         const struct view_state *state, struct error *error)
{
    const struct store_log_state *log = &state->log;
    const struct store_export *export = &state->export;
    if (export->floor_change > 0 && seq_compare(query->after, export->floor_seq) <= 0)
        return true;
    if (!store_walk_seqs(reader, state->export.id, &query->walk, query->scan_rows, error))
        return false;
    query->done = query->walk.done;
    bool behind = query->walk.first && query->walk.first <= query->to;
    query->from = behind ? query->walk.first - 1 : query->to;
    query->only_greater = true;
    /* The cursor's position in the log is not known, so neither is what time moved since. */
    query->accepted = query->from >= log->cursor_floor && !query->view->stage;
    return true;
}

/*
 * A cursor of the database that this one is a copy of is good if it stands at a change that both
 * have. Of one that is not in the log any more it cannot be told: a late arrival there may have had
 * any seq.
 */
static bool has_parted(const struct resume_query *query, const struct view_state *state,
                       const struct store_seq_range *range)
{
    int64_t change = range->last;
    bool shared;
    if (!change)
        change = trimmed_change(query, &state->export, &shared);
    return query->origin.parted >= 0 && (change == 0 || change > query->origin.parted);
}

static bool look_up(struct resume_query *query, struct store_reader *reader,
                    const struct view_state *state, struct error *error)
{
    struct store_seq_range range;
    bool shared;
    query->begun = true;
    query->walk = (struct store_seq_walk){.seq = query->after, .export_id = UINT32_MAX};
    query->to = state->log.last_change;
    bool zero = query->after.slot == 0 && query->after.index == 0;
    if (!state->found) {
        query->from = query->to;
        query->accepted = zero; /* nothing is still all there is */
        return true;
    }
    if (seq_compare(query->after, state->log.head) > 0)
        return true;
    if (!store_find_seq(reader, state->export.id, query->after, &range, error))
        return false;
    if (has_parted(query, state, &range))
        return true;
    if (zero)
        accept_first(query, state, &range);
    else if (range.first)
        accept_found(query, &state->log, &range);
    else if (trimmed_change(query, &state->export, &shared))
        accept_trimmed(query, state);
    else
        return walk_greater(query, reader, state, error);
    return find_late(query, reader, state, error);
}

/* Cursors from before the view showed what it does now are refused like those of the floor. One
 * that is known to be of now has no floor, wherever it stands. */
static bool set_floor(const struct resume_query *query, struct view_state *state,
                      struct store_reader *reader, struct error *error)
{
    int64_t since;
    if (query->origin.current) {
        state->log.cursor_floor = 0;
        return true;
    }
    if (!store_read_shape_since(reader, span_of(query->view->id), &since, error))
        return false;
    if (since > 0 && since >= state->log.cursor_floor)
        state->log.cursor_floor = since + 1;
    return true;
}

bool resume_query_look(struct resume_query *query, const struct view_state *state,
                       struct store_reader *reader, struct error *error)
{
    struct view_state floored = *state;
    query->done = true; /* a walk knows better */
    return set_floor(query, &floored, reader, error) && look_up(query, reader, &floored, error);
}

bool resume_query_run(struct resume_query *query, struct store_reader *reader, struct error *error)
{
    struct view_state state;
    if (!store_read_begin(reader, error))
        return false;
    query->done = true; /* a walk knows better */
    bool good = view_state_read(&state, query->view, reader, error) &&
                (query->begun ? set_floor(query, &state, reader, error) &&
                                    walk_greater(query, reader, &state, error)
                              : resume_query_look(query, &state, reader, error));
    store_read_end(reader);
    return good;
}
