#include "base/heap.h"

#include <stddef.h>

/* Put a tree where `slot` points, which takes the place of what was there. */
static void place(struct heap_entry **slot, struct heap_entry *tree)
{
    *slot = tree;
    if (tree)
        tree->slot = slot;
}

/* Two trees, neither of which has siblings, become one. */
static struct heap_entry *join(struct heap_entry *a, struct heap_entry *b)
{
    if (b->order < a->order) {
        struct heap_entry *swapped = a;
        a = b;
        b = swapped;
    }
    place(&b->next, a->child);
    place(&a->child, b);
    return a;
}

/* A list of siblings becomes one tree: first joined in pairs from the left, and these then one
 * after the other from the right, which is what keeps the trees flat. NULL for none. */
static struct heap_entry *join_all(struct heap_entry *list)
{
    struct heap_entry *pairs = NULL, *tree = NULL;
    while (list) {
        struct heap_entry *a = list, *b = a->next;
        list = b ? b->next : NULL;
        a->next = NULL;
        if (b) {
            b->next = NULL;
            a = join(a, b);
        }
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct heap_entry *next = pairs->next;
        pairs->next = NULL;
        tree = tree ? join(tree, pairs) : pairs;
        pairs = next;
    }
    return tree;
}

void heap_add(struct heap *heap, struct heap_entry *entry, int64_t order)
{
    entry->order = order;
    entry->child = entry->next = NULL;
    place(&heap->first, heap->first ? join(heap->first, entry) : entry);
}

void heap_remove(struct heap *heap, struct heap_entry *entry)
{
    if (!entry->slot)
        return;
    place(entry->slot, entry->next);
    struct heap_entry *rest = join_all(entry->child);
    if (rest)
        place(&heap->first, heap->first ? join(heap->first, rest) : rest);
    entry->child = entry->next = NULL;
    entry->slot = NULL;
}
