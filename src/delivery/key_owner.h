/* Two subscriptions of one connection that show the same row: see key_owner.c. */
#ifndef DELIVERY_KEY_OWNER_H
#define DELIVERY_KEY_OWNER_H

#include "delivery/hub_internal.h"

/* A subscription that was unsubscribed and stays for a while, and that this new one replaces: to be
 * closed, and asked again. NULL: there is none. */
struct subscription *key_owner_replaced(struct subscription *subscription);
/* The subscription is one of its connection's now. False when out of memory. */
bool key_owner_joined(struct subscription *subscription);
/* It ends, and is still one of them. */
void key_owner_left(struct subscription *subscription);
/* It begins, or begins anew: its rows are to come. */
void key_owner_begins(struct subscription *subscription);
/* The answer of the owner that is at hand is of a newer state than what others sent of its row. */
void key_owner_stated(struct subscription *subscription);
/* What a live one is to do when it is pulled. */
enum key_owner_turn {
    KEY_OWNER_GOES_ON,
    KEY_OWNER_WAITS,   /* for the other; it is woken */
    KEY_OWNER_RESTATES /* it says its row anew */
};
enum key_owner_turn key_owner_turn(struct subscription *subscription);
/* A live one has everything: whether it was unsubscribed, and can go. */
bool key_owner_may_go(const struct subscription *subscription);
/* It fails. The other, which passed over frames for its sake; NULL: there is none. */
struct subscription *key_owner_deprived(const struct subscription *subscription);
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
