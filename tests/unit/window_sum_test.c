/*
 * Sums of views by a hub: whatever steps they are read in, they are the same; and when there is no
 * memory, each allocation of it failing in turn, the answer is right or an error, and the next one
 * is right.
 */
#include "delivery_fixture.h"
#include "fault_sweep.h"
#include "test.h"
#include "window/window.h"

enum { MANY = 1000, FEW = 40, AT_ONCE = 5 };

static struct hub_fixture fixture;

static struct view_set *make_views(void)
{
    static const char up[] = "{\"pipeline\":[{\"sort\":\"n\"}]}";
    struct error error;
    struct view_set *set = view_set_new(false);
    struct tree *scope = tree_parse(span_of("\"w\""), &error);
    struct tree *sorted = tree_parse(span_of(up), &error);
    assert_true(view_set_add_export(set, span_of("Q"), &error));
    assert_true(view_set_derive(set, span_of("Q"), span_of("up"), sorted, &error));
    assert_true(view_set_add_export(set, span_of("S"), &error));
    assert_true(view_set_scope(set, span_of("S"), scope, &error));
    assert_true(view_set_resolve(set, &error));
    tree_free(scope);
    tree_free(sorted);
    return set;
}

static void feed(int count)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    for (int i = 0; i < count; i++)
        buffer_printf(&text,
                      "Q k%d patch {\"n\":%d,\"t\":\"x\"}\nS k%d patch {\"n\":%d,\"w\":\"%s\"}\n",
                      i, i * 7 % count, i, i, i % 3 ? "" : "a");
    hub_fixture_feed(&fixture, buffer_string(&text));
    buffer_fini(&text);
}

static void set_up(void)
{
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}}, {.name = {"S", 1}}};
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
    fixture_init(&fixture.base);
    fixture.options = (struct hub_options){.max_subscriptions = 10};
    fixture.base.options.store.synchronous = DATABASE_SYNCHRONOUS_OFF;
    hub_fixture_start(&fixture, make_views(), exports, 2);
}

static void tear_down(void)
{
    hub_fixture_stop(&fixture);
    fixture_fini(&fixture.base);
}

TEST_EACH(set_up, tear_down)

/* ---- an answer ---- */

struct answer {
    bool done, wanted;
    enum error_code code;
    struct buffer text;
};

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

/* `query`: further members, each with a comma before it. */
static void ask(struct answer *it, const char *view, const char *query)
{
    char text[200];
    struct wire_message message;
    struct error error = {.code = ERROR_NONE};
    const struct hub_sums sums = {.parts = true, .keys = span_of("all")};
    *it = (struct answer){.wanted = true};
    buffer_init(&it->text, 1);
    snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"view\":\"%s\"%s}", view, query);
    bool parsed = wire_message_parse(span_of(text), &message, &error);
    const struct hub_read read = {
        .wanted = &message.subscribe, .is_wanted = is_wanted, .done = take, .argument = it};
    if (!parsed || !hub_sum(fixture.hub, &read, &sums, &error)) {
        it->done = true;
        it->code = error.code;
    }
    if (parsed)
        wire_message_fini(&message);
}

static bool is_done(void *argument)
{
    return ((struct answer *)argument)->done;
}

static void wait_for(struct answer *it)
{
    hub_fixture_until(&fixture, is_done, it);
}

static void expect(const struct answer *it, const struct answer *wanted)
{
    assert_int_equal(it->code, ERROR_NONE);
    if (!span_equal(buffer_span(&it->text), buffer_span(&wanted->text)))
        fail_msg("the sums are\n%.*s\nand should be\n%.*s", (int)it->text.length, it->text.data,
                 (int)wanted->text.length, wanted->text.data);
}

/* ---- steps ---- */

static const struct {
    const char *view, *query;
} cases[] = {{"Q/list", ""},
             {"Q/up", ""},
             {"S/list", ""},
             {"Q/list", ",\"sort\":[\"n\"]"},
             {"Q/up", ",\"where\":{\"field\":\"n\",\"lt\":500}"}};
enum { CASES = sizeof cases / sizeof *cases };

TEST(steps_make_no_difference)
{
    struct answer wanted[CASES], found;
    feed(MANY);
    hub_fixture_stop(&fixture);
    for (int i = 0; i < 2; i++) {
        static const struct engine_export_options exports[] = {{.name = {"Q", 1}},
                                                               {.name = {"S", 1}}};
        fixture.options.refresh_us = i ? 1 : UINT32_MAX; /* then each step ends as soon as it may */
        hub_fixture_start(&fixture, make_views(), exports, 2);
        for (int each = 0; each < CASES; each++) {
            uint64_t before = counter_get(&engine_facts(fixture.base.engine)->metrics->read_jobs);
            struct answer *it = i ? &found : &wanted[each];
            ask(it, cases[each].view, cases[each].query);
            wait_for(it);
            uint64_t jobs =
                counter_get(&engine_facts(fixture.base.engine)->metrics->read_jobs) - before;
            assert_int_equal(it->code, ERROR_NONE);
            assert_true(i ? jobs > 4 : jobs == 1);
            if (!i)
                continue;
            expect(it, &wanted[each]);
            buffer_fini(&found.text);
            buffer_fini(&wanted[each].text);
        }
        if (!i)
            hub_fixture_stop(&fixture);
    }
}

/* ---- who goes, and who waits ---- */

TEST(those_that_nobody_waits_for_make_room)
{
    struct answer wanted, gone[AT_ONCE];
    feed(FEW);
    ask(&wanted, "Q/list", "");
    wait_for(&wanted);
    for (int i = 0; i < AT_ONCE; i++) {
        ask(&gone[i], "Q/list", "");
        gone[i].wanted = false;
    }
    for (int i = 0; i < AT_ONCE; i++) {
        wait_for(&gone[i]);
        buffer_fini(&gone[i].text);
    }
    for (int i = 0; i < AT_ONCE; i++)
        ask(&gone[i], "Q/list", "");
    for (int i = 0; i < AT_ONCE; i++) {
        wait_for(&gone[i]);
        expect(&gone[i], &wanted);
        buffer_fini(&gone[i].text);
    }
    buffer_fini(&wanted.text);
}

/* ---- with little memory ---- */

static void sweep(int sticky, const char *view, const char *query)
{
    struct answer wanted, found;
    ask(&wanted, view, query);
    wait_for(&wanted);
    sweep_begin(sticky);
    while (sweep_goes_on()) {
        sweep_arm();
        ask(&found, view, query);
        wait_for(&found);
        sweep_disarm();
        if (found.code == ERROR_NONE)
            expect(&found, &wanted);
        buffer_fini(&found.text);
        ask(&found, view, query);
        wait_for(&found);
        expect(&found, &wanted);
        buffer_fini(&found.text);
    }
    sweep_end();
    buffer_fini(&wanted.text);
}

TEST(without_memory_the_answer_is_right_or_an_error)
{
    feed(FEW);
    for (int sticky = 0; sticky < 2; sticky++) {
        sweep(sticky, "S/list", "");
        sweep(sticky, "Q/list",
              ",\"sort\":[\"t\",\"n\"],\"take\":9,\"where\":{\"field\":\"n\",\"lt\":30}");
    }
}
