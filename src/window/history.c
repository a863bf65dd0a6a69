/*
 * The history of an append view, read once: events of the log as JSON, what plain HTTP answers to
 * `events=1`. The pages of the log are those of a subscriber's tape (delivery/catch_up_query.c), as
 * elements of a list. The history of one row says of each event what it changed, too
 * (rows/row_history.c).
 *
 * A page has one transaction. Many of them go into one answer; others have their turn between
 * them. All end at the head that the first one saw, so the answer is of one state: the log only
 * grows behind it, and loses its beginning before it.
 */
#include "delivery/catch_up_internal.h"
#include "delivery/subscription.h"
#include "rows/row_history.h"
#include "rows/tag.h"
#include "window/answer.h"

#include <inttypes.h>
#include <stdio.h>

struct history {
    struct read_job read;
    struct answer_wait wait; /* for its cursors */
    struct hub *hub;
    struct hub_read options; /* without `wanted`, `until` and `known`, which were the asker's */
    struct catch_up_request request; /* of the next page; the view, the key and the scope are its */
    struct view_query *query;        /* of it; or NULL */
    char *known;                     /* or NULL */
    int64_t take, after, until;      /* after: -1, it names none; until: INT64_MAX, likewise */
    bool has_after, begun, again;
    bool resumed; /* the cursor is of this log; what it reaches is looked up */
    struct tape_reach reach;
    bool by_row;
    struct row_history row; /* by_row: its reading, and its events */
    struct buffer events;
    int64_t count;  /* of them */
    int64_t looked; /* changes of the log that were passed */
    struct hub_answer answer;
};

static bool is_fine(const struct history *history)
{
    return history->answer.error.code == ERROR_NONE;
}

static bool lacks_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while reading a view");
}

/* ---- on a reader ---- */

static void make_tag(struct history *history)
{
    const struct catch_up_request *request = &history->request;
    struct hub_answer *answer = &history->answer;
    uint64_t hash = TAG_START;
    tag_view(&hash, request->view);
    tag_span(&hash, request->key);
    tag_span(&hash, view_query_traits(request->query).text);
    tag_span(&hash, request->scope ? row_scope_name(request->scope) : span_make(NULL, 0));
    tag_number(&hash, history->take);
    tag_number(&hash, history->after);
    tag_number(&hash, history->until);
    tag_number(&hash, history->by_row);
    tag_number(&hash, history->reach.floor);
    snprintf(answer->tag, sizeof answer->tag, "%s-events-%" PRId64 "-%016" PRIx64, answer->epoch,
             history->reach.newest, hash);
}

static void begin_row(struct history *history)
{
    const struct catch_up_request *request = &history->request;
    struct row_history *row = &history->row;
    row->view = request->view;
    row->scope = request->scope;
    row->key = request->key;
    row->query = request->query;
    row->from = request->from;
    row->last = request->last;
    row->most = history->take;
    row->most_bytes = ANSWER_BYTES;
    row->scan_rows = request->scan_rows;
    row->most_scanned = history->hub->options.max_filter_rows;
}

/* False when nothing is to be read any more. */
static bool begin(struct history *history, struct store_reader *reader)
{
    struct catch_up_request *request = &history->request;
    const struct tape_reach *reach = &history->reach;
    if (!tape_reach_read(&history->reach, request->view, reader, &history->answer.error))
        return false;
    make_tag(history);
    history->begun = true;
    history->answer.unchanged = answer_is_known(&history->answer, history->known);
    /* Nothing of an export that was never fed can have been missed. */
    history->resumed = history->resumed && history->after <= reach->head &&
                       (!reach->is_fed || history->after >= reach->floor);
    request->from = history->resumed ? history->after : reach->floor;
    request->last = history->until < reach->head ? history->until : reach->head;
    if (history->by_row)
        begin_row(history);
    return !history->answer.unchanged;
}

/* What the page has, and where the next one begins. */
static bool take_page(struct history *history, const struct catch_up_page *page)
{
    struct catch_up_request *request = &history->request;
    int64_t to = page->to < request->last ? page->to : request->last;
    struct span text = text_span(page->text);
    if (text.length && history->events.length)
        buffer_add_string(&history->events, ",\n");
    buffer_add_span(&history->events, text);
    history->count += page->frames.listed;
    if (to > request->from) {
        history->looked += to - request->from;
        request->from = to;
    }
    request->most = history->take - history->count;
    return !history->events.failed || lacks_memory(&history->answer.error);
}

/* One step of it. */
static bool read_row(struct history *history, struct store_reader *reader, bool *expired)
{
    struct catch_up_request *request = &history->request;
    struct row_history *row = &history->row;
    int64_t most = history->hub->options.max_filter_rows - history->looked;
    if (row->scan_rows > most)
        row->scan_rows = most;
    if (!row_history_run(row, reader, &history->answer.error))
        return false;
    history->looked += row->from - request->from;
    request->from = row->from;
    history->count = row->listed;
    request->most = history->take - history->count;
    *expired = row->expired;
    return true;
}

static const struct buffer *events_of(const struct history *history)
{
    return history->by_row ? &history->row.events : &history->events;
}

/* What the log lost while it was read ends the answer: the next one says so. */
static bool read_page(struct history *history, struct store_reader *reader, bool *expired)
{
    struct catch_up_page page = {.request = history->request, .error = &history->answer.error};
    int64_t most = history->hub->options.max_filter_rows - history->looked;
    if (page.request.scan_rows > most)
        page.request.scan_rows = most;
    bool done = catch_up_query(&page, reader);
    *expired = done && page.expired;
    done = done && (page.expired || take_page(history, &page));
    catch_up_frames_fini(&page.frames);
    text_unref(page.text);
    return done;
}

static bool is_complete(const struct history *history)
{
    return history->request.from >= history->request.last || history->request.most == 0 ||
           events_of(history)->length >= ANSWER_BYTES ||
           history->looked >= history->hub->options.max_filter_rows;
}

static void end_body(struct history *history)
{
    const struct tape_reach *reach = &history->reach;
    const struct catch_up_request *request = &history->request;
    struct hub_answer *answer = &history->answer;
    struct buffer out;
    bool more = request->from < request->last;
    answer->silent = history->resumed && !history->count && !more;
    answer->position = request->from;
    buffer_init(&out, UINT32_MAX);
    buffer_add_string(&out, "{\"view\":");
    doc_escape(&out, span_of(request->view->id));
    buffer_printf(
        &out, ",\"mode\":\"append\",\"epoch\":\"%s\",\"earliest\":%" PRId64 ",\"next\":%" PRId64,
        answer->epoch, reach->floor + 1, reach->head + 1);
    if (history->has_after)
        buffer_add_string(&out, history->resumed ? ",\"resumed\":true" : ",\"resumed\":false");
    buffer_add_string(&out, ",\"events\":[");
    buffer_add_span(&out, buffer_span(events_of(history)));
    buffer_printf(&out, "],\"cursor\":\"%s:%" PRId64 "\",\"more\":%s}\n", answer->epoch,
                  answer->position, more ? "true" : "false");
    answer_set_body(answer, &history->options, &out);
    buffer_fini(&out);
}

static void run(struct read_job *read, struct store_reader *reader)
{
    struct history *history = (struct history *)read;
    uint64_t until_us = clock_monotonic_us() + history->hub->options.refresh_us;
    bool expired = false;
    history->again = false;
    if (!history->begun && !begin(history, reader))
        return;
    while (!is_complete(history) && !expired && !history->again) {
        if (!(history->by_row ? read_row : read_page)(history, reader, &expired))
            return;
        history->again = clock_monotonic_us() >= until_us && !is_complete(history);
    }
    if (!history->again && answer_may_have(&history->answer, &history->options, history->count))
        end_body(history);
}

/* ---- on the loop ---- */

static void history_free(struct history *history)
{
    struct catch_up_request *request = &history->request;
    memory_free((void *)request->key.data);
    view_query_unref(history->query);
    row_scope_unref(request->scope);
    view_unref(request->view);
    row_history_fini(&history->row);
    buffer_fini(&history->events);
    buffer_fini(&history->answer.body);
    memory_free(history->known);
    memory_free(history);
}

static bool go_on(struct history *history)
{
    history->read.is_long = history->again;
    return answer_ask(history->hub, &history->read, &history->answer.error);
}

static void deliver(struct engine_event *event)
{
    struct history *history = (struct history *)event;
    if (is_fine(history) && history->again &&
        history->options.is_wanted(history->options.argument) && go_on(history))
        return;
    answer_give(&history->answer, &history->options, history->request.view);
    history_free(history);
}

/* This node has come to its cursors, or has not. */
static void on_there(struct answer_wait *wait, const struct error *error)
{
    struct history *history = LINK_OWNER(struct history, wait, wait);
    if (error)
        history->answer.error = *error;
    history->again = true;
    deliver(&history->read.event);
}

/* Without cursors that count, it is the beginning. */
static struct cursor_place place_of(const struct history *history)
{
    struct cursor_place place = {.change = history->resumed ? history->after : 0};
    if (history->until != INT64_MAX && history->until > place.change)
        place.change = history->until;
    return place;
}

/* The view is taken over. NULL when out of memory. */
static struct history *history_new(struct hub *hub, const struct hub_read *read,
                                   const struct view *view)
{
    struct history *history = memory_new(sizeof *history);
    char *key = NULL;
    if (!history) {
        view_unref(view);
        return NULL;
    }
    history->read.run = run;
    history->read.event.deliver = deliver;
    history->read.owner = read->owner;
    history->hub = hub;
    history->options = *read;
    history->take = read->wanted->take < 0 ? ANSWER_TAKE : read->wanted->take;
    history->request = (struct catch_up_request){
        .view = view,
        .mode = WIRE_APPEND,
        .style = CATCH_UP_EVENTS,
        .as_list = true,
        .most = history->take,
        .page_bytes = hub->options.page_bytes,
        .scan_rows = hub->options.scan_rows,
        .max_array = engine_max_array_length(hub->engine, span_of(view->export_name)),
        .resume_limit = -1};
    history->by_row = read->wanted->by_row;
    row_history_init(&history->row);
    buffer_init(&history->events, UINT32_MAX);
    buffer_init(&history->answer.body, UINT32_MAX);
    if (view->scope)
        history->request.scope = row_scope_get(&hub->row_scopes, read->identity);
    if (answer_copy_text(read->wanted->key, &key) &&
        answer_copy_text(read->known, &history->known) &&
        (!view->scope || history->request.scope)) {
        history->request.key = key ? span_of(key) : span_make(NULL, 0);
        view_epoch(hub, view, history->request.scope, history->answer.epoch);
        return history;
    }
    memory_free(key);
    history_free(history);
    return NULL;
}

static bool refuse_cursor(const char *name, const char *text, const char *why, struct error *error)
{
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "'%s' is '%.64s', which %s; send the 'cursor' of an answer", name, text, why);
}

/* A cursor of another database is of no use, as everywhere; a bound of one means nothing. */
static bool read_range(struct history *history, const struct hub_read *read, struct error *error)
{
    const struct catch_up_request *request = &history->request;
    enum tape_cursor is;
    history->has_after = read->wanted->after != NULL;
    history->after = -1;
    history->until = INT64_MAX;
    if (history->has_after) {
        is = tape_cursor_read(read->wanted->after, history->hub, request->view, request->scope,
                              &history->after);
        if (is == TAPE_NO_CURSOR)
            return refuse_cursor("after", read->wanted->after, "is no cursor of events", error);
        history->resumed = is == TAPE_CURSOR_FITS;
    }
    if (!read->until)
        return true;
    is =
        tape_cursor_read(read->until, history->hub, request->view, request->scope, &history->until);
    return is == TAPE_CURSOR_FITS ||
           refuse_cursor("until", read->until,
                         is == TAPE_NO_CURSOR ? "is no cursor of events"
                                              : "is of another database or another view",
                         error);
}

static bool read_query(struct history *history, const struct hub_read *read, struct error *error)
{
    const struct wire_subscribe *wanted = read->wanted;
    int64_t most = history->hub->options.max_window_rows;
    if (wanted->by_row && !wanted->key)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'key' is missing: a history is of one; the events of all keys are at "
                         "/v1/views/%.128s?events=1",
                         history->request.view->id);
    if (wanted->skip >= 0)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'skip' is not for events; go on behind the 'cursor' of an answer, with "
                         "'after'");
    if (wanted->take > most)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'take' is %" PRId64 "; this server gives at most %" PRId64
                         " events (max_window_rows)",
                         wanted->take, most);
    if (wanted->query)
        history->query = tape_query_new(history->hub, history->request.view, wanted->query, error);
    history->request.query = history->query;
    return !wanted->query || history->query;
}

/* What view it is comes first: the meaning of all else depends on it. */
static const struct view *find_view(const struct hub *hub, const struct hub_read *read,
                                    struct error *error)
{
    struct wire_subscribe wanted = *read->wanted;
    const struct view *view;
    struct seq ignored;
    char any[] = "";
    bool has_after;
    wanted.after = NULL;
    if (!wanted.key)
        wanted.key = any; /* a state view would want one */
    if (!subscription_check(hub, read->identity, &wanted, &view, &has_after, &ignored, error))
        return NULL;
    if (tape_is_of(view))
        return view;
    error_set(error, ERROR_INVALID_PARAMETER,
              "'events' is for append views of an export, and view '%.128s' shows rows; its events "
              "are those of '%.128s/append'",
              view->id, view->export_name);
    view_unref(view);
    return NULL;
}

bool hub_read_history(struct hub *hub, const struct hub_read *read, struct error *error)
{
    const struct view *view = find_view(hub, read, error);
    if (!view)
        return false;
    struct history *history = history_new(hub, read, view);
    if (!history)
        return lacks_memory(error);
    bool begun = read_range(history, read, error) && read_query(history, read, error);
    struct cursor_place place = place_of(history);
    if (begun && place.change && cursor_is_ahead(hub, place)) {
        answer_await(&history->wait, hub, &history->options, place, on_there);
    } else if (begun && !go_on(history)) {
        *error = history->answer.error;
        begun = false;
    }
    if (!begun)
        history_free(history);
    return begun;
}
