#include "usage_fixture.h"
#include "test.h"

#include <time.h>

enum { PATIENCE_US = 60 * 1000 * 1000 };

/* ---- an endpoint ---- */

/* By malloc: what the test keeps must not be hit by a fault. */
struct body {
    struct body *next;
    char *text;
};

struct usage_fixture it;

struct span taken_key(const void *value)
{
    return span_of(((const struct taken *)value)->id);
}

static bool post(void *argument, struct span body, outbound_done done, void *done_argument)
{
    (void)argument;
    if (it.full)
        return false;
    assert_true(it.post_count < POSTS);
    it.posts[it.post_count].done = done;
    it.posts[it.post_count].argument = done_argument;
    it.posts[it.post_count++].body = strndup(body.data, body.length);
    if (it.post_count > it.most_at_once)
        it.most_at_once = it.post_count;
    it.attempts++;
    it.last_attempt = it.now;
    return true;
}

static void take_ids(const char *body)
{
    static const char mark[] = "{\"event_id\":\"";
    assert_int_equal(strncmp(body, "{\"events\":[{", 12), 0);
    size_t events = 0;
    while ((body = strstr(body, mark))) {
        body += sizeof mark - 1;
        struct taken *one = map_get(&it.taken, span_make(body, 36));
        events++;
        if (one) {
            it.repeated++;
            continue;
        }
        one = memory_new(sizeof *one);
        memcpy(one->id, body, 36);
        assert_true(map_add(&it.taken, one));
    }
    assert_in_range(events, 1, USAGE_PACKET_EVENTS);
}

static void answer_one(size_t i)
{
    bool refused = it.poison && strstr(it.posts[i].body, it.poison);
    struct outbound_answer answer = {.status = refused ? 400 : it.status,
                                     .retry_after = it.retry_after};
    if (!answer.status)
        error_set(&answer.error, ERROR_NETWORK, "as the test wants");
    if (answer.status / 100 == 2) {
        struct body *body = malloc(sizeof *body);
        *body = (struct body){it.bodies, it.posts[i].body};
        it.bodies = body;
    } else {
        free(it.posts[i].body);
    }
    it.posts[i].done(it.posts[i].argument, &answer);
}

/* How many different events were taken. */
size_t taken(void)
{
    while (it.bodies) {
        struct body *body = it.bodies;
        it.bodies = body->next;
        take_ids(body->text);
        buffer_add_string(&it.told, body->text);
        buffer_add_char(&it.told, '\n');
        free(body->text);
        free(body);
    }
    return it.taken.count;
}

void answer_posts(void)
{
    size_t count = it.post_count;
    it.post_count = 0;
    /* What answering begins comes behind them. */
    for (size_t i = 0; i < count; i++)
        answer_one(i);
}

/* ---- usage on it ---- */

static uint64_t now_ms(void *argument)
{
    (void)argument;
    return it.now;
}

static int64_t wall_ms(void *argument)
{
    (void)argument;
    return 1500000000000 + (int64_t)it.now;
}

static void wake(void *argument)
{
    (void)argument;
    it.turn_wanted = true;
}

void open_usage(int64_t spool_rows)
{
    it.base.options.store.synchronous = DATABASE_SYNCHRONOUS_OFF;
    fixture_open(&it.base);
    struct usage_options options = {.engine = it.base.engine,
                                    .spool_rows = spool_rows,
                                    .spool_bytes = 1 << 30,
                                    .post = post,
                                    .now_ms = now_ms,
                                    .wall_ms = wall_ms,
                                    .wake = wake,
                                    .seed = 7};
    it.usage = usage_new(&options);
    assert_non_null(it.usage);
}

/* As a stop that comes in between ends: what is in memory only is lost. */
void crash(void)
{
    it.usage->closing = true;
    for (; it.post_count; it.post_count--)
        free(it.posts[it.post_count - 1].body);
    fixture_close(&it.base);
    usage_free(it.usage);
    it.usage = NULL;
}

void set_up(void)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
    memset(&it, 0, sizeof it);
    fixture_init(&it.base);
    map_init(&it.taken, taken_key);
    buffer_init(&it.told, SIZE_MAX);
    it.identity = auth_identity_anonymous();
    it.now = 1000;
    it.status = 204;
    open_usage(1000 * 1000);
}

void tear_down(void)
{
    size_t position = 0;
    struct taken *one;
    if (it.usage)
        crash();
    taken();
    while ((one = map_next(&it.taken, &position)))
        memory_free(one);
    map_fini(&it.taken);
    buffer_fini(&it.told);
    auth_identity_release(it.identity);
    fixture_fini(&it.base);
}

uint64_t cpu_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

uint64_t longest_us; /* turn of the loop */

void turn(void)
{
    uint64_t begun = cpu_us();
    it.turn_wanted = false;
    engine_deliver(it.base.engine);
    usage_turn(it.usage);
    uint64_t took = cpu_us() - begun;
    if (took > longest_us)
        longest_us = took;
}

static bool is_busy(void)
{
    const struct usage_delivery *delivery = &it.usage->delivery;
    return it.turn_wanted || it.usage->spool.writing || delivery->reading || delivery->removing ||
           delivery->under_way;
}

/* Everything that is to happen at this moment. */
void settle(void)
{
    uint64_t until = clock_monotonic_us() + PATIENCE_US;
    turn();
    while (is_busy()) {
        assert_true(clock_monotonic_us() < until);
        if (it.usage->spool.writing || it.usage->delivery.reading || it.usage->delivery.removing)
            usleep(50);
        answer_posts();
        turn();
    }
}

void pass(uint64_t ms)
{
    it.now += ms;
    settle();
}

/* Time for what was told to reach the endpoint. */
void come_through(void)
{
    pass(USAGE_SPOOL_MS);
    pass(USAGE_PACKET_MS);
    pass(USAGE_PACKET_MS);
}

int64_t in_spool(void)
{
    struct store_usage_state state;
    struct error error;
    struct store_reader *reader = store_reader_open(engine_facts(it.base.engine)->database, &error);
    assert_non_null(reader);
    assert_true(store_read_usage_state(reader, &state, &error));
    store_reader_close(reader);
    return state.rows;
}

size_t times(const char *part)
{
    size_t count = 0;
    taken();
    const char *at = buffer_string(&it.told);
    for (; at && (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

struct usage_client *come(void)
{
    struct usage_client *client = usage_client_new(it.usage, it.identity, "10.0.0.1");
    assert_non_null(client);
    return client;
}
