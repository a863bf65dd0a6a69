/*
 * The thread that publishes.
 *
 *   put --> waiting --sent--> sent --applied here--> answered, by who reads
 *                                  \--time is over, a broker refuses, or the end--> answered, here
 *
 *  1. A publication is in the table from `put` on until it is taken out to be answered: once, under
 *     the lock, by the reading or by this thread.
 *  2. Messages are sent in the order in which they were put, each once. The connection keeps it.
 *  3. What was sent may be in the log, whatever became of the connection. Only the reading says
 *     that it is; nothing says that it is not, except a broker that refuses it.
 *  4. A publication is not looked at any more once it is sent: it may be answered, and gone.
 */
#include "follow/publisher.h"

#include "follow/envelope.h"
#include "follow/follow_internal.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

enum {
    BUCKETS = 1024,
    MOST_COUNT = 1024, /* that wait and that were sent */
    MOST_BYTES = 16 * 1024 * 1024,
    SEND_AT_ONCE = 64, /* before acknowledgements are looked at */
    SENT_REST_MS = 5,  /* between looks at acknowledgements */
    IDLE_REST_MS = 100,
    SETTLE_MS = 2000 /* at the end, for what was sent */
};

struct publisher {
    struct sender *sender;
    struct follow_start start;
    pthread_t thread;
    bool started;
    struct histogram wait; /* from put to answer */
    char node[ENVELOPE_NODE + 1];
    bool was_apart; /* which was logged; the thread's */
    uint64_t tried_us;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool takes, halted;
    struct link waiting, sent; /* in order */
    struct publication *buckets[BUCKETS];
    size_t count, bytes;
    uint64_t number;
    bool ready;
    uint64_t apart_us;    /* since when it is not; 0: it is */
    uint64_t settle_us;   /* when what waits is given up; 0: by its own time */
    struct error problem; /* why it is not ready */
    uint64_t published, failed;
};

/* ---- the table; with the lock ---- */

static struct publication **bucket_of(struct publisher *publisher, uint64_t number)
{
    return &publisher->buckets[number % BUCKETS];
}

static struct publication *find(struct publisher *publisher, uint64_t number)
{
    struct publication *found = *bucket_of(publisher, number);
    while (found && found->number != number)
        found = found->in_bucket;
    return found;
}

static void add(struct publisher *publisher, struct publication *publication)
{
    struct publication **bucket = bucket_of(publisher, publication->number);
    publication->in_bucket = *bucket;
    *bucket = publication;
    link_append(&publisher->waiting, &publication->in_order);
    publisher->count++;
    publisher->bytes += publication->bytes;
    pthread_cond_broadcast(&publisher->changed);
}

static void take_out(struct publisher *publisher, struct publication *publication)
{
    struct publication **at = bucket_of(publisher, publication->number);
    while (*at != publication)
        at = &(*at)->in_bucket;
    *at = publication->in_bucket;
    link_remove(&publication->in_order);
    INVARIANT(publisher->count && publisher->bytes >= publication->bytes);
    publisher->count--;
    publisher->bytes -= publication->bytes;
    if (!publisher->count)
        pthread_cond_broadcast(&publisher->changed);
}

static void deliver_failure(struct engine_event *event)
{
    struct publication *publication = (struct publication *)event;
    publication->answer(publication, NULL);
}

/* Taken out, and answered on the loop: its error says why. */
static void give_up(struct publisher *publisher, struct publication *publication)
{
    take_out(publisher, publication);
    publisher->failed++;
    publication->event.deliver = deliver_failure;
    publication->event.item.bytes = 0;
    engine_post(publisher->start.engine, &publication->event);
}

/* ---- putting ---- */

static uint64_t patience_us(const struct publisher *publisher)
{
    return (uint64_t)publisher->start.max_write_ms * 1000;
}

static bool has_been_apart(const struct publisher *publisher)
{
    return publisher->apart_us &&
           clock_monotonic_us() - publisher->apart_us > patience_us(publisher);
}

static bool has_room(const struct publisher *publisher, size_t bytes)
{
    return publisher->count < MOST_COUNT &&
           (!publisher->count || publisher->bytes + bytes <= MOST_BYTES);
}

static bool may_put(const struct publisher *publisher, size_t bytes, struct error *error)
{
    const struct error *problem = &publisher->problem;
    if (!publisher->takes)
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    if (!publisher->ready && problem->code == ERROR_NOT_IMPLEMENTED) {
        *error = *problem;
        return false;
    }
    if (has_been_apart(publisher))
        return error_set(error, ERROR_LOG_UNAVAILABLE,
                         "the log takes nothing, so nothing of the request was published: %.300s",
                         problem->message);
    return has_room(publisher, bytes) ||
           error_set(error, ERROR_QUEUE_FULL, "too many requests wait for the log");
}

bool publisher_put(struct publisher *publisher, struct publication *publication,
                   struct error *error)
{
    size_t bytes = sizeof *publication + publication->body.length + publication->subject.length +
                   publication->key.length;
    pthread_mutex_lock(&publisher->lock);
    bool done = may_put(publisher, bytes, error);
    if (done) {
        publication->bytes = bytes;
        publication->number = ++publisher->number;
        publication->put_us = clock_monotonic_us();
        publication->sent = false;
        publication->stored = 0;
        publication->error.code = ERROR_NONE;
        link_init(&publication->in_order);
        add(publisher, publication);
    }
    pthread_mutex_unlock(&publisher->lock);
    return done;
}

/* ---- taking ---- */

struct publication *publisher_take(struct publisher *publisher, struct span node, int64_t number)
{
    if (!span_equal(node, span_of(publisher->node)))
        return NULL;
    pthread_mutex_lock(&publisher->lock);
    struct publication *publication = find(publisher, (uint64_t)number);
    if (publication) {
        take_out(publisher, publication);
        histogram_add(&publisher->wait, clock_monotonic_us() - publication->put_us);
    }
    pthread_mutex_unlock(&publisher->lock);
    return publication;
}

/* ---- the thread: whether it can publish ---- */

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
    if (!publisher->was_apart)
        log_warning("follow", "log-not-writable", log_text("error", error->message),
                    log_text("effect", "requests that write wait, or are refused"));
    publisher->was_apart = true;
}

static void prepare(struct publisher *publisher)
{
    struct error error;
    int64_t created = 0;
    uint64_t now = clock_monotonic_us();
    if (publisher->tried_us && now - publisher->tried_us < (uint64_t)FOLLOW_RETRY_MS * 1000)
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

/* ---- the thread: sending ---- */

/* The first that waits is about to be sent. */
static struct publication *begin_sending(struct publisher *publisher)
{
    struct publication *first = NULL;
    pthread_mutex_lock(&publisher->lock);
    if (!publisher->halted && !link_alone(&publisher->waiting)) {
        first = LINK_OWNER(struct publication, in_order, publisher->waiting.next);
        link_remove(&first->in_order);
        link_append(&publisher->sent, &first->in_order);
        first->sent = true;
        publisher->published++;
    }
    pthread_mutex_unlock(&publisher->lock);
    return first;
}

/* It was not sent. */
static void refuse(struct publisher *publisher, struct publication *publication,
                   const struct error *error)
{
    pthread_mutex_lock(&publisher->lock);
    publication->error = *error;
    publisher->published--;
    give_up(publisher, publication);
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

/* ---- the thread: what brokers say, and time ---- */

static void note_ack(struct publisher *publisher, const struct sender_ack *ack)
{
    pthread_mutex_lock(&publisher->lock);
    struct publication *publication = find(publisher, ack->number);
    if (publication && ack->sequence) {
        publication->stored = ack->sequence;
    } else if (publication) {
        publication->error = ack->error;
        give_up(publisher, publication);
    }
    pthread_mutex_unlock(&publisher->lock);
}

static void take_acks(struct publisher *publisher)
{
    struct sender_ack ack;
    while (sender_next(publisher->sender, &ack))
        note_ack(publisher, &ack);
}

static void tell_late(const struct publisher *publisher, struct publication *publication)
{
    struct error *error = &publication->error;
    double seconds = (double)publisher->start.max_write_ms / 1e3;
    static const char again[] =
        "with a producer's batch or an Idempotency-Key it can be sent again "
        "without harm, to any node; otherwise look first";
    if (!publication->sent)
        error_set(error, ERROR_LOG_UNAVAILABLE,
                  "the log took nothing, so nothing of the request was published: %.300s",
                  publisher->settle_us ? "the server stops" : publisher->problem.message);
    else if (publisher->settle_us)
        error_set(
            error, ERROR_LOG_UNAVAILABLE,
            "the server stops, and has not read the request in the log, which may have it: %s",
            again);
    else if (publication->stored)
        error_set(error, ERROR_NODE_BEHIND,
                  "the log has the request as its message %lld, but this node has not come to it "
                  "within %g s: %s",
                  (long long)publication->stored, seconds, again);
    else
        error_set(error, ERROR_LOG_UNAVAILABLE,
                  "no broker has said within %g s that the log has the request; it may have it: %s",
                  seconds, again);
}

static bool is_late(const struct publisher *publisher, const struct publication *publication,
                    uint64_t now)
{
    return now - publication->put_us > patience_us(publisher) ||
           (publisher->settle_us && now > publisher->settle_us);
}

/* Whether a broker was silent about one. */
static bool expire(struct publisher *publisher, struct link *list, bool all)
{
    uint64_t now = clock_monotonic_us();
    bool silent = false;
    while (!link_alone(list)) {
        struct publication *first = LINK_OWNER(struct publication, in_order, list->next);
        if (!all && !is_late(publisher, first, now))
            break;
        silent = silent || (first->sent && !first->stored);
        tell_late(publisher, first);
        give_up(publisher, first);
    }
    return silent;
}

/* A broker that does not answer is asked before it is believed again. */
static void give_up_late(struct publisher *publisher)
{
    struct error error;
    pthread_mutex_lock(&publisher->lock);
    bool silent = expire(publisher, &publisher->sent, false);
    expire(publisher, &publisher->waiting, false);
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
    bool has_sent = !link_alone(&publisher->sent);
    int64_t ms = has_sent ? SENT_REST_MS : IDLE_REST_MS;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000 * 1000;
    until.tv_sec += until.tv_nsec / (1000 * 1000 * 1000);
    until.tv_nsec %= 1000 * 1000 * 1000;
    if (!publisher->halted && (!publisher->ready || link_alone(&publisher->waiting)))
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

static void *publisher_main(void *argument)
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

/* ---- life ---- */

static bool name_node(char node[ENVELOPE_NODE + 1], struct error *error)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(error, ERROR_INTERNAL, "the system has no random numbers");
    snprintf(node, ENVELOPE_NODE + 1, "%016llx", (unsigned long long)random);
    return true;
}

static void init_changed(struct publisher *publisher)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&publisher->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct publisher *publisher_open(const struct follow_options *options, struct error *error)
{
    struct publisher *publisher = memory_new(sizeof *publisher);
    if (!publisher) {
        error_set(error, ERROR_MEMORY, "out of memory while opening the log");
        return NULL;
    }
    pthread_mutex_init(&publisher->lock, NULL);
    init_changed(publisher);
    link_init(&publisher->waiting);
    link_init(&publisher->sent);
    error_set(&publisher->problem, ERROR_NETWORK, "it was not reached yet");
    publisher->sender = sender_open(options, error);
    if (publisher->sender && name_node(publisher->node, error))
        return publisher;
    publisher_free(publisher);
    return NULL;
}

bool publisher_start(struct publisher *publisher, const struct follow_start *start,
                     struct error *error)
{
    publisher->start = *start;
    publisher->takes = true;
    publisher->apart_us = clock_monotonic_us();
    publisher->started = pthread_create(&publisher->thread, NULL, publisher_main, publisher) == 0;
    return publisher->started ||
           error_set(error, ERROR_MEMORY, "cannot start the thread that publishes");
}

void publisher_settle(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->takes = false;
    publisher->settle_us = clock_monotonic_us() + (uint64_t)SETTLE_MS * 1000;
    pthread_cond_broadcast(&publisher->changed);
    while (publisher->started && publisher->count && !publisher->halted)
        pthread_cond_wait(&publisher->changed, &publisher->lock);
    pthread_mutex_unlock(&publisher->lock);
}

void publisher_halt(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->takes = false;
    publisher->halted = true;
    pthread_cond_broadcast(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
}

void publisher_stop(struct publisher *publisher)
{
    if (!publisher || !publisher->started)
        return;
    publisher_halt(publisher);
    pthread_join(publisher->thread, NULL);
    pthread_mutex_lock(&publisher->lock);
    publisher->started = false;
    publisher->settle_us = 1; /* whatever its time */
    expire(publisher, &publisher->sent, true);
    expire(publisher, &publisher->waiting, true);
    pthread_mutex_unlock(&publisher->lock);
    sender_close(publisher->sender);
    publisher->sender = NULL;
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    sender_close(publisher->sender);
    pthread_mutex_destroy(&publisher->lock);
    pthread_cond_destroy(&publisher->changed);
    memory_free(publisher);
}

/* ---- state ---- */

bool publisher_is_ready(struct publisher *publisher, struct error *problem)
{
    pthread_mutex_lock(&publisher->lock);
    bool ready = publisher->ready;
    *problem = publisher->problem;
    pthread_mutex_unlock(&publisher->lock);
    return ready;
}

struct follow_writes publisher_writes(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    struct follow_writes writes = {.published = publisher->published,
                                   .failed = publisher->failed,
                                   .waiting = publisher->count,
                                   .bytes = publisher->bytes};
    pthread_mutex_unlock(&publisher->lock);
    return writes;
}

const struct histogram *publisher_wait(const struct publisher *publisher)
{
    return &publisher->wait;
}
