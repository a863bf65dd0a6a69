/* Which batch another must come behind, of those that one connection publishes. */
#include "ingest/sent_order.h"
#include "memory_fault.h"
#include "test.h"

static struct sent_order order;

static void set_up(void)
{
    sent_order_init(&order);
}

static void tear_down(void)
{
    sent_order_fini(&order);
}

TEST_EACH(set_up, tear_down)

/* Behind which the next one of "p" comes; it stays under way. */
static struct sent_batch *send(int64_t number, int64_t behind)
{
    struct error error;
    int64_t after;
    struct sent_batch *batch = sent_order_add(&order, span_of("p"), number, &after, &error);
    assert_non_null(batch);
    if (after != behind)
        fail_msg("batch %lld comes behind %lld, not %lld", (long long)number, (long long)after,
                 (long long)behind);
    return batch;
}

static void end(struct sent_batch *batch, bool committed)
{
    sent_order_end(&order, batch, committed);
}

TEST(the_one_before_that_is_under_way)
{
    struct sent_batch *first = send(3, -1), *second = send(5, 3), *third = send(9, 5);
    end(first, true);
    struct sent_batch *again = send(5, -1), *between = send(6, 5);
    end(second, true);
    end(again, true);
    end(third, true);
    end(between, true);
    end(send(1, -1), true); /* nothing is known any more */
    assert_null(order.producers);
}

TEST(a_refused_one_stays_until_it_or_a_lower_one_comes_again)
{
    struct sent_batch *one = send(4, -1), *two = send(5, 4), *three = send(6, 5);
    end(one, false);
    end(two, false);
    end(three, false);
    struct sent_batch *skipping = send(6, 4); /* the lowest counts */
    end(skipping, false);
    struct sent_batch *again = send(4, -1);
    struct sent_batch *behind = send(5, 4);
    end(again, true);
    end(behind, true);
    end(send(7, -1), true);

    /* The refusal of an older one may come late: it was sent again meanwhile. */
    one = send(10, -1);
    two = send(11, 10);
    end(one, false);
    again = send(10, -1);
    end(two, false);
    end(again, true);
    behind = send(12, 11);
    struct sent_batch *eleven = send(11, -1);
    end(eleven, true);
    end(behind, false);
    end(send(13, 12), false); /* not sent again, so still refused */
    end(send(1, -1), true);
    assert_null(order.producers);
}

TEST(producers_do_not_disturb_each_other_and_are_bounded)
{
    struct error error;
    int64_t after;
    char name[16];
    for (int i = 0; i <= SENT_PRODUCERS; i++) {
        snprintf(name, sizeof name, "q%d", i);
        struct sent_batch *batch = sent_order_add(&order, span_of(name), 1, &after, &error);
        assert_non_null(batch);
        assert_int_equal(after, -1);
        end(batch, false);
        assert_int_equal(order.unknown, i == SENT_PRODUCERS);
    }
    assert_null(sent_order_add(&order, span_of("q1"), 1, &after, &error));
    assert_int_equal(error.code, ERROR_OUT_OF_ORDER);
}

TEST(without_memory_nothing_is_noted)
{
    struct error error;
    int64_t after;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        memory_fail_at(nth, 0);
        assert_null(sent_order_add(&order, span_of("p"), 1, &after, &error));
        memory_fail_at(0, 0);
        assert_int_equal(error.code, ERROR_MEMORY);
    }
    end(send(1, -1), true);
}
