/*
 * Since when the row is in the view, or not: by the states that it had, made again from the log,
 * and by the seconds at which time alone changed what a condition says of them. since_cut.c has the
 * views that are cut.
 */
#include "explain/since.h"

#include <inttypes.h>

/* ---- what is not told ---- */

static size_t count_cuts(const struct explaining *explaining, bool *timed)
{
    size_t cuts = 0;
    *timed = view_query_traits(explaining->asked->query).is_timed;
    for (size_t i = 0; i < explaining->stage_count; i++) {
        cuts += explaining->stages[i].stage->has_cut;
        *timed |= explaining->stages[i].stage->timed;
    }
    return cuts;
}

/* NULL: it can be looked for. */
static const char *refusal(const struct explaining *explaining, size_t cuts, bool timed)
{
    const struct explain *asked = explaining->asked;
    if (!asked->sees_others && !(explaining->found && explaining->in_view))
        return "this token sees nothing of rows that the view does not show";
    if (explaining->halted)
        return "it depends on members that are not for you to see";
    if (!view_shows(asked->view, asked->key))
        return "the view never shows this key";
    if (explaining->keyed)
        return "in a view that is keyed by a field, other rows decide";
    if (explaining->part.wanted)
        return "the log does not tell the parts (take, skip) of queries";
    if (cuts && explain_is_scoped(explaining))
        return "the view is cut among rows of everybody";
    if (cuts > 1)
        return "the view has a cut below another one";
    return cuts && timed ? "the view is cut among rows that time moves" : NULL;
}

/* ---- verdicts on a state ---- */

static int64_t rechecks(const struct explaining *explaining, struct span entity, int64_t now)
{
    int64_t first = view_query_rechecks(explaining->asked->query, entity, now);
    for (size_t i = 0; i < explaining->stage_count; i++) {
        int64_t at = view_stage_rechecks(explaining->stages[i].stage, entity, now);
        first = at < first ? at : first;
    }
    return first;
}

/* ---- one state after the other ---- */

/* The way of the row through the log. */
struct own_scan {
    struct explaining *explaining;
    struct explain_since *since;
    struct replay replay;
    bool in;        /* if the state is known */
    int64_t second; /* up to which that is so */
    bool any;       /* there was a change */
};

static void note_move(struct explain_since *since, const struct store_change *change)
{
    since->known = true;
    since->by = SINCE_CHANGE;
    since->change = change->id;
    since->seq = change->seq;
    since->time = change->at;
    since->operation = change->operation;
}

/* Time passes for a row whose text is known. */
static void pass_time(struct own_scan *scan, struct span row, int64_t until)
{
    int64_t at;
    while ((at = rechecks(scan->explaining, row, scan->second)) <= until) {
        bool in = explain_holds(scan->explaining, row, at);
        scan->second = at;
        if (in == scan->in)
            continue;
        scan->in = in;
        scan->since->known = true;
        scan->since->by = SINCE_TIME;
        scan->since->time = at * 1000;
    }
    scan->second = until;
}

static bool state_in(const struct own_scan *scan, int64_t now)
{
    return scan->replay.is == REPLAY_THERE &&
           explain_holds(scan->explaining, buffer_span(&scan->replay.row), now);
}

static bool each_own(void *argument, const struct store_change *change,
                     const struct store_entity *entity)
{
    struct own_scan *scan = argument;
    struct replay *replay = &scan->replay;
    enum replay_effect effect = replay_effect(scan->explaining->asked->scope, change);
    int64_t second = change->at / 1000;
    (void)entity;
    if (effect == REPLAY_NOTHING)
        return true;
    /* Behind a clock that went back the seconds say nothing of what was before. */
    bool back = scan->any && scan->since->timed && second < scan->second;
    if (scan->any && replay->is == REPLAY_THERE && !back)
        pass_time(scan, buffer_span(&replay->row), second);
    bool was_known = replay->is != REPLAY_UNKNOWN && !back, was_in = scan->in;
    if (!replay_step(replay, effect, change, scan->explaining->error))
        return false;
    if (effect == REPLAY_BEGINS) {
        was_known = true;
        was_in = false;
    }
    scan->in = state_in(scan, second);
    scan->second = second;
    scan->any = true;
    scan->since->newest = change->id;
    if (replay->is == REPLAY_UNKNOWN || !was_known)
        explain_since_fail(scan->since, "the log does not reach back to a state of the row before");
    else if (scan->in != was_in)
        note_move(scan->since, change);
    return true;
}

/* The row as it is, where the log does not reach back to a whole state of it. */
static bool take_present(struct own_scan *scan)
{
    const struct explaining *explaining = scan->explaining;
    if (scan->replay.is != REPLAY_UNKNOWN || !explaining->found ||
        scan->since->newest != explaining->change)
        return true;
    if (!replay_set(&scan->replay, buffer_span(&explaining->data), explaining->error))
        return false;
    scan->in = state_in(scan, scan->second);
    return true;
}

/* A row that went before the log begins may have left a tombstone. */
static bool look_for_tombstone(struct explaining *explaining, struct explain_since *since)
{
    struct store_tombstone tombstone;
    bool found = false, plain = !explaining->stage_count && !explaining->asked->query;
    if (explaining->found || explaining->asked->scope)
        return true;
    if (!store_read_tombstone(explaining->reader, explaining->state.export.id,
                              explaining->asked->key, &tombstone, &found, explaining->error))
        return false;
    if (!found)
        return true;
    since->change = tombstone.change;
    since->seq = tombstone.seq;
    since->time = tombstone.at;
    since->operation = ROW_DELETE;
    since->by = SINCE_CHANGE;
    since->known = plain; /* else it may have been out of the view before */
    since->gone = true;
    since->why = "the row is gone, and the log does not reach back to what it was";
    return true;
}

static bool find_own(struct explaining *explaining, struct explain_since *since)
{
    struct own_scan scan = {.explaining = explaining, .since = since};
    replay_init(&scan.replay);
    bool done =
        store_scan_changes(explaining->reader, explaining->state.export.id, explaining->asked->key,
                           since->from, since->to, -1, false, each_own, &scan, explaining->error) &&
        explaining->error->code == ERROR_NONE && take_present(&scan);
    if (done && scan.any && scan.replay.is == REPLAY_THERE)
        pass_time(&scan, buffer_span(&scan.replay.row), explaining->asked->now);
    if (done && !scan.any) {
        explain_since_fail(since, explaining->found
                                      ? EXPLAIN_EARLIER
                                      : "the changes that were read have none of this key");
        done = look_for_tombstone(explaining, since);
    } else if (done && since->known && scan.in != explaining->in) {
        explain_since_fail(since, "the times in the log do not lead to the present");
    }
    replay_fini(&scan.replay);
    return done;
}

/* ---- telling ---- */

static void tell_change(struct explaining *explaining, const struct explain_since *since)
{
    static const char *const operations[] = {[ROW_CREATE] = "create",
                                             [ROW_PATCH] = "patch",
                                             [ROW_UPSERT] = "upsert",
                                             [ROW_DELETE] = "delete",
                                             [ROW_EVICT] = "evict"};
    /* Whether others' labels made it go is not for everybody. */
    bool plain = explain_is_scoped(explaining);
    char seq[SEQ_SIZE];
    seq_print(seq, since->seq);
    buffer_printf(explaining->out, ",\"change\":%" PRId64 ",\"seq\":\"%s\",\"time\":%" PRId64,
                  since->change, seq, since->time);
    if (!plain && since->by == SINCE_CHANGE)
        buffer_printf(explaining->out, ",\"op\":\"%s\"", operations[since->operation]);
}

static void tell(struct explaining *explaining, const struct explain_since *since)
{
    static const char *const words[] = {"change", "another", "time"};
    struct buffer *out = explaining->out;
    buffer_printf(out, ",\n\"since\":{\"known\":%s", since->known ? "true" : "false");
    if (!since->known) {
        buffer_printf(out, ",\"why\":\"%s\"", since->why);
        if (since->gone)
            tell_change(explaining, since);
        else if (since->from)
            buffer_printf(out, ",\"from\":%" PRId64, since->from + 1);
    } else {
        buffer_printf(out, ",\"by\":\"%s\"", words[since->by]);
        if (since->by == SINCE_TIME)
            buffer_printf(out, ",\"time\":%" PRId64, since->time);
        else
            tell_change(explaining, since);
    }
    buffer_add_char(out, '}');
}

bool explain_since(struct explaining *explaining)
{
    const struct explain *asked = explaining->asked;
    const struct view_state *state = &explaining->state;
    struct explain_since since = {.known = false};
    size_t cuts = count_cuts(explaining, &since.timed);
    const char *why = refusal(explaining, cuts, since.timed);
    bool done = true;
    since.to = state->log.last_change;
    since.from = past_floor(asked->scope != NULL, state);
    if (asked->max_changes && since.to - since.from > asked->max_changes)
        since.from = since.to - asked->max_changes;
    since.why = since.from ? EXPLAIN_EARLIER : EXPLAIN_ALWAYS;
    if (!state->found)
        why = "nothing was ever fed";
    if (why) {
        since.from = 0;
        explain_since_fail(&since, why);
    } else {
        done = cuts ? explain_since_cut(explaining, &since) : find_own(explaining, &since);
    }
    if (done)
        tell(explaining, &since);
    return done;
}
