/*
 * Whose windows are whose, while subscribers of several owners come, go, watch more and get other
 * owners: what is kept of it is what a refresh through all members finds.
 */
#include "delivery_fixture.h"
#include "test.h"

#include "window/window_internal.h"

enum { SUBSCRIBERS = 12, OWNERS = 3, KEYS = 14, MOST = 8, STEPS = 6000 };

static struct hub_fixture fixture;
static struct subscriber *subscribers[SUBSCRIBERS];
static unsigned seed = 7;

static int below(int bound)
{
    return (int)((unsigned)rand_r(&seed) % (unsigned)bound);
}

static void never(void *argument)
{
    (void)argument;
}

static void set_up(void)
{
    hub_fixture_init(&fixture);
    fixture.options.max_windows = MOST;
    fixture.options.tombstone_ms = 0; /* nothing is kept of windows */
    hub_fixture_start_with(&fixture, "Q");
    hub_fixture_feed_many(&fixture, KEYS, "patch {\"n\":1}");
}

static void tear_down(void)
{
    for (int i = 0; i < SUBSCRIBERS; i++)
        subscriber_free(subscribers[i]);
    hub_fixture_fini(&fixture);
}

TEST_EACH(set_up, tear_down)

/* ---- a refresh through all members ---- */

static void check_window(const struct window *window)
{
    struct subscriber *first = NULL;
    size_t others = 0, strangers = 0;
    const struct link *link = window->members.next;
    for (; link != &window->members; link = link->next) {
        struct subscriber *it = window_member(link)->subscriber;
        first = first ? first : it;
        others += it != first;
        strangers += it->owner != first->owner;
    }
    if (!link_alone(&window->share.in_unsettled)) {
        assert_null(window->share.holder);
        return;
    }
    assert_ptr_equal(window->share.first, first);
    assert_ptr_equal(window->share.holder, strangers ? NULL : first);
    assert_int_equal(window->share.others, others);
    assert_int_equal(window->share.strangers, strangers);
}

static void check_all(void)
{
    const struct windows *windows = fixture.hub->windows;
    size_t amounts[SUBSCRIBERS] = {0}, held = 0;
    const struct link *link = windows->all.next;
    for (; link != &windows->all; link = link->next) {
        const struct window *window = LINK_OWNER(struct window, in_windows, link);
        check_window(window);
        held += window->share.holder != NULL;
        for (int i = 0; i < SUBSCRIBERS; i++)
            amounts[i] += subscribers[i] && window->share.holder == subscribers[i];
    }
    for (int i = 0; i < SUBSCRIBERS; i++)
        assert_int_equal(subscribers[i] ? subscribers[i]->windows.amount : 0, amounts[i]);
    assert_int_equal(windows->shares.total, held);
    size_t watched, members;
    windows_count(fixture.hub, &watched, &members);
    assert_true(watched <= MOST);
}

/* ---- what they do ---- */

static void watch(struct subscriber *subscriber, const char *type)
{
    char message[128];
    snprintf(message, sizeof message,
             "{\"type\":\"%s\",\"view\":\"Q/list\",\"take\":1,\"key\":\"k%d\"}", type, below(KEYS));
    subscriber_message(subscriber, span_of(message));
}

static void step(void)
{
    int i = below(SUBSCRIBERS), what = below(20);
    if (!subscribers[i]) {
        subscribers[i] = subscriber_new(
            fixture.hub, &(struct subscriber_options){.wake = never, .argument = NULL});
        assert_non_null(subscribers[i]);
        subscriber_set_owner(subscribers[i], 1 + (uint64_t)below(OWNERS));
    } else if (what == 0) {
        subscriber_free(subscribers[i]);
        subscribers[i] = NULL;
    } else if (what == 1) {
        subscriber_set_owner(subscribers[i], 1 + (uint64_t)below(OWNERS));
    } else {
        watch(subscribers[i], what < 7 ? "unsubscribe" : "subscribe");
    }
}

TEST(what_is_kept_is_what_a_refresh_finds)
{
    for (int i = 0; i < STEPS; i++) {
        step();
        check_all();
        if (i % 50 == 0)
            engine_deliver(fixture.base.engine);
    }
    assert_true(fixture.hub->metrics.windows_broken_off.value > 0);
}
