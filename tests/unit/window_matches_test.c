/* Windows of equal filters: their rows are found once, and each shows its part of them. */
#include "delivery_client.h"
#include "delivery_fixture.h"
#include "test.h"
#include "window/window_internal.h"

enum { ROWS = 20000, PAGES = 20, PASSING = 40 };

static struct hub_fixture fixture;
static struct client pages[PAGES];

static void set_up(void)
{
    hub_fixture_init(&fixture);
    fixture.options.max_window_rows = 200;
    fixture.base.options.readers = 1; /* so that its steps are all */
}

/* An export, and a derived view of it that sorts. */
static void start(void)
{
    struct error error;
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}}};
    struct view_set *set = view_set_new(false);
    struct tree *pipeline = tree_parse(span_of("{\"pipeline\":[{\"sort\":\"n\"}]}"), &error);
    assert_true(view_set_add_export(set, span_of("Q"), &error));
    assert_true(view_set_derive(set, span_of("Q"), span_of("by"), pipeline, &error) &&
                view_set_resolve(set, &error));
    tree_free(pipeline);
    hub_fixture_start(&fixture, set, exports, 1);
}

static void leave(struct client *client)
{
    if (!client->view)
        return;
    client_cut(client);
    client_fini(client);
    client->view = NULL;
}

static void leave_all(void)
{
    for (int i = 0; i < PAGES; i++)
        leave(&pages[i]);
}

static void tear_down(void)
{
    leave_all();
    hub_fixture_fini(&fixture);
}

TEST_EACH(set_up, tear_down)

/* Rows k00000 …, in this order in the list and in the view; PASSING of them have `x` 1. */
static void load(void)
{
    struct buffer text;
    buffer_init(&text, 64 << 20);
    for (int i = ROWS - 1; i >= 0; i--)
        buffer_printf(&text, "Q k%05d patch {\"n\":%d,\"x\":%d}\n", i, i,
                      i % (ROWS / PASSING) == 0);
    hub_fixture_feed(&fixture, buffer_string(&text));
    buffer_fini(&text);
}

/* Two of the rows with that `x`, behind so many. */
static void ask(struct client *client, const char *view, int skip, int x)
{
    char message[256];
    *client = (struct client){.view = view, .with_snapshot = true};
    client_init(client);
    snprintf(
        message, sizeof message,
        "{\"type\":\"subscribe\",\"view\":\"%s\",\"take\":2,\"skip\":%d,\"filters\":{\"x\":%d}}",
        view, skip, x);
    assert_true(client_subscribe(client, fixture.hub, message));
}

static bool all_are_complete(void *argument)
{
    size_t complete = 0;
    (void)argument;
    for (int i = 0; i < PAGES; i++) {
        if (pages[i].view)
            client_pull(&pages[i], -1);
        assert_string_equal(pages[i].problem, "");
        complete += !pages[i].view || pages[i].complete;
    }
    return complete == PAGES;
}

/* The steps for the first frames of the first `count` pages, which nobody has watched before. */
static int64_t count_steps(const char *view, int count)
{
    int64_t before = hub_fixture_steps(&fixture);
    for (int i = 0; i < count; i++)
        ask(&pages[i], view, 2 * i, 1);
    hub_fixture_until(&fixture, all_are_complete, NULL);
    return hub_fixture_steps(&fixture) - before;
}

static void expect_rows(int page, int first, int second)
{
    char key[2][16];
    snprintf(key[0], sizeof key[0], "k%05d", first);
    snprintf(key[1], sizeof key[1], "k%05d", second);
    assert_int_equal(json_object_size(pages[page].rows), 2);
    assert_non_null(json_object_get(pages[page].rows, key[0]));
    assert_non_null(json_object_get(pages[page].rows, key[1]));
}

/* The steps of all pages against those of one; and whether their rows are right. */
static void compare(const char *view)
{
    int64_t one, all;
    start();
    load();
    one = count_steps(view, 1);
    leave_all();
    hub_fixture_stop(&fixture);
    start();
    all = count_steps(view, PAGES);
    assert_true(one > ROWS);
    assert_true(all < one + one / 4);
    for (int i = 0; i < PAGES; i++)
        expect_rows(i, 2 * i * (ROWS / PASSING), (2 * i + 1) * (ROWS / PASSING));
}

TEST(equal_filters_over_a_list_are_found_once)
{
    compare("Q/list");
}

TEST(equal_filters_over_a_derived_view_are_found_once)
{
    compare("Q/by");
}

TEST(a_page_that_comes_later_has_what_the_others_have)
{
    start();
    load();
    int64_t one = count_steps("Q/by", 1), before = hub_fixture_steps(&fixture);
    hub_fixture_feed(&fixture, "Q k00001 patch {\"x\":1}\nQ k00000 patch {\"x\":0}\n");
    ask(&pages[1], "Q/by", 2, 1);
    hub_fixture_until(&fixture, all_are_complete, NULL);
    assert_true(hub_fixture_steps(&fixture) - before < one / 10);
    expect_rows(1, 2 * (ROWS / PASSING), 3 * (ROWS / PASSING));
}

static bool first_has_moved(void *argument)
{
    (void)argument;
    all_are_complete(NULL);
    return json_object_get(pages[0].rows, "k00001") != NULL;
}

/* The first page watches; the others have gone, and one of them comes back. */
TEST(pages_follow_changes_together_and_apart)
{
    start();
    load();
    count_steps("Q/by", 3);
    hub_fixture_feed(&fixture, "Q k00001 patch {\"x\":1}\n");
    hub_fixture_until(&fixture, first_has_moved, NULL);
    hub_fixture_wait_for_readers(&fixture);
    all_are_complete(NULL);
    expect_rows(0, 0, 1);
    expect_rows(1, ROWS / PASSING, 2 * (ROWS / PASSING));
    leave(&pages[1]);
    hub_fixture_feed(&fixture, "Q k00002 patch {\"x\":1}\n");
    ask(&pages[1], "Q/by", 2, 1);
    hub_fixture_until(&fixture, all_are_complete, NULL);
    expect_rows(1, 2, ROWS / PASSING);
}

/* More changes at once than the matches are brought up to date by: each page finds them again. */
TEST(matches_that_lag_too_far_are_found_again)
{
    struct buffer text;
    start();
    load();
    count_steps("Q/by", 2);
    leave(&pages[1]);
    buffer_init(&text, 64 << 20);
    for (int i = 0; i < ROWS; i++)
        buffer_printf(&text, "Q k%05d patch {\"x\":%d}\n", i, i % (ROWS / PASSING) == 1);
    hub_fixture_feed(&fixture, buffer_string(&text));
    buffer_fini(&text);
    hub_fixture_until(&fixture, first_has_moved, NULL);
    ask(&pages[1], "Q/by", 2, 1);
    hub_fixture_until(&fixture, all_are_complete, NULL);
    expect_rows(0, 1, 1 + ROWS / PASSING);
    expect_rows(1, 1 + 2 * (ROWS / PASSING), 1 + 3 * (ROWS / PASSING));
}

/* A filter that lets too many rows pass refuses all of its pages; later it may pass fewer. */
TEST(a_filter_that_fails_fails_for_each_page)
{
    start();
    load();
    for (int i = 0; i < 3; i++)
        ask(&pages[i], "Q/list", 2 * i, 0);
    hub_fixture_wait_for_readers(&fixture);
    for (int i = 0; i < 3; i++)
        assert_false(pages[i].complete);
    leave_all();
    assert_true(count_steps("Q/list", PAGES) > ROWS);
}
