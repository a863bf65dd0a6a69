/*
 * What a view was at a former position, read once: what plain HTTP answers to `as_of`. First the
 * position is found, then what was there: for one key by the replay of its changes. Each step is a
 * job of some short transactions, so that others have their turn between them.
 */
#include "delivery/hub_internal.h"
#include "delivery/subscription.h"
#include "rows/past.h"
#include "rows/past_point.h"
#include "rows/show.h"
#include "rows/tag.h"
#include "window/answer.h"

#include <inttypes.h>
#include <stdio.h>

struct as_of {
    struct read_job read;
    struct hub *hub;
    struct hub_read options; /* without what was the asker's */
    const struct view *view; /* one reference */
    struct row_scope *scope; /* one reference, or NULL */
    char *key, *known;       /* or NULL */
    struct past_search search;
    struct row_past past;
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
    tag_span(&hash, it->scope ? row_scope_name(it->scope) : span_make(NULL, 0));
    tag_number(&hash, it->search.at);
    snprintf(it->answer.tag, sizeof it->answer.tag, "%s-was-%016" PRIx64, it->answer.epoch, hash);
    it->answer.unchanged = answer_is_known(&it->answer, it->known);
}

static bool put_row(struct as_of *it, struct buffer *out)
{
    const struct replay *replay = &it->past.replay;
    struct buffer scratch;
    struct span shown;
    if (replay->is != REPLAY_THERE)
        return true;
    buffer_init(&scratch, UINT32_MAX);
    bool done = frame_show(it->view, buffer_span(&replay->row), &scratch, &shown);
    buffer_add_string(out, "{\"key\":");
    doc_escape(out, span_of(it->key));
    buffer_add_string(out, ",\"data\":");
    buffer_add_span(out, done ? shown : span_make(NULL, 0));
    buffer_add_char(out, '}');
    buffer_fini(&scratch);
    return done;
}

static void end_body(struct as_of *it)
{
    struct buffer out;
    buffer_init(&out, UINT32_MAX);
    buffer_add_string(&out, "{\"view\":");
    doc_escape(&out, span_of(it->view->id));
    buffer_printf(&out, ",\"mode\":\"%s\",\"epoch\":\"%s\",\"offset\":%" PRId64 ",\"rows\":[",
                  wire_mode_name(topic_mode(it->view)), it->answer.epoch, it->search.at);
    out.failed = !put_row(it, &out) || out.failed;
    buffer_add_string(&out, "]}\n");
    answer_set_body(&it->answer, &it->options, &out);
    buffer_fini(&out);
}

static bool find_row(struct as_of *it, struct store_reader *reader)
{
    const struct hub_options *options = &it->hub->options;
    struct row_past *past = &it->past;
    past->view = it->view;
    past->scope = it->scope;
    past->key = span_of(it->key);
    past->at = it->search.at;
    past->scan_rows = options->scan_rows;
    past->most = options->max_filter_rows;
    past->explains = true;
    if (!row_past_run(past, reader, &it->answer.error))
        return false;
    it->again = past->stage != PAST_DONE;
    return it->again || past->replay.is != REPLAY_UNKNOWN ||
           row_past_refuse(past, &it->answer.error);
}

/* One short transaction. */
static bool step(struct as_of *it, struct store_reader *reader)
{
    it->again = true;
    if (it->search.done)
        return find_row(it, reader);
    if (!past_search_run(&it->search, reader, &it->answer.error))
        return false;
    if (it->search.done)
        make_tag(it);
    it->again = !it->answer.unchanged;
    return true;
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
    } while (it->again && clock_monotonic_us() < until_us);
    if (!it->again && !it->answer.unchanged && answer_may_have(&it->answer, &it->options, 1))
        end_body(it);
}

/* ---- on the loop ---- */

static void as_of_free(struct as_of *it)
{
    row_past_fini(&it->past);
    row_scope_unref(it->scope);
    view_unref(it->view);
    buffer_fini(&it->answer.body);
    memory_free(it->key);
    memory_free(it->known);
    memory_free(it);
}

static bool go_on(struct as_of *it)
{
    it->read.is_long = it->again;
    return engine_read(it->hub->engine, &it->read) ||
           error_set(&it->answer.error, ERROR_QUEUE_FULL,
                     "too many readers wait for the database; try again later");
}

static void deliver(struct engine_event *event)
{
    struct as_of *it = (struct as_of *)event;
    if (is_fine(it) && it->again && it->options.is_wanted(it->options.argument) && go_on(it))
        return;
    answer_give(&it->answer, &it->options, it->view);
    as_of_free(it);
}

static bool copy_text(const char *text, char **copy)
{
    *copy = text ? memory_copy_string(text, strlen(text)) : NULL;
    return !text || *copy;
}

/* The view is taken over. NULL when out of memory. */
static struct as_of *as_of_new(struct hub *hub, const struct hub_read *read,
                               const struct view *view, const struct past_point *point)
{
    struct as_of *it = memory_new(sizeof *it);
    if (!it) {
        view_unref(view);
        return NULL;
    }
    it->read.run = run;
    it->read.event.deliver = deliver;
    it->read.owner = read->owner;
    it->hub = hub;
    it->options = *read;
    it->view = view;
    it->search = (struct past_search){.view = view,
                                      .point = *point,
                                      .now_ms = engine_times(hub->engine).now,
                                      .scan_rows = hub->options.scan_rows,
                                      .most = hub->options.max_filter_rows};
    row_past_init(&it->past);
    buffer_init(&it->answer.body, UINT32_MAX);
    if (view->scope)
        it->scope = row_scope_get(&hub->row_scopes, read->identity);
    if (copy_text(read->wanted->key, &it->key) && copy_text(read->known, &it->known) &&
        (!view->scope || it->scope)) {
        view_epoch(hub, view, it->scope, it->answer.epoch);
        return it;
    }
    as_of_free(it);
    return NULL;
}

static bool check(const struct view *view, const struct wire_subscribe *wanted, struct error *error)
{
    const char *wrong = wanted->after       ? "after"
                        : wanted->query     ? "filter, where or sort"
                        : wanted->take >= 0 ? "take"
                        : wanted->skip >= 0 ? "skip"
                                            : NULL;
    if (view->stage)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'as_of' is for views of an export, and view '%.128s' is derived from one",
                         view->id);
    if (!wanted->key)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'key' is missing: 'as_of' is for one row, named by its key");
    return !wrong ||
           error_set(error, ERROR_INVALID_PARAMETER, "'as_of' does not go together with %s", wrong);
}

bool hub_read_as_of(struct hub *hub, const struct hub_read *read, struct error *error)
{
    const struct view *view;
    struct past_point point;
    struct seq ignored;
    bool has_after;
    if (!subscription_check(hub, read->identity, read->wanted, &view, &has_after, &ignored, error))
        return false;
    if (!check(view, read->wanted, error) ||
        !past_point_read(span_of(read->as_of), &point, error)) {
        view_unref(view);
        return false;
    }
    struct as_of *it = as_of_new(hub, read, view, &point);
    if (!it)
        return error_set(error, ERROR_MEMORY, "out of memory while reading a view");
    if (go_on(it))
        return true;
    *error = it->answer.error;
    as_of_free(it);
    return false;
}
