/*
 * A window that is read once and kept for nobody: what plain HTTP answers. It is read by the code
 * that reads the windows of subscribers, into an object of its own, and its rows become JSON
 * instead of frames. What a filter over a whole view finds, equal reads share: search.c.
 */
#include "rows/resume_query.h"
#include "rows/row_json.h"
#include "rows/tag.h"
#include "window/answer.h"
#include "window/reading.h"

#include <stdio.h>

enum { BRIEF_BYTES = 256 * 1024 }; /* of JSON, before others' turns; then it begins anew */

struct window_once {
    struct read_job read;
    struct answer_wait wait; /* for its cursor */
    struct hub *hub;
    struct hub_read options; /* without `wanted` and `known`, which were the asker's */
    struct window window;    /* its content and spec; it is in no list */
    char *known;             /* or NULL */
    bool has_after, resumed;
    struct resume_query cursor; /* where `after` stands */
    int64_t change;             /* the newest of the export, in the state that is read */
    bool again;                 /* another job has to go on */
    struct window_search search;
    struct row_json rows;
    struct hub_answer answer;
};

/* ---- the tag ---- */

static void fold_spec(uint64_t *hash, const struct window_spec *spec)
{
    tag_view(hash, spec->view);
    tag_number(hash, spec->skip);
    tag_number(hash, spec->take);
    tag_span(hash, spec->key);
    tag_span(hash, view_query_traits(spec->query).text);
    tag_span(hash, spec->scope ? row_scope_name(spec->scope) : span_make(NULL, 0));
}

/* Whether rows enter and leave the view without any change of an entity. */
static bool is_timed(const struct window *window)
{
    return view_query_traits(window->spec.query).is_timed ||
           view_stage_is_timed(window->spec.stage);
}

/* Several changes may have one seq, so the change's own number is in it; in what time alone
 * changes, also which rows there are. */
static uint64_t window_tag(const struct window *window, const struct seq *after,
                           const struct view_state *state)
{
    uint64_t hash = TAG_START;
    fold_spec(&hash, &window->spec);
    tag_number(&hash, after ? after->slot : -1);
    tag_number(&hash, after ? after->index : -1);
    tag_number(&hash, state->found ? state->export.last_change : 0);
    for (size_t i = 0; is_timed(window) && i < window->content.rows.count; i++)
        tag_span(&hash, window_row_key(window->content.rows.list[i]));
    tag_number(&hash, is_timed(window) && window->content.more);
    return hash;
}

static void make_tag(struct window_once *once, const struct view_state *state)
{
    const struct seq *after = once->has_after ? &once->cursor.after : NULL;
    once->change = state->found ? state->export.last_change : 0;
    const struct window_spec *spec = &once->window.spec;
    char room[VIEW_EPOCH], *seq = once->answer.seq, *epoch = once->answer.epoch;
    seq_print(seq, view_state_cursor(state));
    snprintf(epoch, VIEW_EPOCH, "%s", view_epoch(once->hub, spec->view, spec->scope, room));
    snprintf(once->answer.tag, sizeof once->answer.tag, "%s-%s-%016llx", epoch, seq,
             (unsigned long long)window_tag(&once->window, after, state));
}

/* ---- on a reader: the rows ---- */

static bool begin_body(struct window_once *once)
{
    struct buffer *out = &once->rows.rows.json;
    buffer_add_string(out, "{\"view\":");
    doc_escape(out, span_of(once->window.spec.view->id));
    buffer_printf(out, ",\"mode\":\"%s\",\"epoch\":\"%s\"", wire_mode_names[once->window.mode],
                  once->answer.epoch);
    /* A position stands for a state where a read of the past would find it. */
    if (!is_timed(&once->window) && once->window.spec.view->output != VIEW_KEYED)
        buffer_printf(out, ",\"offset\":%lld", (long long)once->change);
    buffer_printf(out, ",\"seq\":\"%s\"", once->answer.seq);
    if (once->has_after)
        buffer_add_string(out, once->resumed ? ",\"resumed\":true" : ",\"resumed\":false");
    return buffer_add_string(out, ",\"rows\":[");
}

static void start_over(struct window_once *once)
{
    row_json_clear(&once->rows);
    window_rows_fini(&once->window.content.rows);
    once->window.content.known = false;
    once->again = true;
}

/* Too much changed since its matches were found; or it needs some, as it has skipped too much. */
static bool search_anew(struct window_once *once)
{
    start_over(once);
    return !once->search.locked || window_search_anew(&once->search, &once->answer.error);
}

static bool take_changes(struct window_once *once, struct window_reading *reading)
{
    struct window_request request = {.window = &once->window,
                                     .kind = WINDOW_RESUME,
                                     .from = once->cursor.from,
                                     .current = once->cursor.origin.current,
                                     .sink = &once->rows.sink};
    link_init(&request.previous);
    if (!window_encode_resume(reading, &request))
        return false;
    if (request.refused) {
        once->resumed = false;
        start_over(once);
    }
    return true;
}

static bool read_rows(struct window_once *once, struct window_reading *reading)
{
    if (!begin_body(once))
        return false;
    if (!window_read(reading))
        return reading->result->refill && search_anew(once);
    if (reading->exhausted) {
        window_search_missed(&once->search);
        start_over(once);
        return true;
    }
    if (!window_diff(reading))
        return false;
    if (once->resumed)
        return take_changes(once, reading);
    return true;
}

static void explain_failure(struct window_once *once, const struct window_result *result)
{
    if (once->answer.error.code != ERROR_NONE)
        return;
    if (once->rows.too_large && once->rows.max_bytes < ANSWER_BYTES) {
        once->rows.too_large = false;
        once->rows.max_bytes = ANSWER_BYTES;
        start_over(once);
        return;
    }
    once->answer.error = result->error;
    if (once->rows.too_large)
        error_set(&once->answer.error, ERROR_TOO_LARGE,
                  "the answer would have more than %d bytes; ask for fewer rows (take)",
                  ANSWER_BYTES);
    else if (result->error.code == ERROR_NONE)
        error_set(&once->answer.error, ERROR_MEMORY, "out of memory while reading a view");
}

static void read_window(struct window_once *once, struct store_reader *reader)
{
    struct window *window = &once->window;
    struct view_state state;
    struct window_result result = {
        .window = window, .snapshot_wanted = !once->resumed, .sink = &once->rows.sink};
    struct window_reading reading = {.window = window,
                                     .result = &result,
                                     .reader = reader,
                                     .state = &state,
                                     .max_rows = once->hub->options.max_window_rows,
                                     .now = engine_times(once->hub->engine).now / 1000,
                                     .budget = window_search_look(&once->search)};
    if (!view_state_read(&state, window->spec.view, reader, &once->answer.error))
        return;
    bool timed = is_timed(window);
    make_tag(once, &state);
    once->answer.unchanged = !timed && answer_is_known(&once->answer, once->known);
    if (once->answer.unchanged)
        return;
    window_reading_init(&reading);
    if (!read_rows(once, &reading))
        explain_failure(once, &result);
    if (timed && !once->again) {
        make_tag(once, &state);
        once->answer.unchanged = answer_is_known(&once->answer, once->known);
    }
    window_reading_fini(&reading);
}

/* ---- on a reader: the whole ---- */

/* One step; true when it was the last, and went well. */
static bool find_cursor(struct window_once *once, struct store_reader *reader)
{
    struct resume_query *cursor = &once->cursor;
    if (cursor->done)
        return true;
    if (!resume_query_run(cursor, reader, &once->answer.error))
        return false;
    once->resumed = cursor->accepted || !cursor->done;
    once->again = !cursor->done;
    return cursor->done;
}

static void end_body(struct window_once *once)
{
    struct buffer *out = &once->rows.rows.json;
    int64_t take, skip;
    once->answer.silent = once->resumed && !once->rows.rows.rows && !once->rows.removed.length;
    buffer_add_char(out, ']');
    if (window_part(&once->window, &take, &skip))
        buffer_printf(out, ",\"take\":%lld,\"skip\":%lld,\"more\":%s", (long long)take,
                      (long long)skip, once->window.content.more ? "true" : "false");
    if (once->has_after) {
        buffer_add_string(out, ",\"deleted\":[");
        buffer_add_span(out, buffer_span(&once->rows.removed));
        buffer_add_char(out, ']');
    }
    buffer_add_string(out, "}\n");
    answer_set_body(&once->answer, &once->options, out);
}

static bool is_fine(const struct window_once *once)
{
    return once->answer.error.code == ERROR_NONE;
}

/* The same for the matches. */
static bool find_matches(struct window_once *once, struct store_reader *reader)
{
    return !once->search.locked ||
           (window_search_run(&once->search, reader, &once->again, &once->answer.error) &&
            !once->again);
}

static void run_step(struct window_once *once, struct store_reader *reader)
{
    if (!find_matches(once, reader) || (once->resumed && !find_cursor(once, reader)))
        return;
    if (once->resumed && window_filters_all(&once->window) &&
        once->window.matching == MATCHES_WANTED) {
        /* What is near a window's ends is told by these. */
        once->search.wanted = once->again = true;
        return;
    }
    if (!store_read_begin(reader, &once->answer.error))
        return;
    read_window(once, reader);
    store_read_end(reader);
}

static void run(struct read_job *read, struct store_reader *reader)
{
    struct window_once *once = (struct window_once *)read;
    once->again = false;
    window_search_begin(&once->search);
    run_step(once, reader);
    window_search_end(&once->search);
    bool shown = is_fine(once) && !once->again && !once->answer.unchanged;
    if (shown && answer_may_have(&once->answer, &once->options, (int64_t)once->rows.rows.rows))
        end_body(once);
}

/* ---- on the loop ---- */

static void once_free(struct window_once *once)
{
    window_content_fini(&once->window);
    window_spec_fini(&once->window.spec);
    row_json_fini(&once->rows);
    buffer_fini(&once->answer.body);
    memory_free(once->known);
    memory_free(once);
}

static bool go_on(struct window_once *once)
{
    if (!window_search_join(&once->search))
        return error_set(&once->answer.error, ERROR_MEMORY, "out of memory for a view");
    once->read.is_long = once->again || once->search.wanted;
    return answer_ask(once->hub, &once->read, &once->answer.error);
}

static void deliver(struct engine_event *event)
{
    struct window_once *once = (struct window_once *)event;
    if (is_fine(once) && once->again && once->options.is_wanted(once->options.argument) &&
        go_on(once))
        return;
    if (!is_fine(once))
        window_matches_withdraw(&once->window);
    answer_give(&once->answer, &once->options, once->window.spec.view);
    once_free(once);
}

/* This node has come to its cursor, or has not. */
static void on_there(struct answer_wait *wait, const struct error *error)
{
    struct window_once *once = LINK_OWNER(struct window_once, wait, wait);
    if (error)
        once->answer.error = *error;
    once->again = true;
    deliver(&once->read.event);
}

/* The members that the spec owns are taken over in any case. */
static struct window_once *once_new(struct hub *hub, const struct hub_read *options,
                                    struct window_spec *spec)
{
    struct window_once *once = memory_new(sizeof *once);
    if (!once) {
        window_spec_fini(spec);
        return NULL;
    }
    once->read.run = run;
    once->read.event.deliver = deliver;
    once->read.owner = options->owner;
    once->hub = hub;
    once->options = *options;
    once->window.spec = *spec;
    once->window.mode = topic_mode(spec->view);
    if (spec->take == VIEW_ALL && !spec->key.data) {
        once->window.spec.take = ANSWER_TAKE;
        window_spec_seek_order(hub, &once->window.spec);
    }
    once->window.hub = hub;
    window_content_init(&once->window);
    window_search_init(&once->search, &once->window);
    row_json_init(&once->rows, spec->view, once->window.mode, BRIEF_BYTES);
    if (window_is_keyed_by_field(&once->window))
        once->rows.sink.key = once->window.spec.key;
    buffer_init(&once->answer.body, UINT32_MAX);
    if (answer_copy_text(options->known, &once->known))
        return once;
    once_free(once);
    return NULL;
}

bool hub_read_view(struct hub *hub, const struct hub_read *read, struct error *error)
{
    const struct wire_subscribe *wanted = read->wanted;
    const struct view *view;
    struct window_spec spec;
    struct seq after;
    bool has_after;
    if (!subscription_check(hub, read->identity, wanted, &view, &has_after, &after, error))
        return false;
    bool made = window_spec_make(hub, view, wanted, &spec, error);
    view_unref(view); /* the spec has it */
    if (!made)
        return false;
    if (view->scope)
        spec.scope = row_scope_get(&hub->row_scopes, read->identity);
    if (view->scope && !spec.scope) {
        window_spec_fini(&spec);
        return error_set(error, ERROR_MEMORY, "out of memory for a view");
    }
    struct window_once *once = once_new(hub, read, &spec);
    if (!once)
        return error_set(error, ERROR_MEMORY, "out of memory for a view");
    spec = once->window.spec;
    once->has_after = has_after;
    struct cursor_origin origin;
    once->resumed = has_after && view_epoch_fits(hub, view, spec.scope, wanted->epoch, &origin);
    if (has_after)
        once->cursor = (struct resume_query){
            .view = view, .after = after, .scan_rows = hub->options.scan_rows, .origin = origin};
    const struct cursor_place place = {.seq = after};
    if (has_after && view_epoch_is_own(hub, wanted->epoch) && cursor_is_ahead(hub, place)) {
        answer_await(&once->wait, hub, &once->options, place, on_there);
        return true;
    }
    if (go_on(once))
        return true;
    *error = once->answer.error;
    once_free(once);
    return false;
}
