/* `stele events`: the history of an append view, page by page, one event a line. */
#include "cli/ask.h"
#include "cli/command.h"
#include "json/json.h"

enum {
    PATH_BYTES = 64 * 1024,
    ANSWER_DEPTH = 1100,
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
    struct buffer cursor; /* behind what was printed; empty: the beginning */
    int64_t left;         /* events that may still be printed */
    bool more;            /* the answer was not the last */
};

/* ---- the request ---- */

static void add(struct buffer *path, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_printf(path, "&%s=", name);
    ask_encode(path, span_of(value));
}

static void add_filters(struct buffer *path, const struct option_texts *filters)
{
    for (size_t i = 0; i < filters->count; i++) {
        struct span text = span_of(filters->items[i]);
        size_t name = strcspn(text.data, "=");
        buffer_add_string(path, "&filter=");
        ask_encode(path, span_make(text.data, name));
        buffer_add_string(path, "%3A");
        ask_encode(path, span_make(text.data + name + 1, text.length - name - 1));
    }
}

/* The slash of a view's id stands as it is. */
static void add_view(struct buffer *path, const char *view)
{
    size_t name = strcspn(view, "/");
    ask_encode(path, span_make(view, name));
    if (view[name]) {
        buffer_add_char(path, '/');
        ask_encode(path, span_of(view + name + 1));
    }
}

static bool print_path(struct events_reading *reading, struct buffer *path)
{
    const struct events_options *options = reading->options;
    int64_t take = reading->left < options->page ? reading->left : options->page;
    buffer_add_string(path, "/v1/views/");
    add_view(path, options->operands.items[0]);
    buffer_printf(path, "?events=1&take=%lld", (long long)take);
    add(path, "key", options->key);
    add(path, "where", options->where);
    add(path, "until", options->until);
    add(path, "after", reading->cursor.length ? reading->cursor.data : NULL);
    add_filters(path, &options->filters);
    if (options->follow && reading->cursor.length)
        buffer_printf(path, "&wait=%d", WAIT_SECONDS);
    return buffer_string(path) != NULL;
}

/* ---- the answer ---- */

static bool is_text(const struct doc *doc, uint32_t object, const char *name, const char *text)
{
    uint32_t member = doc_member(doc, object, name);
    return member != DOC_NONE && span_equal(doc_text(doc, member), span_of(text));
}

static void print_events(struct events_reading *reading, const struct doc *doc, uint32_t events)
{
    uint32_t end = doc->nodes[events].end;
    for (uint32_t at = doc_first(doc, events); at != DOC_NONE && at < end;
         at = doc->nodes[at].end) {
        struct span event = doc_text(doc, at);
        printf("%.*s\n", (int)event.length, event.data);
        reading->left--;
    }
    fflush(stdout);
}

static bool take_answer(struct events_reading *reading, const struct doc *doc, uint32_t root,
                        struct error *error)
{
    uint32_t events = doc_member(doc, root, "events"), cursor = doc_member(doc, root, "cursor");
    if (events == DOC_NONE || doc->nodes[events].type != DOC_ARRAY || cursor == DOC_NONE ||
        doc->nodes[cursor].type != DOC_STRING)
        return error_set(error, ERROR_NETWORK, "the server answered without events");
    if (is_text(doc, root, "resumed", "false"))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "the log does not reach back to the cursor %.100s, or it is of another "
                         "database or view; without --after all that the log has is printed",
                         reading->cursor.data);
    print_events(reading, doc, events);
    reading->more = is_text(doc, root, "more", "true");
    buffer_clear(&reading->cursor);
    return (doc_decode_string(doc, cursor, &reading->cursor) && buffer_string(&reading->cursor)) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}

static bool read_page(struct events_reading *reading, struct error *error)
{
    struct ask_request request = {.method = NULL};
    struct buffer path;
    struct span body;
    struct doc doc;
    uint32_t root;
    buffer_init(&path, PATH_BYTES);
    bool done = print_path(reading, &path) ||
                error_set(error, ERROR_INVALID_PARAMETER, "what is asked for is too long");
    request.path = path.data;
    doc_init(&doc, UINT32_MAX / 2, UINT32_MAX / 2);
    done = done && ask_server(&reading->ask, &request, &body, error) &&
           doc_parse(&doc, body, ANSWER_DEPTH, &root, error) &&
           take_answer(reading, &doc, root, error);
    doc_fini(&doc);
    buffer_fini(&path);
    return done;
}

static bool read_all(struct events_reading *reading, struct error *error)
{
    const struct events_options *options = reading->options;
    bool done = ask_open(&reading->ask, &options->access, options->url, error);
    if (options->after)
        buffer_add_string(&reading->cursor, options->after);
    done = done && (!reading->cursor.length || buffer_string(&reading->cursor));
    reading->more = true;
    while (done && reading->left > 0 && (reading->more || options->follow))
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
        buffer_init(&reading.cursor, PATH_BYTES);
        code = is_misused(&options)         ? EXIT_MISUSED
               : read_all(&reading, &error) ? EXIT_FINE
               : error.code != ERROR_NONE   ? command_failed(&error)
                                            : EXIT_FINE; /* nobody reads: who started it says so */
        buffer_fini(&reading.cursor);
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
