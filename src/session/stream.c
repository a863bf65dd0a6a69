/*
 * Subscriptions by HTTP alone: the answer to a request lasts, and tells what a WebSocket would be
 * told as server-sent events. The client says nothing more, so what its socket takes is the sign
 * that it lives.
 */
#include "delivery/hub.h"
#include "net/net.h"
#include "session/frontend.h"
#include "session/subscribe.h"
#include "wire/event_stream.h"

enum { NORMAL = 1000 };

static const char life_sign[] = ":\n\n";

struct stream_session {
    struct subscriber_session base;
    struct wire_events *events;
    size_t pulled;        /* bytes of frames that are being told, */
    struct wire_run told; /* ... and the events of them so far */
};

static struct stream_session *of_session(struct session *session)
{
    return (struct stream_session *)session;
}

/* ---- the connection ---- */

static void note_alive(struct session *session)
{
    if (!net_state(session_connection(session)).is_blocked)
        session_heard(session);
}

static void write_life_sign(struct session *session)
{
    if (net_write(session_connection(session), span_of(life_sign)))
        note_alive(session);
}

static void write_end(struct session *session, uint16_t status, struct span reason)
{
    struct net_connection *connection = session_connection(session);
    struct buffer event;
    buffer_init(&event, UINT16_MAX);
    if (!session->mid_message && wire_events_end(&event, status, reason))
        net_write(connection, buffer_span(&event));
    buffer_fini(&event);
    net_part(connection);
}

static const struct session_carrier carrier = {
    .measure = wire_events_measure,
    .within = wire_events_within,
    .ping = write_life_sign,
    .close = write_end,
};

/* ---- its events ---- */

static struct span give_up(struct session *session)
{
    session_give_up(session, "out-of-memory: an event was lost; connect again");
    return span_make(NULL, 0);
}

static bool take_frames(struct session *session)
{
    struct stream_session *it = of_session(session);
    struct span frames = subscriber_pull(it->base.subscriber);
    it->pulled = frames.length;
    it->told = (struct wire_run){.messages = 0};
    if (!frames.length && session->state == SESSION_OPEN &&
        !subscriber_state(it->base.subscriber).subscriptions)
        session_close(session, NORMAL, "the subscription has ended");
    return wire_events_take(it->events, frames);
}

static struct span on_pull(void *supply)
{
    struct session *session = supply;
    struct stream_session *it = of_session(session);
    struct span bytes;
    if (!wire_events_wait(it->events) && !take_frames(session))
        return give_up(session);
    return wire_events_next(it->events, &bytes) ? bytes : give_up(session);
}

static void on_sent(void *supply, size_t length, const struct wire_run *run)
{
    struct session *session = supply;
    struct stream_session *it = of_session(session);
    (void)length;
    it->told.messages += run->messages;
    it->told.payload += run->payload;
    note_alive(session);
    if (wire_events_wait(it->events))
        return;
    subscriber_supply.sent(it->base.subscriber, it->pulled, &it->told);
    it->pulled = 0;
}

/* Events that are being told do not wait for those that may rest. */
static struct supply_state state_of(const void *supply)
{
    const struct stream_session *it = supply;
    struct supply_state state = subscriber_state(it->base.subscriber);
    state.rests &= !wire_events_wait(it->events);
    return state;
}

static void on_silence(void *supply)
{
    subscriber_supply.silence(((struct stream_session *)supply)->base.subscriber);
}

static void on_drop(void *supply)
{
    struct stream_session *it = supply;
    wire_events_drop(it->events);
    it->pulled = 0;
    subscriber_supply.drop(it->base.subscriber);
}

static const struct supply_ops events_supply = {
    .pull = on_pull,
    .sent = on_sent,
    .state = state_of,
    .silence = on_silence,
    .drop = on_drop,
};

/* ---- the kind ---- */

static void on_closed(struct session *session)
{
    struct stream_session *it = of_session(session);
    subscriber_session_fini(&it->base);
    wire_events_free(it->events);
    memory_free(it);
}

static const char *protocol_of(const struct session *session)
{
    (void)session;
    return "events";
}

const struct session_kind session_stream = {
    .name = "stream",
    .carrier = &carrier,
    .protocol = protocol_of,
    .subscriptions = subscriber_session_count,
    .describe = subscriber_session_describe,
    .refuse = subscriber_session_refuse,
    .supply = &events_supply,
    .became = subscriber_session_became,
    .closed = on_closed,
};

struct session *session_stream_new(struct frontend *frontend, struct net_connection *connection,
                                   struct principal *principal, const struct wire_message *message,
                                   struct error *error)
{
    struct stream_session *it = memory_new(sizeof *it);
    struct session *session = it ? &it->base.session : NULL;
    if (it)
        it->events = wire_events_new();
    if (!it || !it->events ||
        !subscriber_session_init(&it->base, frontend, connection, principal, &session_stream)) {
        if (it)
            wire_events_free(it->events);
        memory_free(it);
        principal_fini(principal);
        error_set(error, ERROR_MEMORY, "out of memory for a stream of events");
        return NULL;
    }
    if (!subscriber_take(it->base.subscriber, message, error)) {
        session_closed(session);
        return NULL;
    }
    access_entered(frontend->access, connection, &session->principal, PERMISSION_STREAM);
    return session;
}
