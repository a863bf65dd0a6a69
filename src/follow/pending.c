/* Publications that wait to be sent, or were, and are not answered. */
#include "follow/publisher_internal.h"

/* Commands are few and small, and have room behind that of requests, which may take all of theirs:
 * else no token could be revoked while a client writes as fast as it can. */
enum {
    MOST_COUNT = 1024,
    MOST_BYTES = 16 * 1024 * 1024,
    MORE_COUNT = 64,
    MORE_BYTES = 1024 * 1024
};

void pending_init(struct pending *pending)
{
    link_init(&pending->waiting);
    link_init(&pending->sent);
}

bool pending_has_room(const struct pending *pending, enum publication_form form, size_t bytes)
{
    bool is_command = form == PUBLICATION_REVOKE || form == PUBLICATION_FORGET;
    size_t most = MOST_COUNT + (is_command ? MORE_COUNT : 0);
    size_t most_bytes = MOST_BYTES + (is_command ? MORE_BYTES : 0);
    return pending->count < most && (!pending->count || pending->bytes + bytes <= most_bytes);
}

void pending_add(struct pending *pending, struct publication *publication, size_t bytes)
{
    publication->number = ++pending->number;
    struct publication **bucket = &pending->buckets[publication->number % PENDING_BUCKETS];
    publication->in_bucket = *bucket;
    *bucket = publication;
    link_append(&pending->waiting, &publication->in_order);
    publication->bytes = bytes;
    pending->count++;
    pending->bytes += bytes;
}

struct publication *pending_find(const struct pending *pending, uint64_t number)
{
    struct publication *found = pending->buckets[number % PENDING_BUCKETS];
    while (found && found->number != number)
        found = found->in_bucket;
    return found;
}

struct publication *pending_first(const struct link *list)
{
    return link_alone(list) ? NULL : LINK_OWNER(struct publication, in_order, list->next);
}

struct publication *pending_send(struct pending *pending)
{
    struct publication *first = pending_first(&pending->waiting);
    if (!first)
        return NULL;
    link_remove(&first->in_order);
    link_append(&pending->sent, &first->in_order);
    first->sent_us = clock_monotonic_us();
    return first;
}

void pending_remove(struct pending *pending, struct publication *publication)
{
    struct publication **at = &pending->buckets[publication->number % PENDING_BUCKETS];
    while (*at != publication)
        at = &(*at)->in_bucket;
    *at = publication->in_bucket;
    link_remove(&publication->in_order);
    INVARIANT(pending->count && pending->bytes >= publication->bytes);
    pending->count--;
    pending->bytes -= publication->bytes;
}
