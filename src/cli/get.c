/* `stele get`: the rows of a view, once, by a server or by a file. */
#include "cli/get.h"
#include "cli/query.h"
#include "terminal/terminal.h"

enum { MOST_PAGE = 1000000, VIEW_BYTES = 4096 };

/* No colon is in the path of a filter: by HTTP it ends there. */
static bool check_filters(const struct option_texts *filters, struct error *error)
{
    for (size_t i = 0; i < filters->count; i++)
        if (strcspn(filters->items[i], ":") < strcspn(filters->items[i], "="))
            return error_set(error, ERROR_INVALID_PARAMETER,
                             "--filter cannot be \"%.60s\": its path has a colon; --where can ask "
                             "for that member",
                             filters->items[i]);
    return true;
}

static bool check_forms(const struct get_options *options, struct error *error)
{
    if (options->json + options->csv + options->table > 1)
        return error_set(error, ERROR_INVALID_PARAMETER, "one of --json, --csv and --table");
    if (options->json && (options->columns || options->times.count))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "--columns and --time are for --csv and --table; JSON has whole rows");
    const struct column_choice columns = get_columns(options);
    return columns_check(&columns, error);
}

static bool check_source(const struct get_options *options, struct error *error)
{
    if (options->database && options->url)
        return error_set(error, ERROR_INVALID_PARAMETER, "either --db FILE or --url URL");
    return options->database || (!options->config_file && !options->stacks.count) ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "--config and --stack are for --db; a server has its own");
}

static bool check(const struct get_options *options, struct error *error)
{
    const struct query_options query = {options->filters, options->where, options->sorts};
    if (!options->operands.items[0][0])
        return error_set(error, ERROR_INVALID_PARAMETER, "which view? its id, such as Quake/list");
    if (options->key && !doc_valid_utf8(span_of(options->key)))
        return error_set(error, ERROR_INVALID_PARAMETER, "the key is not valid UTF-8");
    if (options->key && (options->take >= 0 || options->skip >= 0))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "--take and --skip are for several rows, --key is one");
    return check_source(options, error) && query_check(&query, error) &&
           check_filters(&options->filters, error) && check_forms(options, error);
}

/* An export stands for its list. Into `name`, which must live on. */
static bool name_view(struct get_options *options, struct buffer *name, struct error *error)
{
    const char **view = &options->operands.items[0];
    if (!**view || strchr(*view, '/'))
        return true;
    buffer_add_string(name, *view);
    buffer_add_string(name, "/list");
    *view = buffer_string(name);
    return *view || error_set(error, ERROR_INVALID_PARAMETER, "the name of the export is too long");
}

static int get(const struct get_options *options)
{
    struct error error = {.code = ERROR_NONE};
    struct get_print print;
    if (!check(options, &error)) {
        output_tell("stele get: %s", error.message);
        return EXIT_MISUSED;
    }
    get_print_init(&print, options);
    bool done = (options->database ? get_of_file : get_of_server)(options, &print, &error);
    get_print_fini(&print);
    return done ? EXIT_FINE : command_failed(&error);
}

static int run_get(int argc, char **argv)
{
    struct get_options options = {.take = -1, .skip = -1};
    struct error error = {.code = ERROR_NONE};
    struct buffer view;
    int code;
    buffer_init(&view, VIEW_BYTES);
    if (command_start(&get_command, argc, argv, &options, &code))
        code = name_view(&options, &view, &error) ? get(&options) : command_failed(&error);
    buffer_fini(&view);
    memory_free(options.operands.items);
    memory_free(options.stacks.items);
    memory_free(options.filters.items);
    memory_free(options.sorts.items);
    memory_free(options.times.items);
    return code;
}

#define AT(field) .offset = offsetof(struct get_options, field)
static const struct command_option get_options[] = {
    {"url", OPTION_TEXT, AT(url), .value = "URL", .help = "the server (http://127.0.0.1:8877)"},
    ACCESS_OPTIONS(struct get_options),
    {"db", OPTION_TEXT, AT(database), .value = "FILE", .help = "a database instead of a server"},
    {"config", OPTION_TEXT, AT(config_file), .value = "FILE",
     .help = "with --db: the configuration of its server, which defines the view"},
    {"stack", OPTION_TEXTS, AT(stacks), .value = "FILE",
     .help = "with --db: an arete stack file of its server; may be repeated"},
    {"key", OPTION_TEXT, AT(key), .value = "KEY",
     .help = "only the row of this entity; one that is not there is a failure"},
    {"take", OPTION_NUMBER, AT(take), .least = 1, .most = INT64_MAX / 4, .value = "N",
     .help = "only the first N rows in the order of the view (all)"},
    {"skip", OPTION_NUMBER, AT(skip), .least = 0, .most = INT64_MAX / 4, .value = "N",
     .help = "without the first N rows"},
    {"filter", OPTION_TEXTS, AT(filters), .value = "PATH=VALUE",
     .help = "only rows with this value there (a JSON scalar, else a string); may be given several "
             "times"},
    {"where", OPTION_TEXT, AT(where), .value = "PREDICATE",
     .help = "only rows of which this holds: JSON, such as {\"field\":\"mag\",\"gte\":5}"},
    {"sort", OPTION_TEXTS, AT(sorts), .value = "PATH",
     .help = "rows by the value there, with - in front descending; may be given several times"},
    {"as-of", OPTION_TEXT, AT(as_of), .value = "POSITION",
     .help = "the rows as they were there: a seq, an offset (@17), or a time "
             "(2018-02-06T18:00:00Z)"},
    {"json", OPTION_FLAG, AT(json),
     .help = "one JSON object a line, as it is where standard output is no terminal"},
    {"csv", OPTION_FLAG, AT(csv), .help = "by RFC 4180, with a line of names"},
    {"table", OPTION_FLAG, AT(table), .help = "columns, as it is on a terminal"},
    {"columns", OPTION_TEXT, AT(columns), .value = "PATH,PATH",
     .help = "the columns besides the key (default: the members of the first rows)"},
    {"time", OPTION_TEXTS, AT(times), .value = "PATH",
     .help = "a column that is a time (seconds or milliseconds since 1970, or "
             "2018-02-06T18:00:00Z), shown as one of this time zone; may be given several times"},
    {"page", OPTION_NUMBER, AT(page), .least = 1, .most = MOST_PAGE, .value = "N",
     .help = "rows that are asked for at once (1000, and more while they are small)"},
    {.name = NULL},
};

const struct command get_command = {
    .name = "get",
    .operands = "VIEW",
    .least_operands = 1,
    .most_operands = 1,
    .operands_offset = offsetof(struct get_options, operands),
    .summary = "print the rows of a view, once",
    .notes =
        "An export stands for its list. All rows are of one state of the view, however many\n"
        "pages they take and whatever is fed meanwhile; where that is not possible, the command\n"
        "says so and fails. The views of a server are listed by stele views --url URL. With\n"
        "--db the command works beside a running server.\n",
    .options = get_options,
    .run = run_get,
};
