#include "session/session.h"

#include "net/net.h"
#include "session/frontend.h"
#include "wire/wire.h"

bool session_has_expired(const struct session *session)
{
    int64_t at = session->principal.identity->expires_at;
    return at && clock_wall_ms() / 1000 >= at;
}

static void forget_end(struct session *session)
{
    struct sessions *sessions = &session->frontend->sessions;
    bool is_open = session->state == SESSION_OPEN;
    heap_remove(is_open ? &sessions->expiring : &sessions->closing, &session->ends);
}

void session_watch_expiry(struct session *session)
{
    int64_t at = session->principal.identity->expires_at;
    if (session->state != SESSION_OPEN)
        return; /* its end is near already */
    forget_end(session);
    if (!at)
        return;
    heap_add(&session->frontend->sessions.expiring, &session->ends, at);
    session->frontend->due(session->frontend->argument);
}

/* Of an open or closing session: cut it off unless it has gone by itself in that time. */
static void watch_closing(struct session *session, int seconds)
{
    struct frontend *frontend = session->frontend;
    INVARIANT(session->state == SESSION_PARTING || session->state == SESSION_CLOSING);
    forget_end(session);
    heap_add(&frontend->sessions.closing, &session->ends,
             (int64_t)frontend_now(frontend) + (int64_t)seconds * 1000);
}

enum {
    REST_MS = 50,    /* three pictures of a screen; docs/benchmarks.md, "First paint" */
    LAST_PULLS = 64, /* what a parting client still gets, in pulls of WIRE_FRAGMENT */
    WRITES_PER_TURN =
        NET_PIECES,      /* pulls that one turn of the loop writes for a session, at most */
    PARTING_SECONDS = 5, /* and how long that may take */
    ANSWER_SECONDS = 2,  /* for a client to answer the close frame */
    POLICY_VIOLATION = 1008,
    UNEXPECTED = 1011,
    TRY_AGAIN_LATER = 1013
};

/* ---- its signs of life, and pauses ---- */

void session_note_told(struct session *session)
{
    session->told_ms = frontend_now(session->frontend);
    link_remove(&session->in_told);
    link_append(&session->frontend->sessions.told, &session->in_told);
}

static void resume(struct session *session)
{
    session->paused = false;
    link_remove(&session->in_paused);
    net_pause(session_connection(session), false);
}

void session_try_resume(struct session *session)
{
    const struct session_kind *kind = session->kind;
    if (kind->may_resume ? kind->may_resume(session) : !session_is_full(session))
        resume(session);
}

/* ---- one session ---- */

void session_init(struct session *session, struct frontend *frontend,
                  struct net_connection *connection, const struct session_kind *kind,
                  struct principal *principal)
{
    session->frontend = frontend;
    session->connection = connection;
    session->kind = kind;
    session->supply = kind->supply;
    session->supplies = session;
    principal_move(&session->principal, principal);
    session->allowance = (struct allowance){.limits = access_shown(frontend->access)->limits,
                                            .principal = &session->principal,
                                            .kind = kind->name};
    session->state = SESSION_OPEN;
    session->heard_ms = session->started_ms = frontend_now(frontend);
    session->since_ms = clock_wall_ms();
    if (!session->principal.session) /* else it has one since it was accepted, or was a newcomer */
        session->principal.session = roster_number(&frontend->sessions.all);
    roster_add(&frontend->sessions.all, &session->in_all, session->principal.session);
    link_init(&session->in_paused);
    link_init(&session->in_resting);
    link_init(&session->in_heard);
    link_append(&frontend->sessions.heard, &session->in_heard);
    link_init(&session->in_told);
    session_note_told(session);
    frontend->sessions.count++;
    session_watch_expiry(session);
    if (kind != &session_newcomer) /* it becomes one of another kind, which counts */
        counter_add(&frontend->counters.connections, 1);
}

struct net_connection *session_connection(const struct session *session)
{
    INVARIANT(session->connection && session->state != SESSION_GONE);
    return session->connection;
}

/* The one place where the state changes. */
static void session_set_state(struct session *session, enum session_state state)
{
    INVARIANT(state > session->state);
    session->state = (uint8_t)state;
}

void session_want_write(void *argument)
{
    struct session *session = argument;
    INVARIANT(session->state != SESSION_GONE);
    if (session->wants_write)
        return;
    session->wants_write = true;
    net_want_write(session_connection(session));
}

void session_pause(struct session *session)
{
    INVARIANT(session->state != SESSION_GONE);
    if (session->paused || session->state != SESSION_OPEN)
        return;
    session->paused = true;
    link_append(&session->frontend->sessions.paused, &session->in_paused);
    net_pause(session_connection(session), true);
}

static struct supply_state supply_state(const struct session *session)
{
    const struct supply_ops *supply = session->supply;
    return supply->state ? supply->state(session->supplies) : (struct supply_state){0};
}

bool session_is_full(const struct session *session)
{
    const struct session_kind *kind = session->kind;
    return kind->is_full ? kind->is_full(session) : supply_state(session).is_congested;
}

void session_close(struct session *session, uint16_t status, const char *reason)
{
    INVARIANT(session->state != SESSION_GONE);
    if (session->state != SESSION_OPEN)
        return;
    forget_end(session);
    session_set_state(session, SESSION_PARTING);
    session->close_status = status;
    session->close_reason = memory_copy_string(reason, strlen(reason));
    session->ping_due = false;
    if (session->paused)
        resume(session); /* or the close frame that answers ours would not be read */
    watch_closing(session, PARTING_SECONDS);
    session_want_write(session);
}

void session_end(struct session *session, const struct error *error)
{
    char reason[WIRE_CLOSE_REASON + 1];
    INVARIANT(session->state != SESSION_GONE);
    if (session->state != SESSION_OPEN)
        return;
    struct audit_client client = {.principal = &session->principal, .kind = session->kind->name};
    audit_write(access_shown(session->frontend->access)->audit, AUDIT_SESSION_ENDED,
                &(struct audit_details){.client = &client, .error = error});
    if (session->supply->silence)
        session->supply->silence(session->supplies);
    session->kind->refuse(session, error, true);
    wire_close_reason(reason, error);
    session_close(session, POLICY_VIOLATION, reason);
}

void session_send_away(struct session *session, const struct error *error)
{
    char reason[WIRE_CLOSE_REASON + 1];
    wire_close_reason(reason, error);
    session_close(session, TRY_AGAIN_LATER, reason);
}

void session_give_up(struct session *session, const char *reason)
{
    counter_add(&session->frontend->counters.errors, 1);
    session_close(session, UNEXPECTED, reason);
}

void session_heard(struct session *session)
{
    INVARIANT(session->state != SESSION_GONE);
    session->heard_ms = frontend_now(session->frontend);
    session->pinged = false;
    link_remove(&session->in_heard);
    link_append(&session->frontend->sessions.heard, &session->in_heard);
}

/* ---- all sessions ---- */

void sessions_close_all(struct sessions *sessions, uint16_t status, const char *reason)
{
    for (struct link *link = sessions->heard.next; link != &sessions->heard; link = link->next)
        session_close(LINK_OWNER(struct session, in_heard, link), status, reason);
}

void sessions_pause_all(struct sessions *sessions, const struct session_kind *kind)
{
    for (struct link *link = sessions->heard.next; link != &sessions->heard; link = link->next) {
        struct session *session = LINK_OWNER(struct session, in_heard, link);
        if (session->kind == kind)
            session_pause(session);
    }
}

/* ---- what goes out ---- */

static void write_ping(struct session *session)
{
    session->ping_due = false;
    session_want_write(session);
    if (!session->mid_message || session->kind->carrier->between)
        session->kind->carrier->ping(session);
    session_note_told(session);
}

static struct wire_run measure(const struct session *session, struct span bytes)
{
    struct wire_run run;
    const struct supply_ops *supply = session->supply;
    if (supply->counted && supply->counted(session->supplies, bytes.length, &run))
        return run;
    return session->kind->carrier->measure(bytes);
}

/* One write carries as many ready frames as there are, the same bytes for every client. The part
 * that the socket does not take is copied and sent later, before we are called again. */
static bool write_once(struct session *session, struct span bytes)
{
    struct wire_run run = measure(session, bytes);
    struct net_connection *connection = session_connection(session);
    session->mid_message = run.unfinished;
    counter_add(&session->frontend->counters.messages_out, run.messages);
    if (!net_write(connection, bytes))
        return false;
    session->sent_bytes += bytes.length;
    if (session->supply->sent)
        session->supply->sent(session->supplies, bytes.length, &run);
    session->blocked = net_state(connection).is_blocked;
    session_note_told(session);
    return true;
}

/* Whether nothing is to be sent to it now: for REST_MS from the first call on, once. Then it is
 * asked to write. */
static bool rests(struct session *session)
{
    uint64_t now = frontend_now(session->frontend);
    if (session->state != SESSION_OPEN)
        return false;
    if (!session->rests_until_ms) {
        session->rests_until_ms = now + REST_MS;
        link_append(&session->frontend->sessions.resting, &session->in_resting);
        session->frontend->due(session->frontend->argument);
    }
    if (now < session->rests_until_ms)
        return true;
    session->rests_until_ms = 0;
    link_remove(&session->in_resting);
    return false;
}

/* The next bytes of its supply. A client must not wait for an answer that will never come. */
static struct span pull(struct session *session)
{
    struct supply_state state = supply_state(session);
    if (state.rests && rests(session))
        return span_make(NULL, 0);
    if (!state.is_broken) {
        struct span bytes = session->supply->pull(session->supplies);
        if (!supply_state(session).is_broken)
            return bytes;
    }
    session_give_up(session, "out-of-memory: an answer was lost; connect again");
    return span_make(NULL, 0);
}

/* Waiting bytes are dropped, and the client is told why; but not in the middle of a message,
 * where only the close frame may stand. */
static struct span end_overdrawn(struct session *session)
{
    struct error error;
    allowance_overdrawn(&session->allowance, &error);
    session->supply->drop(session->supplies);
    session_end(session, &error);
    if (session->mid_message)
        session->supply->drop(session->supplies);
    return pull(session);
}

/* The next bytes, as far as they may be sent. Bytes that do not fit are not sent at all, and end
 * the connection, though there may be room for them in a moment. */
static struct span pull_allowed(struct session *session)
{
    bool limited = session->supply->drop && session->state == SESSION_OPEN;
    if (limited && session->overdrawn)
        return end_overdrawn(session);
    struct span bytes = pull(session);
    if (!bytes.length || !limited || session->state != SESSION_OPEN)
        return bytes;
    size_t room = allowance_send(&session->allowance, bytes.length);
    if (room == bytes.length)
        return bytes;
    session->overdrawn = true;
    bytes = session->kind->carrier->within(bytes, room);
    if (!bytes.length)
        return end_overdrawn(session);
    allowance_send(&session->allowance, bytes.length);
    return bytes;
}

/* Several writes while the socket takes all of each: a turn of the loop costs more than a write. */
static void write_frames(struct session *session, struct span bytes)
{
    for (int i = 0; bytes.length; i++) {
        if (!write_once(session, bytes))
            return;
        if (session->blocked || i + 1 == WRITES_PER_TURN || session->ping_due ||
            session->state != SESSION_OPEN)
            break;
        bytes = pull_allowed(session);
    }
    session_want_write(session);
}

/* What lies ready goes out by one write, as far as the socket takes it. false: there is none. */
static bool write_shown(struct session *session)
{
    const struct supply_ops *supply = session->supply;
    struct net_connection *connection = session_connection(session);
    struct span pieces[WRITES_PER_TURN];
    size_t length = 0, taken;
    if (!supply->show || session->state != SESSION_OPEN || session->mid_message ||
        allowance_limits_bytes(&session->allowance))
        return false;
    size_t count = supply->show(session->supplies, pieces, WRITES_PER_TURN);
    for (size_t i = 0; i < count; i++)
        length += pieces[i].length;
    if (!count || !net_write_pieces(connection, pieces, count, &taken))
        return count > 0;
    struct supply_taken it = supply->took(session->supplies, taken, taken == length);
    counter_add(&session->frontend->counters.messages_out, it.run.messages);
    session->sent_bytes += taken + it.rest.length;
    session_note_told(session);
    if (it.rest.length && !net_write(connection, it.rest))
        return true;
    session->blocked = net_state(connection).is_blocked;
    if (it.more || session->blocked || session->paused)
        session_want_write(session);
    return true;
}

static void write_close(struct session *session)
{
    struct net_connection *connection = session_connection(session);
    struct span reason = span_of(session->close_reason ? session->close_reason : "");
    session_set_state(session, SESSION_CLOSING);
    session->kind->carrier->close(session, session->close_status, reason);
    if (!net_state(connection).is_blocked)
        watch_closing(session, ANSWER_SECONDS);
}

static void write_more(struct session *session)
{
    bool last = session->state == SESSION_PARTING && session->last_pulls++ >= LAST_PULLS;
    struct span bytes = last ? span_make("", 0) : pull_allowed(session);
    if (bytes.length) {
        write_frames(session, bytes);
        return;
    }
    bool settled = !session->kind->settled || session->kind->settled(session);
    if (session->state == SESSION_PARTING && (last || settled))
        write_close(session);
    else if (session->paused)
        session_try_resume(session);
}

void session_writable(void *argument)
{
    struct session *session = argument;
    session->wants_write = false;
    if (session->blocked) {
        /* The client's side has taken bytes, so it lives, however slowly it reads. */
        session->blocked = false;
        session_heard(session);
    }
    if (session->state == SESSION_CLOSING)
        return;
    if (session->ping_due)
        write_ping(session);
    else if (session->state != SESSION_OPEN ||
             (!session_has_expired(session) && !write_shown(session)))
        write_more(session);
}

void session_closed(struct session *session)
{
    struct frontend *frontend = session->frontend;
    uint64_t duration_ms = frontend_now(frontend) - session->started_ms;
    if (session->kind != &session_newcomer)
        histogram_add(&frontend->counters.connection_duration, duration_ms * 1000);
    roster_remove(&session->in_all);
    link_remove(&session->in_heard);
    link_remove(&session->in_told);
    link_remove(&session->in_paused);
    link_remove(&session->in_resting);
    forget_end(session);
    frontend->sessions.count--;
    intake_end(&session->incoming);
    session_set_state(session, SESSION_GONE);
    memory_free(session->close_reason);
    session->close_reason = NULL;
    session->connection = NULL;
    principal_fini(&session->principal);
    session->kind->closed(session);
    frontend->ended(frontend->argument);
}
