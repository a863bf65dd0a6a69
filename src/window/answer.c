#include "window/answer.h"
#include "delivery/hub_internal.h"

#include <stdio.h>

static bool may_view(const struct auth_identity *identity, const struct view *view)
{
    return !identity || auth_may_view(identity, span_of(view->id));
}

const struct view *answer_find_whole(const struct hub *hub, const struct auth_identity *identity,
                                     const struct view *asked)
{
    const struct view *best = !asked->stage && !asked->key_count ? asked : NULL, *view;
    for (size_t i = 0; (!best || best->path_count) && (view = view_set_at(hub->views, i)); i++)
        if (!view->stage && !view->key_count && (!best || !view->path_count) &&
            strcmp(view->export_name, asked->export_name) == 0 && may_view(identity, view))
            best = view;
    return best ? view_ref(best) : NULL;
}

bool answer_copy_text(const char *text, char **copy)
{
    *copy = text ? memory_copy_string(text, strlen(text)) : NULL;
    return !text || *copy;
}

bool answer_ask(struct hub *hub, struct read_job *read, struct error *error)
{
    return engine_read(hub->engine, read) ||
           error_set(error, ERROR_QUEUE_FULL,
                     "too many readers wait for the database; try again later");
}

static void tell_rest(const struct hub_read *read, bool begins)
{
    if (read->rests)
        read->rests(read->argument, begins);
}

static bool wait_is_wanted(const struct cursor_wait *wait)
{
    const struct hub_read *read = ((const struct answer_wait *)wait)->read;
    return read->is_wanted(read->argument);
}

static void on_waited(struct cursor_wait *wait, const struct error *error)
{
    struct answer_wait *own = (struct answer_wait *)wait;
    tell_rest(own->read, false);
    own->done(own, error);
}

void answer_await(struct answer_wait *wait, struct hub *hub, const struct hub_read *read,
                  struct cursor_place place,
                  void (*done)(struct answer_wait *wait, const struct error *error))
{
    wait->read = read;
    wait->done = done;
    wait->wait.is_wanted = wait_is_wanted;
    tell_rest(read, true);
    cursor_wait_begin(hub, &wait->wait, place, on_waited);
}

/* `known` is a list as If-None-Match has it. No tag can be a part of another with its quotes. */
bool answer_is_known(const struct hub_answer *answer, const char *known)
{
    char quoted[HUB_TAG_SIZE + 2];
    if (!known)
        return false;
    snprintf(quoted, sizeof quoted, "\"%s\"", answer->tag);
    return strcmp(known, "*") == 0 || strstr(known, quoted) != NULL;
}

bool answer_may_have(struct hub_answer *answer, const struct hub_read *read, int64_t rows)
{
    return !read->rows_limited || rows <= read->max_rows ||
           error_set(&answer->error, ERROR_SNAPSHOT_LIMIT,
                     "the answer would have %lld rows, and may have %lld; ask for fewer (take)",
                     (long long)rows, (long long)read->max_rows);
}

void answer_set_body(struct hub_answer *answer, const struct hub_read *read, struct buffer *json)
{
    struct wire_gzip *gzip = NULL;
    bool small = json->length < WIRE_GZIP_MINIMUM;
    answer->gzip = read->gzip && !small && (gzip = wire_gzip_new()) != NULL &&
                   wire_gzip_member(gzip, buffer_span(json), &answer->body);
    wire_gzip_free(gzip);
    if (!answer->gzip) {
        buffer_fini(&answer->body);
        answer->body = *json;
        buffer_init(json, 1);
    }
    if (answer->body.failed)
        error_set(&answer->error, ERROR_MEMORY, "out of memory while showing a view");
}

void answer_give(struct hub_answer *answer, const struct hub_read *read, const struct view *view)
{
    if (error_kind(answer->error.code)->http_status == 500)
        log_error("hub", "read-failed", log_text("for", "http"), log_text("view", view->id),
                  log_text("error", answer->error.message));
    read->done(read->argument, answer);
    buffer_fini(&answer->body);
}
