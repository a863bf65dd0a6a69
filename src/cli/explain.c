/* `stele explain`: why a row is in a view or not, by a file or by a server. */
#include "cli/explain.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/definitions.h"
#include "cli/query.h"
#include "database/database.h"
#include "explain/explain.h"
#include "terminal/terminal.h"
#include "json/json.h"

#include <unistd.h>

enum {
    PATH_BYTES = 128 * 1024,
    QUERY_BYTES = 64 * 1024,
    ANSWER_BYTES = 32 * 1024 * 1024,
    QUERY_DEPTH = 100
};

struct explain_options {
    struct option_texts operands; /* the view, the key */
    struct access_options access;
    const char *url, *database, *config_file;
    struct option_texts stacks, filters, sorts;
    const char *where;
    int64_t take, skip; /* negative: not given */
    bool json, text;
};

static struct query_options query_of(const struct explain_options *options)
{
    return (struct query_options){options->filters, options->where, options->sorts};
}

/* ---- of a file ---- */

static bool print_query(const struct explain_options *options, struct buffer *text)
{
    const struct query_options query = query_of(options);
    if (!query_print(text, &query))
        return false;
    if (!text->length)
        return true;
    text->data[0] = '{'; /* in place of the first comma */
    return buffer_add_char(text, '}') && buffer_string(text);
}

static bool read_file(const struct explain_options *options, const struct explain *explain,
                      struct buffer *answer, struct error *error)
{
    const struct database_options database_options = {.path = options->database, .read_only = true};
    struct database *database = database_open(&database_options, error);
    struct store_reader *reader = database ? store_reader_open(database, error) : NULL;
    bool done = reader && store_read_begin(reader, error);
    if (done) {
        done = explain_read(explain, reader, answer, error);
        store_read_end(reader);
    }
    if (reader)
        store_reader_close(reader);
    if (database)
        database_close(database);
    return done;
}

static bool by_file(const struct explain_options *options, struct buffer *answer,
                    struct error *error)
{
    static const struct explain_limits limits = {{QUERY_DEPTH, SIZE_MAX}, INT64_MAX};
    struct view_set *set = definitions_read(options->config_file, &options->stacks, error);
    const struct view *view = set ? definitions_find(set, options->operands.items[0], error) : NULL;
    struct explain explain = {.view = view,
                              .sight.all = true,
                              .sees_others = true,
                              .key = span_of(options->operands.items[1]),
                              .now = clock_wall_ms() / 1000};
    struct view_query *query = NULL;
    struct buffer text;
    buffer_init(&text, QUERY_BYTES);
    bool done = view && (print_query(options, &text) ||
                         error_set(error, ERROR_INVALID_PARAMETER, "the query is too long"));
    struct wire_subscribe wanted = {
        .take = options->take, .skip = options->skip, .query = text.length ? text.data : NULL};
    done = done && explain_ask(&explain, &wanted, &limits, &query, error) &&
           read_file(options, &explain, answer, error);
    buffer_fini(&text);
    view_query_unref(query);
    view_unref(view);
    view_set_free(set);
    return done;
}

/* ---- of a server ---- */

static bool print_path(const struct explain_options *options, struct buffer *path)
{
    buffer_add_string(path, "/v1/explain?view=");
    ask_encode(path, span_of(options->operands.items[0]));
    ask_add(path, "key", span_of(options->operands.items[1]));
    if (options->take >= 0)
        buffer_printf(path, "&take=%lld", (long long)options->take);
    if (options->skip >= 0)
        buffer_printf(path, "&skip=%lld", (long long)options->skip);
    ask_add(path, "where", span_of(options->where));
    ask_add_filters(path, &options->filters);
    return ask_add_sorts(path, &options->sorts) && buffer_string(path);
}

static bool is_object(const struct ask *ask, struct span body, struct error *error)
{
    if (body.length && body.data[0] == '{')
        return true;
    error_set(error, ERROR_NETWORK, "it is no object");
    return ask_is_strange(ask, error);
}

static bool by_server(const struct explain_options *options, struct buffer *answer,
                      struct error *error)
{
    struct ask ask;
    struct buffer path;
    struct span body;
    buffer_init(&path, PATH_BYTES);
    bool done = ask_open(&ask, &options->access, options->url, error);
    ask.has_file = true;
    done = done && (print_path(options, &path) ||
                    error_set(error, ERROR_INVALID_PARAMETER, "the question is too long"));
    struct ask_request request = {.path = path.data};
    done = done && ask_server(&ask, &request, &body, error) && is_object(&ask, body, error) &&
           (buffer_add_span(answer, body) || error_set(error, ERROR_MEMORY, "out of memory"));
    ask_close(&ask);
    buffer_fini(&path);
    return done;
}

/* ---- the command ---- */

static bool is_misused(const struct explain_options *options)
{
    const struct query_options query = query_of(options);
    struct error error = {.message = ""};
    if (options->database && options->url)
        error_set(&error, ERROR_INVALID_PARAMETER, "either --db FILE or --url URL");
    else if (!options->database && (options->config_file || options->stacks.count))
        error_set(&error, ERROR_INVALID_PARAMETER,
                  "--config and --stack are for --db; a server has its own");
    else if (!doc_valid_utf8(span_of(options->operands.items[1])))
        error_set(&error, ERROR_INVALID_PARAMETER, "the key is not valid UTF-8");
    else
        query_check(&query, &error);
    if (error.message[0])
        output_tell("stele explain: %s", error.message);
    return error.message[0] != '\0';
}

static bool explain_row(struct explain_options *options, struct error *error)
{
    struct buffer answer;
    buffer_init(&answer, ANSWER_BYTES);
    if (!options->url)
        options->url = "http://127.0.0.1:8877";
    bool done =
        options->database ? by_file(options, &answer, error) : by_server(options, &answer, error);
    if (done && (options->json || (!options->text && !isatty(STDOUT_FILENO))))
        output_json(stdout, buffer_span(&answer));
    else
        done = done && explain_print(stdout, buffer_span(&answer), error);
    buffer_fini(&answer);
    return done;
}

static int run_explain(int argc, char **argv)
{
    struct explain_options options = {.take = -1, .skip = -1};
    struct error error = {0};
    int code;
    if (command_start(&explain_command, argc, argv, &options, &code))
        code = is_misused(&options)            ? EXIT_MISUSED
               : explain_row(&options, &error) ? EXIT_FINE
                                               : command_failed(&error);
    memory_free(options.operands.items);
    memory_free(options.stacks.items);
    memory_free(options.filters.items);
    memory_free(options.sorts.items);
    return code;
}

#define AT(field) .offset = offsetof(struct explain_options, field)
static const struct command_option explain_options[] = {
    {"url", OPTION_TEXT, AT(url), .value = "URL", .help = "the server (http://127.0.0.1:8877)"},
    ACCESS_OPTIONS(struct explain_options),
    {"db", OPTION_TEXT, AT(database), .value = "FILE", .help = "a database instead of a server"},
    {"config", OPTION_TEXT, AT(config_file), .value = "FILE",
     .help = "with --db: the configuration of its server, which defines the view"},
    {"stack", OPTION_TEXTS, AT(stacks), .value = "FILE",
     .help = "with --db: an arete stack file of its server; may be repeated"},
    {"take", OPTION_NUMBER, AT(take), .least = 1, .most = INT64_MAX / 4, .value = "N",
     .help = "of the first N rows in the order of the view"},
    {"skip", OPTION_NUMBER, AT(skip), .least = 0, .most = INT64_MAX / 4, .value = "N",
     .help = "without the first N rows"},
    {"filter", OPTION_TEXTS, AT(filters), .value = "PATH=VALUE",
     .help = "of rows with this value there (a JSON scalar, else a string); may be given several "
             "times"},
    {"where", OPTION_TEXT, AT(where), .value = "PREDICATE",
     .help = "of rows of which this holds: JSON, such as {\"field\":\"mag\",\"gte\":5}"},
    {"sort", OPTION_TEXTS, AT(sorts), .value = "PATH",
     .help = "rows by the value there, with - in front descending; may be given several times"},
    {"json", OPTION_FLAG, AT(json),
     .help = "print JSON, as it is also printed where standard output is no terminal"},
    {"text", OPTION_FLAG, AT(text),
     .help = "print text, also where standard output is no terminal"},
    {.name = NULL},
};

const struct command explain_command = {
    .name = "explain",
    .operands = "VIEW KEY",
    .least_operands = 2,
    .most_operands = 2,
    .operands_offset = offsetof(struct explain_options, operands),
    .summary = "say why a row is in a view or not, and since when",
    .notes = "Each step of the view with what it saw of the row and what it decided: conditions,\n"
             "sorts, cuts with the rank and the rows at their ends, then those of the query that\n"
             "the options make. With --db the command works beside a running server.\n",
    .options = explain_options,
    .run = run_explain,
};
