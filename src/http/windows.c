/* What the shared windows are, and what they cost: GET /v1/windows. */
#include "http/clients.h"
#include "http/print.h"
#include "window/window.h"

#include <inttypes.h>

static size_t print(struct http *http, struct roster_item *item, struct buffer *out)
{
    const struct window_facts facts = hub_window_facts(item);
    (void)http;
    buffer_printf(out, "{\"id\":%" PRIu64 ",", facts.number);
    http_print_asked(out, &facts.asked);
    if (facts.is_scoped)
        buffer_printf(out, ",\"scope\":\"%016" PRIx64 "\"", facts.scope);
    buffer_printf(out, ",\"protocol\":\"%d\"", facts.is_v2 ? 2 : 1);
    buffer_printf(out, ",\"members\":%zu,\"rows\":%zu,\"bytes\":%zu", facts.members, facts.rows,
                  facts.bytes);
    if (facts.sharing)
        buffer_printf(out, ",\"matches\":%zu,\"sharing\":%zu", facts.matches, facts.sharing);
    buffer_printf(out,
                  ",\"refreshes\":%" PRIu64 ",\"rows_read\":%" PRIu64
                  ",\"refresh_ms\":%.3f,\"total_ms\":%.3f,\"refreshed\":",
                  facts.refreshes, facts.rows_read, (double)facts.last_us / 1000,
                  (double)facts.total_us / 1000);
    http_print_known(out, facts.refreshed_ms);
    buffer_add_char(out, '}');
    return 0;
}

static struct roster *roster(struct http *http)
{
    return hub_windows_listed(http->frontend->hub);
}

static void print_head(struct http *http, struct buffer *out)
{
    size_t windows, members;
    windows_count(http->frontend->hub, &windows, &members);
    buffer_printf(out, "\"time\":%lld,\"count\":%zu,\"members\":%zu,", (long long)clock_wall_ms(),
                  windows, members);
}

const struct http_list http_windows = {.path = "/v1/windows",
                                       .member = "windows",
                                       .item = "window",
                                       .roster = roster,
                                       .print_head = print_head,
                                       .print = print};
