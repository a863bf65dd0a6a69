/*
 * The bytes of a subscriber: answers first, then its subscriptions with news in turns. A turn pulls
 * one step of a reader. Read slots, the limit of rows and metering are taken from the step here,
 * and nowhere else.
 */
#include "access/allowance.h"
#include "delivery/hub_internal.h"
#include "delivery/key_owner.h"

/* ---- how bytes count ---- */

/* All bytes of a pull are of one view. So what they are is noted with the pull, and they are
 * counted when the connection takes them. */
static void note(struct sending *sending, struct sending now)
{
    usage_meter_ref(now.meter);
    usage_meter_unref(sending->meter);
    *sending = now;
}

/* What the pull at hand is: an update of that meter's view, or a snapshot's part; no meter:
 * answers, which are counted apart. */
static void meter_pull(struct subscriber *subscriber, struct sending pulled)
{
    if (subscriber->metering.usage)
        note(&subscriber->metering.pulled, pulled);
}

/* A text is about to be sent in pieces. */
static void meter_rest(struct subscriber *subscriber)
{
    if (!subscriber->metering.usage)
        return;
    note(&subscriber->metering.rest_counts, subscriber->metering.pulled);
    subscriber->metering.rest_rows = 0;
}

/* Rows are told along with the bytes, so that a client that leaves in the middle has had its share.
 */
static void meter_piece(struct subscriber *subscriber)
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
    note(&subscriber->metering.pulled, piece);
}

void meter_forget(struct subscriber *subscriber)
{
    note(&subscriber->metering.pulled, (struct sending){.meter = NULL});
    note(&subscriber->metering.rest_counts, (struct sending){.meter = NULL});
}

/* A limit may have cut it short. */
static void on_sent(void *supply, size_t length, const struct wire_run *run)
{
    const struct subscriber *subscriber = supply;
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

/* ---- what waits to be sent ---- */

/* As many whole frames from the start of `bytes` as fit a pull, one at least. */
static size_t piece_length(struct span bytes)
{
    if (bytes.length <= HUB_PULL + 16)
        return bytes.length;
    size_t taken = 0;
    while (taken < bytes.length) {
        size_t frame = wire_frame_length(span_make(bytes.data + taken, bytes.length - taken));
        if (frame == 0 || (taken && taken + frame > HUB_PULL + 16))
            break;
        taken += frame;
    }
    return taken ? taken : bytes.length;
}

/* A buffer of answers goes out whole before anything else; its memory goes when it is empty. */
static struct span take_answers(struct subscriber *subscriber)
{
    struct buffer *control = &subscriber->outbox.control;
    INVARIANT(subscriber->outbox.control_sent <= control->length);
    if (subscriber->outbox.control_sent == control->length) {
        if (control->capacity) {
            buffer_fini(control);
            buffer_init(control, HUB_CONTROL * 4);
            subscriber->outbox.control_sent = 0;
        }
        return span_make(NULL, 0);
    }
    struct span left = span_make(control->data + subscriber->outbox.control_sent,
                                 control->length - subscriber->outbox.control_sent);
    left.length = piece_length(left);
    subscriber->outbox.control_sent += left.length;
    meter_pull(subscriber, (struct sending){.meter = NULL});
    return left;
}

/* A text whose bytes were all returned is kept until the next pull, because they are borrowed. */
static struct span take_rest(struct subscriber *subscriber)
{
    struct text *rest = subscriber->outbox.rest;
    if (!rest)
        return span_make(NULL, 0);
    INVARIANT(subscriber->outbox.rest_sent <= rest->length);
    struct span left = span_make(rest->data + subscriber->outbox.rest_sent,
                                 rest->length - subscriber->outbox.rest_sent);
    if (subscriber->outbox.rest_sent < rest->rest_at)
        left.length = rest->rest_at - subscriber->outbox.rest_sent;
    left.length = piece_length(left);
    subscriber->outbox.rest_sent += left.length;
    meter_piece(subscriber);
    if (left.length == 0) {
        text_unref(rest);
        subscriber->outbox.rest = NULL;
    }
    return left;
}

/* Hand a text over to be sent in pieces of whole frames; takes the reference. Nothing may be
 * pending. Returns the first piece. */
static struct span send_text(struct subscriber *subscriber, struct text *text)
{
    INVARIANT(!subscriber->outbox.rest ||
              subscriber->outbox.rest_sent == subscriber->outbox.rest->length);
    text_unref(subscriber->outbox.rest);
    subscriber->outbox.rest = text;
    subscriber->outbox.rest_sent = 0;
    meter_rest(subscriber);
    return take_rest(subscriber);
}

/* ---- a step, and all that follows from it ---- */

static struct reader_step pull_step(struct subscription *subscription)
{
    const struct reader_ops *reader = subscription->reader;
    if (subscription->failure)
        return (struct reader_step){.then = STEP_FAILED};
    struct reader_step step = reader->pull(subscription);
    if (step.then != STEP_SLOT)
        return step;
    if (!subscriber_take_slot(subscription))
        return (struct reader_step){.then = STEP_WAIT}; /* it stands in line, and is woken */
    step = reader->pull(subscription);
    INVARIANT(step.then != STEP_SLOT);
    return step;
}

/* Whether the answer to the request may have so many rows; else the subscription is gone. */
static bool may_have_rows(struct subscription *subscription, int64_t rows)
{
    struct subscriber *subscriber = subscription->subscriber;
    struct error error;
    INVARIANT(rows >= 0);
    if (!subscriber->calls.allowance ||
        allowance_has(subscriber->calls.allowance, ALLOWANCE_ROWS, rows, &error))
        return true;
    counter_add(&subscriber->hub->metrics.subscriptions_refused, 1);
    subscription_fail(subscription, &error);
    return false;
}

static void fail(struct subscription *subscription)
{
    struct error error = *subscription->failure; /* which is gone with the subscription */
    subscription_fail(subscription, &error);
}

/* A tape has no other place to begin. */
static void refuse(struct subscription *subscription)
{
    if (!subscription->tape.on) {
        phase_refuse_cursor(subscription);
        return;
    }
    counter_add(&subscription->subscriber->hub->metrics.subscriptions_refused, 1);
    tape_tell_refusal(subscription);
    subscription_close(subscription);
}

static void follow(struct subscription *subscription, const struct reader_step *step)
{
    switch (step->then) {
    case STEP_MORE:
        subscriber_ready(subscription);
        break;
    case STEP_NEXT:
        if (subscription->reading == READER_SNAPSHOT)
            key_owner_stated(subscription);
        phase_next(subscription, step);
        break;
    case STEP_REFUSED:
        refuse(subscription);
        break;
    case STEP_IDLE: /* only these two are woken by what comes */
        INVARIANT(subscription->reading == READER_LIVE || subscription->reading == READER_WINDOW);
        if (key_owner_may_go(subscription))
            subscription_close(subscription);
        break;
    case STEP_FAILED:
        fail(subscription);
        break;
    case STEP_WAIT:
    case STEP_SLOT:
        break;
    }
}

/* An owner of a key may have to wait for another subscription, or to say its row anew. */
static bool goes_on(struct subscription *subscription)
{
    if (subscription->reading != READER_LIVE)
        return true;
    enum key_owner_turn turn = key_owner_turn(subscription);
    if (turn == KEY_OWNER_RESTATES)
        phase_restate(subscription);
    return turn == KEY_OWNER_GOES_ON;
}

struct span subscription_pull(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    struct span nothing = span_make(NULL, 0);
    INVARIANT(subscription->reader);
    INVARIANT(link_alone(&subscription->in_ready) && link_alone(&subscription->in_rest));
    log_release(subscription);
    if (!goes_on(subscription))
        return nothing;
    struct reader_step step = pull_step(subscription);
    if (step.read_ended)
        subscriber_give_slot(subscription);
    if (step.is_answer && !may_have_rows(subscription, step.answered)) {
        text_unref(step.text);
        return nothing;
    }
    if (step.resumed)
        subscription_announce(subscription, 1);
    if (step.is_snapshot)
        meter_pull(subscriber,
                   (struct sending){subscription->meter, USAGE_SNAPSHOT, step.rows, step.ends});
    follow(subscription, &step);
    if (step.text)
        return send_text(subscriber, step.text);
    subscriber->pulled = step.counts;
    return step.bytes;
}

/* ---- turns ---- */

/* The next subscription's turn; it goes behind the others when it had something. */
static struct span pull_subscription(struct subscriber *subscriber)
{
    struct subscription *subscription =
        LINK_OWNER(struct subscription, in_ready, subscriber->ready.next);
    link_remove(&subscription->in_ready);
    meter_pull(subscriber, (struct sending){.meter = subscription->meter});
    subscriber->owners.pulled = subscription_owns_key(subscription);
    subscriber->owners.opens = key_owner_opens(subscription);
    struct span bytes = subscription_pull(subscription);
    if (bytes.length && link_alone(&subscription->in_ready))
        link_append(&subscriber->ready, &subscription->in_ready);
    if (!bytes.length && !subscriber->owners.pulled)
        key_owners_wake(subscriber);
    return bytes;
}

static struct span pull_frames(struct subscriber *subscriber)
{
    struct span bytes = take_rest(subscriber);
    if (!bytes.length && !link_alone(&subscriber->ready))
        bytes = pull_subscription(subscriber);
    return bytes.length ? key_owners_pass(subscriber, bytes) : bytes;
}

struct span subscriber_pull(struct subscriber *subscriber)
{
    INVARIANT(!subscriber->ended);
    subscriber->pulled.messages = 0;
    /* Answers before each turn: one of them may say what the frames to come begin. */
    struct span bytes = key_owners_pass(subscriber, take_rest(subscriber));
    if (!bytes.length && !subscriber->outbox.rest)
        bytes = take_answers(subscriber);
    while (!bytes.length && (subscriber->outbox.rest || !link_alone(&subscriber->ready))) {
        bytes = pull_frames(subscriber);
        if (!bytes.length && !subscriber->outbox.rest)
            bytes = take_answers(subscriber);
    }
    subscriber->metering.pulled_length = bytes.length;
    if (bytes.length) {
        counter_add(&subscriber->hub->metrics.bytes_out, bytes.length);
        subscriber->calls.wake(subscriber->calls.argument);
    }
    return bytes;
}

/* ---- as a supply ---- */

static struct span pull(void *subscriber)
{
    return subscriber_pull(subscriber);
}

static bool counted(const void *supply, size_t length, struct wire_run *run)
{
    const struct subscriber *subscriber = supply;
    *run = (struct wire_run){subscriber->pulled.messages, subscriber->pulled.payload, false};
    return run->messages && length == subscriber->metering.pulled_length;
}

struct supply_state subscriber_state(const struct subscriber *subscriber)
{
    const struct outbox *outbox = &subscriber->outbox;
    const struct text *rest = outbox->rest;
    return (struct supply_state){
        .subscriptions = subscriber->count,
        .is_idle = !rest && !outbox->control.capacity && link_alone(&subscriber->ready),
        .rests = rest && rest->rest_at && outbox->rest_sent == rest->rest_at,
        .is_broken = outbox->control.failed,
        .is_congested = outbox->control.length - outbox->control_sent > HUB_CONTROL};
}

static struct supply_state state(const void *subscriber)
{
    return subscriber_state(subscriber);
}

/* All are going, so none is handed the read slot of another. */
static void silence(void *supply)
{
    struct subscriber *subscriber = supply;
    while (!link_alone(&subscriber->slots.waiting))
        link_remove(subscriber->slots.waiting.next);
    while (!link_alone(&subscriber->subscriptions))
        subscription_close(
            LINK_OWNER(struct subscription, in_subscriber, subscriber->subscriptions.next));
    INVARIANT(!subscriber->count && !subscriber->slots.taken);
    INVARIANT(link_alone(&subscriber->ready) && link_alone(&subscriber->slots.waiting));
}

static void drop(void *supply)
{
    struct subscriber *subscriber = supply;
    text_unref(subscriber->outbox.rest);
    subscriber->outbox.rest = NULL;
    buffer_clear(&subscriber->outbox.control);
    subscriber->outbox.control_sent = 0;
    if (subscriber->metering.usage)
        usage_answers_settled(subscriber->metering.usage, false);
}

const struct supply_ops subscriber_supply = {
    .pull = pull,
    .show = subscriber_show,
    .took = subscriber_took,
    .counted = counted,
    .sent = on_sent,
    .state = state,
    .silence = silence,
    .drop = drop,
};
