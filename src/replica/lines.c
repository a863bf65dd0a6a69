#include "replica/lines.h"

#include "store/note.h"

#include <stdio.h>

enum { DEPTH = 1200 /* more than max_depth may ever be */ };

static bool wrong(struct error *error, const char *what)
{
    return error_set(error, ERROR_INVALID_MESSAGE,
                     "the source sent a line of its log that %s: is it a newer version?", what);
}

static bool get_number(const struct doc *doc, uint32_t object, const char *name, int64_t *number)
{
    uint32_t node = doc_member(doc, object, name);
    return node != DOC_NONE && doc_integer(doc, node, number);
}

static struct span inside_quotes(const struct doc *doc, uint32_t node)
{
    struct span text = doc_text(doc, node);
    return span_make(text.data + 1, text.length - 2);
}

static bool copy_text(const struct doc *doc, uint32_t object, const char *name, char *out,
                      size_t size)
{
    uint32_t node = doc_member(doc, object, name);
    if (node == DOC_NONE || doc->nodes[node].type != DOC_STRING)
        return false;
    struct span text = inside_quotes(doc, node);
    snprintf(out, size, "%.*s", (int)text.length, text.data);
    return text.length < size;
}

/* ---- what a line is ---- */

/* EPOCH:CHANGE */
static bool read_cursor(const struct doc *doc, uint32_t root, struct line *line)
{
    char text[80];
    size_t length = sizeof line->source.epoch - 1;
    if (!copy_text(doc, root, "cursor", text, sizeof text) || strlen(text) <= length ||
        text[length] != ':' || !typed_number(span_of(text + length + 1), &line->change))
        return false;
    memcpy(line->source.epoch, text, length);
    return true;
}

static bool read_end(const struct doc *doc, uint32_t root, struct line *line)
{
    line->kind = LINE_END;
    line->whole = doc_member_is(doc, root, "whole", "true");
    if (!copy_text(doc, root, "notes", line->notes, sizeof line->notes))
        *line->notes = '\0';
    return read_cursor(doc, root, line) && get_number(doc, root, "head", &line->head);
}

static bool read_head(const struct doc *doc, uint32_t root, struct line *line)
{
    uint32_t former = doc_member(doc, root, "former");
    uint32_t replicas = doc_member(doc, root, "replicas");
    if (replicas != DOC_NONE && doc->nodes[replicas].type == DOC_ARRAY)
        line->replicas = doc_text(doc, replicas);
    (void)get_number(doc, root, "now", &line->now);
    line->kind = LINE_HEAD;
    if (!get_number(doc, root, "changes_only_since", &line->alone_since))
        line->alone_since = -1;
    line->only_changes = doc_member_is(doc, root, "only", "\"changes\"");
    if (former != DOC_NONE && doc->nodes[former].type == DOC_OBJECT)
        line->former = doc_text(doc, former);
    if (!get_number(doc, root, "head", &line->head))
        line->head = -1;
    return copy_text(doc, root, "epoch", line->source.epoch, sizeof line->source.epoch) &&
           copy_text(doc, root, "settings", line->source.settings, sizeof line->source.settings) &&
           get_number(doc, root, "after", &line->change);
}

static bool read_any(const struct doc *doc, uint32_t root, struct line *line)
{
    if (doc->nodes[root].type != DOC_OBJECT)
        return false;
    if (doc_member(doc, root, "op") != DOC_NONE) {
        line->kind = LINE_CHANGE;
        return get_number(doc, root, "change", &line->change) &&
               get_number(doc, root, "at", &line->at);
    }
    if (doc_member(doc, root, "cursor") != DOC_NONE)
        return read_end(doc, root, line);
    if (doc_member(doc, root, "epoch") != DOC_NONE)
        return read_head(doc, root, line);
    line->kind = LINE_BESIDE;
    return doc_member(doc, root, "producer") != DOC_NONE ||
           doc_member(doc, root, "revoked") != DOC_NONE ||
           doc_member(doc, root, "forgotten") != DOC_NONE ||
           doc_member(doc, root, "idempotency_key") != DOC_NONE;
}

bool line_read(struct doc *doc, struct span text, struct line *line, struct error *error)
{
    uint32_t root;
    *line = (struct line){.kind = LINE_HEAD};
    doc_clear(doc);
    return doc_parse(doc, text, DEPTH, &root, error) &&
           (read_any(doc, root, line) || wrong(error, "has not what it must have"));
}

/* ---- submissions ---- */

struct building {
    struct submission *submission;
    struct store_producer *producers;
    size_t producer_count;
    struct store_note *notes;
    size_t note_count;
    struct error *error;
};

static bool no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while reading the log");
}

static bool get_text(struct building *building, uint32_t object, const char *name,
                     struct span *text)
{
    struct doc *doc = &building->submission->doc;
    uint32_t node = doc_member(doc, object, name);
    if (node == DOC_NONE || doc->nodes[node].type != DOC_STRING)
        return wrong(building->error, "lacks a text");
    *text = inside_quotes(doc, node);
    if (!text->length || !memchr(text->data, '\\', text->length))
        return true;
    struct buffer decoded;
    buffer_init(&decoded, text->length);
    *text = doc_decode_string(doc, node, &decoded)
                ? submission_keep(building->submission, buffer_span(&decoded))
                : span_make(NULL, 0);
    buffer_fini(&decoded);
    return text->data || no_memory(building->error);
}

/* A create with appends was a patch. One without may have been either, which is the same where
 * nothing is; only an upsert keeps what a patch would take for a removal. */
static bool get_operation(const struct doc *doc, uint32_t root, bool appends,
                          enum row_operation *operation)
{
    static const struct {
        const char *text;
        enum row_operation operation;
    } names[] = {{"\"create\"", ROW_UPSERT},
                 {"\"patch\"", ROW_PATCH},
                 {"\"upsert\"", ROW_UPSERT},
                 {"\"delete\"", ROW_DELETE},
                 {"\"evict\"", ROW_EVICT}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (doc_member_is(doc, root, "op", names[i].text)) {
            *operation = appends ? ROW_PATCH : names[i].operation;
            return true;
        }
    return false;
}

static bool take_appends(struct building *building, uint32_t node, struct mutation *mutation)
{
    const struct doc *doc = &building->submission->doc;
    if (node == DOC_NONE)
        return true;
    if (doc->nodes[node].type != DOC_OBJECT)
        return wrong(building->error, "has another append");
    mutation->appends = submission_zeroed(building->submission,
                                          (doc->nodes[node].count + 1) * sizeof *mutation->appends);
    if (!mutation->appends)
        return no_memory(building->error);
    for (uint32_t child = node + 1; child < doc->nodes[node].end; child = doc->nodes[child].end)
        mutation->appends[mutation->append_count++].path = doc_key(doc, child);
    return true;
}

static bool take_change(struct building *building, uint32_t root)
{
    const struct doc *doc = &building->submission->doc;
    uint32_t append = doc_member(doc, root, "append"), patch = doc_member(doc, root, "patch");
    struct mutation mutation = {.patch = patch, .has_seq = true};
    if (!get_text(building, root, "export", &mutation.export_name) ||
        !get_text(building, root, "key", &mutation.key) ||
        !take_appends(building, append, &mutation))
        return false;
    if (!get_operation(doc, root, append != DOC_NONE, &mutation.operation) ||
        !get_number(doc, root, "slot", &mutation.seq.slot) ||
        !get_number(doc, root, "index", &mutation.seq.index))
        return wrong(building->error, "has no op, slot or index that is known");
    bool has_patch = patch != DOC_NONE && doc->nodes[patch].type == DOC_OBJECT;
    if (has_patch == row_is_gone(mutation.operation))
        return wrong(building->error, "has a patch where there is none, or none");
    struct mutation *added = submission_add(building->submission);
    if (!added)
        return no_memory(building->error);
    *added = mutation;
    building->submission->batches[0].count++;
    return true;
}

/* An optional text. */
static bool get_more(struct building *building, uint32_t root, const char *name, struct span *text)
{
    return doc_member(&building->submission->doc, root, name) == DOC_NONE ||
           get_text(building, root, name, text);
}

static bool take_producer(struct building *building, uint32_t root)
{
    const struct doc *doc = &building->submission->doc;
    struct store_producer producer = {.batch = -1};
    if (!get_text(building, root, "producer", &producer.name) ||
        !get_more(building, root, "owner", &producer.owner) ||
        !get_more(building, root, "mark", &producer.mark))
        return false;
    if (!get_number(doc, root, "batch", &producer.batch) ||
        !get_number(doc, root, "change", &producer.change) ||
        !get_number(doc, root, "at", &producer.at))
        return wrong(building->error, "tells too little of a producer");
    producer.has_seq = get_number(doc, root, "slot", &producer.seq.slot) &&
                       get_number(doc, root, "index", &producer.seq.index);
    building->producers[building->producer_count++] = producer;
    return true;
}

/* ---- notes ---- */

static bool take_revoked(struct building *building, uint32_t root, struct store_note *note)
{
    const struct doc *doc = &building->submission->doc;
    note->kind = STORE_NOTE_REVOKED;
    (void)get_number(doc, root, "expires_at", &note->revoked.expires_at); /* null: for ever */
    return get_text(building, root, "revoked", &note->revoked.token_id) &&
           (get_number(doc, root, "at", &note->revoked.at) ||
            wrong(building->error, "tells too little of a token"));
}

static int digit_of(char digit)
{
    const char *digits = "0123456789abcdef";
    const char *at = digit ? strchr(digits, digit) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Two digits for each byte. */
static bool read_digest(struct building *building, struct span text, struct span *digest)
{
    char bytes[32];
    bool good = text.length == 2 * sizeof bytes;
    for (size_t i = 0; good && i < sizeof bytes; i++) {
        int high = digit_of(text.data[2 * i]), low = digit_of(text.data[2 * i + 1]);
        bytes[i] = (char)(high * 16 + low);
        good = high >= 0 && low >= 0;
    }
    if (!good)
        return wrong(building->error, "has no digest of a request");
    *digest = submission_keep(building->submission, span_make(bytes, sizeof bytes));
    return digest->data || no_memory(building->error);
}

static bool take_key(struct building *building, uint32_t root, struct store_note *note)
{
    struct store_key *key = &note->key;
    struct span body;
    note->kind = STORE_NOTE_KEY;
    return get_text(building, root, "idempotency_key", &key->key) &&
           get_text(building, root, "owner", &key->owner) &&
           get_text(building, root, "answer", &key->answer) &&
           get_text(building, root, "body", &body) && read_digest(building, body, &key->body) &&
           (get_number(&building->submission->doc, root, "at", &key->at) ||
            wrong(building->error, "tells too little of a key"));
}

static bool take_beside(struct building *building, uint32_t root)
{
    const struct doc *doc = &building->submission->doc;
    if (doc_member(doc, root, "producer") != DOC_NONE)
        return take_producer(building, root);
    struct store_note *note = &building->notes[building->note_count++];
    if (doc_member(doc, root, "revoked") != DOC_NONE)
        return take_revoked(building, root, note);
    if (doc_member(doc, root, "idempotency_key") != DOC_NONE)
        return take_key(building, root, note);
    note->kind = STORE_NOTE_FORGOTTEN;
    return get_text(building, root, "forgotten", &note->forgotten);
}

static bool take_lines(struct building *building, struct span text,
                       bool (*take)(struct building *building, uint32_t root))
{
    while (text.length) {
        const char *end = memchr(text.data, '\n', text.length);
        size_t length = end ? (size_t)(end - text.data) : text.length;
        uint32_t root;
        if (!doc_parse(&building->submission->doc, span_make(text.data, length), DEPTH, &root,
                       building->error) ||
            !take(building, root))
            return false;
        length += end != NULL;
        text = span_make(text.data + length, text.length - length);
    }
    return true;
}

static size_t count_lines(struct span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += text.data[i] == '\n';
    return count;
}

static bool build(struct building *building, struct span changes, struct span beside)
{
    struct submission *submission = building->submission;
    size_t count = count_lines(beside) + 1;
    building->producers = submission_zeroed(submission, count * sizeof *building->producers);
    building->notes = submission_zeroed(submission, count * sizeof *building->notes);
    if (!building->producers || !building->notes || !submission_add_batch(submission))
        return no_memory(building->error);
    submission->batches[0].producer = span_make(NULL, 0);
    if (!take_lines(building, changes, take_change) || !take_lines(building, beside, take_beside))
        return false;
    submission->copied_producers = building->producers;
    submission->copied_producer_count = building->producer_count;
    submission->copied_notes = building->notes;
    submission->copied_note_count = building->note_count;
    return true;
}

struct submission *lines_submission(struct span changes, struct span beside, struct error *error)
{
    /* Spans into the document's text are kept, so it must not move. */
    size_t length = changes.length + beside.length, room = length + length / 4 + 1024;
    struct building building = {.submission = submission_new(room, UINT32_MAX - 1), .error = error};
    if (!building.submission || !buffer_reserve(&building.submission->doc.text, room)) {
        no_memory(error);
    } else if (build(&building, changes, beside)) {
        return building.submission;
    }
    submission_free(building.submission);
    return NULL;
}
