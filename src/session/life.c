/* How long a session lasts by its token: until that runs out or is taken away, or a fresh one
 * comes. */
#include "session/frontend.h"
#include "wire/wire.h"

enum {
    LONGEST_WAIT_SECONDS = 60, /* then the clock is looked at again: it may have been set */
    /* Thousands may end in the same second, and to close one costs the library the more the more
     * there are: so others are served in between. */
    ENDS_PER_TURN = 64,
    TURN_MS = 20
};

static struct session *of_entry(struct heap_entry *entry)
{
    return LINK_OWNER(struct session, ends, entry);
}

/* ---- running out ---- */

static int64_t expiry_due(const struct sessions *sessions)
{
    struct heap_entry *first = heap_first(&sessions->expiring);
    int64_t now_ms = clock_wall_ms();
    if (!first)
        return -1;
    if (first->order > now_ms / 1000 + LONGEST_WAIT_SECONDS)
        return LONGEST_WAIT_SECONDS * 1000;
    int64_t left = first->order * 1000 - now_ms;
    int64_t turn =
        (int64_t)sessions->next_turn_ms - (int64_t)frontend_now(of_entry(first)->frontend);
    if (left < turn)
        left = turn;
    return left > 0 ? left : 0;
}

int64_t sessions_due(const struct sessions *sessions)
{
    int64_t due = expiry_due(sessions), left;
    if (link_alone(&sessions->resting))
        return due;
    struct session *first = LINK_OWNER(struct session, in_resting, sessions->resting.next);
    left = (int64_t)first->rests_until_ms - (int64_t)frontend_now(first->frontend);
    left = left > 0 ? left : 0;
    return due < 0 || left < due ? left : due;
}

static void expire(struct sessions *sessions)
{
    struct error error;
    struct heap_entry *first = heap_first(&sessions->expiring);
    int64_t now = clock_wall_ms() / 1000;
    if (!first || first->order > now ||
        frontend_now(of_entry(first)->frontend) < sessions->next_turn_ms)
        return;
    sessions->next_turn_ms = frontend_now(of_entry(first)->frontend) + TURN_MS;
    for (int i = 0; i < ENDS_PER_TURN; i++) {
        first = heap_first(&sessions->expiring);
        if (!first || first->order > now)
            break;
        error_set(&error, ERROR_TOKEN_EXPIRED, "the token has expired");
        session_end(of_entry(first), &error);
    }
}

/* ---- resting ---- */

/* They ask whether they still rest when they are written to. */
static void rouse(struct sessions *sessions)
{
    while (!link_alone(&sessions->resting)) {
        struct session *session = LINK_OWNER(struct session, in_resting, sessions->resting.next);
        if (frontend_now(session->frontend) < session->rests_until_ms)
            break;
        link_remove(&session->in_resting);
        session_want_write(session);
    }
}

void sessions_take_due(struct sessions *sessions)
{
    expire(sessions);
    rouse(sessions);
}

/* ---- another identity ---- */

struct auth_identity *session_refresh(struct session *session, const char *token,
                                      char answer[SESSION_ANSWER])
{
    struct error error;
    struct auth_identity *identity =
        access_refresh(session->frontend->access, &session->principal, token, &error);
    if (identity)
        session_print_welcome(identity, answer);
    else
        snprintf(answer, SESSION_ANSWER, "{\"success\":false,\"error\":\"%s\"}",
                 auth_refresh_word(error.code));
    return identity;
}

void session_print_welcome(const struct auth_identity *identity, char answer[SESSION_ANSWER])
{
    if (identity->expires_at)
        snprintf(answer, SESSION_ANSWER, "{\"success\":true,\"expiresAt\":%lld}",
                 (long long)identity->expires_at);
    else
        snprintf(answer, SESSION_ANSWER, "{\"success\":true}");
}

void session_denied(struct session *session, const struct error *error)
{
    struct audit_client client = {.principal = &session->principal, .kind = session->kind->name};
    audit_write(access_shown(session->frontend->access)->audit, AUDIT_SESSION_DENIED,
                &(struct audit_details){.client = &client, .what = "subscribe", .error = error});
}

void session_become(struct session *session, struct auth_identity *identity)
{
    INVARIANT(session->state != SESSION_GONE);
    auth_identity_release(session->principal.identity);
    session->principal.identity = identity;
    session->owner = shares_owner_of(&session->principal);
    session_watch_expiry(session);
    session->kind->became(session);
}

/* One whose token is not a static one is judged by that token alone. */
static void follow(struct session *session, const struct auth_static *fresh, bool needs_token)
{
    struct error error;
    if (session->principal.is_anonymous) {
        error_set(&error, ERROR_TOKEN_MISSING, "the server takes tokens now; connect with one");
        if (needs_token)
            session_end(session, &error);
        return;
    }
    if (!session->principal.identity->is_static)
        return;
    struct auth_identity *identity = auth_static_follow(fresh, session->principal.identity);
    if (identity) {
        session_become(session, identity);
    } else {
        error_set(&error, ERROR_STATIC_TOKEN, "the token has been taken back");
        session_end(session, &error);
    }
}

void sessions_follow(struct sessions *sessions, const struct auth_static *fresh, bool needs_token)
{
    struct link *next;
    for (struct link *link = sessions->heard.next; link != &sessions->heard; link = next) {
        struct session *session = LINK_OWNER(struct session, in_heard, link);
        next = link->next;
        if (session->state == SESSION_OPEN)
            follow(session, fresh, needs_token);
    }
}

void sessions_revoke(struct sessions *sessions, struct span token_id)
{
    struct error error;
    struct link *link;
    error_set(&error, ERROR_TOKEN_EXPIRED, "the token has been revoked");
    for (link = sessions->heard.next; link != &sessions->heard; link = link->next) {
        struct session *session = LINK_OWNER(struct session, in_heard, link);
        if (token_id.length && span_equal(span_of(session->principal.identity->token_id), token_id))
            session_end(session, &error);
    }
}
