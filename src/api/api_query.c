/*
 * Reading a view from another thread.
 *
 * The first page notes the order of all rows, by their ids; then the rows are read page by page.
 * Each page is asked for on the loop thread, which knows the views, and read by a reader in one
 * short transaction; its rows are told on the caller's own thread when that is over. So a callback
 * that takes its time holds up nobody, and pins nothing.
 */
#include "api/api_internal.h"

enum {
    PAGE_ROWS = 1000,      /* a page ends with so many rows, */
    PAGE_BYTES = 1 << 20,  /* or so many bytes of them, */
    PAGE_LOOKS = 20 * 1000 /* or when so many were looked at for it */
};

/* A row of the page: places in query.text. */
struct page_row {
    size_t key, key_length, data, data_length;
    struct seq seq;
};

/* Lives on the caller's stack. Between two pages it is the caller's, else the reader's. */
struct query {
    struct api_wait wait;
    struct read_job job;
    const char *view_id, *key;
    const struct view *view;
    int64_t limit; /* rows still wanted; negative: all */
    bool begun;    /* `order` was read */
    int64_t *order;
    size_t next, count, capacity;
    struct buffer text;
    struct page_row rows[PAGE_ROWS];
    size_t row_count;
    struct error error;
};

static struct query *query_of(struct read_job *job)
{
    return (struct query *)((char *)job - offsetof(struct query, job));
}

/* ---- on a reader ---- */

static bool lacks_memory(struct query *query)
{
    return error_set(&query->error, ERROR_MEMORY, "out of memory");
}

static bool note_id(void *argument, int64_t id)
{
    struct query *query = argument;
    if (query->count == query->capacity) {
        size_t capacity = query->capacity ? query->capacity * 2 : 256;
        int64_t *order = memory_resize(query->order, capacity * sizeof *order);
        if (!order)
            return lacks_memory(query);
        query->order = order;
        query->capacity = capacity;
    }
    query->order[query->count++] = id;
    return true;
}

/* Copy a row into the page, when the view shows it. */
static bool add_row(struct query *query, const struct store_entity *entity)
{
    struct buffer *text = &query->text;
    if (!view_shows(query->view, entity->key))
        return true;
    struct page_row *row = &query->rows[query->row_count];
    *row = (struct page_row){
        .key = text->length, .key_length = entity->key.length, .seq = entity->seq};
    buffer_add_span(text, entity->key);
    buffer_add_char(text, '\0');
    row->data = text->length;
    if (!view_project(query->view, entity->data, text) || text->failed)
        return lacks_memory(query);
    row->data_length = text->length - row->data;
    buffer_add_char(text, '\0');
    if (text->failed)
        return lacks_memory(query);
    query->row_count++;
    query->limit -= query->limit > 0;
    return true;
}

static bool read_page(struct query *query, struct store_reader *reader, uint32_t export_id)
{
    struct store_entity entity;
    bool found;
    for (size_t looks = 0;
         query->next < query->count && query->limit != 0 && query->row_count < PAGE_ROWS &&
         query->text.length < PAGE_BYTES && looks < PAGE_LOOKS;
         looks++) {
        int64_t id = query->order[query->next++];
        if (!store_read_entity_by_id(reader, export_id, id, &entity, &found, &query->error) ||
            (found && !add_row(query, &entity)))
            return false;
    }
    return true;
}

static bool read_key(struct query *query, struct store_reader *reader, uint32_t export_id)
{
    struct store_entity entity;
    bool found;
    return store_read_entity(reader, export_id, span_of(query->key), &entity, &found,
                             &query->error) &&
           (!found || query->limit == 0 || add_row(query, &entity));
}

static bool read_rows(struct query *query, struct store_reader *reader)
{
    const struct view *view = query->view;
    struct store_export export;
    bool found = false;
    if (!store_read_export(reader, span_of(view->export_name), &export, &found, &query->error))
        return false;
    if (!found)
        return true; /* nothing was fed yet */
    if (query->key)
        return read_key(query, reader, export.id);
    /* Which rows a key filter shows is known only when they are read. */
    int64_t limit = view->key_count ? -1 : query->limit;
    if (!query->begun &&
        (!store_scan_order(reader, export.id, limit, note_id, query, &query->error) ||
         query->error.code != ERROR_NONE))
        return false;
    query->begun = true;
    return read_page(query, reader, export.id);
}

static void run_page(struct read_job *job, struct store_reader *reader)
{
    struct query *query = query_of(job);
    if (store_read_begin(reader, &query->error)) {
        read_rows(query, reader);
        store_read_end(reader);
    }
}

/* ---- on the loop ---- */

static void deliver_page(struct engine_event *event)
{
    struct query *query = query_of((struct read_job *)event);
    api_done(&query->wait, query->error.code == ERROR_NONE ? NULL : &query->error);
}

static void start_page(struct api_call *call)
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

/* ---- on the caller's thread ---- */

static bool ask_page(struct stele *store, struct query *query, struct error *error)
{
    query->wait = (struct api_wait){.call = {.work = start_page, .abandon = api_abandon_wait}};
    query->job = (struct read_job){.run = run_page, .event.deliver = deliver_page};
    query->row_count = 0;
    buffer_clear(&query->text);
    return api_wait(store, &query->wait, error);
}

/* false: the caller has enough. */
static bool tell_page(const struct query *query, stele_row_callback tell, void *argument)
{
    for (size_t i = 0; i < query->row_count; i++) {
        const struct page_row *it = &query->rows[i];
        char seq[SEQ_SIZE];
        seq_print(seq, it->seq);
        stele_row row = {
            .key = query->text.data + it->key,
            .key_length = it->key_length,
            .seq = seq,
            .data = query->text.data + it->data,
            .data_length = it->data_length,
        };
        if (!tell(argument, &row))
            return false;
    }
    return true;
}

bool stele_query(stele *store, const char *view, const char *key, int64_t limit,
                 stele_row_callback row, void *argument, stele_error *error)
{
    struct error reason = {0};
    if (!api_enter(store, "stele_query", &reason))
        return api_error(error, &reason);
    struct query *query = memory_new(sizeof *query);
    bool done = query != NULL || error_set(&reason, ERROR_MEMORY, "out of memory");
    if (query) {
        query->view_id = view;
        query->key = key;
        query->limit = limit;
        buffer_init(&query->text, SIZE_MAX / 2);
        bool more = true;
        while (more && (done = ask_page(store, query, &reason)))
            more =
                tell_page(query, row, argument) && query->next < query->count && query->limit != 0;
        buffer_fini(&query->text);
        memory_free(query->order);
        memory_free(query);
    }
    api_leave(store);
    return done || api_error(error, &reason);
}
