#include "cli/command.h"
#include "config/config.h"
#include "database/database.h"
#include "store/store.h"
#include "wire/wire.h"

struct views_options {
    const char *database, *config_file;
};

/* One line of the table. */
struct view_line {
    char *id;
    const char *mode;
    int64_t rows;
    char head[SEQ_SIZE];
};

struct view_table {
    struct store_reader *reader;
    const struct view_set *configured; /* NULL: no configuration was given */
    struct view_line *lines;
    size_t count;
    size_t width; /* of the longest id */
    struct error error;
};

/* ---- one view ---- */

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

static struct view_line *new_line(struct view_table *table, const char *id)
{
    size_t size = (table->count + 1) * sizeof(*table->lines);
    struct view_line *lines = memory_resize(table->lines, size);
    if (!lines)
        return NULL;
    table->lines = lines;
    struct view_line *line = &lines[table->count];
    line->id = memory_copy_string(id, strlen(id));
    if (!line->id)
        return NULL;
    table->count++;
    if (strlen(id) > table->width)
        table->width = strlen(id);
    return line;
}

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
    struct view_line *line = new_line(table, id);
    if (!line)
        return error_set(&table->error, ERROR_MEMORY, "out of memory");
    line->mode = mode_of(table, id, slash + 1);
    /* Those of an append view are its entities too: in SQL it shows the log. */
    line->rows = strcmp(slash, "/append") == 0 ? export.entities : rows;
    if (export.last_change > 0)
        seq_print(line->head, (struct seq){export.last_seq.slot, export.last_seq.index});
    else
        snprintf(line->head, sizeof(line->head), "-");
    return true;
}

/* ---- the table ---- */

static void print_table(const struct view_table *table)
{
    int width = table->width > 4 ? (int)table->width : 4;
    printf("%-*s  %-6s  %12s  %s\n", width, "view", "mode", "rows", "head seq");
    for (size_t i = 0; i < table->count; i++) {
        const struct view_line *line = &table->lines[i];
        printf("%-*s  %-6s  %12lld  %s\n", width, line->id, line->mode, (long long)line->rows,
               line->head);
    }
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
        print_table(table);
    for (size_t i = 0; i < table->count; i++)
        memory_free(table->lines[i].id);
    memory_free(table->lines);
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
    table.reader = store_reader_open(database, error);
    bool done = table.reader && list_views(&table, error);
    if (table.reader)
        store_reader_close(table.reader);
    database_close(database);
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

static int run_views(int argc, char **argv)
{
    struct views_options options = {0};
    struct error error = {0};
    struct view_set *configured = NULL;
    int code;
    if (!command_start(&views_command, argc, argv, &options, &code))
        return code;
    if (!options.database) {
        fprintf(stderr, "stele views: which database? --db FILE\n");
        return EXIT_MISUSED;
    }
    bool done =
        !options.config_file || read_configuration(options.config_file, &configured, &error);
    done = done && open_and_list(&options, configured, &error);
    view_set_free(configured);
    return done ? EXIT_FINE : command_failed(&error);
}

#define AT(field) .offset = offsetof(struct views_options, field)
static const struct command_option views_options[] = {
    {"db", OPTION_TEXT, AT(database), .value = "FILE", .help = "the database"},
    {"config", OPTION_TEXT, AT(config_file), .value = "FILE",
     .help = "the configuration of its server; adds the modes of the views defined there"},
    {.name = NULL},
};

const struct command views_command = {
    .name = "views",
    .operands = "",
    .summary = "list the views of a database",
    .notes = "It works beside a running server.\n",
    .options = views_options,
    .run = run_views,
};
