/*
 * The sweep that the fault tests use: it fails every place, each once, and what is left out is only
 * what a loop does again.
 */
#include "base/memory.h"
#include "fault_sweep.h"
#include "test.h"

enum { PLACES = 5, TIMES = 10 };

/* How often each place got nothing, and the place that was the first of its run. */
static int refused[PLACES], first_refused[PLACES];
static bool refused_one;

/* Not inlined, and not in common: each call of it has a stack of its own. */
static __attribute__((noinline)) bool get(int place)
{
    void *memory = memory_alloc(8);
    memory_free(memory);
    refused[place] += !memory;
    first_refused[place] += !memory && !refused_one;
    refused_one = refused_one || !memory;
    return memory != NULL;
}

/* Two ways to one function, a loop, and what is only done when a place before it failed. */
static __attribute__((noinline)) void act(void)
{
    bool good = get(0);
    good = get(1) && good;
    for (int i = 0; i < TIMES; i++)
        good = get(2) && good;
    if (!good)
        (void)get(3);
    good = get(4) && good;
}

static void sweep_act(int sticky)
{
    for (int i = 0; i < PLACES; i++)
        refused[i] = first_refused[i] = 0;
    sweep_begin(sticky);
    while (sweep_goes_on()) {
        refused_one = false;
        sweep_arm();
        act();
        bool hit = sweep_disarm();
        assert_int_equal(hit, refused_one);
    }
    sweep_end();
}

TEST(every_place_is_the_first_to_fail_once)
{
    for (int sticky = 0; sticky < 2; sticky++) {
        sweep_act(sticky);
        assert_int_equal(first_refused[0], 1);
        assert_int_equal(first_refused[1], 1);
        assert_int_equal(first_refused[2], SWEEP_PASSES);
        assert_int_equal(first_refused[3], 0); /* it is there only when one has failed */
        assert_int_equal(first_refused[4], 1);
        /* Then one run finds no more, and one looks at all again. */
        assert_int_equal(sweep_run(), 3 + SWEEP_PASSES + 2);
        /* By itself, or with all that follow. */
        assert_int_equal(refused[4], sticky ? 3 + SWEEP_PASSES : 1);
        assert_int_equal(refused[3], sticky ? 2 + SWEEP_PASSES : 0);
    }
}

TEST_WITH(an_exhaustive_one_fails_every_allocation, NULL, NULL)
{
    assert_int_equal(setenv("STELE_SEEDS", "1000", 1), 0);
    sweep_act(0);
    assert_int_equal(first_refused[0], 1);
    assert_int_equal(first_refused[2], TIMES);
    assert_int_equal(first_refused[4], 1);
    assert_int_equal(sweep_run(), TIMES + 3 + 2);
}

static void set_up(void)
{
    assert_int_equal(unsetenv("STELE_SEEDS"), 0);
}

TEST_EACH(set_up, NULL)
