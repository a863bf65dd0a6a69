/*
 * Printing the log of changes: a line for the whole, one for each change, and behind the change
 * that a producer's last batch made one for the producer; notes before that, because a producer
 * that is there was there again after it was forgotten; a last line says where it ends. So what
 * was broken off on the way has no last line, and up to there who reads it lacks nothing: a
 * producer that is not told yet moved on later, and is told there.
 *
 * The changes of one transaction have one time (change.at), and those of the next one mostly
 * another. So an answer that ends where the time changes ends between two transactions.
 */
#include "http/changes.h"
#include "http/changes_notes.h"

enum {
    SOFT_BYTES = 1 << 20, /* from here on the answer ends with the transaction, */
    HARD_BYTES = 8 << 20  /* ... and from here on with the change, or the note */
};

struct export_names {
    struct buffer texts; /* as JSON */
    size_t *ends;
    size_t count, capacity;
    bool failed;
};

struct printing {
    struct changes_answer *answer;
    struct export_names names;
    struct buffer text;         /* of the changes: */
    struct changes_line *lines; /* each of them */
    size_t capacity;
    int64_t changes, copied; /* so many are there, and in the answer */
    struct changes_notes notes;
    size_t notes_copied;
    int64_t at; /* of the last change */
    bool whole; /* it ends between transactions */
};

/* ---- the exports: their numbers have no holes ---- */

static bool note_name(void *argument, const struct store_export *export)
{
    struct export_names *names = argument;
    names->failed = export->id != names->count + 1 ||
                    !array_reserve((void **)&names->ends, names->count, &names->capacity,
                                   sizeof *names->ends) ||
                    !doc_escape(&names->texts, export->name);
    if (names->failed)
        return false;
    names->ends[names->count++] = names->texts.length;
    return true;
}

static struct span name_of(const struct export_names *names, uint32_t id)
{
    size_t from = id > 1 && id <= names->count ? names->ends[id - 2] : 0;
    size_t to = id && id <= names->count ? names->ends[id - 1] : 0;
    return to > from ? span_make(names->texts.data + from, to - from) : span_of("null");
}

/* ---- changes ---- */

static const char *operation_name(enum row_operation operation)
{
    static const char *const names[] = {[ROW_CREATE] = "create",
                                        [ROW_PATCH] = "patch",
                                        [ROW_UPSERT] = "upsert",
                                        [ROW_DELETE] = "delete",
                                        [ROW_EVICT] = "evict"};
    return operation <= ROW_EVICT ? names[operation] : "unknown";
}

static void print_change(struct printing *printing, const struct store_change *change)
{
    struct buffer *out = &printing->text;
    buffer_printf(out, "{\"change\":%lld,\"op\":\"%s\",\"export\":", (long long)change->id,
                  operation_name(change->operation));
    buffer_add_span(out, name_of(&printing->names, change->export_id));
    buffer_add_string(out, ",\"key\":");
    doc_escape(out, change->key);
    buffer_printf(out, ",\"slot\":%lld,\"index\":%lld,\"at\":%lld", (long long)change->seq.slot,
                  (long long)change->seq.index, (long long)change->at);
    if (change->patch.data) {
        buffer_add_string(out, ",\"patch\":");
        buffer_add_span(out, change->patch);
    }
    if (change->append.data) {
        buffer_add_string(out, ",\"append\":");
        buffer_add_span(out, change->append);
    }
    buffer_add_string(out, "}\n");
}

static bool add_change(void *argument, const struct store_change *change,
                       const struct store_entity *entity)
{
    struct printing *printing = argument;
    struct changes_answer *answer = printing->answer;
    bool begins = !printing->changes || change->at != printing->at;
    bool enough = printing->changes >= answer->limit || printing->text.length >= SOFT_BYTES;
    (void)entity;
    if (printing->changes && ((begins && enough) || printing->text.length >= HARD_BYTES)) {
        printing->whole = begins;
        return false;
    }
    print_change(printing, change);
    if (printing->text.failed ||
        !array_reserve((void **)&printing->lines, (size_t)printing->changes, &printing->capacity,
                       sizeof *printing->lines)) {
        printing->text.failed = true;
        return false;
    }
    printing->lines[printing->changes++] =
        (struct changes_line){change->id, change->at, printing->text.length};
    printing->at = change->at;
    answer->last = change->id;
    return true;
}

/* ---- producers ---- */

static void copy_line(struct printing *printing, const struct buffer *text,
                      const struct changes_line *lines, size_t index)
{
    size_t from = index ? lines[index - 1].end : 0;
    buffer_add_span(&printing->answer->out, span_make(text->data + from, lines[index].end - from));
}

/* The lines up to this change, and the notes behind each; the first change is always among them. */
static void copy_up_to(struct printing *printing, int64_t change)
{
    const struct changes_line *lines = printing->lines;
    const struct changes_notes *notes = &printing->notes;
    for (;;) {
        size_t at = (size_t)printing->copied, note = printing->notes_copied;
        bool more = printing->copied < printing->changes && (!at || lines[at].change <= change);
        bool noted = note < notes->count && notes->lines[note].change <= change;
        if (noted &&
            (printing->copied == printing->changes || notes->lines[note].change < lines[at].change))
            copy_line(printing, &notes->text, notes->lines, printing->notes_copied++);
        else if (more)
            copy_line(printing, &printing->text, lines, (size_t)printing->copied++);
        else
            return;
    }
}

static bool add_producer(void *argument, const struct store_producer *producer)
{
    struct printing *printing = argument;
    struct buffer *out = &printing->answer->out;
    if (span_equal(producer->name, span_of(ENGINE_LOG_PRODUCER)))
        return true;
    copy_up_to(printing, producer->change);
    buffer_add_string(out, "{\"producer\":");
    doc_escape(out, producer->name);
    if (producer->owner.data) {
        buffer_add_string(out, ",\"owner\":");
        doc_escape(out, producer->owner);
    }
    buffer_printf(out, ",\"batch\":%lld,\"change\":%lld,\"at\":%lld", (long long)producer->batch,
                  (long long)producer->change, (long long)producer->at);
    if (producer->has_seq)
        buffer_printf(out, ",\"slot\":%lld,\"index\":%lld", (long long)producer->seq.slot,
                      (long long)producer->seq.index);
    if (producer->mark.data) {
        buffer_add_string(out, ",\"mark\":");
        doc_escape(out, producer->mark);
    }
    buffer_add_string(out, "}\n");
    return !out->failed;
}

/* ---- the whole of it ---- */

static bool check(const struct changes_answer *answer, const struct store_log_state *log,
                  struct error *error)
{
    if (answer->after < log->floor_change)
        return error_set(error, ERROR_LOG_GAP,
                         "the log was trimmed behind change %lld: it begins behind change %lld. "
                         "Begin again with a backup (GET /v1/backup)",
                         (long long)answer->after, (long long)log->floor_change);
    if (answer->after < answer->since)
        return error_set(error, ERROR_LOG_GAP,
                         "until change %lld other settings decided how changes are merged. Begin "
                         "again with a backup (GET /v1/backup)",
                         (long long)answer->since);
    if (answer->after > log->last_change && !answer->is_node)
        return error_set(error, ERROR_LOG_REPLACED,
                         "the log ends with change %lld, before change %lld of the cursor: the "
                         "database is not the one that the cursor is of. Begin again with a backup "
                         "(GET /v1/backup)",
                         (long long)log->last_change, (long long)answer->after);
    return true;
}

static void print_former(const struct database *database, struct buffer *out)
{
    const char *epoch;
    int64_t last_change;
    buffer_add_string(out, ",\"former\":{");
    for (size_t i = 0; (epoch = database_former_at(database, i, &last_change)); i++) {
        buffer_add_string(out, i ? "," : "");
        doc_escape(out, span_of(epoch));
        buffer_printf(out, ":%lld", (long long)last_change);
    }
    buffer_add_char(out, '}');
}

static void print_head(struct changes_answer *answer)
{
    struct buffer *out = &answer->out;
    buffer_printf(out,
                  "{\"epoch\":\"%s\",\"after\":%lld,\"head\":%lld,\"now\":%lld,\"settings\":\"%s\"",
                  answer->epoch, (long long)answer->after, (long long)answer->head,
                  (long long)clock_wall_ms(), answer->merging);
    int64_t alone_since = engine_alone_since(answer->engine);
    if (answer->replica)
        replica_print_chain(answer->replica, out);
    if (answer->replica && alone_since >= 0)
        buffer_printf(out, ",\"changes_only_since\":%lld", (long long)alone_since);
    if (answer->former)
        print_former(answer->former, out);
    if (!answer->all)
        buffer_add_string(out, ",\"only\":\"changes\"");
    buffer_add_string(out, "}\n");
}

static bool tells_notes(const struct changes_answer *answer)
{
    return answer->all && answer->wants_notes;
}

static void print_end(const struct printing *printing)
{
    struct changes_answer *answer = printing->answer;
    buffer_printf(&answer->out, "{\"cursor\":\"%s:%lld\",\"head\":%lld,\"whole\":%s", answer->epoch,
                  (long long)answer->last, (long long)answer->head,
                  printing->whole ? "true" : "false");
    if (tells_notes(answer))
        buffer_printf(&answer->out, ",\"notes\":\"%s:%lld\"", answer->notes_of,
                      (long long)printing->notes.last);
    buffer_add_string(&answer->out, "}\n");
}

static bool print_changes(struct printing *printing, struct store_reader *reader, int64_t head)
{
    struct changes_answer *answer = printing->answer;
    struct error *error = &answer->error;
    if (!store_read_exports(reader, note_name, &printing->names, error) ||
        (!printing->names.failed &&
         !store_scan_changes(reader, 0, span_make(NULL, 0), answer->after, head, -1, false,
                             add_change, printing, error)))
        return false;
    return !(printing->names.failed || printing->text.failed) ||
           error_set(error, ERROR_MEMORY, "out of memory while reading the log");
}

/* The notes are too many: the changes behind them come with theirs. Whether the cursor is between
 * two transactions is not known of changes that were told before. */
static void end_at(struct printing *printing, int64_t change)
{
    const struct changes_line *lines = printing->lines;
    int64_t count = printing->changes;
    while (count && lines[count - 1].change > change)
        count--;
    if (count < printing->changes)
        printing->whole = count && lines[count - 1].at != lines[count].at;
    printing->changes = count;
    printing->answer->last = change;
}

/* What is told of notes and producers is told behind changes of this answer, or before the first. A
 * producer that is there again goes behind the note that it was forgotten. */
static bool print_beside(struct printing *printing, struct store_reader *reader)
{
    struct changes_answer *answer = printing->answer;
    struct changes_notes *notes = &printing->notes;
    struct error *error = &answer->error;
    notes->is_new = answer->notes_behind < 0;
    notes->last = notes->is_new ? 0 : answer->notes_behind;
    notes->most = HARD_BYTES;
    notes->after = answer->after;
    notes->until = answer->last;
    if (tells_notes(answer) && !changes_notes_read(notes, reader, error))
        return false;
    if (notes->full)
        end_at(printing, notes->until);
    if (answer->all && (printing->changes || notes->forgets) &&
        !store_read_moved_producers(reader, answer->after, answer->last, add_producer, printing,
                                    error))
        return false;
    copy_up_to(printing, answer->last);
    return true;
}

static bool print_all(struct printing *printing, struct store_reader *reader)
{
    struct changes_answer *answer = printing->answer;
    struct error *error = &answer->error;
    struct store_log_state log;
    if (!store_read_log(reader, &log, error))
        return false;
    if (answer->at_head)
        answer->after = answer->last = log.last_change;
    answer->at_head = false;
    if (!check(answer, &log, error))
        return false;
    answer->head = log.last_change;
    print_head(answer);
    if ((answer->after < log.last_change && !print_changes(printing, reader, log.last_change)) ||
        !print_beside(printing, reader))
        return false;
    answer->count = printing->changes + (int64_t)printing->notes.count;
    print_end(printing);
    return !answer->out.failed ||
           error_set(error, ERROR_MEMORY, "out of memory while reading the log");
}

void changes_read(struct changes_answer *answer, struct store_reader *reader)
{
    struct printing printing = {.answer = answer, .whole = true};
    buffer_init(&printing.names.texts, UINT32_MAX);
    buffer_init(&printing.text, UINT32_MAX);
    buffer_init(&printing.notes.text, UINT32_MAX);
    answer->last = answer->after;
    answer->count = 0;
    buffer_clear(&answer->out);
    if (store_read_begin(reader, &answer->error))
        print_all(&printing, reader);
    store_read_end(reader);
    buffer_fini(&printing.names.texts);
    buffer_fini(&printing.text);
    changes_notes_fini(&printing.notes);
    memory_free(printing.names.ends);
    memory_free(printing.lines);
}
