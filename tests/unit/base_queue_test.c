#include "base/base.h"
#include "test.h"

#include <sched.h>
#include <time.h>

struct entry {
    struct queue_item item;
    int producer, number;
};

static struct entry *entry_of(struct queue_item *item)
{
    return (struct entry *)item; /* the item is its first member */
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

TEST(takes_all_in_order)
{
    struct queue queue;
    struct entry entries[5] = {0};
    size_t count, bytes;
    assert_true(queue_init(&queue, 10, 1000));
    assert_null(queue_take_all(&queue, 0));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5; i++) {
            entries[i].item.bytes = 10;
            assert_true(queue_put(&queue, &entries[i].item, QUEUE_REFUSES));
        }
        queue_fill(&queue, &count, &bytes);
        assert_int_equal(count, 5);
        assert_int_equal(bytes, 50);
        struct queue_item *item = queue_take_all(&queue, 0);
        for (int i = 0; i < 5; i++, item = item->next)
            assert_ptr_equal(item, &entries[i].item);
        assert_null(item);
        queue_fill(&queue, &count, &bytes);
        assert_int_equal(count + bytes, 0);
    }
    queue_fini(&queue);
}

TEST(takes_one_by_one)
{
    struct queue queue;
    struct entry entries[3] = {0};
    assert_true(queue_init(&queue, 10, 1000));
    for (int i = 0; i < 2; i++)
        assert_true(queue_put(&queue, &entries[i].item, QUEUE_REFUSES));
    assert_ptr_equal(queue_wait_one(&queue, 0), &entries[0].item);
    assert_true(queue_put(&queue, &entries[2].item, QUEUE_REFUSES));
    assert_ptr_equal(queue_wait_one(&queue, -1), &entries[1].item);
    assert_null(entries[1].item.next);
    assert_ptr_equal(queue_wait_one(&queue, 1000), &entries[2].item);
    assert_null(queue_wait_one(&queue, 0));
    assert_true(queue_put(&queue, &entries[0].item, QUEUE_REFUSES));
    assert_ptr_equal(queue_take_all(&queue, 0), &entries[0].item);
    queue_fini(&queue);
}

TEST(caps_refuse_at_once)
{
    struct queue queue;
    struct entry small[3] = {{.item.bytes = 60}, {.item.bytes = 40}, {.item.bytes = 1}};
    struct entry huge = {.item.bytes = SIZE_MAX}, none = {.item.bytes = 0};
    assert_true(queue_init(&queue, 3, 100));
    assert_true(queue_put(&queue, &small[0].item, QUEUE_REFUSES));
    assert_true(queue_put(&queue, &small[1].item, QUEUE_REFUSES));
    assert_false(queue_put(&queue, &small[2].item, QUEUE_REFUSES)); /* bytes */
    assert_true(queue_put(&queue, &none.item, QUEUE_REFUSES));
    assert_non_null(queue_take_all(&queue, 0));
    assert_true(queue_put(&queue, &huge.item, QUEUE_REFUSES)); /* alone, whatever its size */
    assert_false(queue_put(&queue, &small[2].item, QUEUE_REFUSES));
    assert_false(queue_put(&queue, &none.item, QUEUE_REFUSES));
    assert_non_null(queue_take_all(&queue, 0));
    queue_fini(&queue);

    assert_true(queue_init(&queue, 2, 100));
    assert_true(queue_put(&queue, &none.item, QUEUE_REFUSES));
    assert_true(queue_put(&queue, &small[2].item, QUEUE_REFUSES));
    assert_false(queue_put(&queue, &small[1].item, QUEUE_REFUSES)); /* count */
    assert_non_null(queue_take_all(&queue, 0));
    queue_fini(&queue);
}

TEST(closed_queue_gives_what_is_left)
{
    struct queue queue;
    struct entry entries[2] = {0};
    assert_true(queue_init(&queue, 10, 1000));
    assert_true(queue_put(&queue, &entries[0].item, QUEUE_REFUSES));
    assert_false(queue_is_closed(&queue));
    queue_close(&queue);
    assert_true(queue_is_closed(&queue));
    assert_false(queue_put(&queue, &entries[1].item, QUEUE_REFUSES));
    assert_false(queue_put(&queue, &entries[1].item, QUEUE_WAITS));
    assert_ptr_equal(queue_take_all(&queue, -1), &entries[0].item);
    assert_null(queue_take_all(&queue, -1));
    assert_null(queue_wait_one(&queue, -1));
    queue_fini(&queue);
}

TEST(waiting_ends_in_time)
{
    struct queue queue;
    assert_true(queue_init(&queue, 10, 1000));
    uint64_t before = clock_monotonic_us();
    assert_null(queue_take_all(&queue, 30));
    assert_null(queue_wait_one(&queue, 30));
    uint64_t passed = clock_monotonic_us() - before;
    assert_in_range(passed, 60 * 1000, 10 * 1000 * 1000);
    queue_fini(&queue);
}

static void count_wake(void *argument)
{
    struct queue *queue = ((void **)argument)[0];
    int *wakes = ((void **)argument)[1];
    size_t count, bytes;
    queue_fill(queue, &count, &bytes); /* would hang if the queue were locked */
    ++*wakes;
}

TEST(wakes_only_when_it_was_empty)
{
    struct queue queue;
    struct entry entries[3] = {0};
    int wakes = 0;
    void *argument[] = {&queue, &wakes};
    assert_true(queue_init(&queue, 2, 1000));
    queue_on_fill(&queue, count_wake, argument);
    assert_true(queue_put(&queue, &entries[0].item, QUEUE_REFUSES));
    assert_int_equal(wakes, 1);
    assert_true(queue_put(&queue, &entries[1].item, QUEUE_REFUSES));
    assert_false(queue_put(&queue, &entries[2].item, QUEUE_REFUSES));
    assert_int_equal(wakes, 1);
    assert_non_null(queue_take_all(&queue, 0));
    assert_true(queue_put(&queue, &entries[2].item, QUEUE_WAITS));
    assert_int_equal(wakes, 2);
    assert_non_null(queue_take_all(&queue, 0));
    queue_fini(&queue);
}

/* ---- threads ---- */

enum { PRODUCERS = 4, ITEMS = 5000, MAX_COUNT = 16, MAX_BYTES = 100 };

struct producer {
    pthread_t thread;
    struct queue *queue;
    int index;
    bool waits; /* puts with waiting, or else tries until there is room */
    struct entry entries[ITEMS];
};

static struct producer producers[PRODUCERS];

static void *produce(void *argument)
{
    struct producer *producer = argument;
    for (int i = 0; i < ITEMS; i++) {
        struct entry *entry = &producer->entries[i];
        *entry = (struct entry){{.bytes = (size_t)i % 120}, producer->index, i};
        if (producer->waits) {
            if (!queue_put(producer->queue, &entry->item, QUEUE_WAITS))
                return producer;
        } else {
            while (!queue_put(producer->queue, &entry->item, QUEUE_REFUSES))
                sched_yield();
        }
    }
    return NULL;
}

static void count_atomically(void *argument)
{
    atomic_fetch_add((_Atomic int *)argument, 1);
}

static void start_producers(struct queue *queue)
{
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i].queue = queue;
        producers[i].index = i;
        producers[i].waits = i % 2 == 0;
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
}

/* Takes from all producers; every one's items must come in its order, within the caps. */
static void consume(struct queue *queue, bool one_by_one)
{
    int next[PRODUCERS] = {0};
    for (int taken = 0; taken < PRODUCERS * ITEMS;) {
        struct queue_item *item =
            one_by_one ? queue_wait_one(queue, 10000) : queue_take_all(queue, 10000);
        assert_non_null(item);
        size_t bytes = 0, count = 0;
        for (; item; item = item->next, taken++) {
            struct entry *entry = entry_of(item);
            assert_int_equal(entry->number, next[entry->producer]++);
            bytes += item->bytes;
            count++;
        }
        assert_true(count <= MAX_COUNT);
        assert_true(bytes <= MAX_BYTES || count == 1);
    }
}

TEST(many_producers_one_consumer)
{
    for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
        struct queue queue;
        _Atomic int wakes = 0;
        assert_true(queue_init(&queue, MAX_COUNT, MAX_BYTES));
        queue_on_fill(&queue, count_atomically, &wakes);
        start_producers(&queue);
        consume(&queue, one_by_one);
        for (int i = 0; i < PRODUCERS; i++) {
            void *result;
            pthread_join(producers[i].thread, &result);
            assert_null(result);
        }
        assert_in_range(wakes, 1, PRODUCERS * ITEMS);
        assert_null(queue_take_all(&queue, 0));
        queue_fini(&queue);
    }
}

static void *put_one_waiting(void *argument)
{
    static struct entry entry;
    return queue_put(argument, &entry.item, QUEUE_WAITS) ? argument : NULL;
}

TEST(close_frees_a_waiting_producer)
{
    struct queue queue;
    struct entry first = {0};
    pthread_t thread;
    void *result = &queue;
    assert_true(queue_init(&queue, 1, 1000));
    assert_true(queue_put(&queue, &first.item, QUEUE_REFUSES));
    assert_int_equal(pthread_create(&thread, NULL, put_one_waiting, &queue), 0);
    sleep_ms(20);
    queue_close(&queue);
    pthread_join(thread, &result);
    assert_null(result);
    assert_ptr_equal(queue_take_all(&queue, 0), &first.item);
    queue_fini(&queue);
}

static void *take_for_ever(void *argument)
{
    while (queue_take_all(argument, -1))
        ;
    return NULL;
}

TEST(close_frees_a_waiting_taker)
{
    struct queue queue;
    struct entry entry = {0};
    pthread_t thread;
    assert_true(queue_init(&queue, 1, 1000));
    assert_int_equal(pthread_create(&thread, NULL, take_for_ever, &queue), 0);
    assert_true(queue_put(&queue, &entry.item, QUEUE_REFUSES));
    sleep_ms(20);
    queue_close(&queue);
    pthread_join(thread, NULL);
    queue_fini(&queue);
}

static void *nudge(void *argument)
{
    sleep_ms(20);
    queue_nudge(argument);
    return NULL;
}

TEST(a_nudge_ends_one_wait)
{
    struct queue queue;
    struct entry entry = {0};
    pthread_t thread;
    assert_true(queue_init(&queue, 10, 1000));
    queue_nudge(&queue); /* before the wait */
    assert_null(queue_take_all(&queue, -1));
    assert_int_equal(pthread_create(&thread, NULL, nudge, &queue), 0);
    assert_null(queue_take_all(&queue, -1)); /* and during it */
    pthread_join(thread, NULL);
    assert_true(queue_put(&queue, &entry.item, QUEUE_REFUSES));
    queue_nudge(&queue);
    assert_ptr_equal(queue_take_all(&queue, -1), &entry.item);
    assert_null(queue_take_all(&queue, 1)); /* that nudge is spent */
    queue_fini(&queue);
}
