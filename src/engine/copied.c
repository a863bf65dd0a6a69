/*
 * Changes that are copied from the log of another server, for a replica (docs/cluster.md): each is
 * made here under the id, the seq and the time that it has there, and nothing else is. The position
 * of a replica is its newest change, so there is nothing to store beside.
 *
 *  1. Copied changes are applied only directly behind the newest change.
 *  2. Each of them becomes exactly one change: else the two servers would merge differently, and
 *     nothing of it is kept.
 *  3. What happened beside them (store/note.h) is written in the transaction of the changes before
 *     it, or behind that; to write it twice changes nothing.
 */
#include "engine/producers.h"
#include "store/note.h"

#include <inttypes.h>
#include <stdio.h>

static const char alone_name[] = "alone_since"; /* in `meta`: "EPOCH CHANGE" */

enum { TRIM_STEP = 1000 }; /* revocations of tokens that have run out, to make room */

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

static bool store_note(struct writer *writer, const struct store_note *note, struct error *error)
{
    struct store_key key = note->key;
    bool kept; /* else there is no room: access says so */
    switch (note->kind) {
    case STORE_NOTE_REVOKED:
        return store_revocation_keep(writer->store, &note->revoked, note->revoked.at / 1000,
                                     TRIM_STEP, &kept, error);
    case STORE_NOTE_FORGOTTEN:
        return known_producer_remove(writer, note->forgotten, error);
    case STORE_NOTE_KEY:
        break;
    }
    key.change = writer->open.last_change;
    return keyed_copy(writer, &key, error);
}

/* ---- changes without what is beside them ---- */

int64_t engine_alone_since(const struct engine *engine)
{
    return atomic_load(&engine->alone_since);
}

bool copied_open(struct engine *engine, struct error *error)
{
    struct store_reader *reader = store_writer_reader(engine->writer.store);
    size_t length = strlen(engine->facts.epoch);
    struct buffer value;
    int64_t since;
    bool found;
    buffer_init(&value, 256);
    bool done = store_read_meta(reader, alone_name, &value, &found, error);
    struct span text = buffer_span(&value);
    found = done && found && text.length > length &&
            memcmp(text.data, engine->facts.epoch, length) == 0 && text.data[length] == ' ' &&
            typed_number(span_make(text.data + length + 1, text.length - length - 1), &since);
    atomic_store(&engine->alone_since, found ? since : -1);
    buffer_fini(&value);
    return done;
}

/* Before the commit, so whoever sees one of these changes sees this, too. */
static bool note_alone(struct writer *writer, int64_t since, struct error *error)
{
    struct engine *engine = writer->engine;
    char text[128];
    if (engine_alone_since(engine) < 0)
        atomic_store(&engine->alone_since, since);
    snprintf(text, sizeof text, "%s %" PRId64, engine->facts.epoch, engine_alone_since(engine));
    return store_meta_put(writer->store, alone_name, span_of(text), error);
}

/* ---- what is beside the changes of a submission ---- */

/* A producer that is there was there again after it was forgotten. */
bool copied_store_rest(struct writer *writer, const struct submission *submission,
                       struct error *error)
{
    const struct submission_message *message = &submission->message;
    if (message->is_alone && !note_alone(writer, message->previous, error))
        return false;
    for (size_t i = 0; i < submission->copied_note_count; i++)
        if (!store_note(writer, &submission->copied_notes[i], error))
            return false;
    for (size_t i = 0; i < submission->copied_producer_count; i++)
        if (!known_producer_put(writer, &submission->copied_producers[i], error))
            return false;
    return true;
}
