/*
 * The invariants of windows fire. The readers of the engine are stopped, so this thread takes the
 * jobs of a refresh, or of filling, and says when they run and when they come back.
 */
#include "delivery_fixture.h"
#include "test.h"

#include "engine/engine_internal.h"
#include "window/reading.h"

#include "invariant_fixture.h"

/* ---- what is broken ---- */

static struct hub_fixture fixture;
static struct hub *hub;
static struct subscriber *subscriber;
static struct subscription *subscription;
static struct window *window;
static struct windows *windows;
static struct store_reader *reader;
static struct window_request request;
static struct error error;

static void never(void *argument)
{
    (void)argument;
}

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

static void open_hub(void)
{
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}}};
    fixture.options = (struct hub_options){
        .ring_bytes = 1 << 20, .channel_bytes = 1 << 20, .max_subscriptions = 100};
    struct view_set *set = view_set_new(false);
    assert_true(view_set_add_export(set, span_of("Q"), &error));
    hub_fixture_start(&fixture, set, exports, 1);
    struct engine *engine = fixture.base.engine;
    hub_fixture_feed_many(&fixture, 3, "patch {\"n\":1}");
    engine_stop_readers(engine);
    read_queue_fini(&engine->reads);
    assert_true(read_queue_init(&engine->reads, 100));
    reader = store_reader_open(engine->facts.database, &error);
    assert_non_null(reader);
    hub = fixture.hub;
    windows = hub->windows;
}

static struct read_job *take_job(void)
{
    return read_queue_take(&fixture.base.engine->reads, true);
}

static void run_job(struct read_job *job)
{
    job->run(job, reader);
}

static void bring_back(struct read_job *job)
{
    job->event.deliver(&job->event);
}

static void pull_all(void)
{
    while (subscriber_pull(subscriber).length)
        continue;
}

/* Answer what is asked, until nothing is. */
static void settle(void)
{
    for (pull_all(); fixture.base.engine->reads.count; pull_all()) {
        struct read_job *job = take_job();
        run_job(job);
        bring_back(job);
    }
}

static void subscribe(const char *rest)
{
    char message[256];
    snprintf(message, sizeof message, "{\"type\":\"subscribe\",\"view\":\"Q/list\",%s}", rest);
    subscriber = subscriber_new(hub, &(struct subscriber_options){.wake = never, .argument = NULL});
    subscriber_message(subscriber, span_of(message));
    subscription = LINK_OWNER(struct subscription, in_subscriber, subscriber->subscriptions.next);
    window = subscription->member->window;
    assert_non_null(window);
}

/* A member that has all rows and rests. */
static void make(const char *rest)
{
    open_hub();
    subscribe(rest);
    settle();
    assert_int_equal(subscription->member->phase, MEMBER_LIVE);
    assert_true(window->content.known && !window->busy && window->content.rows.count > 0);
    request = (struct window_request){.window = window, .subscription = subscription};
    link_init(&request.in_requests);
    link_init(&request.previous);
}

static struct read_job *begin_refresh(void)
{
    window->stale = true;
    window_activate(window);
    windows_refresh(hub);
    assert_int_equal(window->busy, WINDOW_REFRESHED);
    return take_job();
}

/* The member asks a refresh for what it lacks. */
static void fall_behind(void)
{
    subscription->member->in_frame_log = false;
    subscriber_ready(subscription);
    pull_all();
    assert_non_null(subscription->member->request);
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
        windows_count(windows, &watched, &members);
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

/* ---- a refresh, and what it brings ---- */

enum {
    NO_REFRESH,
    NOT_REFRESHING,
    FILLS_MEANWHILE,
    VERSION_BACK,
    VERSION_OF_ANOTHER,
    FRAME_LOG_AHEAD,
    RETURNED_TWICE,
    SERVED_UNTAKEN,
    TAKEN_UNCOUNTED
};

static void break_refresh(int fault)
{
    struct read_job *job;
    make("\"take\":2");
    switch (fault) {
    case RETURNED_TWICE:
    case SERVED_UNTAKEN:
        fall_behind();
        job = take_job();
        if (fault == SERVED_UNTAKEN)
            subscription->member->request->stage = REQUEST_QUEUED;
        run_job(job);
        subscription->member->request->stage = REQUEST_RETURNED;
        bring_back(job);
        return;
    case TAKEN_UNCOUNTED:
        windows->refreshing = true; /* so that it waits */
        fall_behind();
        windows->refreshing = false;
        window->request_count = 0;
        begin_refresh();
        return;
    default:
        break;
    }
    job = begin_refresh();
    if (fault == FILLS_MEANWHILE)
        window->busy = WINDOW_FILLED_UP;
    run_job(job);
    windows->refreshing = fault != NO_REFRESH;
    if (fault == NOT_REFRESHING)
        window->busy = WINDOW_AT_REST;
    if (fault == VERSION_BACK)
        window->published.version = 1000;
    window->content.version += fault == VERSION_OF_ANOTHER;
    if (fault == FRAME_LOG_AHEAD)
        window->frame_log.head = 1000;
    bring_back(job);
}

enum { NOT_FILLING, MATCHES_MIXED_UP, MATCHES_UNCOUNTED };

static void break_filter(int fault)
{
    open_hub();
    subscribe("\"filters\":{\"n\":1}");
    pull_all();
    struct read_job *job = take_job();
    assert_int_equal(window->busy, WINDOW_FILLED_UP);
    run_job(job);
    if (fault == NOT_FILLING)
        window->busy = WINDOW_AT_REST;
    bring_back(job);
    settle();
    struct window_row **matches = window->matches.rows.list, *first = matches[0]; /* k2, k1, k0 */
    if (fault == MATCHES_MIXED_UP) {
        matches[0] = matches[1];
        matches[1] = first;
    }
    window->matches.by_key.count += fault == MATCHES_UNCOUNTED;
    hub_fixture_feed(&fixture, "Q k1 patch {\"m\":2}");
    run_job(take_job());
}

/* A reading as a refresh has one, of the state `last_change`. */
enum {
    STATE_BACK,
    FRESH_UNREAD,
    FRESH_BEYOND,
    REMOVALS_BACK,
    REMOVALS_UNCOUNTED,
    REMOVALS_BEYOND,
    REMOVALS_NEWER,
    ROWS_BEYOND,
    SERVES_ANOTHER,
    SERVES_UNSETTLED,
    SERVES_TWICE
};

static void break_reading(int fault)
{
    make("\"take\":2");
    struct view_state state = {.log.last_change = INT64_MAX};
    struct window_result result = {.window = window, .version = window->content.version};
    struct window_fresh fresh = {.row = window->content.rows.list[0], .at = 5, .length = 5};
    struct window_reading reading = {
        .window = window, .result = &result, .state = &state, .fresh = &fresh};
    window_reading_init(&reading);
    window->content.rows.list[0]->fate = window->content.rows.list[1]->fate = FATE_LEFT;
    if (fault >= REMOVALS_BACK && fault <= REMOVALS_NEWER) {
        window->content.removals.list =
            memory_new(WINDOW_REMOVALS * sizeof *window->content.removals.list);
        window->content.removals.count = fault == REMOVALS_NEWER ? 1 : WINDOW_REMOVALS;
    }
    switch (fault) {
    case STATE_BACK:
        state.log.last_change = window->content.position - 1;
        window_diff(&reading);
        break;
    case FRESH_UNREAD:
        reading.fresh_count = 1;
        window_diff(&reading);
        break;
    case FRESH_BEYOND:
        reading.fresh_count = reading.rows.count = 1;
        reading.rows.list = window->content.rows.list;
        window_diff(&reading);
        break;
    case REMOVALS_BACK:
        window->content.removals.floor = 1;
        window_diff(&reading);
        break;
    case REMOVALS_UNCOUNTED:
        window->content.removals.list[0].key_length = 1;
        window_diff(&reading);
        break;
    case REMOVALS_BEYOND:
        window->content.removals.count++;
        window_diff(&reading);
        break;
    case REMOVALS_NEWER:
        window->content.removals.list[0].version = 1000;
        window_diff(&reading);
        break;
    case ROWS_BEYOND:
        window->content.rows.capacity = 1;
        window_rows_add(&window->content.rows, window->content.rows.list[0]);
        break;
    case SERVES_ANOTHER:
        request.window = NULL;
        window_encode_request(&reading, &request);
        break;
    case SERVES_UNSETTLED:
        result.version++;
        window_encode_request(&reading, &request);
        break;
    case SERVES_TWICE:
        request.done = true;
        window_encode_request(&reading, &request);
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

    {break_refresh, NO_REFRESH, "hub->windows->refreshing"},
    {break_refresh, NOT_REFRESHING, "window->busy == WINDOW_REFRESHED"},
    {break_refresh, FILLS_MEANWHILE, "result->window->busy == WINDOW_REFRESHED"},
    {break_refresh, VERSION_BACK, "window->published.version <= result->version"},
    {break_refresh, VERSION_OF_ANOTHER, "window->content.version == result->version"},
    {break_refresh, FRAME_LOG_AHEAD, "window->frame_log.head + result->differs <= result->version"},
    {break_refresh, RETURNED_TWICE, "request->stage == REQUEST_TAKEN"},
    {break_refresh, SERVED_UNTAKEN, "request->stage == REQUEST_TAKEN"},
    {break_refresh, TAKEN_UNCOUNTED, "request->window->request_count > 0"},

    {break_filter, NOT_FILLING, "window->busy == WINDOW_FILLED_UP"},
    {break_filter, MATCHES_MIXED_UP, "at < matches->count && matches->list[at] == row"},
    {break_filter, MATCHES_UNCOUNTED, "matches->count == window->matches.by_key.count"},

    {break_reading, STATE_BACK, "window->content.position <= reading->state->log.last_change"},
    {break_reading, FRESH_UNREAD, "reading->fresh_count <= reading->rows.count"},
    {break_reading, FRESH_BEYOND, "fresh->at + fresh->length <= reading->data.length"},
    {break_reading, REMOVALS_BACK, "removals->floor <= removals->list[i].version"},
    {break_reading, REMOVALS_UNCOUNTED, "removals->bytes >= removals->list[i].key_length"},
    {break_reading, REMOVALS_BEYOND, "removals->count < WINDOW_REMOVALS"},
    {break_reading, REMOVALS_NEWER,
     "!removals->count || removals->list[removals->count - 1].version <= window->content.version + "
     "1"},
    {break_reading, ROWS_BEYOND, "rows->count <= rows->capacity"},
    {break_reading, SERVES_ANOTHER, "request->window == reading->window && !request->same"},
    {break_reading, SERVES_UNSETTLED,
     "reading->window->content.known && reading->window->content.version == "
     "reading->result->version"},
    {break_reading, SERVES_TWICE, "!request->done && !request->text && !request->drafts"},

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

/* A file of its own for each, which this process removes. */
TEST(all_fire)
{
    size_t failures = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_init(&fixture.base);
        failures += !is_broken(&cases[i]);
        fixture_fini(&fixture.base);
    }
    assert_int_equal(failures, 0);
}
