/*
 * What a view was at a former position, read once: what plain HTTP answers to `as_of`. First the
 * position is found, then what was there: for one key by the replay of its changes
 * (rows/past.c), else by that of all that changed since (rows/view_past.c). Each step is a job of
 * some short transactions, so that others have their turn between them.
 *
 * Between its steps an answer by rows/view_past.c holds many rows. So it takes one of a few places
 * before it has any, and gives it back with the rows. Others wait in a line, where owners take
 * turns.
 */
#include "delivery/hub_internal.h"
#include "delivery/subscription.h"
#include "rows/past_point.h"
#include "rows/tag.h"
#include "rows/view_past.h"
#include "rows/wanted.h"
#include "window/answer.h"
#include "window/window_internal.h"

#include <inttypes.h>
#include <stdio.h>

struct as_of {
    struct read_job read;
    struct answer_wait wait; /* for the position to be there */
    struct hub *hub;
    struct hub_read options;  /* without what was the asker's */
    const struct view *view;  /* one reference */
    struct row_scope *scope;  /* one reference, or NULL */
    char *key, *known;        /* or NULL */
    char *behind;             /* or NULL */
    bool seeks;               /* where the row of that key stood is not known yet */
    struct view_query *query; /* or NULL */
    bool by_key;              /* the row of one key, of a view that is not cut */
    bool names_rows;          /* see struct view_past */
    bool placed;              /* not by_key: it may hold rows */
    struct past_search search;
    struct row_past past;       /* by_key */
    struct view_past view_past; /* else */
    bool again;
    struct hub_answer answer;
};

/* ---- on a reader ---- */

static bool is_fine(const struct as_of *it)
{
    return it->answer.error.code == ERROR_NONE;
}

/* What was stays so, as long as the view is the same. */
static void make_tag(struct as_of *it)
{
    uint64_t hash = TAG_START;
    tag_view(&hash, it->view);
    tag_span(&hash, span_of(it->key));
    tag_span(&hash, span_of(it->behind));
    tag_span(&hash, view_query_traits(it->query).text);
    tag_number(&hash, it->view_past.rows.skip);
    tag_number(&hash, it->view_past.rows.take);
    tag_span(&hash, it->scope ? row_scope_name(it->scope) : span_make(NULL, 0));
    tag_number(&hash, it->search.at);
    snprintf(it->answer.tag, sizeof it->answer.tag, "%s-was-%016" PRIx64, it->answer.epoch, hash);
    it->answer.unchanged = answer_is_known(&it->answer, it->known);
}

static bool put_row(const struct as_of *it, struct buffer *out, struct span key, struct span data)
{
    buffer_add_string(out, "{\"key\":");
    doc_escape(out, key);
    buffer_add_string(out, ",\"data\":");
    return view_project(it->view, data, out) && buffer_add_char(out, '}');
}

static bool put_rows(const struct as_of *it, struct buffer *out)
{
    const struct past_rows *rows = &it->view_past.rows;
    const struct replay *replay = &it->past.replay;
    if (it->by_key)
        return replay->is != REPLAY_THERE ||
               put_row(it, out, span_of(it->key), buffer_span(&replay->row));
    for (size_t i = 0; i < rows->count; i++) {
        buffer_add_string(out, i ? ",\n" : "");
        if (!put_row(it, out, rows->list[i]->key, rows->list[i]->data))
            return false;
    }
    return true;
}

static void end_body(struct as_of *it)
{
    const struct past_rows *rows = &it->view_past.rows;
    struct buffer out;
    buffer_init(&out, UINT32_MAX);
    buffer_add_string(&out, "{\"view\":");
    doc_escape(&out, span_of(it->view->id));
    buffer_printf(&out, ",\"mode\":\"%s\",\"epoch\":\"%s\",\"offset\":%" PRId64 ",\"rows\":[",
                  wire_mode_names[topic_mode(it->view)], it->answer.epoch, it->search.at);
    out.failed = !put_rows(it, &out) || out.failed;
    buffer_add_char(&out, ']');
    if (!it->key)
        buffer_printf(&out, ",\"take\":%" PRId64 ",\"skip\":%" PRId64 ",\"more\":%s", rows->take,
                      rows->skip, rows->more ? "true" : "false");
    buffer_add_string(&out, "}\n");
    if (out.length > ANSWER_BYTES && rows->count > 1)
        error_set(&it->answer.error, ERROR_TOO_LARGE,
                  "the answer would have more than %d bytes; ask for fewer rows (take)",
                  ANSWER_BYTES);
    else
        answer_set_body(&it->answer, &it->options, &out);
    buffer_fini(&out);
}

static bool find_row(struct as_of *it, struct store_reader *reader)
{
    struct row_past *past = &it->past;
    past->at = it->search.at;
    if (!view_past_run_row(past, reader, &it->answer.error))
        return false;
    it->again = past->stage != PAST_DONE;
    return it->again || past->replay.is != REPLAY_UNKNOWN ||
           view_past_refuse_row(past, it->names_rows, &it->answer.error);
}

static bool find_behind(struct as_of *it, struct store_reader *reader)
{
    struct row_past *past = &it->past;
    const struct replay *replay = &past->replay;
    past->at = it->search.at;
    if (!view_past_run_row(past, reader, &it->answer.error))
        return false;
    it->again = true;
    if (past->stage != PAST_DONE)
        return true;
    it->seeks = false;
    if (replay->is == REPLAY_UNKNOWN)
        return view_past_refuse_row(past, it->names_rows, &it->answer.error);
    struct span data = replay->is == REPLAY_THERE ? buffer_span(&replay->row) : span_make(NULL, 0);
    return view_past_begin_behind(&it->view_past, data, &it->answer.error);
}

static bool find_rows(struct as_of *it, struct store_reader *reader)
{
    it->view_past.at = it->search.at;
    bool done = view_past_run(&it->view_past, reader, &it->answer.error);
    it->again = it->view_past.stage != VIEW_PAST_DONE;
    return done;
}

/* One short transaction. */
static bool step(struct as_of *it, struct store_reader *reader)
{
    it->again = true;
    if (it->search.done)
        return (it->by_key ? find_row : it->seeks ? find_behind : find_rows)(it, reader);
    if (!past_search_run(&it->search, reader, &it->answer.error))
        return false;
    if (it->search.done)
        make_tag(it);
    it->again = !it->answer.unchanged;
    return true;
}

/* What comes next needs a place. */
static bool needs_place(const struct as_of *it)
{
    return it->search.done && !it->by_key && !it->seeks && !it->placed;
}

static int64_t rows_of(const struct as_of *it)
{
    return it->by_key ? it->past.replay.is == REPLAY_THERE : (int64_t)it->view_past.rows.count;
}

static void run(struct read_job *read, struct store_reader *reader)
{
    struct as_of *it = (struct as_of *)read;
    uint64_t until_us = clock_monotonic_us() + it->hub->options.refresh_us;
    do {
        if (!step(it, reader)) {
            it->again = false;
            return;
        }
    } while (it->again && !needs_place(it) && clock_monotonic_us() < until_us);
    if (!it->again && !it->answer.unchanged &&
        answer_may_have(&it->answer, &it->options, rows_of(it)))
        end_body(it);
}

/* ---- on the loop ---- */

static void as_of_free(struct as_of *it)
{
    row_past_fini(&it->past);
    view_past_fini(&it->view_past);
    view_query_unref(it->query);
    row_scope_unref(it->scope);
    view_unref(it->view);
    buffer_fini(&it->answer.body);
    memory_free(it->key);
    memory_free(it->known);
    memory_free(it->behind);
    memory_free(it);
}

static bool go_on(struct as_of *it)
{
    it->read.is_long = it->again;
    return answer_ask(it->hub, &it->read, &it->answer.error);
}

/* It is done, or nobody waits for it. Its rows go before its answer does. */
static void end(struct as_of *it)
{
    struct windows *windows = it->hub->windows;
    view_past_fini(&it->view_past);
    view_past_init(&it->view_past);
    windows->past_count -= it->placed;
    it->placed = false;
    answer_give(&it->answer, &it->options, it->view);
    as_of_free(it);
}

static bool is_going_on(struct as_of *it)
{
    return is_fine(it) && it->again && it->options.is_wanted(it->options.argument) && go_on(it);
}

/* Those whose turn it is. */
static void fill_places(struct windows *windows)
{
    while (windows->past.first && windows->past_count < WINDOW_PASTS) {
        struct as_of *it = (struct as_of *)lane_ring_take(&windows->past);
        it->placed = true;
        windows->past_count++;
        if (!is_going_on(it))
            end(it);
    }
}

static void deliver(struct engine_event *event)
{
    struct as_of *it = (struct as_of *)event;
    struct windows *windows = it->hub->windows;
    if (is_fine(it) && it->again && needs_place(it))
        lane_ring_add(&windows->past, it->read.owner, &it->read.event.item);
    else if (!is_going_on(it))
        end(it);
    fill_places(windows);
}

/* This node has come to the position, or has not. */
static void on_there(struct answer_wait *wait, const struct error *error)
{
    struct as_of *it = LINK_OWNER(struct as_of, wait, wait);
    if (error)
        it->answer.error = *error;
    it->again = true;
    deliver(&it->read.event);
}

/* Whether it is waited for. That of another database never comes. */
static bool is_ahead(const struct as_of *it, const struct wire_subscribe *wanted,
                     struct cursor_place *place)
{
    const struct past_point *point = &it->search.point;
    *place = (struct cursor_place){.change = point->form == PAST_OFFSET ? point->number : 0,
                                   .seq = point->seq};
    return point->form != PAST_TIME && cursor_is_ahead(it->hub, *place) &&
           view_epoch_is_own(it->hub, wanted->epoch);
}

/* As for the present. */
static int64_t take_of(const struct view *view, const struct wire_subscribe *wanted)
{
    int64_t own = view->stage ? view->stage->cut.take : VIEW_ALL;
    return wanted->key ? 1 : wanted->take >= 0 ? wanted->take : own != VIEW_ALL ? own : ANSWER_TAKE;
}

static bool may_read_all(const struct hub *hub, const struct auth_identity *identity,
                         const struct view *view)
{
    const struct view *whole = answer_find_whole(hub, identity, view);
    view_unref(whole);
    return whole != NULL;
}

static void set_wanted(struct as_of *it, const struct wire_subscribe *wanted)
{
    const struct hub_options *options = &it->hub->options;
    struct past_rows *rows = &it->view_past.rows;
    struct row_past *past = &it->past;
    it->by_key = wanted->key && !past_rows_are_cut(it->view);
    it->view_past.names_rows = it->names_rows;
    it->seeks = it->behind && !past_rows_are_cut(it->view);
    past->view = rows->view = it->view;
    past->scope = rows->scope = it->scope;
    past->key = rows->key = it->key ? span_of(it->key) : span_make(NULL, 0);
    rows->behind = it->behind ? span_of(it->behind) : span_make(NULL, 0);
    if (it->seeks) {
        past->key = rows->behind;
        past->most *= 2; /* back to where the row began, and forth */
    }
    past->scan_rows = it->view_past.scan_rows = it->search.scan_rows = options->scan_rows;
    past->most = it->view_past.most = it->search.most = options->max_filter_rows;
    past->explains = true;
    rows->query = it->query;
    rows->take = take_of(it->view, wanted);
    rows->skip = wanted->skip < 0 ? 0 : wanted->skip < HUB_SKIP ? wanted->skip : HUB_SKIP;
    rows->most = options->max_window_rows;
}

/* The view and the query are taken over. NULL when out of memory. */
static struct as_of *as_of_new(struct hub *hub, const struct hub_read *read,
                               const struct view *view, struct view_query *query,
                               const struct past_point *point)
{
    struct as_of *it = memory_new(sizeof *it);
    if (!it) {
        view_query_unref(query);
        view_unref(view);
        return NULL;
    }
    it->read.run = run;
    it->read.event.deliver = deliver;
    it->read.owner = read->owner;
    it->hub = hub;
    it->options = *read;
    it->view = view;
    it->query = query;
    it->search = (struct past_search){
        .view = view, .point = *point, .now_ms = engine_times(hub->engine).now};
    row_past_init(&it->past);
    view_past_init(&it->view_past);
    buffer_init(&it->answer.body, UINT32_MAX);
    if (view->scope)
        it->scope = row_scope_get(&hub->row_scopes, read->identity);
    if (answer_copy_text(read->wanted->key, &it->key) &&
        answer_copy_text(read->known, &it->known) && answer_copy_text(read->behind, &it->behind) &&
        (!view->scope || it->scope)) {
        view_epoch(hub, view, it->scope, it->answer.epoch);
        it->names_rows = may_read_all(hub, read->identity, view);
        set_wanted(it, read->wanted);
        return it;
    }
    as_of_free(it);
    return NULL;
}

static bool refuse(struct error *error, const struct view *view, const char *what, const char *why)
{
    return error_set(error, ERROR_INVALID_PARAMETER, "'as_of' is not for %s%s%.128s%s: %s", what,
                     view ? " view '" : "", view ? view->id : "", view ? "'" : "", why);
}

static bool check(const struct hub *hub, const struct view *view,
                  const struct wire_subscribe *wanted, const char *behind, struct error *error)
{
    bool cut = wanted->take >= 0 || wanted->skip >= 0;
    if (view->output == VIEW_KEYED)
        return refuse(error, view, "a keyed", "name a row of its source by the row's own key");
    if (view_stage_is_timed(view->stage))
        return refuse(error, view, "a timed", "it asks for now(), which the log does not keep");
    if (wanted->after)
        return refuse(error, NULL, "'after'", "what was does not change");
    if (wanted->key && behind)
        return refuse(error, NULL, "one key", "leave 'key' or 'behind' out");
    if (wanted->key && (cut || wanted->query))
        return refuse(error, NULL, "a part or a query of one key", "leave 'key' or the others out");
    return wanted_check(view, wanted, hub->options.max_window_rows, error);
}

static bool read_query(const struct hub *hub, const struct view *view,
                       const struct wire_subscribe *wanted, struct view_query **query,
                       struct error *error)
{
    *query = NULL;
    if (!wanted->query)
        return true;
    *query = view_query_new(view, span_of(wanted->query), &hub->options.query, error);
    if (!*query)
        return false;
    struct view_query_traits traits = view_query_traits(*query);
    if (!traits.is_timed && (!traits.sorts || wanted_may_sort(view, error)))
        return true;
    view_query_unref(*query);
    return traits.is_timed && refuse(error, NULL, "a query with now()", "the log does not keep it");
}

bool hub_read_as_of(struct hub *hub, const struct hub_read *read, struct error *error)
{
    const struct wire_subscribe *wanted = read->wanted;
    const struct view *view;
    struct view_query *query = NULL;
    struct past_point point;
    struct wire_subscribe known = *wanted;
    struct seq ignored;
    bool has_after;
    known.after = NULL; /* it is refused below, whatever it is */
    if (!subscription_check(hub, read->identity, &known, &view, &has_after, &ignored, error))
        return false;
    if (!check(hub, view, wanted, read->behind, error) ||
        !past_point_read(span_of(read->as_of), &point, error) ||
        !read_query(hub, view, wanted, &query, error)) {
        view_unref(view);
        return false;
    }
    struct as_of *it = as_of_new(hub, read, view, query, &point);
    if (!it)
        return error_set(error, ERROR_MEMORY, "out of memory while reading a view");
    struct cursor_place place;
    if (is_ahead(it, wanted, &place)) {
        answer_await(&it->wait, hub, &it->options, place, on_there);
        return true;
    }
    if (go_on(it))
        return true;
    *error = it->answer.error;
    as_of_free(it);
    return false;
}
