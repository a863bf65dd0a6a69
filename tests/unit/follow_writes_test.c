/*
 * Two nodes of one log, and two producers that write through them, under faults: what is sent gets
 * lost, is stored and not acknowledged, or refused; connections break; transactions fail, and so do
 * allocations of every thread but this one. Each
 * producer sends what was not acknowledged again, to either node, and publishes bad batches
 * between. In the end each batch was applied once, in order, on both nodes, and every request was
 * answered once.
 *
 * The log is this file's: its functions stand in front of the library's.
 */
#include "engine_fixture.h"
#include "follow/follow.h"
#include "follow/sender.h"
#include "follow/stream.h"
#include "memory_fault.h"
#include "random.h"
#include "test.h"

enum { BATCHES = 50, PRODUCERS = 2, NODES = 2, WINDOW = 6, LARGE = 4000, MESSAGES = 20000 };

/* ---- the log ---- */

struct stored {
    char *envelope, *body;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stored messages[MESSAGES + 1]; /* from 1 */
static int64_t last;
static bool faults;

static unsigned dice(unsigned sides)
{
    return (unsigned)random_below(sides);
}

/* With the lock, as all of the random numbers. */
static bool fails(unsigned one_in)
{
    return faults && dice(one_in) == 0;
}

static bool fails_now(unsigned one_in)
{
    pthread_mutex_lock(&lock);
    bool failed = fails(one_in);
    pthread_mutex_unlock(&lock);
    return failed;
}

static int64_t length_of_log(void)
{
    pthread_mutex_lock(&lock);
    int64_t length = last;
    pthread_mutex_unlock(&lock);
    return length;
}

static void clear_log(void)
{
    for (int64_t i = 1; i <= last; i++) {
        free(messages[i].envelope);
        free(messages[i].body);
    }
    last = 0;
}

/* ---- memory ---- */

static pthread_t loop;

static int memory_fails(void)
{
    return !pthread_equal(pthread_self(), loop) && fails_now(3000);
}

/* ---- reading it ---- */

struct stream {
    int64_t next, delivered;
};

struct stream *stream_open(const struct follow_options *options, struct error *error)
{
    (void)options;
    (void)error;
    return calloc(1, sizeof(struct stream));
}

void stream_close(struct stream *stream)
{
    free(stream);
}

bool stream_ask(struct stream *stream, struct stream_facts *facts, struct error *error)
{
    (void)stream;
    *facts = (struct stream_facts){.created = 7, .first = 1, .last = length_of_log()};
    return !fails_now(4) || error_set(error, ERROR_NETWORK, "as the test wants");
}

bool stream_read(struct stream *stream, int64_t from, struct error *error)
{
    *stream = (struct stream){.next = from};
    return !fails_now(4) || error_set(error, ERROR_NETWORK, "as the test wants");
}

enum stream_step stream_next(struct stream *stream, int timeout_ms, struct stream_message *message)
{
    (void)timeout_ms;
    int64_t length = length_of_log();
    if (stream->next > length) {
        usleep(1000);
        return STREAM_ALIVE;
    }
    if (fails_now(150))
        return STREAM_BROKEN;
    message->place = (struct stream_place){.sequence = stream->next,
                                           .delivery = ++stream->delivered,
                                           .at = 1000 + stream->next,
                                           .pending = length - stream->next};
    message->envelope = messages[stream->next].envelope;
    message->body = span_of(messages[stream->next].body);
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

/* ---- publishing to it ---- */

enum { ACKS = 4096 };

struct sender {
    struct sender_ack acks[ACKS];
    size_t count;
};

struct sender *sender_open(const struct follow_options *options, struct error *error)
{
    (void)options;
    (void)error;
    return calloc(1, sizeof(struct sender));
}

void sender_close(struct sender *sender)
{
    free(sender);
}

bool sender_ask(struct sender *sender, int64_t *created, struct error *error)
{
    (void)sender;
    *created = 7;
    return !fails_now(4) || error_set(error, ERROR_NETWORK, "as the test wants");
}

bool sender_is_connected(const struct sender *sender)
{
    (void)sender;
    return !fails_now(3000);
}

static int64_t store(const char *envelope, struct span body)
{
    assert_true(last < MESSAGES);
    messages[++last] = (struct stored){strdup(envelope), strndup(body.data, body.length)};
    return last;
}

bool sender_send(struct sender *sender, uint64_t number, const char *envelope, struct span body,
                 struct error *error)
{
    pthread_mutex_lock(&lock);
    bool breaks = fails(40), lost = fails(30), refused = fails(30), silent = fails(20);
    struct sender_ack ack = {.number = number};
    if (refused)
        error_set(&ack.error, ERROR_LOG_UNAVAILABLE, "as the test wants");
    else if (!lost)
        ack.sequence = store(envelope, body);
    pthread_mutex_unlock(&lock);
    if (!breaks && !silent && (refused || !lost) && sender->count < ACKS)
        sender->acks[sender->count++] = ack;
    return !breaks || error_set(error, ERROR_NETWORK, "as the test wants");
}

bool sender_next(struct sender *sender, struct sender_ack *ack)
{
    if (!sender->count)
        return false;
    *ack = sender->acks[0];
    memmove(sender->acks, sender->acks + 1, --sender->count * sizeof *ack);
    return true;
}

/* ---- nodes ---- */

struct node {
    struct fixture fixture;
    struct follow *follow;
    struct ingest *ingest;
};

static struct node nodes[NODES];
static size_t revoked;

static void note_revoked(void *argument, struct span token_id, int64_t expires_at, int64_t at)
{
    assert_ptr_equal(argument, nodes);
    assert_true(span_equal(token_id, span_of("jti")));
    assert_int_equal(expires_at, 12);
    assert_true(at > 1000);
    revoked++;
}

static void open_node(struct node *node, size_t commit)
{
    struct error error;
    const struct follow_options options = {.nats = "", .stream = ""};
    fixture_init(&node->fixture);
    node->fixture.options.commit_mutations = commit;
    node->fixture.options.max_array_length = 0;
    node->fixture.options.max_entity_bytes = LARGE;
    fixture_open(&node->fixture);
    node->follow = follow_open(&options, &error);
    assert_non_null(node->follow);
    const struct ingest_options ingest = {.max_request_bytes = 4 * LARGE,
                                          .max_depth = 20,
                                          .max_key_bytes = 100,
                                          .queue_bytes = 1 << 20,
                                          .queue_count = 1000,
                                          .log = follow_log(node->follow)};
    const struct follow_start start = {.engine = node->fixture.engine,
                                       .created = 7,
                                       .ingest = ingest,
                                       .max_lag = 30,
                                       .max_write_ms = 60,
                                       .revoked = note_revoked,
                                       .argument = nodes};
    node->ingest = ingest_open(node->fixture.engine, &ingest, &error);
    assert_non_null(node->ingest);
    assert_true(follow_start(node->follow, &start, &error));
}

static void close_node(struct node *node)
{
    follow_stop(node->follow);
    ingest_close(node->ingest);
    fixture_fini(&node->fixture);
    follow_free(node->follow);
}

static void deliver_all(void)
{
    for (size_t i = 0; i < NODES; i++)
        engine_deliver(nodes[i].fixture.engine);
    usleep(300);
}

/* ---- what goes wrong in the engine ---- */

static struct spoiler spoilers[NODES];

static void spoil_some(void)
{
    for (size_t i = 0; i < NODES; i++) {
        if (!spoilers[i].done)
            continue;
        spoilers[i].done = !fixture_spoil(&nodes[i].fixture, &spoilers[i]);
    }
}

static bool is_spoiled(void)
{
    return !spoilers[0].done || !spoilers[1].done;
}

/* ---- producers ---- */

struct producer {
    char name[8];
    struct node *node;
    struct ingest_stream *stream;
    bool acked[BATCHES + 1];
    bool was_bad[BATCHES + 1];
    int next;   /* the first that is not acknowledged */
    int number; /* the next to be sent on this stream */
    int under_way;
    bool failed;
    bool parts;            /* it waits for its answers, then it goes on elsewhere */
    int refusals, unknown; /* answers */
};

static struct producer producers[PRODUCERS];

static void answered(void *context, const struct ingest_reply *reply)
{
    struct producer *producer = context;
    int64_t id = -1;
    assert_true(producer->under_way-- > 0);
    if (reply->id.data)
        assert_true(typed_number(reply->id, &id));
    if (reply->error.code != ERROR_NONE) {
        bool unknown =
            reply->error.code == ERROR_LOG_UNAVAILABLE || reply->error.code == ERROR_NODE_BEHIND;
        if (!unknown && reply->error.code != ERROR_TOO_LARGE &&
            reply->error.code != ERROR_OUT_OF_ORDER && reply->error.code != ERROR_MEMORY)
            fail_msg("batch %lld: %s", (long long)id, reply->error.message);
        ++*(unknown ? &producer->unknown : &producer->refusals);
        producer->failed = true;
        return;
    }
    assert_int_equal(reply->applied + reply->duplicate, 1);
    assert_true(id >= 1 && id <= BATCHES);
    producer->acked[id] = true;
    while (producer->next <= BATCHES && producer->acked[producer->next])
        producer->next++;
}

/* Some are too large to be applied when they come for the first time. */
static void send_one(struct producer *producer, int number)
{
    static char body[3 * LARGE];
    struct error error;
    struct ingest_sender sender = {.subject = span_of("")};
    bool bad = number % 7 == 3 && !producer->was_bad[number];
    producer->was_bad[number] = true;
    int length =
        snprintf(body, sizeof body,
                 "{\"id\":%d,\"producer\":\"%s\",\"batch\":%d,\"mutations\":[{\"export\":"
                 "\"Q\",\"key\":\"%s\",\"patch\":{\"n\":[%d]%s%.*d%s},\"append\":[\"n\"]}]}",
                 number, producer->name, number, producer->name, number,
                 bad ? ",\"pad\":\"" : ",\"last\":", bad ? LARGE : 1, number, bad ? "\"" : "");
    producer->under_way++;
    assert_true(ingest_submit(producer->node->ingest, &sender, producer->stream, INGEST_MESSAGE,
                              span_make(body, (size_t)length), answered, producer, &error));
}

static void begin_again(struct producer *producer)
{
    ingest_stream_free(producer->stream);
    producer->stream = ingest_stream_new();
    pthread_mutex_lock(&lock);
    producer->node = &nodes[dice(NODES)];
    pthread_mutex_unlock(&lock);
    producer->number = producer->next;
    producer->failed = false;
}

static bool coin(void)
{
    pthread_mutex_lock(&lock);
    bool heads = dice(2) == 0;
    pthread_mutex_unlock(&lock);
    return heads;
}

/* Pipelined. Behind a failure it sends again from the first that is not acknowledged: at once, on
 * the same stream, or on another one when all are answered. */
static void go_on(struct producer *producer)
{
    if (producer->failed && !producer->parts && coin()) {
        producer->number = producer->next;
        producer->failed = false;
    }
    producer->parts = producer->failed;
    if (producer->failed && !producer->under_way)
        begin_again(producer);
    while (!producer->failed && producer->under_way < WINDOW && producer->number <= BATCHES)
        send_one(producer, producer->number++);
}

static bool are_done(void)
{
    for (size_t i = 0; i < PRODUCERS; i++) {
        struct producer *producer = &producers[i];
        if (producer->next <= BATCHES || producer->under_way)
            return false;
    }
    return true;
}

/* ---- the end ---- */

static void catch_up(void)
{
    for (int turn = 0;; turn++) {
        int64_t length = length_of_log();
        if (follow_state(nodes[0].follow).position == length &&
            follow_state(nodes[1].follow).position == length)
            return;
        if (turn > 200000)
            fail_msg("the nodes stay behind %lld", (long long)length);
        deliver_all();
    }
}

static void check(const struct producer *producer)
{
    char expected[BATCHES * 5 + 16], *at = expected;
    for (int i = 1; i <= BATCHES; i++)
        at += sprintf(at, "%s%d", i > 1 ? "," : "{\"n\":[", i);
    strcpy(at, "],");
    for (size_t i = 0; i < NODES; i++) {
        char *found = fixture_entity(&nodes[i].fixture, "Q", producer->name);
        assert_non_null(found);
        if (strncmp(found, expected, strlen(expected)) != 0)
            fail_msg("%s of node %zu: %s", producer->name, i, found);
        free(found);
    }
}

static void run(uint64_t seed)
{
    loop = pthread_self();
    random_start(seed);
    faults = true;
    for (size_t i = 0; i < NODES; i++) {
        open_node(&nodes[i], i ? 1000 : 2);
        spoilers[i].done = true;
    }
    for (size_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.next = 1};
        snprintf(producers[i].name, sizeof producers[i].name, "p%zu", i);
        begin_again(&producers[i]);
    }
    memory_fail_if(memory_fails);
    for (int turn = 0; !are_done(); turn++) {
        if (turn % 64 == 0)
            spoil_some();
        if (turn > 400000)
            fail_msg("seed %llu: it does not end", (unsigned long long)seed);
        for (size_t i = 0; i < PRODUCERS; i++)
            go_on(&producers[i]);
        deliver_all();
    }
    pthread_mutex_lock(&lock);
    faults = false;
    pthread_mutex_unlock(&lock);
    memory_fail_if(NULL);
    while (is_spoiled())
        deliver_all();
    catch_up();
    for (size_t i = 0; i < PRODUCERS; i++) {
        check(&producers[i]);
        assert_true(producers[i].refusals > 0); /* or this tested little */
        ingest_stream_free(producers[i].stream);
    }
    assert_true(producers[0].unknown + producers[1].unknown > 0);
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(follow_writes(nodes[i].follow).waiting, 0);
    for (size_t i = 0; i < NODES; i++)
        close_node(&nodes[i]);
    clear_log();
}

TEST(each_batch_is_applied_once_whatever_fails)
{
    const char *seeds = getenv("STELE_SEEDS");
    uint64_t count = seeds ? strtoull(seeds, NULL, 10) : 1;
    for (uint64_t seed = 1; seed <= count; seed++)
        run(seed);
}

/* ---- commands, and the end of a node ---- */

struct asked {
    struct publication publication;
    struct buffer body;
    bool answered, applied;
    struct error error;
};

static void note_answer(struct publication *publication, const struct submission *applied)
{
    struct asked *asked = LINK_OWNER(struct asked, publication, publication);
    assert_false(asked->answered);
    asked->answered = true;
    asked->applied = applied && applied->error.code == ERROR_NONE && applied->command.done;
}

static void ask_to_revoke(struct node *node, struct asked *asked)
{
    struct error error;
    *asked = (struct asked){.publication = {.answer = note_answer, .error = &asked->error}};
    buffer_init(&asked->body, 1000);
    while (!follow_revoke(node->follow, &asked->publication, &asked->body, span_of("jti"), 12,
                          &error)) {
        assert_int_equal(error.code, ERROR_NODE_BEHIND); /* it has just begun */
        buffer_clear(&asked->body);
        deliver_all();
    }
}

TEST(a_revocation_is_told_at_every_node)
{
    struct asked asked;
    faults = false;
    revoked = 0;
    for (size_t i = 0; i < NODES; i++)
        open_node(&nodes[i], 10);
    ask_to_revoke(&nodes[0], &asked);
    while (!asked.answered)
        deliver_all();
    assert_true(asked.applied);
    catch_up();
    assert_int_equal(revoked, NODES);
    buffer_fini(&asked.body);

    /* What is on its way when a node ends is answered, too: nobody knows. */
    static struct asked many[50];
    for (size_t i = 0; i < 50; i++)
        ask_to_revoke(&nodes[0], &many[i]);
    for (size_t i = 0; i < NODES; i++)
        close_node(&nodes[i]);
    for (size_t i = 0; i < 50; i++) {
        assert_true(many[i].answered);
        if (!many[i].applied)
            assert_int_equal(many[i].error.code, ERROR_LOG_UNAVAILABLE);
        buffer_fini(&many[i].body);
    }
    clear_log();
}
