#include "cli/subscribe.h"
#include "cli/query.h"
#include "client/client.h"
#include "terminal/columns.h"
#include "terminal/live.h"
#include "terminal/terminal.h"
#include "wire/wire.h"
#include "json/json.h"

#include <errno.h>
#include <signal.h>

enum {
    MESSAGE_LIMIT = 1024 * 1024 * 1024,
    FRAME_DEPTH = 1100,
    PING_US = 30 * 1000 * 1000,
    NORMAL_CLOSE = 1000,
    GOING_AWAY = 1001
};

struct subscription {
    const struct subscribe_options *options;
    struct client *client;
    struct subscribe_cursor cursor;
    struct buffer plain; /* of a compressed frame */
    struct live *live;   /* NULL: frames are printed */
    bool ask, ping;      /* to be sent */
    bool subscribed;     /* on this connection */
    bool disconnected;   /* and that was told */
    int64_t frames;
    uint64_t pinged_us;
    bool leaving;
    int code; /* to leave with */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- frames ---- */

/* A string without escapes, which cursors and epochs are. */
static void copy_text(const struct doc *doc, uint32_t object, const char *name, char *out,
                      size_t size)
{
    uint32_t member = doc_member(doc, object, name);
    if (member == DOC_NONE || doc->nodes[member].type != DOC_STRING)
        return;
    struct span text = doc_text(doc, member);
    snprintf(out, size, "%.*s", (int)text.length - 2, text.data + 1);
}

static void note_error(const struct doc *doc, uint32_t root, struct subscribe_error *error)
{
    copy_text(doc, root, "message", error->message, sizeof(error->message));
    error->fatal = doc_member_is(doc, root, "fatal", "true");
    error->retryable = doc_member_is(doc, root, "retryable", "true");
}

bool subscribe_note(struct subscribe_cursor *cursor, struct span frame,
                    struct subscribe_error *error)
{
    struct doc doc;
    uint32_t root;
    bool good = true;
    doc_init(&doc, UINT32_MAX / 2, UINT32_MAX / 2);
    if (doc_parse(&doc, frame, FRAME_DEPTH, &root, NULL) && doc.nodes[root].type == DOC_OBJECT) {
        good = !doc_member_is(&doc, root, "type", "\"error\"");
        if (!good)
            note_error(&doc, root, error);
        /* A snapshot that was not asked for by cursor replaces everything: until its last batch
         * tells where it stands, there is nowhere to go on from. */
        if (doc_member_is(&doc, root, "op", "\"subscribed\"") &&
            !doc_member_is(&doc, root, "resumed", "true"))
            cursor->seq[0] = '\0';
        copy_text(&doc, root, "epoch", cursor->epoch, sizeof(cursor->epoch));
        copy_text(&doc, root, "seq", cursor->seq, sizeof(cursor->seq));
    }
    doc_fini(&doc);
    return good;
}

static void add_member(struct buffer *out, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    buffer_printf(out, ",\"%s\":", name);
    doc_escape(out, span_of(value));
}

static struct query_options query_of(const struct subscribe_options *options)
{
    return (struct query_options){options->filters, options->where, options->sorts};
}

bool subscribe_print(struct buffer *out, const struct subscribe_options *options,
                     const struct subscribe_cursor *cursor)
{
    bool resumes = cursor->seq[0] != '\0';
    buffer_add_string(out, "{\"type\":\"subscribe\"");
    add_member(out, "view", options->operands.items[0]);
    add_member(out, "key", options->key);
    add_member(out, "after", resumes ? cursor->seq : options->after);
    add_member(out, "epoch", resumes ? cursor->epoch : options->epoch);
    if (options->take >= 0)
        buffer_printf(out, ",\"take\":%lld", (long long)options->take);
    if (options->skip >= 0)
        buffer_printf(out, ",\"skip\":%lld", (long long)options->skip);
    const struct query_options query = query_of(options);
    if (!query_print(out, &query))
        return false;
    /* The first answer had what these ask for; from now on changes follow. */
    if (!resumes && options->no_snapshot)
        buffer_add_string(out, ",\"withSnapshot\":false");
    if (!resumes && options->limit >= 0)
        buffer_printf(out, ",\"snapshotLimit\":%lld", (long long)options->limit);
    return buffer_add_char(out, '}');
}

/* ---- the connection ---- */

static void leave(struct subscription *subscription, int code)
{
    subscription->leaving = true;
    subscription->code = code;
    client_stop(subscription->client);
}

/* Where a table stands, words go into its title. */
static void say(struct subscription *subscription, const char *words)
{
    if (subscription->live)
        live_say(subscription->live, words);
    else
        output_tell("stele: %s", words);
}

static void output_failed(struct subscription *subscription)
{
    if (errno != EPIPE && !(errno == EINTR && interrupted))
        fprintf(stderr, "stele: standard output: %s\n", error_reason(errno));
    leave(subscription, EXIT_FAILED);
}

static bool print_frame(struct subscription *subscription, struct span frame)
{
    output_json(stdout, frame);
    putchar('\n');
    if (fflush(stdout) == 0)
        return true;
    output_failed(subscription);
    return false;
}

static bool show_frame(struct subscription *subscription, struct span frame)
{
    struct error error;
    if (live_apply(subscription->live, frame, &error))
        return true;
    say(subscription, error.message);
    leave(subscription, EXIT_FAILED);
    return false;
}

static void take_frame(struct subscription *subscription, struct span frame)
{
    if (!(subscription->live ? show_frame : print_frame)(subscription, frame))
        return;
    subscription->frames++;
    if (subscription->options->count > 0 && subscription->frames >= subscription->options->count)
        leave(subscription, EXIT_FINE);
}

static void tell_frame(struct span frame)
{
    output_json(stderr, frame);
    fputc('\n', stderr);
}

static void on_message(void *argument, struct span message)
{
    struct subscription *subscription = argument;
    struct subscribe_error problem = {0};
    struct error error = {0};
    struct span frame = message;
    if (wire_is_gzip(message)) {
        buffer_clear(&subscription->plain);
        if (!wire_gunzip(message, &subscription->plain, &error)) {
            leave(subscription, command_failed(&error));
            return;
        }
        frame = buffer_span(&subscription->plain);
    }
    if (subscribe_note(&subscription->cursor, frame, &problem)) {
        subscription->subscribed = true;
        take_frame(subscription, frame);
        return;
    }
    if (subscription->live)
        say(subscription, problem.message);
    else
        tell_frame(frame);
    bool again = subscription->options->follow && problem.retryable;
    if ((problem.fatal || !subscription->subscribed) && !again)
        leave(subscription, EXIT_FAILED);
}

static void on_opened(void *argument)
{
    struct subscription *subscription = argument;
    if (subscription->live)
        live_set_connection(subscription->live, true, "");
    else if (subscription->disconnected)
        fprintf(stderr, "stele: connected again\n");
    subscription->disconnected = false;
    subscription->subscribed = false;
    subscription->ask = true;
    subscription->pinged_us = clock_monotonic_us();
}

static bool on_next(void *argument, struct buffer *text)
{
    struct subscription *subscription = argument;
    if (subscription->ask) {
        subscription->ask = false;
        return subscribe_print(text, subscription->options, &subscription->cursor);
    }
    if (!subscription->ping)
        return false;
    subscription->ping = false;
    return buffer_add_string(text, "{\"type\":\"ping\"}");
}

/* The connection ended, or could not be made; another one is tried for. */
static void tell_end(struct subscription *subscription, const char *words)
{
    if (subscription->live)
        live_set_connection(subscription->live, false, words);
    else if (!subscription->disconnected)
        output_tell("stele: %s; trying again", words);
}

static bool on_ended(void *argument, const struct client_end *end)
{
    struct subscription *subscription = argument;
    char words[sizeof end->reason + 64];
    snprintf(words, sizeof words, "%s%s%s",
             end->opened ? "the connection was lost" : "no connection", end->reason[0] ? ": " : "",
             end->reason);
    if (interrupted || !subscription->options->follow) {
        bool orderly = end->code == NORMAL_CLOSE || end->code == GOING_AWAY;
        if (end->opened && !orderly && !subscription->leaving) {
            say(subscription, words);
            subscription->code = EXIT_FAILED;
        }
        return false;
    }
    if (!subscription->leaving)
        tell_end(subscription, words);
    subscription->disconnected = true;
    return true;
}

static void tick_live(struct subscription *subscription)
{
    enum live_end end = live_tick(subscription->live);
    if (end == LIVE_LEAVES)
        leave(subscription, EXIT_FINE);
    else if (end == LIVE_FAILED)
        output_failed(subscription);
}

static void on_tick(void *argument)
{
    struct subscription *subscription = argument;
    uint64_t now = clock_monotonic_us();
    if (interrupted)
        leave(subscription, EXIT_FINE);
    else if (subscription->live && !subscription->leaving)
        tick_live(subscription);
    /* A server that hears nothing from a client for long takes it for gone. */
    if (now - subscription->pinged_us > PING_US) {
        subscription->pinged_us = now;
        subscription->ping = true;
        client_send(subscription->client);
    }
}

/* ---- the command ---- */

static int64_t patience_ms(const struct subscribe_options *options, int64_t otherwise)
{
    return !options->follow ? 0 : (options->patience < 0 ? otherwise : options->patience) * 1000;
}

static void wake(void *client)
{
    client_wake(client);
}

static struct column_choice columns_of(const struct subscribe_options *options)
{
    return (struct column_choice){options->columns, options->times.items, options->times.count};
}

static bool open_live(struct subscription *subscription, struct error *error)
{
    const struct column_choice columns = columns_of(subscription->options);
    subscription->live =
        live_open(subscription->options->operands.items[0], &columns, wake, subscription->client);
    return subscription->live || error_set(error, ERROR_MEMORY, "out of memory");
}

static int subscribe(const struct subscribe_options *options)
{
    struct subscription subscription = {.options = options};
    const struct client_options client_options = {
        .url = options->url,
        .access = access_read(&options->access, options->url),
        .path = "/",
        .max_message_bytes = MESSAGE_LIMIT,
        .first_patience_ms = patience_ms(options, 5),
        .patience_ms = patience_ms(options, 60),
        .handlers = {on_opened, on_message, on_next, on_ended, on_tick},
        .argument = &subscription,
    };
    struct error error = {0};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    buffer_init(&subscription.plain, MESSAGE_LIMIT);
    subscription.client = client_new(&client_options, &error);
    bool live = options->table && screen_is_possible();
    bool done = subscription.client && (!live || open_live(&subscription, &error)) &&
                client_run(subscription.client, &error);
    live_close(subscription.live);
    if (!done)
        subscription.code = command_failed(&error);
    else if (live && subscription.code != EXIT_FINE && live_words(subscription.live)[0])
        output_tell("stele: %s", live_words(subscription.live));
    live_free(subscription.live);
    client_free(subscription.client);
    buffer_fini(&subscription.plain);
    return subscription.code;
}

static int run_subscribe(int argc, char **argv)
{
    struct subscribe_options options = SUBSCRIBE_OPTIONS_INIT;
    struct error error;
    int code = EXIT_FAILED;
    bool started = command_start(&subscribe_command, argc, argv, &options, &code);
    const struct query_options query = query_of(&options);
    const struct column_choice columns = columns_of(&options);
    if (!started) {
        /* it was said what is wrong */
    } else if (!query_check(&query, &error) || !columns_check(&columns, &error)) {
        output_tell("stele subscribe: %s", error.message);
        code = EXIT_MISUSED;
    } else {
        code = subscribe(&options);
    }
    memory_free(options.filters.items);
    memory_free(options.sorts.items);
    memory_free(options.times.items);
    memory_free(options.operands.items);
    return code;
}

#define AT(field) .offset = offsetof(struct subscribe_options, field)
static const struct command_option subscribe_options[] = {
    {"url", OPTION_TEXT, AT(url), .value = "URL", .help = "the server (ws://127.0.0.1:8877)"},
    ACCESS_OPTIONS(struct subscribe_options),
    {"key", OPTION_TEXT, AT(key), .value = "KEY", .help = "only this entity"},
    {"take", OPTION_NUMBER, AT(take), .least = 1, .most = INT64_MAX, .value = "N",
     .help = "only the first N rows in the order of the view"},
    {"skip", OPTION_NUMBER, AT(skip), .least = 0, .most = INT64_MAX, .value = "N",
     .help = "without the first N rows"},
    {"filter", OPTION_TEXTS, AT(filters), .value = "PATH=VALUE",
     .help = "only rows with this value there (a JSON scalar, else a string); may be given several "
             "times"},
    {"where", OPTION_TEXT, AT(where), .value = "PREDICATE",
     .help = "only rows of which this holds: JSON, such as {\"field\":\"mag\",\"gte\":5}"},
    {"sort", OPTION_TEXTS, AT(sorts), .value = "PATH",
     .help = "rows by the value there, with - in front descending; may be given several times"},
    {"table", OPTION_FLAG, AT(table),
     .help = "on a terminal: a table in the order of the view that updates in place"},
    {"columns", OPTION_TEXT, AT(columns), .value = "PATH,PATH",
     .help = "the columns of the table besides the key (default: the members of the rows)"},
    {"time", OPTION_TEXTS, AT(times), .value = "PATH",
     .help = "a column of the table that is a time (seconds or milliseconds since 1970, or "
             "2018-02-06T18:00:00Z), shown as one of this time zone; may be given several times"},
    {"after", OPTION_TEXT, AT(after), .value = "SEQ", .help = "only changes behind this cursor"},
    {"epoch", OPTION_TEXT, AT(epoch), .value = "EPOCH",
     .help = "the epoch that came with the cursor"},
    {"limit", OPTION_NUMBER, AT(limit), .least = 0, .most = INT64_MAX, .value = "N",
     .help = "rows in the snapshot at most"},
    {"no-snapshot", OPTION_FLAG, AT(no_snapshot), .help = "only changes from now on"},
    {"count", OPTION_NUMBER, AT(count), .least = 1, .most = INT64_MAX, .value = "N",
     .help = "exit after this many frames"},
    {"follow", OPTION_FLAG, AT(follow),
     .help = "when the connection breaks, connect again and go on behind the last frame"},
    {"patience", OPTION_NUMBER, AT(patience), .least = 0, .most = 1000000, .value = "SECONDS",
     .help = "with --follow: how long to try to connect (5 at first, 60 after it broke)"},
    {.name = NULL},
};

const struct command subscribe_command = {
    .name = "subscribe",
    .operands = "VIEW",
    .least_operands = 1,
    .most_operands = 1,
    .operands_offset = offsetof(struct subscribe_options, operands),
    .summary = "print the frames of a view, one JSON text a line, or show it as a table",
    .notes =
        "With --table and a terminal on standard output the command shows rows instead. There the\n"
        "arrows, page up and down, home and end select a row, left and right show further "
        "columns,\n"
        "escape goes back to the first rows, q or Ctrl-C leaves. What has just come has a +, what\n"
        "has just changed a *. Error messages of the server go to standard error. Without "
        "--follow\n"
        "the command ends when the connection does.\n",
    .options = subscribe_options,
    .run = run_subscribe,
};
