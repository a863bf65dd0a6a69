/*
 * A message of the stream becomes a submission, and is applied. Then whoever published it here is
 * answered.
 */
#include "follow/envelope.h"
#include "follow/follow_internal.h"
#include "json/json.h"

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
static bool note(struct follow_shared *shared, const struct submission *submission)
{
    bool taken = submission->message_taken, is_first = !taken && !shared->failed;
    shared->under_way--;
    if (taken) {
        shared->state.position = submission->message.sequence;
        shared->state.refused += submission->error.code != ERROR_NONE;
        shared->since = submission->message.at;
        /* With a message a moment ago, or all of them. */
        shared->state.caught_up |= follow_seconds_behind(shared) * 1000 < FOLLOW_SILENCE_MS;
    }
    shared->failed = shared->failed || !taken;
    if (!shared->under_way)
        pthread_cond_broadcast(&shared->landed);
    return is_first;
}

/* What is known of a submission that came from the log; in its memory. */
struct arrival {
    struct follow *follow;
    struct span node; /* that published it; absent: none did */
    int64_t number;
};

/* It is done with: whoever must know of it, and who waits for it here. */
static void tell_applied(struct follow *follow, const struct submission *submission)
{
    const struct arrival *arrival = submission->context;
    const struct submission_command *command = &submission->command;
    if (submission->error.code != ERROR_NONE)
        tell_refused(submission);
    else if (command->kind == COMMAND_REVOKE && command->done)
        follow->start.revoked(follow->start.argument, command->name, command->expires_at,
                              submission->message.at);
    struct publication *publication =
        arrival->node.data ? publisher_take(follow->publisher, arrival->node, arrival->number)
                           : NULL;
    if (publication)
        publication->answer(publication, submission);
}

static void deliver(struct engine_event *event)
{
    struct submission *submission = (struct submission *)event;
    struct follow *follow = ((const struct arrival *)submission->context)->follow;
    pthread_mutex_lock(&follow->shared.lock);
    bool is_first_failure = note(&follow->shared, submission);
    pthread_mutex_unlock(&follow->shared.lock);
    if (submission->message_taken)
        tell_applied(follow, submission);
    else if (is_first_failure)
        tell_failed(submission);
    submission_free(submission);
}

/* ---- a message ---- */

/* The place in the log is the seq, whatever the message says. */
static void place(struct submission *submission, int64_t sequence)
{
    for (size_t i = 0; i < submission->mutation_count; i++) {
        submission->mutations[i].has_seq = true;
        submission->mutations[i].seq = (struct seq){sequence, (int64_t)i};
    }
}

/* A node published it, which says whose it is. */
static bool take_sender(const struct follow *follow, const struct envelope *envelope,
                        struct span body, struct submission *submission, struct error *error)
{
    submission->owner = span_make(NULL, 0);
    return ingest_name_sender(&follow->start.ingest, submission, envelope->subject, envelope->key,
                              body) ||
           error_set(error, ERROR_MEMORY, "out of memory while reading a message");
}

/* ... and what its connection sent before. */
static void take_after(const struct envelope *envelope, struct submission *submission)
{
    for (size_t i = 0; i < submission->batch_count; i++) {
        submission->batches[i].has_after = envelope->has_after;
        submission->batches[i].after = envelope->after;
    }
}

/* Producers of who publishes directly are nobody's, as those of the program itself are. */
static bool decode(const struct follow *follow, const struct stream_message *message,
                   const struct envelope *envelope, struct submission *submission,
                   struct error *error)
{
    struct span id;
    size_t most = follow->start.ingest.max_request_bytes;
    submission->owner = span_of("");
    if (message->body.length > most)
        return error_set(error, ERROR_TOO_LARGE, "the message has %zu bytes; at most %zu are taken",
                         message->body.length, most);
    if (envelope) {
        if (!take_sender(follow, envelope, message->body, submission, error))
            return false;
        if (envelope->form == PUBLICATION_REVOKE || envelope->form == PUBLICATION_FORGET)
            return envelope_read_command(envelope->form, message->body, submission, error);
    }
    bool is_message = envelope && envelope->form == PUBLICATION_MESSAGE;
    if (!ingest_decode(&follow->start.ingest, is_message ? INGEST_MESSAGE : INGEST_LINES,
                       message->body, submission, &id, error) ||
        !ingest_fits_log(submission, error))
        return false;
    place(submission, message->place.sequence);
    if (envelope)
        take_after(envelope, submission);
    return true;
}

static bool note_arrival(struct follow *follow, const struct envelope *envelope,
                         struct submission *submission)
{
    struct arrival *arrival = submission_zeroed(submission, sizeof *arrival);
    if (!arrival)
        return false;
    arrival->follow = follow;
    submission->context = arrival;
    if (!envelope)
        return true;
    arrival->number = envelope->number;
    arrival->node = submission_keep(submission, envelope->node);
    return arrival->node.data != NULL;
}

/* One that cannot be read is empty. NULL when out of memory. */
static struct submission *make(struct follow *follow, const struct stream_message *message,
                               const struct envelope *envelope, struct error *error)
{
    size_t most = follow->start.ingest.max_request_bytes;
    size_t length = message->body.length;
    bool good = error->code == ERROR_NONE;
    struct submission *submission = ingest_submission(good && length < most ? length : 0);
    good = good && submission && decode(follow, message, envelope, submission, error);
    if (submission && !good) {
        submission_free(submission);
        submission = error->code == ERROR_MEMORY ? NULL : ingest_submission(0);
    }
    if (submission && note_arrival(follow, envelope, submission))
        return submission;
    submission_free(submission);
    return NULL;
}

struct submission *follow_submission(struct follow *follow, const struct stream_message *message)
{
    struct error error = {.code = ERROR_NONE};
    struct envelope envelope;
    bool wrapped = message->envelope != NULL;
    struct tree *tree = wrapped ? tree_parse(span_of(message->envelope), &error) : NULL;
    bool read = tree && envelope_read(tree, &envelope, &error);
    struct submission *submission = make(follow, message, read ? &envelope : NULL, &error);
    tree_free(tree);
    if (!submission)
        return NULL;
    submission->error = error;
    submission->received_us = clock_monotonic_us();
    submission->event.deliver = deliver;
    submission->message = (struct submission_message){
        .sequence = message->place.sequence, .previous = follow->handed, .at = message->place.at};
    return submission;
}
