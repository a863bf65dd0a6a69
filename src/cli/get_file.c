/*
 * The rows of a view in a database, in pages, of which only one is in memory. All are as of one
 * position, so the command works beside a server that goes on.
 */
#include "cli/definitions.h"
#include "cli/get.h"
#include "cli/query.h"
#include "database/database.h"
#include "rows/past_point.h"
#include "rows/view_past.h"
#include "rows/wanted.h"

enum {
    QUERY_BYTES = 64 * 1024,
    QUERY_DEPTH = 100,
    FILE_ROWS = 20000, /* of the log, in one transaction */
    FILE_PAGE = 10000  /* rows of a page */
};

struct file {
    const struct get_options *options;
    struct get_print *print;
    const struct view *view;
    struct view_query *query; /* NULL: all */
    struct store_reader *reader;
    int64_t at;
    int64_t page, printed;
    struct buffer key, data; /* of the row that was printed last, as it is in the database */
    bool more;
};

/* ---- what is asked ---- */

static bool check_view(const struct view *view, struct error *error)
{
    return (!view_stage_is_timed(view->stage) && view->output != VIEW_KEYED) ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "view '%.128s' is keyed, or asks for now(): a file does not tell its rows, "
                     "its server does",
                     view->id);
}

static bool check_query(const struct file *file, struct error *error)
{
    struct view_query_traits traits = view_query_traits(file->query);
    return (!traits.sorts || wanted_may_sort(file->view, error)) &&
           (!traits.is_timed ||
            error_set(error, ERROR_INVALID_PARAMETER,
                      "--where asks for now(): a file does not tell such rows, its server does"));
}

static bool read_query(struct file *file, struct error *error)
{
    static const struct view_query_limits limits = {QUERY_DEPTH, SIZE_MAX};
    const struct get_options *options = file->options;
    const struct query_options query = {options->filters, options->where, options->sorts};
    struct buffer text;
    buffer_init(&text, QUERY_BYTES);
    bool done = query_print(&text, &query) ||
                error_set(error, ERROR_INVALID_PARAMETER, "the query is too long");
    if (done && text.length) {
        text.data[0] = '{'; /* in place of the first comma */
        done = buffer_add_char(&text, '}') &&
               (file->query = view_query_new(file->view, buffer_span(&text), &limits, error)) &&
               check_query(file, error);
    }
    buffer_fini(&text);
    return done;
}

static bool check_key(const struct file *file, struct error *error)
{
    return file->options->key || file->view->mode != VIEW_STATE || file->view->stage ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "view '%.128s' shows one row: --key KEY names it", file->view->id);
}

/* ---- the position ---- */

static bool read_head(struct file *file, struct error *error)
{
    struct view_state state;
    if (!store_read_begin(file->reader, error))
        return false;
    bool done = view_state_read(&state, file->view, file->reader, error);
    store_read_end(file->reader);
    file->at = state.log.last_change;
    return done &&
           (state.found || error_set(error, ERROR_NOT_FOUND, "the database has no export '%.128s'",
                                     file->view->export_name));
}

static bool find_position(struct file *file, struct error *error)
{
    struct past_search search = {
        .view = file->view, .now_ms = clock_wall_ms(), .scan_rows = FILE_ROWS};
    if (!read_head(file, error))
        return false;
    if (!file->options->as_of)
        return true;
    if (!past_point_read(span_of(file->options->as_of), &search.point, error))
        return false;
    while (!search.done)
        if (!past_search_run(&search, file->reader, error))
            return false;
    file->at = search.at;
    return true;
}

/* ---- rows ---- */

static void add_row(const struct file *file, struct buffer *out, struct span key, struct span data)
{
    buffer_add_string(out, out->length > 1 ? ",{\"key\":" : "{\"key\":");
    doc_escape(out, key);
    buffer_add_string(out, ",\"data\":");
    out->failed |= !view_project(file->view, data, out);
    buffer_add_char(out, '}');
}

/* A list of rows, without its end. */
static bool print_list(struct file *file, struct buffer *list, struct error *error)
{
    struct doc doc;
    uint32_t root;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    bool done = buffer_add_char(list, ']') || error_set(error, ERROR_MEMORY, "out of memory");
    done = done && doc_parse(&doc, buffer_span(list), COLUMN_DEPTH, &root, error) &&
           get_print_rows(file->print, &doc, root, error);
    doc_fini(&doc);
    return done;
}

static bool keep_last(struct file *file, const struct past_row *row, struct error *error)
{
    buffer_clear(&file->key);
    buffer_clear(&file->data);
    return (buffer_add_span(&file->key, row->key) && buffer_add_span(&file->data, row->data)) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}

static bool take_rows(struct file *file, const struct past_rows *rows, struct error *error)
{
    struct buffer list;
    buffer_init(&list, UINT32_MAX);
    buffer_add_char(&list, '[');
    for (size_t i = 0; i < rows->count; i++)
        add_row(file, &list, rows->list[i]->key, rows->list[i]->data);
    bool done = print_list(file, &list, error) &&
                (!rows->count || keep_last(file, rows->list[rows->count - 1], error));
    buffer_fini(&list);
    file->printed += (int64_t)rows->count;
    file->more = rows->more && rows->count &&
                 (file->options->take < 0 || file->printed < file->options->take);
    return done;
}

static bool begin_page(struct file *file, struct view_past *past, struct error *error)
{
    const struct get_options *options = file->options;
    int64_t left = options->take < 0 ? INT64_MAX : options->take - file->printed;
    past->at = file->at;
    past->scan_rows = FILE_ROWS;
    past->names_rows = true;
    past->rows.view = file->view;
    past->rows.query = file->query;
    past->rows.take = file->page < left ? file->page : left;
    past->rows.skip = !file->printed && options->skip > 0 ? options->skip : 0;
    past->rows.most = INT64_MAX;
    if (!file->printed)
        return true;
    past->rows.behind = buffer_span(&file->key);
    return past_rows_are_cut(file->view) ||
           view_past_begin_behind(past, buffer_span(&file->data), error);
}

/* Fewer rows need less memory. */
static bool shrink(struct file *file, const struct error *error)
{
    bool helps = error->code == ERROR_TOO_LARGE && file->page > 1;
    file->page -= helps ? file->page / 2 : 0;
    return helps;
}

static bool read_page(struct file *file, struct error *error)
{
    struct view_past past;
    view_past_init(&past);
    bool done = begin_page(file, &past, error);
    while (done && past.stage != VIEW_PAST_DONE)
        done = view_past_run(&past, file->reader, error);
    done = done ? take_rows(file, &past.rows, error) : shrink(file, error);
    view_past_fini(&past);
    return done;
}

static bool read_rows(struct file *file, struct error *error)
{
    bool done = true;
    file->more = true;
    while (done && file->more && !ferror(stdout))
        done = read_page(file, error);
    return done;
}

/* ---- one row ---- */

static bool print_row(struct file *file, const struct replay *replay, struct error *error)
{
    const struct get_options *options = file->options;
    struct span key = span_of(options->key), data = buffer_span(&replay->row);
    struct buffer list;
    if (replay->is != REPLAY_THERE || !view_shows(file->view, key) ||
        !view_query_holds(file->query, data, 0))
        return get_lacks_row(options, error);
    buffer_init(&list, UINT32_MAX);
    buffer_add_char(&list, '[');
    add_row(file, &list, key, data);
    bool done = print_list(file, &list, error);
    buffer_fini(&list);
    return done;
}

/* Of a view that is not cut: no other row decides. */
static bool read_row(struct file *file, struct error *error)
{
    struct row_past past;
    bool done = true;
    row_past_init(&past);
    past.view = file->view;
    past.key = span_of(file->options->key);
    past.at = file->at;
    past.scan_rows = FILE_ROWS;
    past.explains = true;
    while (done && past.stage != PAST_DONE)
        done = view_past_run_row(&past, file->reader, error);
    if (done && past.replay.is == REPLAY_UNKNOWN)
        done = row_past_refuse(&past, error);
    done = done && print_row(file, &past.replay, error);
    row_past_fini(&past);
    return done;
}

static bool read_row_of_cut(struct file *file, struct error *error)
{
    struct view_past past;
    view_past_init(&past);
    bool done = begin_page(file, &past, error);
    past.rows.key = span_of(file->options->key);
    while (done && past.stage != VIEW_PAST_DONE)
        done = view_past_run(&past, file->reader, error);
    done = done && (past.rows.count ? take_rows(file, &past.rows, error)
                                    : get_lacks_row(file->options, error));
    view_past_fini(&past);
    return done;
}

/* ---- the file ---- */

static bool read_file(struct file *file, struct error *error)
{
    if (!check_view(file->view, error) || !check_key(file, error) || !read_query(file, error) ||
        !find_position(file, error))
        return false;
    return (!file->options->key             ? read_rows
            : past_rows_are_cut(file->view) ? read_row_of_cut
                                            : read_row)(file, error);
}

bool get_of_file(const struct get_options *options, struct get_print *print, struct error *error)
{
    const struct database_options database_options = {.path = options->database, .read_only = true};
    struct file file = {
        .options = options, .print = print, .page = options->page ? options->page : FILE_PAGE};
    struct database *database = NULL;
    struct view_set *views = definitions_read(options->config_file, &options->stacks, error);
    buffer_init(&file.key, UINT32_MAX);
    buffer_init(&file.data, UINT32_MAX);
    bool done = views &&
                (file.view = definitions_find(views, options->operands.items[0], error)) != NULL &&
                (database = database_open(&database_options, error)) != NULL &&
                (file.reader = store_reader_open(database, error)) != NULL &&
                read_file(&file, error) && get_print_end(print, error);
    if (file.reader)
        store_reader_close(file.reader);
    if (database)
        database_close(database);
    buffer_fini(&file.key);
    buffer_fini(&file.data);
    view_query_unref(file.query);
    view_unref(file.view);
    view_set_free(views);
    return done;
}
