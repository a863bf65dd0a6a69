/* What comes to a session by time: its end, by its token or the wait for a client that was told to
 * go; and the end of a rest. */
#include "session/frontend.h"

bool session_has_expired(const struct session *session)
{
    int64_t at = session->principal.identity->expires_at;
    return at && clock_wall_ms() / 1000 >= at;
}

void session_watch_expiry(struct session *session)
{
    int64_t at = session->principal.identity->expires_at;
    if (session->state != SESSION_OPEN)
        return; /* its end is near already */
    session_forget_end(session);
    if (!at)
        return;
    heap_add(&session->frontend->sessions.expiring, &session->ends, at);
    session->frontend->due(session->frontend->argument);
}

void session_forget_end(struct session *session)
{
    struct sessions *sessions = &session->frontend->sessions;
    bool is_open = session->state == SESSION_OPEN;
    heap_remove(is_open ? &sessions->expiring : &sessions->closing, &session->ends);
}

void session_watch_closing(struct session *session, int seconds)
{
    struct frontend *frontend = session->frontend;
    INVARIANT(session->state == SESSION_PARTING || session->state == SESSION_CLOSING);
    session_forget_end(session);
    heap_add(&frontend->sessions.closing, &session->ends,
             (int64_t)frontend_now(frontend) + (int64_t)seconds * 1000);
}

bool session_rests(struct session *session, int ms)
{
    uint64_t now = frontend_now(session->frontend);
    if (session->state != SESSION_OPEN)
        return false;
    if (!session->rests_until_ms) {
        session->rests_until_ms = now + (uint64_t)ms;
        link_append(&session->frontend->sessions.resting, &session->in_resting);
        session->frontend->due(session->frontend->argument);
    }
    if (now < session->rests_until_ms)
        return true;
    session->rests_until_ms = 0;
    link_remove(&session->in_resting);
    return false;
}
