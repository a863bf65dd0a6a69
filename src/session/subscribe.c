/*
 * Sessions of subscribers: text messages to the hub, ready frames from it. A connection may speak
 * both versions of the protocol: each message says of which it is. Or it is the answer to a
 * request, a stream of events.
 */
#include "delivery/hub.h"
#include "net/net.h"
#include "session/frontend.h"
#include "session/named.h"
#include "session/session.h"
#include "usage/usage.h"
#include "wire/event_stream.h"
#include "wire/wire.h"

struct subscriber_session {
    struct session session;
    int version;                   /* the newest that its client spoke */
    struct subscriber *subscriber; /* of version 1, */
    struct named_set *named;       /* ... and of version 2; NULL before there is need of it */
    bool from_named;               /* the last pull was of those */
    struct usage_client *usage;    /* NULL: usage is not told */
};

static struct subscriber *subscriber_of(const struct session *session)
{
    return ((const struct subscriber_session *)session)->subscriber;
}

static struct subscriber_session *it_of(struct session *session)
{
    return (struct subscriber_session *)session;
}

/* ---- both versions on one connection ---- */

/* They send in turns, and a message is sent whole. */
static struct span pull_either(void *supply)
{
    struct subscriber_session *it = supply;
    bool named_first = it->session.mid_message ? it->from_named : !it->from_named;
    for (int i = 0; i < 2; i++) {
        it->from_named = named_first == (i == 0);
        struct span bytes =
            it->from_named ? named_supply.pull(it->named) : subscriber_pull(it->subscriber);
        if (bytes.length || named_supply.state(it->named).is_broken)
            return bytes;
    }
    return span_make(NULL, 0);
}

/* Of one version, while the other has nothing. */
static size_t show_named(void *supply, struct span *pieces, size_t most)
{
    const struct subscriber_session *it = supply;
    return subscriber_state(it->subscriber).is_idle ? named_supply.show(it->named, pieces, most)
                                                    : 0;
}

static struct supply_taken took_named(void *supply, size_t length, bool all)
{
    struct subscriber_session *it = supply;
    it->from_named = true;
    return named_supply.took(it->named, length, all);
}

static bool is_counted(const void *supply, size_t length, struct wire_run *run)
{
    const struct subscriber_session *it = supply;
    return it->from_named ? named_supply.counted(it->named, length, run)
                          : subscriber_supply.counted(it->subscriber, length, run);
}

static void on_sent(void *supply, size_t length, const struct wire_run *run)
{
    struct subscriber_session *it = supply;
    if (it->from_named)
        named_supply.sent(it->named, length, run);
    else
        subscriber_supply.sent(it->subscriber, length, run);
}

static struct supply_state state_of_both(const void *supply)
{
    const struct subscriber_session *it = supply;
    struct supply_state state = subscriber_state(it->subscriber);
    struct supply_state named = named_supply.state(it->named);
    state.subscriptions += named.subscriptions;
    state.is_broken |= named.is_broken;
    state.is_congested |= named.is_congested;
    return state;
}

static void silence_both(void *supply)
{
    struct subscriber_session *it = supply;
    subscriber_supply.silence(it->subscriber);
    named_supply.silence(it->named);
}

static void drop_both(void *supply)
{
    struct subscriber_session *it = supply;
    subscriber_supply.drop(it->subscriber);
    named_supply.drop(it->named);
}

static const struct supply_ops both = {
    .pull = pull_either,
    .show = show_named,
    .took = took_named,
    .counted = is_counted,
    .sent = on_sent,
    .state = state_of_both,
    .silence = silence_both,
    .drop = drop_both,
};

/* ---- messages ---- */

static void on_refresh(void *argument, const char *token)
{
    struct session *session = argument;
    char answer[SESSION_ANSWER];
    if (session->state != SESSION_OPEN)
        return;
    struct auth_identity *identity = session_refresh(session, token, answer);
    subscriber_tell(subscriber_of(session), span_of(answer));
    if (identity)
        session_become(session, identity);
}

/* Of a client that speaks version 2; NULL when out of memory. */
static struct named_set *named_of(struct subscriber_session *it)
{
    it->version = 2;
    if (it->named)
        return it->named;
    it->named = named_set_new(&it->session, it->usage);
    if (it->named) {
        it->session.supply = &both;
        it->session.supplies = it;
    }
    return it->named;
}

/* A message of version 2, or one that cannot be read from who speaks it. */
static void on_v2(struct session *session, struct wire_message *message, const struct error *wrong)
{
    struct subscriber_session *it = it_of(session);
    if (!named_of(it))
        session_give_up(session, "out-of-memory: connect again");
    else if (!wrong && message->type == WIRE_REFRESH_AUTH)
        on_refresh(session, message->token);
    else
        named_set_message(it->named, message, wrong,
                          subscriber_state(it->subscriber).subscriptions);
}

static void on_message(struct session *session, struct span text)
{
    struct wire_message message;
    struct error error = {.code = ERROR_NONE};
    const struct error *wrong = wire_message_read(text, &message, &error) ? NULL : &error;
    if (message.version == 2 || (wrong && it_of(session)->version == 2))
        on_v2(session, &message, wrong);
    else
        subscriber_handle(subscriber_of(session), &message, wrong);
    wire_message_fini(&message);
}

static void on_tell(struct session *session, struct span text)
{
    subscriber_tell(subscriber_of(session), text);
}

static void on_refuse(struct session *session, const struct error *error, bool fatal)
{
    if (it_of(session)->version == 2 && named_of(it_of(session)))
        named_set_refuse(it_of(session)->named, error, fatal);
    else
        subscriber_error(subscriber_of(session), error, NULL, fatal);
}

static void on_became(struct session *session)
{
    struct named_set *named = it_of(session)->named;
    subscriber_set_owner(subscriber_of(session), session->owner);
    if (!subscriber_set_identity(subscriber_of(session), session->principal.identity) ||
        (named && !named_set_became(named)))
        session_give_up(session, "out-of-memory: connect again");
}

static void on_denied(void *argument, const struct error *error)
{
    session_denied(argument, error);
}

static void on_behind(void *argument, const struct error *error)
{
    session_send_away(argument, error);
}

static size_t count(const struct session *session)
{
    const struct subscriber_session *it = (const struct subscriber_session *)session;
    return it->named ? state_of_both(it).subscriptions
                     : subscriber_state(it->subscriber).subscriptions;
}

static void describe(const struct session *session, size_t most, subscription_each each,
                     void *argument)
{
    const struct subscriber_session *it = (const struct subscriber_session *)session;
    size_t unnamed = subscriber_describe(it->subscriber, span_make(NULL, 0), most, each, argument);
    if (it->named)
        named_set_describe(it->named, most - unnamed, each, argument);
}

static const char *protocol_of(const struct session *session)
{
    return ((const struct subscriber_session *)session)->version == 2 ? "2" : "1";
}

/* The connection is gone. */
static void fini(struct subscriber_session *it)
{
    size_t subscriptions = count(&it->session);
    named_set_free(it->named);
    subscriber_free(it->subscriber);
    if (it->usage)
        usage_client_free(it->usage, subscriptions);
}

static void on_closed(struct session *session)
{
    struct subscriber_session *it = (struct subscriber_session *)session;
    fini(it);
    memory_free(it);
}

const struct session_kind session_subscriber = {
    .name = "subscriber",
    .carrier = &session_websocket,
    .protocol = protocol_of,
    .subscriptions = count,
    .describe = describe,
    .message = on_message,
    .tell = on_tell,
    .refuse = on_refuse,
    .became = on_became,
    .closed = on_closed,
};

/* Zeroed before. The principal is moved, unless false: out of memory, and nothing is held. */
static bool init(struct subscriber_session *it, struct frontend *frontend,
                 struct net_connection *connection, struct principal *principal,
                 const struct session_kind *kind)
{
    if (frontend->usage)
        it->usage = usage_client_new(frontend->usage, principal->identity, principal->address);
    struct subscriber_options options = {.wake = session_want_write,
                                         .refresh = on_refresh,
                                         .denied = on_denied,
                                         .behind = on_behind,
                                         .argument = it,
                                         .usage = it->usage,
                                         .allowance = &it->session.allowance};
    it->subscriber = subscriber_new(frontend->hub, &options);
    if (!it->subscriber || (frontend->usage && !it->usage) ||
        !subscriber_set_identity(it->subscriber, principal->identity)) {
        subscriber_free(it->subscriber);
        if (it->usage)
            usage_client_free(it->usage, 0);
        return false;
    }
    session_init(&it->session, frontend, connection, kind, principal);
    session_expect(&it->session, frontend->max_message_bytes);
    subscriber_set_owner(it->subscriber, it->session.owner);
    return true;
}

struct session *session_subscriber_new(struct frontend *frontend, struct net_connection *connection,
                                       struct principal *principal, int version)
{
    struct subscriber_session *it = memory_new(sizeof *it);
    if (!it)
        return NULL;
    it->version = version;
    if (!init(it, frontend, connection, principal, &session_subscriber)) {
        memory_free(it);
        return NULL;
    }
    it->session.supply = &subscriber_supply;
    it->session.supplies = it->subscriber;
    return &it->session;
}

/*
 * ---- streams of events ----
 *
 * Subscriptions by HTTP alone: the answer to a request lasts, and tells what a WebSocket would be
 * told as server-sent events. The client says nothing more, so what its socket takes is the sign
 * that it lives.
 */

enum { NORMAL = 1000 };

static const char life_sign[] = ":\n\n";

struct stream_session {
    struct subscriber_session base;
    struct wire_events *events;
    size_t pulled;        /* bytes of frames that are being told, */
    struct wire_run told; /* ... and the events of them so far */
};

static struct stream_session *stream_of(struct session *session)
{
    return (struct stream_session *)session;
}

/* ---- a stream on its connection ---- */

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

static const struct session_carrier event_carrier = {
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
    struct stream_session *it = stream_of(session);
    struct span frames = subscriber_pull(it->base.subscriber);
    it->pulled = frames.length;
    it->told = (struct wire_run){.messages = 0};
    if (!frames.length && session->state == SESSION_OPEN &&
        !subscriber_state(it->base.subscriber).subscriptions)
        session_close(session, NORMAL, "the subscription has ended");
    return wire_events_take(it->events, frames);
}

static struct span pull_events(void *supply)
{
    struct session *session = supply;
    struct stream_session *it = stream_of(session);
    struct span bytes;
    if (!wire_events_wait(it->events) && !take_frames(session))
        return give_up(session);
    return wire_events_next(it->events, &bytes) ? bytes : give_up(session);
}

static void on_events_sent(void *supply, size_t length, const struct wire_run *run)
{
    struct session *session = supply;
    struct stream_session *it = stream_of(session);
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
static struct supply_state state_of_events(const void *supply)
{
    const struct stream_session *it = supply;
    struct supply_state state = subscriber_state(it->base.subscriber);
    state.rests &= !wire_events_wait(it->events);
    return state;
}

static void silence_events(void *supply)
{
    subscriber_supply.silence(((struct stream_session *)supply)->base.subscriber);
}

static void drop_events(void *supply)
{
    struct stream_session *it = supply;
    wire_events_drop(it->events);
    it->pulled = 0;
    subscriber_supply.drop(it->base.subscriber);
}

static const struct supply_ops events_supply = {
    .pull = pull_events,
    .sent = on_events_sent,
    .state = state_of_events,
    .silence = silence_events,
    .drop = drop_events,
};

/* ---- the kind of streams ---- */

static void on_stream_closed(struct session *session)
{
    struct stream_session *it = stream_of(session);
    fini(&it->base);
    wire_events_free(it->events);
    memory_free(it);
}

static const char *stream_protocol(const struct session *session)
{
    (void)session;
    return "events";
}

const struct session_kind session_stream = {
    .name = "stream",
    .carrier = &event_carrier,
    .protocol = stream_protocol,
    .subscriptions = count,
    .describe = describe,
    .refuse = on_refuse,
    .supply = &events_supply,
    .became = on_became,
    .closed = on_stream_closed,
};

struct session *session_stream_new(struct frontend *frontend, struct net_connection *connection,
                                   struct principal *principal, const struct wire_message *message,
                                   struct error *error)
{
    struct stream_session *it = memory_new(sizeof *it);
    struct session *session = it ? &it->base.session : NULL;
    if (it)
        it->events = wire_events_new();
    if (!it || !it->events || !init(&it->base, frontend, connection, principal, &session_stream)) {
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
