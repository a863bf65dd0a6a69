#include "access/shares.h"

#include "access/access.h"
#include "base/invariant.h"

struct share_owner {
    uint64_t name;
    struct link shares;
    size_t total;
};

/* A client chooses its subject, but not the hash of it. */
enum { OF_SUBJECT = 1, OF_ADDRESS = 2 };

uint64_t shares_owner_of(const struct principal *principal)
{
    const struct auth_identity *identity = principal->identity;
    struct address address;
    if (identity && auth_names_somebody(identity))
        return map_hash(span_of(identity->subject)) << 2 | OF_SUBJECT;
    if (address_parse(&address, span_of(principal->address)))
        return map_hash(address_site(&address)) << 2 | OF_ADDRESS;
    return OF_ADDRESS;
}

static struct span owner_key(const void *value)
{
    const struct share_owner *owner = value;
    return span_make((const char *)&owner->name, sizeof owner->name);
}

static struct share_owner *find_owner(const struct shares *shares, uint64_t name)
{
    return shares->owners.count ? map_get(&shares->owners, span_make((char *)&name, sizeof name))
                                : NULL;
}

static struct share_owner *get_owner(struct shares *shares, uint64_t name)
{
    struct share_owner *owner = find_owner(shares, name);
    if (owner)
        return owner;
    owner = memory_new(sizeof *owner);
    if (!owner)
        return NULL;
    if (!shares->owners.key_of)
        map_init(&shares->owners, owner_key);
    owner->name = name;
    link_init(&owner->shares);
    if (map_add(&shares->owners, owner))
        return owner;
    memory_free(owner);
    return NULL;
}

static void leave(struct share *share, struct shares *shares)
{
    struct share_owner *owner = share->owner;
    link_remove(&share->in_owner);
    share->owner = NULL;
    if (!link_alone(&owner->shares))
        return;
    INVARIANT(owner->total == 0);
    map_remove(&shares->owners, owner_key(owner));
    memory_free(owner);
    if (!shares->owners.count)
        map_fini(&shares->owners);
}

bool share_set(struct share *share, struct shares *shares, uint64_t owner, size_t amount)
{
    if (!share->owner) {
        if (!amount)
            return true;
        share->owner = get_owner(shares, owner);
        if (!share->owner)
            return false;
        link_init(&share->in_owner);
        link_append(&share->owner->shares, &share->in_owner);
    }
    INVARIANT(share->owner->total >= share->amount && shares->total >= share->amount);
    share->owner->total += amount - share->amount;
    shares->total += amount - share->amount;
    share->amount = amount;
    if (!amount)
        leave(share, shares);
    return true;
}

/* ---- who gives back ---- */

/* Of equal ones the taker's own, so that nobody pays for who has as much. */
static struct share_owner *find_heaviest(const struct shares *shares, const struct share *taker)
{
    struct share_owner *heaviest = taker->owner, *owner;
    size_t position = 0;
    while ((owner = map_next(&shares->owners, &position)))
        if (owner->total > heaviest->total)
            heaviest = owner;
    return heaviest;
}

static int size_class(const struct share *share)
{
    return 63 - __builtin_clzll((unsigned long long)share->amount | 1);
}

static struct share *find_largest(const struct share_owner *owner)
{
    struct share *largest = NULL;
    for (struct link *link = owner->shares.next; link != &owner->shares; link = link->next) {
        struct share *share = LINK_OWNER(struct share, in_owner, link);
        if (!largest || size_class(share) > size_class(largest))
            largest = share;
    }
    return largest;
}

struct share *shares_victim(const struct shares *shares, const struct share *taker)
{
    INVARIANT(taker->owner);
    struct share_owner *owner = find_heaviest(shares, taker);
    struct share *victim = find_largest(owner);
    bool own = owner == taker->owner && size_class(victim) <= size_class(taker);
    return own ? NULL : victim;
}

size_t shares_amount(const struct shares *shares, uint64_t owner)
{
    const struct share_owner *found = find_owner(shares, owner);
    return found ? found->total : 0;
}
