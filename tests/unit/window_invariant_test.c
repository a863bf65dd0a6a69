/*
 * The invariants of windows, their members and owners fire. Those of a refresh have a file of their
 * own.
 */
#include "planted_window.h"
#include "test.h"

#include "invariant_fixture.h"

static bool is_never(void *argument)
{
    (void)argument;
    return false;
}

static bool is_kept(void *argument)
{
    (void)argument;
    return !windows->keeping;
}

static void leave(void)
{
    window_leave(subscription);
}

/* One that is to join, but is in no window yet. */
static struct subscription *make_joiner(void)
{
    struct subscription *joiner = memory_new(sizeof *joiner);
    link_init(&joiner->in_rest);
    joiner->subscriber = subscriber;
    joiner->topic = window->topic;
    return joiner;
}

static void join(struct subscription *joiner)
{
    struct window_spec spec;
    assert_true(window_spec_copy(&window->spec, NULL, &spec));
    window_join(joiner, &spec, &error);
}

/* ---- joining, leaving, the end ---- */

enum {
    WATCHED_UNCOUNTED,
    FREED_WITH_MEMBER,
    FREED_RESTING,
    FREED_UNCOUNTED,
    FREED_OF_FEED_UNCOUNTED,
    MADE_OF_NOTHING,
    JOINS_TWICE,
    JOINS_OTHER_FEED,
    JOINS_UNCOUNTED,
    JOINS_NOT_LINGERING,
    LEAVES_OTHERS_REQUEST,
    LEAVES_REQUEST_OF_OTHER_WINDOW,
    LEAVES_REQUEST_UNCOUNTED,
    LEAVES_UNCOUNTED,
    LEAVES_MEMBERS_UNCOUNTED,
    LEAVES_REQUESTS,
    LEAVES_EXTRA_UNCOUNTED,
    FAILS_WHILE_REFRESHED,
    IN_TWO_TOPICS,
    TOPICS_LEFT
};

static void break_membership(int fault)
{
    static struct link alone;
    make("\"take\":2");
    switch (fault) {
    case WATCHED_UNCOUNTED: {
        size_t watched, members;
        windows->extra = 5;
        windows_count(window->hub, &watched, &members);
        break;
    }
    case FREED_WITH_MEMBER:
    case FREED_RESTING:
    case FREED_UNCOUNTED:
    case FREED_OF_FEED_UNCOUNTED:
        leave();
        if (fault == FREED_WITH_MEMBER || fault == FREED_RESTING)
            link_append(fault == FREED_RESTING ? &window->resting : &window->members, &alone);
        windows->lingering = WINDOW_LINGER + 1;
        windows->count = fault == FREED_UNCOUNTED ? 0 : windows->count;
        window->topic->windows = 0;
        windows_end_lingering(windows);
        break;
    case MADE_OF_NOTHING: {
        struct window_spec spec;
        assert_true(window_spec_copy(&window->spec, NULL, &spec));
        spec.skip = -1;
        window_join(make_joiner(), &spec, &error);
        break;
    }
    case JOINS_TWICE:
        join(subscription);
        break;
    case JOINS_OTHER_FEED: {
        struct topic other = *window->topic;
        struct subscription *joiner = make_joiner();
        joiner->topic = &other;
        join(joiner);
        break;
    }
    case JOINS_UNCOUNTED:
        window->member_count = 0;
        join(make_joiner());
        break;
    case JOINS_NOT_LINGERING:
        leave();
        link_remove(&window->in_lingering);
        join(make_joiner());
        break;
    case LEAVES_OTHERS_REQUEST:
        request.subscription = NULL;
        subscription->member->request = &request;
        leave();
        break;
    case LEAVES_REQUEST_OF_OTHER_WINDOW:
        request.window = NULL;
        subscription->member->request = &request;
        leave();
        break;
    case LEAVES_REQUEST_UNCOUNTED:
        subscription->member->request = &request;
        leave();
        break;
    case LEAVES_UNCOUNTED:
        windows->members = 0;
        leave();
        break;
    case LEAVES_MEMBERS_UNCOUNTED:
        window->member_count = windows->members = 2;
        leave();
        break;
    case LEAVES_REQUESTS:
        window->request_count = 1;
        leave();
        break;
    case LEAVES_EXTRA_UNCOUNTED:
        window->spec.is_extra = true;
        leave();
        break;
    case FAILS_WHILE_REFRESHED:
        begin_refresh();
        window_fail(window, &error);
        break;
    case IN_TWO_TOPICS:
        window_topic_join(window);
        break;
    case TOPICS_LEFT:
        windows->stages.count = 1;
        window_topics_fini(windows);
        break;
    }
}

/* ---- members and their requests ---- */

enum {
    LIVE_WITH_REQUEST,
    ASKS_TWICE,
    NEGATIVE_ROWS,
    NO_REQUEST,
    SNAPSHOT_AHEAD,
    NO_CHANNEL,
    VERSION_AHEAD,
    STATES_WITHOUT_CHANNEL,
    STATES_WITHOUT_KEY,
    FREED_WHILE_TAKEN,
    DONE_WHILE_TAKEN,
    DONE_OF_ANOTHER
};

static void break_member(int fault)
{
    make("\"take\":2");
    switch (fault) {
    case LIVE_WITH_REQUEST:
        subscription->asked.with_snapshot = false;
        subscription->member->request = &request;
        window_begin(subscription);
        break;
    case ASKS_TWICE:
        subscription->member->request = &request;
        subscription->member->phase = MEMBER_BEHIND;
        subscription->has_slot = true;
        window_reader.pull(subscription);
        break;
    case NEGATIVE_ROWS:
        subscription->member->request = &request;
        subscription->member->phase = MEMBER_WAITING;
        request.stage = REQUEST_RETURNED;
        request.rows = -1;
        window_reader.pull(subscription);
        break;
    case NO_REQUEST:
        subscription->member->phase = MEMBER_WAITING;
        window_reader.pull(subscription);
        break;
    case SNAPSHOT_AHEAD:
        subscription->member->phase = MEMBER_NEW;
        window->snapshot.version = 1000;
        window->snapshot.asof = subscription->member->asked;
        window_reader.pull(subscription);
        break;
    case NO_CHANNEL:
        window->frame_log_on = false;
        window_reader.pull(subscription);
        break;
    case VERSION_AHEAD:
        subscription->member->version = 1000;
        window_reader.pull(subscription);
        break;
    case STATES_WITHOUT_CHANNEL:
        window->frame_log_on = false;
        window_state_due(subscription);
        break;
    case STATES_WITHOUT_KEY:
        window_state_ask(subscription, &request);
        break;
    case FREED_WHILE_TAKEN:
        request.stage = REQUEST_TAKEN;
        window_request_free(&request);
        break;
    case DONE_WHILE_TAKEN:
        request.stage = REQUEST_TAKEN;
        window_request_done(&request);
        break;
    case DONE_OF_ANOTHER:
        request.stage = REQUEST_RETURNED;
        window_request_done(&request);
        break;
    }
}

/* ---- whose it is, and what is kept of it ---- */

enum {
    HOLDER_UNCOUNTED,
    MORE_STRANGERS,
    MORE_OTHERS,
    OTHER_UNCOUNTED,
    KEPT_TWICE,
    SHOWN_AHEAD,
    KEPT_UNCOUNTED,
    UNPINNED
};

static void break_share(int fault)
{
    struct subscriber other = {.owner = 7};
    struct window_result result = {.window = NULL, .keeps = true};
    make("\"take\":2");
    switch (fault) {
    case HOLDER_UNCOUNTED:
        subscriber->windows.amount = 0;
        window_share_end(window);
        break;
    case MORE_STRANGERS:
        window->share.strangers = 1;
        window_share_joined(window, subscriber);
        break;
    case MORE_OTHERS:
        window->share.others = 1;
        window_share_joined(window, subscriber);
        break;
    case OTHER_UNCOUNTED:
        window_share_left(window, &other);
        break;
    case KEPT_TWICE:
        window->kept.state = WINDOW_UNDECIDED;
        window->kept.rows = 1;
        window_keep(window, &result);
        break;
    case SHOWN_AHEAD:
        window->published.change = 1000;
        window_keep(window, &result);
        break;
    case KEPT_UNCOUNTED:
        window->kept.rows = 1000;
        window_keep_end(window);
        break;
    case UNPINNED: /* the writer is told of it, and answers */
        hub_fixture_until(&fixture, is_kept, NULL);
        windows->kept_us = 0;
        window->kept.state = WINDOW_KEPT;
        link_remove(&window->kept.in_moved);
        link_append(&windows->moved, &window->kept.in_moved);
        windows_keep(hub);
        assert_true(windows->keeping && window->source.pins > 0);
        window->source.pins = 0;
        hub_fixture_until(&fixture, is_never, NULL);
        break;
    }
}

static const struct broken_case cases[] = {
    {break_membership, WATCHED_UNCOUNTED, "windows->count >= windows->lingering + windows->extra"},
    {break_membership, FREED_WITH_MEMBER, "!window->member_count && link_alone(&window->members)"},
    {break_membership, FREED_RESTING,
     "link_alone(&window->waiting) && link_alone(&window->resting)"},
    {break_membership, FREED_UNCOUNTED, "windows->count > 0 && windows->lingering > 0"},
    {break_membership, FREED_OF_FEED_UNCOUNTED, "window->topic->windows > 0"},
    {break_membership, MADE_OF_NOTHING, "spec->skip >= 0 && spec->take >= VIEW_ALL"},
    {break_membership, JOINS_TWICE, "!subscription->member"},
    {break_membership, JOINS_OTHER_FEED, "window->topic == topic"},
    {break_membership, JOINS_UNCOUNTED, "!window->member_count == link_alone(&window->members)"},
    {break_membership, JOINS_NOT_LINGERING,
     "topic->hub->windows->lingering > 0 && !link_alone(&window->in_lingering)"},
    {break_membership, LEAVES_OTHERS_REQUEST, "request->subscription == subscription"},
    {break_membership, LEAVES_REQUEST_OF_OTHER_WINDOW,
     "request->window == subscription->member->window"},
    {break_membership, LEAVES_REQUEST_UNCOUNTED, "request->window->request_count > 0"},
    {break_membership, LEAVES_UNCOUNTED,
     "window->member_count > 0 && windows->members >= window->member_count"},
    {break_membership, LEAVES_MEMBERS_UNCOUNTED,
     "!window->member_count == link_alone(&window->members)"},
    {break_membership, LEAVES_REQUESTS, "!window->request_count"},
    {break_membership, LEAVES_EXTRA_UNCOUNTED, "windows->extra >= window->spec.is_extra"},
    {break_membership, FAILS_WHILE_REFRESHED, "!window->busy"},
    {break_membership, IN_TWO_TOPICS,
     "link_alone(&window->listing.in_list) && !window->listing.stage"},
    {break_membership, TOPICS_LEFT, "windows->stages.count == 0"},

    {break_member, LIVE_WITH_REQUEST, "!member->request"},
    {break_member, ASKS_TWICE, "!member->request && subscription->has_slot"},
    {break_member, NEGATIVE_ROWS, "request->rows >= 0"},
    {break_member, NO_REQUEST, "request && request->subscription == subscription"},
    {break_member, SNAPSHOT_AHEAD, "window->snapshot.version <= window->frame_log.head"},
    {break_member, NO_CHANNEL, "run.behind || window->frame_log_on"},
    {break_member, VERSION_AHEAD, "member->version <= member->at.id"},
    {break_member, STATES_WITHOUT_CHANNEL, "run.behind || window->frame_log_on"},
    {break_member, STATES_WITHOUT_KEY, "subscription->member->window->spec.key.data"},
    {break_member, FREED_WHILE_TAKEN, "request->stage != REQUEST_TAKEN && !request->drafts"},
    {break_member, DONE_WHILE_TAKEN, "request->stage == REQUEST_RETURNED"},
    {break_member, DONE_OF_ANOTHER, "!subscription || subscription->member->request == request"},

    {break_share, HOLDER_UNCOUNTED, "!holder || holder->windows.amount > 0"},
    {break_share, MORE_STRANGERS, "window->share.strangers <= window->share.others"},
    {break_share, MORE_OTHERS, "window->share.others < window->member_count"},
    {break_share, OTHER_UNCOUNTED, "window->share.others > 0"},
    {break_share, KEPT_TWICE, "!window->kept.rows"},
    {break_share, SHOWN_AHEAD, "window->published.change <= window->content.position"},
    {break_share, KEPT_UNCOUNTED, "window->hub->windows->kept_rows >= window->kept.rows"},
    {break_share, UNPINNED, "keep->parts[i].window->source.pins > 0"},
};

TEST(all_fire)
{
    assert_all_broken(cases, sizeof cases / sizeof *cases, make_file, remove_file);
}
