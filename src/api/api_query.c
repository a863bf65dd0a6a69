/*
 * Reading a view from another thread.
 *
 * The hub reads the view page by page (hub_pages): each page is asked for on the loop thread and
 * read by a reader in one short transaction. Its rows are told on the caller's own thread when that
 * is over. So a callback that takes its time holds up nobody, and pins nothing.
 */
#include "api/api_internal.h"
#include "delivery/hub.h"
#include "window/window.h"
#include "wire/wire.h"

#include <stddef.h>
#include <stdio.h>

/* Lives on the caller's stack. */
struct query {
    struct api_wait wait;
    const stele_query_options *options;
    char *text; /* of its query; NULL: all rows */
    struct hub_pages *pages;
    const struct hub_page *page; /* that was read last */
};

/* ---- on the loop ---- */

static void page_read(void *argument, const struct hub_page *page)
{
    struct query *query = argument;
    const struct error *error = &page->error;
    query->page = page;
    api_done(&query->wait, error->code == ERROR_NONE ? NULL : error);
}

static bool begin(struct query *query, struct hub *hub, struct error *error)
{
    /* The hub keeps no member that it does not write. */
    const stele_query_options *options = query->options;
    struct wire_subscribe wanted = {.view = (char *)(uintptr_t)options->view,
                                    .key = (char *)(uintptr_t)options->key,
                                    .query = query->text,
                                    .skip = options->skip,
                                    .take = options->take < 0 ? VIEW_ALL : options->take};
    query->pages = hub_pages_new(hub, &wanted, error);
    return query->pages != NULL;
}

static void start_page(struct api_call *call)
{
    struct query *query = (struct query *)call;
    struct hub *hub = server_parts(call->store->server).hub;
    struct error error = {0};
    if ((!query->pages && !begin(query, hub, &error)) ||
        !hub_pages_read(query->pages, page_read, query, &error))
        api_done(&query->wait, &error);
}

/* ---- on the caller's thread ---- */

static bool ask_page(struct stele *store, struct query *query, struct error *error)
{
    query->wait = (struct api_wait){.call = {.work = start_page, .abandon = api_abandon_wait}};
    return api_wait(store, &query->wait, error);
}

/* false: the caller has enough. */
static bool tell_page(const struct hub_page *page, stele_row_callback tell, void *argument)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct hub_page_row *it = &page->rows[i];
        char seq[SEQ_SIZE];
        seq_print(seq, it->seq);
        stele_row row = {
            .key = page->text.data + it->key,
            .key_length = it->key_length,
            .seq = seq,
            .data = page->text.data + it->data,
            .data_length = it->data_length,
        };
        if (!tell(argument, &row))
            return false;
    }
    return true;
}

static void print_position(stele_position *position, const struct hub_page *page)
{
    if (!position)
        return;
    seq_print(position->seq, page->seq);
    snprintf(position->epoch, sizeof position->epoch, "%s", page->epoch);
}

static bool run(struct stele *store, const stele_query_options *options, stele_row_callback row,
                void *argument, stele_position *position, struct error *error)
{
    struct query query = {.options = options};
    const struct api_query_parts parts = {options->filters, options->where, options->sort};
    bool done, more = true, first = true;
    if (!api_print_query(&parts, &query.text, error))
        return false;
    while (more && (done = ask_page(store, &query, error))) {
        const struct hub_page *page = query.page;
        if (first)
            print_position(position, page);
        first = false;
        more = tell_page(page, row, argument) && page->more;
    }
    hub_pages_free(query.pages);
    memory_free(query.text);
    return done;
}

/* ---- what is asked for ---- */

static bool check_options(const stele_query_options *options, struct error *error)
{
    return api_check_text(error, "view", options->view, true) &&
           api_check_text(error, "key", options->key, false) &&
           api_check_text(error, "filters", options->filters, false) &&
           api_check_text(error, "where", options->where, false) &&
           api_check_text(error, "sort", options->sort, false);
}

static bool query_view(struct stele *store, const stele_query_options *options,
                       stele_row_callback row, void *argument, stele_position *position,
                       struct error *error)
{
    if (!row) {
        api_refuse_null(error, "row");
        return false;
    }
    return check_options(options, error) && run(store, options, row, argument, position, error);
}

bool stele_query_view(stele *store, const stele_query_options *options, stele_row_callback row,
                      void *argument, stele_position *position, stele_error *error)
{
    struct error reason = {0};
    stele_query_options known = STELE_QUERY_INIT;
    if (!api_enter(store, "stele_query_view", &reason))
        return api_error(error, &reason);
    bool done =
        api_take_options(&known, sizeof known, options, offsetof(stele_query_options, where),
                         "STELE_QUERY_INIT", &reason) &&
        query_view(store, &known, row, argument, position, &reason);
    api_leave(store);
    return done || api_error(error, &reason);
}

bool stele_query(stele *store, const char *view, const char *key, int64_t limit,
                 stele_row_callback row, void *argument, stele_error *error)
{
    struct error reason = {0};
    stele_query_options options = STELE_QUERY_INIT;
    options.view = view;
    options.key = key;
    options.take = limit;
    if (!api_enter(store, "stele_query", &reason))
        return api_error(error, &reason);
    bool done = query_view(store, &options, row, argument, NULL, &reason);
    api_leave(store);
    return done || api_error(error, &reason);
}
