/*
 * shares: the parts of one bounded pool that many owners have, and who gives something back when
 * the pool is used up. Each share has an owner: a subject, or an address if the subject names
 * nobody. When the pool is used up, a share of the owner who has most is broken off; the newest is
 * not refused.
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

/* The name of a client as owner of its shares; 0 is the server itself. */
uint64_t shares_owner_of(const struct principal *principal);
/* Set the share's part of the pool; 0: it leaves. It keeps its first owner. False when out of
 * memory: then nothing has changed. */
bool share_set(struct share *share, struct shares *shares, uint64_t owner, size_t amount);
/* The share leaves the pool, if it is in one. */
static inline void share_end(struct share *share, struct shares *shares)
{
    share_set(share, shares, 0, 0);
}
/* The share to be broken off so that `taker`, which is in the pool, can keep its part: of the
 * owner's largest ones, to a power of two, the oldest. NULL: the taker's own, because its owner has
 * as much as any, and no larger share. */
struct share *shares_victim(const struct shares *shares, const struct share *taker);
/* The amount of one owner. */
size_t shares_amount(const struct shares *shares, uint64_t owner);

#endif
