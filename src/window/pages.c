/*
 * All rows of a view for the program that embeds the store: as many as there are, in bounded
 * memory, without a transaction that stays open.
 *
 * The first page notes the order of the rows by their entities' numbers. An order that no index has
 * it makes by sorting the rows that pass, which are bounded as those of windows are. Each page is
 * one job, in one short transaction. A row that changed behind the first page is looked up in its
 * stage again, because a derived view need not show it any more.
 */
#include "rows/view_state.h"
#include "rows/wanted.h"
#include "window/reading.h"
#include "window/window.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE_BYTES = 1 << 20,  /* a page ends with so many bytes of rows, */
    PAGE_LOOKS = 20 * 1000 /* or when so many were looked at for it */
};

struct hub_pages {
    struct read_job job;
    struct hub *hub;
    struct window window; /* view, key and filter alone: for window_passes */
    char epoch[VIEW_EPOCH];
    int64_t skip, take; /* rows still to be left out, and still wanted (negative: all) */
    bool plain;         /* every row of the view passes, in an order that the database has */
    bool begun;         /* `order` and the following were read */
    int64_t position;   /* the newest change of then */
    int64_t *order;
    size_t next, count, capacity;
    struct hub_page page;
    void (*done)(void *argument, const struct hub_page *page);
    void *argument;
};

/* The state that the functions on a reader share. */
struct page_reading {
    struct hub_pages *pages;
    struct store_reader *reader;
    struct view_state state;
    int64_t stage; /* 0: the view is not derived */
};

static bool lacks_memory(struct hub_pages *pages)
{
    return error_set(&pages->page.error, ERROR_MEMORY, "out of memory while reading a view");
}

/* ---- on a reader: which rows ---- */

static bool note_id(void *argument, int64_t id)
{
    struct hub_pages *pages = argument;
    if (pages->count == pages->capacity) {
        size_t capacity = pages->capacity ? pages->capacity * 2 : 256;
        int64_t *order = memory_resize(pages->order, capacity * sizeof *order);
        if (!order)
            return lacks_memory(pages);
        pages->order = order;
        pages->capacity = capacity;
    }
    pages->order[pages->count++] = id;
    return true;
}

static bool note(void *argument, const struct store_entity *entity)
{
    return note_id(argument, entity->id);
}

static bool note_row(void *argument, struct span sort_key, const struct store_entity *row)
{
    (void)sort_key;
    return note(argument, row);
}

/* The part of the view's order to note. If every row matches, the database skips and stops. */
static struct view_cut wanted_part(struct hub_pages *pages)
{
    struct view_cut cut = window_view_cut(&pages->window);
    if (!pages->plain)
        return cut;
    if (cut.last) {
        cut.take = pages->skip > 0 ? 0 : 1;
    } else {
        cut.skip += pages->skip;
        if (cut.take != VIEW_ALL)
            cut.take = cut.take > pages->skip ? cut.take - pages->skip : 0;
    }
    pages->skip = 0;
    if (pages->take >= 0 && (cut.take == VIEW_ALL || pages->take < cut.take))
        cut.take = pages->take;
    return cut;
}

/* As the SQL view of that name is; every other one without a stage is a list. */
static bool is_in_order_of_key(const struct view *view)
{
    const char *name = strchr(view->id, '/');
    return !view->stage && !view->path_count && !view->key_count && name &&
           strcmp(name, "/state") == 0;
}

/* ---- on a reader: an order that no index has ---- */

struct sorting {
    struct page_reading *reading;
    struct window_rows rows; /* by sort key: the number of an entity, as bytes */
    int64_t looked;
};

static bool refuse_more(struct hub_pages *pages, const char *what, int64_t most,
                        const char *setting)
{
    return error_set(&pages->page.error, ERROR_TOO_LARGE,
                     "there are more than %lld rows to %s; leave rows out (where, filters), %s, or "
                     "raise %s",
                     (long long)most, what, window_spec_index_remedy(&pages->window.spec), setting);
}

static bool sort_entity(void *argument, const struct store_entity *entity)
{
    struct sorting *sorting = argument;
    struct hub_pages *pages = sorting->reading->pages;
    const struct hub_options *options = &pages->hub->options;
    struct window_row *row = NULL;
    struct buffer sort_key;
    if (++sorting->looked > options->max_filter_rows)
        return refuse_more(pages, "look at", options->max_filter_rows, "max_filter_rows");
    if (!window_passes(&pages->window, entity->key, entity->data))
        return true;
    if ((int64_t)sorting->rows.count >= options->max_window_rows)
        return refuse_more(pages, "sort", options->max_window_rows, "max_window_rows");
    buffer_init(&sort_key, UINT32_MAX);
    if (view_query_sort_key(pages->window.spec.query, entity->key, entity->data, &sort_key))
        row = window_row_new(span_make((const char *)&entity->id, sizeof entity->id),
                             buffer_span(&sort_key), entity->change);
    buffer_fini(&sort_key);
    if (row && window_rows_add(&sorting->rows, row))
        return true;
    memory_free(row);
    return lacks_memory(pages);
}

static bool sort_row(void *argument, struct span sort_key, const struct store_entity *row)
{
    (void)sort_key;
    return sort_entity(argument, row);
}

static int compare_rows(const void *a, const void *b)
{
    const struct window_row *const *left = a, *const *right = b;
    return span_compare(window_row_sort_key(*left), window_row_sort_key(*right));
}

static bool note_sorted(struct hub_pages *pages, struct window_rows *rows)
{
    bool done = true;
    if (rows->count)
        qsort(rows->list, rows->count, sizeof(*rows->list), compare_rows);
    for (size_t i = 0; done && i < rows->count; i++) {
        int64_t id;
        memcpy(&id, window_row_key(rows->list[i]).data, sizeof id);
        done = note_id(pages, id);
    }
    return done;
}

static bool read_sorted(struct page_reading *reading)
{
    struct hub_pages *pages = reading->pages;
    struct error *error = &pages->page.error;
    struct sorting sorting = {.reading = reading};
    bool done = reading->stage
                    ? store_scan_stage(reading->reader, reading->stage, span_make(NULL, 0), 0, -1,
                                       false, true, sort_row, &sorting, error)
                    : store_scan_list(reading->reader, reading->state.export.id, 0, -1, true,
                                      sort_entity, &sorting, error);
    done = done && error->code == ERROR_NONE && note_sorted(pages, &sorting.rows);
    window_rows_fini(&sorting.rows);
    return done;
}

static bool read_order(struct page_reading *reading)
{
    struct hub_pages *pages = reading->pages;
    struct error *error = &pages->page.error;
    struct view_cut cut = wanted_part(pages);
    pages->begun = true;
    pages->window.time.now = engine_times(pages->hub->engine).now / 1000;
    pages->position = reading->state.log.last_change;
    pages->page.seq = view_state_cursor(&reading->state);
    if (window_is_sorted(&pages->window))
        return read_sorted(reading);
    if (is_in_order_of_key(pages->window.spec.view))
        return store_scan_key_order(reading->reader, reading->state.export.id, cut.skip, cut.take,
                                    note_id, pages, error);
    if (!pages->window.spec.stage)
        return store_scan_list(reading->reader, reading->state.export.id, cut.skip, cut.take, false,
                               note, pages, error);
    return store_scan_stage(reading->reader, reading->stage, span_make(NULL, 0),
                            cut.last ? 0 : cut.skip, cut.take, cut.last, false, note_row, pages,
                            error);
}

/* ---- on a reader: rows ---- */

static bool put_row(struct hub_pages *pages, const struct store_entity *entity)
{
    struct hub_page *page = &pages->page;
    const struct window_spec *spec = &pages->window.spec;
    struct buffer *text = &page->text;
    struct span key = window_is_keyed_by_field(&pages->window) ? spec->key : entity->key;
    struct hub_page_row row = {.key = text->length, .key_length = key.length, .seq = entity->seq};
    buffer_add_span(text, key);
    buffer_add_char(text, '\0');
    row.data = text->length;
    if (!view_project(spec->view, entity->data, text) || text->failed)
        return lacks_memory(pages);
    row.data_length = text->length - row.data;
    if (!buffer_add_char(text, '\0'))
        return lacks_memory(pages);
    page->rows[page->count++] = row;
    pages->take -= pages->take > 0;
    return true;
}

/* A row in its turn: it is put into the page when it passes. */
static bool add_row(struct page_reading *reading, struct store_entity *entity)
{
    struct hub_pages *pages = reading->pages;
    if (!window_passes(&pages->window, entity->key, entity->data))
        return true;
    if (pages->skip > 0) {
        pages->skip--;
        return true;
    }
    return put_row(pages, entity);
}

static bool read_row(struct page_reading *reading, int64_t id)
{
    struct hub_pages *pages = reading->pages;
    struct error *error = &pages->page.error;
    uint32_t export_id = reading->state.export.id;
    struct store_entity entity;
    bool found;
    if (!store_read_entity_by_id(reading->reader, export_id, id, &entity, &found, error) || !found)
        return error->code == ERROR_NONE;
    if (reading->stage && entity.change > pages->position) {
        if (!window_stage_has(&pages->window, reading->reader, reading->stage, &entity, &found,
                              error) ||
            !found ||
            !store_read_entity_by_id(reading->reader, export_id, id, &entity, &found, error) ||
            !found)
            return error->code == ERROR_NONE;
    }
    return add_row(reading, &entity);
}

static bool is_full(const struct hub_pages *pages)
{
    return pages->take == 0 || pages->page.count == HUB_PAGE_ROWS ||
           pages->page.text.length >= PAGE_BYTES;
}

static bool read_rows(struct page_reading *reading)
{
    struct hub_pages *pages = reading->pages;
    if (!pages->begun && (!read_order(reading) || pages->page.error.code != ERROR_NONE))
        return false;
    for (int looks = 0; pages->next < pages->count && !is_full(pages) && looks < PAGE_LOOKS;
         looks++)
        if (!read_row(reading, pages->order[pages->next++]))
            return false;
    pages->page.more = pages->next < pages->count && pages->take != 0;
    return true;
}

/* One key: no other row is looked at. */
static bool read_key(struct page_reading *reading)
{
    struct hub_pages *pages = reading->pages;
    struct error *error = &pages->page.error;
    struct span key = pages->window.spec.key;
    uint32_t export_id = reading->state.export.id;
    struct store_entity entity;
    bool found;
    pages->page.seq = view_state_cursor(&reading->state);
    pages->window.time.now = engine_times(pages->hub->engine).now / 1000;
    if (pages->take == 0)
        return true;
    if (!store_read_entity(reading->reader, export_id, key, &entity, &found, error) || !found)
        return error->code == ERROR_NONE;
    if (!reading->stage)
        return add_row(reading, &entity);
    if (window_view_cut(&pages->window).last) /* what the last row is, no rank tells */
        return read_rows(reading);
    if (!window_view_has(&pages->window, reading->reader, reading->stage, &entity, &found, error))
        return false;
    if (found && !store_read_entity(reading->reader, export_id, key, &entity, &found, error))
        return false;
    return !found || add_row(reading, &entity);
}

static bool read_stage(struct page_reading *reading, bool *found)
{
    const struct view_stage *stage = reading->pages->window.spec.stage;
    int64_t built;
    *found = true;
    return !stage || store_read_stage(reading->reader, span_of(stage->definition), &reading->stage,
                                      &built, found, &reading->pages->page.error);
}

static void read_page(struct page_reading *reading)
{
    struct hub_pages *pages = reading->pages;
    const struct window *window = &pages->window;
    bool found;
    if (!view_state_read(&reading->state, window->spec.view, reading->reader, &pages->page.error) ||
        !reading->state.found || !read_stage(reading, &found) || !found)
        return; /* nothing was fed yet, or it failed */
    if (window->spec.key.data && !window_is_keyed_by_field(window))
        read_key(reading);
    else
        read_rows(reading);
}

static void run(struct read_job *job, struct store_reader *reader)
{
    struct hub_pages *pages = (struct hub_pages *)job;
    struct page_reading reading = {.pages = pages, .reader = reader};
    pages->page.count = 0;
    pages->page.more = false;
    buffer_clear(&pages->page.text);
    if (store_read_begin(reader, &pages->page.error)) {
        read_page(&reading);
        store_read_end(reader);
    }
}

/* ---- on the loop ---- */

static void deliver(struct engine_event *event)
{
    struct hub_pages *pages = (struct hub_pages *)event;
    pages->done(pages->argument, &pages->page);
}

static bool note_epoch(struct hub_pages *pages, struct error *error)
{
    const struct view *view = pages->window.spec.view;
    struct row_scope *all = view->scope ? row_scope_get_all(&pages->hub->row_scopes) : NULL;
    char text[VIEW_EPOCH];
    if (view->scope && !all)
        return error_set(error, ERROR_MEMORY, "out of memory for a view");
    snprintf(pages->epoch, sizeof pages->epoch, "%s", view_epoch(pages->hub, view, all, text));
    pages->page.epoch = pages->epoch;
    row_scope_unref(all);
    return true;
}

static bool set_spec(struct hub *hub, struct window_spec *spec, const struct wire_subscribe *wanted,
                     struct error *error)
{
    if (wanted->query && !(spec->query = view_query_new(spec->view, span_of(wanted->query),
                                                        &hub->options.query, error)))
        return false;
    if (view_query_traits(spec->query).sorts && !wanted_may_sort(spec->view, error))
        return false;
    size_t length = wanted->key ? strlen(wanted->key) : 0;
    char *key = wanted->key ? memory_copy_string(wanted->key, length) : NULL;
    if (key)
        spec->key = span_make(key, length);
    return key || !wanted->key || error_set(error, ERROR_MEMORY, "out of memory for a view");
}

struct hub_pages *hub_pages_new(struct hub *hub, const struct wire_subscribe *wanted,
                                struct error *error)
{
    struct hub_pages *pages = memory_new(sizeof *pages);
    if (!pages) {
        error_set(error, ERROR_MEMORY, "out of memory for a view");
        return NULL;
    }
    struct window_spec *spec = &pages->window.spec;
    buffer_init(&pages->page.text, SIZE_MAX / 2);
    pages->hub = hub;
    pages->skip = wanted->skip > 0 ? wanted->skip : 0;
    if (pages->skip > HUB_SKIP)
        pages->skip = HUB_SKIP;
    pages->take = wanted->take;
    spec->view = hub_find_view(hub, NULL, span_of(wanted->view), error);
    if (!spec->view || !set_spec(hub, spec, wanted, error) || !note_epoch(pages, error)) {
        hub_pages_free(pages);
        return NULL;
    }
    window_spec_seek_order(hub, spec);
    if (window_is_keyed_by_field(&pages->window) && pages->take != 0)
        pages->take = 1;
    pages->plain = !view_query_traits(spec->query).filters && !spec->key.data &&
                   !spec->view->key_count && !window_is_sorted(&pages->window);
    return pages;
}

bool hub_pages_read(struct hub_pages *pages,
                    void (*done)(void *argument, const struct hub_page *page), void *argument,
                    struct error *error)
{
    pages->job = (struct read_job){.run = run, .event.deliver = deliver, .is_long = pages->begun};
    pages->done = done;
    pages->argument = argument;
    return engine_read(pages->hub->engine, &pages->job) ||
           error_set(error, ERROR_QUEUE_FULL, "too many reads wait; try again later");
}

void hub_pages_free(struct hub_pages *pages)
{
    if (!pages)
        return;
    window_spec_fini(&pages->window.spec);
    buffer_fini(&pages->page.text);
    memory_free(pages->order);
    memory_free(pages);
}
