/*
 * A node under faults: a stream that breaks off and does not answer, and transactions that fail.
 * In the end it has what a node without faults has, and has refused the same messages, each once.
 *
 * The stream is this file's: its functions stand in front of the library's.
 */
#include "engine_fixture.h"
#include "follow/stream.h"
#include "random.h"
#include "test.h"

enum { MESSAGES = 300, KEYS = 7, BODY = 256, BAD = 4 };

/* ---- the stream ---- */

struct stream {
    int64_t next, delivered;
};

static char bodies[MESSAGES + 1][BODY]; /* from 1 */
static atomic_bool stream_fails;
static int64_t furthest; /* where a reading began */

struct stream *stream_open(const struct follow_options *options, struct error *error)
{
    static struct stream stream;
    (void)options;
    (void)error;
    stream = (struct stream){.next = 0};
    return &stream;
}

void stream_close(struct stream *stream)
{
    (void)stream;
}

static bool fails(unsigned one_in)
{
    return atomic_load(&stream_fails) && random_below(one_in) == 0;
}

bool stream_ask(struct stream *stream, struct stream_facts *facts, struct error *error)
{
    (void)stream;
    *facts = (struct stream_facts){.created = 7, .first = 1, .last = MESSAGES};
    return !fails(4) || error_set(error, ERROR_NETWORK, "as the test wants");
}

bool stream_read(struct stream *stream, int64_t from, struct error *error)
{
    *stream = (struct stream){.next = from};
    furthest = from > furthest ? from : furthest;
    return !fails(4) || error_set(error, ERROR_NETWORK, "as the test wants");
}

enum stream_step stream_next(struct stream *stream, int timeout_ms, struct stream_message *message)
{
    (void)timeout_ms;
    if (fails(60))
        return STREAM_BROKEN;
    if (stream->next > MESSAGES) {
        usleep(1000);
        return STREAM_ALIVE;
    }
    if (fails(10))
        return random_below(2) ? STREAM_ALIVE : STREAM_NOTHING;
    message->place = (struct stream_place){.sequence = stream->next,
                                           .delivery = ++stream->delivered,
                                           .at = 1000 + stream->next,
                                           .pending = MESSAGES - stream->next};
    message->body = span_of(bodies[stream->next++]);
    return STREAM_MESSAGE;
}

void stream_release(struct stream_message *message)
{
    (void)message;
}

void stream_rest(struct stream *stream)
{
    (void)stream;
}

/* ---- a node ---- */

/* Every fifth is one that all refuse, in one of BAD ways. */
static void make_bodies(uint64_t seed)
{
    static const char *const bad[BAD] = {
        "no JSON", "{\"export\":\"Q\",\"key\":\"k0\"}",
        "{\"producer\":\"p\",\"batch\":900,\"previous\":899,\"mutations\":[]}",
        "{\"export\":\"Q\",\"key\":\"k0\",\"patch\":{},\"slot\":1,\"index\":1,\"if\":\"newer\"}"};
    random_start(seed);
    for (int i = 1; i <= MESSAGES; i++) {
        unsigned key = (unsigned)random_below(KEYS);
        if (i % 5 == 0)
            snprintf(bodies[i], BODY, "%s", bad[random_below(BAD)]);
        else
            snprintf(bodies[i], BODY,
                     "{\"producer\":\"p\",\"batch\":%d,\"mutations\":[{\"export\":\"Q\",\"key\":"
                     "\"k%u\",\"patch\":{\"n\":[%d]},\"append\":[\"n\"]}]}",
                     i, key, i);
    }
}

struct result {
    char *entities[KEYS];
    uint64_t refused;
};

static void deliver_until_done(struct fixture *f, struct follow *follow, bool faults)
{
    struct spoiler spoiler = {.done = true};
    for (int turn = 0; follow_state(follow).position < MESSAGES; turn++) {
        if (faults && spoiler.done && turn % 128 == 0)
            spoiler.done = !fixture_spoil(f, &spoiler);
        engine_deliver(f->engine);
        usleep(500);
        if (follow_state(follow).position > MESSAGES * 2 / 3) { /* the rest of the way is without */
            atomic_store(&stream_fails, false);
            faults = false;
        }
        if (turn > 400000)
            fail_msg("it stays at message %lld", (long long)follow_state(follow).position);
    }
    while (!spoiler.done) {
        engine_deliver(f->engine);
        usleep(500);
    }
}

static void run_node(struct result *result, bool faults)
{
    struct fixture fixture;
    struct error error;
    const struct follow_options options = {.nats = "", .stream = ""};
    fixture_init(&fixture);
    fixture.options.commit_mutations = faults ? 3 : 1000;
    fixture_open(&fixture);
    struct follow *follow = follow_open(&options, &error);
    assert_non_null(follow);
    const struct follow_start start = {
        .engine = fixture.engine,
        .created = 7,
        .ingest = {.max_request_bytes = BODY, .max_depth = 20, .max_key_bytes = 100}};
    atomic_store(&stream_fails, faults);
    while (!follow_start(follow, &start, &error))
        ;
    deliver_until_done(&fixture, follow, faults);
    result->refused = follow_state(follow).refused;
    follow_stop(follow);
    for (int i = 0; i < KEYS; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        result->entities[i] = fixture_entity(&fixture, "Q", key);
    }
    fixture_fini(&fixture);
    follow_free(follow);
}

TEST(ends_as_without_faults)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct result plain, faulty;
        make_bodies(seed);
        run_node(&plain, false);
        run_node(&faulty, true);
        assert_int_equal(plain.refused, MESSAGES / 5);
        assert_int_equal(faulty.refused, plain.refused);
        for (int i = 0; i < KEYS; i++) {
            assert_string_equal(faulty.entities[i], plain.entities[i]);
            free(faulty.entities[i]);
            free(plain.entities[i]);
        }
    }
    assert_true(furthest > 1); /* it began again somewhere */
}
