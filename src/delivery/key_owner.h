/* Two subscriptions of one connection that show the same row: see key_owner.c. */
#ifndef DELIVERY_KEY_OWNER_H
#define DELIVERY_KEY_OWNER_H

#include "delivery/hub_internal.h"

/* The subscription is one of its connection's now. False when out of memory. */
bool key_owner_joined(struct subscription *subscription);
/* It ends, and is still one of them. */
void key_owner_left(struct subscription *subscription);
/* It begins, or begins anew: its rows are to come. */
void key_owner_begins(struct subscription *subscription);
/* The answer of the owner that is at hand is of a newer state than what others sent of its row. */
void key_owner_stated(struct subscription *subscription);
/* Whether a live one goes on; else it waits, restates its row, or is gone. */
bool key_owner_goes_on(struct subscription *subscription);
/* A live one has everything: it is gone afterwards if it was to leave, and that can be. */
void key_owner_rests(struct subscription *subscription);
/* It fails, and is about to be closed: frames of the other that were passed over for its sake are
 * made up for by a statement of the row. If that cannot be, the other fails, too. */
void key_owner_failed(struct subscription *subscription, const struct error *error);
/* Unsubscribed. Whether it stays for a while, until another can take its key over. */
bool key_owner_stays(struct subscription *subscription);
/* Whether what is pulled of it next is not all that is to be said of its row: it is a window that
 * does not know what the other shows. */
bool key_owner_opens(const struct subscription *subscription);
/* Whether an owner that is a window can state its row; else it is woken when it can. */
bool key_owner_may_state(const struct subscription *subscription);
/* Whether the client has been told all up to this change, so that its cursor may stand there. */
bool key_owner_is_told(const struct subscription *subscription, int64_t change);
/* What the other has sent in batches is not older than this change. */
int64_t key_owner_others_state(const struct subscription *subscription);
/* The one that shows more than its key; NULL: there is none. */
const struct subscription *key_owner_other(const struct subscription *subscription);
/* Another subscription of the connection has nothing more to send for now. */
void key_owners_wake(struct subscriber *subscriber);
/* What is left of pulled bytes: frames of a key come from its owner alone. */
struct span key_owners_pass(struct subscriber *subscriber, struct span bytes);

#endif
