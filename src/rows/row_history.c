#include "rows/row_history.h"
#include "rows/show.h"

#include <inttypes.h>

enum { EVENT_DEPTH = 1024 }; /* more than max_depth may ever be */

void row_history_init(struct row_history *history)
{
    *history = (struct row_history){.from = 0};
    row_past_init(&history->past);
    buffer_init(&history->scratch, UINT32_MAX);
    buffer_init(&history->data, UINT32_MAX);
    buffer_init(&history->append, UINT32_MAX);
    for (size_t i = 0; i < 2; i++)
        buffer_init(&history->shown[i], UINT32_MAX);
    buffer_init(&history->events, UINT32_MAX);
}

void row_history_fini(struct row_history *history)
{
    row_past_fini(&history->past);
    buffer_fini(&history->scratch);
    buffer_fini(&history->data);
    buffer_fini(&history->append);
    for (size_t i = 0; i < 2; i++)
        buffer_fini(&history->shown[i]);
    buffer_fini(&history->events);
}

static bool lacks_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while reading a history");
}

/* ---- one change ---- */

/* Who does not see the row any more, or did not before, learns no more than that. */
static const char *operation_of(enum replay_effect effect, enum row_operation operation)
{
    switch (effect) {
    case REPLAY_NOTHING:
    case REPLAY_GONE:
        return operation == ROW_EVICT ? "evict" : "delete";
    case REPLAY_BEGINS:
        return operation == ROW_CREATE ? "create" : "upsert";
    case REPLAY_WHOLE:
        return "upsert";
    case REPLAY_PATCH:
        return "patch";
    }
    return "patch";
}

/* {"a":3} as ["a"], as the view shows it. */
static bool put_append(struct row_history *history, struct span append, struct error *error)
{
    struct doc *doc = &history->past.replay.doc;
    struct buffer *list = &history->append, *out = &history->events;
    struct span shown;
    uint32_t root;
    doc_clear(doc);
    buffer_clear(list);
    if (!doc_parse(doc, append, 2, &root, error))
        return false;
    uint32_t end = doc->nodes[root].end;
    for (uint32_t at = root + 1; at < end; at = doc->nodes[at].end) {
        buffer_add_string(list, list->length ? ",\"" : "[\"");
        buffer_add_span(list, doc_key(doc, at));
        buffer_add_char(list, '"');
    }
    buffer_add_string(list, list->length ? "]" : "[]");
    if (!frame_show_append(history->view, buffer_span(list), &history->scratch, &shown))
        return false;
    if (shown.data) {
        buffer_add_string(out, ",\"append\":");
        buffer_add_span(out, shown);
    }
    return true;
}

/* The patch as the log has it, with its seq, as the view shows it. */
static bool put_data(struct row_history *history, const struct store_change *change,
                     struct error *error)
{
    struct doc *doc = &history->past.replay.doc;
    char seq[SEQ_SIZE];
    struct span shown;
    uint32_t patch;
    doc_clear(doc);
    buffer_clear(&history->data);
    if (!doc_parse(doc, change->patch, EVENT_DEPTH, &patch, error) ||
        !merge_print_patch(&history->data, doc, patch, NULL, 0, 0, frame_seq(seq, change->seq),
                           span_of("{}"), error) ||
        !frame_show(history->view, buffer_span(&history->data), &history->scratch, &shown))
        return false;
    return buffer_add_span(&history->events, shown);
}

static bool show_row(struct row_history *history, enum replay_state state, const struct buffer *row,
                     int which, struct span *shown)
{
    *shown = span_make(NULL, 0);
    return state != REPLAY_THERE ||
           frame_show(history->view, buffer_span(row), &history->shown[which], shown);
}

static bool put_diff(struct row_history *history, struct error *error)
{
    const struct replay *replay = &history->past.replay;
    struct buffer *out = &history->events;
    struct span before, after;
    buffer_add_string(out, ",\"diff\":");
    if (replay->was == REPLAY_UNKNOWN || replay->is == REPLAY_UNKNOWN)
        return buffer_add_string(out, "null");
    return show_row(history, replay->was, &replay->before, 0, &before) &&
           show_row(history, replay->is, &replay->row, 1, &after) &&
           doc_diff(out, before, after, error);
}

static bool put(struct row_history *history, enum replay_effect effect,
                const struct store_change *change, struct error *error)
{
    struct buffer *out = &history->events;
    char seq[SEQ_SIZE];
    bool gone = effect == REPLAY_GONE, done = true;
    buffer_printf(out, "%s{\"offset\":%" PRId64 ",\"time\":%" PRId64 ",\"op\":\"%s\",\"key\":",
                  history->listed ? ",\n" : "", change->id, change->at,
                  operation_of(effect, change->operation));
    doc_escape(out, change->key);
    buffer_add_string(out, ",\"data\":");
    if (gone)
        buffer_add_string(out, "null");
    else
        done = put_data(history, change, error);
    if (done && effect == REPLAY_PATCH && change->append.data)
        done = put_append(history, change->append, error);
    seq_print(seq, change->seq);
    buffer_printf(out, ",\"seq\":\"%s\"", seq);
    done = done && put_diff(history, error);
    history->listed++;
    return (done && buffer_add_char(out, '}')) ||
           (error->code == ERROR_NONE && lacks_memory(error));
}

/* ---- the steps ---- */

struct reading {
    struct row_history *history;
    struct error *error;
    int64_t to; /* read up to here */
    bool ended;
};

static bool is_full(const struct row_history *history)
{
    return history->listed >= history->most || history->events.length >= history->most_bytes;
}

static bool each_change(void *argument, const struct store_change *change,
                        const struct store_entity *entity)
{
    struct reading *reading = argument;
    struct row_history *history = reading->history;
    enum replay_effect effect = replay_effect(history->scope, change);
    (void)entity;
    reading->ended = is_full(history);
    if (reading->ended)
        return false;
    reading->to = change->id;
    if (effect == REPLAY_NOTHING)
        return true;
    if (!replay_step(&history->past.replay, effect, change, reading->error))
        return false;
    bool wanted = !history->query ||
                  (effect != REPLAY_GONE && view_query_holds(history->query, change->patch, 0));
    return !wanted || put(history, effect, change, reading->error);
}

static bool read_changes(struct row_history *history, struct store_reader *reader,
                         const struct view_state *state, struct error *error)
{
    int64_t from = history->from, to = from + history->scan_rows;
    if (to > history->last)
        to = history->last;
    history->expired = from < past_floor(history->scope, state);
    if (history->expired || to <= from)
        return true;
    struct reading reading = {.history = history, .error = error, .to = from};
    if (state->found && view_shows(history->view, history->key) &&
        (!store_scan_changes(reader, state->export.id, history->key, from, to, -1, false,
                             each_change, &reading, error) ||
         error->code != ERROR_NONE))
        return false;
    history->from = reading.ended ? reading.to : to;
    return true;
}

/* What the row was before the first change that is asked for. */
static bool find_row(struct row_history *history, struct store_reader *reader, struct error *error)
{
    struct row_past *past = &history->past;
    past->view = history->view;
    past->scope = history->scope;
    past->key = history->key;
    past->at = history->from;
    past->scan_rows = history->scan_rows;
    past->most = history->most_scanned;
    return row_past_run(past, reader, error);
}

bool row_history_run(struct row_history *history, struct store_reader *reader, struct error *error)
{
    struct view_state state;
    if (history->past.stage != PAST_DONE)
        return find_row(history, reader, error);
    if (!store_read_begin(reader, error))
        return false;
    bool done = view_state_read(&state, history->view, reader, error) &&
                read_changes(history, reader, &state, error);
    store_read_end(reader);
    return done;
}
