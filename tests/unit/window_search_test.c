/* A search for the rows of a filter, part by part: what changes meanwhile is caught up in parts. */
#include "planted_window.h"
#include "test.h"

enum { ROWS = 25000, CHANGES = 9000 }; /* a part sees 20,000 rows, or takes 2,000 changes */

static void tear_down(void)
{
    close_hub();
    remove_file();
}

TEST_EACH(make_file, tear_down)

/* Run the next job and bring it back; what it cost. */
static int64_t do_job(void)
{
    int64_t before = steps_so_far();
    struct read_job *job = take_job();
    run_job(job);
    int64_t cost = steps_so_far() - before;
    bring_back(job);
    return cost;
}

static bool lacks_matches(void)
{
    return window_keeps_matches(window) && window->matching != MATCHES_KEPT;
}

/* Of many rows, none of which match: the first part is done. */
static void begin_search(void)
{
    open_hub();
    hub->options.refresh_us = 60 * 1000 * 1000; /* so that parts end by their rows alone */
    hub_fixture_feed_many(&fixture, ROWS, "patch {\"n\":2}");
    subscribe("\"filters\":{\"n\":1}");
    pull_all();
    do_job();
}

TEST(what_changes_during_a_search_is_no_refresh_of_its_own)
{
    begin_search();
    assert_true(lacks_matches());
    hub_fixture_feed_many(&fixture, CHANGES, "patch {\"m\":1}");
    hub_fixture_feed(&fixture, "Q k5000 patch {\"n\":1}\nQ k20000 patch {\"n\":1}\n");
    int64_t parts = 0, of_parts = 0;
    for (; lacks_matches(); parts++)
        of_parts += do_job();
    assert_true(parts >= CHANGES / 2000);
    int64_t of_refresh = do_job();
    assert_true(of_refresh < of_parts / 4);
    pull_all();
    assert_int_equal(window->content.rows.count, 2);
    assert_int_equal(window->content.position, window->matches->position);
}

/* An entity that changes again and again behind the parts is shown as it is in the end. */
TEST(what_changes_twice_during_a_search_is_shown_as_it_is)
{
    begin_search();
    hub_fixture_feed(&fixture, "Q k1 patch {\"n\":1}\nQ k2 patch {\"n\":1}\n");
    hub_fixture_feed_many(&fixture, CHANGES, "patch {\"m\":1}");
    do_job();
    do_job();
    hub_fixture_feed(&fixture, "Q k1 patch {\"n\":3}\nQ k3 patch {\"n\":1}\nQ k2 delete\n");
    settle();
    assert_int_equal(window->content.rows.count, 1);
    assert_true(span_equal(window_row_key(window->content.rows.list[0]), span_of("k3")));
}

/* Parts have their turn among those of others: more may change meanwhile than a part takes. */
TEST(a_search_ends_where_more_changes_between_parts_than_a_part_takes)
{
    begin_search();
    int parts = 0;
    for (; lacks_matches() && parts < 10; parts++) {
        hub_fixture_feed_many(&fixture, CHANGES / 3, "patch {\"m\":1}");
        do_job();
    }
    assert_false(lacks_matches());
    hub_fixture_feed(&fixture, "Q k5000 patch {\"n\":1}\n");
    settle();
    assert_int_equal(window->content.rows.count, 1);
}
