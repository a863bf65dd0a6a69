/* The roster: readers find what stays once, whatever comes and goes between their steps. */
#include "base/roster.h"
#include "random.h"
#include "test.h"

enum { THINGS = 400, STEPS = 60000, READERS = 5 };

struct thing {
    struct roster_item item;
    bool there;
};

static struct thing *thing_of(struct roster_item *item)
{
    return LINK_OWNER(struct thing, item, item);
}

static void add(struct roster *roster, struct thing *thing)
{
    roster_add(roster, &thing->item, roster_number(roster));
    thing->there = true;
}

TEST(items_come_in_the_order_of_their_numbers)
{
    struct roster roster;
    struct thing things[3] = {0};
    struct roster_place place = {0};
    size_t budget = 100;
    roster_init(&roster);
    uint64_t first = roster_number(&roster), second = roster_number(&roster);
    roster_add(&roster, &things[1].item, second);
    roster_add(&roster, &things[0].item, first);
    add(&roster, &things[2]);
    roster_start(&roster, &place, 0);
    for (uint64_t number = 1; number <= 3; number++)
        assert_int_equal(roster_next(&roster, &place, &budget)->number, number);
    assert_null(roster_next(&roster, &place, &budget));
    assert_int_equal(budget, 97);
    roster_end(&place);
    roster_start(&roster, &place, 2);
    assert_ptr_equal(roster_next(&roster, &place, &budget), &things[2].item);
    roster_end(&place);
    roster_end(&place);
}

TEST(a_budget_stops_and_the_next_one_goes_on)
{
    struct roster roster;
    struct thing things[10] = {0};
    struct roster_place place = {0};
    roster_init(&roster);
    for (int i = 0; i < 10; i++)
        add(&roster, &things[i]);
    roster_start(&roster, &place, 7);
    size_t budget = 5;
    assert_null(roster_next(&roster, &place, &budget));
    assert_int_equal(budget, 0);
    assert_null(roster_next(&roster, &place, &budget));
    budget = 5;
    assert_int_equal(roster_next(&roster, &place, &budget)->number, 8);
    assert_int_equal(budget, 2);
    roster_end(&place);
}

/* One that comes behind a reader who is at the end is found, too. */
TEST(who_comes_behind_a_waiting_reader_is_found)
{
    struct roster roster;
    struct thing things[2] = {0};
    struct roster_place place = {0};
    size_t budget = 100;
    roster_init(&roster);
    add(&roster, &things[0]);
    roster_start(&roster, &place, 0);
    assert_ptr_equal(roster_next(&roster, &place, &budget), &things[0].item);
    assert_null(roster_next(&roster, &place, &budget));
    add(&roster, &things[1]);
    assert_ptr_equal(roster_next(&roster, &place, &budget), &things[1].item);
    roster_end(&place);
}

/* A thing that becomes another keeps its number: whoever has found the one passes over the other.
 */
TEST(who_takes_a_number_over_is_found_once)
{
    for (int seen = 0; seen <= 1; seen++) {
        struct roster roster;
        struct thing before = {0}, after = {0}, last = {0};
        struct roster_place place = {0};
        size_t budget = 100;
        roster_init(&roster);
        add(&roster, &before);
        add(&roster, &last);
        roster_start(&roster, &place, 0);
        if (seen)
            assert_ptr_equal(roster_next(&roster, &place, &budget), &before.item);
        roster_add(&roster, &after.item, before.item.number);
        roster_remove(&before.item);
        if (!seen)
            assert_ptr_equal(roster_next(&roster, &place, &budget), &after.item);
        assert_ptr_equal(roster_next(&roster, &place, &budget), &last.item);
        assert_null(roster_next(&roster, &place, &budget));
        roster_end(&place);
    }
}

/* ---- a model: readers at any step of their way, while things come and go ---- */

struct reader {
    struct roster_place place;
    bool reads;
    bool stayed[THINGS]; /* since it began */
    bool found[THINGS];
};

static void check_read(const struct reader *reader)
{
    for (size_t i = 0; i < THINGS; i++)
        if (reader->stayed[i])
            assert_true(reader->found[i]);
}

static void step_reader(struct roster *roster, struct reader *reader, struct thing *things)
{
    if (!reader->reads) {
        memset(reader, 0, sizeof *reader);
        reader->reads = true;
        for (size_t i = 0; i < THINGS; i++)
            reader->stayed[i] = things[i].there;
        roster_start(roster, &reader->place, 0);
        return;
    }
    size_t budget = random_below(40);
    struct roster_item *item;
    while ((item = roster_next(roster, &reader->place, &budget))) {
        size_t which = (size_t)(thing_of(item) - things);
        assert_true(things[which].there);
        assert_false(reader->found[which] && reader->stayed[which]);
        reader->found[which] = true;
    }
    if (!budget)
        return;
    check_read(reader);
    roster_end(&reader->place);
    reader->reads = false;
}

TEST(what_stays_is_found_exactly_once)
{
    static struct thing things[THINGS];
    static struct reader readers[READERS];
    struct roster roster;
    roster_init(&roster);
    random_start(1);
    for (int step = 0; step < STEPS; step++) {
        size_t which = random_below(THINGS);
        if (things[which].there) {
            roster_remove(&things[which].item);
            things[which].there = false;
            for (int i = 0; i < READERS; i++)
                readers[i].stayed[which] = false;
        } else {
            add(&roster, &things[which]);
        }
        if (random_below(3) == 0)
            step_reader(&roster, &readers[random_below(READERS)], things);
    }
    for (int i = 0; i < READERS; i++)
        roster_end(&readers[i].place);
}
