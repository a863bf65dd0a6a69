/* `stele ready`: whether a server serves, for health checks where there is neither shell nor curl.
 */
#include "cli/ask.h"
#include "cli/command.h"
#include "terminal/terminal.h"

#include <unistd.h>

enum { SHOWN = 200, DEFAULT_SECONDS = 5, MOST_SECONDS = 300, PAUSE_US = 50 * 1000 };

struct ready_options {
    struct access_options access;
    const char *url;
    int64_t seconds, wait;
    bool write;
};

/* The server's words, ready or not. */
static struct span words(const struct ask *ask)
{
    struct span text = buffer_span(&ask->answer.body);
    return span_make(text.data, text.length < SHOWN ? text.length : SHOWN);
}

static void print_words(const struct ask *ask)
{
    output_text(stdout, words(ask));
    putchar('\n');
}

static bool is_ready(const struct ready_options *options, struct error *error)
{
    struct ask_request request = {.path = options->write ? "/ready/write" : "/ready",
                                  .total_ms = options->seconds * 1000};
    struct ask ask;
    struct span body;
    bool ready = ask_open(&ask, &options->access, options->url, error) &&
                 ask_server(&ask, &request, &body, error);
    if (ready)
        print_words(&ask);
    else if (ask.answered && ask.answer.status == 503)
        error_set(error, ERROR_NETWORK, "%.*s", (int)words(&ask).length, words(&ask).data);
    ask_close(&ask);
    return ready;
}

static int run_ready(int argc, char **argv)
{
    struct ready_options options = {.url = "http://127.0.0.1:8081", .seconds = DEFAULT_SECONDS};
    struct error error = {0};
    int code;
    if (!command_start(&ready_command, argc, argv, &options, &code))
        return code;
    uint64_t end = clock_monotonic_us() + (uint64_t)options.wait * 1000000;
    bool ready = is_ready(&options, &error);
    while (!ready && clock_monotonic_us() < end) {
        usleep(PAUSE_US);
        ready = is_ready(&options, &error);
    }
    return ready ? EXIT_FINE : command_failed(&error);
}

#define AT(field) .offset = offsetof(struct ready_options, field)
static const struct command_option ready_options[] = {
    {"url", OPTION_TEXT, AT(url), .value = "URL",
     .help = "the server's health address (http://127.0.0.1:8081)"},
    ACCESS_OPTIONS(struct ready_options),
    {"seconds", OPTION_NUMBER, AT(seconds), .least = 1, .most = MOST_SECONDS, .value = "N",
     .help = "how long to wait for its answer (5)"},
    {"wait", OPTION_NUMBER, AT(wait), .least = 0, .most = 86400, .value = "N",
     .help = "ask again for so many seconds until it serves (0)"},
    {"write", OPTION_FLAG, AT(write), .help = "whether it takes mutations, too"},
    {.name = NULL},
};

const struct command ready_command = {
    .name = "ready",
    .operands = "",
    .summary = "ask a server whether it serves, for health checks",
    .notes = "Exits with 0 if it does, and prints its words; else with 1.\n",
    .options = ready_options,
    .run = run_ready,
};
