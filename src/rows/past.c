#include "rows/past.h"

#include <inttypes.h>
#include <stdio.h>

int64_t past_floor(bool scoped, const struct view_state *state)
{
    int64_t floor = state->found ? state->export.floor_change : state->log.last_change;
    int64_t labels = scoped ? state->log.cursor_floor - 1 : 0;
    return floor > labels ? floor : labels;
}

void row_past_init(struct row_past *past)
{
    *past = (struct row_past){.stage = PAST_BEGIN};
    replay_init(&past->replay);
}

void row_past_fini(struct row_past *past)
{
    replay_fini(&past->replay);
}

/* ---- a scan of some of the log ---- */

struct scan {
    struct row_past *past;
    struct error *error;
    int64_t floor; /* of the last stage */
    bool found;    /* it is over */
};

static int64_t least(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* The changes behind past->next, up to `last`, at most a step; next goes on. */
static bool scan_on(struct row_past *past, struct store_reader *reader, int64_t last,
                    store_each_change each, struct scan *scan)
{
    int64_t from = past->next, to = least(last, from + past->scan_rows);
    past->next = to > from ? to : from;
    past->passed += past->next - from;
    return to <= from || (store_scan_changes(reader, past->export_id, past->key, from, to, -1,
                                             false, each, scan, scan->error) &&
                          scan->error->code == ERROR_NONE);
}

/* The log lost what was to be read next. */
static void forget(struct row_past *past, int64_t floor)
{
    past->replay.is = REPLAY_UNKNOWN;
    past->next = floor;
    past->stage = past->explains ? PAST_SINCE : PAST_DONE;
}

/* ---- where it began ---- */

static bool each_back(void *argument, const struct store_change *change,
                      const struct store_entity *entity)
{
    struct scan *scan = argument;
    (void)entity;
    scan->found = replay_is_known_behind(replay_effect(scan->past->scope, change));
    if (scan->found)
        scan->past->next = change->id - 1;
    return !scan->found;
}

static bool go_back(struct row_past *past, struct store_reader *reader, int64_t floor,
                    struct error *error)
{
    struct scan scan = {.past = past, .error = error};
    int64_t to = past->next;
    int64_t from = to - past->scan_rows > floor ? to - past->scan_rows : floor;
    past->next = from;
    past->passed += to > from ? to - from : 0;
    if (to > from &&
        !store_scan_back(reader, past->export_id, past->key, from, to, each_back, &scan, error))
        return false;
    if (scan.found) {
        past->stage = PAST_FORWARD;
    } else if (from <= floor) {
        past->stage = past->explains ? PAST_BEHIND : PAST_DONE;
        past->next = past->at;
    }
    return true;
}

/* ---- what it was ---- */

static bool each_forward(void *argument, const struct store_change *change,
                         const struct store_entity *entity)
{
    struct scan *scan = argument;
    enum replay_effect effect = replay_effect(scan->past->scope, change);
    (void)entity;
    return effect == REPLAY_NOTHING ||
           replay_step(&scan->past->replay, effect, change, scan->error);
}

static bool go_forward(struct row_past *past, struct store_reader *reader, int64_t floor,
                       struct error *error)
{
    struct scan scan = {.past = past, .error = error};
    if (past->next < floor) {
        forget(past, floor);
        return true;
    }
    bool done = scan_on(past, reader, past->at, each_forward, &scan);
    if (past->next >= past->at)
        past->stage = PAST_DONE;
    return done;
}

/* ---- whether it was there, by the first change behind ---- */

static bool each_behind(void *argument, const struct store_change *change,
                        const struct store_entity *entity)
{
    struct scan *scan = argument;
    struct row_past *past = scan->past;
    enum replay_effect effect = replay_effect(past->scope, change);
    (void)entity;
    scan->found = effect != REPLAY_NOTHING;
    if (!scan->found)
        return true;
    past->next = change->id - 1;
    past->stage = PAST_SINCE;
    if (effect == REPLAY_BEGINS) {
        past->replay.is = REPLAY_ABSENT;
        past->stage = PAST_DONE;
    }
    return false;
}

static bool go_behind(struct row_past *past, struct store_reader *reader, int64_t floor,
                      struct error *error)
{
    struct scan scan = {.past = past, .error = error};
    if (past->next < floor) {
        forget(past, floor);
        return true;
    }
    if (!scan_on(past, reader, past->head, each_behind, &scan))
        return false;
    /* Nothing of it changed, and it is not there, or not seen. */
    if (!scan.found && past->next >= past->head) {
        past->replay.is = REPLAY_ABSENT;
        past->stage = PAST_DONE;
    }
    return true;
}

/* ---- from where on it is known ---- */

static bool each_since(void *argument, const struct store_change *change,
                       const struct store_entity *entity)
{
    struct scan *scan = argument;
    struct row_past *past = scan->past;
    enum replay_effect effect = replay_effect(past->scope, change);
    (void)entity;
    if (effect == REPLAY_NOTHING)
        return true;
    scan->found = replay_is_known_behind(effect);
    /* What begins here was not there before, as far back as the log goes. */
    if (effect == REPLAY_BEGINS && !past->has_seq) {
        past->since = scan->floor;
        return false;
    }
    past->since = change->id;
    past->seq = change->seq;
    past->has_seq = true;
    return !scan->found;
}

/* Without a change that begins it, it is known behind the last one, which is the present. */
static bool find_since(struct row_past *past, struct store_reader *reader, int64_t floor,
                       struct error *error)
{
    struct scan scan = {.past = past, .error = error, .floor = floor};
    if (past->next < floor)
        past->next = floor;
    if (!scan_on(past, reader, past->head, each_since, &scan))
        return false;
    if (scan.found || past->next >= past->head)
        past->stage = PAST_DONE;
    return true;
}

/* ---- the steps ---- */

/* Of a key that went so long ago that the log has lost it. A tombstone goes when the key comes, so
 * the row is not there from its change on. */
static bool find_tombstone(struct row_past *past, struct store_reader *reader, int64_t floor,
                           struct error *error)
{
    struct store_tombstone tombstone;
    bool found = false;
    if (!past->scope &&
        !store_read_tombstone(reader, past->export_id, past->key, &tombstone, &found, error))
        return false;
    if (!found || tombstone.change > floor) {
        forget(past, floor);
        return true;
    }
    past->since = tombstone.change;
    past->seq = tombstone.seq;
    past->has_seq = true;
    past->stage = PAST_DONE;
    return tombstone.change > past->at || replay_set(&past->replay, span_make(NULL, 0), error);
}

static bool begin(struct row_past *past, struct store_reader *reader,
                  const struct view_state *state, int64_t floor, struct error *error)
{
    struct store_entity entity;
    bool found = false;
    past->stage = PAST_DONE;
    past->head = state->log.last_change;
    past->export_id = state->export.id;
    if (!state->found || !view_shows(past->view, past->key))
        return replay_set(&past->replay, span_make(NULL, 0), error);
    if (!store_read_entity(reader, past->export_id, past->key, &entity, &found, error))
        return false;
    found = found && row_scope_shows(past->scope, past->view, entity.data);
    if (found && entity.change <= past->at)
        return replay_set(&past->replay, entity.data, error);
    past->since = found ? entity.change : floor;
    past->next = past->at;
    past->stage = PAST_BACK;
    if (past->at >= floor)
        return true;
    if (!found)
        return find_tombstone(past, reader, floor, error);
    forget(past, floor);
    return true;
}

static bool go_on(struct row_past *past, struct store_reader *reader,
                  const struct view_state *state, struct error *error)
{
    int64_t floor = past_floor(past->scope, state);
    switch (past->stage) {
    case PAST_BEGIN:
        return begin(past, reader, state, floor, error);
    case PAST_BACK:
        return go_back(past, reader, floor, error);
    case PAST_FORWARD:
        return go_forward(past, reader, floor, error);
    case PAST_BEHIND:
        return go_behind(past, reader, floor, error);
    case PAST_SINCE:
        return find_since(past, reader, floor, error);
    case PAST_DONE:
        return true;
    }
    return true;
}

bool row_past_run(struct row_past *past, struct store_reader *reader, struct error *error)
{
    struct view_state state;
    if (!store_read_begin(reader, error))
        return false;
    bool done =
        view_state_read(&state, past->view, reader, error) && go_on(past, reader, &state, error);
    store_read_end(reader);
    if (done && past->stage != PAST_DONE && past->most > 0 && past->passed >= past->most) {
        past->too_far = true;
        past->replay.is = REPLAY_UNKNOWN;
        past->stage = PAST_DONE;
    }
    return done;
}

bool row_past_refuse(const struct row_past *past, struct error *error)
{
    char seq[SEQ_SIZE], since[SEQ_SIZE + 32];
    int length = past->key.length > 128 ? 128 : (int)past->key.length;
    if (past->too_far)
        return error_set(error, ERROR_TOO_LARGE,
                         "what '%.*s' was is more than %" PRId64 " changes away from @%" PRId64
                         ", which is what one request may read (max_filter_rows)",
                         length, past->key.data, past->most, past->at);
    seq_print(seq, past->seq);
    snprintf(since, sizeof since, " (seq %s)", seq);
    return error_set(error, ERROR_HISTORY_TRIMMED,
                     "what '%.*s' was at @%" PRId64 " is not known any more; it is known from "
                     "@%" PRId64 "%s on; a longer retention_rows, retention_seconds or "
                     "retention_bytes keeps more",
                     length, past->key.data, past->at, past->since, past->has_seq ? since : "");
}
