#include "bench/crew.h"

#include <stdio.h>

enum {
    MUTATIONS_MADE = 8192, /* different ones of a producer, roughly */
    MESSAGES_LEAST = 4,
    FILL_BYTES = 64 * 1024, /* small requests are written together */
    CONNECT_SECONDS = 10
};

static const char acknowledged_start[] = "{\"ack\":";
static const char applied_name[] = ",\"applied\":";

/* ---- sending ---- */

static bool may_send(const struct producer *producer)
{
    return producer->to_send > 0 &&
           producer->sent - producer->acknowledged < producer->most_in_flight;
}

static struct message *next_message(struct producer *producer)
{
    struct message *message = &producer->messages[producer->sent % producer->message_count];
    const struct crew_plan *plan = &producer->crew->plan;
    message_set_number(message, MESSAGE_FIRST_NUMBER + producer->sent);
    for (size_t i = 0; i < message->mutations; i++)
        message_set_key(message, i,
                        plan->first_key + (plan->in_order
                                               ? producer->next_key++ % plan->keys
                                               : random_below(&producer->random, plan->keys)));
    return message;
}

static void add_message(struct producer *producer, const struct message *message)
{
    buffer_add_span(&producer->connection.output, buffer_span(&message->frame));
    producer->sent++;
}

static void fill(struct producer *producer)
{
    struct connection *connection = &producer->connection;
    while (!connection_pending(connection) && may_send(producer) && !connection->loop->failed) {
        do {
            add_message(producer, next_message(producer));
            producer->to_send--;
        } while (may_send(producer) && connection->output.length < FILL_BYTES);
        connection_flush(connection);
    }
}

static void on_drained(struct connection *connection)
{
    fill((struct producer *)connection);
}

/* ---- acknowledgements ---- */

static void on_opened(struct connection *connection)
{
    ((struct producer *)connection)->crew->opened++;
}

static bool take_acknowledgement(struct producer *producer, struct span text)
{
    struct crew *crew = producer->crew;
    size_t start = sizeof acknowledged_start - 1, name = sizeof applied_name - 1;
    size_t applied_at = start + MESSAGE_NUMBER_DIGITS + name;
    if (text.length <= applied_at || memcmp(text.data, acknowledged_start, start) != 0 ||
        memcmp(text.data + applied_at - name, applied_name, name) != 0)
        return false;
    size_t digits = strspn(text.data + applied_at, "0123456789");
    if (message_parse_digits(text.data + applied_at, digits) != crew->plan.batch)
        return false;
    const char *seq = memmem(text.data, text.length, "\"seq\":\"0:", 9);
    if (seq) {
        uint64_t index = message_parse_digits(seq + 9, strspn(seq + 9, "0123456789"));
        crew->last_index = index > crew->last_index ? index : crew->last_index;
    }
    producer->acknowledged++;
    crew->acknowledged += crew->plan.batch;
    if (crew->on_acknowledged)
        crew->on_acknowledged(crew->context,
                              message_parse_digits(text.data + start, MESSAGE_NUMBER_DIGITS) -
                                  MESSAGE_FIRST_NUMBER);
    return true;
}

static void on_frame(struct connection *connection, const struct frame *frame)
{
    struct producer *producer = (struct producer *)connection;
    if (frame->opcode != FRAME_TEXT || !frame->final ||
        !take_acknowledgement(producer, frame->payload))
        loop_fail(connection->loop, "a request was answered with %.*s",
                  (int)(frame->payload.length < 300 ? frame->payload.length : 300),
                  frame->payload.data);
    else
        fill(producer);
}

static const struct connection_events producer_events = {on_opened, on_frame, on_drained};

/* ---- opening and closing ---- */

static bool make_messages(struct producer *producer)
{
    static unsigned named; /* a name that was used on this database has batches already */
    const struct crew_plan *plan = &producer->crew->plan;
    char name[32];
    snprintf(name, sizeof name, "bench-%u", ++named);
    producer->random = random_make(named);
    producer->message_count = MUTATIONS_MADE / plan->batch;
    if (producer->message_count < MESSAGES_LEAST)
        producer->message_count = MESSAGES_LEAST;
    producer->messages = memory_new(producer->message_count * sizeof *producer->messages);
    for (size_t i = 0; producer->messages && i < producer->message_count; i++)
        if (!message_init(&producer->messages[i], plan->content, name, plan->batch,
                          &producer->random))
            return false;
    return producer->messages;
}

static void limit_in_flight(struct producer *producer)
{
    const struct crew_plan *plan = &producer->crew->plan;
    size_t most = plan->bytes_in_flight / producer->messages[0].frame.length;
    if (most > plan->requests_in_flight)
        most = plan->requests_in_flight;
    producer->most_in_flight = most ? most : 1;
}

static bool everyone_is_open(const void *argument)
{
    const struct crew *crew = argument;
    return crew->opened == crew->plan.producers;
}

bool crew_open(struct crew *crew, struct loop *loop, const struct sockaddr_in *server,
               const struct crew_plan *plan, struct error *error)
{
    struct connection_target target = {.address = *server, .path = "/v1/ingest"};
    *crew = (struct crew){.loop = loop, .plan = *plan};
    crew->producers = memory_new(plan->producers * sizeof *crew->producers);
    if (!crew->producers)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (unsigned i = 0; i < plan->producers; i++) {
        struct producer *producer = &crew->producers[i];
        producer->crew = crew;
        connection_init(&producer->connection, loop, &producer_events);
        if (!make_messages(producer))
            return error_set(error, ERROR_MEMORY, "out of memory");
        limit_in_flight(producer);
        connection_start(&producer->connection, &target);
    }
    struct loop_wait wait = {everyone_is_open, crew, CONNECT_SECONDS, "producers to connect"};
    return loop_until(loop, &wait, error);
}

void crew_close(struct crew *crew)
{
    for (unsigned i = 0; crew->producers && i < crew->plan.producers; i++) {
        struct producer *producer = &crew->producers[i];
        if (!producer->crew)
            break;
        connection_close(&producer->connection);
        for (size_t m = 0; producer->messages && m < producer->message_count; m++)
            message_fini(&producer->messages[m]);
        memory_free(producer->messages);
    }
    memory_free(crew->producers);
    crew->producers = NULL;
}

/* ---- running ---- */

void crew_start(struct crew *crew, uint64_t requests)
{
    for (unsigned i = 0; i < crew->plan.producers; i++) {
        crew->producers[i].to_send = requests;
        fill(&crew->producers[i]);
    }
}

void crew_stop(struct crew *crew)
{
    for (unsigned i = 0; i < crew->plan.producers; i++)
        crew->producers[i].to_send = 0;
}

static bool all_is_acknowledged(const void *argument)
{
    const struct crew *crew = argument;
    for (unsigned i = 0; i < crew->plan.producers; i++) {
        const struct producer *producer = &crew->producers[i];
        if (producer->to_send || producer->sent != producer->acknowledged)
            return false;
    }
    return true;
}

bool crew_finish(struct crew *crew, double seconds, struct error *error)
{
    struct loop_wait wait = {all_is_acknowledged, crew, seconds, "acknowledgements"};
    return loop_until(crew->loop, &wait, error);
}

void crew_send_stamp(struct crew *crew, uint64_t microseconds)
{
    struct producer *producer = &crew->producers[0];
    struct message *message = next_message(producer);
    message_set_stamp(message, microseconds);
    add_message(producer, message);
    connection_flush(&producer->connection);
}
