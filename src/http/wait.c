#include "http/wait.h"

#include "delivery/hub.h"
#include "http/changes.h"
#include "http/http_internal.h"
#include "http/parts.h"
#include "window/window.h"

#include <inttypes.h>
#include <stdio.h>

struct http_wait {
    struct http_request *request;
    struct link in_http; /* while it watches */
    struct wire_message message;
    uint64_t until_ms; /* loop time */
    void (*again)(struct http_request *request, const struct wire_message *message);
    struct subscriber *subscriber; /* NULL: the view is being read */
    size_t told;                   /* messages that it was sent, */
    size_t needed;                 /* ... and how many tell of a change */
    uv_timer_t timer;
};

static void on_closed(uv_handle_t *timer)
{
    struct http_wait *wait = timer->data;
    wire_message_fini(&wait->message);
    memory_free(wait);
}

static void end_watch(struct http_wait *wait)
{
    wait->request->watches = false;
    link_remove(&wait->in_http);
    uv_timer_stop(&wait->timer);
    subscriber_free(wait->subscriber);
    wait->subscriber = NULL;
}

/* The first messages only say that it is subscribed, and where it begins. */
static void look(struct http_request *request)
{
    struct http_wait *wait = request->wait;
    struct span bytes;
    INVARIANT(request->watches);
    while (wait->told < wait->needed && (bytes = subscriber_pull(wait->subscriber)).length)
        wait->told += wire_measure(bytes).messages;
    if (wait->told < wait->needed && !subscriber_state(wait->subscriber).is_broken)
        return;
    end_watch(wait);
    wait->again(request, &wait->message);
}

static void free_wait(struct http_request *request)
{
    struct http_wait *wait = request->wait;
    if (wait->subscriber)
        end_watch(wait);
    uv_close((uv_handle_t *)&wait->timer, on_closed);
}

static const struct http_source a_change = {.go_on = look, .free = free_wait};

bool http_wait_begin(struct http_request *request, struct wire_message *message, uint64_t ms,
                     void (*again)(struct http_request *request,
                                   const struct wire_message *message))
{
    struct frontend *frontend = request->http->frontend;
    struct http_wait *wait = memory_new(sizeof *wait);
    INVARIANT(!request->source);
    if (!wait)
        return false;
    wait->request = request;
    wait->message = *message;
    wait->until_ms = frontend_now(frontend) + ms;
    wait->again = again;
    link_init(&wait->in_http);
    uv_timer_init(frontend->loop, &wait->timer);
    wait->timer.data = wait;
    request->wait = wait;
    request->source = &a_change;
    net_expect_client(request->connection);
    return true;
}

/* ---- watching ---- */

static void on_time(uv_timer_t *timer)
{
    struct http_wait *wait = timer->data;
    end_watch(wait);
    wait->again(wait->request, &wait->message);
}

/* It may come from anywhere; looked at from the loop. */
static void on_wake(void *argument)
{
    struct http_wait *wait = argument;
    net_want_write(wait->request->connection);
}

/* Behind what was answered. Of an append view's history it is the view's tape, which also says
 * where the past ends. */
static bool subscribe(struct http_wait *wait, const struct hub_answer *answer)
{
    struct http_request *request = wait->request;
    struct wire_message from = wait->message; /* borrows all but its cursor */
    char after[sizeof answer->epoch + 32], epoch[sizeof answer->epoch];
    bool by_position = from.subscribe.by_position;
    struct error error;
    memcpy(epoch, answer->epoch, sizeof epoch);
    if (by_position) {
        snprintf(after, sizeof after, "%s:%" PRId64, epoch, answer->position);
        from.subscribe.take = -1;
    } else {
        memcpy(after, answer->seq, sizeof answer->seq);
    }
    from.subscribe.after = after;
    from.subscribe.epoch = epoch;
    from.subscribe.with_snapshot = false;
    wait->needed = by_position ? 3 : 2;
    wait->subscriber =
        subscriber_new(request->http->frontend->hub,
                       &(struct subscriber_options){.wake = on_wake, .argument = wait});
    if (!wait->subscriber)
        return false;
    if (by_position)
        subscriber_write_bodies(wait->subscriber, span_make(NULL, 0));
    subscriber_set_owner(wait->subscriber, request->owner);
    return subscriber_set_identity(wait->subscriber, request->principal.identity) &&
           subscriber_take(wait->subscriber, &from, &error);
}

bool http_wait_watch(struct http_request *request, const struct hub_answer *answer)
{
    struct http_wait *wait = request->wait;
    struct frontend *frontend = request->http->frontend;
    uint64_t now = frontend_now(frontend);
    if (!request->connection || !frontend->running || now >= wait->until_ms)
        return false;
    wait->told = 0;
    if (!subscribe(wait, answer)) {
        subscriber_free(wait->subscriber);
        wait->subscriber = NULL;
        return false;
    }
    request->watches = true;
    link_append(&request->http->waiting, &wait->in_http);
    uv_timer_start(&wait->timer, on_time, wait->until_ms - now, 0);
    return true;
}

/* ---- the end ---- */

static void stop(struct http *http)
{
    while (!link_alone(&http->waiting)) {
        struct http_wait *wait = LINK_OWNER(struct http_wait, in_http, http->waiting.next);
        struct error error;
        error_set(&error, ERROR_SHUTTING_DOWN, "the server is stopping; ask again");
        end_watch(wait);
        http_request_respond_error(wait->request, &error);
    }
}

const struct http_part http_wait_part = {.stop = stop};
