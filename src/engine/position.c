/*
 * The position in the log that the database follows (docs/cluster.md): the sequence of the last
 * message that is done with. It is the batch of the producer ENGINE_LOG_PRODUCER, written once in
 * each transaction that moves it, so it is on disk with what the messages did, or neither is.
 *
 *  1. A message is applied only behind the one that it names as its predecessor. So when one could
 *     not be written, all behind it are refused and touch nothing, until it comes again.
 *  2. A message that is refused for what it holds uses up its sequence: every node refuses it. One
 *     that found no memory or no disk does not.
 *  3. The time of its changes is that of the message, not of the node.
 *
 * A replica has no log of messages, but that of the changes of another server (copied.c). There the
 * position is the newest change.
 */
#include "engine/producers.h"

bool position_load(struct writer *writer, struct error *error)
{
    struct store_producer row;
    bool found = false;
    writer->position = (struct log_position){-1, -1, 0};
    if (!store_read_producer(store_writer_reader(writer->store), span_of(ENGINE_LOG_PRODUCER), &row,
                             &found, error))
        return false;
    if (found)
        writer->position = (struct log_position){row.batch, row.batch, row.at};
    return true;
}

bool position_admits(struct writer *writer, const struct submission *submission,
                     struct error *error)
{
    const struct submission_message *message = &submission->message;
    if (message->copied) /* before the first change, too, when it has no number yet */
        return copied_admits(writer, message, error);
    if (!message->sequence)
        return true;
    INVARIANT(message->previous < message->sequence);
    if (message->previous == writer->position.sequence)
        return true;
    return error_set(error, ERROR_OUT_OF_ORDER,
                     "message %lld of the log comes behind %lld, but the last that was applied is "
                     "%lld",
                     (long long)message->sequence, (long long)message->previous,
                     (long long)writer->position.sequence);
}

/* What a message holds, and the state that all messages before it made, decide; and nothing else.
 */
static bool is_by_content(enum error_code code)
{
    static const enum error_code codes[] = {
        ERROR_NONE,           ERROR_INVALID_MESSAGE, ERROR_INVALID_PARAMETER, ERROR_TOO_LARGE,
        ERROR_OUT_OF_ORDER,   ERROR_PRODUCER_TAKEN,  ERROR_PRODUCER_LIMIT,    ERROR_UNKNOWN_EXPORT,
        ERROR_VIEW_NOT_FOUND, ERROR_NOT_FOUND,       ERROR_KEY_REUSED,        ERROR_RATE_LIMIT,
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == code)
            return true;
    return false;
}

void position_advance(struct writer *writer, struct submission *submission)
{
    if (submission->message.copied) { /* its position is the newest change */
        submission->message_taken = submission->error.code == ERROR_NONE;
        return;
    }
    if (!submission->message.sequence || !is_by_content(submission->error.code))
        return;
    submission->message_taken = true;
    writer->position.sequence = submission->message.sequence;
    writer->position.at = submission->message.at;
}

bool position_store(struct writer *writer, struct error *error)
{
    const struct log_position *position = &writer->position;
    struct store_producer row = {.name = span_of(ENGINE_LOG_PRODUCER),
                                 .batch = position->sequence,
                                 .at = position->at,
                                 .change = writer->open.last_change};
    return position->sequence == position->stored || store_producer_put(writer->store, &row, error);
}

void position_end(struct writer *writer, bool committed)
{
    struct log_position *position = &writer->position;
    *(committed ? &position->stored : &position->sequence) =
        committed ? position->sequence : position->stored;
}
