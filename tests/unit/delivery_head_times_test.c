/* Where the head of the log was, and when: against all heads, noted one by one. */
#include "delivery/head_times.h"
#include "random.h"
#include "test.h"

#define SECOND ((uint64_t)1000 * 1000)

static struct head_times times;

static void start(void)
{
    memset(&times, 0, sizeof times);
}

static void note(int64_t change, int64_t slot, uint64_t us)
{
    head_times_note(&times, (struct head_time){.change = change, .slot = slot, .us = us});
}

TEST_EACH(start, NULL)

TEST(the_head_is_not_behind)
{
    note(5, 50, 100 * SECOND);
    assert_true(head_times_since(&times, 5, 200 * SECOND) == 0);
    assert_true(head_times_since(&times, 6, 200 * SECOND) == 0);
    assert_int_equal(head_times_slot(&times, 5), 50);
}

TEST(what_was_there_before_the_first_note_is_not_known)
{
    note(5, 50, 100 * SECOND);
    note(9, 90, 110 * SECOND);
    assert_true(head_times_since(&times, 4, 200 * SECOND) == -1);
    assert_int_equal(head_times_slot(&times, 4), -1);
    assert_true(head_times_since(&times, 5, 200 * SECOND) == 90);
    assert_int_equal(head_times_slot(&times, 5), 50);
}

/* Commits within a second of the last note have none, and the newest one counts all the same. */
TEST(the_newest_commit_counts_without_a_note)
{
    note(1, 10, 100 * SECOND);
    note(2, 20, 100 * SECOND + 10);
    note(3, 30, 100 * SECOND + 20);
    assert_int_equal(times.next, 1);
    assert_true(head_times_since(&times, 2, 105 * SECOND + 20) == 5);
    assert_true(head_times_since(&times, 1, 105 * SECOND + 20) == 5);
    assert_int_equal(head_times_slot(&times, 2), 10);
}

/* However long nothing came behind it. */
TEST(a_commit_without_a_note_is_not_taken_for_the_next_note)
{
    note(1, 10, 100 * SECOND);
    note(2, 20, 100 * SECOND + 10);
    note(3, 30, 5000 * SECOND);
    assert_true(head_times_since(&times, 1, 5001 * SECOND) == 4900);
    assert_true(head_times_since(&times, 2, 5001 * SECOND) == 1);
}

TEST(the_oldest_notes_go)
{
    for (int64_t i = 1; i <= HEAD_TIMES + 10; i++)
        note(i, i, (uint64_t)i * SECOND);
    assert_int_equal(times.next - times.first, HEAD_TIMES);
    uint64_t now = (uint64_t)(HEAD_TIMES + 10) * SECOND;
    assert_true(head_times_since(&times, 10, now) == -1);
    assert_true(head_times_since(&times, 11, now) == HEAD_TIMES - 2);
}

TEST(seconds_and_slots_are_right_within_what_a_second_brings)
{
    enum { COMMITS = 20000 };
    static struct head_time all[COMMITS];
    uint64_t us = 1000 * SECOND;
    int64_t change = 0, slot = 0;
    random_start(7);
    for (int i = 0; i < COMMITS; i++) {
        us += random_below(random_below(20) ? 200 * 1000 : 3 * SECOND);
        change += 1 + random_below(5);
        slot += random_below(3);
        all[i] = (struct head_time){.change = change, .slot = slot, .us = us};
        note(change, slot, us);
    }
    for (int i = 0, second = 0; i + 1 < COMMITS; i++) {
        while (all[second + 1].us + SECOND <= all[i].us)
            second++;
        double since = head_times_since(&times, all[i].change, us);
        double right = (double)(us - all[i + 1].us) / 1e6;
        int64_t found = head_times_slot(&times, all[i].change);
        if (since < 0)
            assert_true(right > HEAD_TIMES - 1);
        else
            assert_true(since <= right && right - since <= 1);
        assert_true(found <= all[i].slot && found >= all[second].slot);
    }
}
