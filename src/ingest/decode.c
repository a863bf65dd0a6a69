/*
 * The decoder: a request's bytes to a submission. Pure, and strict: a member that is not known is
 * refused by name, because a misspelt "patchs" that is passed over would lose data in silence.
 *
 *   line      = mutation | batch                      (INGEST_LINES; blank lines are skipped,
 *                                                      and a byte order mark in front of a line)
 *   message   = batch with "id" and "traceparent"     (INGEST_MESSAGE)
 *   batch     = {"slot","index","mutations":[mutation…],"producer","batch","previous","mark"}
 *   mutation  = {"export","key","patch","append","unset","slot","index","op","if"}
 *
 * An optional member that is null counts as absent: serializers write it so.
 *
 * All of a request is parsed into the submission's document, so whatever a mutation holds is a
 * span or a node of it; only what must be rewritten (escaped or hexadecimal keys) is kept apart.
 * Those spans are why the document's text must never move: room for all of it is made at once.
 * Cutting long arrays is left to the merge, which sees what is already stored.
 */
#include "ingest/decode.h"

#include <assert.h>

enum {
    MAX_VALUES = 1 << 20, /* JSON values in one request; bounds memory for [[[],[],…]] */
    MAX_PRODUCER_BYTES = 256,
    MAX_MARK_BYTES = 256,
    MAX_ID_BYTES = 256,
    ENVELOPE_DEPTH = 4 /* message, "mutations", mutation, and one to spare */
};

struct submission *ingest_submission(size_t body_length)
{
    /* Canonical text grows where a wide integer gets quotes: two bytes in seventeen. */
    size_t room = body_length + body_length / 4 + 1024;
    struct submission *submission = submission_new(room, MAX_VALUES);
    if (submission && !buffer_reserve(&submission->doc.text, room)) {
        submission_free(submission);
        return NULL;
    }
    return submission;
}

/* ---- batches and messages ---- */

/* "id" and "traceparent" come last, since only a message has them. */
enum {
    MUTATIONS,
    BATCH_SLOT,
    BATCH_INDEX,
    PRODUCER,
    BATCH,
    PREVIOUS,
    MARK,
    ID,
    TRACEPARENT,
    MESSAGE_MEMBERS
};
static const char *const message_names[] = {"mutations", "slot", "index", "producer",   "batch",
                                            "previous",  "mark", "id",    "traceparent"};
static const struct member_names batch_members = {
    "a batch has mutations, slot, index, producer, batch, previous and mark", message_names, ID};
static const struct member_names message_members = {
    "a message has id, mutations, slot, index, producer, batch, previous, mark and traceparent",
    message_names, MESSAGE_MEMBERS};

bool ingest_is_producer(struct span name)
{
    return name.length && name.length <= MAX_PRODUCER_BYTES &&
           !memchr(name.data, '\0', name.length);
}

static bool decode_producer(struct decoder *decoder, uint32_t producer, uint32_t number,
                            struct submission_batch *batch)
{
    if (decode_is_null(decoder, producer) && decode_is_null(decoder, number))
        return true;
    if (decode_is_null(decoder, producer) || decode_is_null(decoder, number))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "%s is there without %s; the two go together",
                         decode_is_null(decoder, producer) ? "batch" : "producer",
                         decode_is_null(decoder, producer) ? "producer" : "batch");
    struct span name;
    if (!decode_has_type(decoder, producer, DOC_STRING))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE, "producer must be a string");
    if (!decode_string(decoder, producer, &name) ||
        !decode_natural(decoder, number, "batch", &batch->number))
        return false;
    if (!ingest_is_producer(name))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "producer must have 1 to %d bytes and no NUL character",
                         MAX_PRODUCER_BYTES);
    if (span_equal(name, span_of(".")) || span_equal(name, span_of("..")))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "producer is '%.*s', which no URL can hold as a part of its path; choose "
                         "another",
                         (int)name.length, name.data);
    if (span_equal(name, span_of(ENGINE_LOG_PRODUCER)))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "producer is '" ENGINE_LOG_PRODUCER "', by which the server itself keeps "
                         "its position in a log; choose another");
    batch->producer = name;
    return true;
}

static bool decode_previous(struct decoder *decoder, uint32_t node, struct submission_batch *batch)
{
    if (decode_is_null(decoder, node))
        return true;
    if (!decode_natural(decoder, node, "previous", &batch->previous))
        return false;
    batch->has_previous = true;
    return batch->previous < batch->number ||
           error_set(decoder->error, ERROR_INVALID_MESSAGE,
                     "previous is %lld and batch %lld; the predecessor's number is the lower one",
                     (long long)batch->previous, (long long)batch->number);
}

static bool decode_mark(struct decoder *decoder, uint32_t node, struct submission_batch *batch)
{
    if (decode_is_null(decoder, node))
        return true;
    if (!decode_has_type(decoder, node, DOC_STRING))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE, "mark must be a string");
    if (!decode_string(decoder, node, &batch->mark))
        return false;
    if (batch->mark.length <= MAX_MARK_BYTES && !memchr(batch->mark.data, '\0', batch->mark.length))
        return true;
    return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                     "mark must have at most %d bytes and no NUL character", MAX_MARK_BYTES);
}

/* Members that are for producers only. */
static bool decode_place(struct decoder *decoder, const uint32_t *nodes,
                         struct submission_batch *batch)
{
    bool previous = !decode_is_null(decoder, nodes[PREVIOUS]);
    if (!batch->producer.data && (previous || !decode_is_null(decoder, nodes[MARK])))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "%s is there without producer and batch; they go together",
                         previous ? "previous" : "mark");
    return decode_previous(decoder, nodes[PREVIOUS], batch) &&
           decode_mark(decoder, nodes[MARK], batch);
}

static bool decode_mutations(struct decoder *decoder, uint32_t array,
                             const struct mutation *defaults, struct submission_batch *batch)
{
    const struct doc *doc = decoder->doc;
    size_t number = 1;
    for (uint32_t child = array + 1; child < doc->nodes[array].end;
         child = doc->nodes[child].end, number++) {
        if (!decode_mutation(decoder, child, defaults))
            return error_prefix(decoder->error, "mutation %zu", number);
        batch->count++;
    }
    return true;
}

/* Whether it is one is not the decoder's to judge: a wrong one refuses nothing. */
static void keep_traceparent(struct decoder *decoder, uint32_t node)
{
    if (!decode_is_null(decoder, node) && decode_has_type(decoder, node, DOC_STRING))
        decoder->submission->traceparent = decode_inside_quotes(doc_text(decoder->doc, node));
}

static bool check_traceparent(struct decoder *decoder, uint32_t node)
{
    return decode_is_null(decoder, node) || decode_has_type(decoder, node, DOC_STRING) ||
           error_set(decoder->error, ERROR_INVALID_MESSAGE, "traceparent must be a string");
}

static bool decode_batch(struct decoder *decoder, uint32_t node, const struct member_names *members,
                         struct span *id)
{
    uint32_t nodes[MESSAGE_MEMBERS];
    struct mutation defaults = {.has_seq = false};
    bool known = decode_members(decoder, node, members, nodes);
    /* Whatever else is wrong, the refusal is a part of its trace. */
    if (members->count > TRACEPARENT)
        keep_traceparent(decoder, nodes[TRACEPARENT]);
    /* The sender and its number come first: they get an answer in any case. */
    if (members->count > ID && !decode_is_null(decoder, nodes[ID])) {
        struct span text = doc_text(decoder->doc, nodes[ID]);
        if (text.length > MAX_ID_BYTES)
            return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                             "id has %zu bytes; at most %d are allowed", text.length, MAX_ID_BYTES);
        *id = text;
    }
    struct submission_batch *batch = submission_add_batch(decoder->submission);
    if (!batch)
        return decode_out_of_memory(decoder);
    if (!known) {
        struct error unknown = *decoder->error;
        decode_producer(decoder, nodes[PRODUCER], nodes[BATCH], batch);
        *decoder->error = unknown;
        return false;
    }
    if (!decode_producer(decoder, nodes[PRODUCER], nodes[BATCH], batch) ||
        !decode_place(decoder, nodes, batch) ||
        (members->count > TRACEPARENT && !check_traceparent(decoder, nodes[TRACEPARENT])) ||
        !decode_seq(decoder, nodes[BATCH_SLOT], nodes[BATCH_INDEX], &defaults.has_seq,
                    &defaults.seq))
        return false;
    if (decode_is_null(decoder, nodes[MUTATIONS]) ||
        !decode_has_type(decoder, nodes[MUTATIONS], DOC_ARRAY))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE, "mutations must be an array");
    return decode_mutations(decoder, nodes[MUTATIONS], &defaults, batch);
}

/* A mutation on a line of its own joins the unnamed batch that the line before it may have begun.
 */
static bool decode_single(struct decoder *decoder, uint32_t node)
{
    static const struct mutation defaults;
    struct submission *submission = decoder->submission;
    struct submission_batch *last =
        submission->batch_count ? &submission->batches[submission->batch_count - 1] : NULL;
    if (!last || last->producer.data)
        last = submission_add_batch(submission);
    if (!last)
        return decode_out_of_memory(decoder);
    if (!decode_mutation(decoder, node, &defaults))
        return false;
    last->count++;
    return true;
}

static bool parse(struct decoder *decoder, struct span text, uint32_t *root)
{
    uint32_t depth = decoder->options->max_depth + ENVELOPE_DEPTH;
    if (!doc_parse(&decoder->submission->doc, text, depth, root, decoder->error))
        return false;
    if (decode_has_type(decoder, *root, DOC_OBJECT))
        return true;
    return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                     "not an object; a mutation is {\"export\":…,\"key\":…,\"patch\":{…}}");
}

static bool decode_line(struct decoder *decoder, struct span line)
{
    uint32_t root;
    if (!parse(decoder, line, &root))
        return false;
    if (doc_member(decoder->doc, root, "mutations") == DOC_NONE)
        return decode_single(decoder, root);
    return decode_batch(decoder, root, &batch_members, NULL);
}

static bool is_blank(struct span line)
{
    for (size_t i = 0; i < line.length; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    return true;
}

static bool decode_lines(struct decoder *decoder, struct span body)
{
    size_t number = 1;
    for (size_t at = 0; at < body.length; number++) {
        const char *start = body.data + at;
        const char *end = memchr(start, '\n', body.length - at);
        size_t length = end ? (size_t)(end - start) : body.length - at;
        struct span line = span_without_bom(span_make(start, length));
        if (!is_blank(line) && !decode_line(decoder, line))
            return error_prefix(decoder->error, "line %zu", number);
        at += length + 1;
    }
    return true;
}

bool ingest_decode(const struct ingest_options *options, enum ingest_format format,
                   struct span body, struct submission *submission, struct span *id,
                   struct error *error)
{
    struct decoder decoder = {options, submission, &submission->doc, error, DOC_NONE};
    const char *text = submission->doc.text.data;
    uint32_t root;
    *id = span_make(NULL, 0);
    bool done = format == INGEST_LINES ? decode_lines(&decoder, body)
                                       : parse(&decoder, span_without_bom(body), &root) &&
                                             decode_batch(&decoder, root, &message_members, id);
    assert(submission->doc.text.data == text);
    (void)text;
    return done;
}
