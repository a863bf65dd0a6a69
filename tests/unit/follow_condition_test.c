/*
 * The conditions of a node, by what a broker says that answers as the test wants.
 *
 * The stream is this file's: its functions stand in front of the library's.
 */
#include "engine_fixture.h"
#include "follow/stream.h"
#include "test.h"

/* ---- the stream ---- */

struct stream {
    int64_t next, delivered;
};

static atomic_llong last;    /* of the stream */
static atomic_bool is_away;  /* the broker */
static atomic_bool is_alone; /* it is there, and cannot ask the others */
static atomic_uint asked;    /* times */
static atomic_uint readings; /* begun */

struct stream *stream_open(const struct follow_options *options, struct error *error)
{
    static struct stream stream;
    (void)options;
    (void)error;
    return &stream;
}

void stream_close(struct stream *stream)
{
    (void)stream;
}

bool stream_ask(struct stream *stream, struct stream_facts *facts, struct error *error)
{
    (void)stream;
    *facts = (struct stream_facts){.created = 7, .first = 1, .last = atomic_load(&last)};
    atomic_fetch_add(&asked, 1);
    bool answers = !atomic_load(&is_away) && !atomic_load(&is_alone);
    return answers || error_set(error, ERROR_NETWORK, "as the test wants");
}

bool stream_read(struct stream *stream, int64_t from, struct error *error)
{
    (void)error;
    *stream = (struct stream){.next = from};
    atomic_fetch_add(&readings, 1);
    return true;
}

enum stream_step stream_next(struct stream *stream, int timeout_ms, struct stream_message *message)
{
    (void)timeout_ms;
    if (atomic_load(&is_away))
        return STREAM_BROKEN;
    if (stream->next > atomic_load(&last)) {
        usleep(1000);
        return STREAM_ALIVE;
    }
    message->place = (struct stream_place){.sequence = stream->next,
                                           .delivery = ++stream->delivered,
                                           .at = 1000 + stream->next,
                                           .pending = atomic_load(&last) - stream->next};
    message->body = span_of("{\"export\":\"Q\",\"key\":\"k\",\"patch\":{}}");
    stream->next++;
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

struct node {
    struct fixture fixture;
    struct follow *follow;
};

static void open_node(struct node *node)
{
    struct error error;
    const struct follow_options options = {.nats = "", .stream = ""};
    fixture_init(&node->fixture);
    fixture_open(&node->fixture);
    node->follow = follow_open(&options, &error);
    assert_non_null(node->follow);
    const struct follow_start start = {
        .engine = node->fixture.engine,
        .created = 7,
        .ingest = {.max_request_bytes = 1024, .max_depth = 20, .max_key_bytes = 100}};
    assert_true(follow_start(node->follow, &start, &error));
}

static void close_node(struct node *node)
{
    follow_stop(node->follow);
    fixture_fini(&node->fixture);
    follow_free(node->follow);
}

static void wait_for(struct node *node, enum follow_condition condition, int64_t position)
{
    for (int turn = 0;; turn++) {
        struct follow_state state = follow_state(node->follow);
        if (state.condition == condition && state.position == position)
            return;
        if (turn > 60000)
            fail_msg("it is %s at %lld", follow_condition_name(state.condition),
                     (long long)state.position);
        engine_deliver(node->fixture.engine);
        usleep(1000);
    }
}

static void wait_until_asked(unsigned more)
{
    for (unsigned until = atomic_load(&asked) + more; atomic_load(&asked) < until;)
        usleep(1000);
}

static void begin_round(struct node *node, long long now_last)
{
    atomic_store(&is_away, true);
    wait_for(node, FOLLOW_APART, 3);
    atomic_store(&last, now_last);
    atomic_store(&is_away, false);
}

/* A broker that has just begun to lead answers once what it knew before; one that has lost
 * messages goes on to do so. */
TEST(a_stream_that_ends_too_early_is_asked_again)
{
    struct node node;
    atomic_store(&last, 3);
    open_node(&node);
    wait_for(&node, FOLLOW_READING, 3);
    begin_round(&node, 2);
    wait_until_asked(2);
    assert_int_equal(follow_state(node.follow).condition, FOLLOW_APART);
    atomic_store(&last, 4);
    wait_for(&node, FOLLOW_READING, 4);
    close_node(&node);

    atomic_store(&last, 3);
    open_node(&node);
    wait_for(&node, FOLLOW_READING, 3);
    begin_round(&node, 2);
    wait_for(&node, FOLLOW_GAP, 3);
    assert_non_null(strstr(follow_state(node.follow).problem, "it has lost some"));

    /* What is wrong stays so without the broker, and nothing is read. */
    unsigned before = atomic_load(&readings);
    atomic_store(&is_away, true);
    wait_until_asked(1);
    wait_until_asked(1);
    assert_int_equal(follow_state(node.follow).condition, FOLLOW_GAP);
    assert_int_equal(atomic_load(&readings), before);
    close_node(&node);
    atomic_store(&is_away, false);
}

/* One that is cut off from the others, or has no quorum, says that there is nothing. */
TEST(a_broker_that_cannot_ask_the_others_is_none)
{
    struct node node;
    atomic_store(&last, 3);
    open_node(&node);
    wait_for(&node, FOLLOW_READING, 3);
    unsigned before = atomic_load(&readings);
    wait_until_asked(1); /* one that can is asked and read further */
    wait_for(&node, FOLLOW_READING, 3);
    assert_int_equal(atomic_load(&readings), before);
    atomic_store(&is_alone, true);
    wait_for(&node, FOLLOW_APART, 3);
    assert_true(follow_state(node.follow).caught_up);
    atomic_store(&is_alone, false);
    wait_for(&node, FOLLOW_READING, 3);
    close_node(&node);
}
