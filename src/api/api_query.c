#include "api/api_internal.h"

/*
 * A query goes to the loop thread, which knows the views, from there to a reader thread, which
 * tells the rows, and back to the loop, which wakes the caller. It lives on the caller's stack.
 */
struct query {
    struct api_wait wait;
    struct read_job job;
    const char *view_id, *key;
    const struct view *view;
    int64_t limit;
    stele_row_callback row;
    void *argument;
    struct buffer key_text, data; /* of the row that is being told */
    struct error error;
};

static struct query *query_of(struct read_job *job)
{
    return (struct query *)((char *)job - offsetof(struct query, job));
}

static bool tell_row(void *argument, const struct store_entity *entity)
{
    struct query *query = argument;
    if (!view_shows(query->view, entity->key))
        return true;
    char seq[SEQ_SIZE];
    seq_print(seq, (struct seq){entity->seq.slot, entity->seq.index});
    buffer_clear(&query->key_text);
    buffer_clear(&query->data);
    buffer_add_span(&query->key_text, entity->key);
    bool projected = view_project(query->view, entity->data, &query->data);
    stele_row row = {
        .key = buffer_string(&query->key_text),
        .key_length = query->key_text.length,
        .seq = seq,
        .data = buffer_string(&query->data),
        .data_length = query->data.length,
    };
    if (!projected || !row.key || !row.data)
        return error_set(&query->error, ERROR_MEMORY, "out of memory");
    if (query->limit == 0 || !query->row(query->argument, &row))
        return false;
    if (query->limit > 0)
        query->limit--;
    return query->limit != 0;
}

static bool read_rows(struct query *query, struct store_reader *reader, struct error *error)
{
    struct store_export export;
    struct store_entity entity;
    bool found = false;
    if (!store_read_export(reader, span_of(query->view->export_name), &export, &found, error))
        return false;
    if (!found)
        return true; /* nothing was fed yet */
    if (!query->key)
        return store_scan_entities(reader, export.id, NULL, -1, tell_row, query, error);
    if (!store_read_entity(reader, export.id, span_of(query->key), &entity, &found, error))
        return false;
    if (found)
        tell_row(query, &entity);
    return true;
}

static void run_query(struct read_job *job, struct store_reader *reader)
{
    struct query *query = query_of(job);
    struct error error = {0};
    bool good = store_read_begin(reader, &error);
    if (good) {
        good = read_rows(query, reader, &error);
        store_read_end(reader);
    }
    if (!good)
        query->error = error;
}

static void deliver_query(struct engine_event *event)
{
    struct query *query = query_of((struct read_job *)event);
    api_done(&query->wait, query->error.code == ERROR_NONE ? NULL : &query->error);
}

static void start_query(struct api_call *call)
{
    struct query *query = (struct query *)call;
    struct server *server = call->store->server;
    query->view = view_set_find(hub_views(server_hub(server)), span_of(query->view_id));
    if (!query->view) {
        error_set(&query->error, ERROR_VIEW_NOT_FOUND, "there is no view \"%.200s\"",
                  query->view_id);
        api_done(&query->wait, &query->error);
    } else if (!engine_read(server_engine(server), &query->job)) {
        error_set(&query->error, ERROR_QUEUE_FULL, "too many reads wait; try again later");
        api_done(&query->wait, &query->error);
    }
}

bool stele_query(stele *store, const char *view, const char *key, int64_t limit,
                 stele_row_callback row, void *argument, stele_error *error)
{
    struct error reason = {0};
    if (!api_enter(store, "stele_query", &reason))
        return api_error(error, &reason);
    struct query query = {
        .wait.call = {.work = start_query, .abandon = api_abandon_wait},
        .job = {.run = run_query, .event.deliver = deliver_query},
        .view_id = view,
        .key = key,
        .limit = limit,
        .row = row,
        .argument = argument,
    };
    buffer_init(&query.key_text, SIZE_MAX / 2);
    buffer_init(&query.data, SIZE_MAX / 2);
    bool done = api_wait(store, &query.wait, &reason);
    buffer_fini(&query.key_text);
    buffer_fini(&query.data);
    api_leave(store);
    return done || api_error(error, &reason);
}
