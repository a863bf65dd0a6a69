/* Two subscriptions of one connection that show the same row: see key_owner.c. */
#ifndef SERVER_KEY_OWNER_H
#define SERVER_KEY_OWNER_H

#include "server/hub_internal.h"

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
/* Unsubscribed. Whether it stays for a while, until another can take its key over. */
bool key_owner_stays(struct subscription *subscription);
/* Another subscription of the connection has nothing more to send for now. */
void key_owners_wake(struct subscriber *subscriber);
/* What is left of pulled bytes: frames of a key come from its owner alone. */
struct span key_owners_pass(struct subscriber *subscriber, struct span bytes);

#endif
