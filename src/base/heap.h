/*
 * What comes first? A heap of things by a number, through a member of theirs: adding never fails,
 * and anything can be taken out at any time. (A pairing heap.) One thread.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: in no heap. */
struct heap_entry {
    int64_t order;                   /* the least comes first; not to be changed while it is in */
    struct heap_entry *child, *next; /* its first child; its next sibling */
    struct heap_entry **slot;        /* what points to it; NULL: in no heap */
};

/* Zeroed: empty. */
struct heap {
    struct heap_entry *first;
};

/* It must be in no heap. */
void heap_add(struct heap *heap, struct heap_entry *entry, int64_t order);
/* Out of its heap, if it is in one. */
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
