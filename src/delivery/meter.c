/*
 * The metering of a subscriber's bytes. All bytes of a pull are of one view. So its owner is noted
 * with the pull, and the bytes are counted when the connection takes them.
 */
#include "delivery/hub_internal.h"

static void set(struct sending *sending, struct sending now)
{
    usage_meter_ref(now.meter);
    usage_meter_unref(sending->meter);
    *sending = now;
}

void meter_pull(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    if (subscriber->metering.usage)
        set(&subscriber->metering.pulled, (struct sending){.meter = subscription->meter});
}

void meter_snapshot(struct subscription *subscription, uint64_t rows, bool ends)
{
    struct subscriber *subscriber = subscription->subscriber;
    if (subscriber->metering.usage)
        set(&subscriber->metering.pulled,
            (struct sending){subscription->meter, USAGE_SNAPSHOT, rows, ends});
}

void meter_answers(struct subscriber *subscriber)
{
    if (subscriber->metering.usage)
        set(&subscriber->metering.pulled, (struct sending){.meter = NULL});
}

void meter_rest(struct subscriber *subscriber)
{
    if (!subscriber->metering.usage)
        return;
    set(&subscriber->metering.rest_counts, subscriber->metering.pulled);
    subscriber->metering.rest_rows = 0;
}

/* Rows are told along with the bytes, so that a client that leaves in the middle has had its share.
 */
void meter_piece(struct subscriber *subscriber)
{
    struct sending piece = subscriber->metering.rest_counts;
    if (!subscriber->metering.usage)
        return;
    size_t length = subscriber->outbox.rest->length, sent = subscriber->outbox.rest_sent;
    uint64_t rows = length ? piece.rows * sent / length : piece.rows;
    INVARIANT(rows >= subscriber->metering.rest_rows);
    piece.rows = rows - subscriber->metering.rest_rows;
    piece.ends = piece.ends && sent == length;
    subscriber->metering.rest_rows = rows;
    set(&subscriber->metering.pulled, piece);
}

void meter_forget(struct subscriber *subscriber)
{
    set(&subscriber->metering.pulled, (struct sending){.meter = NULL});
    set(&subscriber->metering.rest_counts, (struct sending){.meter = NULL});
}

/* A limit may have cut it short. */
void subscriber_sent(struct subscriber *subscriber, size_t length, const struct wire_run *run)
{
    const struct sending *sent = &subscriber->metering.pulled;
    size_t pulled = subscriber->metering.pulled_length;
    INVARIANT(length <= pulled);
    if (!subscriber->metering.usage || !pulled)
        return;
    if (sent->meter) {
        usage_sent(sent->meter, sent->kind, sent->rows * length / pulled, run->messages,
                   run->payload, sent->ends && length == pulled);
    } else if (length == pulled &&
               subscriber->outbox.control_sent == subscriber->outbox.control.length) {
        usage_answers_settled(subscriber->metering.usage, true);
    }
}
