/*
 * The thread that reads. It goes in rounds: a round begins behind the last message that is done
 * with, when nothing of an earlier round is under way, and ends with the connection, or with a
 * message that could not be written.
 *
 *  1. Messages are handed over in the order of the stream, each with the one before it as its
 *     predecessor. So the engine refuses all behind one that it could not write.
 *  2. A round begins only where the stream goes on: not in another stream of the same name, and not
 *     where messages between are missing.
 */
#include "follow/follow_internal.h"

#include <time.h>

enum {
    STOPPED_MS = 5000, /* between rounds, while the stream is not as it should be */
    FULL_WAIT_MS = 2,  /* for room in the engine's queue */
    NEXT_MS = 100      /* so long an end may have to wait */
};

/* ---- handing over ---- */

static bool is_over(struct follow *follow)
{
    pthread_mutex_lock(&follow->shared.lock);
    bool failed = follow->shared.failed;
    pthread_mutex_unlock(&follow->shared.lock);
    return failed || atomic_load(&follow->halted);
}

/* Counted before, because it may be delivered at once. */
static void count_handed(struct follow *follow, const struct stream_place *place, int by)
{
    struct follow_shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    follow_note_last(shared, place->sequence + place->pending);
    if (by > 0 && !shared->under_way)
        shared->since = place->at;
    shared->under_way += (size_t)by;
    shared->heard_us = clock_monotonic_us();
    if (!shared->under_way)
        pthread_cond_broadcast(&shared->landed);
    pthread_mutex_unlock(&shared->lock);
}

/* Waits while the engine's queue is full: what the stream sends meanwhile is bounded. */
static bool submit(struct follow *follow, struct submission *submission)
{
    struct error error;
    while (!is_over(follow)) {
        if (engine_submit(follow->start.engine, submission, &error))
            return true;
        if (error.code != ERROR_QUEUE_FULL)
            break;
        follow_pause(FULL_WAIT_MS);
    }
    submission_free(submission);
    return false;
}

static bool hand_over(struct follow *follow, const struct stream_message *message)
{
    struct submission *submission = follow_submission(follow, message);
    if (!submission) {
        log_warning("follow", "log-message-waits", log_number("sequence", message->place.sequence),
                    log_text("error", "out of memory"), log_text("effect", "it is read again"));
        return false;
    }
    count_handed(follow, &message->place, 1);
    if (!submit(follow, submission)) {
        count_handed(follow, &message->place, -1);
        return false;
    }
    follow->handed = message->place.sequence;
    return true;
}

/* ---- a round ---- */

/* Where messages were missing, or are of a newer version, only the next one shows that it is
 * otherwise now. */
static void begin_reading(struct follow *follow)
{
    struct follow_shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    bool has_all = !follow_messages_behind(shared);
    shared->state.caught_up = shared->state.caught_up || has_all;
    bool waits = follow_has_ended(shared->state.condition);
    pthread_mutex_unlock(&shared->lock);
    follow->message_us = clock_monotonic_us();
    if (has_all || !waits)
        follow_be_reading(follow);
}

/* false: the round is over. */
static bool take_next(struct follow *follow)
{
    struct stream_message message = {.envelope = NULL};
    bool going;
    switch (stream_next(follow->stream, NEXT_MS, &message)) {
    case STREAM_MESSAGE:
        going = follow_is_known(follow, &message) && follow_is_next(follow, &message.place) &&
                hand_over(follow, &message);
        stream_release(&message);
        follow->message_us = clock_monotonic_us();
        return going;
    case STREAM_ALIVE:
        return follow_is_whole(follow) && follow_is_led(follow);
    case STREAM_NOTHING:
        return !follow_is_silent(follow);
    case STREAM_BROKEN:
        break;
    }
    return false;
}

/* The messages of the round before are done with, or have failed. */
static void wait_until_landed(struct follow *follow)
{
    struct follow_shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    while (shared->under_way && !atomic_load(&follow->halted)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++; /* then it looks whether it is to end */
        pthread_cond_timedwait(&shared->landed, &shared->lock, &until);
    }
    shared->failed = false;
    follow->handed = shared->state.position;
    pthread_mutex_unlock(&shared->lock);
}

static void run_round(struct follow *follow)
{
    struct stream_facts facts;
    struct error error;
    wait_until_landed(follow);
    if (atomic_load(&follow->halted))
        return;
    if (!stream_ask(follow->stream, &facts, &error)) {
        follow_be_apart(follow, &error);
        return;
    }
    /* A disk that takes nothing is told by the engine; how far behind that makes it, is known. */
    if (!follow_goes_on(follow, &facts) || engine_state(follow->start.engine).disk != ERROR_NONE)
        return;
    if (!stream_read(follow->stream, follow_next(follow), &error)) {
        follow_be_apart(follow, &error);
        return;
    }
    begin_reading(follow);
    while (!is_over(follow) && take_next(follow))
        ;
    stream_rest(follow->stream);
}

static void end_round(struct follow *follow)
{
    struct follow_shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    if (shared->state.condition == FOLLOW_READING)
        shared->state.condition = FOLLOW_APART;
    pthread_mutex_unlock(&shared->lock);
}

void *follow_read(void *argument)
{
    struct follow *follow = argument;
    while (!atomic_load(&follow->halted)) {
        run_round(follow);
        end_round(follow);
        int rest = follow_is_stopped(follow) ? STOPPED_MS : FOLLOW_RETRY_MS;
        for (int ms = 0; ms < rest && !atomic_load(&follow->halted); ms += NEXT_MS)
            follow_pause(NEXT_MS);
    }
    return NULL;
}
