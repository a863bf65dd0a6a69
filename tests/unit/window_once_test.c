/* Views read once, with a filter over all of them: equal reads that are under way search once. */
#include "delivery_fixture.h"
#include "test.h"
#include "window/window_internal.h"

#include <stdlib.h>

enum { ROWS = 50000, PASSING = 40, EVERY = ROWS / PASSING, READS = 20 };

static struct hub_fixture fixture;

struct answer {
    bool done, wanted;
    enum error_code code;
    struct buffer text;
};
static struct answer answers[READS];

static void set_up(void)
{
    hub_fixture_init(&fixture);
    fixture.options.max_window_rows = 200;
    fixture.base.options.readers = 1; /* so that its steps are all, and its jobs come in order */
    hub_fixture_start_with(&fixture, "Q");
}

static void forget_answers(void)
{
    for (int i = 0; i < READS; i++) {
        buffer_fini(&answers[i].text);
        answers[i] = (struct answer){.wanted = true};
    }
}

static void tear_down(void)
{
    forget_answers();
    hub_fixture_fini(&fixture);
}

TEST_EACH(set_up, tear_down)

/* Rows k00000 … in this order in the list; PASSING of them have `x` 1. */
static void load(void)
{
    struct buffer text;
    buffer_init(&text, 64 << 20);
    for (int i = ROWS - 1; i >= 0; i--)
        buffer_printf(&text, "Q k%05d patch {\"n\":%d,\"x\":%d}\n", i, i, i % EVERY == EVERY - 1);
    hub_fixture_feed(&fixture, buffer_string(&text));
    buffer_fini(&text);
    forget_answers();
}

static bool is_wanted(void *argument)
{
    return ((struct answer *)argument)->wanted;
}

static void take(void *argument, struct hub_answer *answer)
{
    struct answer *it = argument;
    it->done = true;
    it->code = answer->error.code;
    it->text = answer->body;
    buffer_init(&answer->body, 1);
}

static void ask(struct answer *it, const char *query)
{
    char text[200];
    struct wire_message message;
    struct error error;
    snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"view\":\"Q/list\"%s}", query);
    assert_true(wire_message_parse(span_of(text), &message, &error));
    const struct hub_read read = {
        .wanted = &message.subscribe, .is_wanted = is_wanted, .done = take, .argument = it};
    assert_true(hub_read_view(fixture.hub, &read, &error));
    wire_message_fini(&message);
}

static bool one_is_done(void *argument)
{
    return answers[*(const int *)argument].done;
}

static bool all_are_done(void *argument)
{
    bool done = true;
    for (int i = 0; i < *(const int *)argument; i++)
        done = done && answers[i].done;
    return done;
}

/* The steps of so many reads at once, each of the page of two behind the one before. */
static int64_t read_pages(int count, int first, const char *query)
{
    char page[200];
    int64_t before = hub_fixture_steps(&fixture);
    for (int i = 0; i < count; i++) {
        snprintf(page, sizeof page, ",\"take\":2,\"skip\":%d%s", first + 2 * i, query);
        ask(&answers[i], page);
    }
    hub_fixture_until(&fixture, all_are_done, &count);
    return hub_fixture_steps(&fixture) - before;
}

static void expect_key(const struct answer *it, int row)
{
    char key[16];
    snprintf(key, sizeof key, "\"k%05d\"", row * EVERY + EVERY - 1);
    assert_int_equal(it->code, ERROR_NONE);
    assert_non_null(memmem(it->text.data, it->text.length, key, strlen(key)));
}

static void expect_pages(int count, int first)
{
    for (int i = 0; i < count; i++) {
        expect_key(&answers[i], first + 2 * i);
        expect_key(&answers[i], first + 2 * i + 1);
    }
}

static void expect_nothing_shared(void)
{
    assert_int_equal(fixture.hub->windows->matches.count, 0);
}

/* Each looks at a few rows itself. */
TEST(equal_filters_search_once)
{
    static const char filter[] = ",\"filters\":{\"x\":1}";
    load();
    int64_t one = read_pages(1, 30, filter);
    expect_pages(1, 30);
    forget_answers();
    int64_t all = read_pages(5, 30, filter);
    expect_pages(5, 30);
    assert_true(one > ROWS);
    assert_true(all < 2 * one);
    expect_nothing_shared();
}

TEST(equal_orders_search_once)
{
    static const char query[] = ",\"filters\":{\"x\":1},\"sort\":[\"n\"]";
    load();
    int64_t one = read_pages(1, 0, query);
    forget_answers();
    int64_t all = read_pages(READS, 0, query);
    expect_pages(READS, 0);
    assert_true(all < one + one / 4);
    expect_nothing_shared();
}

/* With one reader jobs come in order: the second read is done before the search has begun. */
TEST(a_page_that_a_look_finds_waits_for_no_search)
{
    int second = 1;
    load();
    ask(&answers[0], ",\"take\":2,\"skip\":30,\"filters\":{\"x\":1}");
    ask(&answers[second], ",\"take\":2,\"filters\":{\"x\":1}");
    hub_fixture_until(&fixture, one_is_done, &second);
    assert_false(answers[0].done);
    expect_key(&answers[second], 0);
    expect_key(&answers[second], 1);
    hub_fixture_until(&fixture, all_are_done, &(int){2});
    expect_pages(1, 30);
}

/* All rows that pass, in one request. */
static void set_version(int version)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    for (int i = EVERY - 1; i < ROWS; i += EVERY)
        buffer_printf(&text, "Q k%05d patch {\"v\":%d}\n", i, version);
    hub_fixture_feed(&fixture, buffer_string(&text));
    buffer_fini(&text);
}

/* Of the rows of one answer. */
static int expect_one_version(struct answer *it)
{
    static const char member[] = "\"v\":";
    const char *text = buffer_string(&it->text), *row = strstr(text, member);
    int version = row ? atoi(row + strlen(member)) : -1, rows = 0;
    for (; row; row = strstr(row + 1, member), rows++)
        assert_int_equal(atoi(row + strlen(member)), version);
    assert_int_equal(rows, PASSING);
    return version;
}

TEST(reads_that_share_a_search_are_each_of_one_state)
{
    fixture.hub->options.refresh_us = 1; /* so that the search has many parts */
    load();
    for (int i = 0; i < READS; i++) {
        set_version(i);
        ask(&answers[i], ",\"take\":40,\"filters\":{\"x\":1},\"sort\":[\"n\"]");
    }
    hub_fixture_until(&fixture, all_are_done, &(int){READS});
    for (int i = 0; i < READS; i++)
        assert_true(expect_one_version(&answers[i]) >= i);
    expect_nothing_shared();
}

/* A read that failed is none that others join: later fewer rows may pass. */
TEST(a_search_that_fails_fails_once)
{
    static const char query[] = ",\"filters\":{\"x\":0},\"sort\":[\"n\"]";
    load();
    int64_t one = read_pages(1, 0, query);
    forget_answers();
    int64_t all = read_pages(READS, 0, query);
    for (int i = 0; i < READS; i++)
        assert_int_equal(answers[i].code, ERROR_TOO_LARGE);
    assert_true(all < 2 * one);
    expect_nothing_shared();
}

/* More changes between its parts than the matches are brought up to date by. */
TEST(a_search_that_lags_too_far_begins_anew)
{
    static const char query[] = ",\"take\":40,\"filters\":{\"x\":1},\"sort\":[\"n\"]";
    load();
    set_version(0);
    fixture.hub->options.max_window_rows = 50;
    for (int i = 0; i < 3; i++) {
        ask(&answers[i], query);
        hub_fixture_feed_many(&fixture, 2000, "patch {\"m\":1}");
        set_version(i + 1);
    }
    hub_fixture_until(&fixture, all_are_done, &(int){3});
    for (int i = 0; i < 3; i++)
        assert_true(answers[i].code != ERROR_NONE || expect_one_version(&answers[i]) >= i);
    expect_nothing_shared();
}
