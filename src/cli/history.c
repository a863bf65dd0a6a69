/* `stele history`: the changes of one key, or what it was, of a database or by its server. */
#include "cli/history.h"
#include "cli/command.h"

enum { VIEW_BYTES = 4096 };

/* An export stands for its append view, whose rows are those of its list. */
static bool name_view(struct history_command *command, struct error *error)
{
    const char *name = command->options->operands.items[0];
    const char *view = command->key ? "/append" : "/list";
    buffer_add_string(&command->view, name);
    buffer_add_string(&command->view, strchr(name, '/') ? "" : view);
    return buffer_string(&command->view) ||
           error_set(error, ERROR_INVALID_PARAMETER, "the export has a name that is too long");
}

static bool is_misused(const struct history_options *options)
{
    const char *wrong = NULL;
    if (options->database && options->url)
        wrong = "of a file (--db) or of a server (--url), not both";
    else if (options->operands.count < 2 && !options->as_of)
        wrong = "of which KEY? all rows of a view are printed with --as-of";
    else if (options->config_file && !options->database)
        wrong = "--config is for --db; a server knows its views";
    if (wrong)
        fprintf(stderr, "stele history: %s\n", wrong);
    return wrong != NULL;
}

static bool show(struct history_options *options, struct error *error)
{
    struct history_command command = {
        .options = options,
        .key = options->operands.count > 1 ? options->operands.items[1] : NULL,
        .print = {.as_json = options->json}};
    buffer_init(&command.view, VIEW_BYTES);
    if (!options->url)
        options->url = "http://127.0.0.1:8877";
    bool done = name_view(&command, error) &&
                (options->database ? history_of_file : history_of_server)(&command, error);
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
    {"as-of", OPTION_TEXT, AT(as_of), .value = "POSITION",
     .help = "print what it was there, instead: a seq, an offset (@17), or a time "
             "(2018-02-06T18:00:00Z)"},
    {"count", OPTION_NUMBER, AT(count), .least = 1, .most = INT64_MAX, .value = "N",
     .help = "exit after this many changes, or rows"},
    {"json", OPTION_FLAG, AT(json), .help = "one JSON object a line, instead of a table"},
    {.name = NULL},
};

const struct command history_command = {
    .name = "history",
    .operands = "EXPORT [KEY]",
    .least_operands = 1,
    .most_operands = 2,
    .operands_offset = offsetof(struct history_options, operands),
    .summary = "print what happened to one entity, and what each change did",
    .notes =
        "All changes of the key that the log has, the oldest first: each with its position in\n"
        "the log (offset), the time of its commit, its op, seq, and what it changed. EXPORT may\n"
        "be an append view of one: then only what that shows. With --as-of the row is printed as\n"
        "it was, exactly, or the log has lost it; without a KEY, all rows of the list, or of the\n"
        "view that is named instead, in its order.\n",
    .options = history_options,
    .run = run_history,
};
