/* Which sessions are due: those whose clients are silent or are told nothing, that are paused, or
 * that have not closed in their time. */
#include "net/net.h"
#include "session/frontend.h"

enum {
    PINGS_PER_TIMEOUT = 3, /* a client silent for this part of the time-out is asked for life, */
    PING_MS = 25 * 1000,   /* ... or so long; proxies cut what is silent for 60 s */
    GOING_AWAY = 1001
};

void sessions_init(struct sessions *sessions)
{
    roster_init(&sessions->all);
    link_init(&sessions->heard);
    link_init(&sessions->told);
    link_init(&sessions->paused);
    link_init(&sessions->resting);
    link_init(&sessions->newcomers.waiting);
    sessions->newcomers.count = 0;
    sessions->expiring = sessions->closing = (struct heap){NULL};
    sessions->count = 0;
}

void sessions_resume(struct sessions *sessions)
{
    struct link *next;
    for (struct link *link = sessions->paused.next; link != &sessions->paused; link = next) {
        struct session *session = LINK_OWNER(struct session, in_paused, link);
        next = link->next;
        if (session->state == SESSION_OPEN)
            session_try_resume(session);
    }
}

static void ask_for_life(struct session *session)
{
    session->ping_due = true;
    session_want_write(session);
}

static void check_life(struct session *session, uint64_t silent_ms, uint64_t timeout_ms)
{
    if (session->paused) {
        /* It is we who do not listen. */
        session_heard(session);
    } else if (timeout_ms && silent_ms >= timeout_ms) {
        char reason[96];
        snprintf(reason, sizeof reason, "client-timeout: nothing was heard for %llu seconds",
                 (unsigned long long)timeout_ms / 1000);
        session_close(session, GOING_AWAY, reason);
    } else if (!session->pinged && session->state == SESSION_OPEN) {
        session->pinged = true;
        ask_for_life(session);
    }
}

/* Those whose clients are silent. */
static void sweep_heard(struct sessions *sessions, uint64_t now, uint64_t ping, uint64_t timeout)
{
    struct link *next;
    for (struct link *link = sessions->heard.next; link != &sessions->heard; link = next) {
        struct session *session = LINK_OWNER(struct session, in_heard, link);
        next = link->next;
        uint64_t silent = now - session->heard_ms;
        if (silent < ping)
            break; /* those behind it were heard later */
        check_life(session, silent, timeout);
    }
}

/* Those to whom we are: a proxy between counts each direction by itself. */
static void sweep_told(struct sessions *sessions, uint64_t now)
{
    struct link *next;
    for (struct link *link = sessions->told.next; link != &sessions->told; link = next) {
        struct session *session = LINK_OWNER(struct session, in_told, link);
        next = link->next;
        if (now - session->told_ms < PING_MS)
            break;
        session_note_told(session);
        if (session->state == SESSION_OPEN)
            ask_for_life(session);
    }
}

/* Cut off those whose time to close is over. */
static void cut(struct sessions *sessions, uint64_t now)
{
    struct heap_entry *first;
    while ((first = heap_first(&sessions->closing)) && first->order <= (int64_t)now) {
        heap_remove(&sessions->closing, first);
        net_close(session_connection(LINK_OWNER(struct session, ends, first)));
    }
}

void sessions_sweep(struct sessions *sessions, struct frontend *frontend)
{
    uint64_t now = frontend_now(frontend), timeout = frontend->client_timeout_ms;
    uint64_t part = timeout / PINGS_PER_TIMEOUT;
    uint64_t ping = timeout && part < PING_MS ? part : PING_MS;
    sweep_heard(sessions, now, ping, timeout);
    sweep_told(sessions, now);
    cut(sessions, now);
}
