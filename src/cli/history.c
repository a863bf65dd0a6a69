/* `stele history`: the changes of one key, of a database or of the server that has it open. */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/history_print.h"
#include "config/config.h"
#include "database/database.h"
#include "rows/row_history.h"
#include "json/json.h"

enum {
    PATH_BYTES = 64 * 1024,
    ANSWER_DEPTH = 1100,
    PAGE = 1000,
    FILE_ROWS = 20000,    /* of the log, in one transaction */
    FILE_BYTES = 16 << 20 /* of JSON, likewise */
};

struct history_options {
    struct option_texts operands;
    struct access_options access;
    const char *database, *config_file, *url;
    int64_t count;
    bool json;
};

struct history_command {
    const struct history_options *options;
    const char *key;
    struct buffer view; /* the id, as text */
    struct history_print print;
    int64_t count; /* printed */
};

/* An export stands for its append view. */
static bool name_view(struct history_command *command, struct error *error)
{
    const char *name = command->options->operands.items[0];
    buffer_add_string(&command->view, name);
    buffer_add_string(&command->view, strchr(name, '/') ? "" : "/append");
    return buffer_string(&command->view) || error_set(error, ERROR_MEMORY, "out of memory");
}

/* ---- in a database ---- */

static const struct view *find_view(const struct history_command *command,
                                    const struct view_set *views, struct error *error)
{
    struct span id = buffer_span(&command->view);
    const struct view *known = views ? view_set_find(views, id) : NULL;
    bool is_open = !views || view_set_is_open(views);
    const struct view *view = known                          ? view_ref(known)
                              : is_open && view_is_plain(id) ? view_plain_new(id, error)
                                                             : NULL;
    if (view && view->mode == VIEW_APPEND && !view->stage)
        return view;
    view_unref(view);
    error_set(error, ERROR_VIEW_NOT_FOUND, "%.200s is no append view of an export%s", id.data,
              views ? "" : "; views of a configuration need --config");
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

static bool read_file(struct history_command *command, const struct view *view,
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

static bool by_file(struct history_command *command, struct error *error)
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

/* ---- by a server ---- */

struct answer {
    struct span events;
    struct buffer cursor;
    bool more, resumed;
};

static bool is_text(const struct doc *doc, uint32_t object, const char *name, const char *text)
{
    uint32_t found = doc_member(doc, object, name);
    return found != DOC_NONE && span_equal(doc_text(doc, found), span_of(text));
}

static bool take_answer(struct answer *answer, const struct doc *doc, uint32_t root,
                        struct error *error)
{
    uint32_t events = doc_member(doc, root, "events"), cursor = doc_member(doc, root, "cursor");
    if (events == DOC_NONE || doc->nodes[events].type != DOC_ARRAY || cursor == DOC_NONE ||
        doc->nodes[cursor].type != DOC_STRING)
        return error_set(error, ERROR_NETWORK, "the server answered without events");
    if (is_text(doc, root, "resumed", "false"))
        return error_set(error, ERROR_QUEUE_FULL,
                         "the log was trimmed while it was read; try again");
    answer->events = doc_text(doc, events);
    answer->more = is_text(doc, root, "more", "true");
    buffer_clear(&answer->cursor);
    return (doc_decode_string(doc, cursor, &answer->cursor) && buffer_string(&answer->cursor)) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}

static bool print_path(const struct history_command *command, const struct answer *answer,
                       struct buffer *path)
{
    int64_t left = command->options->count - command->count;
    buffer_printf(path, "/v1/history?take=%lld&view=", (long long)(left < PAGE ? left : PAGE));
    ask_encode(path, buffer_span(&command->view));
    buffer_add_string(path, "&key=");
    ask_encode(path, span_of(command->key));
    if (answer->cursor.length) {
        buffer_add_string(path, "&after=");
        ask_encode(path, buffer_span(&answer->cursor));
    }
    return buffer_string(path) != NULL;
}

static bool read_page(struct history_command *command, struct ask *ask, struct answer *answer,
                      struct error *error)
{
    struct ask_request request = {.method = NULL};
    struct buffer path;
    struct span body;
    struct doc doc;
    uint32_t root;
    buffer_init(&path, PATH_BYTES);
    doc_init(&doc, UINT32_MAX / 2, UINT32_MAX / 2);
    bool done = print_path(command, answer, &path) ||
                error_set(error, ERROR_INVALID_PARAMETER, "what is asked for is too long");
    request.path = path.data;
    done = done && ask_server(ask, &request, &body, error) &&
           doc_parse(&doc, body, ANSWER_DEPTH, &root, error) &&
           take_answer(answer, &doc, root, error) &&
           history_print_events(&command->print,
                                span_make(answer->events.data + 1, answer->events.length - 2),
                                command->options->count, &command->count, error);
    doc_fini(&doc);
    buffer_fini(&path);
    return done;
}

static bool by_server(struct history_command *command, struct error *error)
{
    const struct history_options *options = command->options;
    struct answer answer = {.more = true};
    struct ask ask;
    buffer_init(&answer.cursor, PATH_BYTES);
    bool done = ask_open(&ask, &options->access, options->url, error);
    while (done && answer.more && command->count < options->count && !ferror(stdout))
        done = read_page(command, &ask, &answer, error);
    ask_close(&ask);
    buffer_fini(&answer.cursor);
    return done;
}

/* ---- the command ---- */

static bool is_misused(const struct history_options *options)
{
    const char *wrong = NULL;
    if (options->database && options->url)
        wrong = "of a file (--db) or of a server (--url), not both";
    else if (options->config_file && !options->database)
        wrong = "--config is for --db; a server knows its views";
    if (wrong)
        fprintf(stderr, "stele history: %s\n", wrong);
    return wrong != NULL;
}

static bool show(struct history_options *options, struct error *error)
{
    struct history_command command = {
        .options = options, .key = options->operands.items[1], .print = {.as_json = options->json}};
    buffer_init(&command.view, PATH_BYTES);
    if (!options->url)
        options->url = "http://127.0.0.1:8877";
    bool done = name_view(&command, error) &&
                (options->database ? by_file(&command, error) : by_server(&command, error));
    buffer_fini(&command.view);
    return done;
}

static int run_history(int argc, char **argv)
{
    struct history_options options = {.count = INT64_MAX};
    struct error error = {0};
    int code;
    if (command_start(&history_command, argc, argv, &options, &code)) {
        if (is_misused(&options))
            code = EXIT_MISUSED;
        else
            code = show(&options, &error) ? EXIT_FINE : command_failed(&error);
    }
    memory_free(options.operands.items);
    return code;
}

#define AT(field) .offset = offsetof(struct history_options, field)
static const struct command_option history_options[] = {
    {"url", OPTION_TEXT, AT(url), .value = "URL", .help = "the server (http://127.0.0.1:8877)"},
    ACCESS_OPTIONS(struct history_options),
    {"db", OPTION_TEXT, AT(database), .value = "FILE",
     .help = "the database, in place of a server; it may run"},
    {"config", OPTION_TEXT, AT(config_file), .value = "FILE",
     .help = "with --db, the configuration that defines the view"},
    {"count", OPTION_NUMBER, AT(count), .least = 1, .most = INT64_MAX, .value = "N",
     .help = "exit after this many changes"},
    {"json", OPTION_FLAG, AT(json), .help = "one JSON object a line, instead of a table"},
    {.name = NULL},
};

const struct command history_command = {
    .name = "history",
    .operands = "EXPORT KEY",
    .least_operands = 2,
    .most_operands = 2,
    .operands_offset = offsetof(struct history_options, operands),
    .summary = "print what happened to one entity, and what each change did",
    .notes =
        "All changes of the key that the log has, the oldest first: each with its position in\n"
        "the log (offset), the time of its commit, its op, seq, and what it changed. EXPORT may\n"
        "be an append view of one: then only what that shows.\n",
    .options = history_options,
    .run = run_history,
};
