/* How long a session lasts by its token: until that runs out or is taken away, or a fresh one
 * comes. */
#include "server/server_internal.h"
#include "wire/wire.h"

enum {
    POLICY_VIOLATION = 1008,
    LONGEST_WAIT_SECONDS = 60 /* then the clock is looked at again: it may have been set */
};

static struct session *of_entry(struct heap_entry *entry)
{
    return LINK_OWNER(struct session, expires, entry);
}

void session_end(struct session *session, const struct error *error)
{
    char reason[WIRE_CLOSE_REASON + 1];
    if (session->state != SESSION_OPEN)
        return;
    struct audit_client client = {.address = session->visitor.address,
                                  .kind = session->kind->name,
                                  .identity = session->visitor.identity};
    audit_session_ended(&session->server->audit, &client, error);
    if (session->kind->silence)
        session->kind->silence(session);
    session->kind->refuse(session, error, true);
    wire_close_reason(reason, error);
    session_close(session, POLICY_VIOLATION, reason);
}

/* ---- running out ---- */

void session_watch_expiry(struct session *session)
{
    struct heap *expiring = &session->server->sessions.expiring;
    int64_t at = session->visitor.identity->expires_at;
    heap_remove(expiring, &session->expires);
    if (!at)
        return;
    heap_add(expiring, &session->expires, at);
    server_arm(session->server);
}

void session_forget_expiry(struct session *session)
{
    heap_remove(&session->server->sessions.expiring, &session->expires);
}

int64_t sessions_due(const struct sessions *sessions)
{
    const struct heap_entry *first = heap_first(&sessions->expiring);
    int64_t now_ms = clock_wall_ms();
    if (!first)
        return -1;
    if (first->order > now_ms / 1000 + LONGEST_WAIT_SECONDS)
        return LONGEST_WAIT_SECONDS * 1000;
    return first->order * 1000 > now_ms ? first->order * 1000 - now_ms : 0;
}

void sessions_expire(struct sessions *sessions)
{
    struct error error;
    struct heap_entry *first;
    int64_t now = clock_wall_ms() / 1000;
    while ((first = heap_first(&sessions->expiring)) && first->order <= now) {
        heap_remove(&sessions->expiring, first);
        error_set(&error, ERROR_TOKEN_EXPIRED, "the token has expired");
        session_end(of_entry(first), &error);
    }
}

/* ---- another identity ---- */

void session_become(struct session *session, struct auth_identity *identity)
{
    auth_identity_release(session->visitor.identity);
    session->visitor.identity = identity;
    session_watch_expiry(session);
    session->kind->became(session);
}

/* One whose token is not a static one is judged by that token alone. */
static void follow(struct session *session, const struct auth_static *old,
                   const struct auth_static *fresh, bool needs_token)
{
    struct error error;
    bool is_static;
    if (session->visitor.is_anonymous) {
        error_set(&error, ERROR_TOKEN_MISSING, "the server takes tokens now; connect with one");
        if (needs_token)
            session_end(session, &error);
        return;
    }
    struct auth_identity *identity =
        auth_static_follow(old, fresh, session->visitor.identity, &is_static);
    if (identity) {
        session_become(session, identity);
    } else if (is_static) {
        error_set(&error, ERROR_STATIC_TOKEN, "the token has been taken back");
        session_end(session, &error);
    }
}

void sessions_follow(struct sessions *sessions, const struct auth_static *old,
                     const struct auth_static *fresh, bool needs_token)
{
    struct link *next;
    for (struct link *link = sessions->heard.next; link != &sessions->heard; link = next) {
        struct session *session = LINK_OWNER(struct session, in_heard, link);
        next = link->next;
        if (session->state == SESSION_OPEN)
            follow(session, old, fresh, needs_token);
    }
}

void sessions_revoke(struct sessions *sessions, struct span token_id)
{
    struct error error;
    struct link *link;
    error_set(&error, ERROR_TOKEN_EXPIRED, "the token has been revoked");
    for (link = sessions->heard.next; link != &sessions->heard; link = link->next) {
        struct session *session = LINK_OWNER(struct session, in_heard, link);
        if (token_id.length && span_equal(span_of(session->visitor.identity->token_id), token_id))
            session_end(session, &error);
    }
}
