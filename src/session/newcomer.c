/*
 * Sessions of clients that have not said who they are: the first message must do so, within a few
 * seconds. Then a session of another kind takes the connection over; the transport hands it on, so
 * that no session dies within its own call. A client that is refused is told why by a message,
 * which a page can read, and then by the close frame.
 *
 * What strangers can take is bounded: a short message each, so many of them at one address (limits)
 * and in all, where the one that waits longest gives way.
 */
#include "net/net.h"
#include "session/frontend.h"
#include "wire/wire.h"

enum {
    MOST_WAITING = 1024,
    WAIT_MS = 5 * 1000,
    LONGEST_MESSAGE = 2 * AUTH_MAX_TOKEN_BYTES, /* a token whose characters may be escaped */
    POLICY_VIOLATION = 1008
};

struct newcomer {
    struct session session;
    struct link in_waiting;
    enum permission permission;
    char *origin;
    struct buffer answer;
    int version; /* of its messages */
    bool pulled; /* all of it was given to be sent */
};

static struct newcomer *newcomer_of(const struct session *session)
{
    return (struct newcomer *)session;
}

static struct newcomers *all_of(const struct newcomer *newcomer)
{
    return &newcomer->session.frontend->sessions.newcomers;
}

static void stop_waiting(struct newcomer *newcomer)
{
    if (link_alone(&newcomer->in_waiting))
        return;
    link_remove(&newcomer->in_waiting);
    all_of(newcomer)->count--;
}

/* ---- refusing ---- */

static void print_nack(struct newcomer *newcomer, const struct error *error)
{
    struct buffer text;
    buffer_init(&text, 4096);
    if (ingest_reply_print(&text, INGEST_MESSAGE, &(struct ingest_reply){.error = *error}))
        wire_text(&newcomer->answer, buffer_span(&text));
    buffer_fini(&text);
}

/* In the form that the kind has which it would have become. */
static void print_refusal(struct newcomer *newcomer, const struct error *error)
{
    const struct wire_problem problem = {.refusal = WIRE_REFUSED_MESSAGE,
                                         .error = error,
                                         .fatal = true,
                                         .retry_after = error_retry_after(error)};
    if (newcomer->permission == PERMISSION_FEED)
        print_nack(newcomer, error);
    else if (newcomer->version == 2)
        wire_problem_message(&newcomer->answer, span_make(NULL, 0), &problem);
    else
        wire_error(&newcomer->answer, error, NULL, true, problem.retry_after);
}

/* A refused client does not wait any more, whatever becomes of the close frame. */
static void on_refuse(struct session *session, const struct error *error, bool fatal)
{
    struct newcomer *newcomer = newcomer_of(session);
    char reason[WIRE_CLOSE_REASON + 1];
    counter_add(&session->frontend->counters.connections_refused, 1);
    stop_waiting(newcomer);
    print_refusal(newcomer, error);
    session_want_write(session);
    if (fatal)
        return; /* who says so closes it */
    wire_close_reason(reason, error);
    session_close(session, POLICY_VIOLATION, reason);
}

static void turn_away(struct newcomer *newcomer, struct error *error)
{
    struct session *session = &newcomer->session;
    access_turn_away(session->frontend->access, &session->principal, newcomer->origin,
                     newcomer->permission, error);
    on_refuse(session, error, false);
}

/* ---- letting in ---- */

static struct session *make_successor(const struct newcomer *newcomer, struct principal *principal)
{
    struct frontend *frontend = newcomer->session.frontend;
    struct net_connection *connection = session_connection(&newcomer->session);
    bool feeds = newcomer->permission == PERMISSION_FEED;
    net_set_limit(connection, feeds ? frontend->max_request_bytes : frontend->max_message_bytes);
    return feeds ? session_ingest_new(frontend, connection, principal)
                 : session_subscriber_new(frontend, connection, principal, newcomer->version);
}

static void let_in(struct newcomer *newcomer, struct principal *principal)
{
    char answer[SESSION_ANSWER];
    session_print_welcome(principal->identity, answer);
    newcomer->session.successor = make_successor(newcomer, principal);
    principal_fini(principal); /* unless it was moved */
    if (!newcomer->session.successor) {
        session_give_up(&newcomer->session, "out-of-memory: connect again");
        return;
    }
    stop_waiting(newcomer);
    newcomer->session.successor->kind->tell(newcomer->session.successor, span_of(answer));
}

static void on_message(struct session *session, struct span text)
{
    struct newcomer *newcomer = newcomer_of(session);
    struct frontend *frontend = session->frontend;
    struct principal principal;
    struct error error;
    char *token = wire_auth_read(text, &newcomer->version, &error);
    if (!frontend->running) {
        error_set(&error, ERROR_SHUTTING_DOWN, "the server is stopping");
        on_refuse(session, &error, false);
    } else if (!token) {
        turn_away(newcomer, &error);
    } else if (access_admit(frontend->access, &session->principal, newcomer->origin,
                            newcomer->permission, span_of(token), &principal, &error)) {
        let_in(newcomer, &principal);
    } else {
        on_refuse(session, &error, false);
    }
    memory_free(token);
}

/* ---- waiting ---- */

static struct newcomer *first_of(const struct newcomers *newcomers)
{
    return link_alone(&newcomers->waiting)
               ? NULL
               : LINK_OWNER(struct newcomer, in_waiting, newcomers->waiting.next);
}

void newcomers_tick(struct newcomers *newcomers, uint64_t now_ms)
{
    struct newcomer *first;
    struct error error;
    while ((first = first_of(newcomers)) && now_ms - first->session.started_ms >= WAIT_MS) {
        error_set(&error, ERROR_TOKEN_MISSING, "no token came within %d seconds", WAIT_MS / 1000);
        turn_away(first, &error);
    }
}

/* The one that waits longest is the least likely to be a client that means it. */
static void make_room(struct newcomers *newcomers)
{
    struct error error;
    if (newcomers->count < MOST_WAITING)
        return;
    error_set(&error, ERROR_CONNECTION_LIMIT,
              "%d connections have not said who they are, and this one for longest", MOST_WAITING);
    on_refuse(&first_of(newcomers)->session, &error, false);
}

/* ---- the rest of a session ---- */

static struct span on_pull(void *supply)
{
    struct newcomer *newcomer = supply;
    if (newcomer->pulled)
        buffer_clear(&newcomer->answer);
    newcomer->pulled = true;
    return buffer_span(&newcomer->answer);
}

static void on_became(struct session *session)
{
    (void)session; /* nobody's identity never changes */
}

static void on_closed(struct session *session)
{
    struct newcomer *newcomer = newcomer_of(session);
    stop_waiting(newcomer);
    buffer_fini(&newcomer->answer);
    memory_free(newcomer->origin);
    memory_free(newcomer);
}

static const char *protocol_of(const struct session *session)
{
    (void)session;
    return "none";
}

static const struct supply_ops answer = {.pull = on_pull};

const struct session_kind session_newcomer = {
    .name = "newcomer",
    .carrier = &session_websocket,
    .protocol = protocol_of,
    .message = on_message,
    .refuse = on_refuse,
    .became = on_became,
    .supply = &answer,
    .closed = on_closed,
};

struct session *session_newcomer_new(struct frontend *frontend, struct net_connection *connection,
                                     struct principal *principal, const char *origin,
                                     enum permission permission)
{
    struct newcomer *newcomer = memory_new(sizeof *newcomer);
    char *copy = memory_copy_string(origin, strlen(origin));
    if (!newcomer || !copy) {
        memory_free(newcomer);
        memory_free(copy);
        return NULL;
    }
    newcomer->origin = copy;
    newcomer->permission = permission;
    newcomer->version = 1;
    buffer_init(&newcomer->answer, 8192);
    session_init(&newcomer->session, frontend, connection, &session_newcomer, principal);
    session_expect(&newcomer->session, LONGEST_MESSAGE);
    net_set_limit(connection, LONGEST_MESSAGE);
    make_room(&frontend->sessions.newcomers);
    link_init(&newcomer->in_waiting);
    link_append(&frontend->sessions.newcomers.waiting, &newcomer->in_waiting);
    frontend->sessions.newcomers.count++;
    return &newcomer->session;
}
