/* Two subscriptions of one connection that show the same row: see key_owner.c. */
#ifndef DELIVERY_KEY_OWNER_H
#define DELIVERY_KEY_OWNER_H

#include "delivery/hub_internal.h"

/* A subscription that was unsubscribed and stays for a while, and that this new one replaces: to
 * be closed, then ask again. NULL: there is none. */
struct subscription *key_owner_replaced(struct subscription *subscription);
/* The subscription belongs to its connection now. False when out of memory. */
bool key_owner_joined(struct subscription *subscription);
/* It ends, and is still one of them. */
void key_owner_left(struct subscription *subscription);
/* It begins, or begins again: its rows will come. */
void key_owner_begins(struct subscription *subscription);
/* The present answer of the owner is of a newer state than the rows of others. */
void key_owner_stated(struct subscription *subscription);
/* The next act of a live one that is pulled. */
enum key_owner_turn {
    KEY_OWNER_GOES_ON,
    KEY_OWNER_WAITS,   /* waits for the other; it is woken */
    KEY_OWNER_RESTATES /* sends its row again */
};
enum key_owner_turn key_owner_turn(struct subscription *subscription);
/* Whether a live one that has everything was unsubscribed, and can go. */
bool key_owner_may_go(const struct subscription *subscription);
/* It fails. The other, whose frames were skipped because of it; NULL: there is none. */
struct subscription *key_owner_deprived(const struct subscription *subscription);
/* Unsubscribed. Whether it stays for a while, until another can take its key over. */
bool key_owner_stays(struct subscription *subscription);
/* Whether its next pull is not all about its row: it is a window that does not know what the
 * other shows. */
bool key_owner_opens(const struct subscription *subscription);
/* The one that shows more than its key, as an owner that is a window needs to know of it. */
struct key_owner_other {
    const struct subscription *shows; /* NULL: there is none */
    bool is_opening; /* the owner cannot state its row yet; key_owners_wake wakes it when it can */
    bool has_all;    /* the client has everything that this one shows, */
    int64_t state;   /* ... of which rows in batches are not older than this change */
};
struct key_owner_other key_owner_other(const struct subscription *subscription);
/* Another subscription of the connection has nothing more to send for now. */
void key_owners_wake(struct subscriber *subscriber);
/* The pulled bytes without frames of keys that another subscription owns. */
struct span key_owners_pass(struct subscriber *subscriber, struct span bytes);

#endif
