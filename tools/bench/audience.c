#include "bench/audience.h"
#include "bench/message.h"

enum {
    /* How the protocol cuts snapshots into batches. Most batches come compressed, so the end of a
     * snapshot is told by their number. */
    FIRST_BATCH_ROWS = 50,
    NEXT_BATCH_ROWS = 100,
    SEQ_INDEX_DIGITS = 12,
    CONNECT_AT_A_TIME = 64,
    CONNECT_SECONDS = 120,
    SNAPSHOT_SECONDS = 120,
    CONNECTIONS_PER_ADDRESS = 20000 /* fewer than there are ports for outgoing connections */
};

/* Where a frame about rows has the first letter of its operation, and what ends a live frame. */
enum {
    OPERATION_AT = sizeof "{\"mode\":\"list\",\"entity\":\"Item/list\",\"op\":\"" - 1,
    NAMED_AT = sizeof "{\"protocolVersion\":2,\"subscriptionId\":\"s\",\"" - 1,
    END_LENGTH = sizeof "\"}" - 1
};

static const char *const whole_list[] = {"{\"type\":\"subscribe\",\"view\":\"Item/list\"}"};

/* ---- frames in ---- */

static void on_batch(struct subscriber *subscriber)
{
    subscriber->in_batch = false;
    if (++subscriber->batches == subscriber->audience->batches_wanted)
        subscriber->audience->without_snapshot--;
}

static void on_change(struct subscriber *subscriber, const struct frame *frame, char operation)
{
    struct audience *audience = subscriber->audience;
    const char *end = frame->payload.data + frame->payload.length;
    uint64_t position = message_parse_digits(end - END_LENGTH - SEQ_INDEX_DIGITS, SEQ_INDEX_DIGITS);
    if (!audience->target.path)
        position = subscriber->position + 1;
    if (subscriber->position < audience->position_wanted && position >= audience->position_wanted)
        audience->behind--;
    if (position > subscriber->position)
        subscriber->position = position;
    audience->frames++;
    audience->bytes += frame->whole.length;
    audience->upserts += operation == 'u';
    if (audience->record && subscriber == audience->members &&
        audience->record->length + frame->whole.length <= audience->record->limit)
        buffer_add_span(audience->record, frame->whole);
    if (audience->on_change)
        audience->on_change(audience->context, frame->payload);
}

/* What a message is: 's' a batch, the first letter of its operation, or 0: none about rows. */
static char kind_of(struct span text)
{
    if (text.length > 2 && text.data[0] == '\x1f' && text.data[1] == '\x8b')
        return 's';
    if (text.length <= OPERATION_AT + SEQ_INDEX_DIGITS || text.data[2] != 'm')
        return 0;
    return text.data[OPERATION_AT];
}

/* Behind the head of version 2 stands the operation, or what a batch or an acknowledgement has. */
static char kind_of_named(struct span text)
{
    static const char operation[] = "op\":\"";
    if (text.length > 2 && text.data[0] == '\x1f' && text.data[1] == '\x8b')
        return 's';
    if (text.length <= NAMED_AT + sizeof operation + SEQ_INDEX_DIGITS)
        return 0;
    const char *at = text.data + NAMED_AT;
    if (memcmp(at, operation, sizeof operation - 1) == 0)
        return at[sizeof operation - 1];
    return *at == 's' ? 's' : 0;
}

static void on_binary(struct subscriber *subscriber, const struct frame *frame)
{
    bool named = subscriber->audience->named;
    char kind = named ? kind_of_named(frame->payload) : kind_of(frame->payload);
    if (kind == 's') {
        subscriber->audience->snapshot_bytes += frame->whole.length;
        subscriber->in_batch = true;
        if (frame->final)
            on_batch(subscriber);
    } else if (kind) {
        on_change(subscriber, frame, kind);
    }
}

static void on_frame(struct connection *connection, const struct frame *frame)
{
    struct subscriber *subscriber = (struct subscriber *)connection;
    if (frame->opcode == FRAME_BINARY) {
        on_binary(subscriber, frame);
    } else if (frame->opcode == FRAME_TEXT) {
        loop_fail(connection->loop, "a subscriber was told %.*s",
                  (int)(frame->payload.length < 300 ? frame->payload.length : 300),
                  frame->payload.data);
    } else if (subscriber->in_batch) {
        subscriber->audience->snapshot_bytes += frame->whole.length;
        if (frame->final)
            on_batch(subscriber);
    }
}

/* ---- connecting ---- */

static void start_next(struct audience *audience)
{
    if (audience->started == audience->count)
        return;
    struct connection_target target = audience->target;
    target.source = (unsigned)(audience->started / CONNECTIONS_PER_ADDRESS);
    if (audience->paths)
        target.path = audience->paths[audience->started];
    connection_start(&audience->members[audience->started++].connection, &target);
}

static void subscribe(struct subscriber *subscriber)
{
    const struct audience *audience = subscriber->audience;
    size_t index = (size_t)(subscriber - audience->members);
    const char *text = audience->subscriptions[index % audience->subscription_count];
    connection_say(&subscriber->connection, span_of(text));
}

static void on_opened(struct connection *connection)
{
    struct audience *audience = ((struct subscriber *)connection)->audience;
    audience->opened++;
    if (audience->subscribe_when_open)
        subscribe((struct subscriber *)connection);
    start_next(audience);
}

static const struct connection_events subscriber_events = {on_opened, on_frame, NULL};

bool audience_init(struct audience *audience, struct loop *loop, const struct sockaddr_in *server,
                   const char *path, size_t count, struct error *error)
{
    *audience = (struct audience){.loop = loop,
                                  .target = {.address = *server, .path = path},
                                  .count = count,
                                  .subscriptions = whole_list,
                                  .subscription_count = 1};
    audience->members = memory_new(count * sizeof *audience->members);
    if (!audience->members)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) {
        audience->members[i].audience = audience;
        connection_init(&audience->members[i].connection, loop, &subscriber_events);
    }
    return true;
}

void audience_close(struct audience *audience)
{
    for (size_t i = 0; audience->members && i < audience->count; i++)
        connection_close(&audience->members[i].connection);
    memory_free(audience->members);
    audience->members = NULL;
}

void audience_start(struct audience *audience, size_t at_a_time)
{
    for (size_t i = 0; i < at_a_time && !audience->loop->failed; i++)
        start_next(audience);
}

static bool everyone_is_open(const void *argument)
{
    const struct audience *audience = argument;
    return audience->opened == audience->count;
}

bool audience_connect(struct audience *audience, struct error *error)
{
    struct loop_wait wait = {everyone_is_open, audience, CONNECT_SECONDS, "subscribers to connect"};
    audience_start(audience, CONNECT_AT_A_TIME);
    return loop_until(audience->loop, &wait, error);
}

/* ---- subscribing and waiting ---- */

void audience_subscribe(struct audience *audience)
{
    for (size_t i = 0; i < audience->count && !audience->loop->failed; i++)
        subscribe(&audience->members[i]);
}

void audience_expect_snapshot(struct audience *audience, uint64_t rows)
{
    uint64_t later = rows > FIRST_BATCH_ROWS ? rows - FIRST_BATCH_ROWS : 0;
    audience->batches_wanted = (uint32_t)(1 + (later + NEXT_BATCH_ROWS - 1) / NEXT_BATCH_ROWS);
    audience->without_snapshot = audience->count;
}

static bool everyone_has_the_snapshot(const void *argument)
{
    const struct audience *audience = argument;
    return audience->without_snapshot == 0;
}

bool audience_wait_snapshot(struct audience *audience, double seconds, struct error *error)
{
    struct loop_wait wait = {everyone_has_the_snapshot, audience, seconds, "complete snapshots"};
    return loop_until(audience->loop, &wait, error);
}

bool audience_settle(struct audience *audience, uint64_t rows, struct error *error)
{
    if (!audience_connect(audience, error))
        return false;
    audience_expect_snapshot(audience, rows);
    audience_subscribe(audience);
    return audience_wait_snapshot(audience, SNAPSHOT_SECONDS, error);
}

void audience_expect(struct audience *audience, uint64_t position)
{
    audience->position_wanted = position;
    audience->behind = 0;
    for (size_t i = 0; i < audience->count; i++)
        audience->behind += audience->members[i].position < position;
}

void audience_set_deaf(struct audience *audience, bool deaf)
{
    for (size_t i = 0; i < audience->count && !audience->loop->failed; i++)
        connection_set_deaf(&audience->members[i].connection, deaf);
}

static bool nobody_is_behind(const void *argument)
{
    const struct audience *audience = argument;
    return audience->behind == 0;
}

bool audience_wait(struct audience *audience, double seconds, struct error *error)
{
    struct loop_wait wait = {nobody_is_behind, audience, seconds,
                             "every subscriber to have everything"};
    return loop_until(audience->loop, &wait, error);
}
