/* `stele views`: the views of a database, or of a server. */
#include "cli/views.h"
#include "cli/ask.h"
#include "config/config.h"
#include "database/database.h"
#include "store/store.h"
#include "wire/wire.h"

enum { TEXT_BYTES = 64 * 1024 };

struct view_table {
    struct store_reader *reader;
    const struct view_set *configured; /* NULL: no configuration was given */
    struct view_list list;
    struct error error;
};

/* ---- of a database ---- */

/* The views that every export has tell their mode by their name; of the others the database knows
 * only what they show, the configuration the mode. */
static const char *mode_of(const struct view_table *table, const char *id, const char *name)
{
    for (int mode = VIEW_STATE; mode <= VIEW_APPEND; mode++)
        if (strcmp(name, wire_mode_names[mode]) == 0)
            return wire_mode_names[mode];
    const struct view *view =
        table->configured ? view_set_find(table->configured, span_of(id)) : NULL;
    return view ? wire_mode_names[(enum wire_mode)view->mode] : "-";
}

_Static_assert((int)VIEW_STATE == (int)WIRE_STATE && (int)VIEW_LIST == (int)WIRE_LIST &&
                   (int)VIEW_APPEND == (int)WIRE_APPEND,
               "mode_of");

static bool add_view(void *argument, const char *id, int64_t rows)
{
    struct view_table *table = argument;
    struct store_export export;
    bool found = false;
    const char *slash = strchr(id, '/');
    struct span export_name = span_make(id, (size_t)(slash - id));
    if (!store_read_export(table->reader, export_name, &export, &found, &table->error))
        return false;
    if (!found)
        return true; /* somebody else's view */
    char head[SEQ_SIZE] = "-";
    if (export.last_change > 0)
        seq_print(head, (struct seq){export.last_seq.slot, export.last_seq.index});
    const struct view_line line = {
        .id = span_of(id),
        .mode = span_of(mode_of(table, id, slash + 1)),
        /* Those of an append view are its entities too: in SQL it shows the log. */
        .rows = strcmp(slash, "/append") == 0 ? export.entities : rows,
        .last = span_of(head)};
    return view_list_add(&table->list, &line, &table->error);
}

/* All in one read transaction, so that the lines fit together. */
static bool list_views(struct view_table *table, struct error *error)
{
    if (!store_read_begin(table->reader, error))
        return false;
    bool done = store_read_views(table->reader, add_view, table, error);
    store_read_end(table->reader);
    if (done && table->error.code != ERROR_NONE) {
        *error = table->error;
        done = false;
    }
    if (done)
        view_list_print(&table->list, "head seq");
    return done;
}

static bool open_and_list(const struct views_options *options, const struct view_set *configured,
                          struct error *error)
{
    const struct database_options database_options = {.path = options->database, .read_only = true};
    struct database *database = database_open(&database_options, error);
    if (!database)
        return false;
    struct view_table table = {.configured = configured};
    view_list_init(&table.list);
    table.reader = store_reader_open(database, error);
    bool done = table.reader && list_views(&table, error);
    if (table.reader)
        store_reader_close(table.reader);
    view_list_fini(&table.list);
    database_close(database);
    return done;
}

/* ---- of a server ---- */

static void add_text(const struct doc *doc, uint32_t node, struct buffer *out)
{
    if (node != DOC_NONE && doc->nodes[node].type == DOC_STRING)
        out->failed |= !doc_decode_string(doc, node, out);
}

/* {"field":["geo","lat"],"order":"desc"} is -geo.lat */
static void add_order(const struct doc *doc, uint32_t view, struct buffer *out)
{
    uint32_t sort = doc_member(doc, view, "sort");
    uint32_t field = sort == DOC_NONE ? sort : doc_member(doc, sort, "field");
    if (field == DOC_NONE || doc->nodes[field].type != DOC_ARRAY)
        return;
    buffer_add_string(out, doc_member_is(doc, sort, "order", "\"desc\"") ? "-" : "");
    uint32_t end = doc->nodes[field].end;
    for (uint32_t name = field + 1; name < end; name = doc->nodes[name].end) {
        buffer_add_string(out, name > field + 1 ? "." : "");
        add_text(doc, name, out);
    }
}

static bool add_line(struct view_list *list, const struct doc *doc, uint32_t view,
                     struct error *error)
{
    struct view_line line = {.rows = -1};
    struct buffer texts[3];
    uint32_t rows = doc_member(doc, view, "rows");
    if (rows == DOC_NONE || !doc_integer(doc, rows, &line.rows))
        line.rows = -1;
    for (size_t i = 0; i < 3; i++)
        buffer_init(&texts[i], TEXT_BYTES);
    add_text(doc, doc_member(doc, view, "id"), &texts[0]);
    add_text(doc, doc_member(doc, view, "mode"), &texts[1]);
    add_order(doc, view, &texts[2]);
    line.id = buffer_span(&texts[0]);
    line.mode = buffer_span(&texts[1]);
    line.last = buffer_span(&texts[2]);
    bool done = (!texts[0].failed && !texts[1].failed && !texts[2].failed) ||
                error_set(error, ERROR_MEMORY, "out of memory for a view");
    done = done && view_list_add(list, &line, error);
    for (size_t i = 0; i < 3; i++)
        buffer_fini(&texts[i]);
    return done;
}

static bool take_views(void *argument, const struct doc *doc, uint32_t root, struct error *error)
{
    struct view_list *list = argument;
    uint32_t views = doc_member(doc, root, "views");
    if (views == DOC_NONE || doc->nodes[views].type != DOC_ARRAY)
        return error_set(error, ERROR_NETWORK, "the server answered without views; is it a stele?");
    uint32_t end = doc->nodes[views].end;
    for (uint32_t view = views + 1; view < end; view = doc->nodes[view].end)
        if (!add_line(list, doc, view, error))
            return false;
    return true;
}

static bool views_of_server(const struct views_options *options, struct error *error)
{
    struct view_list list;
    struct buffer path;
    struct ask ask;
    view_list_init(&list);
    buffer_init(&path, TEXT_BYTES);
    buffer_add_string(&path, "/v1/views");
    bool done = ask_open(&ask, &options->access, options->url, error);
    ask.has_file = true;
    done = done && ask_json(&ask, &path, take_views, &list, error);
    if (done)
        view_list_print(&list, "order");
    ask_close(&ask);
    buffer_fini(&path);
    view_list_fini(&list);
    return done;
}

/* ---- the command ---- */

static bool read_configuration(const char *path, struct view_set **set, struct error *error)
{
    struct config config;
    if (!config_init(&config, error))
        return false;
    if (config_read_file(&config, path, error))
        *set = config_views(&config, error);
    config_fini(&config);
    return *set != NULL;
}

static bool list_in_file(const struct views_options *options, struct error *error)
{
    struct view_set *configured = NULL;
    bool done =
        !options->config_file || read_configuration(options->config_file, &configured, error);
    done = done && open_and_list(options, configured, error);
    view_set_free(configured);
    return done;
}

static bool is_misused(const struct views_options *options)
{
    const char *wrong = NULL;
    if (!options->database == !options->url)
        wrong = "which views? --db FILE, or --url URL of a server";
    else if (options->url && options->config_file)
        wrong = "--config is for --db; a server knows its views";
    if (wrong)
        fprintf(stderr, "stele views: %s\n", wrong);
    return wrong != NULL;
}

static int run_views(int argc, char **argv)
{
    struct views_options options = {.database = NULL};
    struct error error = {0};
    int code;
    if (!command_start(&views_command, argc, argv, &options, &code))
        return code;
    if (is_misused(&options))
        return EXIT_MISUSED;
    return (options.url ? views_of_server : list_in_file)(&options, &error)
               ? EXIT_FINE
               : command_failed(&error);
}

#define AT(field) .offset = offsetof(struct views_options, field)
static const struct command_option views_options[] = {
    {"db", OPTION_TEXT, AT(database), .value = "FILE", .help = "the database"},
    {"url", OPTION_TEXT, AT(url), .value = "URL",
     .help = "the server, such as http://127.0.0.1:8877; it shows the views of the token"},
    ACCESS_OPTIONS(struct views_options),
    {"config", OPTION_TEXT, AT(config_file), .value = "FILE",
     .help = "with --db, the configuration of its server; adds the modes of the views defined "
             "there"},
    {.name = NULL},
};

const struct command views_command = {
    .name = "views",
    .operands = "",
    .summary = "list the views of a database or of a server",
    .notes = "With --db it works beside a running server.\n",
    .options = views_options,
    .run = run_views,
};
