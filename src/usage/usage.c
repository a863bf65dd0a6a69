/* The life of usage, and its turns. */
#include "config/config.h"
#include "usage/usage_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void init_delivery(struct usage_delivery *delivery, uint64_t seed)
{
    *delivery = (struct usage_delivery){.waiting = 1}; /* whatever an earlier life has left */
    link_init(&delivery->packets);
    delivery->pace = (struct usage_pace){.seed = seed};
}

struct usage *usage_new(const struct usage_options *options)
{
    struct usage *usage = memory_new(sizeof *usage);
    if (!usage)
        return NULL;
    usage->options = *options;
    link_init(&usage->due);
    buffer_init(&usage->line, USAGE_EVENT_BYTES);
    usage->spool.last = &usage->spool.first;
    init_delivery(&usage->delivery, options->seed);
    return usage;
}

void usage_turn(struct usage *usage)
{
    uint64_t now = usage_now(usage);
    if (usage_tell_due(usage, now))
        usage->options.wake(usage->options.argument);
    usage_spool_turn(usage, now);
    usage_delivery_turn(usage, now);
}

static bool is_delivered(const struct usage_delivery *delivery)
{
    bool empty = !delivery->waiting && !delivery->reading && link_alone(&delivery->packets);
    bool pointless = delivery->pace.failures && !delivery->under_way && !delivery->removing;
    return empty || pointless;
}

bool usage_finish(struct usage *usage)
{
    const struct usage_spool *spool = &usage->spool;
    if (!usage->finishing) {
        usage->finishing = true;
        usage_turn(usage);
    }
    bool spooled = !spool->open && !spool->first && !spool->writing;
    return spooled && is_delivered(&usage->delivery);
}

void usage_flush(struct usage *usage)
{
    usage->closing = true;
    usage_spool_flush(usage);
}

/* Other limits of the spool. */
static void set_limits(struct usage *usage, int64_t spool_rows, int64_t spool_bytes)
{
    usage->options.spool_rows = spool_rows;
    usage->options.spool_bytes = spool_bytes;
}

void usage_free(struct usage *usage)
{
    if (!usage)
        return;
    usage_spool_fini(&usage->spool);
    usage_delivery_fini(&usage->delivery);
    buffer_fini(&usage->line);
    usage_endpoint_free(usage->endpoint);
    memory_free(usage);
}

/* When the oldest event happened that was read and not delivered yet; wall clock, 0: none. */
static int64_t oldest_of(const struct usage_delivery *delivery)
{
    const struct link *link = delivery->packets.next;
    int64_t oldest = 0;
    for (; link != &delivery->packets; link = link->next) {
        const struct usage_packet *packet = LINK_OWNER(struct usage_packet, in_packets, link);
        if (packet->state != PACKET_DELIVERED && (!oldest || packet->oldest_at < oldest))
            oldest = packet->oldest_at;
    }
    return oldest;
}

const struct usage_metrics *usage_metrics(struct usage *usage)
{
    static const struct usage_metrics none;
    if (!usage)
        return &none;
    int64_t oldest = oldest_of(&usage->delivery);
    int64_t age = oldest ? usage->options.wall_ms(usage->options.argument) - oldest : 0;
    usage->metrics.oldest_ms = age > 0 ? age : 0;
    return &usage->metrics;
}

enum {
    TOKEN_BYTES = 8 * 1024,
    ANSWER_BYTES = 64 * 1024, /* nothing in it matters */
    CONNECT_MS = 5 * 1000,
    TOTAL_MS = 15 * 1000
};

struct usage_endpoint {
    struct usage_context context; /* zeroed until it is in force */
    char *url;
    char *token; /* NULL: none */
};

/* ---- the token ---- */

/* It becomes part of a header. */
static bool is_token(struct span text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    return text.length > 0;
}

static struct span trim(struct span text)
{
    while (text.length && strchr(" \t\r\n", text.data[text.length - 1]))
        text.length--;
    return text;
}

static bool keep_token(struct span text, const char *source, char **token, struct error *error)
{
    struct span trimmed = trim(span_without_bom(text));
    if (!is_token(trimmed))
        return error_set(
            error, ERROR_CONFIGURATION,
            "%.200s does not hold a token: one word of visible ASCII, at most %d bytes", source,
            TOKEN_BYTES);
    *token = memory_copy_string(trimmed.data, trimmed.length);
    return *token || error_set(error, ERROR_MEMORY, "out of memory");
}

/* The content, at most so much; SIZE_MAX: it cannot be read. */
static size_t read_some(int file, char *text, size_t size)
{
    size_t length = 0;
    while (length < size) {
        ssize_t got = read(file, text + length, size - length);
        if (got < 0 && errno != EINTR)
            return SIZE_MAX;
        if (got == 0)
            break;
        length += got > 0 ? (size_t)got : 0;
    }
    return length;
}

static bool read_token_file(int folder, const char *path, char **token, struct error *error)
{
    char text[TOKEN_BYTES + 1];
    int file = openat(folder, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return error_set(error, ERROR_CONFIGURATION,
                         "setting \"usage_token_file\": %.200s cannot be opened: %s", path,
                         error_reason(errno));
    size_t length = read_some(file, text, sizeof text);
    bool unread = length > TOKEN_BYTES;
    close(file);
    bool done = keep_token(span_make(text, unread ? 0 : length), path, token, error);
    explicit_bzero(text, sizeof text);
    return done;
}

/* A file wins over the environment, as a setting does. */
static bool read_token(const struct config *config, char **token, struct error *error)
{
    const char *given = getenv("STELE_USAGE_TOKEN");
    *token = NULL;
    if (config->usage_token_file)
        return read_token_file(config->folder, config->usage_token_file, token, error);
    return !given || keep_token(span_of(given), "STELE_USAGE_TOKEN", token, error);
}

/* ---- the endpoint ---- */

void usage_endpoint_free(struct usage_endpoint *endpoint)
{
    if (!endpoint)
        return;
    memory_free(endpoint->url);
    memory_free(endpoint->token);
    memory_free(endpoint);
}

bool usage_endpoint_read(const struct config *config, struct usage_endpoint **endpoint,
                         struct error *error)
{
    *endpoint = NULL;
    if (!config->usage_url)
        return true;
    if (!outbound_check_url(config->usage_url, error))
        return error_prefix(error, "setting \"usage_url\"");
    struct usage_endpoint *it = memory_new(sizeof *it);
    char *url = memory_copy_string(config->usage_url, strlen(config->usage_url));
    if (!it || !url) {
        memory_free(it);
        memory_free(url);
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    it->url = url;
    if (!read_token(config, &it->token, error)) {
        usage_endpoint_free(it);
        return false;
    }
    *endpoint = it;
    return true;
}

bool usage_check(const struct config *config, struct error *error)
{
    struct usage_endpoint *endpoint;
    if (!usage_endpoint_read(config, &endpoint, error))
        return false;
    usage_endpoint_free(endpoint);
    return true;
}

/* ---- in force ---- */

static bool post(void *argument, struct span body, outbound_done done, void *done_argument)
{
    struct usage_endpoint *endpoint = argument;
    struct outbound_request request = {
        .url = endpoint->url,
        .body = body,
        .content_type = "application/json",
        .token = endpoint->token,
        .max_bytes = ANSWER_BYTES,
        .connect_ms = CONNECT_MS,
        .total_ms = TOTAL_MS,
        .done = done,
        .argument = done_argument,
    };
    struct error error;
    return outbound_send(endpoint->context.outbound, &request, &error);
}

static uint64_t now_ms(void *argument)
{
    struct usage_endpoint *endpoint = argument;
    return endpoint->context.now_ms(endpoint->context.argument);
}

static int64_t wall_ms(void *argument)
{
    return engine_times(((struct usage_endpoint *)argument)->context.engine).now;
}

static void wake(void *argument)
{
    struct usage_endpoint *endpoint = argument;
    endpoint->context.wake(endpoint->context.argument);
}

bool usage_open(const struct usage_context *context, const struct config *config,
                struct usage **usage, struct error *error)
{
    struct usage_endpoint *endpoint;
    *usage = NULL;
    if (!usage_endpoint_read(config, &endpoint, error))
        return false;
    if (!endpoint)
        return true;
    endpoint->context = *context;
    struct usage_options options = {
        .engine = context->engine,
        .spool_rows = config->usage_spool_rows,
        .spool_bytes = config->usage_spool_bytes,
        .post = post,
        .now_ms = now_ms,
        .wall_ms = wall_ms,
        .wake = wake,
        .argument = endpoint,
        .seed = clock_monotonic_us() ^ (uint64_t)clock_wall_ms(),
    };
    *usage = usage_new(&options);
    if (*usage) {
        (*usage)->endpoint = endpoint;
        return true;
    }
    usage_endpoint_free(endpoint);
    return error_set(error, ERROR_MEMORY, "out of memory while starting");
}

static void swap(char **a, char **b)
{
    char *c = *a;
    *a = *b;
    *b = c;
}

void usage_change(struct usage *usage, const struct config *config, struct usage_endpoint *endpoint)
{
    if (usage && endpoint) {
        swap(&usage->endpoint->url, &endpoint->url);
        swap(&usage->endpoint->token, &endpoint->token);
        set_limits(usage, config->usage_spool_rows, config->usage_spool_bytes);
    }
    usage_endpoint_free(endpoint);
}
