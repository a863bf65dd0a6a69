/* What a session shows of itself to who watches the server. */
#include "net/net.h"
#include "session/session.h"

struct session *session_of(struct roster_item *item)
{
    return LINK_OWNER(struct session, in_all, item);
}

struct session_facts session_facts(const struct session *session)
{
    const struct session_kind *kind = session->kind;
    INVARIANT(session->state != SESSION_GONE);
    return (struct session_facts){.number = session->in_all.number,
                                  .principal = &session->principal,
                                  .protocol = kind->protocol(session),
                                  .is_known = kind != &session_newcomer,
                                  .ends = session->state != SESSION_OPEN,
                                  .since_ms = session->since_ms,
                                  .sent_bytes = session->sent_bytes,
                                  .heard_bytes = session->heard_bytes,
                                  .queued_bytes = net_state(session_connection(session)).queued,
                                  .subscriptions =
                                      kind->subscriptions ? kind->subscriptions(session) : 0};
}

void session_describe(const struct session *session, size_t most, subscription_each each,
                      void *argument)
{
    if (session->kind->describe)
        session->kind->describe(session, most, each, argument);
}
