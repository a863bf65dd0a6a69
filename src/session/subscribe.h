/* The common part of sessions of subscribers, however their frames go out. For session alone. */
#ifndef SESSION_SUBSCRIBE_H
#define SESSION_SUBSCRIBE_H

#include "session/session.h"

struct named_set;
struct subscriber;
struct usage_client;

struct subscriber_session {
    struct session session;
    int version;                   /* the newest that its client spoke */
    struct subscriber *subscriber; /* of version 1, */
    struct named_set *named;       /* ... and of version 2; NULL before there is need of it */
    bool from_named;               /* the last pull was of those */
    struct usage_client *usage;    /* NULL: usage is not told */
};

/* Zeroed before. The principal is moved, unless false: out of memory, and nothing is held. */
bool subscriber_session_init(struct subscriber_session *it, struct frontend *frontend,
                             struct net_connection *connection, struct principal *principal,
                             const struct session_kind *kind);
/* The connection is gone. */
void subscriber_session_fini(struct subscriber_session *it);

/* For the kinds; see struct session_kind. */
void subscriber_session_refuse(struct session *session, const struct error *error, bool fatal);
void subscriber_session_became(struct session *session);
size_t subscriber_session_count(const struct session *session);
void subscriber_session_describe(const struct session *session, size_t most, subscription_each each,
                                 void *argument);

#endif
