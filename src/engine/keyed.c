/*
 * Requests with an Idempotency-Key: the second of the same key is answered as the first was, and
 * changes nothing. The key is written in the transaction of what the request changed, so it is
 * there exactly if that is.
 *
 * Of a message of a log every node decides alike, so its time is that of the message.
 *
 * A key is kept for KEY_MS at least. Beyond that the oldest keys of a subject go, but only to make
 * room for a new one; a subject that has too many younger ones has to wait.
 */
#include "engine/producers.h"

enum { KEY_TRIM_STEP = 100, KEY_HOURS = 24, KEY_WAIT_SECONDS = 60, KEY_OWNERS = 1000 };

#define KEY_MS ((int64_t)KEY_HOURS * 3600 * 1000)

/* Without authentication keys are everybody's. */
static struct span key_owner(const struct submission *submission)
{
    return submission->owner.data ? submission->owner : span_make("", 0);
}

/* ---- how many there are ---- */

/* Counting them costs time that grows with them, so what was counted is remembered. */
struct key_count {
    int64_t keys;
    size_t length;
    char owner[];
};

static struct span count_owner(const void *value)
{
    const struct key_count *count = value;
    return span_make(count->owner, count->length);
}

void keyed_init(struct writer *writer)
{
    map_init(&writer->key_counts, count_owner);
}

void keyed_forget(struct writer *writer)
{
    size_t position = 0;
    struct key_count *count;
    while ((count = map_next(&writer->key_counts, &position)))
        memory_free(count);
    map_fini(&writer->key_counts);
    keyed_init(writer);
}

static struct key_count *count_of(struct writer *writer, struct span owner, struct error *error)
{
    int64_t most = writer->engine->options.max_idempotency_keys;
    struct key_count *count = map_get(&writer->key_counts, owner);
    if (count)
        return count;
    if (writer->key_counts.count >= KEY_OWNERS)
        keyed_forget(writer);
    count = memory_new(sizeof *count + owner.length);
    if (!count) {
        error_set(error, ERROR_MEMORY, "out of memory while counting keys");
        return NULL;
    }
    count->length = owner.length;
    if (owner.length)
        memcpy(count->owner, owner.data, owner.length);
    bool counted = store_owner_count(writer->store, STORE_KEYS, owner, most, &count->keys, error);
    if (counted && map_add(&writer->key_counts, count))
        return count;
    if (counted)
        error_set(error, ERROR_MEMORY, "out of memory while counting keys");
    memory_free(count);
    return NULL;
}

/*
 * A key is as old as it is for certain, so that a clock that is ahead for a while lets none go
 * early. One that such a clock stamped was made by now at the latest: its day begins now.
 */
static bool trim_keys(struct writer *writer, struct span owner, int64_t due, int64_t *removed,
                      struct error *error)
{
    return store_key_restamp(writer->store, owner, writer->open.now + KEY_MS, writer->open.now,
                             error) &&
           store_key_trim(writer->store, owner, due - KEY_MS, KEY_TRIM_STEP, removed, error);
}

/* Room for one more, which is counted. */
static bool make_room(struct writer *writer, struct span owner, int64_t due, struct error *error)
{
    int64_t most = writer->engine->options.max_idempotency_keys, removed = 0;
    if (!most)
        return true;
    struct key_count *count = count_of(writer, owner, error);
    if (!count)
        return false;
    if (count->keys >= most && !trim_keys(writer, owner, due, &removed, error))
        return false;
    count->keys -= removed;
    if (count->keys < most) {
        count->keys++;
        return true;
    }
    error_set(error, ERROR_RATE_LIMIT,
              "the subject has used %lld keys within %d hours (max_idempotency_keys): wait, raise "
              "it, or send numbered batches of a producer instead",
              (long long)most, KEY_HOURS);
    error->retry_after = KEY_WAIT_SECONDS;
    return false;
}

/* ---- a request ---- */

static bool answer_again(struct submission *submission, const struct store_key *known,
                         struct error *error)
{
    const struct submission_key *key = &submission->key;
    if (!span_equal(known->body, span_make((const char *)key->digest, sizeof key->digest)))
        return error_set(error, ERROR_KEY_REUSED,
                         "Idempotency-Key '%.*s' was used for a request with another body: use a "
                         "new key for each request, and the same one only to repeat it",
                         (int)key->text.length, key->text.data);
    submission->answer = submission_keep(submission, known->answer);
    return submission->answer.data ||
           error_set(error, ERROR_MEMORY, "out of memory while answering a request again");
}

bool keyed_admit(struct writer *writer, struct submission *submission, bool *replayed,
                 struct error *error)
{
    struct store_key known;
    *replayed = false;
    if (!submission->key.text.data)
        return true;
    return store_key_get(writer->store, key_owner(submission), submission->key.text, &known,
                         replayed, error) &&
           (!*replayed || answer_again(submission, &known, error));
}

bool keyed_store(struct writer *writer, struct submission *submission, struct error *error)
{
    const struct submission_key *key = &submission->key;
    const struct submission_message *message = &submission->message;
    int64_t due = message->sequence ? message->at : engine_times(writer->engine).due;
    struct buffer answer;
    if (!key->text.data)
        return true;
    buffer_init(&answer, SUBMISSION_ANSWER_BYTES);
    struct store_key row = {.owner = key_owner(submission),
                            .key = key->text,
                            .body = span_make((const char *)key->digest, sizeof key->digest),
                            .at = writer->open.now,
                            .change = writer->open.last_change};
    bool done = key->print(submission, &answer) ||
                error_set(error, ERROR_MEMORY, "out of memory while keeping an answer");
    row.answer = buffer_span(&answer);
    done = done && make_room(writer, row.owner, due, error) &&
           store_key_put(writer->store, &row, error);
    buffer_fini(&answer);
    return done;
}

/* The source may give up a key that is kept here, and take it for another request then. */
static bool is_same(const struct store_key *known, const struct store_key *key)
{
    return span_equal(known->body, key->body) && span_equal(known->answer, key->answer) &&
           known->at >= key->at;
}

/* Its source had room for it, so there is some, whatever the settings are here. */
bool keyed_copy(struct writer *writer, const struct store_key *key, struct error *error)
{
    struct store_key known;
    bool found;
    if (!store_key_get(writer->store, key->owner, key->key, &known, &found, error))
        return false;
    if (found && is_same(&known, key))
        return true;
    if (!found && !make_room(writer, key->owner, engine_times(writer->engine).due, error) &&
        error->code != ERROR_RATE_LIMIT)
        return false;
    error->code = ERROR_NONE;
    return store_key_put(writer->store, key, error);
}
