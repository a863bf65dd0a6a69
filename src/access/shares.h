/*
 * shares: what many take of one bounded pool, and who gives something back when there is no more.
 * Each share has an owner: a subject, or an address where the subject names nobody. When the pool
 * is used up, a share of the owner who has most is broken off, and not whoever came last.
 *
 * Zeroed, a pool is empty, and a share is in none. Loop thread.
 */
#ifndef ACCESS_SHARES_H
#define ACCESS_SHARES_H

#include "base/link.h"
#include "base/map.h"

struct principal;
struct share_owner;

struct shares {
    struct map owners;
    size_t total;
};

struct share {
    struct share_owner *owner; /* NULL: it has nothing */
    struct link in_owner;      /* the oldest first */
    size_t amount;
};

/* The name of the owner of what a client takes; 0 is the server's own. */
uint64_t shares_owner_of(const struct principal *principal);
/* The share has so much of the pool from now on; 0: it leaves. It keeps the owner that it began
 * with. False when out of memory: then nothing has changed. */
bool share_set(struct share *share, struct shares *shares, uint64_t owner, size_t amount);
/* It leaves the pool, if it is in one. */
void share_end(struct share *share, struct shares *shares);
/* The share to be broken off so that `taker`, which is in the pool, can keep what it has: of the
 * owner's largest ones, to a power of two, the oldest. NULL: the taker's own, for its owner has as
 * much as any, and no share that is larger. */
struct share *shares_victim(const struct shares *shares, const struct share *taker);
/* How many owners there are, and what one of them has. */
size_t shares_owners(const struct shares *shares);
size_t shares_amount(const struct shares *shares, uint64_t owner);

#endif
