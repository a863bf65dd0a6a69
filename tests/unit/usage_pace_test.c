/* How often attempts are made: after failures, by chance, and as the endpoint asks. */
#include "test.h"
#include "usage/usage_internal.h"

TEST(attempts_become_rare_up_to_a_cap)
{
    struct usage_pace pace;
    uint64_t now = 5000, expected = USAGE_BACK_OFF_MS;
    pace = (struct usage_pace){.seed = 1};
    assert_true(usage_pace_may_send(&pace, now, USAGE_AT_ONCE - 1));
    assert_false(usage_pace_may_send(&pace, now, USAGE_AT_ONCE));
    for (uint32_t i = 0; i < 50; i++) {
        uint64_t wait = usage_pace_failed(&pace, now, i, 0);
        assert_in_range(wait, expected / 2, expected);
        assert_false(usage_pace_may_send(&pace, now + wait - 1, 0));
        assert_true(usage_pace_may_send(&pace, now + wait, 0));
        assert_false(usage_pace_may_send(&pace, now + wait, 1)); /* one at a time */
        now += wait;
        expected = expected * 2 < USAGE_BACK_OFF_MOST_MS ? expected * 2 : USAGE_BACK_OFF_MOST_MS;
    }
    pace.failures = 0;
    assert_true(usage_pace_may_send(&pace, now, 1));
    assert_in_range(usage_pace_failed(&pace, now, 0, 0), USAGE_BACK_OFF_MS / 2, USAGE_BACK_OFF_MS);
}

TEST(chance_spreads_them)
{
    bool low = false, high = false;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct usage_pace pace;
        pace = (struct usage_pace){.seed = seed};
        uint64_t wait = usage_pace_failed(&pace, 0, 0, 0);
        low = low || wait < 600;
        high = high || wait > 900;
    }
    assert_true(low && high);
}

TEST(those_that_fail_together_are_one_failure)
{
    struct usage_pace pace;
    pace = (struct usage_pace){.seed = 1};
    uint64_t first = usage_pace_failed(&pace, 1000, 0, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(usage_pace_failed(&pace, 1000, 0, 0), first);
    assert_int_equal(pace.failures, 1);
}

TEST(the_endpoint_may_ask_for_more)
{
    struct usage_pace pace;
    pace = (struct usage_pace){.seed = 1};
    assert_int_equal(usage_pace_failed(&pace, 1000, 0, 90), 90 * 1000);
    assert_int_equal(usage_pace_failed(&pace, 1000, 1, INT64_MAX), USAGE_RETRY_AFTER_MOST_MS);
    assert_in_range(usage_pace_failed(&pace, 1000000, 2, -5), 2000, 4000);
}
