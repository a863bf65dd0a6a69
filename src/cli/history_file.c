/* `stele history` of a database: it is read in steps, beside its server. */
#include "cli/history.h"
#include "config/config.h"
#include "database/database.h"
#include "rows/past_point.h"
#include "rows/row_history.h"
#include "rows/view_past.h"

enum {
    FILE_ROWS = 20000,    /* of the log, in one transaction */
    FILE_BYTES = 16 << 20 /* of JSON, likewise */
};

static const struct view *find_view(const struct history_command *command,
                                    const struct view_set *views, struct error *error)
{
    struct span id = buffer_span(&command->view);
    const struct view *known = views ? view_set_find(views, id) : NULL;
    bool is_open = !views || view_set_is_open(views);
    const struct view *view = known                          ? view_ref(known)
                              : is_open && view_is_plain(id) ? view_plain_new(id, error)
                                                             : NULL;
    bool changes = !command->options->as_of;
    if (view && (!changes || (view->mode == VIEW_APPEND && !view->stage)))
        return view;
    view_unref(view);
    error_set(error, ERROR_VIEW_NOT_FOUND, "%.200s is no %sview of an export%s", id.data,
              changes ? "append " : "", views ? "" : "; views of a configuration need --config");
    return NULL;
}

static bool print_step(struct history_command *command, struct row_history *history,
                       struct error *error)
{
    struct span events = buffer_span(&history->events);
    size_t between = events.length && events.data[0] == ',';
    bool done = history_print_events(&command->print,
                                     span_make(events.data + between, events.length - between),
                                     command->options->count, &command->count, error);
    buffer_clear(&history->events);
    return done;
}

static bool read_steps(struct history_command *command, struct row_history *history,
                       struct store_reader *reader, struct error *error)
{
    bool done = true;
    while (done && !history->expired && history->from < history->last &&
           command->count < command->options->count && !ferror(stdout))
        done = row_history_run(history, reader, error) && print_step(command, history, error);
    return done &&
           (!history->expired ||
            error_set(error, ERROR_QUEUE_FULL, "the log was trimmed while it was read; try again"));
}

/* The newest change is that of the beginning: a server goes on meanwhile. */
static bool read_state(const struct view *view, struct store_reader *reader,
                       struct view_state *state, struct error *error)
{
    if (!store_read_begin(reader, error))
        return false;
    bool done = view_state_read(state, view, reader, error);
    store_read_end(reader);
    return done &&
           (state->found || error_set(error, ERROR_NOT_FOUND, "the database has no export '%.128s'",
                                      view->export_name));
}

static bool read_changes(struct history_command *command, const struct view *view,
                         struct store_reader *reader, struct error *error)
{
    struct row_history history;
    struct view_state state;
    if (!read_state(view, reader, &state, error))
        return false;
    row_history_init(&history);
    history.view = view;
    history.key = span_of(command->key);
    history.from = past_floor(false, &state);
    history.last = state.log.last_change;
    history.most = command->options->count;
    history.most_bytes = FILE_BYTES;
    history.scan_rows = FILE_ROWS;
    bool done = read_steps(command, &history, reader, error);
    row_history_fini(&history);
    return done;
}

/* ---- a former state ---- */

static bool find_position(struct history_command *command, struct past_search *search,
                          struct store_reader *reader, struct error *error)
{
    if (!past_point_read(span_of(command->options->as_of), &search->point, error))
        return false;
    while (!search->done)
        if (!past_search_run(search, reader, error))
            return false;
    return true;
}

static bool print_row(struct history_command *command, const struct row_past *past,
                      struct error *error)
{
    const struct replay *replay = &past->replay;
    if (replay->is == REPLAY_UNKNOWN)
        return row_past_refuse(past, error);
    return history_print_row(&command->print, past->view, past->key,
                             replay->is == REPLAY_THERE ? buffer_span(&replay->row)
                                                        : span_make(NULL, 0),
                             past->at, error);
}

static bool read_row(struct history_command *command, const struct view *view, int64_t at,
                     struct store_reader *reader, struct error *error)
{
    struct row_past past;
    row_past_init(&past);
    past.view = view;
    past.key = span_of(command->key);
    past.at = at;
    past.scan_rows = FILE_ROWS;
    past.explains = true;
    bool done = true;
    while (done && past.stage != PAST_DONE)
        done = view_past_run_row(&past, reader, error);
    done = done && print_row(command, &past, error);
    row_past_fini(&past);
    return done;
}

static bool print_rows(struct history_command *command, const struct past_rows *rows,
                       struct error *error)
{
    for (size_t i = 0; i < rows->count; i++)
        if (!history_print_keyed(rows->view, rows->list[i]->key, rows->list[i]->data, error))
            return false;
    command->count = (int64_t)rows->count;
    return true;
}

static bool check_view(const struct view *view, struct error *error)
{
    return (!view_stage_is_timed(view->stage) && view->output != VIEW_KEYED) ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "view %.128s is keyed, or asks for now(): what it was is not in the log",
                     view->id);
}

static bool read_rows(struct history_command *command, const struct view *view, int64_t at,
                      struct store_reader *reader, struct error *error)
{
    struct view_past past;
    if (!check_view(view, error))
        return false;
    view_past_init(&past);
    past.at = at;
    past.scan_rows = FILE_ROWS;
    past.rows.view = view;
    past.rows.key = command->key ? span_of(command->key) : span_make(NULL, 0);
    past.rows.take = command->options->count == INT64_MAX ? VIEW_ALL : command->options->count;
    past.rows.most = INT64_MAX;
    past.names_rows = true;
    bool done = true;
    while (done && past.stage != VIEW_PAST_DONE)
        done = view_past_run(&past, reader, error);
    done = done && print_rows(command, &past.rows, error);
    view_past_fini(&past);
    return done;
}

static bool read_as_of(struct history_command *command, const struct view *view,
                       struct store_reader *reader, struct error *error)
{
    struct past_search search = {.view = view, .now_ms = clock_wall_ms(), .scan_rows = FILE_ROWS};
    struct view_state state;
    return read_state(view, reader, &state, error) &&
           find_position(command, &search, reader, error) &&
           (command->key && !past_rows_are_cut(view) ? read_row : read_rows)(
               command, view, search.at, reader, error);
}

/* ---- the file ---- */

static bool read_file(struct history_command *command, const struct view *view,
                      struct store_reader *reader, struct error *error)
{
    return command->options->as_of ? read_as_of(command, view, reader, error)
                                   : read_changes(command, view, reader, error);
}

static bool read_configuration(const char *path, struct view_set **views, struct error *error)
{
    struct config config;
    if (!path)
        return true;
    if (!config_init(&config, error))
        return false;
    if (config_read_file(&config, path, error))
        *views = config_views(&config, error);
    config_fini(&config);
    return *views != NULL;
}

bool history_of_file(struct history_command *command, struct error *error)
{
    const struct database_options options = {.path = command->options->database, .read_only = true};
    struct view_set *views = NULL;
    const struct view *view = NULL;
    struct database *database = NULL;
    struct store_reader *reader = NULL;
    bool done = read_configuration(command->options->config_file, &views, error) &&
                (view = find_view(command, views, error)) != NULL &&
                (database = database_open(&options, error)) != NULL &&
                (reader = store_reader_open(database, error)) != NULL &&
                read_file(command, view, reader, error);
    if (reader)
        store_reader_close(reader);
    if (database)
        database_close(database);
    view_unref(view);
    view_set_free(views);
    return done;
}
