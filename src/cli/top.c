/* `stele top`: who is connected and what it costs, drawn anew every few seconds. */
#include "cli/top.h"

#include "cli/ask.h"
#include "terminal/terminal.h"
#include "json/json.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

enum {
    PAGE = 1000,
    PATH_BYTES = 256,
    ANSWER_MS = 10 * 1000,
    PLAIN_WIDTH = 120, /* of a picture that is printed, */
    PLAIN_HEIGHT = 60,
    JSON_MOST = 100 /* clients and windows */
};

struct top_options {
    struct access_options access;
    const char *url;
    int64_t interval;
    bool once, json;
};

struct top {
    const struct top_options *options;
    struct ask ask;
    struct top_sample now, before;
    bool has_before;
    char note[ERROR_MESSAGE_SIZE]; /* why there is nothing new; "" */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    if (number != SIGWINCH)
        interrupted = 1;
}

/* ---- asking ---- */

static bool get(struct top *top, const char *path, struct span *body, struct error *error)
{
    struct ask_request request = {.path = path, .total_ms = ANSWER_MS};
    return ask_server(&top->ask, &request, body, error);
}

static bool get_pages(struct top *top, const char *path,
                      bool (*read)(struct top_sample *, struct tree *, uint64_t *, struct error *),
                      struct error *error)
{
    uint64_t after = 0;
    do {
        char page[PATH_BYTES];
        struct span body;
        snprintf(page, sizeof page, "%s?limit=%d&after=%llu", path, PAGE,
                 (unsigned long long)after);
        struct tree *answer = get(top, page, &body, error) ? tree_parse(body, error) : NULL;
        if (!answer || !read(&top->now, answer, &after, error))
            return false;
    } while (after && !interrupted);
    return true;
}

static bool take(struct top *top, struct error *error)
{
    struct span body;
    top_start(&top->now);
    if (!get(top, "/status", &body, error))
        return top->ask.answered && top->ask.answer.status == 404
                   ? error_prefix(error, "is it the server's health address?")
                   : false;
    if (!top_read_status(&top->now, body, error) || !get(top, "/metrics", &body, error))
        return false;
    top_read_metrics(&top->now, body);
    return get_pages(top, "/v1/clients", top_read_clients, error) &&
           get_pages(top, "/v1/windows", top_read_windows, error);
}

/* Another sample takes the place of this one, if there is one. */
static bool sample(struct top *top, struct error *error)
{
    struct top_sample last = top->now;
    top->now = (struct top_sample){.us = 0};
    if (!take(top, error)) {
        top_free(&top->now);
        top->now = last;
        return false;
    }
    top_free(&top->before);
    top->before = last;
    top->has_before = last.us != 0;
    top_compare(&top->now, top->has_before ? &top->before : NULL);
    return true;
}

/* ---- printing ---- */

static bool print(const struct top *top)
{
    struct buffer out;
    buffer_init(&out, UINT32_MAX);
    bool done = top->options->json ? top_print_json(&top->now, JSON_MOST, &out)
                                   : top_print(&top->now, "", PLAIN_WIDTH, PLAIN_HEIGHT, &out);
    if (done && top->options->json)
        output_json(stdout, buffer_span(&out));
    else if (done)
        fwrite(out.data, 1, out.length, stdout);
    done = done && fflush(stdout) == 0 && !ferror(stdout);
    buffer_fini(&out);
    return done;
}

static bool print_picture(void *argument, size_t width, size_t height, struct buffer *out)
{
    const struct top *top = argument;
    return top_print(&top->now, top->note, width, height, out);
}

/* ---- the terminal ---- */

/* Wait for so long, unless a key comes that is for the caller. */
static enum key wait_for_key(struct keys *keys, uint64_t until_us)
{
    struct pollfd input = {.fd = keys->on ? STDIN_FILENO : -1, .events = POLLIN};
    uint64_t now = clock_monotonic_us();
    enum key key = KEY_NONE;
    if (interrupted)
        return KEY_LEAVE;
    poll(&input, 1, until_us > now ? (int)((until_us - now) / 1000) + 1 : 0);
    do {
        key = keys_read(keys);
    } while (key != KEY_NONE && key != KEY_LEAVE && key != KEY_GONE && key != KEY_SUSPEND);
    return interrupted ? KEY_LEAVE : key;
}

/* True: the user wants to leave. */
static bool takes_key(struct screen *screen, struct keys *keys, uint64_t until_us)
{
    enum key key = wait_for_key(keys, until_us);
    if (key != KEY_SUSPEND)
        return key != KEY_NONE;
    screen_end();
    keys_suspend(keys);
    screen_resume(screen);
    return false;
}

/* ---- the command ---- */

/* Rates are of one interval. */
static bool run_once(struct top *top, struct error *error)
{
    struct keys none = {.on = false};
    if (!sample(top, error))
        return false;
    uint64_t until = clock_monotonic_us() + (uint64_t)top->options->interval * 1000000;
    while (clock_monotonic_us() < until && wait_for_key(&none, until) == KEY_NONE)
        continue;
    if (interrupted)
        return true;
    return sample(top, error) &&
           (print(top) ||
            error_set(error, ERROR_INTERNAL, "cannot write the picture: %s", strerror(errno)));
}

static bool run_json(struct top *top, struct error *error)
{
    struct keys none = {.on = false};
    while (!interrupted) {
        uint64_t until = clock_monotonic_us() + (uint64_t)top->options->interval * 1000000;
        if (!sample(top, error))
            return false;
        if (top->has_before && !print(top))
            return error_set(error, ERROR_INTERNAL, "cannot write: %s", strerror(errno));
        while (clock_monotonic_us() < until && wait_for_key(&none, until) == KEY_NONE)
            continue;
    }
    return true;
}

static bool run_live(struct top *top, struct error *error)
{
    struct screen screen;
    struct keys keys;
    bool done = true, leaves = false;
    if (!sample(top, error))
        return false;
    keys_open(&keys);
    screen_begin(&screen);
    while (done && !leaves) {
        uint64_t until = clock_monotonic_us() + (uint64_t)top->options->interval * 1000000;
        while (done && !leaves && clock_monotonic_us() < until) {
            done = screen_draw(&screen, print_picture, top) ||
                   error_set(error, ERROR_INTERNAL, "cannot draw: %s", strerror(errno));
            leaves = done && takes_key(&screen, &keys, until);
        }
        struct error lost;
        if (done && !leaves)
            snprintf(top->note, sizeof top->note, "%s", sample(top, &lost) ? "" : lost.message);
        screen.changed = true;
    }
    screen_end();
    keys_close(&keys);
    return done;
}

static int run_top(int argc, char **argv)
{
    struct top_options options = {.url = "http://127.0.0.1:8081", .interval = 2};
    struct top top = {.options = &options};
    struct error error = {0};
    struct sigaction action = {.sa_handler = on_signal};
    int code;
    if (!command_start(&top_command, argc, argv, &options, &code))
        return code;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    bool live = !options.once && !options.json && screen_is_possible();
    bool once = options.once || (!options.json && !live);
    bool done = ask_open(&top.ask, &options.access, options.url, &error) &&
                (live   ? run_live(&top, &error)
                 : once ? run_once(&top, &error)
                        : run_json(&top, &error));
    ask_close(&top.ask);
    top_free(&top.now);
    top_free(&top.before);
    return done ? EXIT_FINE : command_failed(&error);
}

#define AT(field) .offset = offsetof(struct top_options, field)
static const struct command_option top_options[] = {
    {"url", OPTION_TEXT, AT(url), .value = "URL",
     .help = "the server's health address (http://127.0.0.1:8081)"},
    ACCESS_OPTIONS(struct top_options),
    {"interval", OPTION_NUMBER, AT(interval), .least = 1, .most = 3600, .value = "S",
     .help = "seconds between two pictures, of which the rates are (2)"},
    {"once", OPTION_FLAG, AT(once),
     .help = "print one picture, after one interval; so it is where there is no terminal"},
    {"json", OPTION_FLAG, AT(json),
     .help = "print JSON, one line for each interval; with --once a single one"},
    {.name = NULL},
};

const struct command top_command = {
    .name = "top",
    .operands = "",
    .summary = "show who is connected, who is behind, and what windows cost",
    .notes = "With authentication it needs a token of the scope admin. q ends it.\n",
    .options = top_options,
    .run = run_top,
};
