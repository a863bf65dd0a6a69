/* The thread that publishes. */
#include "follow/publisher_internal.h"

#include <time.h>

enum {
    SEND_AT_ONCE = 64, /* before acknowledgements are looked at */
    SENT_REST_MS = 5,  /* between looks at acknowledgements */
    IDLE_REST_MS = 100,
    REFUSED_MS = 3000 /* before a broker that does not let it publish is asked again */
};

/* ---- whether it can publish ---- */

static void be_ready(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->ready = true;
    publisher->apart_us = 0;
    pthread_mutex_unlock(&publisher->lock);
    if (publisher->was_apart)
        log_info("follow", "log-writable");
    publisher->was_apart = false;
}

static void be_apart(struct publisher *publisher, const struct error *error)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->ready = false;
    publisher->problem = *error;
    if (!publisher->apart_us)
        publisher->apart_us = clock_monotonic_us();
    pthread_mutex_unlock(&publisher->lock);
    if (!publisher->was_apart || publisher->apart_for != error->code)
        log_warning("follow", "log-not-writable", log_text("error", error->message),
                    log_text("effect", "requests that write wait, or are refused"));
    publisher->was_apart = true;
    publisher->apart_for = error->code;
}

static void prepare(struct publisher *publisher)
{
    struct error error;
    int64_t created = 0;
    uint64_t now = clock_monotonic_us();
    int64_t rest = publisher->apart_for == ERROR_LOG_FORBIDDEN ? REFUSED_MS : FOLLOW_RETRY_MS;
    if (publisher->tried_us && now - publisher->tried_us < (uint64_t)rest * 1000)
        return;
    bool asked = sender_ask(publisher->sender, &created, &error);
    publisher->tried_us = clock_monotonic_us();
    if (asked && created != publisher->start.created)
        asked = error_set(&error, ERROR_NETWORK, "the stream was made anew");
    if (asked)
        be_ready(publisher);
    else
        be_apart(publisher, &error);
}

/* ---- sending ---- */

/* The first that waits is about to be sent. */
static struct publication *begin_sending(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    struct publication *first = publisher->halted ? NULL : pending_send(&publisher->pending);
    publisher->published += first != NULL;
    pthread_mutex_unlock(&publisher->lock);
    return first;
}

/* It was not sent. */
static void refuse(struct publisher *publisher, struct publication *publication,
                   const struct error *error)
{
    pthread_mutex_lock(&publisher->lock);
    *publication->error = *error;
    publisher->published--;
    publisher_give_up(publisher, publication);
    pthread_mutex_unlock(&publisher->lock);
}

static bool print(const struct publisher *publisher, const struct publication *publication,
                  struct buffer *out, struct error *error)
{
    struct envelope envelope = {.node = span_of(publisher->node),
                                .number = (int64_t)publication->number,
                                .form = publication->form,
                                .subject = publication->subject,
                                .key = publication->key,
                                .has_after = publication->has_after,
                                .after = publication->after};
    return (envelope_print(&envelope, out) && buffer_string(out)) ||
           error_set(error, ERROR_MEMORY, "out of memory while publishing a request");
}

static bool send_first(struct publisher *publisher)
{
    struct error error;
    struct buffer out;
    struct publication *publication = begin_sending(publisher);
    if (!publication)
        return false;
    buffer_init(&out, ENVELOPE_BYTES);
    bool printed = print(publisher, publication, &out, &error);
    bool sent = printed && sender_send(publisher->sender, publication->number, out.data,
                                       publication->body, &error);
    buffer_fini(&out);
    if (sent)
        return true;
    if (!printed || error.code == ERROR_TOO_LARGE) {
        refuse(publisher, publication, &error);
        return true;
    }
    be_apart(publisher, &error);
    return false;
}

static void send_some(struct publisher *publisher)
{
    size_t sent = 0;
    while (sent < SEND_AT_ONCE && send_first(publisher))
        sent++;
}

/* ---- what brokers say, and time ---- */

static void note_ack(struct publisher *publisher, const struct sender_ack *ack)
{
    publisher->heard_us = ack->sequence ? clock_monotonic_us() : publisher->heard_us;
    pthread_mutex_lock(&publisher->lock);
    struct publication *publication = pending_find(&publisher->pending, ack->number);
    if (publication && ack->sequence) {
        publication->stored = ack->sequence;
    } else if (publication) {
        *publication->error = ack->error;
        publisher_give_up(publisher, publication);
    }
    pthread_mutex_unlock(&publisher->lock);
    if (ack->unheard) /* what waits goes on waiting until there is a leader */
        be_apart(publisher, &ack->error);
}

static void take_acks(struct publisher *publisher)
{
    struct sender_ack ack;
    while (sender_next(publisher->sender, &ack))
        note_ack(publisher, &ack);
}

/* A broker that does not answer is asked before it is believed again. */
static void give_up_late(struct publisher *publisher)
{
    struct error error;
    pthread_mutex_lock(&publisher->lock);
    bool silent = publisher_expire(publisher, &publisher->pending.sent, false);
    publisher_expire(publisher, &publisher->pending.waiting, false);
    pthread_mutex_unlock(&publisher->lock);
    if (!silent)
        return;
    error_set(&error, ERROR_NETWORK, "the broker does not acknowledge what it is sent");
    be_apart(publisher, &error);
}

/* Until there is something to send, or it is time to look at acknowledgements. */
static void rest(struct publisher *publisher)
{
    struct timespec until;
    pthread_mutex_lock(&publisher->lock);
    bool has_sent = !link_alone(&publisher->pending.sent);
    int64_t ms = has_sent ? SENT_REST_MS : IDLE_REST_MS;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000 * 1000;
    until.tv_sec += until.tv_nsec / (1000 * 1000 * 1000);
    until.tv_nsec %= 1000 * 1000 * 1000;
    if (!publisher->halted && (!publisher->ready || link_alone(&publisher->pending.waiting)))
        pthread_cond_timedwait(&publisher->changed, &publisher->lock, &until);
    pthread_mutex_unlock(&publisher->lock);
}

static bool is_connected(struct publisher *publisher)
{
    struct error error;
    if (sender_is_connected(publisher->sender))
        return true;
    error_set(&error, ERROR_NETWORK, "the connection to the broker is gone");
    be_apart(publisher, &error);
    return false;
}

static bool is_over(struct publisher *publisher, bool *ready)
{
    pthread_mutex_lock(&publisher->lock);
    bool over = publisher->halted;
    *ready = publisher->ready;
    pthread_mutex_unlock(&publisher->lock);
    return over;
}

void *publisher_main(void *argument)
{
    struct publisher *publisher = argument;
    bool ready;
    while (!is_over(publisher, &ready)) {
        if (!ready)
            prepare(publisher);
        else if (is_connected(publisher))
            send_some(publisher);
        take_acks(publisher);
        give_up_late(publisher);
        rest(publisher);
    }
    return NULL;
}
