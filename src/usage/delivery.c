/*
 * From the spool to the endpoint. A packet is up to 50 events that were read from the spool:
 *
 *   WAITING --posted--> UNDER_WAY --2xx--> DELIVERED --removed from the spool--> gone
 *      ^                    |
 *      +-----failed---------+   (refused: in halves, at once; a single event: passed for an hour)
 *
 * A packet is removed only after the endpoint took it, so a crash at any point has events sent
 * again, never lost.
 */
#include "usage/usage_internal.h"

/* ---- a packet ---- */

/* NULL when out of memory. */
static struct usage_packet *packet_new(struct usage *usage)
{
    struct usage_packet *packet = memory_new(sizeof *packet);
    if (!packet)
        return NULL;
    packet->usage = usage;
    link_init(&packet->in_packets);
    buffer_init(&packet->text, USAGE_PACKET_EVENTS * 2 * USAGE_EVENT_BYTES);
    return packet;
}

static void packet_free(struct usage_packet *packet)
{
    link_remove(&packet->in_packets);
    buffer_fini(&packet->text);
    memory_free(packet);
}

/* These are false when out of memory. */
static bool packet_add(struct usage_packet *packet, int64_t id, struct span text)
{
    if (packet->count)
        buffer_add_char(&packet->text, ',');
    if (!buffer_add_span(&packet->text, text))
        return false;
    packet->events[packet->count].id = id;
    packet->events[packet->count++].end = packet->text.length;
    return true;
}

/* The text of one event. */
static struct span packet_event(const struct usage_packet *packet, size_t i)
{
    size_t from = i ? packet->events[i - 1].end + 1 : 0;
    return span_make(packet->text.data + from, packet->events[i].end - from);
}

/* The second half becomes a packet of its own, behind it in its list. */
static bool packet_split(struct usage_packet *packet)
{
    size_t half = packet->count / 2;
    struct usage_packet *second = packet_new(packet->usage);
    bool done = second != NULL;
    for (size_t i = half; done && i < packet->count; i++)
        done = packet_add(second, packet->events[i].id, packet_event(packet, i));
    if (!done) {
        if (second)
            packet_free(second);
        return false;
    }
    second->oldest_at = packet->oldest_at;
    link_append(packet->in_packets.next, &second->in_packets); /* before the next one */
    packet->count = half;
    packet->text.length = packet->events[half - 1].end;
    return true;
}

/* The body of the request. */
static bool packet_print(const struct usage_packet *packet, struct buffer *body)
{
    buffer_add_string(body, "{\"events\":[");
    buffer_add(body, packet->text.data, packet->text.length);
    return buffer_add_string(body, "]}");
}

/* ---- from the spool ---- */

enum { RETRY_MS = 1000 };

void usage_delivery_fini(struct usage_delivery *delivery)
{
    while (!link_alone(&delivery->packets))
        packet_free(LINK_OWNER(struct usage_packet, in_packets, delivery->packets.next));
}

/* The database did not do it: not again at once. */
static void put_off(struct usage *usage)
{
    usage->delivery.retry_ms = usage_now(usage) + RETRY_MS;
}

static void wake(struct usage *usage)
{
    if (!usage->closing)
        usage->options.wake(usage->options.argument);
}

/* ---- removing ---- */

static bool run_removal(struct write_job *job, struct store_writer *store, struct error *error)
{
    struct usage_packet *packet = (struct usage_packet *)job;
    if (!store_usage_remove(store, packet->events[0].id, packet->events[packet->count - 1].id,
                            error))
        return false;
    packet->left = *store_writer_state(store).usage;
    return true;
}

static void deliver_removal(struct engine_event *event)
{
    struct usage_packet *packet = (struct usage_packet *)event;
    struct usage *usage = packet->usage;
    usage->delivery.removing--;
    packet->removing = false;
    if (packet->removal.error.code == ERROR_NONE) {
        usage_note_spool(usage, &packet->left);
        packet_free(packet);
        wake(usage);
    } else {
        log_warning("usage", "removal-failed", log_number("events", packet->count),
                    log_text("error", packet->removal.error.message));
        put_off(usage);
    }
}

static void remove_delivered(struct usage *usage)
{
    struct usage_delivery *delivery = &usage->delivery;
    struct link *link = delivery->packets.next;
    if (usage_now(usage) < delivery->retry_ms)
        return;
    for (; link != &delivery->packets; link = link->next) {
        struct usage_packet *packet = LINK_OWNER(struct usage_packet, in_packets, link);
        if (packet->state != PACKET_DELIVERED || packet->removing)
            continue;
        packet->removal.run = run_removal;
        packet->removal.event.deliver = deliver_removal;
        packet->removing = engine_write(usage->options.engine, &packet->removal);
        delivery->removing += packet->removing;
    }
}

/* ---- what the endpoint says ---- */

/* It stays in the spool, and must not hold up those behind it. */
static void set_aside(struct usage_packet *packet, int status)
{
    struct usage *usage = packet->usage;
    struct span event = packet_event(packet, 0);
    log_error("usage", "event-refused", log_number("status", status),
              log_number("id", packet->events[0].id),
              log_span("event", span_make(event.data, event.length < 60 ? event.length : 60)));
    counter_add(&usage->metrics.refused, 1);
    if (!usage->delivery.any_refused)
        usage->delivery.again_ms = usage_now(usage) + USAGE_REFUSED_MS;
    usage->delivery.any_refused = true;
    packet_free(packet);
}

/* An answer that another attempt with the same body would not change: the content is refused. */
static bool is_refusal(const struct outbound_answer *answer)
{
    return answer->error.code == ERROR_NONE &&
           (answer->status == 400 || answer->status == 413 || answer->status == 422);
}

/* One of them is the cause, and the endpoint is there: it is asked again at once. */
static void refused(struct usage *usage, struct usage_packet *packet, int status)
{
    log_warning("usage", "events-refused", log_number("status", status),
                log_number("events", packet->count));
    counter_add(&usage->metrics.failures, 1);
    if (!packet_split(packet)) /* out of memory: later, whole */
        usage_pace_failed(&usage->delivery.pace, usage_now(usage), packet->failures, 0);
}

static void failed(struct usage *usage, struct usage_packet *packet,
                   const struct outbound_answer *answer)
{
    struct usage_pace *pace = &usage->delivery.pace;
    uint64_t wait =
        usage_pace_failed(pace, usage_now(usage), packet->failures, answer->retry_after);
    counter_add(&usage->metrics.failures, 1);
    log_warning("usage", "delivery-failed", log_number("status", answer->status),
                log_number("failures", pace->failures), log_number("retry_ms", wait),
                log_text("error", answer->error.code != ERROR_NONE ? answer->error.message : ""));
    if (is_refusal(answer))
        set_aside(packet, answer->status);
}

static void delivered(struct usage *usage, struct usage_packet *packet)
{
    struct usage_pace *pace = &usage->delivery.pace;
    if (pace->failures)
        log_info("usage", "delivery-resumed", log_number("failures", pace->failures));
    pace->failures = 0;
    counter_add(&usage->metrics.delivered, packet->count);
    packet->state = PACKET_DELIVERED;
    remove_delivered(usage);
}

static void on_answer(void *argument, struct outbound_answer *answer)
{
    struct usage_packet *packet = argument;
    struct usage *usage = packet->usage;
    usage->delivery.under_way--;
    packet->state = PACKET_WAITING;
    if (answer->error.code == ERROR_NONE && answer->status / 100 == 2)
        delivered(usage, packet);
    else if (is_refusal(answer) && packet->count > 1)
        refused(usage, packet, answer->status);
    else if (answer->error.code != ERROR_SHUTTING_DOWN) /* else it is for the next life */
        failed(usage, packet, answer);
    wake(usage);
}

/* ---- sending ---- */

static void send_packet(struct usage *usage, struct usage_packet *packet)
{
    struct buffer body;
    buffer_init(&body, packet->text.length + 64);
    packet->failures = usage->delivery.pace.failures;
    bool sent = packet_print(packet, &body) &&
                usage->options.post(usage->options.argument, buffer_span(&body), on_answer, packet);
    buffer_fini(&body);
    if (sent) {
        packet->state = PACKET_UNDER_WAY;
        usage->delivery.under_way++;
        counter_add(&usage->metrics.requests, 1);
    } else {
        usage_pace_failed(&usage->delivery.pace, usage_now(usage), packet->failures, 0);
    }
}

static bool has_waiting(const struct usage_delivery *delivery, struct usage_packet **first)
{
    struct link *link = delivery->packets.next;
    for (; link != &delivery->packets; link = link->next) {
        *first = LINK_OWNER(struct usage_packet, in_packets, link);
        if ((*first)->state == PACKET_WAITING)
            return true;
    }
    return false;
}

static void send_waiting(struct usage *usage, uint64_t now)
{
    struct usage_delivery *delivery = &usage->delivery;
    struct usage_packet *packet;
    while (usage_pace_may_send(&delivery->pace, now, delivery->under_way) &&
           has_waiting(delivery, &packet))
        send_packet(usage, packet);
}

/* ---- reading ---- */

struct usage_read {
    struct read_job job;
    struct usage *usage;
    int64_t after;
    struct usage_packet *packet;
    struct buffer line;
    struct store_usage_state state;
    bool done;
    struct error error;
};

static bool take_event(void *argument, const struct store_usage_event *event)
{
    struct usage_read *read = argument;
    struct buffer *line = &read->line;
    buffer_clear(line);
    buffer_printf(line, "{\"event_id\":\"%.*s\",\"occurred_at_ms\":%lld,\"event\":",
                  (int)event->event_id.length, event->event_id.data, (long long)event->at);
    buffer_add_span(line, event->event);
    read->done =
        buffer_add_char(line, '}') && packet_add(read->packet, event->id, buffer_span(line));
    if (read->packet->count == 1)
        read->packet->oldest_at = event->at;
    return read->done;
}

static void run_read(struct read_job *job, struct store_reader *reader)
{
    struct usage_read *read = (struct usage_read *)job;
    read->done = true;
    if (!store_read_begin(reader, &read->error)) {
        read->done = false;
        return;
    }
    read->done = store_read_usage_state(reader, &read->state, &read->error) &&
                 store_read_usage(reader, read->after, USAGE_PACKET_EVENTS, take_event, read,
                                  &read->error) &&
                 read->done;
    store_read_end(reader);
}

static void read_free(struct usage_read *read)
{
    if (read->packet)
        packet_free(read->packet);
    buffer_fini(&read->line);
    memory_free(read);
}

static void take_read(struct usage *usage, struct usage_read *read)
{
    struct usage_delivery *delivery = &usage->delivery;
    struct usage_packet *packet = read->packet;
    /* The state that a job of the writer told is newer, whenever this was read. */
    if (!usage->spool.is_known)
        usage_note_spool(usage, &read->state);
    delivery->waiting -= (int64_t)packet->count;
    if (packet->count < USAGE_PACKET_EVENTS)
        delivery->waiting = delivery->news; /* it saw the end of the spool */
    else if (delivery->waiting < USAGE_PACKET_EVENTS)
        delivery->waiting = USAGE_PACKET_EVENTS; /* perhaps: what an earlier life has left */
    if (!packet->count)
        return;
    delivery->after = packet->events[packet->count - 1].id;
    link_append(&delivery->packets, &packet->in_packets);
    read->packet = NULL;
}

static void deliver_read(struct engine_event *event)
{
    struct usage_read *read = (struct usage_read *)event;
    struct usage *usage = read->usage;
    usage->delivery.reading = false;
    if (read->done) {
        take_read(usage, read);
    } else {
        log_warning("usage", "read-failed", log_text("error", read->error.message));
        put_off(usage);
    }
    read_free(read);
    wake(usage);
}

static void start_read(struct usage *usage, uint64_t now)
{
    struct usage_delivery *delivery = &usage->delivery;
    struct usage_read *read = memory_new(sizeof *read);
    if (!read)
        return;
    read->job.run = run_read;
    read->job.event.deliver = deliver_read;
    read->usage = usage;
    read->after = delivery->after;
    read->packet = packet_new(usage);
    buffer_init(&read->line, 2 * USAGE_EVENT_BYTES);
    if (!read->packet || !engine_read(usage->options.engine, &read->job)) {
        read_free(read);
        return;
    }
    delivery->reading = true;
    delivery->news = 0;
    delivery->read_ms = now;
}

/* A full packet is worth a request; fewer events wait a little for others. */
static bool is_worth_reading(const struct usage *usage, uint64_t now)
{
    const struct usage_delivery *delivery = &usage->delivery;
    if (delivery->reading || !delivery->waiting || now < delivery->retry_ms ||
        !usage_pace_may_send(&delivery->pace, now, delivery->under_way))
        return false;
    return delivery->waiting >= USAGE_PACKET_EVENTS || usage->finishing || !delivery->read_ms ||
           now - delivery->read_ms >= USAGE_PACKET_MS;
}

/* Events that were refused get another chance, by reading from the start of the spool. */
static void try_refused_again(struct usage_delivery *delivery, uint64_t now)
{
    if (!delivery->any_refused || now < delivery->again_ms || delivery->reading ||
        !link_alone(&delivery->packets))
        return;
    delivery->any_refused = false;
    delivery->after = 0;
    if (!delivery->waiting)
        delivery->waiting = 1;
}

/* ---- for the others ---- */

void usage_delivery_turn(struct usage *usage, uint64_t now)
{
    struct usage_delivery *delivery = &usage->delivery;
    struct usage_packet *packet;
    remove_delivered(usage);
    try_refused_again(delivery, now);
    send_waiting(usage, now);
    bool room = delivery->under_way + delivery->removing < USAGE_AT_ONCE;
    if (room && !has_waiting(delivery, &packet) && is_worth_reading(usage, now))
        start_read(usage, now);
}
