/* How far a replica is: what its thread does and the loop is told meet here. */
#include "base/utf8.h"
#include "replica/replica_internal.h"
#include "store/note.h"

#include <stdio.h>
#include <time.h>

enum { SILENCE_MS = REPLICA_SILENT_S * 1000, NEAR_MS = 2000, MOST_CHAIN = 4000 };

static int64_t monotonic_ms(void)
{
    return (int64_t)(clock_monotonic_us() / 1000);
}

/* ---- with the lock ---- */

static int64_t changes_behind(const struct replica_shared *shared)
{
    return shared->head > shared->state.position ? shared->head - shared->state.position : 0;
}

/* Without contact nobody knows what the source has: it may be as old as the contact. */
static double seconds_since_heard(const struct replica_shared *shared)
{
    uint64_t now = clock_monotonic_us();
    uint64_t silent = shared->heard_us && now > shared->heard_us ? now - shared->heard_us : 0;
    return silent > (uint64_t)SILENCE_MS * 1000 ? (double)silent / 1e6 : 0;
}

static double seconds_behind(const struct replica_shared *shared)
{
    double age = (double)(monotonic_ms() - shared->since) / 1e3;
    double silence = seconds_since_heard(shared);
    return !changes_behind(shared) || age < silence ? silence : age;
}

static void note_end(struct replica_shared *shared, const struct submission *submission)
{
    shared->under_way--;
    if (submission->message_taken) {
        shared->state.position = submission->message.sequence;
        if (submission->mutation_count)
            shared->since = submission->message.at - shared->source_clock;
        shared->state.caught_up |= shared->head_known && seconds_behind(shared) * 1000 < NEAR_MS;
    } else if (!shared->failed) {
        shared->failed = true;
        shared->failure = submission->error;
    }
    if (!shared->under_way)
        pthread_cond_broadcast(&shared->landed);
}

/* ---- what a submission brought ---- */

static void tell_revoked(struct replica *replica, const struct submission *submission)
{
    for (size_t i = 0; replica->revoked && i < submission->copied_note_count; i++) {
        const struct store_note *note = &submission->copied_notes[i];
        if (note->kind == STORE_NOTE_REVOKED)
            replica->revoked(replica->argument, note->revoked.token_id, note->revoked.expires_at,
                             note->revoked.at);
    }
}

void replica_deliver(struct engine_event *event)
{
    struct submission *submission = (struct submission *)event;
    struct replica *replica = submission->context;
    pthread_mutex_lock(&replica->shared.lock);
    note_end(&replica->shared, submission);
    pthread_mutex_unlock(&replica->shared.lock);
    if (submission->message_taken)
        tell_revoked(replica, submission);
    submission_free(submission);
}

void replica_note_handed(struct replica *replica, int by)
{
    struct replica_shared *shared = &replica->shared;
    pthread_mutex_lock(&shared->lock);
    shared->under_way += (size_t)by;
    if (!shared->under_way)
        pthread_cond_broadcast(&shared->landed);
    pthread_mutex_unlock(&shared->lock);
}

void replica_note_clock(struct replica *replica, int64_t now)
{
    pthread_mutex_lock(&replica->shared.lock);
    replica->shared.source_clock = now - monotonic_ms();
    pthread_mutex_unlock(&replica->shared.lock);
}

/* Up to this one, or it would grow with each turn. */
bool replica_note_chain(struct replica *replica, struct span chain)
{
    struct buffer *kept = &replica->shared.chain;
    const char *own =
        chain.length ? memmem(chain.data, chain.length, replica->id, strlen(replica->id)) : NULL;
    /* Without the brackets, and ," before its own. */
    size_t end = own ? (size_t)(own - chain.data) - 1 : chain.length;
    pthread_mutex_lock(&replica->shared.lock);
    buffer_clear(kept);
    if (end > 2 && end <= MOST_CHAIN && !buffer_add_span(kept, span_make(chain.data + 1, end - 2)))
        buffer_clear(kept);
    pthread_mutex_unlock(&replica->shared.lock);
    return !own;
}

void replica_print_chain(struct replica *replica, struct buffer *out)
{
    struct buffer *kept = &replica->shared.chain;
    pthread_mutex_lock(&replica->shared.lock);
    buffer_printf(out, ",\"replicas\":[\"%s\"", replica->id);
    if (kept->length) {
        buffer_add_char(out, ',');
        buffer_add_span(out, buffer_span(kept));
    }
    buffer_add_char(out, ']');
    pthread_mutex_unlock(&replica->shared.lock);
}

void replica_note_head(struct replica *replica, int64_t head)
{
    struct replica_shared *shared = &replica->shared;
    pthread_mutex_lock(&shared->lock);
    if (!changes_behind(shared)) /* what is new came since it had all */
        shared->since = monotonic_ms();
    shared->head = head;
    shared->head_known = true;
    shared->heard_us = clock_monotonic_us();
    shared->state.caught_up |= !changes_behind(shared);
    pthread_mutex_unlock(&shared->lock);
}

bool replica_is_over(struct replica *replica)
{
    pthread_mutex_lock(&replica->shared.lock);
    bool failed = replica->shared.failed;
    pthread_mutex_unlock(&replica->shared.lock);
    return failed || atomic_load(&replica->halted);
}

void replica_wait_until_landed(struct replica *replica, struct error *failure)
{
    struct replica_shared *shared = &replica->shared;
    pthread_mutex_lock(&shared->lock);
    while (shared->under_way && !atomic_load(&replica->halted)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++; /* then it looks whether it is to end */
        pthread_cond_timedwait(&shared->landed, &shared->lock, &until);
    }
    *failure = shared->failed ? shared->failure : (struct error){.code = ERROR_NONE};
    shared->failed = false;
    shared->head_known = false;
    replica->received = replica->handed = shared->state.position;
    pthread_mutex_unlock(&shared->lock);
}

enum follow_condition replica_change(struct replica *replica, enum follow_condition condition,
                                     const char *problem)
{
    struct follow_state *state = &replica->shared.state;
    pthread_mutex_lock(&replica->shared.lock);
    enum follow_condition before = state->condition;
    state->condition = condition;
    snprintf(state->problem, sizeof state->problem, "%s", problem);
    state->problem[utf8_whole(state->problem, strlen(state->problem))] = '\0';
    if (condition == FOLLOW_READING && before != FOLLOW_READING)
        state->reconnects += replica->shared.readings++ > 0;
    pthread_mutex_unlock(&replica->shared.lock);
    return before;
}

struct follow_state replica_state(struct replica *replica)
{
    struct replica_shared *shared = &replica->shared;
    pthread_mutex_lock(&shared->lock);
    struct follow_state state = shared->state;
    state.lag_messages = changes_behind(shared);
    state.lag_seconds = seconds_behind(shared);
    if (shared->heard_us)
        state.heard_seconds = (double)(clock_monotonic_us() - shared->heard_us) / 1e6;
    pthread_mutex_unlock(&shared->lock);
    return state;
}
