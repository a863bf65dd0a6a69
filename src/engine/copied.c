/*
 * Changes that are copied from the log of another server, for a replica (docs/cluster.md): each is
 * made here under the id, the seq and the time that it has there, and nothing else is. The position
 * of a replica is its newest change, so there is nothing to store beside.
 *
 *  1. Copied changes are applied only directly behind the newest change.
 *  2. Each of them becomes exactly one change: else the two servers would merge differently, and
 *     nothing of it is kept.
 */
#include "engine/producers.h"

bool copied_admits(struct writer *writer, const struct submission_message *message,
                   struct error *error)
{
    return message->previous == writer->open.last_change ||
           error_set(error, ERROR_OUT_OF_ORDER,
                     "the changes up to %lld come behind change %lld, but the newest here is %lld",
                     (long long)message->sequence, (long long)message->previous,
                     (long long)writer->open.last_change);
}

bool copied_ends(struct writer *writer, const struct submission *submission, struct error *error)
{
    const struct submission_message *message = &submission->message;
    return !message->copied || message->sequence == writer->open.last_change ||
           error_set(error, ERROR_INTERNAL,
                     "the changes up to %lld of the log made the changes up to %lld here",
                     (long long)message->sequence, (long long)writer->open.last_change);
}

bool copied_store_producers(struct writer *writer, const struct submission *submission,
                            struct error *error)
{
    for (size_t i = 0; i < submission->copied_producer_count; i++)
        if (!store_producer_put(writer->store, &submission->copied_producers[i], error))
            return false;
    return true;
}
