/*
 * named: the subscriptions of a connection that its client named, as version 2 of the protocol has
 * them. Each is a subscriber of the hub with one subscription, which knows nothing of the others;
 * here the heads come before its bodies.
 *
 * Invariants: a message is sent whole before anything else is; of a subscription `subscribed` comes
 * first and once; a snapshot is complete before another begins; behind `unsubscribed` nothing
 * comes.
 */
#ifndef SESSION_NAMED_H
#define SESSION_NAMED_H

#include "delivery/hub.h"

struct session;
struct named_set;

/* None yet. `usage` NULL: it is told to nobody. NULL when out of memory. */
struct named_set *named_set_new(struct session *session, struct usage_client *usage);
void named_set_free(struct named_set *set);
/* Describe up to `most` of them, with their ids. */
void named_set_describe(const struct named_set *set, size_t most, subscription_each each,
                        void *argument);
/* A message that is no refresh_auth; `wrong`: why it cannot be taken, or NULL. `others`: the
 * connection's other subscriptions. Its content may be taken over. */
void named_set_message(struct named_set *set, struct wire_message *message,
                       const struct error *wrong, size_t others);
/* As those of struct session_kind. */
void named_set_refuse(struct named_set *set, const struct error *error, bool fatal);
bool named_set_became(struct named_set *set);
/* Its bytes; the supply is the set. */
extern const struct supply_ops named_supply;

#endif
