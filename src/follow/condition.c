/*
 * Whether the stream is as it should be, and how far this node is behind it.
 */
#include "follow/envelope.h"
#include "follow/follow_internal.h"

#include <stdio.h>
#include <time.h>

void follow_pause(int ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000 * 1000};
    nanosleep(&time, NULL);
}

int64_t follow_next(const struct follow *follow)
{
    return follow->handed < 0 ? 1 : follow->handed + 1;
}

const char *follow_condition_name(enum follow_condition condition)
{
    static const char *const names[] = {"log-apart", "log-reading", "log-gap", "log-replaced",
                                        "log-newer"};
    _Static_assert(sizeof names / sizeof *names == FOLLOW_CONDITIONS, "names");
    return names[condition];
}

/* ---- how far behind it is; with the lock ---- */

static double seconds_since_heard(const struct follow_shared *shared)
{
    uint64_t now = clock_monotonic_us();
    uint64_t silent = shared->heard_us && now > shared->heard_us ? now - shared->heard_us : 0;
    return silent > (uint64_t)FOLLOW_SILENCE_MS * 1000 ? (double)silent / 1e6 : 0;
}

/* What the broker says it has, and not what this reading has not sent yet: a message may fail here,
 * and one that was deleted never comes. */
int64_t follow_messages_behind(const struct follow_shared *shared)
{
    int64_t done = shared->state.position < 0 ? 0 : shared->state.position;
    return shared->last > done ? shared->last - done : 0;
}

void follow_note_last(struct follow_shared *shared, int64_t last)
{
    if (last <= shared->last)
        return;
    if (!follow_messages_behind(shared)) /* what is new came since it had all */
        shared->since = clock_wall_ms();
    shared->last = last;
}

/* Without contact nobody knows what the stream has: it may be as old as the contact. */
double follow_seconds_behind(const struct follow_shared *shared)
{
    bool has_all = !follow_messages_behind(shared);
    double age = (double)(clock_wall_ms() - shared->since) / 1e3;
    double silence = seconds_since_heard(shared);
    if (has_all || age < silence)
        return silence;
    return age;
}

/* ---- conditions ---- */

static enum follow_condition change(struct follow *follow, enum follow_condition condition,
                                    const char *problem)
{
    struct follow_shared *shared = &follow->shared;
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
    else if (condition == FOLLOW_NEWER)
        log_error("follow", "log-newer", log_text("problem", problem));
    else
        log_error("follow", "log-replaced", log_text("problem", problem));
}

bool follow_is_stopped(struct follow *follow)
{
    struct follow_shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    enum follow_condition condition = shared->state.condition;
    pthread_mutex_unlock(&shared->lock);
    return follow_has_ended(condition);
}

/* What is wrong with the stream stays so until a broker shows otherwise. */
void follow_be_apart(struct follow *follow, const struct error *error)
{
    if (!follow_is_stopped(follow))
        change(follow, FOLLOW_APART, "");
    if (!follow->was_apart)
        log_warning("follow", "log-apart", log_text("error", error->message),
                    log_text("effect", "reads go on, and it is tried again"));
    follow->was_apart = true;
}

/* Told when it begins. */
void follow_be_reading(struct follow *follow)
{
    struct follow_shared *shared = &follow->shared;
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

static void note_facts(struct follow *follow, const struct stream_facts *facts)
{
    struct follow_shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    follow_note_last(shared, facts->last);
    shared->heard_us = clock_monotonic_us();
    pthread_mutex_unlock(&shared->lock);
}

/* A broker that has just begun to lead may answer what it knew before. */
static bool is_short_for_long(struct follow *follow)
{
    uint64_t now = clock_monotonic_us();
    if (!follow->short_us)
        follow->short_us = now;
    return now - follow->short_us > (uint64_t)FOLLOW_END_MS * 1000;
}

/* Whether it is the stream that is meant, and goes on behind the position. */
bool follow_goes_on(struct follow *follow, const struct stream_facts *facts)
{
    char problem[256];
    int64_t next = follow_next(follow);
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

/* ---- while it reads ---- */

/* The stream passes over a message that it has not, and the thread does not. */
bool follow_is_next(struct follow *follow, const struct stream_place *place)
{
    char problem[256];
    int64_t next = follow_next(follow);
    if (place->sequence == next) {
        follow_be_reading(follow);
        return true;
    }
    snprintf(problem, sizeof problem,
             "the stream goes on with message %lld, and the next one here is %lld: restore a newer "
             "backup",
             (long long)place->sequence, (long long)next);
    stop_at(follow, FOLLOW_GAP, problem);
    return false;
}

/* A message that this version does not understand would do something else here than elsewhere. */
bool follow_is_known(struct follow *follow, const struct stream_message *message)
{
    char problem[256];
    int64_t version = message->envelope ? envelope_version(message->envelope) : ENVELOPE_VERSION;
    if (version <= ENVELOPE_VERSION || message->place.sequence != follow_next(follow))
        return true;
    snprintf(problem, sizeof problem,
             "message %lld is of version %lld, and this program knows messages up to version %d: "
             "upgrade this node; it goes on from there",
             (long long)message->place.sequence, (long long)version, ENVELOPE_VERSION);
    stop_at(follow, FOLLOW_NEWER, problem);
    return false;
}

static int64_t note_heard(struct follow *follow)
{
    struct follow_shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    shared->heard_us = clock_monotonic_us();
    if (!follow_messages_behind(shared))
        shared->state.caught_up = true;
    int64_t last = shared->last;
    pthread_mutex_unlock(&shared->lock);
    return last;
}

/* The broker is there, and sends nothing more, though the stream has had more. */
bool follow_is_whole(struct follow *follow)
{
    char problem[256];
    int64_t last = note_heard(follow);
    int64_t next = follow_next(follow);
    uint64_t quiet_us = clock_monotonic_us() - follow->message_us;
    if (last < next || quiet_us < (uint64_t)FOLLOW_END_MS * 1000)
        return true;
    snprintf(problem, sizeof problem,
             "the stream has had messages up to %lld, and sends none from %lld on: restore a newer "
             "backup",
             (long long)last, (long long)next);
    stop_at(follow, FOLLOW_GAP, problem);
    return false;
}

bool follow_is_silent(struct follow *follow)
{
    struct follow_shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    bool silent = clock_monotonic_us() - shared->heard_us > (uint64_t)FOLLOW_SILENCE_MS * 1000;
    pthread_mutex_unlock(&shared->lock);
    return silent;
}

/* A broker that is cut off from the others, or has no quorum, goes on to say that there is nothing.
 * Who leads the stream knows what there is, and answers only while it leads. */
bool follow_is_led(struct follow *follow)
{
    struct stream_facts facts;
    struct error error;
    uint64_t now = clock_monotonic_us();
    uint64_t known = follow->asked_us > follow->message_us ? follow->asked_us : follow->message_us;
    if (now - known < (uint64_t)FOLLOW_QUIET_MS * 1000)
        return true;
    if (!stream_ask(follow->stream, &facts, &error)) {
        follow_be_apart(follow, &error);
        return false;
    }
    follow->asked_us = clock_monotonic_us();
    return follow_goes_on(follow, &facts);
}
