/* The answers of a server, for `stele top`. */
#include "base/utf8.h"
#include "cli/top.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>

static const char *const metrics[] = {
#define X(name, metric, counts) metric,
    TOP_FIGURES(X)
#undef X
};

void top_start(struct top_sample *sample)
{
    sample->us = clock_monotonic_us();
    for (size_t i = 0; i < TOP_FIGURE_COUNT; i++)
        sample->figures[i] = sample->rates[i] = NAN;
}

void top_free(struct top_sample *sample)
{
    for (size_t i = 0; i < sample->page_count; i++)
        tree_free(sample->pages[i]);
    memory_free(sample->pages);
    memory_free(sample->clients);
    memory_free(sample->windows);
    *sample = (struct top_sample){.us = 0};
}

static void copy(char out[TOP_TEXT], struct span text)
{
    size_t length = text.length < TOP_TEXT ? text.length : utf8_whole(text.data, TOP_TEXT - 1);
    if (length)
        memcpy(out, text.data, length);
    out[length] = '\0';
}

static void copy_member(char out[TOP_TEXT], const struct tree *object, const char *name)
{
    copy(out, tree_string(tree_member(object, name)));
}

static double real(const struct tree *object, const char *name, double otherwise)
{
    return tree_real(tree_member(object, name), otherwise);
}

static int64_t integer(const struct tree *object, const char *name, int64_t otherwise)
{
    return tree_integer(tree_member(object, name), otherwise);
}

/* ---- /status and /metrics ---- */

bool top_read_status(struct top_sample *sample, struct span text, struct error *error)
{
    struct tree *status = tree_parse(text, error);
    if (!status)
        return error_prefix(error, "/status cannot be read");
    sample->healthy = tree_boolean(tree_member(status, "healthy"), false);
    copy_member(sample->status, status, "status");
    copy_member(sample->version, status, "version");
    tree_free(status);
    return true;
}

static void add_sample(struct top_sample *sample, struct span name, double value)
{
    for (size_t i = 0; i < TOP_FIGURE_COUNT; i++)
        if (span_equal(name, span_of(metrics[i])))
            sample->figures[i] = isnan(sample->figures[i]) ? value : sample->figures[i] + value;
}

/* "name value" or "name{labels} value"; a value of a label may have spaces. */
static void read_line(struct top_sample *sample, struct span line)
{
    char number[TOP_TEXT];
    size_t name = 0, space = line.length;
    while (name < line.length && line.data[name] != ' ' && line.data[name] != '{')
        name++;
    while (space > name && line.data[space - 1] != ' ')
        space--;
    if (!line.length || line.data[0] == '#' || space <= name || line.length - space >= TOP_TEXT)
        return;
    copy(number, span_make(line.data + space, line.length - space));
    add_sample(sample, span_make(line.data, name), strtod(number, NULL));
}

void top_read_metrics(struct top_sample *sample, struct span text)
{
    size_t at = 0;
    while (at < text.length) {
        const char *newline = memchr(text.data + at, '\n', text.length - at);
        size_t end = newline ? (size_t)(newline - text.data) : text.length;
        read_line(sample, span_make(text.data + at, end - at));
        at = end + 1;
    }
}

/* ---- lists ---- */

static bool no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory for what the server tells");
}

static bool keep_page(struct top_sample *sample, struct tree *page)
{
    struct tree **pages =
        memory_resize(sample->pages, (sample->page_count + 1) * sizeof(*sample->pages));
    if (!pages) {
        tree_free(page);
        return false;
    }
    sample->pages = pages;
    sample->pages[sample->page_count++] = page;
    return true;
}

/* Whether there is a page behind this one, and where. */
static uint64_t next_page(const struct tree *page, const struct tree *list)
{
    size_t count = tree_count(list);
    bool more = count && tree_boolean(tree_member(page, "more"), false);
    return more ? (uint64_t)integer(tree_element(list, count - 1), "id", 0) : 0;
}

static void read_client(struct top_client *client, const struct tree *node)
{
    const struct tree *lag = tree_member(node, "lag");
    *client = (struct top_client){.id = (uint64_t)integer(node, "id", 0),
                                  .since_ms = integer(node, "since", 0),
                                  .subscriptions = integer(node, "subscription_count", 0),
                                  .behind = integer(lag, "changes", -1),
                                  .seconds = real(lag, "seconds", -1),
                                  .queued = real(node, "queued", 0),
                                  .sent = real(node, "sent", 0),
                                  .sent_rate = NAN,
                                  .node = node};
    copy_member(client->address, node, "address");
    copy_member(client->subject, node, "subject");
    copy_member(client->protocol, node, "protocol");
}

bool top_read_clients(struct top_sample *sample, struct tree *page, uint64_t *after,
                      struct error *error)
{
    const struct tree *list = tree_member(page, "clients");
    size_t count = tree_count(list), total = sample->client_count + count;
    if (!keep_page(sample, page))
        return no_memory(error);
    struct top_client *clients = memory_resize(sample->clients, (total + 1) * sizeof *clients);
    if (!clients)
        return no_memory(error);
    sample->clients = clients;
    for (size_t i = 0; i < count; i++)
        read_client(&clients[sample->client_count++], tree_element(list, i));
    sample->time = integer(page, "time", 0);
    *after = next_page(page, list);
    sample->cut = *after && sample->client_count >= TOP_CLIENTS;
    if (sample->cut)
        *after = 0;
    return true;
}

static void read_window(struct top_window *window, const struct tree *node)
{
    *window = (struct top_window){.id = (uint64_t)integer(node, "id", 0),
                                  .query = tree_string(tree_member(node, "query")),
                                  .members = integer(node, "members", 0),
                                  .rows = integer(node, "rows", 0),
                                  .take = integer(node, "take", -1),
                                  .refreshes = real(node, "refreshes", 0),
                                  .rows_read = real(node, "rows_read", 0),
                                  .ms = real(node, "total_ms", 0),
                                  .refresh_rate = NAN,
                                  .read_rate = NAN,
                                  .ms_rate = NAN,
                                  .node = node};
    copy_member(window->view, node, "view");
}

bool top_read_windows(struct top_sample *sample, struct tree *page, uint64_t *after,
                      struct error *error)
{
    const struct tree *list = tree_member(page, "windows");
    size_t count = tree_count(list), total = sample->window_count + count;
    if (!keep_page(sample, page))
        return no_memory(error);
    struct top_window *windows = memory_resize(sample->windows, (total + 1) * sizeof *windows);
    if (!windows)
        return no_memory(error);
    sample->windows = windows;
    for (size_t i = 0; i < count; i++)
        read_window(&windows[sample->window_count++], tree_element(list, i));
    *after = next_page(page, list);
    return true;
}
