/* `stele events`: the history of an append view, page by page, one event a line. */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/pages.h"
#include "terminal/terminal.h"

enum {
    PATH_BYTES = 64 * 1024,
    PAGE = 1000,
    WAIT_SECONDS = 20 /* less than a request may take */
};

struct events_options {
    struct option_texts operands, filters;
    struct access_options access;
    const char *url, *key, *where, *after, *until;
    int64_t count, page;
    bool follow;
};

struct events_reading {
    const struct events_options *options;
    struct ask ask;
    struct pages pages;
    int64_t left; /* events that may still be printed */
};

/* ---- the request ---- */

static void print_path(const struct events_reading *reading, struct buffer *path)
{
    const struct events_options *options = reading->options;
    const struct buffer *cursor = &reading->pages.cursor;
    int64_t take = reading->left < options->page ? reading->left : options->page;
    buffer_add_string(path, "/v1/views/");
    ask_add_view(path, options->operands.items[0]);
    buffer_printf(path, "?events=1&take=%lld", (long long)take);
    ask_add(path, "key", span_of(options->key));
    ask_add(path, "where", span_of(options->where));
    ask_add(path, "until", span_of(options->until));
    ask_add(path, "after", span_of(cursor->length ? cursor->data : NULL));
    ask_add_filters(path, &options->filters);
    if (options->follow && cursor->length)
        buffer_printf(path, "&wait=%d", WAIT_SECONDS);
}

/* ---- the answer ---- */

static void print_events(struct events_reading *reading, const struct doc *doc, uint32_t events)
{
    uint32_t end = doc->nodes[events].end;
    for (uint32_t at = doc_first(doc, events); at != DOC_NONE && at < end;
         at = doc->nodes[at].end) {
        struct span event = doc_text(doc, at);
        output_json(stdout, event);
        putchar('\n');
        reading->left--;
    }
    fflush(stdout);
}

static bool take_answer(void *argument, const struct doc *doc, uint32_t root, struct error *error)
{
    struct events_reading *reading = argument;
    uint32_t events;
    if (!pages_take(&reading->pages, doc, root, &events, error))
        return false;
    if (events == DOC_NONE)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "the log does not reach back to the cursor %.100s, or it is of another "
                         "database or view; without --after all that the log has is printed",
                         reading->pages.cursor.data);
    print_events(reading, doc, events);
    return true;
}

static bool read_page(struct events_reading *reading, struct error *error)
{
    struct buffer path;
    buffer_init(&path, PATH_BYTES);
    print_path(reading, &path);
    bool done = ask_json(&reading->ask, &path, take_answer, reading, error);
    buffer_fini(&path);
    return done;
}

static bool read_all(struct events_reading *reading, struct error *error)
{
    const struct events_options *options = reading->options;
    bool done = ask_open(&reading->ask, &options->access, options->url, error);
    if (options->after)
        buffer_add_string(&reading->pages.cursor, options->after);
    done = done && (!reading->pages.cursor.length || buffer_string(&reading->pages.cursor));
    reading->pages.more = true;
    while (done && reading->left > 0 && (reading->pages.more || options->follow))
        done = read_page(reading, error) && !ferror(stdout);
    ask_close(&reading->ask);
    return done;
}

/* ---- the command ---- */

static bool is_misused(const struct events_options *options)
{
    const char *wrong = NULL;
    if (options->follow && options->until)
        wrong = "--follow has no end, so leave --until out";
    for (size_t i = 0; i < options->filters.count; i++)
        if (!strchr(options->filters.items[i], '=') ||
            strcspn(options->filters.items[i], ":") < strcspn(options->filters.items[i], "="))
            wrong = "--filter is PATH=VALUE, and no colon is in the path";
    if (wrong)
        fprintf(stderr, "stele events: %s\n", wrong);
    return wrong != NULL;
}

static int run_events(int argc, char **argv)
{
    struct events_options options = {
        .url = "http://127.0.0.1:8877", .count = INT64_MAX, .page = PAGE};
    struct error error = {0};
    int code;
    if (command_start(&events_command, argc, argv, &options, &code)) {
        struct events_reading reading = {.options = &options, .left = options.count};
        buffer_init(&reading.pages.cursor, PATH_BYTES);
        code = is_misused(&options)         ? EXIT_MISUSED
               : read_all(&reading, &error) ? EXIT_FINE
               : error.code != ERROR_NONE   ? command_failed(&error)
                                            : EXIT_FINE; /* nobody reads: who started it says so */
        buffer_fini(&reading.pages.cursor);
    }
    memory_free(options.operands.items);
    memory_free(options.filters.items);
    return code;
}

#define AT(field) .offset = offsetof(struct events_options, field)
static const struct command_option events_options[] = {
    {"url", OPTION_TEXT, AT(url), .value = "URL", .help = "the server (http://127.0.0.1:8877)"},
    ACCESS_OPTIONS(struct events_options),
    {"key", OPTION_TEXT, AT(key), .value = "KEY", .help = "only events of this entity"},
    {"filter", OPTION_TEXTS, AT(filters), .value = "PATH=VALUE",
     .help = "only events whose patch has this value there (a JSON scalar, else a string); may be "
             "given several times"},
    {"where", OPTION_TEXT, AT(where), .value = "PREDICATE",
     .help = "only events of whose patch this holds: JSON, such as {\"field\":\"mag\",\"gte\":5}"},
    {"after", OPTION_TEXT, AT(after), .value = "CURSOR",
     .help = "only events behind this position: EPOCH:OFFSET"},
    {"until", OPTION_TEXT, AT(until), .value = "CURSOR", .help = "only events up to this position"},
    {"count", OPTION_NUMBER, AT(count), .least = 1, .most = INT64_MAX, .value = "N",
     .help = "exit after this many events"},
    {"page", OPTION_NUMBER, AT(page), .least = 1, .most = 1000000, .value = "N",
     .help = "events that are asked for at once (1000); a server may allow fewer"},
    {"follow", OPTION_FLAG, AT(follow), .help = "wait for further events, until Ctrl-C"},
    {.name = NULL},
};

const struct command events_command = {
    .name = "events",
    .operands = "VIEW",
    .least_operands = 1,
    .most_operands = 1,
    .operands_offset = offsetof(struct events_options, operands),
    .summary = "print the history of an append view, one event a line",
    .notes =
        "All events that the log has, the oldest first, as JSON: each with its position in the\n"
        "log (offset), the time of its commit in milliseconds, its op, key, data and seq.\n",
    .options = events_options,
    .run = run_events,
};
