/*
 * The thread that follows the stream. It goes in rounds: a round begins behind the last message
 * that is done with, when nothing of an earlier round is under way, and ends with the connection,
 * or with a message that could not be written.
 *
 *  1. Messages are handed over in the order of the stream, each with the one before it as its
 *     predecessor. So the engine refuses all behind one that it could not write.
 *  2. A round begins only where the stream goes on: not in another stream of the same name, and not
 *     where messages between are missing.
 *  3. What the loop is told (deliver) and what the thread does meet in `shared`, under its lock.
 */
#include "follow/stream.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum {
    ASK_FOR_MS = 5000, /* at the start */
    RETRY_MS = 500,    /* between rounds, */
    STOPPED_MS = 5000, /* ... while the stream is not as it should be */
    END_MS = 3000,     /* after so long without messages none will come; and that long a stream that
                        * ends too early may be a broker that does not know better yet */
    FULL_WAIT_MS = 2,  /* for room in the engine's queue */
    SILENCE_MS = 2000, /* of a broker that should be heard every STREAM_HEARTBEAT_MS */
    QUIET_MS = 2000,   /* without messages: then the stream's leader is asked */
    NEXT_MS = 100      /* so long an end may have to wait */
};

struct shared {
    pthread_mutex_t lock;
    pthread_cond_t landed; /* nothing is under way */
    size_t under_way;
    bool failed; /* a message was not taken: the round is over */
    struct follow_state state;
    int64_t since;     /* the time of the oldest message that is not done with, about */
    int64_t last;      /* the greatest sequence that the stream is known to have */
    uint64_t heard_us; /* when the broker was heard; 0: never */
};

struct follow {
    struct stream *stream;
    struct follow_start start;
    pthread_t thread;
    bool started;
    atomic_bool halted;
    struct shared shared;
    uint64_t readings; /* that were begun */
    int64_t handed; /* the last message that was handed over in this round, or what it began with */
    bool was_apart; /* which was logged */
    uint64_t message_us; /* when this round had a message, or began */
    uint64_t short_us;   /* since when the stream ends before the position; 0: it does not */
    uint64_t asked_us;   /* when the stream's leader answered, in this round */
};

const char *follow_condition_name(enum follow_condition condition)
{
    static const char *const names[] = {"log-apart", "log-reading", "log-gap", "log-replaced"};
    _Static_assert(sizeof names / sizeof *names == FOLLOW_CONDITIONS, "names");
    return names[condition];
}

/* ---- how far behind it is; with the lock ---- */

static double seconds_since_heard(const struct shared *shared)
{
    uint64_t now = clock_monotonic_us();
    uint64_t silent = shared->heard_us && now > shared->heard_us ? now - shared->heard_us : 0;
    return silent > (uint64_t)SILENCE_MS * 1000 ? (double)silent / 1e6 : 0;
}

/* What the broker says it has, and not what this reading has not sent yet: a message may fail here,
 * and one that was deleted never comes. */
static int64_t messages_behind(const struct shared *shared)
{
    int64_t done = shared->state.position < 0 ? 0 : shared->state.position;
    return shared->last > done ? shared->last - done : 0;
}

static void note_last(struct shared *shared, int64_t last)
{
    if (last <= shared->last)
        return;
    if (!messages_behind(shared)) /* what is new came since it had all */
        shared->since = clock_wall_ms();
    shared->last = last;
}

/* Without contact nobody knows what the stream has: it may be as old as the contact. */
static double seconds_behind(const struct shared *shared)
{
    bool has_all = !messages_behind(shared);
    double age = (double)(clock_wall_ms() - shared->since) / 1e3;
    double silence = seconds_since_heard(shared);
    if (has_all || age < silence)
        return silence;
    return age;
}

/* ---- on the loop ---- */

static void tell_refused(const struct submission *submission)
{
    log_warning("follow", "log-message-refused",
                log_number("sequence", submission->message.sequence),
                log_word("code", error_kind(submission->error.code)->wire),
                log_text("error", submission->error.message));
}

static void tell_failed(const struct submission *submission)
{
    log_warning("follow", "log-message-waits", log_number("sequence", submission->message.sequence),
                log_text("error", submission->error.message),
                log_text("effect", "it is read again"));
}

/* All behind the first that failed fail for that. */
static bool note(struct shared *shared, const struct submission *submission)
{
    bool taken = submission->message_taken, is_first = !taken && !shared->failed;
    shared->under_way--;
    if (taken) {
        shared->state.position = submission->message.sequence;
        shared->state.refused += submission->error.code != ERROR_NONE;
        shared->since = submission->message.at;
        /* With a message a moment ago, or all of them. */
        shared->state.caught_up |= seconds_behind(shared) * 1000 < SILENCE_MS;
    }
    shared->failed = shared->failed || !taken;
    if (!shared->under_way)
        pthread_cond_broadcast(&shared->landed);
    return is_first;
}

static void deliver(struct engine_event *event)
{
    struct submission *submission = (struct submission *)event;
    struct follow *follow = submission->context;
    pthread_mutex_lock(&follow->shared.lock);
    bool is_first_failure = note(&follow->shared, submission);
    pthread_mutex_unlock(&follow->shared.lock);
    if (is_first_failure)
        tell_failed(submission);
    else if (submission->message_taken && submission->error.code != ERROR_NONE)
        tell_refused(submission);
    submission_free(submission);
}

/* ---- a message ---- */

/* The place in the log is the seq, whatever the message says. */
static bool place(struct submission *submission, int64_t sequence, struct error *error)
{
    for (size_t i = 0; i < submission->mutation_count; i++) {
        struct mutation *mutation = &submission->mutations[i];
        if (mutation->newer)
            return error_set(error, ERROR_INVALID_MESSAGE,
                             "mutation %zu has \"if\":\"newer\", which means nothing in a log: its "
                             "order decides",
                             i + 1);
        mutation->has_seq = true;
        mutation->seq = (struct seq){sequence, (int64_t)i};
    }
    return true;
}

static bool decode(const struct follow *follow, const struct stream_message *message,
                   struct submission *submission, struct error *error)
{
    struct span id;
    size_t most = follow->start.ingest.max_request_bytes;
    if (message->body.length > most)
        return error_set(error, ERROR_TOO_LARGE, "the message has %zu bytes; at most %zu are taken",
                         message->body.length, most);
    return ingest_decode(&follow->start.ingest, INGEST_LINES, message->body, submission, &id,
                         error) &&
           place(submission, message->place.sequence, error);
}

/* NULL when out of memory. A message that cannot be read becomes an empty submission with why. */
static struct submission *submission_of(struct follow *follow, const struct stream_message *message)
{
    struct error error = {.code = ERROR_NONE};
    size_t most = follow->start.ingest.max_request_bytes;
    size_t length = message->body.length;
    struct submission *submission = ingest_submission(length < most ? length : most);
    bool good = submission && decode(follow, message, submission, &error);
    if (submission && !good) {
        submission_free(submission);
        submission = error.code == ERROR_MEMORY ? NULL : ingest_submission(0);
    }
    if (!submission)
        return NULL;
    submission->error = error;
    submission->received_us = clock_monotonic_us();
    submission->owner = span_of(""); /* producers of the log are nobody's, as the program's are */
    submission->context = follow;
    submission->event.deliver = deliver;
    submission->message = (struct submission_message){
        .sequence = message->place.sequence, .previous = follow->handed, .at = message->place.at};
    return submission;
}

static bool is_over(struct follow *follow)
{
    pthread_mutex_lock(&follow->shared.lock);
    bool failed = follow->shared.failed;
    pthread_mutex_unlock(&follow->shared.lock);
    return failed || atomic_load(&follow->halted);
}

static void pause_ms(int ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000 * 1000};
    nanosleep(&time, NULL);
}

/* Counted before, because it may be delivered at once. */
static void count_handed(struct follow *follow, const struct stream_place *place, int by)
{
    struct shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    note_last(shared, place->sequence + place->pending);
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
        pause_ms(FULL_WAIT_MS);
    }
    submission_free(submission);
    return false;
}

static bool hand_over(struct follow *follow, const struct stream_message *message)
{
    struct submission *submission = submission_of(follow, message);
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

/* ---- conditions ---- */

static enum follow_condition change(struct follow *follow, enum follow_condition condition,
                                    const char *problem)
{
    struct shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    enum follow_condition before = shared->state.condition;
    shared->state.condition = condition;
    snprintf(shared->state.problem, sizeof shared->state.problem, "%s", problem);
    pthread_mutex_unlock(&shared->lock);
    return before;
}

/* The following ends, until the stream is as it should be. Told when it begins. */
static void stop_at(struct follow *follow, enum follow_condition condition, const char *problem)
{
    if (change(follow, condition, problem) == condition)
        return;
    if (condition == FOLLOW_GAP)
        log_error("follow", "log-gap", log_text("problem", problem));
    else
        log_error("follow", "log-replaced", log_text("problem", problem));
}

static bool is_stopped(struct follow *follow)
{
    struct shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    enum follow_condition condition = shared->state.condition;
    pthread_mutex_unlock(&shared->lock);
    return condition == FOLLOW_GAP || condition == FOLLOW_REPLACED;
}

/* What is wrong with the stream stays so until a broker shows otherwise. */
static void be_apart(struct follow *follow, const struct error *error)
{
    if (!is_stopped(follow))
        change(follow, FOLLOW_APART, "");
    if (!follow->was_apart)
        log_warning("follow", "log-apart", log_text("error", error->message),
                    log_text("effect", "reads go on, and it is tried again"));
    follow->was_apart = true;
}

/* Told when it begins. */
static void be_reading(struct follow *follow)
{
    struct shared *shared = &follow->shared;
    if (change(follow, FOLLOW_READING, "") == FOLLOW_READING)
        return;
    pthread_mutex_lock(&shared->lock);
    int64_t last = shared->last;
    shared->state.reconnects += follow->readings++ > 0;
    pthread_mutex_unlock(&shared->lock);
    log_info("follow", "log-reading", log_number("position", follow->handed),
             log_number("last", last));
    follow->was_apart = false;
}

/* Where messages were missing, only the next one shows that they are not any more. */
static void begin_reading(struct follow *follow)
{
    struct shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    bool has_all = !messages_behind(shared);
    shared->state.caught_up = shared->state.caught_up || has_all;
    bool in_gap = shared->state.condition == FOLLOW_GAP;
    pthread_mutex_unlock(&shared->lock);
    follow->message_us = clock_monotonic_us();
    if (has_all || !in_gap)
        be_reading(follow);
}

static int64_t next_sequence(const struct follow *follow)
{
    return follow->handed < 0 ? 1 : follow->handed + 1;
}

static void note_facts(struct follow *follow, const struct stream_facts *facts)
{
    struct shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    note_last(shared, facts->last);
    shared->heard_us = clock_monotonic_us();
    pthread_mutex_unlock(&shared->lock);
}

/* A broker that has just begun to lead may answer what it knew before. */
static bool is_short_for_long(struct follow *follow)
{
    uint64_t now = clock_monotonic_us();
    if (!follow->short_us)
        follow->short_us = now;
    return now - follow->short_us > (uint64_t)END_MS * 1000;
}

/* Whether it is the stream that is meant, and goes on behind the position. */
static bool goes_on(struct follow *follow, const struct stream_facts *facts)
{
    char problem[256];
    int64_t next = next_sequence(follow);
    if (facts->created != follow->start.created) {
        stop_at(follow, FOLLOW_REPLACED,
                "the stream was made anew, so its messages are others: start with a new file, or "
                "the backup of a node that follows it");
        return false;
    }
    note_facts(follow, facts);
    if (facts->last >= next - 1)
        follow->short_us = 0;
    if (facts->first <= next && facts->last >= next - 1)
        return true;
    if (facts->first <= next && !is_short_for_long(follow))
        return false;
    if (facts->first > next)
        snprintf(problem, sizeof problem,
                 "the stream begins with message %lld, and the next one here is %lld: restore a "
                 "newer backup",
                 (long long)facts->first, (long long)next);
    else
        snprintf(problem, sizeof problem,
                 "the stream ends with message %lld, and %lld were applied here: it has lost some, "
                 "so this node shows what others never will; start with a new file",
                 (long long)facts->last, (long long)(next - 1));
    stop_at(follow, FOLLOW_GAP, problem);
    return false;
}

/* ---- a round ---- */

/* The stream passes over a message that it has not, and the thread does not. */
static bool is_next(struct follow *follow, const struct stream_place *place)
{
    char problem[256];
    int64_t next = next_sequence(follow);
    if (place->sequence == next) {
        be_reading(follow);
        return true;
    }
    snprintf(problem, sizeof problem,
             "the stream goes on with message %lld, and the next one here is %lld: restore a newer "
             "backup",
             (long long)place->sequence, (long long)next);
    stop_at(follow, FOLLOW_GAP, problem);
    return false;
}

static int64_t note_heard(struct follow *follow)
{
    struct shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    shared->heard_us = clock_monotonic_us();
    if (!messages_behind(shared))
        shared->state.caught_up = true;
    int64_t last = shared->last;
    pthread_mutex_unlock(&shared->lock);
    return last;
}

/* The broker is there, and sends nothing more, though the stream has had more. */
static bool is_whole(struct follow *follow, int64_t last)
{
    char problem[256];
    int64_t next = next_sequence(follow);
    uint64_t quiet_us = clock_monotonic_us() - follow->message_us;
    if (last < next || quiet_us < (uint64_t)END_MS * 1000)
        return true;
    snprintf(problem, sizeof problem,
             "the stream has had messages up to %lld, and sends none from %lld on: restore a newer "
             "backup",
             (long long)last, (long long)next);
    stop_at(follow, FOLLOW_GAP, problem);
    return false;
}

static bool is_silent(struct follow *follow)
{
    struct shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    bool silent = clock_monotonic_us() - shared->heard_us > (uint64_t)SILENCE_MS * 1000;
    pthread_mutex_unlock(&shared->lock);
    return silent;
}

/* A broker that is cut off from the others, or has no quorum, goes on to say that there is nothing.
 * Who leads the stream knows what there is, and answers only while it leads. */
static bool is_led(struct follow *follow)
{
    struct stream_facts facts;
    struct error error;
    uint64_t now = clock_monotonic_us();
    uint64_t known = follow->asked_us > follow->message_us ? follow->asked_us : follow->message_us;
    if (now - known < (uint64_t)QUIET_MS * 1000)
        return true;
    if (!stream_ask(follow->stream, &facts, &error)) {
        be_apart(follow, &error);
        return false;
    }
    follow->asked_us = clock_monotonic_us();
    return goes_on(follow, &facts);
}

/* false: the round is over. */
static bool take_next(struct follow *follow)
{
    struct stream_message message;
    bool going;
    switch (stream_next(follow->stream, NEXT_MS, &message)) {
    case STREAM_MESSAGE:
        going = is_next(follow, &message.place) && hand_over(follow, &message);
        stream_release(&message);
        follow->message_us = clock_monotonic_us();
        return going;
    case STREAM_ALIVE:
        return is_whole(follow, note_heard(follow)) && is_led(follow);
    case STREAM_NOTHING:
        return !is_silent(follow);
    case STREAM_BROKEN:
        break;
    }
    return false;
}

/* The messages of the round before are done with, or have failed. */
static void wait_until_landed(struct follow *follow)
{
    struct shared *shared = &follow->shared;
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
        be_apart(follow, &error);
        return;
    }
    /* A disk that takes nothing is told by the engine; how far behind that makes it, is known. */
    if (!goes_on(follow, &facts) || engine_state(follow->start.engine).disk != ERROR_NONE)
        return;
    if (!stream_read(follow->stream, next_sequence(follow), &error)) {
        be_apart(follow, &error);
        return;
    }
    begin_reading(follow);
    while (!is_over(follow) && take_next(follow))
        ;
    stream_rest(follow->stream);
}

static void end_round(struct follow *follow)
{
    struct shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    if (shared->state.condition == FOLLOW_READING)
        shared->state.condition = FOLLOW_APART;
    pthread_mutex_unlock(&shared->lock);
}

static void *follow_main(void *argument)
{
    struct follow *follow = argument;
    while (!atomic_load(&follow->halted)) {
        run_round(follow);
        end_round(follow);
        int rest = is_stopped(follow) ? STOPPED_MS : RETRY_MS;
        for (int ms = 0; ms < rest && !atomic_load(&follow->halted); ms += NEXT_MS)
            pause_ms(NEXT_MS);
    }
    return NULL;
}

/* ---- life ---- */

struct follow *follow_open(const struct follow_options *options, struct error *error)
{
    struct follow *follow = memory_new(sizeof *follow);
    if (!follow) {
        error_set(error, ERROR_MEMORY, "out of memory while opening the log");
        return NULL;
    }
    pthread_mutex_init(&follow->shared.lock, NULL);
    pthread_cond_init(&follow->shared.landed, NULL);
    follow->stream = stream_open(options, error);
    if (follow->stream)
        return follow;
    follow_free(follow);
    return NULL;
}

bool follow_ask(struct follow *follow, const atomic_bool *give_up, int64_t *created,
                struct error *error)
{
    struct stream_facts facts;
    uint64_t until = clock_monotonic_us() + (uint64_t)ASK_FOR_MS * 1000;
    while (!stream_ask(follow->stream, &facts, error)) {
        if (error->code != ERROR_NETWORK || clock_monotonic_us() > until ||
            (give_up && atomic_load(give_up)))
            return false;
        pause_ms(NEXT_MS);
    }
    *created = facts.created;
    return true;
}

bool follow_start(struct follow *follow, const struct follow_start *start, struct error *error)
{
    follow->start = *start;
    follow->shared.since = clock_wall_ms(); /* nothing is known to be older */
    follow->shared.state.position = engine_facts(start->engine)->log_position;
    follow->started = pthread_create(&follow->thread, NULL, follow_main, follow) == 0;
    return follow->started || error_set(error, ERROR_MEMORY, "cannot start the thread of the log");
}

void follow_halt(struct follow *follow)
{
    if (follow)
        atomic_store(&follow->halted, true);
}

void follow_stop(struct follow *follow)
{
    if (!follow || !follow->started)
        return;
    follow_halt(follow);
    pthread_join(follow->thread, NULL);
    follow->started = false;
}

void follow_free(struct follow *follow)
{
    if (!follow)
        return;
    stream_close(follow->stream);
    pthread_mutex_destroy(&follow->shared.lock);
    pthread_cond_destroy(&follow->shared.landed);
    memory_free(follow);
}

/* ---- state ---- */

struct follow_state follow_state(struct follow *follow)
{
    struct shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    struct follow_state state = shared->state;
    state.lag_messages = messages_behind(shared);
    state.lag_seconds = seconds_behind(shared);
    pthread_mutex_unlock(&shared->lock);
    return state;
}
