/*
 * A row of a view explained, for plain HTTP: one job on a reader, in one transaction. What it looks
 * at is bounded, and the answer says where the bound was met.
 */
#include "explain/explain.h"
#include "delivery/subscription.h"
#include "window/answer.h"
#include "window/window_internal.h"

/* What one answer reads, in its one transaction. */
/* All of it is one transaction, and a reader is busy with it. A row takes its JSON to be read, a
 * change of another key does not. */
enum { EXPLAIN_ROWS = 20 * 1000, EXPLAIN_CHANGES = 200 * 1000 };

struct hub_explanation {
    struct read_job read;
    struct hub *hub;
    struct hub_read options; /* without `wanted`, which was the asker's */
    struct explain explain;  /* its key is owned */
    struct row_scope *scope;
    const struct view *view, *whole; /* one reference each; or NULL */
    struct view_query *query;
    struct hub_answer answer;
};

/* ---- on a reader ---- */

static void run(struct read_job *read, struct store_reader *reader)
{
    struct hub_explanation *it = (struct hub_explanation *)read;
    struct buffer out;
    struct error *error = &it->answer.error;
    buffer_init(&out, ANSWER_BYTES);
    it->explain.now = engine_times(it->hub->engine).now / 1000;
    if (store_read_begin(reader, error)) {
        if (explain_read(&it->explain, reader, &out, error))
            answer_set_body(&it->answer, &it->options, &out);
        store_read_end(reader);
    }
    buffer_fini(&out);
}

/* ---- on the loop ---- */

static void explanation_free(struct hub_explanation *it)
{
    memory_free((void *)it->explain.key.data);
    view_query_unref(it->query);
    row_scope_unref(it->scope);
    view_unref(it->whole);
    view_unref(it->view);
    buffer_fini(&it->answer.body);
    memory_free(it);
}

static void deliver(struct engine_event *event)
{
    struct hub_explanation *it = (struct hub_explanation *)event;
    answer_give(&it->answer, &it->options, it->view);
    explanation_free(it);
}

static bool fill(struct hub_explanation *it, const struct hub_read *read, struct error *error)
{
    const struct hub_options *options = &it->hub->options;
    const struct explain_limits limits = {options->query, options->max_window_rows};
    const char *key = read->wanted->key;
    char *copy = memory_copy_string(key, strlen(key));
    it->whole = answer_find_whole(it->hub, read->identity, it->view);
    it->explain = (struct explain){.view = it->view,
                                   .sight.views = {it->view, it->whole},
                                   .sees_others = it->whole != NULL,
                                   .key = span_make(copy, strlen(key)),
                                   .max_rows = options->max_filter_rows < EXPLAIN_ROWS
                                                   ? options->max_filter_rows
                                                   : EXPLAIN_ROWS,
                                   .max_changes = EXPLAIN_CHANGES};
    if (it->view->scope)
        it->scope = row_scope_get(&it->hub->row_scopes, read->identity);
    it->explain.scope = it->scope;
    if (!copy || (it->view->scope && !it->scope))
        return error_set(error, ERROR_MEMORY, "out of memory while explaining a row");
    return explain_ask(&it->explain, read->wanted, &limits, &it->query, error) &&
           answer_ask(it->hub, &it->read, error);
}

bool hub_explain(struct hub *hub, const struct hub_read *read, struct error *error)
{
    const struct view *view;
    struct seq after;
    bool has_after;
    if (!subscription_check(hub, read->identity, read->wanted, &view, &has_after, &after, error))
        return false;
    struct hub_explanation *it = memory_new(sizeof *it);
    if (!it) {
        view_unref(view);
        return error_set(error, ERROR_MEMORY, "out of memory while explaining a row");
    }
    it->read.run = run;
    it->read.is_long = true; /* so that brief jobs go first: it may read much of the log */
    it->read.event.deliver = deliver;
    it->read.owner = read->owner;
    it->hub = hub;
    it->options = *read;
    it->view = view;
    buffer_init(&it->answer.body, UINT32_MAX);
    if (fill(it, read, error))
        return true;
    explanation_free(it);
    return false;
}
