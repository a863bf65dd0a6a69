/* Who is next among the jobs of readers: owners take turns, brief ones go first, none starves. */
#include "engine/read_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MOST = 1000 };

static struct read_job jobs[MOST];
static size_t job_count;

static void put(struct read_queue *queue, uint64_t owner, bool is_long)
{
    struct read_job *job = &jobs[job_count++];
    *job = (struct read_job){.owner = owner, .is_long = is_long};
    assert_true(read_queue_put(queue, job));
}

/* The next job is this owner's, and of this kind; it runs to its end. */
static void next_is(struct read_queue *queue, uint64_t owner, bool is_long)
{
    struct read_job *job = read_queue_take(queue);
    assert_non_null(job);
    assert_int_equal(job->owner, owner);
    assert_int_equal(job->is_long, is_long);
    read_queue_ran(queue, is_long);
}

static int set_up(void **state)
{
    static struct read_queue queue;
    assert_true(read_queue_init(&queue, 2, MOST));
    job_count = 0;
    *state = &queue;
    return 0;
}

static int tear_down(void **state)
{
    struct read_queue *queue = *state;
    read_queue_close(queue);
    assert_null(read_queue_take(queue));
    read_queue_fini(queue);
    return 0;
}

static void owners_take_turns(void **state)
{
    struct read_queue *queue = *state;
    for (int i = 0; i < 60; i++)
        put(queue, 7, false);
    put(queue, 8, false);
    put(queue, 9, false);
    put(queue, 8, false);
    next_is(queue, 7, false);
    next_is(queue, 8, false);
    next_is(queue, 9, false);
    next_is(queue, 7, false);
    next_is(queue, 8, false);
    for (int i = 0; i < 58; i++)
        next_is(queue, 7, false);
}

static void brief_ones_go_first_and_long_ones_in_time(void **state)
{
    struct read_queue *queue = *state;
    for (int i = 0; i < 60; i++)
        put(queue, 7, true);
    next_is(queue, 7, true);
    put(queue, 7, false);
    next_is(queue, 7, false);
    for (int i = 0; i < 20; i++)
        put(queue, 8, false);
    int brief = 0;
    for (int i = 0; i < 24; i++) {
        struct read_job *job = read_queue_take(queue);
        brief += !job->is_long;
        read_queue_ran(queue, job->is_long);
    }
    assert_true(brief >= 19 && brief <= 20);
    for (int i = 24; i < 60 - 1 + 20; i++)
        read_queue_ran(queue, read_queue_take(queue)->is_long);
}

/* While a long one runs, the other reader takes brief ones alone. */
static void one_reader_is_left_for_brief_ones(void **state)
{
    struct read_queue *queue = *state;
    put(queue, 7, true);
    put(queue, 8, true);
    struct read_job *running = read_queue_take(queue);
    assert_true(running->is_long);
    for (int i = 0; i < 50; i++)
        put(queue, 9, false);
    for (int i = 0; i < 50; i++)
        next_is(queue, 9, false);
    put(queue, 9, false);
    next_is(queue, 9, false);
    read_queue_ran(queue, true);
    next_is(queue, 8, true);
}

static void what_is_for_everybody_has_every_second_turn(void **state)
{
    struct read_queue *queue = *state;
    for (uint64_t owner = 1; owner <= 20; owner++)
        put(queue, owner, false);
    put(queue, 0, false);
    put(queue, 0, false);
    next_is(queue, 0, false);
    next_is(queue, 1, false);
    next_is(queue, 0, false);
    for (uint64_t owner = 2; owner <= 20; owner++)
        next_is(queue, owner, false);
}

static void a_full_or_closed_one_takes_nothing(void **state)
{
    struct read_queue *queue = *state;
    struct read_job more = {.owner = 1};
    for (int i = 0; i < MOST; i++)
        put(queue, (uint64_t)i, i % 3 == 0);
    assert_false(read_queue_put(queue, &more));
    read_queue_close(queue);
    assert_false(read_queue_put(queue, &more));
    for (int i = 0; i < MOST; i++)
        assert_non_null(read_queue_take(queue)); /* what is left is run, long ones side by side */
    for (int i = 0; i < MOST; i++)
        read_queue_ran(queue, i % 3 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(owners_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(brief_ones_go_first_and_long_ones_in_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_reader_is_left_for_brief_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_for_everybody_has_every_second_turn, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_or_closed_one_takes_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
