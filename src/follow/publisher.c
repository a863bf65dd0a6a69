/* Putting publications, taking those that were applied, and life. */
#include "follow/publisher_internal.h"

#include <stdio.h>
#include <sys/random.h>

enum { SETTLE_MS = 2000 }; /* at the end, for what was sent */

/* ---- out of the pending ones; with the lock ---- */

static void take_out(struct publisher *publisher, struct publication *publication)
{
    pending_remove(&publisher->pending, publication);
    if (!publisher->pending.count)
        pthread_cond_broadcast(&publisher->changed);
}

static void deliver_failure(struct engine_event *event)
{
    struct publication *publication = (struct publication *)event;
    publication->answer(publication, NULL);
}

void publisher_give_up(struct publisher *publisher, struct publication *publication)
{
    take_out(publisher, publication);
    publisher->failed += publication->error->code != ERROR_TOO_LARGE;
    publication->event.deliver = deliver_failure;
    publication->event.item.bytes = 0;
    engine_post(publisher->start.engine, &publication->event);
}

static uint64_t patience_us(const struct publisher *publisher)
{
    return (uint64_t)publisher->start.max_write_ms * 1000;
}

static void tell_late(const struct publisher *publisher, struct publication *publication)
{
    struct error *error = publication->error;
    double seconds = (double)publisher->start.max_write_ms / 1e3;
    static const char again[] =
        "with a producer's batch or an Idempotency-Key it can be sent again "
        "without harm, to any node; otherwise look first";
    if (!publication->sent_us)
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

bool publisher_expire(struct publisher *publisher, struct link *list, bool all)
{
    uint64_t now = clock_monotonic_us();
    bool silent = false;
    struct publication *first;
    while ((first = pending_first(list)) && (all || is_late(publisher, first, now))) {
        silent = silent || (first->sent_us > publisher->heard_us && !first->stored);
        tell_late(publisher, first);
        publisher_give_up(publisher, first);
    }
    return silent;
}

/* ---- putting ---- */

static bool has_been_apart(const struct publisher *publisher)
{
    return publisher->apart_us &&
           clock_monotonic_us() - publisher->apart_us > patience_us(publisher);
}

static bool may_put(const struct publisher *publisher, enum publication_form form, size_t bytes,
                    struct error *error)
{
    const struct error *problem = &publisher->problem;
    if (!publisher->takes)
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    if (!publisher->ready && publisher_is_refused(problem)) {
        *error = *problem;
        return false;
    }
    if (has_been_apart(publisher))
        return error_set(error, ERROR_LOG_UNAVAILABLE,
                         "the log takes nothing, so nothing of the request was published: %.300s",
                         problem->message);
    return pending_has_room(&publisher->pending, form, bytes) ||
           error_set(error, ERROR_QUEUE_FULL, "too many requests wait for the log");
}

bool publisher_put(struct publisher *publisher, struct publication *publication,
                   struct error *error)
{
    size_t bytes = sizeof *publication + publication->body.length + publication->subject.length +
                   publication->key.length + publication->beside;
    pthread_mutex_lock(&publisher->lock);
    bool done = may_put(publisher, publication->form, bytes, error);
    if (done) {
        publication->put_us = clock_monotonic_us();
        publication->sent_us = 0;
        publication->stored = 0;
        publication->error->code = ERROR_NONE;
        link_init(&publication->in_order);
        pending_add(&publisher->pending, publication, bytes);
        pthread_cond_broadcast(&publisher->changed);
    }
    pthread_mutex_unlock(&publisher->lock);
    return done;
}

void publisher_note_refused(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->failed++;
    pthread_mutex_unlock(&publisher->lock);
}

/* ---- taking ---- */

struct publication *publisher_take(struct publisher *publisher, struct span node, int64_t number)
{
    if (!span_equal(node, span_of(publisher->node)))
        return NULL;
    pthread_mutex_lock(&publisher->lock);
    struct publication *publication = pending_find(&publisher->pending, (uint64_t)number);
    if (publication) {
        take_out(publisher, publication);
        histogram_add(&publisher->wait, clock_monotonic_us() - publication->put_us);
    }
    pthread_mutex_unlock(&publisher->lock);
    return publication;
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
    pending_init(&publisher->pending);
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
    while (publisher->started && publisher->pending.count && !publisher->halted)
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
    publisher_expire(publisher, &publisher->pending.sent, true);
    publisher_expire(publisher, &publisher->pending.waiting, true);
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
                                   .waiting = publisher->pending.count,
                                   .bytes = publisher->pending.bytes};
    pthread_mutex_unlock(&publisher->lock);
    return writes;
}

const struct histogram *publisher_wait(const struct publisher *publisher)
{
    return &publisher->wait;
}
