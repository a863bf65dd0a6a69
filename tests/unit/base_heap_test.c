/* The heap against a plain array: whatever is added and removed, the least comes first. */
#include "base/heap.h"
#include "test.h"

enum { ENTRIES = 300, STEPS = 200000 };

static const struct heap_entry *least(const struct heap_entry *entries)
{
    const struct heap_entry *found = NULL;
    for (size_t i = 0; i < ENTRIES; i++)
        if (heap_has(&entries[i]) && (!found || entries[i].order < found->order))
            found = &entries[i];
    return found;
}

TEST(the_least_comes_first)
{
    static struct heap_entry entries[ENTRIES];
    struct heap heap = {NULL};
    unsigned seed = 1;
    for (int step = 0; step < STEPS; step++) {
        struct heap_entry *entry = &entries[rand_r(&seed) % ENTRIES];
        if (heap_has(entry))
            heap_remove(&heap, entry);
        else
            heap_add(&heap, entry, rand_r(&seed) % 100 - 50);
        if (step % 16 == 0 || step < 1000) {
            const struct heap_entry *first = heap_first(&heap), *wanted = least(entries);
            assert_int_equal(first != NULL, wanted != NULL);
            if (first)
                assert_int_equal(first->order, wanted->order);
        }
    }
    int64_t last = INT64_MIN;
    while (heap_first(&heap)) {
        struct heap_entry *first = heap_first(&heap);
        assert_true(first->order >= last);
        last = first->order;
        heap_remove(&heap, first);
        assert_false(heap_has(first));
    }
    assert_null(least(entries));
}

TEST(extremes_and_repetitions_are_fine)
{
    struct heap_entry a = {0}, b = {0}, c = {0};
    struct heap heap = {NULL};
    heap_remove(&heap, &a);
    heap_add(&heap, &a, INT64_MAX);
    heap_add(&heap, &b, INT64_MIN);
    heap_add(&heap, &c, INT64_MIN);
    assert_true(heap_first(&heap) == &b || heap_first(&heap) == &c);
    heap_remove(&heap, &b);
    heap_remove(&heap, &b);
    assert_ptr_equal(heap_first(&heap), &c);
    heap_remove(&heap, &c);
    assert_ptr_equal(heap_first(&heap), &a);
    heap_remove(&heap, &a);
    assert_null(heap_first(&heap));
}
