#include "planted_window.h"
#include "test.h"

struct hub_fixture fixture;
struct hub *hub;
struct subscriber *subscriber;
struct subscription *subscription;
struct window *window;
struct windows *windows;
static struct store_reader *reader;
struct window_request request;
struct error error;

static void never(void *argument)
{
    (void)argument;
}

void make_file(void)
{
    fixture_init(&fixture.base);
}

void remove_file(void)
{
    fixture_fini(&fixture.base);
}

void open_hub(void)
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

struct read_job *take_job(void)
{
    return read_queue_take(&fixture.base.engine->reads, true);
}

void run_job(struct read_job *job)
{
    job->run(job, reader);
}

int64_t steps_so_far(void)
{
    return steps_of(reader);
}

void bring_back(struct read_job *job)
{
    job->event.deliver(&job->event);
}

void pull_all(void)
{
    while (subscriber_pull(subscriber).length)
        continue;
}

static void settle_queue(void)
{
    while (fixture.base.engine->reads.count) {
        struct read_job *job = take_job();
        run_job(job);
        bring_back(job);
    }
}

void close_hub(void)
{
    subscriber_free(subscriber);
    settle_queue();
    store_reader_close(reader);
    hub_fixture_stop(&fixture);
}

void settle(void)
{
    for (pull_all(); fixture.base.engine->reads.count; pull_all())
        settle_queue();
}

void subscribe(const char *rest)
{
    char message[256];
    snprintf(message, sizeof message, "{\"type\":\"subscribe\",\"view\":\"Q/list\",%s}", rest);
    subscriber = subscriber_new(hub, &(struct subscriber_options){.wake = never, .argument = NULL});
    subscriber_message(subscriber, span_of(message));
    subscription = LINK_OWNER(struct subscription, in_subscriber, subscriber->subscriptions.next);
    window = subscription->member->window;
    assert_non_null(window);
}

void make(const char *rest)
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

struct read_job *begin_refresh(void)
{
    window->stale = true;
    window_activate(window);
    windows_refresh(hub);
    assert_int_equal(window->busy, WINDOW_REFRESHED);
    return take_job();
}

void fall_behind(void)
{
    subscription->member->in_frame_log = false;
    subscriber_ready(subscription);
    pull_all();
    assert_non_null(subscription->member->request);
}
