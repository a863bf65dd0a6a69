#include "cli/ask.h"
#include "cli/ingest_internal.h"
#include "terminal/terminal.h"

#include <signal.h>
#include <sys/random.h>

enum {
    ANSWER_LIMIT = 1024 * 1024,
    FIRST_PATIENCE = 5, /* seconds */
    LATER_PATIENCE = 60,
    POLICY_VIOLATION = 1008 /* the close code for what would only happen again */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- why it ends ---- */

/* Nothing is left to wait for: end the connection, and thereby client_run. */
static void leave_when_done(struct ingest *ingest)
{
    if (ingest->abandoned || (ingest->input_ended && !ingest->window.first))
        client_stop(ingest->client);
}

/* ---- the connection ---- */

static int64_t patience(const struct ingest_options *options, int64_t otherwise)
{
    return options->patience < 0 ? otherwise : options->patience;
}

static bool within_rate(const struct ingest *ingest)
{
    if (ingest->options->rate == 0)
        return true;
    double seconds = (double)(clock_monotonic_us() - ingest->started_us) / 1e6;
    return (double)ingest->sent_lines < seconds * (double)ingest->options->rate;
}

static bool is_full(const struct ingest_window *window)
{
    return window->count >= INGEST_WINDOW_COUNT || window->bytes >= INGEST_WINDOW_BYTES;
}

static bool on_next(void *argument, struct buffer *text)
{
    struct ingest *ingest = argument;
    if (ingest->holding || ingest->abandoned)
        return false;
    struct ingest_request *request = ingest_window_find(&ingest->window, 0);
    if (!request && ingest->asking && !ingest->window.first) {
        request = ingest_window_add_question(&ingest->window, ingest->options->producer);
        if (!request)
            ingest_out_of_memory(ingest);
    }
    if (!request && !ingest->asking && !ingest->input_ended && !is_full(&ingest->window) &&
        within_rate(ingest))
        request = ingest_make_request(ingest);
    if (!request || ingest->abandoned) {
        leave_when_done(ingest);
        return false;
    }
    ingest_window_set(&ingest->window, request, REQUEST_SENT);
    return buffer_add(text, request->text.data, request->text.length);
}

static void on_message(void *argument, struct span message)
{
    struct ingest *ingest = argument;
    ingest_take_answer(ingest, message);
    leave_when_done(ingest);
    client_send(ingest->client);
}

static void on_opened(void *argument)
{
    struct ingest *ingest = argument;
    if (ingest->disconnected)
        fprintf(stderr, "stele: connected again\n");
    ingest->disconnected = false;
    ingest->holding = false;
    ingest->answered = false;
    ingest_window_set(&ingest->window, NULL, REQUEST_WAITING);
}

/* Connections that are made, but end before anything is answered: shrink what is sent, and do not
 * try for ever. */
static void note_fruitless(struct ingest *ingest)
{
    uint64_t patience_us = (uint64_t)patience(ingest->options, LATER_PATIENCE) * 1000 * 1000;
    int64_t line = ingest->window.first->first_line;
    ingest_slow_down(ingest);
    if (clock_monotonic_us() - ingest->answer_us <= patience_us)
        return;
    struct error error;
    error_set(&error, ERROR_NETWORK, "line %lld: the server ends the connection without an answer",
              (long long)line);
    ingest_abandon(ingest, &error);
}

static bool on_ended(void *argument, const struct client_end *end)
{
    struct ingest *ingest = argument;
    bool fruitless = end->opened && !ingest->answered && ingest->window.sent > 0;
    ingest_window_set(&ingest->window, NULL, REQUEST_WAITING);
    if (fruitless)
        note_fruitless(ingest);
    bool refused = end->code == POLICY_VIOLATION ||
                   (end->status >= 400 && end->status < 500 && end->status != 429);
    if (refused) {
        struct error error;
        error_set(&error, ERROR_NETWORK, "the server refuses the connection: %s", end->reason);
        ingest_abandon(ingest, &error);
    }
    if (ingest->abandoned || interrupted || (ingest->input_ended && !ingest->window.first))
        return false;
    if (!ingest->disconnected) {
        progress_hide(&ingest->progress);
        output_tell("stele: %s%s%s; trying again",
                    end->opened ? "the connection was lost" : "no connection",
                    end->reason[0] ? ": " : "", end->reason);
    }
    ingest->disconnected = true;
    return true;
}

static void on_tick(void *argument)
{
    struct ingest *ingest = argument;
    if (interrupted) {
        client_stop(ingest->client);
        return;
    }
    if (ingest->holding && ingest->window.sent == 0 && clock_monotonic_us() >= ingest->resume_us) {
        ingest->holding = false;
        ingest_window_set(&ingest->window, NULL, REQUEST_WAITING);
    }
    progress_show(&ingest->progress, ingest->done_bytes, ingest->done_lines);
    leave_when_done(ingest);
    client_send(ingest->client);
}

static void wake(void *client)
{
    client_wake(client);
}

/* ---- the command ---- */

/* A name that no other run has, so that its numbers mean nothing to any other. */
static bool random_producer(char name[40])
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return false;
    size_t length = (size_t)snprintf(name, 40, "ingest-");
    for (size_t i = 0; i < sizeof(bytes); i++)
        length += (size_t)snprintf(name + length, 3, "%02x", bytes[i]);
    return true;
}

/* Mutations that were ignored are lost, though nothing went wrong on the way. */
static void tell_unknown(const struct ingest_unknown *unknown)
{
    fprintf(stderr, "stele: mutations were ignored, because the server has no export");
    for (size_t i = 0; i < unknown->count; i++) {
        fprintf(stderr, "%s '", i ? "," : "");
        output_text(stderr, span_of(unknown->names[i]));
        fputc('\'', stderr);
    }
    fprintf(stderr, "%s: correct the name, or add it to `exports` in its configuration\n",
            unknown->count == INGEST_UNKNOWN ? " and others" : "");
}

/* Nobody will use the name again, and a subject may have so many. When it cannot be forgotten, it
 * takes its place until somebody does. */
static void forget_name(const struct ingest_options *options)
{
    struct ask ask;
    struct error error;
    struct span body;
    char path[64];
    snprintf(path, sizeof path, "/v1/producers/%s", options->producer);
    struct ask_request request = {.method = "DELETE", .path = path};
    if (ask_open(&ask, &options->access, options->url, &error))
        ask_server(&ask, &request, &body, &error);
    ask_close(&ask);
}

static int report(struct ingest *ingest, bool connected, const struct error *error)
{
    progress_hide(&ingest->progress);
    double seconds = (double)(clock_monotonic_us() - ingest->started_us) / 1e6;
    printf("applied %llu, ignored %llu, duplicate %llu", (unsigned long long)ingest->applied,
           (unsigned long long)ingest->ignored, (unsigned long long)ingest->duplicate);
    if (ingest->stale)
        printf(", stale %llu", (unsigned long long)ingest->stale);
    if (ingest->truncated)
        printf(", truncated %llu", (unsigned long long)ingest->truncated);
    printf(" in %.2f s\n", seconds);
    fflush(stdout);
    if (ingest->unknown.count)
        tell_unknown(&ingest->unknown);
    if (ingest->error.code != ERROR_NONE)
        return command_failed(&ingest->error);
    if (!connected)
        return command_failed(error);
    if (ingest->window.first || !ingest->input_ended) {
        fprintf(stderr, "stele: stopped before the end; acknowledged: %lld lines\n",
                (long long)ingest->done_lines);
        return EXIT_FAILED;
    }
    if (!ingest->options->producer_named && ingest->done_lines)
        forget_name(ingest->options);
    return ingest->unknown.count ? EXIT_FAILED : EXIT_FINE;
}

static int run(struct ingest *ingest, const char *path)
{
    struct error error = {0};
    ingest->input = ingest_input_open(path, wake, ingest->client, &error);
    if (!ingest->input)
        return command_failed(&error);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    progress_init(&ingest->progress, ingest_input_size(ingest->input));
    ingest->started_us = clock_monotonic_us();
    ingest->answer_us = ingest->started_us;
    bool connected = client_run(ingest->client, &error);
    ingest_input_close(ingest->input);
    return report(ingest, connected, &error);
}

static int ingest_all(const struct ingest_options *options)
{
    struct ingest ingest = {
        .options = options,
        .batch = options->batch,
        .pause_ms = INGEST_FIRST_PAUSE_MS,
        .asking = options->producer_named,
    };
    const struct client_options client_options = {
        .url = options->url,
        .access = access_read(&options->access, options->url),
        .path = "/v1/ingest",
        .max_message_bytes = ANSWER_LIMIT,
        .first_patience_ms = patience(options, FIRST_PATIENCE) * 1000,
        .patience_ms = patience(options, LATER_PATIENCE) * 1000,
        .handlers = {on_opened, on_message, on_next, on_ended, on_tick},
        .argument = &ingest,
    };
    struct error error = {0};
    /* With a rate, requests are small, so that it is even. */
    if (options->rate > 0 && ingest.batch > options->rate / 20 + 1)
        ingest.batch = options->rate / 20 + 1;
    ingest_window_init(&ingest.window);
    ingest.window.marks = options->producer_named;
    doc_init(&ingest.scratch, 2 * (size_t)INGEST_LINE_LIMIT, UINT32_MAX / 2);
    ingest.client = client_new(&client_options, &error);
    int code = ingest.client
                   ? run(&ingest, options->operands.count ? options->operands.items[0] : "-")
                   : command_failed(&error);
    client_free(ingest.client);
    ingest_window_fini(&ingest.window);
    doc_fini(&ingest.scratch);
    return code;
}

static int run_ingest(int argc, char **argv)
{
    struct ingest_options options = INGEST_OPTIONS_INIT;
    char name[40];
    int code = EXIT_FAILED;
    if (command_start(&ingest_command, argc, argv, &options, &code)) {
        options.producer_named = options.producer != NULL;
        if (!options.producer && random_producer(name))
            options.producer = name;
        if (options.producer)
            code = ingest_all(&options);
    }
    memory_free(options.operands.items);
    return code;
}

#define AT(field) .offset = offsetof(struct ingest_options, field)
static const struct command_option ingest_options[] = {
    {"url", OPTION_TEXT, AT(url), .value = "URL", .help = "the server (ws://127.0.0.1:8877)"},
    ACCESS_OPTIONS(struct ingest_options),
    {"producer", OPTION_TEXT, AT(producer), .value = "NAME",
     .help = "the name of the producer: the same input under the same name is applied once, in "
             "however many runs"},
    {"batch", OPTION_NUMBER, AT(batch), .least = 1, .most = 100000, .value = "N",
     .help = "lines in one request at most (500)"},
    {"rate", OPTION_NUMBER, AT(rate), .least = 1, .most = 10000000, .value = "N",
     .help = "lines per second at most"},
    {"patience", OPTION_NUMBER, AT(patience), .least = 0, .most = 1000000, .value = "SECONDS",
     .help = "how long to try to connect (5 at first, 60 after a connection broke)"},
    {.name = NULL},
};

const struct command ingest_command = {
    .name = "ingest",
    .operands = "[FILE|-]",
    .most_operands = 1,
    .operands_offset = offsetof(struct ingest_options, operands),
    .summary = "feed a server with newline-separated JSON",
    .notes =
        "A line is a mutation, {\"export\":\"Quake\",\"key\":\"k1\",\"patch\":{\"mag\":4.5}}, or "
        "a\n"
        "batch, {\"mutations\":[…]}, which is applied whole or not at all. When a connection\n"
        "breaks, the command connects again; nothing is lost or applied twice. A refused line\n"
        "ends the command: the lines before it are applied, those behind it are not.\n"
        "When the server does not show an export, the command names it, and the exit status\n"
        "is 1. Another input under a --producer that was used before is refused.\n",
    .options = ingest_options,
    .run = run_ingest,
};
