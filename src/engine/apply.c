/*
 * Applying one submission: mutations are merged in memory, one after the other, into the entities
 * of the writer's cache, and their changes noted as pending. Nothing of it is in the log yet, so
 * a submission that turns out to be unacceptable is undone by putting the entities back.
 */
#include "engine/producers.h"

/* ---- mutations, batches, the submission ---- */

static bool apply_delete(struct writer *writer, struct submission *submission,
                         const struct mutation *mutation, struct entity *entity,
                         struct error *error)
{
    return writer_record(writer, entity, mutation->operation, writer_next_seq(writer, mutation),
                         NULL, span_make(NULL, 0), span_make(NULL, 0), submission->received_us,
                         error);
}

/*
 * Whether the mutation is only for what is older than it, and the entity is not, or was deleted or
 * evicted by something that is not, as far as the log reaches back.
 */
static bool find_stale(struct writer *writer, const struct mutation *mutation,
                       const struct entity *entity, bool *stale, struct error *error)
{
    struct seq known = entity->seq;
    /* Without a change of its own in this transaction, only the store knows what became of it. */
    bool found = entity->change != 0;
    *stale = false;
    if (!mutation->newer)
        return true;
    if (!found &&
        !store_change_gone(writer->store, entity->export->id, mutation->key, &known, &found, error))
        return false;
    *stale = found && seq_compare(mutation->seq, known) <= 0;
    return true;
}

/* Whether it can only take away from what is not there. A delete that is for what is older is noted
 * all the same. */
static bool finds_nothing(const struct submission *submission, const struct mutation *mutation,
                          const struct entity *entity)
{
    if (entity->data || submission->message.copied)
        return false;
    if (mutation->operation == ROW_DELETE)
        return !mutation->newer;
    return mutation->unset_count && !submission->doc.nodes[mutation->patch].count;
}

/* Asked before each mutation of the submission. Of a message every node decides alike. */
static bool may_merge(const struct writer *writer, const struct submission *submission,
                      struct error *error)
{
    size_t most = writer->engine->options.max_merge_bytes;
    size_t bytes =
        submission->message.sequence ? writer->applying.decided : writer->applying.merged;
    return !most || bytes <= most ||
           error_set(error, ERROR_TOO_LARGE,
                     "the request reads and merges more than %zu bytes of large entities, the most "
                     "that max_merge_bytes allows for one; send it in parts",
                     most);
}

static bool apply_mutation(struct writer *writer, struct submission *submission,
                           const struct mutation *mutation, struct error *error)
{
    struct export_state *export = NULL;
    if (!large_admits(writer, 0, error) || !may_merge(writer, submission, error))
        return false;
    if (!writer_export(writer, mutation->export_name, &export, error))
        return false;
    if (!export)
        return writer_note_unknown(writer, submission, mutation->export_name, error);
    struct entity *entity = writer_entity(writer, export, mutation->key, error);
    if (!entity)
        return false;
    bool stale;
    if (!find_stale(writer, mutation, entity, &stale, error))
        return false;
    /* It leaves no trace, unless something older is to find one. */
    if (stale || finds_nothing(submission, mutation, entity)) {
        ++*(stale ? &submission->stale : &submission->ignored);
        return true;
    }
    if (!writer_undo_note(writer, entity, error))
        return false;
    bool existed = entity->data != NULL;
    bool done = row_is_gone(mutation->operation)
                    ? apply_delete(writer, submission, mutation, entity, error)
                    : writer_apply_patch(writer, submission, mutation, entity, error);
    done =
        done && (existed || submission->message.copied ||
                 writer_evict_behind(writer, export, entity->seq, submission->received_us, error));
    if (!done)
        return error_prefix(error, "mutation of %.*s '%.*s'", (int)mutation->export_name.length,
                            mutation->export_name.data,
                            mutation->key.length > 64 ? 64 : (int)mutation->key.length,
                            mutation->key.data);
    if (writer->applying.bytes > SUBMISSION_BYTES && !submission->message.copied)
        return error_set(error, ERROR_TOO_LARGE,
                         "what the request changes takes more than %d MiB; send it in parts",
                         SUBMISSION_BYTES >> 20);
    submission->applied++;
    submission->has_seq = true;
    submission->seq = entity->seq;
    return true;
}

/* Entities lie all over the memory: those of the next mutations are fetched together. A single one
 * would gain nothing. */
static void fetch_next(const struct writer *writer, const struct mutation *mutations, size_t count)
{
    struct span keys[ENTITY_FETCH];
    size_t fetched = 0;
    const struct export_state *export =
        count > 1 ? map_get(&writer->exports, mutations->export_name) : NULL;
    for (size_t i = 0; export && i < count && i < ENTITY_FETCH; i++)
        if (span_equal(mutations[i].export_name, mutations->export_name))
            keys[fetched++] = mutations[i].key;
    if (fetched)
        entity_cache_fetch(&writer->cache, export, keys, fetched);
}

static bool apply_mutations(struct writer *writer, struct submission *submission,
                            const struct submission_batch *batch, struct error *error)
{
    const struct mutation *mutations = submission->mutations + batch->first;
    for (size_t i = 0; i < batch->count; i++) {
        if (i % ENTITY_FETCH == 0)
            fetch_next(writer, mutations + i, batch->count - i);
        if (!apply_mutation(writer, submission, &mutations[i], error))
            return false;
    }
    return true;
}

static bool apply_batch(struct writer *writer, struct submission *submission,
                        const struct submission_batch *batch, struct producer_table *table,
                        struct error *error)
{
    struct producer_state *producer;
    bool repeated;
    int64_t last_change = writer->open.last_change;
    if (!producer_admit(writer, submission, batch, table, &producer, &repeated, error))
        return false;
    if (!repeated && !apply_mutations(writer, submission, batch, error))
        return false;
    if (producer && !repeated)
        producer_advance(producer, submission, batch, writer->open.last_change > last_change);
    return true;
}

static bool apply_batches(struct writer *writer, struct submission *submission,
                          struct producer_table *table, struct error *error)
{
    for (size_t i = 0; i < submission->batch_count; i++)
        if (!apply_batch(writer, submission, &submission->batches[i], table, error))
            return false;
    return true;
}

/* Errors of the store end the transaction; all others only refuse the submission. */
static bool is_store_failure(enum error_code code)
{
    return code == ERROR_DISK_FULL || code == ERROR_DISK_FAILED || code == ERROR_FILE_LIMIT ||
           code == ERROR_DATABASE || code == ERROR_DATABASE_DAMAGED;
}

/* Put everything back as it was before the submission. */
static void take_back(struct writer *writer, int64_t last_change, struct seq head)
{
    writer_drafts_end(writer, true, NULL);
    writer_undo_end(writer, true);
    writer_forget_exports(writer, writer->open.new_exports_stored);
    writer->open.last_change = last_change;
    writer->open.head = head;
}

static void refuse(struct submission *submission, const struct error *problem)
{
    bool tells_last = submission->has_last && problem->code == ERROR_OUT_OF_ORDER;
    submission_reset(submission);
    submission->has_last = tells_last;
    submission->error = *problem;
    batch_order_refuse(submission->order, submission);
}

/* Merge all of it, and note what belongs to it. */
static bool apply_whole(struct writer *writer, struct submission *submission,
                        struct producer_table *table, bool *replayed, struct error *error)
{
    if (submission->error.code != ERROR_NONE) {
        *error = submission->error;
        return false;
    }
    if (submission->command.kind != COMMAND_NONE)
        return command_apply(writer, submission, error);
    return keyed_admit(writer, submission, replayed, error) &&
           (*replayed ||
            (batch_order_admit(submission->order, submission, error) &&
             apply_batches(writer, submission, table, error) &&
             writer_drafts_end(writer, false, error) && keyed_store(writer, submission, error) &&
             copied_ends(writer, submission, error)));
}

bool writer_apply(struct writer *writer, struct submission *submission, struct error *error)
{
    int64_t last_change = writer->open.last_change;
    struct seq head = writer->open.head;
    struct error problem = {.code = ERROR_NONE};
    struct producer_table table;
    bool going = true, replayed = false, admitted = false;
    INVARIANT(!writer->applying.pending_count && !writer->applying.undo_count);
    INVARIANT(!writer->applying.drafts &&
              writer->open.new_exports_stored == writer->open.new_export_count);
    INVARIANT(writer->open.last_change == store_writer_state(writer->store).log->last_change);
    writer->applying.number++;
    writer->applying.bytes = writer->applying.merged = writer->applying.decided = 0;
    writer->applying.first_change = last_change;
    writer->applying.truncation_count = 0;
    writer->large.stopped = false;
    if (submission->message.sequence)
        writer->open.now = submission->message.at;
    if (!producer_table_init(&table, submission))
        error_set(&problem, ERROR_MEMORY, "out of memory while applying a request");
    else if ((admitted = position_admits(writer, submission, &problem)) &&
             apply_whole(writer, submission, &table, &replayed, &problem) && !replayed)
        going = writer_store_exports(writer, error) && writer_log_pending(writer, error) &&
                producers_store(writer, &table, error) &&
                copied_store_rest(writer, submission, error);
    if (problem.code != ERROR_NONE)
        take_back(writer, last_change, head);
    if (writer->large.stopped) {
        submission_reset(submission);
    } else if (problem.code != ERROR_NONE) {
        refuse(submission, &problem);
        if (is_store_failure(problem.code)) {
            *error = problem;
            going = false;
        }
    } else {
        writer_tell_truncations(writer);
    }
    if (going && admitted && !writer->large.stopped)
        position_advance(writer, submission);
    writer->open.bytes += writer->applying.bytes + writer->applying.merged;
    writer_undo_end(writer, false);
    producer_table_fini(&table);
    return going;
}
