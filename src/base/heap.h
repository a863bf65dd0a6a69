/*
 * A heap: the thing with the least number comes first. It links things through a member of theirs,
 * so adding never fails, and anything can be removed at any time. (A pairing heap.) One thread.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: in no heap. */
struct heap_entry {
    int64_t order; /* the least comes first; constant while the entry is in a heap */
    struct heap_entry *child, *next; /* its first child; its next sibling */
    struct heap_entry **slot;        /* the pointer to this entry; NULL: it is in no heap */
};

/* Zeroed: empty. */
struct heap {
    struct heap_entry *first;
};

/* The entry must be in no heap. */
void heap_add(struct heap *heap, struct heap_entry *entry, int64_t order);
/* Remove the entry from its heap, if it is in one. */
void heap_remove(struct heap *heap, struct heap_entry *entry);
/* The entry of least order, or NULL. */
static inline struct heap_entry *heap_first(const struct heap *heap)
{
    return heap->first;
}
static inline bool heap_has(const struct heap_entry *entry)
{
    return entry->slot != 0;
}

#endif
