/*
 * Printing the log of changes: a line for the whole, one for each change, and behind the change
 * that a producer's last batch made one for the producer; a last line says where it ends. So what
 * was broken off on the way has no last line, and up to there who reads it lacks nothing: a
 * producer that is not told yet moved on later, and is told there.
 *
 * The changes of one transaction have one time (change.at), and those of the next one mostly
 * another. So an answer that ends where the time changes ends between two transactions.
 */
#include "http/changes.h"
#include "store/producer.h"

enum {
    SOFT_BYTES = 1 << 20, /* from here on the answer ends with the transaction, */
    HARD_BYTES = 8 << 20  /* ... and from here on with the change */
};

struct export_names {
    struct buffer texts; /* as JSON */
    size_t *ends;
    size_t count, capacity;
    bool failed;
};

struct printed_change {
    int64_t id;
    size_t end; /* of its line */
};

struct printing {
    struct changes_answer *answer;
    struct export_names names;
    struct buffer lines;            /* of the changes: */
    struct printed_change *printed; /* each of them */
    size_t capacity;
    int64_t changes, copied; /* so many are there, and in the answer */
    int64_t at;              /* of the last change */
    bool whole;              /* it ends between transactions */
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
    struct buffer *out = &printing->lines;
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
    bool enough = printing->changes >= answer->limit || printing->lines.length >= SOFT_BYTES;
    (void)entity;
    if (printing->changes && ((begins && enough) || printing->lines.length >= HARD_BYTES)) {
        printing->whole = begins;
        return false;
    }
    print_change(printing, change);
    if (printing->lines.failed ||
        !array_reserve((void **)&printing->printed, (size_t)printing->changes, &printing->capacity,
                       sizeof *printing->printed)) {
        printing->lines.failed = true;
        return false;
    }
    printing->printed[printing->changes++] =
        (struct printed_change){change->id, printing->lines.length};
    printing->at = change->at;
    answer->last = change->id;
    return true;
}

/* ---- producers ---- */

/* The lines of changes up to this one; the first is always among them. */
static void copy_up_to(struct printing *printing, int64_t change)
{
    const struct printed_change *printed = printing->printed;
    int64_t next = printing->copied;
    while (next < printing->changes && (!next || printed[next].id <= change))
        next++;
    size_t from = printing->copied ? printed[printing->copied - 1].end : 0;
    size_t to = next ? printed[next - 1].end : 0;
    buffer_add_span(&printing->answer->out, span_make(printing->lines.data + from, to - from));
    printing->copied = next;
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
    if (answer->replica)
        replica_print_chain(answer->replica, out);
    if (answer->former)
        print_former(answer->former, out);
    if (!answer->all)
        buffer_add_string(out, ",\"only\":\"changes\"");
    buffer_add_string(out, "}\n");
}

static void print_end(const struct printing *printing)
{
    struct changes_answer *answer = printing->answer;
    buffer_printf(&answer->out, "{\"cursor\":\"%s:%lld\",\"head\":%lld,\"whole\":%s}\n",
                  answer->epoch, (long long)answer->last, (long long)answer->head,
                  printing->whole ? "true" : "false");
}

/* The changes, with the producers that moved on among them. */
static bool print_log(struct printing *printing, struct store_reader *reader, int64_t head)
{
    struct changes_answer *answer = printing->answer;
    struct error *error = &answer->error;
    if (!store_read_exports(reader, note_name, &printing->names, error))
        return false;
    if (printing->names.failed)
        return error_set(error, ERROR_MEMORY, "out of memory while reading the log");
    if (!store_scan_changes(reader, 0, span_make(NULL, 0), answer->after, head, -1, false,
                            add_change, printing, error))
        return false;
    if (printing->lines.failed)
        return error_set(error, ERROR_MEMORY, "out of memory while reading the log");
    if (!printing->changes)
        return true;
    if (answer->all && !store_read_moved_producers(reader, answer->after, answer->last,
                                                   add_producer, printing, error))
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
    if (answer->after < log.last_change && !print_log(printing, reader, log.last_change))
        return false;
    answer->count = printing->changes;
    print_end(printing);
    return !answer->out.failed ||
           error_set(error, ERROR_MEMORY, "out of memory while reading the log");
}

void changes_read(struct changes_answer *answer, struct store_reader *reader)
{
    struct printing printing = {.answer = answer, .whole = true};
    buffer_init(&printing.names.texts, UINT32_MAX);
    buffer_init(&printing.lines, UINT32_MAX);
    answer->last = answer->after;
    answer->count = 0;
    buffer_clear(&answer->out);
    if (store_read_begin(reader, &answer->error))
        print_all(&printing, reader);
    store_read_end(reader);
    buffer_fini(&printing.names.texts);
    buffer_fini(&printing.lines);
    memory_free(printing.names.ends);
    memory_free(printing.printed);
}
