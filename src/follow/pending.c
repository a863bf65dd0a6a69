/* Publications that wait to be sent, or were, and are not answered. */
#include "follow/publisher_internal.h"

enum { MOST_COUNT = 1024, MOST_BYTES = 16 * 1024 * 1024 };

void pending_init(struct pending *pending)
{
    link_init(&pending->waiting);
    link_init(&pending->sent);
}

bool pending_has_room(const struct pending *pending, size_t bytes)
{
    return pending->count < MOST_COUNT && (!pending->count || pending->bytes + bytes <= MOST_BYTES);
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
    first->sent = true;
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
