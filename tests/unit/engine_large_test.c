/*
 * Requests that merge large entities wait while others write: what passes them, and what never
 * does. The writer is held up by a job until all that a test sends is in its queue, so what it
 * finds there does not depend on the time.
 * STELE_SEED repeats a run; a failure prints its seed.
 */
#include "engine_fixture.h"
#include "random.h"
#include "test.h"

#include <semaphore.h>

enum { LARGE = 2 << 20, MOST = 400, NAME = 24, SENDERS = 6, REQUESTS = 25, ROUNDS = 6, TIMES = 8 };

struct hold {
    struct write_job job;
    sem_t go;
    bool done;
};

static struct test {
    struct fixture fixture;
    struct hold hold;
    struct outcome outcomes[MOST];
    size_t sent;
    int times;             /* it was begun anew */
    char told[MOST][NAME]; /* keys of the changes, in order; of those whose name is not "big…" */
    size_t told_count;
} * test;

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

static void hold(void)
{
    test->hold = (struct hold){.job = {.event.deliver = held, .run = wait_here}};
    sem_init(&test->hold.go, 0, 0);
    assert_true(engine_write(test->fixture.engine, &test->hold.job));
}

/* ---- requests ---- */

static void note(void *argument, const struct change *change)
{
    (void)argument;
    struct span key = change_key(change);
    if (key.length >= 3 && memcmp(key.data, "big", 3) == 0)
        return;
    assert_true(test->told_count < MOST && key.length < NAME);
    memcpy(test->told[test->told_count++], key.data, key.length);
}

static void send(uint64_t sender, uint64_t owner, const char *text)
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

static void send_small(uint64_t sender, const char *key)
{
    char text[64];
    snprintf(text, sizeof text, "E %s patch {\"n\":1}\n", key);
    send(sender, sender, text);
}

/* The small entity is told first, and by it the request is known. */
static void send_large(uint64_t sender, uint64_t owner, const char *key)
{
    char text[128];
    snprintf(text, sizeof text, "E %s patch {\"n\":1}\nE big%u patch {\"n\":2}\n", key,
             random_below(2));
    send(sender, owner, text);
}

static void let_go(void)
{
    sem_post(&test->hold.go);
    fixture_wait(&test->fixture, &test->hold.done);
    sem_destroy(&test->hold.go);
}

static void wait_for_all(void)
{
    for (size_t i = 0; i < test->sent; i++)
        fixture_wait(&test->fixture, &test->outcomes[i].done);
}

/* ---- the fixture ---- */

/* A writer that knows of no large request. */
static void begin_anew(void)
{
    fixture_close(&test->fixture);
    test->fixture.drained = false;
    test->sent = test->told_count = 0;
    test->times++;
    memset(test->told, 0, sizeof test->told);
    fixture_open(&test->fixture);
}

static void put_large(const char *key)
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

static void set_up(void)
{
    test = calloc(1, sizeof *test);
    fixture_init(&test->fixture);
    test->fixture.options.max_entity_bytes = LARGE * 2;
    test->fixture.options.max_merge_bytes = LARGE + LARGE / 2;
    test->fixture.options.cache_bytes = LARGE * 8;
    test->fixture.on_change = note;
    test->fixture.on_change_argument = test;
    fixture_open(&test->fixture);
    put_large("big0");
    put_large("big1");
    begin_anew();
}

static void add_finding(void *argument, const char *line)
{
    fprintf(stderr, "%s\n", line);
    ++*(size_t *)argument;
}

static void tear_down(void)
{
    struct error error;
    size_t findings = 0;
    if (test->fixture.engine)
        fixture_close(&test->fixture);
    assert_true(engine_check(test->fixture.path, add_finding, &findings, &error));
    assert_int_equal(findings, 0);
    fixture_fini(&test->fixture);
    free(test);
}

TEST_ALL(random_start_anew, NULL)
TEST_EACH(set_up, tear_down)

/*
 * The small entities are told in that order. A writer that got no processor for many milliseconds
 * may find that a large request has waited long enough, so one time of several is enough.
 */
static void assert_order(void (*send_all)(void), const char *wanted)
{
    struct buffer told;
    buffer_init(&told, 1 << 16);
    for (int i = 0; i < TIMES; i++) {
        begin_anew();
        hold();
        send_all();
        let_go();
        wait_for_all();
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

static void send_beside_others(void)
{
    send_small(2, "a");
    send_large(1, 1, "one");
    send_small(2, "b");
    send_large(3, 3, "two");
    send_small(2, "c");
    send_small(4, "d");
}

TEST(small_ones_of_others_pass)
{
    assert_order(send_beside_others, "a one b c d two");
}

/* The last two wait behind the third, which is of their sender. */
static void send_more_behind(void)
{
    send_large(1, 1, "one");
    send_small(2, "a");
    char text[128];
    snprintf(text, sizeof text,
             "@p%d 1\nE two patch {\"n\":1}\nE big0 patch {\"n\":3}\nNew x patch {}\n",
             test->times);
    send(3, 3, text);
    snprintf(text, sizeof text, "@p%d 2\nE three patch {\"n\":1}\n", test->times);
    send(3, 3, text);
    send_large(3, 3, "four");
    send_small(2, "b");
}

TEST(what_a_sender_sends_stays_in_order)
{
    assert_order(send_more_behind, "one a b two x three four");
    assert_int_equal(test->outcomes[2].applied, 3);
    assert_int_equal(test->outcomes[3].applied, 1);
    assert_int_equal(test->outcomes[3].duplicate, 0);
}

static void send_of_two_owners(void)
{
    send_large(1, 1, "one");
    send_small(2, "a");
    for (uint64_t i = 0; i < 4; i++) {
        char key[NAME];
        snprintf(key, sizeof key, "of7-%d", (int)i);
        send_large(10 + i, 7, key);
    }
    send_large(20, 8, "of8");
}

TEST(owners_take_turns)
{
    assert_order(send_of_two_owners, "one a of7-0 of8 of7-1 of7-2 of7-3");
}

/* It would merge too much: it waits, is refused then, and holds up nothing. */
static void send_too_much(void)
{
    send_large(1, 1, "one");
    send_small(2, "a");
    send(3, 3,
         "E two patch {\"n\":1}\nNew x patch {\"n\":1}\nE big0 patch {\"n\":3}\n"
         "E big1 patch {\"n\":3}\nE big0 upsert {\"n\":3}\n");
    send_small(3, "three");
}

TEST(one_that_is_refused_leaves_nothing)
{
    assert_order(send_too_much, "one a three");
    assert_int_equal(test->outcomes[2].error.code, ERROR_TOO_LARGE);
    assert_int_equal(test->outcomes[2].applied, 0);
}

TEST(what_waits_is_written_before_the_end)
{
    hold();
    send_large(1, 1, "one");
    send_small(2, "a");
    send_large(3, 3, "two");
    send_small(3, "three");
    engine_drain(test->fixture.engine);
    let_go();
    fixture_wait(&test->fixture, &test->fixture.drained);
    for (size_t i = 0; i < test->sent; i++) {
        assert_true(test->outcomes[i].done);
        assert_int_equal(test->outcomes[i].error.code, ERROR_NONE);
    }
    assert_int_equal(test->told_count, 4);
}

/* Whoever writes what beside whom: all of it is written, each sender's in its order. */
TEST(all_in_order_whoever_writes)
{
    int next[SENDERS] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        bool is_held = random_below(2);
        if (is_held)
            hold();
        for (int i = 0; i < REQUESTS; i++) {
            uint32_t sender = random_below(SENDERS);
            char key[NAME];
            snprintf(key, sizeof key, "%u-%d", sender, next[sender]++);
            if (random_below(3))
                send_small(sender, key);
            else
                send_large(sender, sender % 2, key);
        }
        if (is_held)
            let_go();
    }
    wait_for_all();
    int seen[SENDERS] = {0};
    for (size_t i = 0; i < test->told_count; i++) {
        unsigned sender;
        int number;
        assert_int_equal(sscanf(test->told[i], "%u-%d", &sender, &number), 2);
        if (number != seen[sender]++)
            fail_msg(SEED_FORMAT ": %s came as number %d", random_seed, test->told[i],
                     seen[sender] - 1);
    }
    assert_int_equal(test->told_count, REQUESTS * ROUNDS);
}

/* Where all that may wait waits, the next goes on at once: it is not tried again and again. */
TEST(a_full_wait_is_not_tried_in_vain)
{
    char key[NAME];
    test->fixture.options.queue_count = 8;
    begin_anew();
    hold();
    send_large(1, 1, "one");
    send_small(2, "a");
    send_large(3, 3, "two");
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "s%d", i);
        send_small(3, key);
    }
    let_go();
    fixture_wait(&test->fixture, &test->outcomes[1].done);
    for (int i = 4; i < 8; i++) {
        snprintf(key, sizeof key, "s%d", i);
        send_small(3, key);
    }
    send_small(5, "other");
    wait_for_all();
    assert_true(counter_get(&engine_facts(test->fixture.engine)->metrics->commits) < 100);
}
