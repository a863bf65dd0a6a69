/*
 * Requests that merge large entities wait while others write: what passes them, and what never
 * does. The writer is held up by a job until all that a test sends is in its queue, so what it
 * finds there does not depend on the time.
 * STELE_SEED repeats a run; a failure prints its seed.
 */
#include "engine_fixture.h"

#include <inttypes.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <unistd.h>

enum { LARGE = 2 << 20, MOST = 400, NAME = 24, SENDERS = 6, REQUESTS = 25, ROUNDS = 6, TIMES = 8 };

struct hold {
    struct write_job job;
    sem_t go;
    bool done;
};

struct test {
    struct fixture fixture;
    struct hold hold;
    struct outcome outcomes[MOST];
    size_t sent;
    int times;             /* it was begun anew */
    char told[MOST][NAME]; /* keys of the changes, in order; of those whose name is not "big…" */
    size_t told_count;
};

static uint64_t seed, random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % bound;
}

/* ---- holding the writer up ---- */

static bool wait_here(struct write_job *job, struct store_writer *store, struct error *error)
{
    (void)store;
    (void)error;
    sem_wait(&((struct hold *)job)->go);
    return true;
}

static void held(struct engine_event *event)
{
    ((struct hold *)event)->done = true;
}

static void hold(struct test *test)
{
    test->hold = (struct hold){.job = {.event.deliver = held, .run = wait_here}};
    sem_init(&test->hold.go, 0, 0);
    assert_true(engine_write(test->fixture.engine, &test->hold.job));
}

/* ---- requests ---- */

static void note(void *argument, const struct change *change)
{
    struct test *test = argument;
    struct span key = change_key(change);
    if (key.length >= 3 && memcmp(key.data, "big", 3) == 0)
        return;
    assert_true(test->told_count < MOST && key.length < NAME);
    memcpy(test->told[test->told_count++], key.data, key.length);
}

static void send(struct test *test, uint64_t sender, uint64_t owner, const char *text)
{
    struct error error;
    assert_true(test->sent < MOST);
    struct submission *submission = fixture_submission(text, &test->outcomes[test->sent++]);
    submission->sender = sender;
    submission->share_owner = owner;
    while (!engine_submit(test->fixture.engine, submission, &error)) { /* a small queue is full */
        assert_int_equal(error.code, ERROR_QUEUE_FULL);
        usleep(1000);
    }
}

static void send_small(struct test *test, uint64_t sender, const char *key)
{
    char text[64];
    snprintf(text, sizeof text, "E %s patch {\"n\":1}\n", key);
    send(test, sender, sender, text);
}

/* The small entity is told first, and by it the request is known. */
static void send_large(struct test *test, uint64_t sender, uint64_t owner, const char *key)
{
    char text[128];
    snprintf(text, sizeof text, "E %s patch {\"n\":1}\nE big%u patch {\"n\":2}\n", key,
             random_below(2));
    send(test, sender, owner, text);
}

static void let_go(struct test *test)
{
    sem_post(&test->hold.go);
    fixture_wait(&test->fixture, &test->hold.done);
    sem_destroy(&test->hold.go);
}

static void wait_for_all(struct test *test)
{
    for (size_t i = 0; i < test->sent; i++)
        fixture_wait(&test->fixture, &test->outcomes[i].done);
}

/* ---- the fixture ---- */

/* A writer that knows of no large request. */
static void begin_anew(struct test *test)
{
    fixture_close(&test->fixture);
    test->fixture.drained = false;
    test->sent = test->told_count = 0;
    test->times++;
    memset(test->told, 0, sizeof test->told);
    fixture_open(&test->fixture);
}

static void put_large(struct test *test, const char *key)
{
    struct buffer text;
    buffer_init(&text, LARGE * 2);
    buffer_printf(&text, "E %s upsert {\"t\":\"", key);
    for (size_t i = 0; i < LARGE; i++)
        buffer_add_char(&text, 'x');
    buffer_add_string(&text, "\"}\n");
    assert_int_equal(fixture_apply(&test->fixture, buffer_string(&text)).error.code, ERROR_NONE);
    buffer_fini(&text);
}

static int set_up(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    fixture_init(&test->fixture);
    test->fixture.options.max_entity_bytes = LARGE * 2;
    test->fixture.options.max_merge_bytes = LARGE + LARGE / 2;
    test->fixture.options.cache_bytes = LARGE * 8;
    test->fixture.on_change = note;
    test->fixture.on_change_argument = test;
    fixture_open(&test->fixture);
    put_large(test, "big0");
    put_large(test, "big1");
    begin_anew(test);
    *state = test;
    return 0;
}

static void add_finding(void *argument, const char *line)
{
    fprintf(stderr, "%s\n", line);
    ++*(size_t *)argument;
}

static int tear_down(void **state)
{
    struct test *test = *state;
    struct error error;
    size_t findings = 0;
    if (test->fixture.engine)
        fixture_close(&test->fixture);
    assert_true(engine_check(test->fixture.path, add_finding, &findings, &error));
    assert_int_equal(findings, 0);
    fixture_fini(&test->fixture);
    free(test);
    return 0;
}

/*
 * The small entities are told in that order. A writer that got no processor for many milliseconds
 * may find that a large request has waited long enough, so one time of several is enough.
 */
static void assert_order(struct test *test, void (*send_all)(struct test *test), const char *wanted)
{
    struct buffer told;
    buffer_init(&told, 1 << 16);
    for (int i = 0; i < TIMES; i++) {
        begin_anew(test);
        hold(test);
        send_all(test);
        let_go(test);
        wait_for_all(test);
        buffer_clear(&told);
        for (size_t k = 0; k < test->told_count; k++)
            buffer_printf(&told, k ? " %s" : "%s", test->told[k]);
        if (strcmp(buffer_string(&told), wanted) == 0)
            break;
    }
    assert_string_equal(buffer_string(&told), wanted);
    buffer_fini(&told);
}

/* ---- the tests ---- */

static void send_beside_others(struct test *test)
{
    send_small(test, 2, "a");
    send_large(test, 1, 1, "one");
    send_small(test, 2, "b");
    send_large(test, 3, 3, "two");
    send_small(test, 2, "c");
    send_small(test, 4, "d");
}

static void small_ones_of_others_pass(void **state)
{
    struct test *test = *state;
    assert_order(test, send_beside_others, "a one b c d two");
}

/* The last two wait behind the third, which is of their sender. */
static void send_more_behind(struct test *test)
{
    send_large(test, 1, 1, "one");
    send_small(test, 2, "a");
    char text[128];
    snprintf(text, sizeof text,
             "@p%d 1\nE two patch {\"n\":1}\nE big0 patch {\"n\":3}\nNew x patch {}\n",
             test->times);
    send(test, 3, 3, text);
    snprintf(text, sizeof text, "@p%d 2\nE three patch {\"n\":1}\n", test->times);
    send(test, 3, 3, text);
    send_large(test, 3, 3, "four");
    send_small(test, 2, "b");
}

static void what_a_sender_sends_stays_in_order(void **state)
{
    struct test *test = *state;
    assert_order(test, send_more_behind, "one a b two x three four");
    assert_int_equal(test->outcomes[2].applied, 3);
    assert_int_equal(test->outcomes[3].applied, 1);
    assert_int_equal(test->outcomes[3].duplicate, 0);
}

static void send_of_two_owners(struct test *test)
{
    send_large(test, 1, 1, "one");
    send_small(test, 2, "a");
    for (uint64_t i = 0; i < 4; i++) {
        char key[NAME];
        snprintf(key, sizeof key, "of7-%d", (int)i);
        send_large(test, 10 + i, 7, key);
    }
    send_large(test, 20, 8, "of8");
}

static void owners_take_turns(void **state)
{
    struct test *test = *state;
    assert_order(test, send_of_two_owners, "one a of7-0 of8 of7-1 of7-2 of7-3");
}

/* It would merge too much: it waits, is refused then, and holds up nothing. */
static void send_too_much(struct test *test)
{
    send_large(test, 1, 1, "one");
    send_small(test, 2, "a");
    send(test, 3, 3,
         "E two patch {\"n\":1}\nNew x patch {\"n\":1}\nE big0 patch {\"n\":3}\n"
         "E big1 patch {\"n\":3}\nE big0 upsert {\"n\":3}\n");
    send_small(test, 3, "three");
}

static void one_that_is_refused_leaves_nothing(void **state)
{
    struct test *test = *state;
    assert_order(test, send_too_much, "one a three");
    assert_int_equal(test->outcomes[2].error.code, ERROR_TOO_LARGE);
    assert_int_equal(test->outcomes[2].applied, 0);
}

static void what_waits_is_written_before_the_end(void **state)
{
    struct test *test = *state;
    hold(test);
    send_large(test, 1, 1, "one");
    send_small(test, 2, "a");
    send_large(test, 3, 3, "two");
    send_small(test, 3, "three");
    engine_drain(test->fixture.engine);
    let_go(test);
    fixture_wait(&test->fixture, &test->fixture.drained);
    for (size_t i = 0; i < test->sent; i++) {
        assert_true(test->outcomes[i].done);
        assert_int_equal(test->outcomes[i].error.code, ERROR_NONE);
    }
    assert_int_equal(test->told_count, 4);
}

/* Whoever writes what beside whom: all of it is written, each sender's in its order. */
static void all_in_order_whoever_writes(void **state)
{
    struct test *test = *state;
    int next[SENDERS] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        bool is_held = random_below(2);
        if (is_held)
            hold(test);
        for (int i = 0; i < REQUESTS; i++) {
            uint32_t sender = random_below(SENDERS);
            char key[NAME];
            snprintf(key, sizeof key, "%u-%d", sender, next[sender]++);
            if (random_below(3))
                send_small(test, sender, key);
            else
                send_large(test, sender, sender % 2, key);
        }
        if (is_held)
            let_go(test);
    }
    wait_for_all(test);
    int seen[SENDERS] = {0};
    for (size_t i = 0; i < test->told_count; i++) {
        unsigned sender;
        int number;
        assert_int_equal(sscanf(test->told[i], "%u-%d", &sender, &number), 2);
        if (number != seen[sender]++)
            fail_msg("STELE_SEED=%" PRIu64 ": %s came as number %d", seed, test->told[i],
                     seen[sender] - 1);
    }
    assert_int_equal(test->told_count, REQUESTS * ROUNDS);
}

/* Where all that may wait waits, the next goes on at once: it is not tried again and again. */
static void a_full_wait_is_not_tried_in_vain(void **state)
{
    struct test *test = *state;
    char key[NAME];
    test->fixture.options.queue_count = 8;
    begin_anew(test);
    hold(test);
    send_large(test, 1, 1, "one");
    send_small(test, 2, "a");
    send_large(test, 3, 3, "two");
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "s%d", i);
        send_small(test, 3, key);
    }
    let_go(test);
    fixture_wait(&test->fixture, &test->outcomes[1].done);
    for (int i = 4; i < 8; i++) {
        snprintf(key, sizeof key, "s%d", i);
        send_small(test, 3, key);
    }
    send_small(test, 5, "other");
    wait_for_all(test);
    assert_true(counter_get(&engine_metrics(test->fixture.engine)->commits) < 100);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_wait_is_not_tried_in_vain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_ones_of_others_pass, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_sender_sends_stays_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(owners_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_refused_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_waits_is_written_before_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_in_order_whoever_writes, set_up, tear_down),
    };
    const char *given = getenv("STELE_SEED");
    seed = given ? strtoull(given, NULL, 10) : clock_monotonic_us();
    random_state = seed | 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
